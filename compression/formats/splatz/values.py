"""From the whole numbers of a `.splatz` to Gaussians on threads, block by block: what is made on the way stays in the cache.

Threads of torch's own would wait for each other after every step. Blocks are the same on any number of threads, and so are
the last bits of what comes out.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from splat.compression.formats.splatz.codes import Codes, own_harmonics, shared_values
from splat.compression.formats.splatz.optional.midpoints import with_midpoints
from splat.compression.formats.splatz.steps import Steps
from splat.gaussians import Gaussians

BLOCK = 1 << 14
"""Gaussians."""
MOST_THREADS = 8
"""Each may hold a model of 6 MB while it reads a stream."""


@contextmanager
def workers() -> Iterator[Executor]:
    """As many threads as torch has here, in each of which it has one."""
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(min(MOST_THREADS, threads), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)  # which is also what threads to come begin with


def values_in_blocks(codes: Codes, steps: Steps, basis: Tensor, pool: Executor) -> tuple[Gaussians, bool]:
    """`codes.values`, up to rounding, and whether they all are finite."""
    count, entries = len(codes.shifts), codes.book.float() * steps.sh @ basis
    gaussians = Gaussians.empty(count, len(basis) // 3)

    def fill_shared(block: slice) -> None:
        found = shared_values(_rows(codes, block), steps, entries).tensors()
        for name, tensor in gaussians.tensors().items():
            tensor[block] = found[name]

    def add_own(block: slice) -> None:
        exact = codes.exact[block]
        found = own_harmonics(codes.rests[block], codes.shifts[exact], steps, basis)
        gaussians.sh_rest.flatten(1).index_add_(0, exact, found)

    def is_finite(block: slice) -> bool:
        ends = (end for tensor in gaussians.tensors().values() if tensor.numel() for end in tensor[block].aminmax())
        return all(math.isfinite(float(end)) for end in ends)

    _each(pool, fill_shared, count)
    _each(pool, add_own, len(codes.exact))
    return with_midpoints(gaussians, codes.between), all(_each(pool, is_finite, count))


def _rows(codes: Codes, block: slice) -> Codes:
    """Some of the Gaussians, without what their harmonics differ from the codebook."""
    names = ("cells", "shifts", "scales", "rotations", "opacities", "colors", "labels")
    rows = {name: getattr(codes, name)[block] for name in names}
    return Codes(**rows, book=codes.book, exact=codes.exact[:0], rests=codes.rests[:0], shapes=codes.shapes)


def _each(pool: Executor, work: Callable[[slice], Any], count: int) -> list[Any]:
    return list(pool.map(work, [slice(start, start + BLOCK) for start in range(0, count, BLOCK)]))
