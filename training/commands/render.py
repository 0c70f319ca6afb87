"""`splat render`: which cameras, and where the pictures go."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from tqdm import tqdm

import splat
from splat.cameras import Camera
from splat.compression.formats.registry import load
from splat.datasets.load import PhotoOptions, load_scene
from splat.datasets.split import split
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.geometry.orbit import orbit, orbit_around
from splat.io.camera_path_file import load_path
from splat.io.images import colorize_depth, write_image
from splat.io.video import VideoWriter
from splat.parsing import parse_resolution
from splat.settings import RenderSettings
from splat.training.config import TrainConfig, load_config
from splat.training.run_folder import RunFolder

if TYPE_CHECKING:
    from splat.training.commands.commands import RenderOptions

ORBIT_SIZE = (960, 540)
"""Pictures of a scene of which no camera is known."""
PATH_SIZE = (1280, 720)
"""Pictures along a path of cameras, which says nothing about their size."""


def render_views(options: "RenderOptions") -> None:
    """Draw the scene by every camera asked for.

    Raises:
        InputError: no such scene, no capture for its cameras, or the output exists.
    """
    size = None if options.size is None else parse_resolution("--size", options.size)
    if options.frames < 1 or options.fps <= 0:
        raise InputError(f"--frames and --fps must be positive, got {options.frames} and {options.fps}")
    is_run = options.scene.is_dir()
    config, capture, path = TrainConfig(), options.capture, options.scene
    if is_run:
        folder = RunFolder(options.scene)
        config, recorded = load_config(folder.config)
        capture, path = capture or recorded, folder.latest_scene()
    gaussians = load(path)
    if options.path:
        named = path_cameras(options.path, options.fps, *(size or PATH_SIZE))
    else:
        named = choose_cameras(options, config, capture, gaussians)
    if size is not None:
        named = [(name, camera.resized(*size)) for name, camera in named]
    along = options.path.stem if options.path else options.along
    pictures = along + ("_depth" if options.depth else "")
    default = options.scene / pictures if is_run else path.with_name(f"{path.stem}_{pictures}")
    output = options.output or default
    is_video = output.suffix.lower() == ".mp4"
    if not is_video and output.suffix:
        raise InputError(f"{output}: give a folder for PNGs, or a name ending in .mp4 for a video")
    if output.exists() and (is_video or any(output.iterdir())):
        raise InputError(f"{output}: exists already; choose another name with -o")
    background = torch.ones(3) if options.background == "white" else torch.zeros(3)
    settings = RenderSettings(antialiased=config.optimization.antialiased)
    depth_range = _depth_range(gaussians, [camera for _, camera in named], settings) if options.depth else None
    with ExitStack() as stack:
        video = stack.enter_context(VideoWriter(output, options.fps)) if is_video else None
        for name, camera in tqdm(named, desc="render", unit="view", disable=not sys.stderr.isatty()):
            picture = draw(gaussians, camera, background, settings, depth_range)
            if video is not None:
                video.write(picture)
            else:
                write_image(output / f"{name}.png", picture)
    print(f"{len(named)} views -> {output}")


@torch.no_grad()
def draw(
    gaussians: Gaussians,
    camera: Camera,
    background: Tensor,
    settings: RenderSettings,
    depth_range: tuple[float, float] | None,
) -> Tensor:  # [H, W, 3]
    """Colour, or depth where its range is given."""
    result = splat.render(gaussians, camera, background=background, settings=settings, depth=depth_range is not None)
    if depth_range is None or result.depth is None:
        return result.rgb
    return colorize_depth(result.depth, near=depth_range[0], far=depth_range[1])


def choose_cameras(
    options: "RenderOptions", config: TrainConfig, capture: Path | None, gaussians: Gaussians
) -> list[tuple[str, Camera]]:
    """Cameras and the names of their pictures."""
    if capture is None:
        if options.along != "orbit":
            raise InputError(
                f"{options.scene}: a scene alone knows no cameras; give the capture with --capture, or use --along orbit"
            )
        cameras = orbit_around(gaussians.means, options.frames, *ORBIT_SIZE)
        return [(f"{index:04d}", camera) for index, camera in enumerate(cameras)]
    data = config.data
    scene = load_scene(capture, PhotoOptions(data.resolution, data.max_size, data.images))
    if options.along == "orbit":
        points = scene.points if len(scene.points) else gaussians.means
        cameras = orbit([frame.camera for frame in scene.frames], points, options.frames)
        return [(f"{index:04d}", camera) for index, camera in enumerate(cameras)]
    frames = list(scene.frames)
    if options.along != "all":
        train, test = split(scene, data.test_every)
        frames = train if options.along == "train" else test
    return [(Path(frame.name).with_suffix("").as_posix().replace("/", "_"), frame.camera) for frame in frames]


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
        result = splat.render(gaussians, camera, depth=True, settings=settings)
        if result.depth is not None:
            samples.append(result.depth[result.alpha > 0.5])
    depths = torch.cat(samples)
    if not len(depths):
        return 0.1, 10.0
    depths = depths[:: max(1, len(depths) // 1_000_000)]
    near, far = float(depths.quantile(0.01)), float(depths.quantile(0.99))
    return near, max(far, 1.001 * near)
