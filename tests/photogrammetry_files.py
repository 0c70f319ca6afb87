"""Known cameras in the formats of OpenSfM, OpenMVG and Bundler, and the formulas of these programs."""

import json
from pathlib import Path

import numpy as np
from posed_photos import POINTS, SIZE, Known
from scipy.spatial.transform import Rotation

SFM = {"focal": 0.9, "focal_x": 0.9, "focal_y": 0.92, "c_x": 0.01, "c_y": -0.02, "k1": -0.05, "k2": 0.02, "k3": -0.01}


SFM |= {"k4": 0.004, "p1": 0.003, "p2": -0.002}


def opensfm_pixels(kind: str):
    def pixels(local: np.ndarray) -> np.ndarray:
        value, whole = SFM, kind not in ("perspective", "fisheye")
        x, y = (local[:, :2] / local[:, 2:]).T
        if kind.startswith("fisheye"):
            r = np.hypot(local[:, 0], local[:, 1])
            x, y = (local[:, :2] * (np.arctan2(r, local[:, 2]) / r)[:, None]).T
        r2 = x * x + y * y
        scale = 1 + value["k1"] * r2 + (value["k2"] * r2**2 if kind != "simple_radial" else 0)
        if kind in ("brown", "fisheye_opencv"):
            scale = scale + value["k3"] * r2**3
        if kind == "fisheye_opencv":
            scale = scale + value["k4"] * r2**4
        u, v = x * scale, y * scale
        if kind == "brown":
            u = u + 2 * value["p1"] * x * y + value["p2"] * (r2 + 2 * x * x)
            v = v + value["p1"] * (r2 + 2 * y * y) + 2 * value["p2"] * x * y
        u, v = (0.9 * u + 0.01, 0.92 * v - 0.02) if whole else (0.9 * u, 0.9 * v)
        # OpenSfM: pixel = normalized * size + (side - 1) / 2 with pixels at whole numbers; half a pixel more here
        return max(SIZE) * np.stack([u, v], axis=1) + (np.array(SIZE) - 1) / 2 + 0.5

    return pixels


OPENSFM_KEYS = {
    "perspective": ("focal", "k1", "k2"),
    "simple_radial": ("focal_x", "focal_y", "c_x", "c_y", "k1"),
    "radial": ("focal_x", "focal_y", "c_x", "c_y", "k1", "k2"),
    "brown": ("focal_x", "focal_y", "c_x", "c_y", "k1", "k2", "k3", "p1", "p2"),
    "fisheye": ("focal", "k1", "k2"),
    "fisheye_opencv": ("focal_x", "focal_y", "c_x", "c_y", "k1", "k2", "k3", "k4"),
}


def opensfm(cameras: list[Known], kind: str = "brown") -> dict:
    keys = OPENSFM_KEYS.get(kind, ())
    lens = {"projection_type": kind, "width": SIZE[0], "height": SIZE[1], **{key: SFM[key] for key in keys}}
    shots = {
        camera.name: {
            "rotation": Rotation.from_matrix(camera.rotation).as_rotvec().tolist(),
            "translation": camera.translation.tolist(),
            "camera": "v2 phone",
            "orientation": 1,
            "gps_position": [0.0, 0.0, 0.0],
        }
        for camera in cameras
    }
    points = {str(i): {"color": [10.0, 20.0, 30.0], "coordinates": point.tolist()} for i, point in enumerate(POINTS)}
    return {"cameras": {"v2 phone": lens}, "shots": shots, "points": points}


