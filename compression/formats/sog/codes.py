"""What numbers a SOG can hold: Gaussians as bytes that stand for numbers of small codebooks, and what is read back of them."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from splat.compression.coding import smallest_three
from splat.compression.coding.kmeans import assign_near, assign_numbers, codebook_of_numbers, kmeans
from splat.gaussians import Gaussians

PALETTE_LIMIT = 64
"""Largest palette, in units of 1,024."""
SAMPLE = 1 << 18
"""Gaussians from which codebooks are made, of a scene that has more."""


@dataclass(frozen=True)
class Quantization:
    """What the codes of a SOG refer to, of N Gaussians with K harmonics above the constant one."""

    low: Tensor  # [3] bounds of sign(x) ln(|x| + 1)
    high: Tensor  # [3]
    scales: Tensor  # [256] ascending, logarithms
    sh0: Tensor  # [256] ascending
    palette: Tensor | None = None  # [P, 3 K] harmonics
    numbers: Tensor | None = None  # [256] ascending, that the palette is written with
    labels: Tensor | None = None  # [N] entry of the palette of every Gaussian

    def to(self, device: torch.device | str) -> "Quantization":
        """The same on another device."""
        moved: dict[str, Any] = {
            field.name: None if getattr(self, field.name) is None else getattr(self, field.name).to(device)
            for field in fields(self)
        }
        return Quantization(**moved)


def fit(
    scene: Gaussians, palette: int | None = None, seed: int = 0, weights: Tensor | None = None
) -> Quantization:  # of drawable Gaussians
    """Bounds, codebooks and palette that suit a scene.

    Args:
        palette: entries for the harmonics, up to 65,536; chosen by the number of Gaussians unless given.
        weights: [N] how much the harmonics of each Gaussian count; opacity unless given.
    """
    some = slice(None, None, math.ceil(len(scene) / SAMPLE))
    found = Quantization(
        logarithms(scene.means.amin(dim=0)),
        logarithms(scene.means.amax(dim=0)),
        codebook_of_numbers(_with_ends(scene.log_scales, some)),
        codebook_of_numbers(_with_ends(scene.sh0, some)),
    )
    if not scene.sh_degree:
        return found
    weights = scene.opacities.clamp_min(1e-3) if weights is None else weights
    rows = scene.sh_rest.flatten(1)
    entries, labels = kmeans(rows[some], palette or palette_size(len(scene)), weights[some], seed)
    if len(labels) < len(scene):
        labels = assign_near(rows, entries, seed)
    return replace(found, palette=entries, numbers=codebook_of_numbers(entries), labels=labels)


def _with_ends(values: Tensor, some: slice) -> Tensor:  # [M + 2, 3]
    """Some of the rows, and the least and the greatest numbers of all."""
    return torch.cat([values[some], values.amin(dim=0, keepdim=True), values.amax(dim=0, keepdim=True)])


def quantized(scene: Gaussians, quantization: Quantization) -> Gaussians:
    """What is read back of a file that is written with this quantization. Written once more, it stays the same."""
    palette, numbers, labels, rest = quantization.palette, quantization.numbers, quantization.labels, scene.sh_rest
    if palette is not None and numbers is not None and labels is not None:
        rest = numbers[assign_numbers(palette, numbers)][labels].reshape(scene.sh_rest.shape)
    return Gaussians(
        means=means_of(mean_codes(scene, quantization), quantization.low, quantization.high),
        quats=smallest_three.settled(scene.quats, lambda quats: quats_of(quat_codes(quats))),
        log_scales=quantization.scales[assign_numbers(scene.log_scales, quantization.scales)],
        logit_opacities=logits_of((scene.opacities * 255).round()),
        sh0=quantization.sh0[assign_numbers(scene.sh0, quantization.sh0)],
        sh_rest=rest,
    )


def logarithms(means: Tensor) -> Tensor:  # the same shape
    return means.sign() * means.abs().log1p()


def mean_codes(scene: Gaussians, quantization: Quantization) -> Tensor:  # [N, 3] int64
    size = (quantization.high - quantization.low).double().clamp_min(1e-30)
    return ((logarithms(scene.means) - quantization.low).double() / size * 65535).round().long().clamp(0, 65535)


def means_of(codes: Tensor, low: Tensor, high: Tensor) -> Tensor:  # [N, 3]
    log = low + codes.float() / 65535 * (high - low)
    return log.sign() * log.abs().clamp_max(80).expm1()


def quat_codes(quats: Tensor) -> Tensor:  # [N, 4] int64
    """Three bytes, and 252 and up for the index of the largest."""
    largest, rest = smallest_three.split(quats)
    return torch.cat([((rest * 2**0.5 / 2 + 0.5) * 255).round().long(), 252 + largest[:, None]], dim=1)


def quats_of(codes: Tensor) -> Tensor:  # [N, 4]
    return smallest_three.join((codes[:, 3].long() - 252).clamp(0, 3), (codes[:, :3].float() / 255 - 0.5) * 2**0.5)


def logits_of(codes: Tensor) -> Tensor:
    return (codes.float() / 255).clamp(1e-6, 1 - 1e-6).logit()


def palette_size(count: int) -> int:
    """Entries of the palette for so many Gaussians unless one is asked for: a sixteenth, as a power of two times 1,024.

    A palette of half the Gaussians, as other programs write, takes three fifths of the whole file.
    """
    return min(PALETTE_LIMIT, 2 ** max(0, int(math.log2(max(1.0, count / 16 / 1024))))) * 1024
