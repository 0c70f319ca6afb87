"""`.ksplat` of mkkellogg's viewer, version 0.1: sections of Gaussians at one of three levels of compression. Read only."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from splat.compression.coding.byte_reader import REMEDY, ByteReader, read_file
from splat.errors import InputError
from splat.gaussians import SH_C0, Gaussians

HEADER, SECTION = 4096, 1024
BASES = {0: 0, 1: 3, 2: 8}
FIELDS = {0: ("<f4", "<f4", "<f4", "<f4"), 1: ("<u2", "<f2", "<f2", "<f2"), 2: ("<u2", "<f2", "<f2", "u1")}
"""Types of position, scale, rotation and harmonics at each level."""
MOST_SECTIONS = 4096


def read(path: Path) -> Gaussians:
    """Read a `.ksplat`.

    Raises:
        InputError: it is damaged or of another version.
    """
    data = read_file(path)
    reader = ByteReader(data, str(path))
    header = bytes(reader.take(HEADER, "a header"))
    major, minor = header[0], header[1]
    most, sections = np.frombuffer(header, "<u4", 2, 4)
    level = int(np.frombuffer(header, "<u2", 1, 20)[0])
    low, high = (float(value) for value in np.frombuffer(header, "<f4", 2, 36))
    if (major, minor) != (0, 1) or level not in FIELDS:
        raise InputError(
            f"{path}: version {major}.{minor}, level {level} of .ksplat; 0.1 with levels 0 to 2 can be read"
        )
    if not 0 < sections <= most <= MOST_SECTIONS:
        raise InputError(f"{path}: promises {sections} of {most} sections; expected at most {MOST_SECTIONS}. {REMEDY}")
    if low == high == 0 or not np.isfinite([low, high]).all():
        low, high = -1.5, 1.5
    headers = [bytes(reader.take(SECTION, "a section's header")) for _ in range(int(most))]
    parts = [_section(path, reader, head, level, low, high) for head in headers[: int(sections)]]
    reader.end()
    return Gaussians.cat(parts)


def _section(path: Path, reader: ByteReader, head: bytes, level: int, low: float, high: float) -> Gaussians:
    count, most, capacity, buckets = (int(value) for value in np.frombuffer(head, "<u4", 4, 0))
    size = float(np.frombuffer(head, "<f4", 1, 16)[0])
    quanta = int(np.frombuffer(head, "<u4", 1, 24)[0]) or 32767
    full, partial = (int(value) for value in np.frombuffer(head, "<u4", 2, 32))
    degree = int(np.frombuffer(head, "<u2", 1, 40)[0])
    if degree not in BASES or count > most or partial > buckets or full > buckets:
        raise InputError(
            f"{path}: a section's header is not as it should be (degree {degree}, {count} of {most}). {REMEDY}"
        )
    bases = BASES[degree]
    position, scale, rotation, harmonic = FIELDS[level]
    record = np.dtype(
        [("position", position, 3), ("scale", scale, 3), ("rotation", rotation, 4), ("color", "u1", 4)]
        + ([("sh", harmonic, 3 * bases)] if bases else [])
    )
    lengths = reader.array("<u4", (partial,), "sizes of buckets")
    centers = reader.array("<f4", (buckets, 3), "centers of buckets")
    rows: NDArray[np.void] = np.frombuffer(reader.take(record.itemsize * most, "Gaussians"), record)[:count]
    means: NDArray[np.float32] = rows["position"].astype(np.float32)
    if level:
        held = np.concatenate([np.full(full, capacity, dtype=np.int64), lengths.astype(np.int64)])
        if held.sum() < count or len(held) > len(centers) or (held > max(capacity, 1)).any():
            raise InputError(f"{path}: {len(held)} buckets do not hold the {count} Gaussians of a section. {REMEDY}")
        ends = held.cumsum()
        bucket = np.searchsorted(ends, np.arange(count), side="right")
        means = ((means - quanta) * (size / 2 / quanta) + centers[bucket]).astype(np.float32)
    color = torch.from_numpy(rows["color"].astype(np.float32)) / 255
    rest = torch.zeros(count, 0, 3)
    if bases:
        values = torch.from_numpy(rows["sh"].astype(np.float32))
        rest = _by_coefficient(low + values / 255 * (high - low) if level == 2 else values, bases)
    return Gaussians(
        means=torch.from_numpy(means),
        quats=torch.from_numpy(rows["rotation"].astype(np.float32)),
        log_scales=torch.from_numpy(rows["scale"].astype(np.float32)).log(),
        logit_opacities=color[:, 3].clamp(1e-6, 1 - 1e-6).logit(),
        sh0=(color[:, :3] - 0.5) / SH_C0,
        sh_rest=rest,
    )


def _by_coefficient(values: torch.Tensor, bases: int) -> torch.Tensor:  # [N, bases, 3]
    """Stored degree by degree, and within each channel by channel."""
    parts, first = [], 0
    for size in (3, 5)[: 1 if bases == 3 else 2]:
        parts.append(values[:, first : first + 3 * size].reshape(-1, 3, size).transpose(1, 2))
        first += 3 * size
    return torch.cat(parts, dim=1)
