"""Scales and rotations of a `.splatz` as sums of entries of codebooks, in place of steps."""

import math
import struct
from dataclasses import dataclass

import torch
from torch import Tensor

from splat.compression.coding.byte_reader import REMEDY, ByteReader
from splat.compression.coding.entropy import Shifts, Whole
from splat.compression.formats.splatz.optional.residual_codebooks import (
    MOST_CODES,
    MOST_STAGES,
    ResidualCodebooks,
    fit,
    pack_codebooks,
    unpack_codebooks,
)
from splat.compression.formats.splatz.shapes import differences, turn_steps
from splat.compression.formats.splatz.steps import Steps
from splat.errors import InputError


@dataclass(frozen=True)
class ShapeCodebooks:
    """Of S codebooks each."""

    scales: ResidualCodebooks  # logarithms
    rotations: ResidualCodebooks  # Rodrigues vectors

    def to(self, device: torch.device | str) -> "ShapeCodebooks":
        """The same on another device."""
        return ShapeCodebooks(self.scales.to(device), self.rotations.to(device))

    def codes(
        self, rodrigues: Tensor, log_scales: Tensor, shifts: Tensor, steps: Steps
    ) -> tuple[Tensor, Tensor]:  # [N, S], [N, S]
        """Labels of scales and rotations for shapes [N, 3], [N, 3]."""
        prices = bit_prices(shifts)
        labels = self.scales.labels(log_scales, scale_weights(log_scales, steps), prices)
        shown = rotation_weights(self.scales.vectors(labels), steps)
        return labels, self.rotations.labels(rodrigues, shown, prices)

    def values(self, scales: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:  # [N, 3], [N, 3]
        """Rodrigues vectors and logarithms of scales from labels [N, S], [N, S]."""
        return self.rotations.vectors(rotations), self.scales.vectors(scales)


def fit_shapes(
    rodrigues: Tensor, log_scales: Tensor, shifts: Tensor, steps: Steps, stages: int, codes: int, seed: int
) -> ShapeCodebooks:
    """Codebooks that spend bits as the steps would."""
    even, prices = scale_weights(log_scales, steps), bit_prices(shifts)
    scales = fit(log_scales, even, prices, stages, codes, seed)
    shown = rotation_weights(scales.vectors(scales.labels(log_scales, even, prices)), steps)
    return ShapeCodebooks(scales, fit(rodrigues, shown, prices, stages, codes, seed))


def scale_weights(log_scales: Tensor, steps: Steps) -> Tensor:  # [N, 3] float32
    """How much squared errors of logarithms of scales count: 1 for an error of a step of class 0."""
    return torch.full_like(log_scales, steps.scale**-2)


def rotation_weights(log_scales: Tensor, steps: Steps) -> Tensor:  # [N, 3] float32
    """How much squared errors of Rodrigues vectors count: 1 for an error of a step of class 0."""
    one = torch.ones_like(log_scales[:, :1])
    return turn_steps(differences(log_scales), steps.rotation * one, steps) ** -2


def bit_prices(shifts: Tensor) -> Tensor:  # [N] float32
    """What a bit may save at least of such errors. Steps of 2^k make a mean square of 4^k / 12, a bit more makes it a quarter:
    its derivative with respect to bits."""
    return math.log(2) / 6 * 4.0**shifts


def pack_shapes(books: ShapeCodebooks, scales: Whole, rotations: Whole, shifts: Shifts) -> bytes:
    """Codebooks, and labels [N, S] of scales and of rotations."""
    out = struct.pack("<BH", *books.scales.entries.shape[:2]) + pack_codebooks(books.scales, scales, shifts)
    return out + pack_codebooks(books.rotations, rotations, shifts)


def unpack_shapes(reader: ByteReader, shifts: Shifts) -> tuple[Whole, Whole, ShapeCodebooks]:
    """Labels of scales and of rotations, and the codebooks.

    Raises:
        InputError: the stream is damaged.
    """
    stages, codes = reader.unpack("<BH", "the number of codebooks")
    if not 0 < stages <= MOST_STAGES or not 2 <= codes <= MOST_CODES:
        raise InputError(f"{reader.name}: {stages} codebooks of {codes} entries cannot be. {REMEDY}")
    for_scales, scales = unpack_codebooks(reader, shifts, stages, codes)
    for_turns, turns = unpack_codebooks(reader, shifts, stages, codes)
    return scales, turns, ShapeCodebooks(for_scales, for_turns)
