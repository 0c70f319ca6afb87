"""What numbers a `.splatz` can hold: the steps of every attribute, fitted to a scene, and Gaussians rounded to them.

- Positions: cells of asinh((x - center) / radius): even near the center, growing with the distance far out.
- Importance: Gaussians that matter less have steps 2, 4 or 8 times as large. With squared errors weighted by w, the best
  steps are as 1 / sqrt(w) (reverse water-filling, Cover and Thomas 2006, 10.3.3).
- Scales: logarithms in even steps, in the order of `canonical`.
- Rotations: Rodrigues vectors. A rotation about one axis is visible only as far as the other two scales differ: it moves the
  end of the longer axis in proportion to sinh(difference of the log scales), so steps are in proportion to its inverse.
- Or scales and rotations both as sums of entries of codebooks (optional/shape_codebooks.py).
- Colors: luma and two differences. Opacities: even steps.
- Harmonics: labels into a codebook (Navaneet et al. 2023; Niedermayr et al. 2023), and, for the fraction that matters most,
  what is left over (as the VecTree of CityGaussian V2 keeps them exactly). Both as principal components of the colors that
  cameras see (view_metric.py), in even steps.
"""

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from splat.compression.coding.kmeans import kmeans, means_of
from splat.compression.coding.octree import MOST_BITS
from splat.compression.coding.straight_through import straight
from splat.compression.formats.splatz.canonical import canonical, quaternions
from splat.compression.formats.splatz.codes import LUMA, REACH, Codes, values
from splat.compression.formats.splatz.optional.midpoints import choose, completed, parents_among, shared_weights
from splat.compression.formats.splatz.optional.shape_codebooks import ShapeCodebooks, fit_shapes
from splat.compression.formats.splatz.options import SplatzOptions
from splat.compression.formats.splatz.shapes import shape_codes
from splat.compression.formats.splatz.steps import Steps, coarser, row, whole
from splat.compression.formats.splatz.view_metric import isotropic_metric
from splat.gaussians import Gaussians

THINNEST = 1e-4
"""Smallest axis of a Gaussian relative to its largest that counts for how precise its place is kept."""
CLUSTERED = 24
"""Principal components of harmonics by which they are clustered; the others are faint, and cost as much time."""


@dataclass
class Quantization:
    """What the numbers of a file refer to, in one scene's order: steps, importance, labels and midpoints fixed, the codebook
    free to be optimized.

    `quantization(gaussians)` is what a file of these Gaussians decodes to, and differentiable: straight through the rounding
    to the Gaussians (Bengio et al. 2013), and to `codebook` where harmonics come from there.
    """

    steps: Steps
    shifts: Tensor  # [N] int64
    labels: Tensor  # [N] int64
    exact: Tensor  # [N] bool
    basis: Tensor  # [D, D] rows: harmonics of each principal component, (coefficient, channel), of half precision
    codebook: Tensor  # [K, D] float32: harmonics as (coefficient, channel)
    options: SplatzOptions = field(default_factory=SplatzOptions)
    shapes: ShapeCodebooks | None = None
    parents: Tensor | None = None  # [N, 2] int64: which two a Gaussian is half-way between; -1 where it is stored

    def __len__(self) -> int:
        return len(self.shifts)

    def __getitem__(self, index: Tensor) -> "Quantization":
        """That of some of the Gaussians."""
        chosen = {name: getattr(self, name)[index] for name in ("shifts", "labels", "exact")}
        return replace(self, **chosen, parents=None if self.parents is None else parents_among(self.parents, index))

    def to(self, device: torch.device | str) -> "Quantization":
        """The same on another device."""
        names = ("shifts", "labels", "exact", "basis", "codebook")
        return replace(
            self,
            **{name: getattr(self, name).to(device) for name in names},
            shapes=None if self.shapes is None else self.shapes.to(device),
            parents=None if self.parents is None else self.parents.to(device),
        )

    @property
    def stored(self) -> Tensor:  # [N] bool
        """Which Gaussians the file holds; the others are midpoints of these."""
        return torch.ones_like(self.exact) if self.parents is None else self.parents[:, 0] < 0

    @property
    def bases(self) -> int:
        """Harmonics besides the constant one."""
        return len(self.basis) // 3

    def __call__(self, gaussians: Gaussians) -> Gaussians:
        """What a file of these Gaussians decodes to; gradients pass as if nothing were rounded.

        Raises:
            ValueError: it was made for another number of Gaussians.
        """
        self._check(gaussians)
        if self.parents is not None:
            return completed(self[self.stored](gaussians[self.stored]), self.parents)
        with torch.no_grad():
            found = values(self.codes(gaussians), self.steps, self.basis)
        rodrigues, log_scales = canonical(gaussians.quats, gaussians.log_scales)
        book = self.codebook[self.labels].reshape(len(self), self.bases, 3)
        rest = torch.where(self.exact[:, None, None], gaussians.sh_rest[:, : self.bases], book)
        return Gaussians(
            means=straight(gaussians.means, found.means),
            quats=straight(quaternions(rodrigues), found.quats),
            log_scales=straight(log_scales, found.log_scales),
            logit_opacities=straight(gaussians.logit_opacities, found.logit_opacities),
            sh0=straight(gaussians.sh0, found.sh0),
            sh_rest=straight(rest, found.sh_rest),
        )

    @torch.no_grad()
    def codes(self, gaussians: Gaussians) -> Codes:
        """The whole numbers nearest to Gaussians."""
        self._check(gaussians)
        steps, larger = self.steps, coarser(self.shifts)
        place = torch.asinh((gaussians.means.double() - row(steps.center, gaussians.device)) / steps.radius)
        cells = whole((place - row(steps.low, gaussians.device)) / steps.cell).clamp(0, (1 << steps.bits) - 1)
        rodrigues, log_scales = canonical(gaussians.quats, gaussians.log_scales)
        encode = shape_codes if self.shapes is None else self.shapes.codes
        scales, rotations = encode(rodrigues, log_scales, self.shifts, steps)
        opacities = (gaussians.opacities / steps.opacity).floor().clamp(max=math.ceil(1 / steps.opacity) - 1).long()
        colors = gaussians.sh0 @ LUMA.to(gaussians.sh0).T
        components = torch.linalg.pinv(self.basis.double()).float()
        book = whole(self.codebook @ components / steps.sh)
        entries = book[self.labels[self.exact]].float() * steps.sh @ self.basis
        left = gaussians.sh_rest[self.exact][:, : self.bases].flatten(1) - entries
        return Codes(
            cells,
            self.shifts,
            scales,
            rotations,
            opacities,
            whole(colors / (steps.color * larger)),
            self.labels,
            book,
            self.exact.nonzero()[:, 0],
            whole(left @ components / (steps.sh * larger[self.exact])),
            self.shapes,
        )

    def _check(self, gaussians: Gaussians) -> None:
        if len(gaussians) != len(self) or gaussians.sh_rest.shape[1] < self.bases:
            raise ValueError(
                f"a quantization of {len(self)} Gaussians with {self.bases} harmonics does not fit {len(gaussians)} with "
                f"{gaussians.sh_rest.shape[1]}"
            )


