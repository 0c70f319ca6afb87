"""Scales and rotations in a `.splatz`, as whole numbers of steps. Instead, optional/shape_codebooks.py has labels."""

import torch
from torch import Tensor

from splat.compression.formats.splatz.steps import Steps, coarser, whole

LARGEST_TURN = 0.5
"""Step of rotations that hardly show."""


def shape_codes(
    rodrigues: Tensor, log_scales: Tensor, shifts: Tensor, steps: Steps
) -> tuple[Tensor, Tensor]:  # [N, 3], [N, 3]
    """The whole numbers nearest to shapes [N, 3], [N, 3]: scales and rotations."""
    scales = whole(log_scales / (steps.scale * coarser(shifts)))
    return scales, whole(rodrigues / rotation_steps(scales, shifts, steps))


def shape_values(
    scales: Tensor, rotations: Tensor, shifts: Tensor, steps: Steps
) -> tuple[Tensor, Tensor]:  # [N, 3], [N, 3]
    """Rodrigues vectors and logarithms of scales from whole numbers."""
    return rotations * rotation_steps(scales, shifts, steps), scales * (steps.scale * coarser(shifts))


def differences(scales: Tensor) -> Tensor:  # [N, 3]
    """For each axis, by how much the scales [N, 3] of the other two differ, in steps or logarithms."""
    return (scales[:, [1, 2, 0]] - scales[:, [2, 0, 1]]).abs()


def rotation_steps(scales: Tensor, shifts: Tensor, steps: Steps) -> Tensor:  # [N, 3] float32
    """Step of each component of a Rodrigues vector, which is about half the angle of a turn about that axis."""
    larger = coarser(shifts)
    return turn_steps(differences(scales) * (steps.scale * larger), steps.rotation * larger, steps)


def turn_steps(apart: Tensor, step: Tensor, steps: Steps) -> Tensor:  # [N, 3]
    """Steps of Rodrigues vectors that move the longer axis' end by `step` of its width there, where the logarithms of the two
    scales that a turn mixes are `apart`."""
    shown = 2 * torch.sinh(apart.clamp(max=20)).clamp_min(1e-6)
    return (step / shown).clamp(min=min(0.003, steps.rotation), max=LARGEST_TURN)
