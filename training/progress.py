"""What a person sees of a run: a bar in a terminal, plain lines elsewhere, and metrics.jsonl for programs."""

import json
import sys
import time
from pathlib import Path

from tqdm import tqdm

from splat.atomic_file import replacing

RECORD_EVERY = 100
"""Iterations between two lines of metrics.jsonl."""
LINES_PER_RUN = 20
"""Plain lines printed where the output is not a terminal."""


class Progress:
    """Shows loss, PSNR, number of Gaussians, iterations per second and the time left."""

    def __init__(self, path: Path, first: int, last: int) -> None:
        self.path, self.last = path, last
        self.terminal = sys.stderr.isatty()
        self.bar = tqdm(
            total=last, initial=first, desc="train", unit="it", disable=not self.terminal, dynamic_ncols=True
        )
        self.start, self.first = time.perf_counter(), first
        self.line_every = max(1, (last - first) // LINES_PER_RUN)
        self.loss: float | None = None  # smoothed
        self.psnr: float | None = None  # smoothed
        self._forget_after(first)

    def _forget_after(self, iteration: int) -> None:
        """A resumed run writes the iterations after its checkpoint again."""
        if not self.path.is_file():
            return
        lines = [line for line in self.path.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
        kept = [line for line in lines if json.loads(line)["iteration"] <= iteration]
        with replacing(self.path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept))

    def update(self, iteration: int, loss: float, psnr: float | None, count: int) -> None:
        self.loss = loss if self.loss is None else 0.95 * self.loss + 0.05 * loss
        if psnr is not None:
            self.psnr = psnr if self.psnr is None else 0.8 * self.psnr + 0.2 * psnr
        seconds = time.perf_counter() - self.start
        rate = (iteration - self.first) / max(seconds, 1e-9)
        if self.terminal:
            self.bar.update(1)
            if iteration % 10 == 0:
                self.bar.set_postfix_str(f"loss {self.loss:.4f}, PSNR {self.psnr or 0:.2f} dB, {count:,} Gaussians")
        elif (iteration - self.first) % self.line_every == 0 or iteration == self.last:
            left = (self.last - iteration) / max(rate, 1e-9)
            print(
                f"iteration {iteration:,}/{self.last:,}  loss {self.loss:.4f}  PSNR {self.psnr or 0:.2f} dB  "
                f"{count:,} Gaussians  {rate:.1f} it/s  {left:.0f} s left",
                flush=True,
            )
        if iteration % RECORD_EVERY == 0 or iteration == self.last:
            record = {
                "iteration": iteration,
                "loss": round(self.loss, 6),
                "train_psnr": None if self.psnr is None else round(self.psnr, 3),
                "gaussians": count,
                "seconds": round(seconds, 2),
                "its_per_second": round(rate, 2),
            }
            with self.path.open("a") as file:
                file.write(json.dumps(record) + "\n")

    def close(self) -> None:
        self.bar.close()