def write_json(path: Path, values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


MVG = {
    "pinhole": {},
    "pinhole_radial_k1": {"disto_k1": [-0.05]},
    "pinhole_radial_k3": {"disto_k3": [-0.05, 0.02, -0.01]},
}


MVG |= {
    "pinhole_brown_t2": {"disto_t2": [-0.05, 0.02, -0.01, 0.003, -0.002]},
    "fisheye": {"fisheye": [-0.03, 0.01, 0.004, 0.0]},
}


def openmvg_pixels(kind: str):
    def pixels(local: np.ndarray) -> np.ndarray:
        k = [value for values in MVG[kind].values() for value in values]
        x, y = (local[:, :2] / local[:, 2:]).T
        if kind == "fisheye":
            r = np.hypot(x, y)
            theta = np.arctan(r)
            scale = theta * (1 + sum(value * theta ** (2 * i) for i, value in enumerate(k, start=1))) / r
            return np.stack([58 * x * scale + 33.0, 58 * y * scale + 23.5], axis=1)
        r2 = x * x + y * y
        scale = 1 + sum(value * r2**i for i, value in enumerate(k[:3], start=1))
        t1, t2 = k[3:] if len(k) == 5 else (0, 0)
        u = x * scale + t2 * (r2 + 2 * x * x) + 2 * t1 * x * y
        v = y * scale + t1 * (r2 + 2 * y * y) + 2 * t2 * x * y
        return np.stack([58 * u + 33.0, 58 * v + 23.5], axis=1)

    return pixels


def openmvg(cameras: list[Known], kind: str = "pinhole_radial_k3", each: bool = False) -> dict:
    """As cereal writes polymorphic pointers: the first entry of a type has its name and the high bit of the id."""
    base = {"width": SIZE[0], "height": SIZE[1], "focal_length": 58.0, "principal_point": [33.0, 23.5]}
    views, intrinsics, extrinsics = [], [], []
    for i, camera in enumerate(cameras):
        data = {"local_path": "", "filename": camera.name, "width": SIZE[0], "height": SIZE[1]}
        data |= {"id_view": i, "id_intrinsic": i if each else 0, "id_pose": i}
        views.append(
            {"key": i, "value": {"polymorphic_id": 1073741824, "ptr_wrapper": {"id": 2147483649 + i, "data": data}}}
        )
        extrinsics.append({"key": i, "value": {"rotation": camera.rotation.tolist(), "center": camera.center.tolist()}})
        if each or i == 0:
            named = {"polymorphic_id": 2147483649, "polymorphic_name": kind} if i == 0 else {"polymorphic_id": 1}
            lens = {"value0": base, **MVG[kind]} if each else {**base, **MVG[kind]}
            intrinsics.append({"key": i, "value": {**named, "ptr_wrapper": {"id": 2147483700 + i, "data": lens}}})
    structure = [
        {
            "key": i,
            "value": {"X": point.tolist(), "observations": [{"key": i % 5, "value": {"id_feat": 0, "x": [1.0, 2.0]}}]},
        }
        for i, point in enumerate(POINTS)
    ]
    return {
        "sfm_data_version": "0.3",
        "root_path": "/home/someone/photos",
        "views": views,
        "intrinsics": intrinsics,
        "extrinsics": extrinsics,
        "structure": structure,
        "control_points": [],
    }


def bundler_pixels(local: np.ndarray) -> np.ndarray:
    """Bundler's readme: p = -P / P.z in axes x right, y up, z backward; from the image's center, y up."""
    P = local * (1.0, -1.0, -1.0)
    p = -P[:, :2] / P[:, 2:]
    r2 = (p**2).sum(1, keepdims=True)
    p = 58.0 * (1 - 0.05 * r2 + 0.02 * r2**2) * p
    return np.stack([SIZE[0] / 2 + p[:, 0], SIZE[1] / 2 - p[:, 1]], axis=1)


def bundle(cameras: list[Known | None]) -> str:
    lines = ["# Bundle file v0.3", f"{len(cameras)} {len(POINTS)}"]
    for camera in cameras:
        if camera is None:
            lines += ["0 0 0"] * 5
            continue
        rotation, translation = np.diag([1, -1, -1]) @ camera.rotation, np.diag([1, -1, -1]) @ camera.translation
        rows = [*rotation, translation]
        lines += ["58.0 -0.05 0.02", *(" ".join(repr(float(value)) for value in row) for row in rows)]
    for i, point in enumerate(POINTS):
        lines += [
            " ".join(repr(float(value)) for value in point),
            "10 20 30",
            f"2 {i % 5} 7 1.5 -2.5 {(i + 1) % 5} 8 0 0",
        ]
    return "\n".join(lines) + "\n"
