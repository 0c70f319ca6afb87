"""The training loop: one photo a step, render, loss, backward, Adam, and now and then an edit of the set of Gaussians."""

import math
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import torch
from torch import Tensor

from splat.callbacks import Step, TrainingCallback
from splat.cameras import Camera
from splat.datasets.capture import Frame
from splat.datasets.images.cache import DevicePhotos
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.geometry.morton import morton_order
from splat.io.parsing import parse_bytes
from splat.render import render
from splat.result import RenderResult
from splat.run import Run
from splat.settings import RenderSettings
from splat.training.callback_guard import CallbackGuard
from splat.training.checkpoint import save_checkpoint
from splat.training.config import TrainConfig, evaluation_background
from splat.training.densify.base import Needs, Start, Strategy, View
from splat.training.densify.choose import default_budget
from splat.training.interrupt import interrupt_flag
from splat.training.learned_mask import MASK, is_off, masked
from splat.training.losses.grid_smoothness import GridSmoothness
from splat.training.losses.objective import Loss, LossTerm, Objective
from splat.training.losses.target import TargetImage, camera_for, make_target
from splat.training.optimizer import GaussianOptimizer
from splat.training.per_image.model import PhotoModel
from splat.training.progress import Progress, StageTimer
from splat.training.schedules import Clock, Iteration, active_sh_degree, photo_fraction

REORDER_EVERY = 1000
"""Iterations between two sortings of the Gaussians in space, right after an edit."""
PRUNE_MASKED_EVERY = 100
"""Iterations between two removals of the Gaussians that a learnable mask has switched off."""
LATE_FROM = 0.5
"""Fraction of the run after which steps may take several iterations."""
MASK_RATE = 0.01
PSNR_EVERY = 10
"""Iterations between two measurements of the training PSNR, which only a person reads."""
PREPARED = 4
"""Photos that are decoded ahead."""


