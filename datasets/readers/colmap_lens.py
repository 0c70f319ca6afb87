"""COLMAP's camera models by name and by number. All that has a focal length is pycolmap's; panoramas are recognized."""

import functools

import pycolmap

from splat.datasets.readers.colmap_records import CameraRecord
from splat.errors import InputError
from splat.io.ply import FARTHEST

pycolmap.logging.minloglevel = pycolmap.logging.Level.FATAL.value  # errors come as exceptions, not on stderr

PANORAMAS = ("EQUIRECTANGULAR", "SPHERICAL", "SPHERE")
"""Full panoramas: COLMAP's since 4.1, and what forks of it call theirs."""
PANORAMA_NUMBER = 17
"""EQUIRECTANGULAR in COLMAP's binary files, with two parameters: w, h."""
PANORAMA_REMEDY = (
    "cut the panoramas into perspective views and find their cameras with panorama_sfm.py (python/examples of COLMAP, and "
    "`pip install 'pycolmap[panorama]'`): `python panorama_sfm.py --input_image_path PANORAMAS --output_path OUT`, and "
    "train on OUT"
)
LARGEST_SIDE = 1 << 20
"""More pixels than this along a side are taken for a damaged file."""
LARGEST_ID = (1 << 32) - 2
"""COLMAP stores ids of cameras and images in 32 bits; the last number means none."""


@functools.cache
def known_models() -> dict[str, int]:
    """Names of the camera models that can be read, with their numbers in binary files."""
    members = pycolmap.CameraModelId.__members__.items()
    models = {name: int(member.value) for name, member in members if member.value >= 0}
    return models | {"EQUIRECTANGULAR": PANORAMA_NUMBER}


def model_of_number(number: int) -> str | None:
    return next((name for name, known in known_models().items() if known == number), None)


@functools.cache
def parameter_names(model: str) -> tuple[str, ...]:
    """What the parameters of a known camera model are called, in their order."""
    if model in PANORAMAS:
        return "w", "h"
    info = pycolmap.Camera.create_from_model_name(1, model, 1.0, 2, 2).params_info
    return tuple(name.strip() for name in info.split(","))


def make_camera(
    where: str, place: str, camera_id: int, model: str, width: int, height: int, params: list[float]
) -> CameraRecord:
    """A camera as a file states it; a fault in it is kept with it, for there may be no photo of it.

    Args:
        where: file and place, for the message of an error.
        place: the place alone.
        model: a name, in any case.

    Raises:
        InputError: its id is none.
    """
    if not (0 <= camera_id <= LARGEST_ID):
        raise InputError(f"{where}: expected a camera id from 0 to {LARGEST_ID}, got {camera_id}")
    name, camera = model.upper(), None
    fault = _fault(name, width, height, params)
    if fault is None and name not in PANORAMAS:
        camera = pycolmap.Camera.create_from_model_name(camera_id, name, 1.0, width, height)
        camera.params = params
        fault = _fault_of_parameters(camera)
    return CameraRecord(camera_id, name, (width, height), tuple(params), place, camera, fault)


def _fault(name: str, width: int, height: int, params: list[float]) -> str | None:
    if name not in known_models() and name not in PANORAMAS:
        return (
            f"is of the unknown camera model {name!r}; known are {', '.join(known_models())}. Convert the model with COLMAP "
            "to one of these (`colmap image_undistorter` makes it PINHOLE)"
        )
    if not (0 < width < LARGEST_SIDE and 0 < height < LARGEST_SIDE):
        return f"states an image of {width} x {height} pixels; write the size of its photos there"
    names = parameter_names(name)
    if name in PANORAMAS or len(params) == len(names):
        return None
    remedy = "write the missing ones there" if len(params) < len(names) else "take out what is too much"
    return (
        f"is {name}, which has {len(names)} parameters ({', '.join(names)}), got {len(params)}; export the model again, or "
        f"{remedy}"
    )


def _fault_of_parameters(camera: pycolmap.Camera) -> str | None:
    remedy = "; correct it, or find the cameras again"
    for index, (name, value) in enumerate(zip(parameter_names(camera.model.name), camera.params, strict=True)):
        if not abs(value) < FARTHEST:
            return f"has {name} = {value:g}, which is not finite or beyond {FARTHEST:.0e}{remedy}"
        if index in camera.focal_length_idxs() and value <= 0:
            return f"has {name} = {value:g}, expected a focal length above 0{remedy}"
    return None
