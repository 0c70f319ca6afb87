"""`.splatz`, the densest format here: whole numbers of steps (quantization.py), entropy coded. See docs/guides/splatz.md.

Threads read side by side: positions; scales and rotations; opacities and colors; every column of the harmonics. All but
the positions need to know the importance first.
"""

import math
import struct
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splat.compression.coding.byte_reader import ALWAYS, RATIO, REMEDY, ByteReader, check_ratio, read_file
from splat.compression.coding.entropy import Contexts, Shifts, Stream, Whole, pack, unpack
from splat.compression.coding.octree import MOST_BITS, pack_cells, unpack_cells
from splat.compression.formats.splatz.codes import Codes
from splat.compression.formats.splatz.optional.midpoints import pack_midpoints, unpack_midpoints
from splat.compression.formats.splatz.optional.shape_codebooks import pack_shapes, unpack_shapes
from splat.compression.formats.splatz.options import SplatzOptions
from splat.compression.formats.splatz.quantization import Quantization, fit_quantization
from splat.compression.formats.splatz.steps import Steps
from splat.compression.formats.splatz.values import values_in_blocks, workers
from splat.errors import InputError
from splat.gaussians import Gaussians, drawable, with_finite_values
from splat.geometry.morton import z_order
from splat.io.atomic_file import replacing

