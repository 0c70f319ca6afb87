"""Quantizers: what each file format can represent, as functions that gradients pass straight through.

A quantizer turns Gaussians into what would be read back from a file of them. Training on that, and writing what comes out,
makes the file the thing that was optimized (straight-through estimator, Bengio et al. 2013; see
training/compress/finetune.py).
"""

from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from splat.compression.coding.kmeans import codebook_of_numbers, means_of
from splat.compression.coding.straight_through import straight
from splat.compression.formats import compressed_ply, spz
from splat.compression.formats.sog import codes as sog_codes
from splat.compression.formats.sog import writer as sog
from splat.compression.formats.sog.codes import Quantization as SogQuantization
from splat.compression.formats.splatz import container as splatz
from splat.compression.formats.splatz.options import SplatzOptions
from splat.compression.formats.splatz.quantization import Quantization as SplatzQuantization
from splat.compression.formats.splatz.quantization import area, fit_quantization, least_weights
from splat.compression.formats.spz import SpzOptions
from splat.gaussians import Gaussians


class Quantizer(Protocol):
    """What a file format can represent."""

    def __call__(self, gaussians: Gaussians) -> Gaussians:
        """What would be read back from a file, on the same device and in the same order, with the gradient of the identity
        unless the format ties parameters together. Fits itself first, if it never was."""
        ...

    def refresh(self, gaussians: Gaussians) -> None:
        """Fit codebooks, bounds, order and the like to the Gaussians as they are now."""
        ...

    def write(self, gaussians: Gaussians, path: Path) -> None:
        """Write what the quantizer makes of the Gaussians: it is read back the same."""
        ...


def straight_through(gaussians: Gaussians, rounded: Gaussians) -> Gaussians:
    """The values of `rounded` with the gradients of `gaussians`.

    Files keep rotations at unit length and q or -q alike: a gradient is turned back where the sign was.
    """
    values, others = gaussians.tensors(), rounded.tensors()
    agree = (values["quats"].detach() * others["quats"]).sum(dim=1, keepdim=True) >= 0
    values["quats"] = values["quats"] * torch.where(agree, 1.0, -1.0)
    return Gaussians(**{name: straight(values[name], others[name]) for name in values})


class SpzQuantizer:
    """The quantizer of `.spz`. It has nothing to fit."""

    def __init__(self, options: SpzOptions | None = None, antialiased: bool = False) -> None:
        self.options, self.antialiased = options or SpzOptions(), antialiased

    def refresh(self, gaussians: Gaussians) -> None:
        pass

    def __call__(self, gaussians: Gaussians) -> Gaussians:
        return straight_through(gaussians, spz.quantized(gaussians, self.options))

    def write(self, gaussians: Gaussians, path: Path) -> None:
        spz.write(self(gaussians), path, self.options, self.antialiased)


class CompressedPlyQuantizer:
    """The quantizer of the compressed `.ply`: the order, and so which Gaussians share bounds, is fitted; the bounds always are
    those of the Gaussians as they are."""

    def __init__(self) -> None:
        self.order: Tensor | None = None

    def refresh(self, gaussians: Gaussians) -> None:
        self.order = compressed_ply.chunk_order(gaussians)

    def __call__(self, gaussians: Gaussians) -> Gaussians:
        return straight_through(gaussians, compressed_ply.quantized(gaussians, self._order(gaussians)))

    def write(self, gaussians: Gaussians, path: Path) -> None:
        compressed_ply.write(self(gaussians), path, self._order(gaussians).cpu())

    def _order(self, gaussians: Gaussians) -> Tensor:
        if self.order is None or len(self.order) != len(gaussians):
            self.refresh(gaussians)
        assert self.order is not None
        return self.order


