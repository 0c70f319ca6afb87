"""`splat render`: pictures or a video of a scene, along cameras, an orbit or a path."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from torch import Tensor

from splat.cameras import Camera
from splat.datasets.split import split
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.geometry.orbit import orbit, orbit_around
from splat.io.camera_path_file import load_path
from splat.io.images import colorize_depth, write_image
from splat.io.parsing import parse_resolution
from splat.io.progress import counted
from splat.io.video import VideoWriter
from splat.io.wording import number_of
from splat.render import render as render_gaussians
from splat.run import BACKGROUNDS
from splat.settings import RenderSettings
from splat.training.evaluate.views import picture_names
from splat.training.open_run import TrainedScene, open_trained

ORBIT_SIZE = (960, 540)
"""Pictures of a scene of which no camera is known."""
PATH_SIZE = (1280, 720)
"""Pictures along a path of cameras, which says nothing about their size."""


@dataclass(frozen=True)
class RenderOptions:
    """Options of `splat render`."""

    scene: tyro.conf.Positional[Path]
    """Output folder of `splat train`, or a scene of any format."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """A folder for PNGs, or a name ending in .mp4 for a video; in the run's folder unless given."""
    along: Literal["orbit", "test", "train", "all"] = "orbit"
    """Which cameras: around what the photos look at, or those of the capture's photos."""
    path: Path | None = None
    """A camera path that the viewer saved (.json), to fly along instead."""
    capture: Path | None = None
    """Folder of the capture, for its cameras; a run knows it, a scene alone does not and is orbited."""
    frames: int = 120
    """Number of pictures of an orbit."""
    fps: float = 30.0
    """Pictures per second of a video."""
    size: str | None = None
    """WIDTHxHEIGHT in pixels; the photos' size unless given, 1280x720 along a path."""
    background: Literal["black", "white"] | None = None
    """Color behind the scene; the one that the run was trained with unless given, black for a scene alone."""
    depth: bool = False
    """Draw depth, colored from near (warm) to far (cool), instead of color."""
    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto takes the GPU where this build and this machine have one."""
    overwrite: bool = False
    """Replace an output that exists."""


def render(options: RenderOptions) -> None:
    """Draw a scene along the cameras of its capture, around it, or along a path, to PNGs or an MP4.

    Raises:
        InputError: no such scene, no capture for its cameras, or the output exists.
    """
    size = None if options.size is None else parse_resolution("--size", options.size)
    if options.frames < 1 or options.fps <= 0:
        raise InputError(f"--frames and --fps must be positive, got {options.frames} and {options.fps}")
    trained = open_trained(options.scene, options.capture, options.device)
    gaussians, settings = trained.gaussians, trained.settings
    if not len(gaussians):
        raise InputError(f"{trained.file}: holds no Gaussians that can be drawn, so every picture would be empty")
    if options.path:
        named = path_cameras(options.path, options.fps, *(size or PATH_SIZE))
    else:
        named = choose_cameras(options, trained)
    if size is not None:
        named = [(name, camera.resized(*size)) for name, camera in named]
    along = options.path.stem if options.path else options.along
    pictures = along + ("_depth" if options.depth else "")
    output = options.output or trained.output(pictures if trained.run else f"{trained.file.stem}_{pictures}")
    is_video = output.suffix.lower() == ".mp4"
    if not is_video and output.suffix:
        raise InputError(f"{output}: give a folder for PNGs, or a name ending in .mp4 for a video")
    if not options.overwrite and output.exists() and (is_video or not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output}: exists already; choose another name with -o, or say --overwrite")
    background = trained.background
    if options.background is not None:
        background = gaussians.means.new_tensor(BACKGROUNDS[options.background])
    depth_range = _depth_range(gaussians, [camera for _, camera in named], settings) if options.depth else None
    with ExitStack() as stack:
        video = stack.enter_context(VideoWriter(output, options.fps)) if is_video else None
        for name, camera in counted(named, "render", unit="view"):
            picture = draw(gaussians, camera, background, settings, depth_range)
            if video is not None:
                video.write(picture)
            else:
                write_image(output / f"{name}.png", picture)
    print(f"{number_of(len(named), 'view')} -> {output}")


@torch.no_grad()
def draw(
    gaussians: Gaussians,
    camera: Camera,
    background: Tensor,
    settings: RenderSettings,
    depth_range: tuple[float, float] | None,
) -> Tensor:  # [H, W, 3]
    """Color, or depth where its range is given."""
    result = render_gaussians(
        gaussians, camera.to(gaussians.device), background=background, settings=settings, depth=depth_range is not None
    )
    if depth_range is None or result.depth is None:
        return result.rgb
    return colorize_depth(result.depth, near=depth_range[0], far=depth_range[1])


def choose_cameras(options: RenderOptions, trained: TrainedScene) -> list[tuple[str, Camera]]:
    """Cameras and the names of their pictures."""
    if trained.capture is None:
        if options.along != "orbit":
            raise InputError(
                f"{options.scene}: a scene alone knows no cameras; give the capture with --capture, or use --along orbit"
            )
        cameras = orbit_around(trained.gaussians.means.cpu(), options.frames, *ORBIT_SIZE)
        return [(f"{index:04d}", camera) for index, camera in enumerate(cameras)]
    data = trained.config.data
    capture = trained.load_capture()
    if options.along == "orbit":
        points = capture.points if len(capture.points) else trained.gaussians.means.cpu()
        cameras = orbit([frame.camera for frame in capture.frames], points, options.frames)
        return [(f"{index:04d}", camera) for index, camera in enumerate(cameras)]
    frames = list(capture.frames)
    if options.along == "test" and trained.run is not None and not data.eval:
        raise InputError(f"{options.scene}: was trained on all photos, none was held out; use --along train or all")
    if options.along != "all" and (data.eval or trained.run is None):
        train, test = split(capture, data.test_every)
        frames = train if options.along == "train" else test
    names = picture_names([frame.name for frame in frames])
    return [(names[frame.name], frame.camera) for frame in frames]


def path_cameras(path: Path, fps: float, width: int, height: int) -> list[tuple[str, Camera]]:
    """The cameras of a path's pictures, and their names.

    Raises:
        InputError: the file is no camera path, or it would be too many pictures.
    """
    flight = load_path(path)
    try:
        cameras = flight.cameras(fps, width, height)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    return [(f"{index:05d}", camera) for index, camera in enumerate(cameras)]


@torch.no_grad()
def _depth_range(gaussians: Gaussians, cameras: list[Camera], settings: RenderSettings) -> tuple[float, float]:
    """One range of depths for all pictures, so that a video does not flicker: percentiles over a few views."""
    samples = []
    for camera in cameras[:: max(1, len(cameras) // 8)]:
        result = render_gaussians(gaussians, camera.to(gaussians.device), depth=True, settings=settings)
        if result.depth is not None:
            samples.append(result.depth[result.alpha > 0.5])
    depths = torch.cat(samples)
    if not len(depths):
        return 0.1, 10.0
    depths = depths[:: max(1, len(depths) // 1_000_000)]
    near, far = float(depths.quantile(0.01)), float(depths.quantile(0.99))
    return near, max(far, 1.001 * near)
