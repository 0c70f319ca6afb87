"""A triangle mesh of a scene: depth and color of many views, fused in a truncated signed distance field (Curless and Levoy
1996) by Open3D, cleaned of small parts."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from splat.cameras import Camera
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.geometry.georeference import IDENTITY, Georeference
from splat.io.atomic_file import replacing
from splat.io.progress import counted
from splat.render import render
from splat.settings import RenderSettings

SUFFIXES = (".ply", ".obj", ".glb")
CELLS = 256
"""Voxels along the extent of the scene, unless their size is given."""
TRUNCATION = 5.0
"""Voxels on each side of a surface that know of it."""
MIN_VIEWS = 2.0
"""Views that must have seen a cell for a surface in it to count."""
BLOCK, BLOCKS = 16, 10_000
"""Side of a block in voxels, and for how many blocks there is room at first."""
MIN_ALPHA = 0.5
"""Pixels that are more transparent than this have no surface."""
SMALL_PART = 0.01
"""Connected parts with a smaller fraction of the triangles of the largest one are removed."""


def open3d() -> Any:
    """The package, which is an extra.

    Raises:
        InputError: it is not installed, or a system library that it needs is missing; the message names it.
    """
    try:
        import open3d
    except ModuleNotFoundError as error:
        raise InputError(
            f"`splat mesh` needs Open3D, which is not here ({error}): pip install 'splat[mesh]', or pip install open3d"
        ) from error
    except (ImportError, OSError) as error:
        raise InputError(
            f"Open3D cannot be loaded: {error}. It needs system libraries; Debian, Ubuntu: "
            "apt install libgl1 libgomp1 libx11-6 libusb-1.0-0 libegl1"
        ) from error
    open3d.utility.set_verbosity_level(open3d.utility.VerbosityLevel.Error)  # what it warns of is told in our words
    return open3d


@torch.no_grad()
def fuse(
    gaussians: Gaussians,
    cameras: Sequence[Camera],
    *,
    extent: float,
    voxel: float | None = None,
    max_depth: float | None = None,
    settings: RenderSettings | None = None,
    progress: bool = False,
) -> Any:
    """Fuse renders of the scene into an open3d TriangleMesh with vertex colors.

    Args:
        cameras: views to fuse, of any sizes.
        extent: of the scene, world units.
        voxel: size of a cell in world units; the extent over 256 unless given.
        max_depth: farthest surface in world units; four extents unless given.

    Raises:
        InputError: Open3D is missing, or no view shows a surface.
    """
    library = open3d()
    voxel = voxel or extent / CELLS
    max_depth = max_depth or 4 * extent
    core = library.core
    names, kinds, channels = ("tsdf", "weight", "color"), (core.float32,) * 3, (1, 1, 3)
    grid = library.t.geometry.VoxelBlockGrid(names, kinds, channels, voxel, BLOCK, BLOCKS, core.Device("CPU:0"))
    seen = False
    for camera in counted(cameras, "fuse", unit="view", shown=progress):
        result = render(gaussians, camera, depth=True, settings=settings)
        assert result.median_depth is not None
        depth = torch.where(result.alpha > MIN_ALPHA, result.median_depth, 0.0)
        depth = torch.where(depth < max_depth, depth, 0.0)
        if not bool((depth > 0).any()):
            continue
        color = (result.rgb / result.alpha.clamp_min(MIN_ALPHA)[..., None]).clamp(0, 1)
        images = [library.t.geometry.Image(np.ascontiguousarray(image.cpu().numpy())) for image in (depth, color)]
        K, pose = (core.Tensor(matrix.cpu().double().numpy()) for matrix in (camera.K, camera.viewmat))
        limits = (1.0, max_depth, TRUNCATION)  # scale of depth, farthest, truncation in voxels
        blocks = grid.compute_unique_block_coordinates(images[0], K, pose, *limits)
        grid.integrate(blocks, *images, K, K, pose, *limits)
        seen = True
    mesh = grid.extract_triangle_mesh(weight_threshold=MIN_VIEWS).to_legacy() if seen else None
    if mesh is None or not len(mesh.triangles):
        raise InputError(
            "no view shows a surface: the scene is too transparent, or farther away than `max_depth`; train longer, "
            "or with `splat train --loss flat=1 normals=0.05`, or give a larger `max_depth`"
        )
    return mesh


def clean(mesh: Any, small_part: float = SMALL_PART) -> Any:
    """Without degenerate triangles, and without connected parts that are small beside the largest; with normals."""
    mesh.remove_duplicated_vertices()
    mesh.remove_degenerate_triangles()
    parts, counts, _ = mesh.cluster_connected_triangles()
    counts = np.asarray(counts)
    mesh.remove_triangles_by_mask(counts[np.asarray(parts)] < small_part * counts.max())
    mesh.remove_unreferenced_vertices()
    mesh.compute_vertex_normals()
    return mesh


def simplify(mesh: Any, triangles: int) -> Any:
    """At most about so many triangles, by quadric error (Garland and Heckbert 1997)."""
    return mesh if len(mesh.triangles) <= triangles else mesh.simplify_quadric_decimation(triangles)


def check_output(path: Path, georeference: Georeference = IDENTITY) -> None:
    """That a mesh can be written to this file, with a scene's place in its capture undone.

    Raises:
        InputError: another suffix, or coordinates that a .glb cannot hold.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: a mesh is written as {', '.join(SUFFIXES)}; choose one of these suffixes")
    if path.suffix.lower() == ".glb" and any(georeference.offset):
        raise InputError(
            f"{path}: a .glb holds 7 digits of a position, too few for the capture's coordinates; write a .ply or .obj, "
            "or leave the mesh in local coordinates"
        )