class SogQuantizer:
    """The quantizer of SOG. Bounds and codebooks are fitted, and which entry of the palette each Gaussian has; an entry itself
    is the weighted mean of the harmonics that have it, so that it learns from all of them.

    Args:
        palette: entries for the harmonics; chosen by the number of Gaussians unless given.
        weights: [N] how much the harmonics of each Gaussian count in the palette; opacity unless given.
        order: of the pixels in the file.
    """

    def __init__(
        self,
        palette: int | None = None,
        seed: int = 0,
        weights: Tensor | None = None,
        antialiased: bool = False,
        order: sog.Order = "morton",
    ) -> None:
        self.palette, self.seed, self.given, self.antialiased = palette, seed, weights, antialiased
        self.order = order
        self.weights = torch.zeros(0)  # in use
        self.fitted: SogQuantization | None = None

    def refresh(self, gaussians: Gaussians) -> None:
        """The palette is made once; later its entries and numbers follow the Gaussians, and labels stay. Another number of
        Gaussians are other Gaussians, for which all is made anew.

        Raises:
            ValueError: the weights are not one for each.
        """
        scene = gaussians.detach()
        if self.fitted is None or self.fitted.labels is None or len(self.fitted.labels) != len(scene):
            weights = scene.opacities.clamp_min(1e-3) if self.given is None else _of(scene, self.given)
            self.weights, self.fitted = weights, sog_codes.fit(scene, self.palette, self.seed, weights)
            return
        entries = self._entries(scene)
        bare = sog_codes.fit(scene.with_sh_degree(0))
        self.fitted = replace(bare, palette=entries, numbers=codebook_of_numbers(entries), labels=self.fitted.labels)

    def quantization(self, gaussians: Gaussians) -> SogQuantization:
        """Of the Gaussians as they are: bounds and codebooks as fitted, the palette from their harmonics."""
        if self.fitted is None:
            self.refresh(gaussians)
        assert self.fitted is not None
        self.fitted, self.weights = self.fitted.to(gaussians.device), self.weights.to(gaussians.device)
        return self.fitted if self.fitted.labels is None else replace(self.fitted, palette=self._entries(gaussians))

    def __call__(self, gaussians: Gaussians) -> Gaussians:
        quantization = self.quantization(gaussians)
        palette, labels, tied = quantization.palette, quantization.labels, gaussians
        if palette is not None and labels is not None:
            tied = replace(gaussians, sh_rest=palette[labels].reshape(gaussians.sh_rest.shape))
            quantization = replace(quantization, palette=palette.detach())
        return straight_through(tied, sog_codes.quantized(gaussians.detach(), quantization))

    def write(self, gaussians: Gaussians, path: Path) -> None:
        scene = gaussians.detach().to("cpu", torch.float32)
        sog.write(
            self(scene), path, self.antialiased, seed=self.seed, quantization=self.quantization(scene), order=self.order
        )

    def _entries(self, gaussians: Gaussians) -> Tensor:  # [P, 3 K]
        """Weighted mean of the harmonics of every label; gradients flow from an entry to all of its Gaussians."""
        fitted = self.fitted
        assert fitted is not None and fitted.palette is not None and fitted.labels is not None
        return means_of(gaussians.sh_rest.flatten(1), fitted.labels, self.weights, fitted.palette)


class SplatzQuantizer:
    """The quantizer of `.splatz`. Steps, importance and which entry of the codebook each Gaussian has are fitted once, and
    anew for another number of Gaussians; an entry itself is the weighted mean of the harmonics that have it, so that it
    learns from all of them.

    Args:
        weights: [N] how much each Gaussian matters; its opacity times its area unless given.
        metric: [K, K] how much errors of the harmonics are seen (see `view_metric`).
        losses: [N] how much the picture changes without each; see `fit_quantization`.
    """

    def __init__(
        self,
        options: SplatzOptions | None = None,
        weights: Tensor | None = None,
        metric: Tensor | None = None,
        antialiased: bool = False,
        losses: Tensor | None = None,
    ) -> None:
        self.options, self.given, self.metric, self.antialiased = options, weights, metric, antialiased
        self.losses = losses
        self.weights = torch.zeros(0)  # in use
        self.said: tuple[Gaussians, Gaussians] | None = None  # what was given without gradients, and what came of it
        self.fitted: SplatzQuantization | None = None

    def refresh(self, gaussians: Gaussians) -> None:
        """Raises:
        ValueError: the weights are not one for each.
        """
        if self.fitted is not None and len(self.fitted) == len(gaussians):
            return
        scene = gaussians.detach()
        self.weights = area(scene) if self.given is None else _of(scene, self.given)
        self.fitted = fit_quantization(scene, self.options, self.weights, self.metric, self.losses)

    def __call__(self, gaussians: Gaussians) -> Gaussians:
        found = self._learned(gaussians)(gaussians)
        if not torch.is_grad_enabled():
            self.said = gaussians.map(torch.clone), found
        return found

    def write(self, gaussians: Gaussians, path: Path) -> None:
        scene = gaussians.detach()
        if self.said is not None and _equal(scene, self.said[1]):
            scene = self.said[0]  # rounding once more could choose another description of the same ellipsoid, and drift
        splatz.write(scene, path, antialiased=self.antialiased, quantization=self._learned(scene))

    def _learned(self, gaussians: Gaussians) -> SplatzQuantization:
        """With the codebook of the Gaussians as they are; gradients flow from an entry to all of its Gaussians."""
        self.refresh(gaussians)
        assert self.fitted is not None
        self.fitted, self.weights = self.fitted.to(gaussians.device), self.weights.to(gaussians.device)
        fitted = self.fitted
        rows = gaussians.sh_rest[:, : fitted.bases].flatten(1)
        floor = least_weights(self.weights) * fitted.stored
        return replace(fitted, codebook=means_of(rows, fitted.labels, floor, fitted.codebook.detach()))


def _of(scene: Gaussians, weights: Tensor) -> Tensor:  # [N]
    """Weights that must be those of a scene."""
    if len(weights) != len(scene):
        raise ValueError(f"weights: expected one for each of {len(scene)} Gaussians, got {len(weights)}")
    return weights.to(scene.means)


def _equal(one: Gaussians, other: Gaussians) -> bool:
    pairs = zip(one.tensors().values(), other.tensors().values(), strict=True)
    return all(torch.equal(this.to(that.device), that) for this, that in pairs)
