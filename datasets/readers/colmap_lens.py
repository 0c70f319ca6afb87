"""COLMAP's camera models by name and by number. All that has a focal length is pycolmap's; panoramas are recognized."""

import functools

import pycolmap

from splat.datasets.readers.colmap_records import CameraRecord
from splat.errors import InputError

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
    """A camera as a file states it.

    Args:
        where: file and place, for the message of an error.
        place: the place alone.
        model: a name, in any case.

    Raises:
        InputError: the model is not known, or size or number of parameters do not fit it.
    """
    name = model.upper()
    if name not in known_models() and name not in PANORAMAS:
        raise InputError(
            f"{where}: camera {camera_id} is of the unknown camera model {model!r}; known are "
            f"{', '.join(known_models())}. Convert the model with COLMAP to one of these (`colmap image_undistorter` "
            "makes it PINHOLE)"
        )
    if not (0 <= camera_id <= LARGEST_ID):
        raise InputError(f"{where}: expected a camera id from 0 to {LARGEST_ID}, got {camera_id}")
    if not (0 < width < LARGEST_SIDE and 0 < height < LARGEST_SIDE):
        raise InputError(
            f"{where}: camera {camera_id} states an image of {width} x {height} pixels; write the size of its photos there"
        )
    if name in PANORAMAS:
        return CameraRecord(camera_id, name, None, place)
    names = parameter_names(name)
    if len(params) != len(names):
        raise InputError(
            f"{where}: camera {camera_id} is {name}, which has {len(names)} parameters ({', '.join(names)}), "
            f"got {len(params)}; export the model again, or write the missing ones there"
        )
    camera = pycolmap.Camera.create_from_model_name(camera_id, name, 1.0, width, height)
    camera.params = params
    return CameraRecord(camera_id, name, camera, place)