def write_mesh(mesh: Any, path: Path, georeference: Georeference = IDENTITY) -> None:
    """Write .ply or .obj with the capture's axes, or .glb turned as that format wants them (y up, captures have y down);
    atomically.

    Args:
        georeference: is undone, in double precision, so that the mesh lies where the capture does.

    Raises:
        InputError: as `check_output`, or the file cannot be written.
    """
    check_output(path, georeference)
    if not georeference.is_identity:
        mesh = copy.deepcopy(mesh)
        vertices = georeference.to_capture(torch.from_numpy(np.asarray(mesh.vertices))).numpy()
        mesh.vertices = open3d().utility.Vector3dVector(vertices)
    if path.suffix.lower() == ".glb":
        mesh = copy.deepcopy(mesh).transform(np.diag([1.0, -1.0, -1.0, 1.0]))
    with replacing(path) as temporary:
        if path.suffix.lower() == ".obj":
            _write_obj(mesh, temporary)
        elif not open3d().io.write_triangle_mesh(str(temporary), mesh):
            raise InputError(f"{path}: Open3D could not write it; is the disk full?")


def _write_obj(mesh: Any, path: Path) -> None:
    """Open3D writes six digits, with which coordinates of a map lie on steps of ten meters."""
    colors = np.asarray(mesh.vertex_colors) if mesh.has_vertex_colors() else np.ones((len(mesh.vertices), 3))
    normals, faces = np.asarray(mesh.vertex_normals), np.asarray(mesh.triangles) + 1
    with open(path, "w") as file:
        np.savetxt(file, np.hstack([np.asarray(mesh.vertices), colors]), "v %.15g %.15g %.15g %.4g %.4g %.4g")
        np.savetxt(file, normals, "vn %.5g %.5g %.5g")
        if len(normals):
            np.savetxt(file, np.repeat(faces, 2, axis=1), "f %d//%d %d//%d %d//%d")
        else:
            np.savetxt(file, faces, "f %d %d %d")


def bounded(cameras: Sequence[Camera], size: int) -> list[Camera]:
    """The cameras with pictures of at most `size` pixels along the longer side."""
    result = []
    for camera in cameras:
        scale = min(1.0, size / max(camera.width, camera.height))
        result.append(camera.resized(max(1, round(camera.width * scale)), max(1, round(camera.height * scale))))
    return result
