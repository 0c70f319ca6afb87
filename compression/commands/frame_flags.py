"""In which coordinates `splat convert` writes: those of the scene, or those of the capture that it was trained on."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
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
    read: Georeference = IDENTITY  # where these coordinates lie in those of the input
    placement: Similarity | None = None  # to the coordinates of the file
    georeference: Georeference = IDENTITY  # of the file's coordinates, to be noted beside it


def framed(scenes: Sequence[OpenedScene], frame: Frame | None) -> Framed:
    """Some scenes as one, in the coordinates that were asked for.

    Raises:
        InputError: the capture's are asked for, and no scene says where it lies in its capture; or the scenes lie too far
            from each other.
    """
    known = [scene.georeference for scene in scenes if scene.georeference is not None]
    target = known[0] if known else IDENTITY
    assumed = _assumed(scenes)
    gaussians = Gaussians.cat([_seen_from(scene, scene.georeference or assumed, target) for scene in scenes])
    moved = any(scene.moved for scene in scenes)
    read = target if moved else IDENTITY
    if frame == "capture" and not known:
        raise InputError(
            f"{scenes[0].file}: --frame capture needs to know where the scene lies in its capture: give the folder of its "
            "run, or keep the .georeference.json beside the file"
        )
    if frame == "capture" or (frame is None and moved):  # as the file had it, though memory has not
        return Framed(gaussians, read, None if target.is_identity else target.placement)
    if frame == "local":
        return _centered(Framed(gaussians, read, georeference=target))
    return Framed(gaussians, read, georeference=target)


def _assumed(scenes: Sequence[OpenedScene]) -> Georeference:
    """Where scenes lie that do not say so: files that were moved only in memory are in the same coordinates as those that did
    not have to be."""
    silent = sum(scene.georeference is None for scene in scenes)
    local = [scene.georeference for scene in scenes if scene.georeference is not None and not scene.moved]
    found = next((one for one in local if not one.is_identity), IDENTITY)
    if silent and not found.is_identity:
        warnings.warn(
            f"{silent} of {len(scenes)} inputs do not say where they lie; they are taken to be in the local coordinates of the "
            "others",
            stacklevel=3,
        )
    return found


def _seen_from(scene: OpenedScene, own: Georeference, target: Georeference) -> Gaussians:
    """A scene in the local coordinates of another one of the same capture.

    Raises:
        InputError: it lies too far away.
    """
    if own == target:
        return scene.gaussians
    offset = (
        torch.tensor(own.offset, dtype=torch.float64) - torch.tensor(target.offset, dtype=torch.float64)
    ) / target.unit
    move = Similarity(torch.eye(3), offset, own.unit / target.unit)
    if local_origin(move.points(scene.gaussians.means.double()), move.scale * scene.gaussians.scales) is not None:
        raise InputError(
            f"{scene.file}: lies {float(offset.norm() * target.unit):.3g} units from the others, too far for one file: "
            "positions of 32 bits would ruin it. Write two files"
        )
    return move.gaussians(scene.gaussians)


def _centered(framed: Framed) -> Framed:
    """A scene moved to the origin, if it is far away from it."""
    means = usable(framed.gaussians.means).double()
    if not len(means):
        return framed
    origin = moved_origin(means.median(0).values, point_radius(means))
    if not any(origin):
        return framed
    move = Similarity(torch.eye(3), -torch.tensor(origin, dtype=torch.float64))
    read, georeference = framed.read.after(move), framed.georeference.after(move)
    assert read is not None and georeference is not None  # it does not turn
    return Framed(move.gaussians(framed.gaussians), read, georeference=georeference)
