"""What a person sees of a run: a bar in a terminal or notebook, plain lines elsewhere; and metrics.jsonl (and TensorBoard) for
programs."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from splat.errors import InputError
from splat.io.atomic_file import replacing
from splat.io.facts import as_json
from splat.io.progress import Bar, shows_bars
from splat.run import Run
from splat.training.schedules import Clock

RECORD_EVERY = 100
"""Iterations between two lines of metrics.jsonl."""
LINES_PER_RUN = 20
"""Plain lines printed where the output is not a terminal."""


class StageTimer:
    """Seconds spent in each stage of the steps so far. On a GPU these are the times of starting work, not of doing it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def import_tensorboard() -> Any:
    """The class that writes TensorBoard events.

    Raises:
        InputError: the package is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # where TensorFlow is installed too, it is loaded and talks
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError(f"`tensorboard` needs the package tensorboard ({error}): pip install tensorboard") from error
    return SummaryWriter


class Progress:
    """Shows loss, PSNR, number of Gaussians, iterations per second and the time left.

    Args:
        run: whose progress is written; None writes nothing.
        clock: of the run; a resumed one stands where it goes on.
        tensorboard: also write events.
        shown: whether a person is told.
    """

    def __init__(self, run: Run | None, clock: Clock, tensorboard: bool = False, shown: bool = True) -> None:
        self.path, self.clock, self.shown = None if run is None else run.progress_file, clock, shown
        self.bars = shown and shows_bars()
        first = clock.iteration
        total = clock.iterations if clock.limit is None else 1000
        begun = first if clock.limit is None else int(1000 * clock.progress)
        layout = None if clock.limit is None else "{desc}: {percentage:3.0f}%|{bar}| {elapsed}{postfix}"
        self.bar = Bar(
            total=total,
            initial=begun,
            desc="train",
            unit="it",
            disable=not self.bars,
            dynamic_ncols=sys.stderr.isatty(),
            bar_format=layout,
        )
        self.start, self.first, self.lines = clock.seconds, first, int(LINES_PER_RUN * clock.progress)
        self.loss: float | None = None  # smoothed
        self.psnr: float | None = None  # smoothed
        self.events = import_tensorboard()(str(run.events)) if tensorboard and run is not None else None
        self._forget_after(first)

    def _forget_after(self, iteration: int) -> None:
        """A resumed run writes the iterations after its checkpoint again."""
        if self.path is None or not self.path.is_file():
            return
        lines = [line for line in self.path.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
        kept = [line for line in lines if json.loads(line)["iteration"] <= iteration]
        with replacing(self.path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept))

    def _psnr_text(self) -> str:
        """The first steps do not measure it."""
        return "PSNR - " if self.psnr is None else f"PSNR {self.psnr:.2f} dB"

    def update(self, loss: float, psnr: float | None, count: int, roughness: Tensor | None = None) -> None:
        """
        Args:
            roughness: of the grid, where the run makes one smooth.
        """
        iteration, progress = self.clock.iteration, self.clock.progress
        self.loss = loss if self.loss is None else 0.95 * self.loss + 0.05 * loss
        if psnr is not None:
            self.psnr = psnr if self.psnr is None else 0.8 * self.psnr + 0.2 * psnr
        seconds = self.clock.seconds - self.start
        rate = (iteration - self.first) / max(seconds, 1e-9)
        if self.bars:
            self.bar.update((iteration if self.clock.limit is None else int(1000 * progress)) - self.bar.n)
            if iteration % 10 == 0:
                self.bar.set_postfix_str(f"loss {self.loss:.4f}, {self._psnr_text()}, {count:,} Gaussians")
        elif self.shown and int(LINES_PER_RUN * progress) > self.lines:
            self.lines = int(LINES_PER_RUN * progress)
            left = (self.clock.iterations - iteration) / max(rate, 1e-9)
            left = left if self.clock.limit is None else min(left, self.clock.limit - self.clock.seconds)
            of = f"/{self.clock.iterations:,}" if self.clock.limit is None else ""
            text = (
                f"iteration {iteration:,}{of}  loss {self.loss:.4f}  {self._psnr_text()}  "
                f"{count:,} Gaussians  {rate:.1f} it/s  {left:.0f} s left"
            )
            try:
                print(text, flush=True)
            except OSError:  # the terminal has closed, or the reader of a pipe left; the run goes on
                self.shown = False
        if self.path is not None and (iteration % RECORD_EVERY == 0 or self.clock.finished):
            record = {
                "iteration": iteration,
                "loss": round(self.loss, 6),
                "train_psnr": None if self.psnr is None else round(self.psnr, 3),
                "gaussians": count,
                "seconds": round(self.clock.seconds, 2),
                "its_per_second": round(rate, 2),
            }
            if roughness is not None:
                record["grid_roughness"] = round(float(roughness), 6)
            with self.path.open("a") as file:
                file.write(as_json(record, indent=None) + "\n")
            if self.events is not None:
                for name in ("loss", "train_psnr", "gaussians", "its_per_second", "grid_roughness"):
                    if record.get(name) is not None:
                        self.events.add_scalar(f"train/{name}", record[name], iteration)

    def close(self) -> None:
        self.bar.close()
        if self.events is not None:
            self.events.close()
