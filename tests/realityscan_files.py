"""Known cameras in the formats of RealityScan, and the formulas of Epic's reference."""

from pathlib import Path

import numpy as np
from posed_photos import SIZE, Known, ring, write_photos

HEADING = "#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2"


LENS = {"f": 34.0, "px": 0.01, "py": -0.02, "k1": -0.05, "k2": 0.02, "k3": -0.01, "k4": 0.0, "t1": 0.003, "t2": -0.002}


def project(lens: dict, division: bool = False):
    """Appendix 3 and 4 of the reference: normalized by the longer side, t1 and t2 swapped against OpenCV."""

    def pixels(local: np.ndarray) -> np.ndarray:
        x, y = (local[:, :2] / local[:, 2:]).T
        r2 = x * x + y * y
        if division:
            u, v = x / (1 + lens["k1"] * r2), y / (1 + lens["k1"] * r2)
        else:
            scale = 1 + lens["k1"] * r2 + lens["k2"] * r2**2 + lens["k3"] * r2**3 + lens["k4"] * r2**4
            u = x * scale + lens["t2"] * 2 * x * y + lens["t1"] * (r2 + 2 * x * x)
            v = y * scale + lens["t1"] * 2 * x * y + lens["t2"] * (r2 + 2 * y * y)
        longer = max(SIZE)
        f = lens["f"] / 36
        return longer * np.stack([f * u + lens["px"], f * v + lens["py"]], axis=1) + np.array(SIZE) / 2

    return pixels


def angles(camera: Known) -> tuple[float, float, float]:
    """Heading, pitch and roll in degrees: camera to world, axes x right, y up, z backward, is Rz(-h) Rx(p) Ry(r)."""
    R = camera.opengl[:3, :3]
    pitch = np.arcsin(R[2, 1])
    heading = np.arctan2(R[0, 1], R[1, 1])
    roll = np.arctan2(-R[2, 0], R[2, 2])
    return tuple(np.degrees([heading, pitch, roll]))


def table(cameras: list[Known], lens: dict = LENS, heading: str = HEADING, separator: str = ",") -> str:
    rows = []
    for camera in cameras:
        values = [camera.name, *(repr(float(value)) for value in (*camera.center, *angles(camera)))]
        rows.append(separator.join([*values, *(repr(lens[name]) for name in HEADING.split(",")[7:])]))
    return "\n".join([heading.replace(",", separator), *rows]) + "\n"


def write(folder: Path, lens: dict = LENS, **more) -> list[Known]:
    cameras = ring(at=(500.0, 300.0, 20.0))
    write_photos(folder / "images", cameras)
    (folder / "cameras.csv").write_text(table(cameras, lens, **more), encoding="utf-8")
    return cameras


def sidecar(
    camera: Known, lens: dict = LENS, kind: str = "brown4t2", attributes: str = "", elements: bool = True
) -> str:
    rotation = " ".join(repr(float(value)) for value in camera.rotation.ravel())
    position = " ".join(repr(float(value)) for value in camera.center)
    distortion = " ".join(repr(lens[name]) for name in ("k1", "k2", "k3", "k4", "t1", "t2"))
    values = {"Rotation": rotation, "Position": position, "DistortionCoeficients": distortion}
    inside = "".join(f"<xcr:{name}>{value}</xcr:{name}>" for name, value in values.items()) if elements else ""
    beside = "" if elements else " ".join(f'xcr:{name}="{value}"' for name, value in values.items())
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xcr:Version="3" xcr:PosePrior="exact" xcr:Coordinates="absolute" xcr:DistortionModel="{kind}" '
        f'xcr:FocalLength35mm="{lens["f"]!r}" xcr:Skew="0" xcr:AspectRatio="1" xcr:PrincipalPointU="{lens["px"]!r}" '
        f'xcr:PrincipalPointV="{lens["py"]!r}" {beside} {attributes} '
        f'xmlns:xcr="http://www.capturingreality.com/ns/xcr/1.1#">{inside}</rdf:Description></rdf:RDF></x:xmpmeta>'
    )


def write_sidecars(folder: Path, **more) -> list[Known]:
    cameras = ring(suffix=".jpg")
    write_photos(folder / "images", cameras)
    for camera in cameras:
        (folder / "images" / camera.name).with_suffix(".xmp").write_text(sidecar(camera, **more))
    return cameras