@torch.no_grad()
def fit_quantization(
    gaussians: Gaussians,
    options: SplatzOptions | None = None,
    weights: Tensor | None = None,
    metric: Tensor | None = None,
    losses: Tensor | None = None,
) -> Quantization:
    """Steps, importance classes and a codebook for a scene.

    Args:
        gaussians: all of them drawable, at least one.
        weights: [N] how much each matters, such as the sum of its blend weights over photos; its opacity times its area
            unless given.
        metric: [K, K] how much errors of the K harmonics are seen, of `view_metric`; all alike unless given.
        losses: [N] how much the picture changes without each, which says what becomes a midpoint; its weight unless given.

    Raises:
        InputError: an option is out of range.
    """
    options = options or SplatzOptions()
    options.check()
    weights = area(gaussians) if weights is None else weights.to(gaussians.means).clamp_min(0)
    if options.midpoints:
        parents = choose(gaussians, weights if losses is None else losses, options.midpoints)
        stored, weights = parents[:, 0] < 0, shared_weights(weights, parents)
        fitted = fit_quantization(gaussians[stored], replace(options, midpoints=0.0), weights[stored], metric)
        if bool(stored.all()):
            return fitted
        place = (torch.cumsum(stored, dim=0) - 1).clamp_min(0)  # numbers of midpoints themselves are never looked at
        return replace(fitted[place], parents=parents, options=options)
    shifts = importance_classes(weights, options.classes)
    bases = gaussians.sh_rest.shape[1]
    if options.sh_degree is not None:
        bases = min(bases, (options.sh_degree + 1) ** 2 - 1)
    steps = _steps(gaussians, options)
    harmonics = gaussians.sh_rest[:, :bases].flatten(1)
    floor = least_weights(weights)
    metric = isotropic_metric(bases) if metric is None else metric[:bases, :bases]
    basis = principal_components(harmonics, floor, metric.to(harmonics))
    codes, fraction = options.sh_codes, options.sh_exact
    if codes is None:
        codes = automatic_codes(len(gaussians))
    codebook, labels = torch.zeros_like(harmonics[:1]), torch.zeros_like(shifts)
    if bases and codes:
        seen = harmonics @ torch.linalg.pinv(basis.double()).float()
        labels = _by_frequency(kmeans(seen[:, :CLUSTERED], codes, floor, options.seed)[1])
        codebook = means_of(harmonics, labels, floor, harmonics.new_zeros(int(labels.max()) + 1, 3 * bases))
    fraction = fraction if codes else 1.0
    exact = torch.zeros(len(gaussians), dtype=torch.bool, device=weights.device)
    exact[weights.topk(round(fraction * len(weights))).indices] = True
    shapes = None
    if options.shape_stages:
        rodrigues, log_scales = canonical(gaussians.quats, gaussians.log_scales)
        number, codes, seed = options.shape_stages, options.shape_codes, options.seed
        shapes = fit_shapes(rodrigues, log_scales, shifts, steps, number, codes, seed)
    return Quantization(steps, shifts, labels, exact, basis, codebook, options, shapes)


