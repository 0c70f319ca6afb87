"""Known cameras in the format of Metashape, and the formulas of its manual."""

from pathlib import Path

import numpy as np
from posed_photos import SIZE, Known, ring

LENS = {"f": 60.0, "cx": 1.5, "cy": -2.5, "k1": -0.05, "k2": 0.02, "p1": 0.003, "p2": -0.002, "b1": 0.7}


SCALE, TURN, SHIFT = 2.5, np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.array([10.0, 20, 30])


def numbers(values) -> str:
    return " ".join(repr(float(value)) for value in np.ravel(values))


def sensor(number: int, kind: str, lens: dict, calibration: str = "adjusted") -> str:
    values = "".join(f"<{name}>{value!r}</{name}>" for name, value in lens.items())
    size = f'<resolution width="{SIZE[0]}" height="{SIZE[1]}"/>'
    return (
        f'<sensor id="{number}" label="unknown" type="{kind}">{size}<property name="layer_index" value="0"/>'
        f'<calibration type="{kind}" class="{calibration}">{size}{values}</calibration></sensor>'
    )


def camera(number: int, known: Known, label: str | None = None, more: str = "", sensor: int = 0) -> str:
    label = known.name.removesuffix(".png") if label is None else label
    pose = f"<transform>{numbers(known.to_world)}</transform>"
    return f'<camera id="{number}" sensor_id="{sensor}" label="{label}" component_id="0"{more}>{pose}</camera>'


def document(sensors: str, cameras: str, transform: bool = False) -> str:
    place = ""
    if transform:
        place = (
            f'<transform><rotation locked="false">{numbers(TURN)}</rotation><translation locked="false">{numbers(SHIFT)}'
            f'</translation><scale locked="false">{SCALE!r}</scale></transform>'
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<document version="2.0.0"><chunk label="Chunk 1" enabled="true">'
        f'<sensors next_id="1">{sensors}</sensors><cameras next_id="9" next_group_id="0">{cameras}</cameras>'
        f"{place}</chunk></document>"
    )


def write(folder: Path, kind: str = "frame", lens: dict = LENS, transform: bool = False, cameras=None) -> list[Known]:
    known = ring() if cameras is None else cameras
    entries = "".join(camera(place, one) for place, one in enumerate(known))
    (folder / "cameras.xml").write_text(document(sensor(0, kind, lens), entries, transform))
    return known


def project(kind: str, lens: dict, scale: float = 1.0):
    """The formulas of the manual's appendix on camera models."""

    def pixels(local: np.ndarray) -> np.ndarray:
        value = {name: lens.get(name, 0.0) for name in ("f", "cx", "cy", "k1", "k2", "k3", "k4", "p1", "p2", "b1")}
        x, y = (local[:, :2] / local[:, 2:]).T
        if kind != "frame":
            r0 = np.hypot(x, y)
            length = np.arctan(r0) if kind == "fisheye" else 2 * np.sin(np.arctan(r0) / 2)
            x, y = x * length / r0, y * length / r0
        r2 = x * x + y * y
        radial = 1 + value["k1"] * r2 + value["k2"] * r2**2 + value["k3"] * r2**3 + value["k4"] * r2**4
        u = x * radial + value["p1"] * (r2 + 2 * x * x) + 2 * value["p2"] * x * y
        v = y * radial + value["p2"] * (r2 + 2 * y * y) + 2 * value["p1"] * x * y
        u = SIZE[0] / 2 + value["cx"] + u * value["f"] + u * value["b1"]
        return np.stack([u, SIZE[1] / 2 + value["cy"] + v * value["f"]], axis=1)

    return pixels


LABELS = [known.name.removesuffix(".png") for known in ring()]
