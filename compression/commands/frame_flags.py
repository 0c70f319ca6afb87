"""In which coordinates `splat convert` writes: those of the scene, or those of the capture that it was trained on."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.geometry.georeference import IDENTITY, Georeference
from splat.geometry.scene_size import moved_origin, point_radius, usable
from splat.geometry.similarity import Similarity
from splat.io.local_origin import local_origin
from splat.opening import OpenedScene

Frame = Literal["local", "capture"]


@dataclass(frozen=True)
class Framed:
    """A scene in the coordinates in which it is kept in memory, and what is done with them when it is written."""

    gaussians: Gaussians
    placement: Similarity | None = None  # to the coordinates of the file
    georeference: Georeference = IDENTITY  # of the file's coordinates, to be noted beside it


def framed(scenes: Sequence[OpenedScene], frame: Frame | None) -> Framed:
    """Some scenes as one, in the coordinates that were asked for.

    Raises:
        InputError: the capture's are asked for, and no scene says where it lies in its capture.
    """
    known = [scene.georeference for scene in scenes if scene.georeference is not None]
    gaussians = Gaussians.cat([_seen_from(scene, known[0]) if known else scene.gaussians for scene in scenes])
    if known and len(known) < len(scenes) and not known[0].is_identity:
        warnings.warn(
            f"{len(scenes) - len(known)} of {len(scenes)} inputs do not say where they lie; they are taken to be in the local "
            "coordinates of the others",
            stacklevel=2,
        )
    if frame == "capture":
        if not known:
            raise InputError(
                f"{scenes[0].file}: --frame capture needs to know where the scene lies in its capture: give the folder of its "
                "run, or keep the .georeference.json beside the file"
            )
        return Framed(gaussians, _placement(known[0]))
    if frame is None and any(scene.moved for scene in scenes):
        return Framed(gaussians, _placement(known[0]))  # as the file had it, though memory has not
    if frame == "local" and not known:
        return _centered(gaussians)
    return Framed(gaussians, georeference=known[0] if known else IDENTITY)


def _placement(georeference: Georeference) -> Similarity | None:
    if georeference.is_identity:
        return None
    return Similarity(torch.eye(3), torch.tensor(georeference.offset, dtype=torch.float64), georeference.unit)


def _seen_from(scene: OpenedScene, target: Georeference) -> Gaussians:
    """A scene in the local coordinates of another one of the same capture.

    Raises:
        InputError: it lies too far away.
    """
    own = scene.georeference
    if own is None or own == target:
        return scene.gaussians
    offset = (
        torch.tensor(own.offset, dtype=torch.float64) - torch.tensor(target.offset, dtype=torch.float64)
    ) / target.unit
    move = Similarity(torch.eye(3), offset, own.unit / target.unit)
    if local_origin(move.points(scene.gaussians.means.double()), move.scale * scene.gaussians.scales) is not None:
        raise InputError(
            f"{scene.file}: lies {float(offset.norm() * target.unit):.3g} units from the first scene, too far for one file: "
            "positions of 32 bits would ruin it. Write two files"
        )
    return move.gaussians(scene.gaussians)


def _centered(gaussians: Gaussians) -> Framed:
    """A scene of which nobody says where it lies, moved to the origin if it is far away from it."""
    means = usable(gaussians.means).double()
    if not len(means):
        return Framed(gaussians)
    origin = moved_origin(means.median(0).values, point_radius(means))
    if not any(origin):
        return Framed(gaussians)
    moved = gaussians.means.double() - torch.tensor(origin, dtype=torch.float64)
    return Framed(replace(gaussians, means=moved.to(gaussians.means.dtype)), georeference=Georeference(origin))
