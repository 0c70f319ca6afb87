"""Test and time the CUDA kernels on this machine, and compare them with gsplat where it is installed.

    python benchmarks/gpu_report.py                                    all parts
    python benchmarks/gpu_report.py --only cases --filter "1,000,000, 1080p,a few huge, 5,000,000"
    python benchmarks/gpu_report.py --only sanitizer,profile
    python benchmarks/gpu_report.py --only capture --capture captures/fox

The parts, in the order in which they run unless --only gives another one:

    cases      seeded scenes of 100,000, a million and five million Gaussians (of splat-like sizes, many tiny, and with a
               few huge ones) at 1080p and 4K; with --scene a trained one
    tests      the kernels' tests, on the GPU
    sanitizer  renders and their gradients under compute-sanitizer's four tools
    profile    each kernel of a training step with a million Gaussians, as Nsight Compute (ncu) sees it
    capture    `splat train`, 7,000 iterations, on the capture that --capture names
    cpu        the CPU engine on this machine's processor, with 1, 2, 4, 8 and 16 threads

--filter chooses cases by a part of their name, such as "splat-like, 1,000,000, 1080p", in any case. A comma without a space
after it starts another filter, unless it stands in a number.

Times are medians of CUDA events after a warm-up. Where gsplat can be imported, it draws the same scenes in the same run, from
the same stored parameters (its activations count); its training step uses torch's fused Adam, and fused_ssim where that is
installed. Writes gpu-NAME.json and .md in the folder --out, after every result; what an earlier run on the same card and
commit wrote there stays. On `--device cpu` it tries itself, on small scenes.
"""

import argparse
import importlib
import json
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gpu_parts
import torch
from gpu_cases import DISTRIBUTIONS, case, seeded_scene, view
from gpu_tables import as_markdown
from gpu_timing import Stopwatch

import splat
from splat.cuda_rasterizer import native

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PARTS = ("cases", "tests", "sanitizer", "profile", "capture", "cpu")


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Names, versions, and the two rates that bound a kernel: copy bandwidth as measured, instructions by clock."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    machine = {
        "commit": commit or "unknown",
        "device": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "build": {key: value for key, value in native.build_info().items() if key != "file"},
        "bytes_per_second": 0.0,
        "instructions_per_second": 0.0,
    }
    if device.type != "cuda":
        return machine
    properties = torch.cuda.get_device_properties(device)
    machine["device"] = properties.name
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=driver_version,clocks.max.sm", "--format=csv,noheader,nounits"]
        driver, clock = subprocess.run(query, capture_output=True, text=True).stdout.splitlines()[0].split(",")
        machine["driver"] = driver.strip()
        machine["instructions_per_second"] = properties.multi_processor_count * 128 * float(clock) * 1e6
    source = torch.empty(1 << 28, device=device)
    target = torch.empty_like(source)
    milliseconds = Stopwatch(device, 10).measure(lambda: target.copy_(source))
    machine["bytes_per_second"] = 2 * source.nbytes / milliseconds * 1000
    return machine


def import_gsplat() -> Any:
    try:
        return importlib.import_module("gsplat")
    except Exception as error:
        print(f"gsplat cannot be imported ({error}): no ratios")
        return None


def chosen(name: str, filters: str) -> bool:
    """Whether one of the filters is a part of a case's name; without filters, yes."""
    return any(part.lower() in name.lower() for part in re.split(r"(?<!\d),(?! )|,(?![\d ])", filters))