class Trainer:
    """A run and all of its state. The same state and photos give the same bits on the CPU, unless there is a time limit.

    Args:
        frames: to train on.
        extent: of the scene, world units.
        initial: Gaussians to start from.
        folder: where checkpoints and progress are written; None writes nothing.
        points: [P, 3] sparse points of the capture, if there are any; for the sky's distance.
        transform: what is drawn in place of the parameters, differentiable: a file format's version of them, for instance.
        callback: is told of every iteration, and may pause, save or stop the run.
        strategy: adds and removes Gaussians in place of the one that the configuration names.
        losses: terms that are added to the loss.
        shown: whether progress is shown to a person.
    """

    def __init__(
        self,
        config: TrainConfig,
        frames: Sequence[Frame],
        extent: float,
        initial: Gaussians,
        folder: Run | None,
        callback: TrainingCallback | None = None,
        device: torch.device | str = "cpu",
        points: Tensor | None = None,
        transform: Callable[[Gaussians], Gaussians] | None = None,
        strategy: Strategy | None = None,
        losses: Sequence[LossTerm] = (),
        shown: bool = True,
    ) -> None:
        self.config, self.extent, self.folder, self.shown = config, extent, folder, shown
        self.callback = CallbackGuard(callback)
        self.transform = transform
        self.device = torch.device(device)
        self.frames = [frame.to(self.device) for frame in frames]
        self.optimizer = GaussianOptimizer(initial.to(self.device), masks=config.densify.learned_mask > 0)
        self.budget = config.densify.budget or default_budget(frames, len(initial))
        self.strategy = strategy or config.densify.build(
            Start(config.optimization.iterations, extent, len(initial), self.budget)
        )
        self.model = PhotoModel(config, self.frames, initial.means if points is None else points, extent, self.device)
        self.objective = Objective(config, extent, losses)
        self.smoothness = GridSmoothness(config.loss.grid, config.run.seed) if config.loss.grid else None
        self.clock = Clock(config.optimization.iterations, config.time_limit_seconds)
        self.generator = torch.Generator().manual_seed(config.run.seed)
        self.settings = RenderSettings(antialiased=config.optimization.antialiased)
        self.upcoming: list[int] = []  # photos of this round that have not been used
        self.leaves: dict[str, Tensor] | None = None  # parameters with the gradients of steps that are not taken yet
        self.photos = DevicePhotos(self.device, parse_bytes("`image_cache`", config.data.image_cache))
        self.last_saved = -1
        self.last_loss = 0.0
        self.timer = StageTimer()
        self.fixed_background = evaluation_background(config).to(self.device)

    @property
    def iteration(self) -> int:
        return self.clock.iteration

    def run(self, interrupted: threading.Event | None = None) -> bool:
        """Train to the end, or until Ctrl-C or the callback stops it; either way a checkpoint is left in the folder, if there
        is one. Returns whether the end was reached.

        Args:
            interrupted: is set to stop the run, as Ctrl-C does; Ctrl-C itself unless given.
        """
        if interrupted is None:
            with interrupt_flag() as interrupted:
                return self.run(interrupted)
        self.clock.start()
        smooth, every = self.smoothness, self.config.run.save_every
        with closing(Progress(self.folder, self.clock, self.config.run.tensorboard, self.shown)) as progress:
            while not self.clock.finished and not interrupted.is_set():
                loss, psnr = self.step()
                progress.update(loss, psnr, len(self.optimizer), None if smooth is None else smooth.last)
                if every and self.iteration % every == 0:
                    self.save()
                if self.stopped_by_callback(loss, psnr, interrupted.is_set):
                    break
        self.save()
        return self.clock.finished

    def stopped_by_callback(self, loss: float, psnr: float | None, interrupted: Callable[[], bool]) -> bool:
        """Tell the callback of an iteration and do what it wants. Returns whether the run is to stop."""
        clock = self.clock
        step = Step(self.iteration, loss, self.optimizer.gaussians, self.scene, psnr, clock.progress, clock.seconds)
        return self.callback.settle(step, self.save_all, interrupted, clock.pause)

    def save_all(self) -> None:
        """Write a checkpoint and the scene as it is."""
        if self.folder is None:
            warnings.warn("the callback asked to save, but the run has no `output` folder", stacklevel=2)
            return
        self.save()
        self.folder.save_scene(self.scene(), self.iteration)

    def step(self) -> tuple[float, float | None]:
        """One iteration. Returns the loss, and now and then the PSNR of the view that was used.

        Raises:
            InputError: the loss is not finite, or no Gaussian is left.
        """
        now = self.clock.tick()
        index = self.next_photo()
        frame, background = self.frames[index], self.background()
        needs = self.strategy.needs(now)
        with self.timer("photos"):
            longest = max(frame.camera.width, frame.camera.height)
            fraction = photo_fraction(now.progress, longest) if self.config.progressive else 1.0
            photo = self.photos.photo(frame.photos, frame.name)
            target = make_target(photo, fraction, background, self.config.data.mask_mode)
            camera = self.model.open(index, camera_for(frame.camera, target))
        with self.timer("render"):
            if self.leaves is None:
                self.leaves = self.optimizer.leaves()
            result, gaussians, probe = self.draw(camera, background, needs, now)
            rgb = self.model.finish(result, camera, background, self.settings)
        with self.timer("loss"):
            loss = self.objective(rgb, result, target, frame, camera, gaussians, now)
            value = self.checked(loss, frame, now)
        with self.timer("backward"):
            view = self.backward(loss, rgb, result, target, gaussians, probe, needs)
        with self.timer("update"), torch.no_grad():
            visible = result.statistics.visible if self.config.optimization.sparse_adam and result.statistics else None
            self.model.step(now.progress)
            self.update(now, visible)
        with self.timer("density"), torch.no_grad():
            if view is not None:
                self.strategy.observe(view, self.optimizer.memory)
            self.edit(now)
        return value, None if now.number % PSNR_EVERY else target.psnr(rgb)

    def draw(
        self, camera: Camera, background: Tensor, needs: Needs, now: Iteration
    ) -> tuple[RenderResult, Gaussians, Tensor | None]:
        """Render the parameters. Also returns them as Gaussians, and the feature whose gradient becomes the scores."""
        assert self.leaves is not None
        optimization = self.config.optimization
        gaussians = Gaussians(**{name: leaf for name, leaf in self.leaves.items() if name != MASK})
        if MASK in self.leaves:
            gaussians = masked(gaussians, self.leaves[MASK])
        if self.transform is not None:
            gaussians = self.transform(gaussians)
        probe = gaussians.means.new_zeros(len(gaussians), 1, requires_grad=True) if needs.scores else None
        fused = None
        if optimization.fuse_adam:
            fused = self.optimizer.fused(self.learning_rates(now), optimization.sparse_adam)
        result = render(
            gaussians,
            camera,
            background=self.model.scene_background(background),
            features=probe,
            sh_degree=active_sh_degree(optimization.sh_degree, now.progress, optimization.sh_from_start),
            depth=self.objective.needs_depth(),
            normals=self.objective.needs_normals(now),
            statistics=needs.gradients or optimization.sparse_adam,
            absgrad=needs.absolute,
            settings=self.settings,
            adam=fused,
        )
        return result, gaussians, probe

    def checked(self, loss: Loss, frame: Frame, now: Iteration) -> float:
        """The loss as a number; on a GPU, where reading waits for all that is under way, only now and then a new one.

        Raises:
            InputError: it is not finite.
        """
        if now.number % PSNR_EVERY == 0 or self.device.type == "cpu":
            self.last_loss = float(loss.value)
        if not math.isfinite(self.last_loss):
            remedy = "Train again"
            if self.folder is not None:
                remedy = f"The last checkpoint in {self.folder.checkpoints} is unharmed; resume from it"
            raise InputError(
                f"the loss became {self.last_loss} at iteration {now.number} or just before (photo {frame.name}). {remedy} "
                "with lower learning rates"
            )
        return self.last_loss

    def backward(
        self,
        loss: Loss,
        rgb: Tensor,
        result: RenderResult,
        target: TargetImage,
        gaussians: Gaussians,
        probe: Tensor | None,
        needs: Needs,
    ) -> View | None:
        """Gradients of everything, and what the strategy wanted to see."""
        rest, statistics = loss.rest, result.statistics
        smooth = None if self.smoothness is None else self.smoothness(gaussians, self.iteration)
        for term in (self.strategy.regularization(gaussians), self.model.regularization(), smooth):
            rest = rest if term is None else rest + term
        if MASK in (self.leaves or {}):
            assert self.leaves is not None
            rest = rest + self.config.densify.learned_mask * self.leaves[MASK].sigmoid().mean()
        if probe is not None and result.features is not None:
            # Features of zero change nothing and pull at nothing; their own gradient is the sum over pixels of the blend
            # weight times what they are multiplied with here.
            rest = rest + (result.features[..., 0] * target.error(rgb)).sum()
        gradient = absolute = None
        if loss.ssim is not None:
            loss.ssim.backward(retain_graph=True)
            if needs.gradients and statistics is not None:
                gradient = statistics.mean2d_grad.norm(dim=-1)
                absolute = statistics.mean2d_absgrad.norm(dim=-1) if needs.absolute else None
        rest.backward()
        if not needs.gradients or statistics is None:
            return None
        if gradient is None:
            gradient = statistics.mean2d_grad.norm(dim=-1)
            absolute = statistics.mean2d_absgrad.norm(dim=-1) if needs.absolute else None
        score = None if probe is None or probe.grad is None else probe.grad[:, 0]
        return View(statistics.visible, gradient, absolute, score)

    def update(self, now: Iteration, visible: Tensor | None) -> None:
        """Take the step of Adam, unless several iterations share one and more of them are to come."""
        several = self.config.accumulate if now.progress >= LATE_FROM else 1
        if now.number % several and not self.clock.finished:
            return
        rates = self.learning_rates(now)
        if not self.config.optimization.fuse_adam:
            assert self.leaves is not None
            self.optimizer.step(self.leaves, rates, visible)
        self.leaves = None
        self.strategy.perturb(self.optimizer.gaussians, rates, self.generator)

    def edit(self, now: Iteration) -> None:
        """Let the strategy change the set of Gaussians, and remove those that have switched themselves off."""
        if MASK in self.optimizer.parameters and now.number % PRUNE_MASKED_EVERY == 0:
            off = is_off(self.optimizer.parameters[MASK])
            if bool(off.any()):
                self.forget_rows()
                self.optimizer.keep(~off)
        edit = self.strategy.edit(now, self.optimizer.gaussians, self.optimizer.memory, self.generator)
        if edit is not None:
            self.forget_rows()
            edit.apply(self.optimizer)
            if now.number % REORDER_EVERY == 0:
                self.optimizer.keep(morton_order(self.optimizer.parameters["means"], exact=False))
        if not len(self.optimizer):
            raise InputError(
                f"no Gaussian was left at iteration {now.number}: the photos and cameras do not agree. Look at the "
                "capture with `splat info`, or lower `prune_opacity`"
            )

    def forget_rows(self) -> None:
        """The set changes. Gradients of steps not taken, and places in a grid, belong to the set as it was."""
        self.leaves = None
        if self.smoothness is not None:
            self.smoothness.forget()

    def next_photo(self) -> int:
        """Photos in random order, each once before any comes again; those that follow are decoded ahead."""
        if not self.upcoming:
            self.model.next_round([frame.camera for frame in self.frames], self.optimizer.gaussians)
            self.upcoming = torch.randperm(len(self.frames), generator=self.generator).tolist()
        index = self.upcoming.pop()
        for soon in self.upcoming[-PREPARED:]:
            self.frames[soon].photos.prepare(self.frames[soon].name)
        return index

    def background(self) -> Tensor:  # [3]
        """Color behind the scene in this step."""
        if self.config.optimization.background == "random":
            return torch.rand(3, generator=self.generator).to(self.device)
        return self.fixed_background

    def learning_rates(self, now: Iteration) -> dict[str, float]:
        return {**self.config.lr.at(now.progress, self.extent), MASK: MASK_RATE}

    def scene(self) -> Gaussians:
        """What the run has made so far, as it is saved: with the sky, without what has switched itself off."""
        gaussians = self.optimizer.gaussians
        if MASK in self.optimizer.parameters:
            gaussians = gaussians[~is_off(self.optimizer.parameters[MASK])]
        return self.model.whole_scene(gaussians)

    def save(self) -> None:
        """Write a checkpoint of this iteration, if there is none."""
        if self.folder is not None and self.last_saved != self.iteration:
            save_checkpoint(self.folder, self.iteration, self.state_dict(), self.config.run.keep_checkpoints)
            self.last_saved = self.iteration

    def state_dict(self) -> dict[str, Any]:
        pending = {name: leaf.grad for name, leaf in (self.leaves or {}).items() if leaf.grad is not None}
        return {
            "optimizer": self.optimizer.state_dict(),
            "pending": pending,
            "model": self.model.state_dict(),
            "grid": None if self.smoothness is None else self.smoothness.state_dict(),
            "generator": self.generator.get_state(),
            "upcoming": self.upcoming,
            "seconds": self.clock.seconds,
            "frames": [frame.name for frame in self.frames],
            "strategy": type(self.strategy).__name__,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a checkpoint.

        Raises:
            InputError: it was made with other photos.
        """
        names = [frame.name for frame in self.frames]
        if state["frames"] != names:
            where = "" if self.folder is None else f"{self.folder.path}: "
            raise InputError(
                f"{where}the run was started with {len(state['frames'])} training photos, the capture now gives "
                f"{len(names)}, or others; restore the capture to resume, or start again with `overwrite`"
            )
        mine = type(self.strategy).__name__
        if state.get("strategy", mine) != mine:  # checkpoints of earlier versions do not say
            raise InputError(
                f"{where}the run was started with the strategy {state['strategy']}, not {mine}; give it again"
            )
        self.optimizer = GaussianOptimizer.from_state_dict(state["optimizer"], self.device)
        self.model.load_state_dict(state["model"])
        if self.smoothness is not None:
            self.smoothness.load_state_dict(state["grid"], self.device)
        self.leaves = None
        if state["pending"]:
            self.leaves = self.optimizer.leaves()
            for name, gradient in state["pending"].items():
                self.leaves[name].grad = gradient.to(self.device)
        self.generator.set_state(state["generator"])
        self.upcoming = list(state["upcoming"])
        self.clock.iteration = self.last_saved = int(state["iteration"])
        self.clock.spent = float(state["seconds"])
