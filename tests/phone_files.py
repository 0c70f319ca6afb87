"""Known cameras in the formats of Polycam and Record3D."""

import json
from pathlib import Path

import numpy as np
from posed_photos import SIZE, Known, ring, write_photos
from scipy.spatial.transform import Rotation


def pinhole(local: np.ndarray) -> np.ndarray:
    return local[:, :2] / local[:, 2:] * (58.0, 59.0) + (33.0, 23.5)


def write_polycam(folder: Path, corrected: bool = True) -> list[Known]:
    cameras = ring(suffix=".jpg")
    prefix = "corrected_" if corrected else ""
    write_photos(folder / "keyframes" / f"{prefix}images", cameras)
    place = folder / "keyframes" / f"{prefix}cameras"
    place.mkdir()
    for camera in cameras:
        values = {
            "fx": 58.0,
            "fy": 59.0,
            "cx": 33.0,
            "cy": 23.5,
            "width": SIZE[0],
            "height": SIZE[1],
            "blur_score": 90.0,
        }
        values |= {f"t_{i}{j}": camera.opengl[i, j] for i in range(3) for j in range(4)}
        (place / camera.name).with_suffix(".json").write_text(json.dumps(values))
    return cameras


def write_record3d(folder: Path, name: str = "metadata.json", photos: str = "rgb", each: bool = False) -> list[Known]:
    cameras = [Known(f"{index}.jpg", one.rotation, one.center) for index, one in enumerate(ring(12))]
    write_photos(folder / photos, cameras)
    K = [58.0, 0, 0, 0, 59.0, 0, 33.0, 23.5, 1]
    poses = [
        [*Rotation.from_matrix(camera.opengl[:3, :3]).as_quat().tolist(), *camera.center.tolist()] for camera in cameras
    ]
    values = {
        "w": SIZE[0],
        "h": SIZE[1],
        "K": [1.0] * 9 if each else K,
        "fps": 60,
        "dw": 192,
        "dh": 256,
        "poses": poses,
    }
    if each:
        values["perFrameIntrinsicCoeffs"] = [[58.0, 59.0, 33.0, 23.5]] * len(poses)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(values))
    return cameras
