"""Two options of .splatz beside its default: shapes by codebooks, and midpoints beside pruning; by held-out PSNR and bytes.

    python benchmarks/splatz_options.py RUN ... [--finetune 500] [-r 2] [--json FILE]

RUN is the folder of a run of `splat train --eval`. The default is written in several sizes: with all its steps coarser
(what codebooks have to beat), and pruned (what midpoints have to beat). "against" is the PSNR less that of the default at as
many bytes, read off the line between its two files that are next in size; a dash where it has none on one side.
"""

import argparse
import itertools
import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from splat.compression.formats.quantizers import SplatzQuantizer
from splat.compression.formats.splatz import container as splatz
from splat.compression.formats.splatz.options import SplatzOptions
from splat.compression.formats.splatz.view_metric import view_metric
from splat.compression.simplify.importance import importance
from splat.compression.simplify.prune import prune, ranks, recolored
from splat.contribution import contribution
from splat.gaussians import Gaussians
from splat.settings import RenderSettings
from splat.training.compress.finetune import finetune
from splat.training.compress.settings import CompressSettings
from splat.training.compress.source import open_source
from splat.training.config import evaluation_background

COARSER, FRACTIONS = (0.35, 0.5, 0.75, 1.0, 1.5, 2.0), (0.0, 0.1, 0.2, 0.3, 0.4)
CODEBOOKS = ((6, 64, 0.5), (6, 64, 1.0), (6, 64, 1.5), (3, 64, 1.0), (2, 256, 1.0))
"""Stages and entries, as published, and fewer for smaller files; times the steps."""
MIDPOINTS = ((0.0, 0.05), (0.0, 0.1), (0.0, 0.3), (0.3, 0.05), (0.3, 0.1))
"""Fraction that is pruned first, fraction of the rest that become midpoints."""
FINETUNED_COARSER, FINETUNED_FRACTIONS = (0.75, 1.0, 1.5), (0.0, 0.3, 0.4)
FINETUNED_CODEBOOKS, FINETUNED_MIDPOINTS = ((6, 64, 1.0),), ((0.0, 0.1), (0.0, 0.3), (0.3, 0.1))


@dataclass
class Row:
    """A file that was written, read back and measured."""

    run: str
    file: str
    finetune: int
    gaussians: int
    bytes: int
    psnr: float
    against: float | None = None  # dB


class Bench:
    """One run's scene and photos."""

    def __init__(self, run: Path, resolution: int) -> None:
        self.name = run.name
        self.source = open_source(run, CompressSettings(resolution=resolution), device="cpu")
        self.judge = self.source.judge
        self.cameras = self.judge.cameras[:: math.ceil(len(self.judge.cameras) / 40)]
        self.settings = RenderSettings(antialiased=self.source.config.optimization.antialiased)
        self.background = evaluation_background(self.source.config)
        self.whole = self.judge(self.source.gaussians).psnr
        self.ranks = ranks(self.source.gaussians, self.importance)

    def importance(self, scene: Gaussians) -> torch.Tensor:
        return importance(scene, self.cameras, background=self.background, settings=self.settings)

    def pruned(self, fraction: float) -> Gaussians:
        whole = self.source.gaussians
        if not fraction:
            return whole
        left = prune(whole, self.ranks, fraction)
        return recolored(left, whole, self.cameras, background=self.background, settings=self.settings)

    def file(self, name: str, options: SplatzOptions, fraction: float = 0.0, iterations: int = 0) -> Row:
        """Prune, fit, fine-tune, write, read, measure, as `splat compress` does."""
        scene = self.pruned(fraction)
        seen = contribution(scene, self.cameras, background=self.background, settings=self.settings)
        weights = seen.weight.float() / seen.weight.mean().float()
        quantizer = SplatzQuantizer(options, weights, view_metric(scene, self.cameras, weights), losses=seen.removal)
        if iterations:
            source = self.source
            scene = finetune(scene, source.frames, source.extent, iterations, config=source.config, quantizer=quantizer)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scene.splatz"
            quantizer.write(scene, path)
            found, size = splatz.read(path), path.stat().st_size
        return Row(self.name, name, iterations, len(found), size, self.judge(found).psnr)


