"""Laws of rotations."""

import torch

from splat.geometry.quaternions import from_rotation_vector, product, rotate, rotation_matrix, unit


def quats(count: int = 50) -> torch.Tensor:
    return torch.randn(count, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_matrices_are_rotations():
    R = rotation_matrix(quats())
    identity = torch.eye(3, dtype=torch.float64).expand_as(R)
    torch.testing.assert_close(R @ R.transpose(1, 2), identity)
    torch.testing.assert_close(torch.linalg.det(R), torch.ones(len(R), dtype=torch.float64))


def test_length_and_sign_do_not_matter():
    torch.testing.assert_close(rotation_matrix(quats()), rotation_matrix(-3.7 * quats()))


def test_lengths_near_the_ends_of_the_floats_do_not_matter():
    for length in (1e-42, 1e-38, 1e-20, 1.0, 1e20, 3e38):
        found = unit(torch.tensor([[length, -length, 0.0, length]]))
        torch.testing.assert_close(found, torch.tensor([[1.0, -1.0, 0.0, 1.0]]) / 3**0.5)
    assert not unit(torch.zeros(1, 4)).any()


def test_product_of_quaternions_is_product_of_matrices():
    a, b = quats(), quats().flip(0)
    torch.testing.assert_close(rotation_matrix(product(a, b)), rotation_matrix(a) @ rotation_matrix(b))


def test_known_turn():
    """Half the angle in w: a quarter turn about z takes x to y."""
    quarter = torch.tensor([0.5**0.5, 0, 0, 0.5**0.5])
    torch.testing.assert_close(rotate(quarter, torch.tensor([1.0, 0, 0])), torch.tensor([0.0, 1, 0]), atol=1e-6, rtol=0)


def test_turns_by_a_vector_are_matrix_exponentials():
    for scale in (0.0, 1e-12, 1e-5, 0.4, 3.0):
        x, y, z = vector = scale * torch.tensor([0.3, -0.5, 0.8], dtype=torch.float64)
        cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
        torch.testing.assert_close(rotation_matrix(from_rotation_vector(vector)), torch.linalg.matrix_exp(cross))