MAGIC, VERSION = b"SPLZ", 1
HEADER = "<4sHHIBB3dd3dd5d"
"""Magic, version, flags, Gaussians, degree of harmonics, bits of positions; center, radius, low, cell; other steps."""
ANTIALIASED, SHAPES, MIDPOINTS = 1, 2, 4
"""Flags: trained with antialiasing; scales and rotations by codebooks; Gaussians half-way between others, in a section of
their own."""
SECTIONS = ("positions", "shape", "appearance", "harmonics")
MOST = 1 << 26
LEVELS = 63
"""Numbers known before, clamped to so many contexts."""
MIDDLES = np.array([(LEVELS + 1 >> shift) * 3 // 4 for shift in range(4)], dtype=np.int32)
"""Added to scales, which are mostly below zero, by class of importance."""
COLOR_BUCKET = 3
"""Steps of the previous Gaussian's color that are told apart."""


def read(path: Path) -> Gaussians:
    """Read a `.splatz`.

    Raises:
        InputError: it is damaged, of another version, or promises more than it can hold.
    """
    return decode(read_file(path), str(path))


def antialiased(path: Path) -> bool:
    """Whether the scene of a file that `read` accepts was trained with antialiasing."""
    _, _, flags, *_ = struct.unpack_from(HEADER, read_file(path, struct.calcsize(HEADER)))
    return bool(flags & ANTIALIASED)


def write(
    gaussians: Gaussians,
    path: Path,
    options: SplatzOptions | None = None,
    antialiased: bool = False,
    weights: Tensor | None = None,
    metric: Tensor | None = None,
    quantization: Quantization | None = None,
) -> None:
    """Write a `.splatz`, atomically; see `encode`.

    Raises:
        InputError: no Gaussian can be drawn, or an option is out of range.
        OSError: the folder cannot be written or the disk is full; an existing file is then unharmed.
    """
    data = encode(gaussians, options, weights, metric, quantization, antialiased)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def encode(
    gaussians: Gaussians,
    options: SplatzOptions | None = None,
    weights: Tensor | None = None,
    metric: Tensor | None = None,
    quantization: Quantization | None = None,
    antialiased: bool = False,
) -> bytes:
    """A scene as the bytes of a file, in an order of its own. What cannot be drawn is left out.

    Args:
        weights, metric: how much each Gaussian and its harmonics matter; see `fit_quantization`.
        quantization: made for these Gaussians before, and perhaps optimized; the others are then not used. The file decodes
            to `quantization(gaussians)`.

    Raises:
        InputError: no Gaussian can be drawn, or an option is out of range.
    """
    scene = with_finite_values(gaussians.detach().to("cpu", torch.float32))
    fine = drawable(scene)
    if not bool(fine.any()):
        raise InputError("the scene has no Gaussians that can be drawn; .splatz needs one")
    scene = scene[fine]
    if quantization is None:
        quantization = fit_quantization(
            scene, options, None if weights is None else weights.detach().cpu()[fine], metric
        )
    else:
        quantization = quantization.to("cpu")[fine]
    parents, stored = quantization.parents, quantization.stored
    if parents is not None:
        scene, quantization = scene[stored], quantization[stored]
    codes = quantization.codes(scene)
    place = z_order(codes.cells.numpy())
    order = np.lexsort((codes.shifts.numpy(), place))
    codes = _reordered(codes, torch.from_numpy(order))
    sections = [
        pack_cells(place[order], quantization.steps.bits),
        _pack_shape(codes),
        _pack_appearance(codes),
        _pack_harmonics(codes, quantization.basis) if quantization.bases else b"",
    ]
    if parents is not None:
        row = order.argsort()[(torch.cumsum(stored, dim=0) - 1).clamp_min(0).numpy()]
        owners, partners = row[parents[~stored].T.numpy()]
        sections.append(pack_midpoints(owners, partners, codes.cells.numpy()))
    steps, flags = quantization.steps, ANTIALIASED * antialiased + SHAPES * (quantization.shapes is not None)
    flags += MIDPOINTS * (parents is not None)
    degree = round(math.sqrt(quantization.bases + 1)) - 1
    numbers = [*steps.center, steps.radius, *steps.low, steps.cell]
    numbers += (steps.scale, steps.rotation, steps.opacity, steps.color, steps.sh)
    data = struct.pack(HEADER, MAGIC, VERSION, flags, len(scene), degree, steps.bits, *numbers)
    data += b"".join(struct.pack("<I", len(section)) for section in sections) + b"".join(sections)
    return data.ljust(_least(_most(len(scene), flags), degree), b"\0")


def decode(data: bytes, name: str) -> Gaussians:
    """The scene in the bytes of a file called `name`.

    Raises:
        InputError: see `read`.
    """
    with workers() as pool:
        scene, finite = values_in_blocks(*read_codes(data, name, pool), pool)
    if not finite:
        raise InputError(f"{name}: holds numbers that are not finite. {REMEDY}")
    return scene


def read_codes(data: bytes, name: str, pool: Executor) -> tuple[Codes, Steps, Tensor]:
    """The whole numbers in a file, its steps, and its principal components."""
    if data[:4] != MAGIC:
        raise InputError(f"{name}: not a .splatz file: it begins with {data[:4].hex(' ') or 'nothing'}")
    reader = ByteReader(data, name)
    _, version, flags, count, degree, bits, *numbers = reader.unpack(HEADER, "a header")
    if version != VERSION:
        raise InputError(f"{name}: version {version} of .splatz; {VERSION} can be read. Update splat")
    if flags & ~(ANTIALIASED | SHAPES | MIDPOINTS):
        raise InputError(f"{name}: flags {flags:#x} of .splatz are not known. {REMEDY} Or update splat")
    fine = all(math.isfinite(number) for number in numbers) and all(0 < number < 1e9 for number in numbers[7:])
    if not 0 < count <= MOST or degree > 4 or not 0 < bits <= MOST_BITS or not fine:
        raise InputError(
            f"{name}: its header is not as it should be ({count:,} Gaussians of degree {degree}). {REMEDY}"
        )
    if len(data) < _least(_most(count, flags), degree):
        check_ratio(name, len(data), _floats(_most(count, flags), degree))
    steps = Steps(tuple(numbers[:3]), numbers[3], tuple(numbers[4:7]), numbers[7], bits, *numbers[8:])
    names = (*SECTIONS, "midpoints") if flags & MIDPOINTS else SECTIONS
    sizes = [reader.unpack("<I", "sizes of sections")[0] for _ in names]
    parts = [ByteReader(reader.take(size, what), f"{name}: {what}") for size, what in zip(sizes, names, strict=True)]
    reader.end()
    shifts = _unpack_shifts(parts[1], count)
    positions = pool.submit(unpack_cells, parts[0], count, bits)
    shape = pool.submit(unpack_shapes if flags & SHAPES else _unpack_shape, parts[1], shifts)
    appearance = pool.submit(_unpack_appearance, parts[2], shifts)
    labels, book, exact, rests, basis = _unpack_harmonics(parts[3], shifts, 3 * ((degree + 1) ** 2 - 1), pool)
    scales, rotations, shapes = shape.result()
    opacities, colors = appearance.result()
    cells = positions.result()
    between = None
    if flags & MIDPOINTS:
        owners, partners = unpack_midpoints(parts[4], cells)
        between = torch.from_numpy(owners), torch.from_numpy(partners)
    codes = Codes(
        cells=torch.from_numpy(cells),
        shifts=torch.from_numpy(shifts),
        scales=torch.from_numpy(scales),
        rotations=torch.from_numpy(rotations),
        opacities=torch.from_numpy(opacities),
        colors=torch.from_numpy(colors),
        labels=torch.from_numpy(labels),
        book=torch.from_numpy(book),
        exact=torch.from_numpy(exact),
        rests=torch.from_numpy(rests),
        shapes=shapes,
        between=between,
    )
    return codes, steps, basis


def _pack_shape(codes: Codes) -> bytes:
    shifts = codes.shifts.numpy()
    scales, turns = (tensor.numpy().astype(np.int32) for tensor in (codes.scales, codes.rotations))
    out = pack(shifts, bucket=1)
    if codes.shapes is not None:
        return out + pack_shapes(codes.shapes, scales, turns, shifts)
    scales, turns = scales.T, turns.T
    for axis in range(3):
        out += pack(scales[axis], _scale_context(scales, shifts, axis))
    for axis in range(3):
        out += pack(turns[axis], _turn_context(scales, shifts, axis))
    return out


def _unpack_shifts(reader: ByteReader, count: int) -> Shifts:
    shifts = unpack(reader, count, bucket=1)
    if not 0 <= shifts.min() <= shifts.max() < 4:
        raise InputError(f"{reader.name}: there are four classes of importance. {REMEDY}")
    return shifts.astype(np.uint8)


def _unpack_shape(reader: ByteReader, shifts: Shifts) -> tuple[Whole, Whole, None]:  # [N, 3], [N, 3]
    scales, turns = np.empty((3, len(shifts)), dtype=np.int32), np.empty((3, len(shifts)), dtype=np.int32)
    for axis in range(3):
        Stream(reader).unpack(scales[axis], _scale_context(scales, shifts, axis))
    for axis in range(3):
        Stream(reader).unpack(turns[axis], _turn_context(scales, shifts, axis))
    return scales.T, turns.T, None


def _scale_context(scales: Whole, shifts: Shifts, axis: int) -> Contexts:
    """The importance, and the scales [3, N] of the axes before."""
    if axis == 0:
        return shifts.astype(np.uint16)
    before = scales[0] if axis == 1 else scales[0] + scales[1] >> 1
    return _joined(before + MIDDLES[shifts], shifts)


def _turn_context(scales: Whole, shifts: Shifts, axis: int) -> Contexts:
    """The importance, and by how much the other two scales differ."""
    return _joined(np.abs(scales[(axis + 1) % 3] - scales[(axis + 2) % 3]), shifts)


def _joined(known: Whole, shifts: Shifts) -> Contexts:
    """Two things known, as one context."""
    return known.clip(0, LEVELS).astype(np.uint16) * np.uint16(4) + shifts


def _pack_appearance(codes: Codes) -> bytes:
    shifts, colors = codes.shifts.numpy(), codes.colors.numpy()
    out = pack(codes.opacities.numpy(), shifts)
    for channel in range(3):
        out += pack(colors[:, channel], shifts, COLOR_BUCKET, shifts)
    return out


def _unpack_appearance(reader: ByteReader, shifts: Shifts) -> tuple[Whole, Whole]:  # [N], [N, 3]
    known = shifts.astype(np.uint16)
    opacities, colors = unpack(reader, len(shifts), known), np.empty((3, len(shifts)), dtype=np.int32)
    for channel in range(3):
        Stream(reader).unpack(colors[channel], known, COLOR_BUCKET, shifts)
    return opacities, colors.T


def _pack_harmonics(codes: Codes, basis: Tensor) -> bytes:
    out = struct.pack("<I", len(codes.book)) + basis.half().numpy().astype("<f2").tobytes()
    out += _pack_rows(codes.book.numpy(), np.zeros(len(codes.book), dtype=np.int64))
    out += pack(codes.labels.numpy(), most_bits=16)
    exact = np.zeros(len(codes.labels), dtype=np.int64)
    exact[codes.exact.numpy()] = 1
    return out + pack(exact, bucket=1) + _pack_rows(codes.rests.numpy(), codes.shifts[codes.exact].numpy())


def _unpack_harmonics(
    reader: ByteReader, shifts: Shifts, width: int, pool: Executor
) -> tuple[Whole, Whole, NDArray[np.int64], Whole, Tensor]:
    """Labels [N], codebook [K, D], which Gaussians have rows of their own [M], those [M, D], principal components."""
    count = len(shifts)
    if not width:
        none, labels = np.zeros((1, 0), dtype=np.int32), np.zeros(count, dtype=np.int32)
        return labels, none, np.zeros(0, dtype=np.int64), none[:0], torch.zeros(0, 0)
    (entries,) = reader.unpack("<I", "the size of the codebook")
    if not 0 < entries <= 1 << 16:
        raise InputError(f"{reader.name}: a codebook of {entries:,} entries cannot be. {REMEDY}")
    basis = torch.from_numpy(reader.array("<f2", (width, width), "principal components").astype(np.float32))
    order, entry = _unpack_rows(reader, np.zeros(entries, dtype=np.uint8), width, pool)
    book = np.empty_like(entry)
    book[order] = entry
    labels = unpack(reader, count)
    if not 0 <= labels.min() <= labels.max() < entries:
        raise InputError(f"{reader.name}: a label beyond the {entries:,} entries of the codebook. {REMEDY}")
    exact = unpack(reader, count, bucket=1)
    if not 0 <= exact.min() <= exact.max() <= 1:
        raise InputError(f"{reader.name}: harmonics are exact or not. {REMEDY}")
    place = exact.nonzero()[0]
    order, rests = _unpack_rows(reader, shifts[place], width, pool)
    return labels, book, place[order], rests, basis


def _pack_rows(rows: Whole, shifts: Whole) -> bytes:
    """Rows [M, D] that end in zeros: how many numbers each has, then these, column by column, the longest rows first."""
    filled = rows != 0
    lengths = np.where(filled.any(axis=1), rows.shape[1] - filled[:, ::-1].argmax(axis=1), 0)
    order, held = _longest_first(lengths, rows.shape[1])
    out, step = pack(lengths, shifts), shifts[order]
    for column, number in enumerate(held):
        out += pack(rows[order[:number], column], step[:number])
    return out


def _unpack_rows(
    reader: ByteReader, shifts: Shifts, width: int, pool: Executor
) -> tuple[NDArray[np.int64], Whole]:  # [M], [M, width]
    """The rows, longest first, and which each is."""
    lengths = unpack(reader, len(shifts), shifts.astype(np.uint16))
    if len(lengths) and not 0 <= lengths.min() <= lengths.max() <= width:
        raise InputError(f"{reader.name}: a row longer than {width}. {REMEDY}")
    order, held = _longest_first(lengths, width)
    known = shifts[order].astype(np.uint16)
    columns = np.zeros((width, len(shifts)), dtype=np.int32)

    def read(stream: Stream, column: int, number: int) -> None:
        stream.unpack(columns[column, :number], known[:number])

    for _ in pool.map(read, [Stream(reader) for _ in held], range(width), held):
        pass
    return order, columns.T


def _longest_first(lengths: Whole, width: int) -> tuple[NDArray[np.int64], list[int]]:
    """An order of rows, and how many of them have a number in each column."""
    order = (width - lengths).astype(np.uint8).argsort(kind="stable")
    longer = np.bincount(lengths, minlength=width + 1)[::-1].cumsum()[::-1]
    return order, [int(number) for number in longer[1:] if number]


def _reordered(codes: Codes, order: Tensor) -> Codes:
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    exact, sorting = place[codes.exact].sort()
    rows = ("cells", "shifts", "scales", "rotations", "opacities", "colors", "labels")
    columns = {name: getattr(codes, name)[order].contiguous() for name in rows}
    return Codes(**columns, book=codes.book, exact=exact, rests=codes.rests[sorting], shapes=codes.shapes)


def _floats(count: int, degree: int) -> int:
    """Bytes of the decoded scene."""
    return 4 * count * (11 + 3 * (degree + 1) ** 2)


def _most(count: int, flags: int) -> int:
    """Gaussians that a file of so many stored ones can decode to: a midpoint for each."""
    return 2 * count if flags & MIDPOINTS else count


def _least(count: int, degree: int) -> int:
    """Length of the shortest file that is believed to hold so many Gaussians; shorter ones are filled up."""
    size = _floats(count, degree)
    return 0 if size <= ALWAYS else -(-size // RATIO)
