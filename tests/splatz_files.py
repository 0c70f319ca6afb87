"""What tests of `.splatz` share: scenes in one order, files damaged at random, and quantizations that learn."""

from collections.abc import Callable

import numpy as np
import torch
from hypothesis import strategies as st

import splat
from splat import Camera, Gaussians
from splat.compression.formats.splatz import container as splatz
from splat.compression.formats.splatz.quantization import Quantization
from splat.errors import InputError
from splat.geometry.quaternions import rotation_matrix

CAMERA = Camera.look_at((0, -1, -4), (0, 0, 0), width=120, height=80)


def by_place(gaussians: Gaussians) -> Gaussians:
    """In an order that does not depend on the file's."""
    order = np.lexsort(torch.cat([gaussians.sh0, gaussians.log_scales, gaussians.means], dim=1).numpy().T)
    return gaussians[torch.from_numpy(order)]


def is_the_same(found: Gaussians, wanted: Gaussians) -> None:
    """Up to rounding, in any order."""
    found, wanted = by_place(found), by_place(wanted)
    for name, tensor in wanted.tensors().items():
        torch.testing.assert_close(found.tensors()[name], tensor, rtol=0, atol=2e-6, msg=name)


def covariances(quats: torch.Tensor, log_scales: torch.Tensor) -> torch.Tensor:
    axes = rotation_matrix(quats.double()) * log_scales.double().exp()[:, None]
    return axes @ axes.transpose(1, 2)


def survives_damage(good: bytes, change: str, places: st.SearchStrategy[int], data: st.DataObject) -> None:
    """A file that is cut off, or has some bits flipped at the places, is refused by name, or is a small scene."""
    content = bytearray(good)
    if change == "cut":
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 6))):
            content[data.draw(places)] ^= 1 << data.draw(st.integers(0, 7))
    try:
        assert len(splatz.decode(bytes(content), "scene")) < 100_000
    except InputError as error:
        assert "scene" in str(error)


def learns(
    quantization: Quantization, before: Gaussians, looked_at: Callable[[Gaussians], None] = lambda leaf: None
) -> None:
    """Optimizing what the quantization draws makes the file's picture better.

    Args:
        looked_at: is given the leaves with their gradients, before every step.
    """
    picture = splat.render(before, CAMERA).rgb
    leaf = before.detach().map(torch.clone).requires_grad_()
    optimizer = torch.optim.Adam(list(leaf.tensors().values()), lr=0.01)

    def error() -> float:
        read = splatz.decode(splatz.encode(leaf, quantization=quantization), "x")
        return float((splat.render(read, CAMERA).rgb - picture).square().mean())

    first = error()
    for _ in range(40):
        optimizer.zero_grad()
        (splat.render(quantization(leaf), CAMERA).rgb - picture).square().mean().backward()
        looked_at(leaf)
        optimizer.step()
    assert error() < 0.85 * first
