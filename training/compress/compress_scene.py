"""compress: from a scene to a small file, step by step, each measured. What `splat.compress` and the verb `splat compress`
call."""

import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from splat.compression.formats import registry as formats
from splat.compression.formats.quantizers import Quantizer
from splat.compression.formats.registry import FormatOptions
from splat.compression.formats.sog import writer as sog
from splat.compression.formats.splatz.view_metric import view_metric
from splat.compression.simplify.importance import importance
from splat.compression.simplify.prune import prune, ranks, recolored
from splat.contribution import contribution
from splat.datasets.capture import Capture
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.io.atomic_file import replacing
from splat.io.georeference_file import note_beside
from splat.io.progress import Counter, shows_bars
from splat.result import CompressionResult, CompressionStep
from splat.run import Run
from splat.training.compress.finetune import finetune
from splat.training.compress.judge import Score
from splat.training.compress.report import write_results
from splat.training.compress.search import FRACTIONS, Model, Recipe, Target, Trial, choose, search
from splat.training.compress.settings import CompressSettings
from splat.training.compress.source import Source, file_options, open_source
from splat.training.config import evaluation_background

PLY_COLUMNS = 17
"""Numbers of a Gaussian in a .ply, normals among them, besides the harmonics above degree 0."""
FINETUNE_GAIN = 0.6
"""dB that fine-tuning is first expected to win back; what it really does is then measured."""
FINETUNE_TRIALS = 3
VIEWS = 40
"""Cameras that say what matters, at most: every so many of a larger capture."""
REPAIRS = 2
"""Rounds of colors making up for what a format loses."""
REPAIR_STRIDE = 2
"""Of these, every so many say how colors make up for what a format loses."""


def compress(
    scene: Gaussians | Run | Path | str,
    output: Path | str,
    *,
    max_bytes: int | str | None = None,
    max_psnr_drop: float | None = None,
    settings: CompressSettings | None = None,
    capture: Capture | Path | str | None = None,
    report: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    device: str = "auto",
) -> CompressionResult:
    """Compress; `splat.compress` says what the arguments mean."""
    output, settings = Path(output), settings or CompressSettings()
    if max_bytes is not None or max_psnr_drop is not None:
        settings = replace(settings, max_bytes=max_bytes, max_psnr_drop=max_psnr_drop)
    settings.check()
    formats.writable(output, settings.formats.order)
    if output.exists() and not overwrite:
        raise InputError(f"{output}: exists already; choose another name, or say `overwrite`")
    began = time.monotonic()
    source = open_source(scene, settings, capture=capture, device=device, progress=progress)
    target = Target(settings.size, settings.max_psnr_drop)
    whole = Counter(
        "compress", countable=False, shown=progress and not shows_bars()
    )  # on a terminal the bars of its parts say enough
    with whole, tempfile.TemporaryDirectory(prefix="splat-") as scratch:
        work = Compression(source, settings, output, progress)
        work.scratch = Path(scratch)
        small = work.by_knobs() if target == Target() else work.to_target(target)
    note_beside(output, source.georeference)
    found = CompressionResult(output, small, tuple(work.steps), source.judge.against, time.monotonic() - began)
    if report:
        write_results(found, source.path, work.trials, source.judge, source.gaussians)
    return found


