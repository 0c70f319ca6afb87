"""`splat mesh`: which scene, which cameras, and where the mesh goes."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from splat.cameras import Camera
from splat.compression.formats.registry import load
from splat.datasets.load import PhotoOptions, load_scene
from splat.device import choose_device
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.geometry.orbit import orbit_around
from splat.settings import RenderSettings
from splat.training.config import TrainConfig, load_config
from splat.training.mesh import SUFFIXES, bounded, clean, fuse, open3d, simplify, write_mesh
from splat.training.run_folder import RunFolder

if TYPE_CHECKING:
    from splat.training.commands.commands import MeshOptions

ORBIT_VIEWS = 48
"""Of a scene of which no camera is known."""


def mesh_scene(options: "MeshOptions") -> None:
    """Fuse, clean, write, and say how large it became.

    Raises:
        InputError: no such scene, Open3D is missing, the output exists or cannot be written, or nothing was seen.
    """
    is_run = options.scene.is_dir()
    output = options.output or (options.scene if is_run else options.scene.parent) / "mesh.ply"
    if output.suffix.lower() not in SUFFIXES:
        raise InputError(f"{output}: a mesh is written as {', '.join(SUFFIXES)}; choose one of these suffixes")
    if options.output is not None and output.exists():
        raise InputError(f"{output}: exists already; choose another name with -o")
    for flag, value in (
        ("--voxel", options.voxel),
        ("--max-depth", options.max_depth),
        ("--triangles", options.triangles),
    ):
        if value is not None and not value > 0:
            raise InputError(f"{flag} must be positive, got {value}")
    open3d()
    config, capture, path = TrainConfig(), options.capture, options.scene
    if is_run:
        folder = RunFolder(options.scene)
        config, recorded = load_config(folder.config)
        capture, path = capture or recorded, folder.latest_scene()
    device = choose_device("auto")
    gaussians = load(path)
    cameras, extent = _cameras(capture, config, gaussians)
    mesh = fuse(
        gaussians.to(device),
        [camera.to(device) for camera in bounded(cameras, options.max_size)],
        extent=extent,
        voxel=options.voxel,
        max_depth=options.max_depth,
        settings=RenderSettings(antialiased=config.optimization.antialiased),
        progress=sys.stderr.isatty(),
    )
    mesh = clean(mesh, options.small_part)
    if options.triangles is not None:
        mesh = simplify(mesh, options.triangles)
    write_mesh(mesh, output)
    print(f"{len(cameras)} views -> {len(mesh.vertices):,} vertices, {len(mesh.triangles):,} triangles -> {output}")


def _cameras(capture: Path | None, config: TrainConfig, gaussians: Gaussians) -> tuple[list[Camera], float]:
    """Views to fuse, and the extent of the scene."""
    if capture is None:
        near = gaussians[gaussians.opacities > 0.5] if bool((gaussians.opacities > 0.5).any()) else gaussians
        cameras = orbit_around(near.means, ORBIT_VIEWS, 960, 720)
        return cameras, float(torch.stack([camera.position for camera in cameras]).std(0).norm())
    data = config.data
    scene = load_scene(capture, PhotoOptions(data.resolution, data.max_size, data.images, masks=None))
    return [frame.camera for frame in scene.frames], scene.extent
