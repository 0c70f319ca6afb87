"""`.splat` of antimatter15's viewer: 32 bytes a Gaussian, without view-dependent color.

Three floats of position and three of scale (not its logarithm), four bytes of color and opacity, four of rotation.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from splat.compression.coding.byte_reader import REMEDY, read_file
from splat.compression.formats.blocks import blocks, drawable_order, joined, ranges
from splat.errors import InputError
from splat.gaussians import SH_C0, Gaussians
from splat.geometry.quaternions import unit
from splat.io.atomic_file import replacing

RECORD = np.dtype([("position", "<f4", 3), ("scale", "<f4", 3), ("color", "u1", 4), ("rotation", "u1", 4)])


def read(path: Path) -> Gaussians:
    """Read a `.splat`.

    Raises:
        InputError: its size is not a multiple of 32 bytes.
    """
    data = read_file(path)
    if len(data) % RECORD.itemsize or not data:
        raise InputError(f"{path}: expected records of 32 bytes, got {len(data):,} bytes. {REMEDY}")
    rows = np.frombuffer(data, dtype=RECORD)
    return joined(len(rows), 0, (_decode(rows[place]) for place in ranges(len(rows))))


def _decode(rows: NDArray[np.void]) -> Gaussians:
    color = torch.from_numpy(rows["color"].astype(np.float32)) / 255
    alpha = color[:, 3].clamp(1e-6, 1 - 1e-6)
    quats = (torch.from_numpy(rows["rotation"].astype(np.float32)) - 128) / 128
    return Gaussians(
        means=torch.from_numpy(rows["position"].copy()),
        quats=unit(quats),
        log_scales=torch.from_numpy(rows["scale"].copy()).log(),
        logit_opacities=alpha.logit(),
        sh0=(color[:, :3] - 0.5) / SH_C0,
        sh_rest=torch.zeros(len(rows), 0, 3),
    )


def write(gaussians: Gaussians, path: Path) -> None:
    """Write a `.splat`, atomically; large and opaque Gaussians first, as viewers that load it piece by piece expect.

    Raises:
        OSError: the folder cannot be written or the disk is full; an existing file is then unharmed.
    """
    weight = gaussians.log_scales.detach().sum(dim=1).exp() * gaussians.opacities.detach()
    order = drawable_order(gaussians, weight.argsort(descending=True, stable=True))
    with replacing(path) as temporary, open(temporary, "wb") as file:
        for part in blocks(gaussians, order):
            file.write(_encode(part).data)


def _encode(scene: Gaussians) -> NDArray[np.void]:
    color = torch.cat([scene.sh0 * SH_C0 + 0.5, scene.opacities[:, None]], dim=1)
    quats = unit(scene.quats)
    rows: NDArray[np.void] = np.zeros(len(scene), dtype=RECORD)
    rows["position"], rows["scale"] = scene.means.numpy(), scene.scales.numpy()
    rows["color"] = (color * 255).round().clamp(0, 255).numpy()
    rows["rotation"] = (quats * 128 + 128).round().clamp(0, 255).numpy()
    return rows