class Compression:
    """The steps, and the record of what each has cost."""

    def __init__(self, source: Source, asked: CompressSettings, output: Path, progress: bool = False) -> None:
        self.source, self.asked, self.output, self.progress = source, asked, output, progress
        self.format = formats.format_of(output)
        self.base = file_options(asked, source.config)
        self.levels = self.format.quality_levels(self.base)
        self.knob = self.level(asked.precision or 0)
        self.judge = source.judge
        cameras = source.judge.cameras
        self.views = cameras[:: math.ceil(len(cameras) / VIEWS)]
        self.settings = source.judge.settings
        self.background = evaluation_background(source.config).to(source.device)
        self.ranks: torch.Tensor | None = None
        self.left: tuple[float, Gaussians] | None = None  # the last fraction that was pruned, and what it left
        self.steps: list[CompressionStep] = []
        self.trials: list[Trial] = []
        self.tuned: list[Trial] = []  # those of the trials that were fine-tuned
        self.scratch = Path()
        with self.step() as seconds:
            self.record("as trained", source.gaussians, seconds)

    def by_knobs(self) -> Gaussians:
        """Exactly what the settings say."""
        asked, scene = self.asked, self.source.gaussians
        degree = self.degree_limit()
        if asked.prune:
            with self.step() as seconds:
                scene = self.pruned(asked.prune)
                self.record(f"prune {100 * asked.prune:.0f} %", scene, seconds)
        if asked.sh_degree is not None and degree < scene.sh_degree:
            with self.step() as seconds:
                scene = scene.with_sh_degree(degree)
                self.record(f"degree {degree}", scene, seconds)
        recipe = Recipe(asked.prune or 0.0, degree, asked.precision or 0)
        if asked.finetune:
            with self.step() as seconds:
                scene, quantizer = self.tuned_to(recipe, asked.finetune)
                self.record(f"fine-tune {asked.finetune} iterations", scene, seconds)
        else:
            scene, quantizer = self.repaired_to(recipe)
        return self.written(scene, recipe, quantizer)

    def to_target(self, target: Target) -> Gaussians:
        """The best that reaches the target, found by trial."""
        iterations, whole = self.asked.finetune or 0, self.steps[0].psnr
        model = self.model()
        if iterations:
            best = self.search_finetuned(model, target)
        else:
            search(model, target, self.follow)
            best = choose(self.trials, target, whole)
        if best is None:
            raise InputError(self.unreachable(target))
        recipe = best.recipe
        with self.step() as seconds:
            scene = self.pruned(recipe.fraction)
            if recipe.fraction:
                self.record(f"prune {100 * recipe.fraction:.1f} %", scene, seconds)
        self.install(self.trial_file(recipe, iterations))
        scene = self.load(self.output, self.base)
        tuned = f", {iterations} iterations of fine-tuning" if iterations else ""
        step = f"degree {recipe.degree}, precision {recipe.level}{tuned}: {self.format.name}"
        self.add(step, len(scene), best.size, best.score, best.seconds)
        return scene

    def model(self) -> Model:
        """Measure every kind of loss alone."""
        limit = self.degree_limit()
        total = len(FRACTIONS) - 1 + limit + len(self.levels)
        with Counter("measure", total, shown=self.progress) as counter:
            pruned = [self.steps[0].psnr]
            for fraction in FRACTIONS[1:]:
                pruned.append(self.judge(self.pruned(fraction)).psnr)
                counter.add()
            recipes = [Recipe(0.0, limit, level) for level in range(len(self.levels))]
            recipes += [Recipe(0.0, degree, 0) for degree in range(limit)]
            kinds = []
            for recipe in recipes:
                kinds.append(self.follow(recipe))
                counter.add()
        return Model(self.steps[0].psnr, pruned, kinds)

    def search_finetuned(self, model: Model, target: Target) -> Trial | None:
        """Trials with fine-tuning, each aiming by what the one before has won back."""
        gain, wanted = FINETUNE_GAIN, target
        for _ in range(FINETUNE_TRIALS):
            aim = target if target.drop is None else Target(drop=target.drop + gain)
            recipes = model.best(aim)
            if not recipes:
                raise InputError(self.unreachable(target))
            recipe = recipes[0]
            if any(trial.recipe == recipe for trial in self.tuned):
                break
            trial = self.follow(recipe, self.asked.finetune or 0)
            self.tuned.append(trial)
            lost = model.whole - trial.score.psnr
            if target.size is not None:
                if trial.size <= target.size:
                    break
                target = Target(size=int(target.size * target.size / trial.size))
            else:
                gain = model.drop(recipe) - lost
        return choose(self.tuned, wanted, model.whole)

    def follow(self, recipe: Recipe, iterations: int = 0) -> Trial:
        """Prune, write and measure one recipe, and remember it."""
        with self.step() as seconds:
            scene, quantizer = self.tuned_to(recipe, iterations) if iterations else self.repaired_to(recipe)
            name, options = self.trial_file(recipe, iterations), self.level(recipe.level)
            self.save(scene, name, options, quantizer)
            score = self.judge(self.load(name, options))
            trial = Trial(recipe, formats.size_of(name), len(scene), score, seconds())
        self.trials.append(trial)
        return trial

    def trial_file(self, recipe: Recipe, iterations: int) -> Path:
        """Where a recipe's file is kept until one is chosen."""
        folder = self.scratch / f"{recipe.fraction:.4f}-{recipe.degree}-{recipe.level}-{iterations}"
        folder.mkdir(exist_ok=True)
        return folder / self.output.name

    def quantizer(self, scene: Gaussians, options: FormatOptions) -> Quantizer | None:
        """What a file of the scene can hold, fitted to what the cameras see of it."""
        if self.format.quantizer is None:
            return None
        found = contribution(scene, self.views, background=self.background, settings=self.settings)
        weights = found.weight.float() / found.weight.mean().float().clamp_min(1e-30)
        metric = view_metric(scene, self.views, weights)
        return self.format.quantizer(options, formats.Importance(weights, metric, found.removal))

    def tuned_to(self, recipe: Recipe, iterations: int) -> tuple[Gaussians, Quantizer | None]:
        """The scene pruned and fine-tuned to what a recipe's file can hold, and the quantizer of that."""
        scene, quantizer = self.pruned_to(recipe)
        source = self.source
        with Counter("fine-tune", iterations, shown=self.progress, leave=False) as counter:
            tuned = finetune(
                scene,
                source.frames,
                source.extent,
                iterations,
                config=source.config,
                quantizer=quantizer,
                device=source.device,
                progress=counter.to,
            )
        return tuned.to(source.device), quantizer

    def repaired_to(self, recipe: Recipe) -> tuple[Gaussians, Quantizer | None]:
        """The scene pruned to a recipe, with base colors that make up for what the format loses elsewhere, as far as they can;
        and the quantizer of that."""
        scene, quantizer = self.pruned_to(recipe)
        if quantizer is None:
            return scene, None
        whole, views = self.source.gaussians, self.views[::REPAIR_STRIDE]
        for _ in range(REPAIRS):
            held = quantizer(scene).detach()
            mended = recolored(held, whole, views, 1, background=self.background, settings=self.settings)
            scene = replace(scene, sh0=scene.sh0 + (mended.sh0 - held.sh0))
        return scene, quantizer

    def pruned_to(self, recipe: Recipe) -> tuple[Gaussians, Quantizer | None]:
        """The scene pruned to a recipe, and the quantizer of that."""
        scene = self.pruned(recipe.fraction).with_sh_degree(recipe.degree)
        return scene, self.quantizer(scene, self.level(recipe.level))

    def load(self, path: Path, options: FormatOptions) -> Gaussians:
        """What a file holds, on the device."""
        return formats.load(path, options).to(self.source.device)

    def save(self, scene: Gaussians, path: Path, options: FormatOptions, quantizer: Quantizer | None) -> None:
        if quantizer is not None:
            quantizer.write(scene, path)
        else:
            formats.save(scene, path, options)

    def written(self, scene: Gaussians, recipe: Recipe, quantizer: Quantizer | None) -> Gaussians:
        """Write the output, read it back, measure it."""
        with self.step() as seconds:
            self.save(scene, self.output, self.knob, quantizer)
            read = self.load(self.output, self.base)
            score = self.judge(read)
            size = formats.size_of(self.output)
            self.add(f"write {self.format.name}", len(read), size, score, seconds())
            self.trials.append(Trial(recipe, size, len(read), score, seconds()))
        return read

    def pruned(self, fraction: float) -> Gaussians:
        """The scene without a fraction of its Gaussians, with colors that make up for them as far as they can."""
        whole, cameras = self.source.gaussians, self.views
        if not fraction:
            return whole
        if self.left is not None and self.left[0] == fraction:
            return self.left[1]
        background, settings = self.background, self.settings
        if self.ranks is None:
            score = partial(
                importance, cameras=cameras, kind=self.asked.score, background=background, settings=settings
            )
            self.ranks = ranks(whole, score)
        pruned = prune(whole, self.ranks, fraction)
        self.left = fraction, recolored(pruned, whole, cameras, background=background, settings=settings)
        return self.left[1]

    def level(self, level: int) -> FormatOptions:
        """Options of the format at a level of quality.

        Raises:
            InputError: it has no such level.
        """
        if not 0 <= level < len(self.levels):
            raise InputError(f"`precision` must be 0 to {len(self.levels) - 1} for {self.format.name}, got {level}")
        return self.levels[level]

    def install(self, file: Path) -> None:
        """Put the file of a trial where the output is wanted."""
        if file.suffix.lower() == ".json":
            sog.write_folder({member.name: member.read_bytes() for member in file.parent.iterdir()}, self.output)
            return
        with replacing(self.output) as temporary:
            shutil.copyfile(file, temporary)

    def degree_limit(self) -> int:
        """Highest degree of harmonics that the scene has, the format holds, and the settings allow."""
        wanted = self.asked.sh_degree
        most = min(self.source.gaussians.sh_degree, self.format.degree)
        return most if wanted is None else min(most, wanted)

    def record(self, step: str, scene: Gaussians, seconds: Callable[[], float]) -> None:
        """Measure a scene between two steps."""
        score = self.judge(scene)
        self.add(step, len(scene), _ply_bytes(scene), score, seconds())

    def add(self, step: str, gaussians: int, size: int, score: Score, seconds: float) -> None:
        """A step was taken."""
        self.steps.append(CompressionStep(step, gaussians, size, score.psnr, score.ssim, seconds))

    @contextmanager
    def step(self) -> Iterator[Callable[[], float]]:
        """Times a step: hands out a function that tells its seconds so far."""
        began = time.monotonic()
        yield lambda: time.monotonic() - began

    def unreachable(self, target: Target) -> str:
        """What to say when nothing reaches the target: the nearest there was."""
        whole = self.steps[0].psnr
        if target.size is not None:
            least = min(self.trials, key=lambda trial: trial.size)
            return (
                f"`max_bytes` {self.asked.max_bytes}: the smallest file that was tried has {least.size:,} bytes "
                f"({least.recipe}, {least.score.psnr:.2f} dB). Allow more, or choose .splatz as the format"
            )
        nearest = max(self.trials, key=lambda trial: trial.score.psnr)
        lost = whole - nearest.score.psnr
        return (
            f"`max_psnr_drop` {self.asked.max_psnr_drop}: at its finest, {self.format.name} loses {lost:.2f} dB "
            f"({nearest.size:,} bytes). Allow more, give `finetune` 1000, or choose another format"
        )


def _ply_bytes(scene: Gaussians) -> int:
    """What the scene takes as a .ply, in which every number has four bytes."""
    return len(scene) * 4 * (PLY_COLUMNS + 3 * scene.sh_rest.shape[1])
