"""`splat mesh`: a colored triangle mesh of a scene."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from splat.cameras import Camera
from splat.errors import InputError
from splat.geometry.georeference import IDENTITY, Georeference
from splat.geometry.orbit import orbit_around
from splat.io.wording import number_of
from splat.training.mesh import bounded, check_output, clean, fuse, open3d, simplify, write_mesh
from splat.training.open_run import TrainedScene, open_trained

ORBIT_VIEWS = 48
"""Of a scene of which no camera is known."""


@dataclass(frozen=True)
class MeshOptions:
    """Options of `splat mesh`."""

    scene: tyro.conf.Positional[Path]
    """Output folder of `splat train`, or a scene of any format."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """.ply, .obj or .glb; mesh.ply in the run's folder unless given."""
    capture: Path | None = None
    """Folder of the capture, for its cameras; a run knows it, a scene alone is looked at from all around."""
    frame: Literal["local", "capture"] = "local"
    """Coordinates of the mesh: those of the scene, or those of the capture, where the scene was moved or scaled."""
    voxel: float | None = None
    """Size of a cell in the capture's units; smaller shows more. 1/256 of the scene's extent unless given."""
    max_depth: float | None = None
    """Farthest surface from a camera in the capture's units; four extents unless given."""
    max_image_size: int = 1024
    """Longest side in pixels of the pictures that are fused."""
    small_part: float = 0.01
    """Remove connected parts with a smaller fraction of the triangles of the largest."""
    triangles: int | None = None
    """Simplify to about so many triangles."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto takes the GPU where this build and this machine have one."""
    overwrite: bool = False
    """Replace an output that exists."""


def mesh(options: MeshOptions) -> None:
    """Make a colored triangle mesh of a scene (needs Open3D: pip install 'splat[mesh]').

    Scenes trained with --loss flat=1 normals=0.05 have cleaner surfaces.

    Raises:
        InputError: no such scene, Open3D is missing, the output exists or cannot be written, or nothing was seen.
    """
    is_run = options.scene.is_dir()
    output = options.output or (options.scene if is_run else options.scene.parent) / "mesh.ply"
    check_output(output)
    if options.output is not None and output.exists() and not options.overwrite:
        raise InputError(f"{output}: exists already; choose another name with -o, or say --overwrite")
    for flag, value in (
        ("--voxel", options.voxel),
        ("--max-depth", options.max_depth),
        ("--triangles", options.triangles),
    ):
        if value is not None and not value > 0:
            raise InputError(f"{flag} must be positive, got {value}")
    open3d()
    trained = open_trained(options.scene, options.capture, options.device)
    cameras, extent, georeference = _cameras(trained)
    if options.frame == "capture" and georeference is None:
        raise InputError(
            f"{options.scene}: does not say where it lies in its capture; give the capture with --capture, or the run"
        )
    georeference = georeference or IDENTITY
    placed = georeference if options.frame == "capture" else IDENTITY
    check_output(output, placed)
    surface = fuse(
        trained.gaussians,
        [camera.to(trained.device) for camera in bounded(cameras, options.max_image_size)],
        extent=extent,
        voxel=options.voxel and options.voxel / georeference.unit,
        max_depth=options.max_depth and options.max_depth / georeference.unit,
        settings=trained.settings,
        progress=True,
    )
    surface = clean(surface, options.small_part)
    if options.triangles is not None:
        surface = simplify(surface, options.triangles)
    write_mesh(surface, output, placed)
    print(
        f"{number_of(len(cameras), 'view')} -> {len(surface.vertices):,} vertices, {len(surface.triangles):,} triangles -> "
        f"{output}"
    )


def _cameras(trained: TrainedScene) -> tuple[list[Camera], float, Georeference | None]:
    """Views to fuse, the extent of the scene, and where it lies in its capture."""
    if trained.capture is None:
        gaussians = trained.gaussians.to("cpu")
        near = gaussians[gaussians.opacities > 0.5] if bool((gaussians.opacities > 0.5).any()) else gaussians
        cameras = orbit_around(near.means, ORBIT_VIEWS, 960, 720)
        return cameras, float(torch.stack([camera.position for camera in cameras]).std(0).norm()), trained.georeference
    capture = trained.load_capture()
    return [frame.camera for frame in capture.frames], capture.extent, capture.georeference
