"""The training loop: one photo a step, render, loss, backward, Adam, and now and then an edit of the set of Gaussians."""

import math
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor

import splat
from splat.cuda_rasterizer.autograd import l1_ssim_loss
from splat.datasets.scene import Frame
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.settings import RenderSettings
from splat.training.checkpoint import save_checkpoint
from splat.training.config import TrainConfig
from splat.training.densify.base import Strategy
from splat.training.densify.classic import Classic
from splat.training.optimizer import GaussianOptimizer
from splat.training.progress import Progress
from splat.training.reorder import morton_order
from splat.training.run_folder import RunFolder
from splat.training.schedules import active_sh_degree, means_learning_rate

REORDER_EVERY = 1000
"""Iterations between two sortings of the Gaussians in space, right after an edit: no strategy has statistics then."""

PSNR_EVERY = 10
"""Iterations between two measurements of the training PSNR, which only a person reads."""


@dataclass(frozen=True)
class Step:
    """What a watcher of the run is told after every iteration."""

    iteration: int
    loss: float
    gaussians: Gaussians  # shares memory with the run: copy what is kept


class Trainer:
    """A run and all of its state. The same state and photos give the same bits on the CPU."""

    def __init__(
        self,
        config: TrainConfig,
        frames: Sequence[Frame],
        extent: float,
        initial: Gaussians,
        folder: RunFolder,
        watch: Callable[[Step], None] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config, self.extent, self.folder, self.watch = config, extent, folder, watch
        self.device = torch.device(device)
        self.frames = [frame.to(self.device) for frame in frames]
        self.optimizer = GaussianOptimizer(initial.to(self.device))
        self.strategy: Strategy = Classic(config.densify, config.optimization.iterations, extent, len(initial))
        self.generator = torch.Generator().manual_seed(config.run.seed)
        self.settings = RenderSettings(antialiased=config.optimization.antialiased)
        self.iteration = 0
        self.upcoming: list[int] = []  # photos of this round that have not been used
        self.last_saved = -1
        self.last_loss = 0.0
        self.fixed_background = evaluation_background(config).to(self.device)

    def run(self) -> bool:
        """Train to the end, or until Ctrl-C; either way a checkpoint is left. Returns whether the end was reached."""
        last = self.config.optimization.iterations
        progress = Progress(self.folder.path / "metrics.jsonl", self.iteration, last)
        try:
            with _interrupt_flag() as interrupted:
                while self.iteration < last and not interrupted.is_set():
                    loss, psnr = self.step()
                    progress.update(self.iteration, loss, psnr, len(self.optimizer))
                    every = self.config.run.save_every
                    if every and self.iteration % every == 0:
                        self.save()
                    if self.watch is not None:
                        self.watch(Step(self.iteration, loss, self.optimizer.gaussians))
        finally:
            progress.close()
        self.save()
        return self.iteration >= last

    def step(self) -> tuple[float, float | None]:
        """One iteration. Returns the loss, and now and then the PSNR of the view that was used.

        Raises:
            InputError: the loss is not finite.
        """
        self.iteration += 1
        optimization = self.config.optimization
        frame = self.next_frame()
        background = self.background()
        watched = self.strategy.needs_statistics(self.iteration)
        leaves = self.optimizer.leaves()
        fused = None
        if optimization.fuse_adam:
            fused = self.optimizer.fused(self.learning_rates(), optimization.sparse_adam)
        result = splat.render(
            leaves,
            frame.camera,
            background=background,
            sh_degree=active_sh_degree(optimization, self.iteration),
            statistics=watched or optimization.sparse_adam,
            settings=self.settings,
            adam=fused,
        )
        loss = l1_ssim_loss(result.rgb[None], frame.image[None], optimization.ssim_weight)
        measured = self.iteration % PSNR_EVERY == 0
        if measured or self.device.type == "cpu":  # reading it waits for the GPU
            self.last_loss = float(loss.detach())
        value = self.last_loss
        if not math.isfinite(value):
            raise InputError(
                f"the loss became {value} at iteration {self.iteration} or just before (photo {frame.name}). The last "
                f"checkpoint in {self.folder.checkpoints} is unharmed; resume from it with lower learning rates"
            )
        loss.backward()
        with torch.no_grad():
            if watched and result.statistics is not None:
                self.strategy.observe(result.statistics)
            if fused is None:
                statistics = result.statistics if optimization.sparse_adam else None
                self.optimizer.step(leaves, self.learning_rates(), statistics.visible if statistics else None)
            edit = self.strategy.edit(self.iteration, self.optimizer.gaussians, self.generator)
            if edit is not None:
                edit.apply(self.optimizer)
                if edit.remove is not None and self.iteration % REORDER_EVERY == 0:
                    self.optimizer.keep(morton_order(self.optimizer.parameters["means"]))
                if not len(self.optimizer):
                    raise InputError(
                        f"no Gaussian was left at iteration {self.iteration}: the photos and cameras do not agree. "
                        "Look at the capture with `splat info`, or lower --prune-opacity"
                    )
            psnr = None
            if measured:
                error = float((result.rgb.clamp(0, 1) - frame.image.float() / 255).square().mean())
                psnr = -10 * math.log10(max(error, 1e-10))
        return value, psnr

    def next_frame(self) -> Frame:
        """Photos in random order, each once before any comes again."""
        if not self.upcoming:
            self.upcoming = torch.randperm(len(self.frames), generator=self.generator).tolist()
        return self.frames[self.upcoming.pop()]

    def background(self) -> Tensor:  # [3]
        """Colour behind the scene in this step."""
        if self.config.optimization.background == "random":
            return torch.rand(3, generator=self.generator).to(self.device)
        return self.fixed_background

    def learning_rates(self) -> dict[str, float]:
        optimization = self.config.optimization
        return {
            "means": means_learning_rate(optimization, self.extent, self.iteration),
            "quats": optimization.lr_quats,
            "log_scales": optimization.lr_scales,
            "logit_opacities": optimization.lr_opacities,
            "sh0": optimization.lr_sh0,
            "sh_rest": optimization.lr_sh_rest,
        }

    def save(self) -> None:
        """Write a checkpoint of this iteration, if there is none."""
        if self.last_saved != self.iteration:
            save_checkpoint(
                self.folder.checkpoints, self.iteration, self.state_dict(), self.config.run.keep_checkpoints
            )
            self.last_saved = self.iteration

    def state_dict(self) -> dict[str, Any]:
        return {
            "optimizer": self.optimizer.state_dict(),
            "strategy": self.strategy.state_dict(),
            "generator": self.generator.get_state(),
            "upcoming": self.upcoming,
            "extent": self.extent,
            "frames": [frame.name for frame in self.frames],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a checkpoint.

        Raises:
            InputError: it was made with other photos.
        """
        names = [frame.name for frame in self.frames]
        if state["frames"] != names:
            raise InputError(
                f"{self.folder.path}: the run was started with {len(state['frames'])} training photos, the capture now gives "
                f"{len(names)}, or others; restore the capture to resume, or start again with --overwrite"
            )
        self.optimizer = GaussianOptimizer.from_state_dict(state["optimizer"], self.device)
        self.strategy.load_state_dict(state["strategy"])
        self.generator.set_state(state["generator"])
        self.upcoming = list(state["upcoming"])
        self.extent = float(state["extent"])
        self.iteration = self.last_saved = int(state["iteration"])


def evaluation_background(config: TrainConfig) -> Tensor:  # [3]
    """Colour behind the scene where it must not be random."""
    return torch.ones(3) if config.optimization.background == "white" else torch.zeros(3)


@contextmanager
def _interrupt_flag() -> Iterator[threading.Event]:
    """Ctrl-C sets the flag, so that an iteration is finished before the run stops; a second Ctrl-C stops at once."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def handle(_: int, __: FrameType | None) -> None:
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, previous)
