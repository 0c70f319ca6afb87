"""Laws of the spherical harmonics."""

import numpy as np
import pytest
import torch

from splat.gaussians import SH_C0
from splat.spherical_harmonics import basis, color


def sphere(order: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions and weights of a quadrature that is exact for polynomials of degree 2 order - 1."""
    z, weight = np.polynomial.legendre.leggauss(order)
    angle = 2 * np.pi * np.arange(2 * order) / (2 * order)
    z, angle, weight = (
        a.ravel() for a in np.broadcast_arrays(z[:, None], angle[None], weight[:, None] * np.pi / order)
    )
    radius = np.sqrt(1 - z**2)
    return torch.tensor(np.stack([radius * np.cos(angle), radius * np.sin(angle), z], 1)), torch.tensor(weight.copy())


def test_orthonormal():
    directions, weights = sphere()
    Y = basis(4, directions)
    torch.testing.assert_close(Y.T @ (Y * weights[:, None]), torch.eye(25, dtype=torch.float64), atol=1e-12, rtol=0)


def test_power_of_a_degree_does_not_depend_on_direction():
    """sum_m Y_lm^2 = (2 l + 1) / (4 pi) (Unsoeld)."""
    Y = basis(4, sphere()[0])
    for degree in range(5):
        power = (Y[:, degree**2 : (degree + 1) ** 2] ** 2).sum(1)
        torch.testing.assert_close(power, torch.full_like(power, (2 * degree + 1) / (4 * np.pi)))


def test_published_signs_and_order():
    """First-degree functions are -y, z, -x; the zeroth is the constant that converts colors."""
    Y = basis(1, torch.tensor([[0.36, 0.48, 0.8]], dtype=torch.float64))[0]
    c1 = 0.4886025119029199
    torch.testing.assert_close(Y, torch.tensor([SH_C0, -0.48 * c1, 0.8 * c1, -0.36 * c1], dtype=torch.float64))


def test_color_is_cut_off_at_zero_without_gradient():
    sh0 = torch.tensor([[-10.0, 0.0, 1.0]], requires_grad=True)
    rgb = color(0, sh0, torch.zeros(1, 0, 3), torch.tensor([[0.0, 0, 1]]))
    rgb.sum().backward()
    assert rgb[0, 0] == 0 and sh0.grad[0, 0] == 0
    assert rgb[0, 1].item() == 0.5 and sh0.grad[0, 2].item() == pytest.approx(SH_C0)


def test_degree_out_of_range():
    with pytest.raises(ValueError, match="degree"):
        basis(5, torch.zeros(1, 3))
