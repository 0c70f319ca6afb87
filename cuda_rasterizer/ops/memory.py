"""Fresh memory for what the kernels write, and a message that helps where there is none left."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from splat.cuda_rasterizer import native
from splat.cuda_rasterizer.ops.schema import Options

HUGE_BYTES = 4 << 20
"""From this size on memory is asked for in huge pages: two of the usual 2 MB, of which one at least is then whole."""


class TooManyIntersectionsError(RuntimeError):
    """A render would need more room than the settings allow. The message says what to do."""


def empty(like: Tensor, *shape: Any, dtype: torch.dtype | None = None) -> Tensor:
    """Uninitialized memory, in huge pages where it is large: it is fresh in every step (see csrc/cpu/memory.h)."""
    tensor = like.new_empty(*shape, dtype=dtype)
    # The type first: fake tensors are of another, and may not know how large they are.
    if type(tensor) is Tensor and tensor.is_cpu and tensor.nbytes >= HUGE_BYTES:
        native.load().advise_huge_pages(tensor.data_ptr(), tensor.nbytes)
    return tensor


def scratch(like: Tensor, size: int) -> Tensor:
    """So many bytes for a kernel to work in."""
    return empty(like, size, dtype=torch.uint8)


@contextmanager
def explained(options: Options, intersections: int) -> Iterator[None]:
    """Say what was asked for and how to need less, where torch says only that memory ran out."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise torch.OutOfMemoryError(
            f"out of memory for an image of {options.width} x {options.height} with {intersections:,} intersections of "
            "tiles and Gaussians. Draw fewer Gaussians, a smaller image or one camera at a time"
            + (", or without RenderSettings.deterministic" if options.deterministic else "")
            + f". torch says: {error}"
        ) from error
