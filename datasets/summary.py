"""What a person is told after a capture was loaded: what there was, what is used, what is not and why, and where it lies."""

import warnings

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.datasets.capture import Capture
from splat.geometry.scene_size import NEAR, usable
from splat.io.wording import grouped, listed, number_of

DEPTH_VIEWS, DEPTH_POINTS = 64, 50_000
"""Views in which, and points of which, the depths are looked at."""
SOME_POINTS, FEW_POINTS = 5000, 100
"""So many points are looked for in the photos; fewer than the second say nothing."""
EDGE = 0.01
"""Fraction of a photo's size from its edge where no principal point is."""
LONGEST_LENS = 50.0
"""Focal length relative to the longer side of a photo, beyond which it is no lens but a mistake."""
DEPTH_QUANTILES = 0.02, 0.98


def summary(capture: Capture) -> str:
    """The paragraph: a line each for photos, points and place, then what else a person should know."""
    used, left_out = len(capture.frames), len(capture.skipped)
    source = "" if capture.source is None else f" in {_below(capture)}"
    lines = [f"{capture.path}: {number_of(used + left_out, 'photo')}{source}, {used if left_out else 'all'} used"]
    lines += [f"left out: {line}" for line in grouped(capture.skipped)]
    lines += [points_and_depths(capture), *blind_notes(capture), *standing_notes(capture), *capture.notes]
    return "\n  ".join(lines)


def warn_of_losses(capture: Capture) -> None:
    """Warn of photos that are not used, where nobody reads the whole paragraph."""
    for line in grouped(capture.skipped):
        warnings.warn(f"{capture.path}: left out: {line}", stacklevel=3)


def points_and_depths(capture: Capture) -> str:
    """Number of points, how far away they are, and the size of the scene, in the capture's units."""
    unit = capture.georeference.unit
    text = f"{len(capture.points):,} points" if len(capture.points) else "no points"
    if depths := depth_range(capture):
        text += f", {depths[0] * unit:.3g} to {depths[1] * unit:.3g} from the cameras"
    return f"{text}; extent {capture.extent * unit:.3g}, near plane {NEAR * unit:g}"


def blind_notes(capture: Capture) -> list[str]:
    """Which photos show none of the points: their poses, or the coordinates of all points, are probably wrong."""
    points = usable(capture.points)
    points = points[:: max(1, len(points) // SOME_POINTS)]
    if odd := odd_lenses(capture):
        return odd
    if len(points) < FEW_POINTS or not capture.frames:
        return []
    if not bool((points.amax(dim=0) > points.amin(dim=0)).any()):
        return [
            "all points are in one place, so they say nothing; take the file of points away to start from random ones"
        ]
    blind = [frame.name for frame in capture.frames if not len(depths_in_image(frame.camera, points))]
    if len(blind) == len(capture.frames):
        return [
            "not one photo shows any of the points: points and cameras are not in the same coordinates. Export both again from "
            "one program"
        ]
    if not blind:
        return []
    return [
        f"none of the points lies in {number_of(len(blind), 'photo')} of {len(capture.frames)}; the poses are probably wrong: "
        f"{listed(blind)}"
    ]


def odd_lenses(capture: Capture) -> list[str]:
    """Which photos have a principal point outside of the picture, or a field of view that no lens has."""
    odd = []
    for frame in capture.frames:
        camera, K = frame.camera, frame.camera.K
        places = float(K[0, 2]) / camera.width, float(K[1, 2]) / camera.height
        inside = all(EDGE < place < 1 - EDGE for place in places)  # not fractions of the size in place of pixels either
        if not inside or max(float(K[0, 0]), float(K[1, 1])) > LONGEST_LENS * max(camera.width, camera.height):
            odd.append(frame)
    if not odd:
        return []
    K = odd[0].camera.K
    return [
        f"{number_of(len(odd), 'photo')} of {len(capture.frames)} with a lens that cannot be right: {odd[0].name} of "
        f"{odd[0].camera.width} x {odd[0].camera.height} pixels has a focal length of {float(K[0, 0]):.4g} and its principal "
        f"point at {float(K[0, 2]):.4g}, {float(K[1, 2]):.4g}. Export the cameras again, with both in pixels"
    ]


def standing_notes(capture: Capture) -> list[str]:
    """That all photos were taken from one place, if they were."""
    centers = torch.stack([frame.camera.position for frame in capture.frames]) if capture.frames else torch.zeros(0, 3)
    if len(centers) < 2 or bool((centers.amax(dim=0) - centers.amin(dim=0) > 1e-6 * centers.abs().amax()).any()):
        return []
    return [
        "all cameras stand in one place: how far away things are cannot be learned. Are the positions missing? Else take "
        "photos from different places"
    ]


def depths_in_image(camera: Camera, points: Tensor) -> Tensor:  # [K]
    """Depths, in world units, of the points that lie in a camera's image."""
    pixels, depth = camera.project(points)
    size = pixels.new_tensor([camera.width, camera.height])
    return depth[(depth > 0) & ((pixels >= 0) & (pixels < size)).all(dim=1)]


def depth_range(capture: Capture) -> tuple[float, float] | None:
    """How near and how far nearly all points are that lie in the photos, in world units; None where there are none."""
    points, views = usable(capture.points), capture.frames[:: max(1, -(-len(capture.frames) // DEPTH_VIEWS))]
    points = points[:: max(1, len(points) // DEPTH_POINTS)]
    found = [depths_in_image(frame.camera, points) for frame in views]
    depths = torch.cat(found).sort().values if found else torch.zeros(0)
    if not len(depths):
        return None
    low, high = (float(depths[round(quantile * (len(depths) - 1))]) for quantile in DEPTH_QUANTILES)
    return low, high


def _below(capture: Capture) -> str:
    """The model's place, below the capture where it lies there."""
    source = capture.source
    assert source is not None
    inside = source.is_relative_to(capture.path) and source != capture.path
    return str(source.relative_to(capture.path)) if inside else str(source)
