"""The scene that several pictures look at: the sample capture, small, and short runs of every strategy on it."""

import atexit
import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.datasets.capture import Capture
from splat.datasets.load import load_capture
from splat.datasets.sample.sample_capture import write_sample
from splat.gaussians import Gaussians
from splat.run import Run
from splat.training.config import OptimizationConfig, TrainConfig
from splat.training.densify.base import Edit, Memory
from splat.training.densify.choose import STRATEGIES
from splat.training.init.initialize import initial_gaussians
from splat.training.schedules import Iteration
from splat.training.trainer import Trainer

WIDTH, HEIGHT, VIEWS = 168, 112, 20
ITERATIONS = 900
BUDGET = 9000
SHOWN = ("budget", "classic", "absgrad", "mcmc")
"""Strategies that change the number of Gaussians."""
ROUND = 500
"""Iteration whose round of densification is drawn."""


@dataclass(frozen=True)
class Round:
    """One round of densification of a run: the Gaussians before it, and what is done to them."""

    iteration: int
    before: Gaussians
    edit: Edit


@dataclass(frozen=True)
class Trained:
    """What a run has left."""

    gaussians: Gaussians
    counts: list[int]  # Gaussians after every iteration
    round: Round | None  # the one at ROUND


@functools.cache
def folder() -> Path:
    """A temporary folder, until the program ends."""
    made = tempfile.TemporaryDirectory(prefix="splat-concepts-")
    atexit.register(made.cleanup)
    return Path(made.name)


@functools.cache
def capture() -> Capture:
    """The sample capture, as `splat sample` makes it, small."""
    path = folder() / "capture"
    write_sample(path, WIDTH, HEIGHT, VIEWS, seed=0)
    return load_capture(path)


def config(strategy: str) -> TrainConfig:
    """A short run at the full size of the photos."""
    budget = BUDGET if strategy in ("budget", "mcmc") else None
    return TrainConfig(
        optimization=OptimizationConfig(iterations=ITERATIONS, progressive="off"),
        densify=STRATEGIES[strategy](budget=budget),
    )


@functools.cache
def trained(strategy: str) -> Trained:
    """Train by a strategy, count, and keep one round of densification."""
    chosen, photos = config(strategy), capture()
    initial = initial_gaussians(photos, chosen, torch.Generator().manual_seed(0))
    trainer = Trainer(chosen, photos.frames, photos.extent, initial, Run(folder() / strategy), points=photos.points)
    plain = trainer.strategy.edit
    rounds: list[Round] = []

    def recorded(now: Iteration, gaussians: Gaussians, memory: Memory, generator: torch.Generator) -> Edit | None:
        edit = plain(now, gaussians, memory, generator)
        if edit is not None and now.number == ROUND:
            rounds.append(Round(now.number, gaussians.map(Tensor.clone), edit))
        return edit

    trainer.strategy.edit = recorded
    counts = []
    while not trainer.clock.finished:
        trainer.step()
        counts.append(len(trainer.optimizer))
    return Trained(trainer.scene().map(Tensor.clone), counts, rounds[0] if rounds else None)


def scene() -> Gaussians:
    """The scene that the other pictures show."""
    return trained("classic").gaussians


def view(index: int = 0) -> Camera:
    """A camera of the capture."""
    return capture().frames[index].camera
