"""What other programs write into a PLY of Gaussians: their names for the properties, and what has to be worked out from them.

CloudCompare         scalar_f_dc_0, scal_opacity, scalar_scal_rot_0: the names as it imported them, behind its own prefixes
colored points       red, green, blue (and alpha) in place of f_dc_0..2 (and opacity)
2D Gaussian splats   scale_0 and scale_1 only: flat Gaussians (Huang et al. 2024)
isotropic            scale_0 only: round Gaussians
Mip-Splatting        filter_3D, the standard deviation of a 3D smoothing filter (Yu et al. 2024, equation 9)
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splat.errors import InputError
from splat.gaussians import SH_C0
from splat.io.local_origin import FEW, local_origin
from splat.io.ply_container import header_lines

POSITION = ("x", "y", "z")
NORMAL = ("nx", "ny", "nz")
SH0 = ("f_dc_0", "f_dc_1", "f_dc_2")
SCALE = ("scale_0", "scale_1", "scale_2")
ROTATION = ("rot_0", "rot_1", "rot_2", "rot_3")
RGB = ("red", "green", "blue")
FILTER = "filter_3D"
REST_COUNTS = {0: 0, 9: 1, 24: 2, 45: 3, 72: 4}
"""Number of f_rest properties -> degree of spherical harmonics: 3 ((degree + 1)^2 - 1)."""
MARKS = {
    "comment antialiased 0": "no",
    "comment antialiased 1": "yes",
    "comment postshot.anti_aliasing=0": "no",
    "comment postshot.anti_aliasing=1": "yes",
    "comment splatrendermode: default": "no",
    "comment splatrendermode: mip": "yes",
}
"""Lines of a header -> whether the scene was trained with antialiasing."""
PREFIX = re.compile(r"(scalar_|scal_)+")
SAMPLE = 1 << 16
"""Rows that say whether positions fit into 32-bit floats."""
SHOWN = 8
"""Names in a message, at most."""


@dataclass(frozen=True)
class Dialect:
    """How the properties of a file make up Gaussians."""

    fields: dict[str, str]
    """Our names -> those of the file."""
    rest: tuple[str, ...]
    color_scale: float | None
    """What red, green and blue are divided by, where they are the color; None where f_dc_0..2 are."""
    alpha_scale: float | None
    """What alpha is divided by, where it is the opacity; None where the logit is there."""
    scales: int
    """How many scales there are: 3, 2 of flat Gaussians, 1 of round ones."""
    filtered: bool
    """Whether there is a filter to apply."""

    def origin(self, rows: NDArray[np.void]) -> Tensor | None:  # [3] float64
        """What is to be subtracted from positions in double precision that 32-bit floats cannot hold; None where they can."""
        names = [self.fields[name] for name in POSITION]
        if any(rows.dtype[name].itemsize < 8 for name in names):
            return None
        some = rows[:: max(1, len(rows) // SAMPLE)]
        means = np.stack([some[name].astype(np.float64) for name in names], axis=1)
        return local_origin(torch.from_numpy(means), self.columns(some)["log_scales"].exp(), FEW)

    def columns(self, rows: NDArray[np.void], origin: Tensor | None = None) -> dict[str, Tensor]:
        """The parameters of some rows of the file, by name, as float32; positions from an origin."""

        def table(*names: str) -> Tensor:
            return torch.from_numpy(as_floats(rows, [self.fields[name] for name in names]))

        if self.color_scale is None:
            sh0 = table(*SH0)
        else:
            sh0 = (table(*RGB) / self.color_scale - 0.5) / SH_C0
        if self.alpha_scale is None:
            logits = table("opacity")[:, 0]
        else:
            logits = (table("alpha")[:, 0] / self.alpha_scale).logit()
        log_scales = table(*SCALE[: self.scales])
        if self.scales == 1:
            log_scales = log_scales.expand(-1, 3)
        elif self.scales == 2:
            log_scales = torch.cat([log_scales, torch.full((len(rows), 1), -torch.inf)], dim=1)
        if self.filtered:
            log_scales, logits = filtered(log_scales, logits, table(FILTER)[:, 0])
        flat = table(*self.rest) if self.rest else torch.zeros(len(rows), 0)
        means = table(*POSITION)
        if origin is not None:
            columns = [rows[self.fields[name]].astype(np.float64) for name in POSITION]
            means = (torch.from_numpy(np.stack(columns, axis=1)) - origin).float()
        return {
            "means": means,
            "quats": table(*ROTATION),
            "log_scales": log_scales,
            "logit_opacities": logits,
            "sh0": sh0,
            "sh_rest": flat.reshape(len(rows), 3, len(self.rest) // 3).transpose(1, 2),
        }


def filtered(log_scales: Tensor, logits: Tensor, filter_3d: Tensor) -> tuple[Tensor, Tensor]:  # [N, 3], [N]
    """Gaussians convolved with an isotropic Gaussian of standard deviation `filter_3d` [N], as Mip-Splatting draws them: scales
    sqrt(s^2 + f^2), opacity times sqrt(det S / det S'), so that their mass stays the same."""
    before = log_scales.double()
    after = torch.logaddexp(2 * before, 2 * filter_3d.double().log()[:, None]) / 2
    opacities = logits.double().sigmoid() * (before - after).sum(dim=1).exp()
    same = filter_3d == 0
    return (
        torch.where(same[:, None], log_scales, after.float()),
        torch.where(same, logits, opacities.logit().float()),
    )


def dialect(path: Path, rows: NDArray[np.void]) -> Dialect:
    """How a file with these rows is to be read; what is worked out or not read is said in warnings.

    Raises:
        InputError: it is none of Gaussians; the message says what it is.
    """
    fields: dict[str, str] = {}
    for name in rows.dtype.names or ():
        fields.setdefault(PREFIX.sub("", name) if PREFIX.match(name) else name, name)
    fields.update({name: name for name in rows.dtype.names or () if not PREFIX.match(name)})
    names = set(fields)
    scales = next((count for count in (3, 2, 1) if names.issuperset(SCALE[:count])), 3)
    by_color = not names.issuperset(SH0) and names.issuperset(RGB)
    by_alpha = "opacity" not in names and "alpha" in names
    rest = rest_names(path, names)
    color = RGB if by_color else SH0
    wanted = [*POSITION, *ROTATION, *SCALE[:scales], "alpha" if by_alpha else "opacity", *color, *rest]
    _check(path, names, wanted, len(rows))
    found = Dialect(
        fields,
        rest,
        full_scale(rows, [fields[name] for name in RGB]) if by_color else None,
        full_scale(rows, [fields["alpha"]]) if by_alpha else None,
        scales,
        FILTER in names,
    )
    _say(path, found, names.difference(wanted))
    return found


def antialiased(path: Path) -> bool | None:
    """Whether the header of a PLY says that its scene was trained with antialiasing; None where it says nothing. Postshot and
    Brush say so in a comment, and Mip-Splatting's filter means it."""
    for words in header_lines(path):
        if found := MARKS.get(" ".join(words).lower()):
            return found == "yes"
        if words[:1] == ["property"] and PREFIX.sub("", words[-1]) == FILTER:
            return True
    return None


def rest_names(path: Path, names: set[str]) -> tuple[str, ...]:
    """The f_rest properties in the order of their numbers."""
    count = sum(name.startswith("f_rest_") for name in names)
    rest = tuple(f"f_rest_{index}" for index in range(count))
    if count not in REST_COUNTS or not names.issuperset(rest):
        raise InputError(
            f"{path}: expected 0, 9, 24, 45 or 72 properties numbered f_rest_0, f_rest_1, ... (degree 0 to 4), "
            f"got {count}. Export the scene again from the program that made it."
        )
    return rest


def as_floats(rows: NDArray[np.void], wanted: list[str]) -> NDArray[np.float32]:  # [rows, len(wanted)]
    """Some of the properties as float32."""
    table = np.empty((len(rows), len(wanted)), dtype=np.float32)
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # a double too large for a float becomes infinite, and is reported
        for column, name in enumerate(wanted):
            table[:, column] = rows[name]
    return table


def full_scale(rows: NDArray[np.void], names: Sequence[str]) -> float:
    """What colors are divided by to be in 0..1: of floats 1, of others 255; more where they go beyond that."""
    kind = rows.dtype[names[0]]
    if kind == np.uint8:
        return 255.0
    most = max((float(np.nanmax(rows[name], initial=0)) for name in names), default=0.0)
    if kind.kind == "f" and most <= 1.5:
        return 1.0
    for scale in (255.0, 65535.0):
        if most <= scale:
            return scale
    return 1.0 if kind.kind == "f" else float(np.iinfo(kind).max)


def _check(path: Path, names: set[str], wanted: list[str], count: int) -> None:
    """Say what kind of PLY this is when it is not one of Gaussians."""
    anchors = sorted(name for name in names if name.startswith(("f_anchor_feat", "f_offset")))
    missing = [name for name in wanted if name not in names]
    if anchors:
        raise InputError(
            f"{path}: these are anchors of Scaffold-GS or a program built on it ({anchors[0]}, ...), not Gaussians: the "
            "networks that make Gaussians of them are in other files. Export Gaussians from the program that trained them."
        )
    if not missing:
        return
    if "packed_position" in names:
        reason = "this is a compressed PLY (SuperSplat) without its chunks; export it again"
    elif not names & {*SCALE, *ROTATION}:
        colored = "with" if names.issuperset(RGB) else "without"
        reason = (
            f"this is a point cloud or mesh of {count:,} points {colored} colors, not Gaussians. "
            "Train on its capture to get a point_cloud.ply"
        )
    else:
        reason = "export the scene again from the program that made it"
    shown = ", ".join(missing[:6]) + (", ..." if len(missing) > 6 else "")
    raise InputError(f"{path}: properties missing: {shown}; {reason}.")


def _say(path: Path, found: Dialect, others: set[str]) -> None:
    notes = []
    if found.color_scale is not None:
        notes.append(
            f"colors are red, green and blue (divided by {found.color_scale:g})"
            + ("" if found.rest else ", without harmonics")
        )
    if found.scales == 2:
        notes.append("2D Gaussians, with two scales: read as flat 3D Gaussians")
    if found.scales == 1:
        notes.append("one scale a Gaussian: read as round Gaussians")
    if found.filtered:
        notes.append(f"{FILTER}, the smoothing filter of Mip-Splatting, was applied to scales and opacities")
    unread = sorted(found.fields[name] for name in others.difference(NORMAL, RGB, ["alpha", FILTER]))
    if unread:
        shown = ", ".join(unread[:SHOWN]) + (", ..." if len(unread) > SHOWN else "")
        notes.append(f"{len(unread)} properties mean nothing here and were not read: {shown}")
    if notes:
        warnings.warn(f"{path}: {'; '.join(notes)}", stacklevel=4)