def importance_classes(weights: Tensor, classes: int) -> Tensor:  # [N] int64
    """0 where steps are to be finest: weights above half of the upper quartile; then a class for every quarter of that."""
    if classes == 1 or not len(weights):
        return torch.zeros(len(weights), dtype=torch.int64, device=weights.device)
    upper = weights.sort().values[len(weights) * 3 // 4].clamp_min(1e-30)
    return (0.5 * (upper / weights.clamp_min(1e-30)).log2()).round().clamp(0, classes - 1).long()


def least_weights(weights: Tensor) -> Tensor:  # [N]
    """Weights for codebooks: what no camera sees counts a little, too."""
    return weights.clamp_min(float(weights.mean()) * 0.01 + 1e-12)


def area(gaussians: Gaussians) -> Tensor:  # [N]
    """Opacity times the largest cross-section, up to a factor: how much a Gaussian shows, seen from anywhere."""
    largest = gaussians.log_scales.sort(dim=1).values[:, 1:].sum(dim=1)
    return gaussians.opacities * largest.clamp(max=40).exp()


def principal_components(rows: Tensor, weights: Tensor, metric: Tensor) -> Tensor:  # [D, D]
    """Rows: harmonics of components that are uncorrelated in `rows` [N, D], by weight, and orthonormal in the metric [K, K],
    the one of largest mean square first; of half precision."""
    if not rows.shape[1]:
        return rows.new_zeros(0, 0)
    values, vectors = torch.linalg.eigh(metric.double())
    root = torch.kron((vectors * values.clamp_min(1e-12).sqrt()) @ vectors.T, torch.eye(3).to(vectors))
    seen = rows.double() @ root
    moments = (seen * weights[:, None]).T @ seen / weights.sum().clamp_min(1e-30)
    basis = torch.linalg.solve(root, torch.linalg.eigh(moments).eigenvectors.flip(1)).T
    return basis.half().float()


def automatic_codes(count: int) -> int:
    """Entries of a codebook for so many Gaussians: a power of two, at most a sixteenth of them."""
    return min(1 << 16, 1 << max(4, int(math.log2(max(1, count / 16)))))


def _steps(gaussians: Gaussians, options: SplatzOptions) -> Steps:
    means = gaussians.means.double()
    center = means.median(dim=0).values
    radius = max(1e-9, float((means - center).abs().amax(dim=1).median()))
    place = torch.asinh((means - center) / radius)
    low = place.amin(dim=0)
    stretch = radius * torch.cosh(place.abs().amax(dim=1).clamp(max=REACH))  # world units per unit of place
    log_scales = gaussians.log_scales.double()
    # The thickness of a flat Gaussian says little about how precise its place must be, that of a 2D one nothing.
    log_scales = log_scales.maximum(log_scales.amax(dim=1, keepdim=True) + math.log(THINNEST))
    size = log_scales.mean(dim=1).exp() / stretch
    cell = options.coarseness * options.position_step * float(size.sort().values[len(size) // 4])
    extent = float((place.amax(dim=0) - low).max())
    cell = max(cell, extent / ((1 << MOST_BITS) - 2), 1e-12)
    coarse = options.coarseness
    return Steps(
        center=_numbers(center),
        radius=radius,
        low=_numbers(low),
        cell=cell,
        bits=max(1, math.ceil(math.log2(extent / cell + 1.5))),
        scale=coarse * options.scale_step,
        rotation=coarse * options.rotation_step,
        opacity=min(0.5, coarse * options.opacity_step),
        color=coarse * options.color_step,
        sh=coarse * options.sh_step,
    )


def _by_frequency(labels: Tensor) -> Tensor:
    """Labels renumbered: 0 for what occurs most; those that do not occur left out."""
    counts = torch.bincount(labels)
    place = torch.empty_like(counts)
    place[counts.argsort(descending=True, stable=True)] = torch.arange(len(counts), device=labels.device)
    return place[labels]


def _numbers(row: Tensor) -> tuple[float, float, float]:
    x, y, z = row.tolist()
    return x, y, z