def against(rows: Sequence[Row], defaults: Sequence[Row]) -> list[Row]:
    """The rows, each compared with the default at as many bytes."""
    known = sorted(defaults, key=lambda row: row.bytes)
    for row in rows:
        for small, large in itertools.pairwise(known):
            if small.bytes <= row.bytes <= large.bytes:
                part = math.log(row.bytes / small.bytes) / math.log(large.bytes / small.bytes)
                row.against = row.psnr - small.psnr - part * (large.psnr - small.psnr)
    return list(rows)


def compare(bench: Bench, iterations: int) -> list[Row]:
    """All files of one run."""
    base = SplatzOptions()
    coarser, fractions = (FINETUNED_COARSER, FINETUNED_FRACTIONS) if iterations else (COARSER, FRACTIONS)
    codebooks, midpoints = (FINETUNED_CODEBOOKS, FINETUNED_MIDPOINTS) if iterations else (CODEBOOKS, MIDPOINTS)

    def default(coarseness: float, fraction: float) -> Row:
        name = f"steps x {coarseness:g}" + (f", {100 * fraction:.0f} % pruned" if fraction else "")
        return show(bench.file(name, replace(base, coarseness=coarseness), fraction, iterations), bench)

    stepped = [default(coarseness, 0.0) for coarseness in coarser]
    pruned = [
        next(row for row in stepped if row.file == "steps x 1"),
        *(default(1.0, fraction) for fraction in fractions if fraction),
    ]
    rows = [*stepped, *pruned[1:]]
    for stages, codes, coarseness in codebooks:
        options = replace(base, coarseness=coarseness, shape_stages=stages, shape_codes=codes)
        row = bench.file(f"codebooks {stages} x {codes}, steps x {coarseness:g}", options, 0.0, iterations)
        rows.append(show(against([row], stepped)[0], bench))
    for fraction, between in midpoints:
        name = (f"{100 * fraction:.0f} % pruned, " if fraction else "") + f"midpoints {100 * between:.0f} %"
        row = bench.file(name, replace(base, midpoints=between), fraction, iterations)
        rows.append(show(against([row], pruned)[0], bench))
    return rows


def show(row: Row, bench: Bench) -> Row:
    beside = "-" if row.against is None else f"{row.against:+.2f}"
    print(
        f"{row.run:12s} {row.finetune:9d} {row.file:32s} {row.gaussians:9,} {row.bytes:10,} {row.psnr:9.2f} "
        f"{row.psnr - bench.whole:+7.2f} {beside:>8s}",
        flush=True,
    )
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--finetune", type=int, default=0, help="iterations, for some of the files once more")
    parser.add_argument("-r", "--resolution", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the results here, beside those of other runs")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("run          fine-tune file                             Gaussians      bytes PSNR [dB]  change  against")
    for run in options.runs:
        bench = Bench(run, options.resolution)
        rows = compare(bench, 0)
        if options.finetune:
            rows += compare(bench, options.finetune)
        if options.json:
            keep(rows, bench, options)


def keep(rows: Sequence[Row], bench: Bench, options: argparse.Namespace) -> None:
    """Put one run's results into the file."""
    known = json.loads(options.json.read_text())["runs"] if options.json.is_file() else {}
    known[bench.name] = {
        "command": f"python benchmarks/splatz_options.py {bench.name} --finetune {options.finetune} -r {options.resolution}",
        "as_trained": {"gaussians": len(bench.source.gaussians), "psnr": bench.whole},
        "files": [asdict(row) for row in rows],
    }
    options.json.write_text(json.dumps({"runs": known}, indent=2) + "\n")


if __name__ == "__main__":
    main()