def cases(options: argparse.Namespace, device: torch.device, machine: dict[str, Any]) -> gpu_parts.Results:
    """Every scene at every size that --filter lets through."""
    counts, sizes = [100_000, 1_000_000, 5_000_000], {"1080p": (1920, 1080), "4K": (3840, 2160)}
    if device.type == "cpu":
        counts, sizes = [2_000], {"tiny": (160, 90)}
    scenes: dict[str, Callable[[], splat.Gaussians]] = {
        f"{distribution}, {count:,}": partial(seeded_scene, count, distribution, device)
        for count in counts
        for distribution in DISTRIBUTIONS
    }
    if options.scene is not None:
        scenes[options.scene.name] = lambda: splat.load(options.scene).to(device)
    names = {scene: {name: f"{scene}, {name}" for name in sizes} for scene in scenes}
    if not any(chosen(name, options.filter) for of_scene in names.values() for name in of_scene.values()):
        every = "\n".join(name for of_scene in names.values() for name in of_scene.values())
        sys.exit(f"error: no case has {options.filter!r} in its name. The cases:\n{every}")
    stopwatch = Stopwatch(device, options.rounds)
    gsplat = import_gsplat() if device.type == "cuda" else None
    for scene, of_scene in names.items():
        wanted = {size: name for size, name in of_scene.items() if chosen(name, options.filter)}
        if not wanted:
            continue
        gaussians = scenes[scene]()
        for size, name in wanted.items():
            try:
                result = case(gaussians, view(*sizes[size], device), stopwatch, machine, gsplat)
            except Exception as error:  # too large a scene is a result, not the end of the report
                result = {"error": f"{type(error).__name__}: {error}"}
            yield name, result
            if device.type == "cuda":
                torch.cuda.empty_cache()  # the next scene, or another process, may need it


class Report:
    """The results of one card and commit, by part and name; every change is written to a file at once."""

    def __init__(self, folder: Path, machine: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"gpu-{re.sub(r'[^A-Za-z0-9]+', '-', machine['device']).strip('-')}.json"
        before = json.loads(self.path.read_text()) if self.path.exists() else {}
        if before.get("machine", {}).get("commit") != machine["commit"]:
            before = {}
        self.content = before | {
            "machine": machine,
            "commands": [*before.get("commands", []), shlex.join(sys.argv[1:])],
        }

    def add(self, part: str, name: str, result: dict[str, Any]) -> None:
        results = self.content.setdefault(part, {})
        if "skipped" in result and name in results:
            return
        results[name] = result
        self.save()

    def save(self) -> None:
        unfinished = self.path.with_suffix(".tmp")  # a run may be ended while it writes
        unfinished.write_text(json.dumps(self.content, indent=1) + "\n")
        unfinished.replace(self.path)
        self.path.with_suffix(".md").write_text(self.markdown())

    def markdown(self) -> str:
        return as_markdown(self.content, json.loads((RESULTS / "gpu-predictions.json").read_text()))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="parts to run, separated by commas (default: all)")
    parser.add_argument("--filter", default="", help="only cases with this in their name")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu to try the script (default cuda)")
    parser.add_argument("--scene", type=Path, help="a trained scene, for cases: .ply or run folder")
    parser.add_argument("--capture", type=Path, help="a capture to train 7,000 iterations on")
    parser.add_argument("--rounds", type=int, default=20, help="repetitions of each measurement (default 20)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := [part for part in options.only if part not in PARTS]:
        parser.error(f"--only {unknown[0]}: the parts are {', '.join(PARTS)}")
    return options


def results_of(part: str, options: argparse.Namespace, device: torch.device, machine: dict) -> Iterator[Any]:
    if part == "cases":
        return cases(options, device, machine)
    if part == "capture":
        return gpu_parts.capture(device, options.capture)
    return getattr(gpu_parts, part)(device)


def main() -> None:
    options = parse_arguments()
    device = torch.device(options.device)
    if device.type == "cuda" and (native.build_info()["cuda"] is None or not torch.cuda.is_available()):
        sys.exit("error: no GPU, or a build without CUDA kernels; `splat doctor` tells which")
    if device.type == "cuda":
        device = torch.device("cuda", device.index or 0)
        torch.cuda.set_device(device)
    machine = describe_machine(device)
    report = Report(options.out, machine)
    for part in options.only:
        for name, result in results_of(part, options, device, machine):
            print(f"{part}, {name}: {json.dumps(result)}", flush=True)
            report.add(part, name, result)
    report.save()
    print(f"\n{report.markdown()}\nwritten: {report.path}")


if __name__ == "__main__":
    main()
