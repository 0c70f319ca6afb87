"""Small captures written to disk as COLMAP writes them, for tests of reading and training."""

from pathlib import Path

import numpy as np
import pycolmap
import torch

import splat
from scenes import cloud
from splat import Camera, Gaussians
from splat.io.images import write_image


def ring(count: int, width: int, height: int) -> list[Camera]:
    """Cameras around the origin, y down."""
    angles = torch.linspace(0, 2 * torch.pi, count + 1)[:-1]
    eyes = [(4 * float(a.sin()), -1.0 + 0.5 * float((3 * a).cos()), -4 * float(a.cos())) for a in angles]
    return [Camera.look_at(eye, (0, 0, 0), width=width, height=height) for eye in eyes]


def subject(count: int = 300) -> Gaussians:
    """What the photos show."""
    gaussians = cloud(count, seed=11, sh_degree=0, scale=0.12)
    gaussians.logit_opacities.add_(2)
    return gaussians


def write_capture(
    folder: Path,
    *,
    photos: int = 10,
    width: int = 48,
    height: int = 32,
    prefix: str = "",
    text: bool = False,
    model: str = "sparse/0",
    points: bool = True,
) -> list[Camera]:
    """Photos rendered from `subject`, with its centers as sparse points. Returns the cameras."""
    gaussians, cameras = subject(), ring(photos, width, height)
    reconstruction = pycolmap.Reconstruction()
    for index, camera in enumerate(cameras, start=1):
        name = f"{prefix}{index:03d}.png"
        with torch.no_grad():
            write_image(folder / "images" / name, splat.render(gaussians, camera).rgb.clamp(0, 1))
        K = camera.K.double().numpy()
        add_photo(reconstruction, index, name, "PINHOLE", [K[0, 0], K[1, 1], K[0, 2], K[1, 2]], camera)
    if points:
        colors = (gaussians.sh0 * 0.2820948 + 0.5).clamp(0, 1) * 255
        for xyz, rgb in zip(gaussians.means.double().numpy(), colors.byte().numpy(), strict=True):
            reconstruction.add_point3D(xyz, pycolmap.Track(), rgb)
    target = folder / model
    target.mkdir(parents=True, exist_ok=True)
    reconstruction.write_text(target) if text else reconstruction.write_binary(target)
    return cameras


def add_photo(
    reconstruction: pycolmap.Reconstruction, index: int, name: str, lens: str, params: list[float], camera: Camera
) -> pycolmap.Camera:
    """One posed photo with a camera of its own."""
    lens_camera = pycolmap.Camera.create_from_model_name(index, lens, 1.0, camera.width, camera.height)
    lens_camera.params = params
    reconstruction.add_camera_with_trivial_rig(lens_camera)
    pose = pycolmap.Rigid3d(np.ascontiguousarray(camera.viewmat[:3].double().numpy()))
    reconstruction.add_image_with_trivial_frame(pycolmap.Image(name=name, camera_id=index, image_id=index), pose)
    return lens_camera


def turn_cameras(capture: Path, degrees: float) -> None:
    """Turn the photos' cameras around random axes, but for those that are held out."""
    random = np.random.default_rng(0)
    model = pycolmap.Reconstruction(capture / "sparse/0")
    held_out = sorted(image.name for image in model.images.values())[::8]
    for image in model.images.values():
        if image.name not in held_out:
            axis = random.normal(size=3)
            turn = pycolmap.Rotation3d(np.radians(degrees) * axis / np.linalg.norm(axis))
            image.frame.rig_from_world = pycolmap.Rigid3d(turn, np.zeros(3)) * image.frame.rig_from_world
    model.write(capture / "sparse/0")
