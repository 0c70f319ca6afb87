"""One picture for one browser: which scenes, from where, in which mode, with which photo."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.gaussians import Gaussians
from splat.io.images import to_uint8
from splat.viewer.draw import photo_view
from splat.viewer.draw.contribution import Scores
from splat.viewer.draw.look import Look
from splat.viewer.draw.modes import MODES, Drawing
from splat.viewer.draw.photo_view import PhotoView
from splat.viewer.draw.prepared import Prepared, PreparedCache
from splat.viewer.slots import SceneSlot


@dataclass(frozen=True)
class Request:
    """What is to be drawn."""

    slots: Sequence[SceneSlot]  # the visible ones
    look: Look
    camera: Camera  # with the size of the picture
    photo: PhotoView | None = None  # the photo that is compared; `camera` then is its own
    scores: Scores | None = None  # of the first slot


def draw(request: Request, cache: PreparedCache) -> Tensor:  # [H, W, 3] uint8
    """Draw a picture. Gaussians far outside, behind or broken are left out by the renderer.

    Raises:
        RuntimeError: memory ran out.
    """
    look, camera, slots = request.look, request.camera, list(request.slots)
    background = torch.tensor(look.background) / 255
    if not slots:
        return to_uint8(background.expand(camera.height, camera.width, 3))
    if len(slots) == 1 or look.layout == "together":
        picture = mode_picture(request, slots, camera, cache)
    elif look.layout == "side by side":
        views = side_by_side_cameras(camera, len(slots))
        picture = torch.cat(
            [mode_picture(request, [slot], view, cache) for slot, view in zip(slots, views, strict=True)], dim=1
        )
        for view in torch.tensor([view.width for view in views[:-1]]).cumsum(0).tolist():
            picture[:, view - 1 : view + 1] = 0.5
    else:
        first, second = (mode_picture(request, [slot], camera, cache) for slot in slots[:2])
        if look.layout == "mix":
            picture = first.lerp(second, look.mix)
        else:
            picture = photo_view.error_map(first, second.clamp(0, 1))
    if request.photo is not None:
        how = "difference" if look.mode == "error" else look.comparison
        picture = photo_view.compare(picture, request.photo, how, look.wipe, background)
    return to_uint8(picture)


def mode_picture(request: Request, slots: list[SceneSlot], camera: Camera, cache: PreparedCache) -> Tensor:
    """[H, W, 3] float: some slots as one scene, in the look's mode."""
    prepared = [cache.get(slot, request.look) for slot in slots]
    gaussians = Gaussians.cat([part.gaussians for part in prepared])
    settings = slots[0].settings
    drawing = Drawing(
        gaussians, camera.to(gaussians.device), request.look, settings, scores_of(request, slots, prepared)
    )
    return MODES[request.look.mode](drawing).clamp(0, 1)


def scores_of(request: Request, slots: list[SceneSlot], prepared: list[Prepared]) -> Tensor | None:  # [N]
    """The scores of what is drawn, where the mode shows any and they are known."""
    scores, mode = request.scores, request.look.mode
    if scores is None or mode not in ("contribution", "blame") or len(slots) > 1 or not scores.fits(slots[0].gaussians):
        return None
    values = scores.contribution if mode == "contribution" else scores.blame
    index = prepared[0].index
    return values if index is None else values[index]


def side_by_side_cameras(camera: Camera, count: int) -> list[Camera]:
    """The same view for each of `count` pictures that share the width; what is in the middle is in the middle of each."""
    edges = [round(camera.width * part / count) for part in range(count + 1)]
    views = []
    for left, right in pairwise(edges):
        width = max(1, right - left)
        K = camera.K.clone()
        K[0, 2] += width / 2 - camera.width / 2
        views.append(Camera(camera.viewmat, K, width, camera.height))
    return views


def memory_bytes(gaussians: Gaussians) -> int:
    """Bytes of a scene's parameters."""
    return sum(tensor.nbytes for tensor in gaussians.tensors().values())
