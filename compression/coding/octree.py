"""Positions as cells of an octree: which children of every node are occupied, from the root down to where cells hold little
more than one Gaussian each; then how many each holds, and the remaining bits of every Gaussian as they are.

The order of the Gaussians is not kept, which saves log2(N) - 1.44 bits each. A node's occupancy is predicted from how many
siblings it has, apart in every level (octrees: Meagher 1982; MPEG's G-PCC codes point clouds in a similar way).
"""

import struct

import numpy as np
from numpy.typing import NDArray

from splat.compression.coding.byte_reader import REMEDY, ByteReader
from splat.compression.coding.entropy import Whole, pack, unpack
from splat.cuda_rasterizer.native import load
from splat.errors import InputError

Places = NDArray[np.int64]

MOST_BITS = 20
"""Levels at most: three axes of 20 bits fit into 60."""
CROWD = 1.1
"""Gaussians in an occupied cell, on average, below which the octree ends."""
CHILDREN = np.array([occupancy.bit_count() for occupancy in range(256)], dtype=np.uint8)


def pack_cells(codes: Places, bits: int) -> bytes:
    """Ascending codes [N] of `bits` levels as bytes."""
    depth = 0
    while depth < bits and len(codes) > CROWD * len(_starts(codes >> 3 * (bits - depth))):
        depth += 1
    starts = _starts(codes >> 3 * (bits - depth))
    leaves, counts = codes[starts] >> 3 * (bits - depth), np.diff(starts, append=len(codes))
    out, siblings = struct.pack("<B", depth), np.zeros(1, dtype=np.int64)
    for level in range(depth):
        children = leaves >> 3 * (depth - level - 1)
        children = children[_starts(children)]
        starts = _starts(children >> 3)
        out += pack(np.add.reduceat(1 << (children & 7), starts), siblings)
        number = np.diff(starts, append=len(children))
        siblings = np.repeat(number, number)
    rest = 3 * (bits - depth)
    low = np.ascontiguousarray(codes & ((1 << rest) - 1), dtype=">u8").view(np.uint8).reshape(-1, 8)
    return out + pack(counts - 1) + np.packbits(np.unpackbits(low, axis=1)[:, 64 - rest :]).tobytes()


def unpack_cells(reader: ByteReader, count: int, bits: int) -> Whole:  # [N, 3], ascending by code
    """The cells again.

    Raises:
        InputError: the stream is damaged, or holds another number of Gaussians.
    """
    (depth,) = reader.unpack("<B", "the depth of the octree")
    if depth > bits:
        raise InputError(f"{reader.name}: an octree of {depth} levels for {bits} bits. {REMEDY}")
    nodes, siblings = np.zeros(1, dtype=np.uint64), np.zeros(1, dtype=np.uint16)
    for _ in range(depth):
        occupancy = unpack(reader, len(nodes), siblings)
        if not 1 <= occupancy.min() <= occupancy.max() <= 255:
            raise InputError(f"{reader.name}: a node without children. {REMEDY}")
        number = int(CHILDREN[occupancy].sum(dtype=np.int64))
        if number > count:
            raise InputError(f"{reader.name}: more than the {count:,} cells promised. {REMEDY}")
        children, siblings = np.empty(number, dtype=np.uint64), np.empty(number, dtype=np.uint16)
        addresses = [array.ctypes.data for array in (nodes, occupancy, children, siblings)]
        load().expand_nodes(*addresses[:2], len(nodes), *addresses[2:])
        nodes = children
    counts = unpack(reader, len(nodes)) + 1
    if counts.min() < 1 or int(counts.sum(dtype=np.int64)) != count:
        found = int(counts.sum(dtype=np.int64))
        raise InputError(f"{reader.name}: {found:,} Gaussians in cells, expected {count:,}. {REMEDY}")
    rest = 3 * (bits - depth)
    packed = reader.array("u1", ((count * rest + 7) // 8,), "bits of positions")
    cells = np.empty((count, 3), dtype=np.int32)
    addresses = [array.ctypes.data for array in (nodes, counts, packed, cells)]
    load().place_cells(*addresses[:2], len(nodes), rest, addresses[2], len(packed), addresses[3])
    return cells


def _starts(ascending: Places) -> Places:
    """Where runs of equal values begin."""
    return np.flatnonzero(np.diff(ascending, prepend=ascending[:1] - 1))
