"""Laws of similarities: a scene and its camera moved together give the same picture."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import splat
from scenes import cameras, cloud
from splat import Camera, Gaussians, RenderSettings
from splat.compression.formats.axes import RUB, turned
from splat.geometry.quaternions import from_rotation_matrix, rotation_matrix
from splat.geometry.similarity import Similarity, harmonics_rotation
from splat.reference import render as reference
from splat.spherical_harmonics import basis

rotations = st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: sum(x * x for x in q) > 1e-3)
numbers = st.floats(-5, 5)
similarities = st.builds(
    lambda q, t, s: Similarity(rotation_matrix(torch.tensor(q, dtype=torch.float64)), torch.tensor(t), math.exp(s)),
    rotations,
    st.lists(numbers, min_size=3, max_size=3),
    st.floats(-2, 2),
)


def a_similarity(scale: float = 1.7) -> Similarity:
    return Similarity.from_euler((25.0, -130.0, 70.0), (0.4, -2.0, 3.0), scale)


def directions() -> torch.Tensor:
    d = torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    return d / d.norm(dim=1, keepdim=True)


def covariances(scene: Gaussians) -> torch.Tensor:  # [N, 3, 3]
    axes = rotation_matrix(scene.quats) * scene.scales[:, None, :]
    return axes @ axes.transpose(1, 2)


@settings(max_examples=30)
@given(rotations)
def test_harmonics_turn_with_the_scene(quat: list[float]) -> None:
    """The color from R d afterwards is the color from d before, for every degree."""
    R = rotation_matrix(torch.tensor(quat, dtype=torch.float64))
    sh = torch.randn(25, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    d = directions()
    before, after = basis(4, d) @ sh, basis(4, d @ R.T) @ (harmonics_rotation(4, R) @ sh)
    torch.testing.assert_close(after, before, atol=1e-11, rtol=0)


@settings(max_examples=30)
@given(rotations, rotations)
def test_harmonics_follow_the_group(first: list[float], second: list[float]) -> None:
    """Orthogonal, and the matrix of a product is the product of the matrices."""
    A, B = (rotation_matrix(torch.tensor(q, dtype=torch.float64)) for q in (first, second))
    M = harmonics_rotation(4, A)
    torch.testing.assert_close(M @ M.T, torch.eye(25, dtype=torch.float64), atol=1e-11, rtol=0)
    torch.testing.assert_close(harmonics_rotation(4, A @ B), M @ harmonics_rotation(4, B), atol=1e-11, rtol=0)


@pytest.mark.parametrize("degree", range(5))
@pytest.mark.parametrize("antialiased", [False, True])
def test_moved_scene_looks_the_same_to_the_moved_camera(degree: int, antialiased: bool) -> None:
    scene, views = cloud(60, sh_degree=degree, dtype=torch.float64), cameras(4, dtype=torch.float64)
    move, settings = a_similarity(), RenderSettings(antialiased=antialiased)
    expected = reference.render(scene, views, depth=True, settings=settings)
    actual = reference.render(move.gaussians(scene), move.camera(views), depth=True, settings=settings)
    torch.testing.assert_close(actual.rgb, expected.rgb, atol=1e-5, rtol=0)
    torch.testing.assert_close(actual.alpha, expected.alpha, atol=1e-5, rtol=0)
    torch.testing.assert_close(actual.depth, move.scale * expected.depth, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_in_single_precision_too(scale: float) -> None:
    scene, views = cloud(300, sh_degree=4), cameras(4)
    move = a_similarity(scale)
    expected = splat.render(scene, views).rgb
    settings = RenderSettings(near=scale * RenderSettings().near)
    actual = splat.render(move.gaussians(scene), move.camera(views), settings=settings).rgb
    assert (actual - expected).abs().mean() < 1e-5
    assert (actual - expected).abs().max() < 5e-3  # one step of alpha where a footprint's edge is rounded differently


def test_half_turns_are_the_sign_changes_of_file_formats() -> None:
    scene = cloud(20, sh_degree=4, dtype=torch.float64)
    half_turn = Similarity(torch.diag(torch.tensor(RUB, dtype=torch.float64)), torch.zeros(3))
    actual, expected = half_turn.gaussians(scene), turned(scene, RUB)
    torch.testing.assert_close(covariances(actual), covariances(expected))
    for name in ("means", "log_scales", "logit_opacities", "sh0", "sh_rest"):
        torch.testing.assert_close(actual.tensors()[name], expected.tensors()[name])


@settings(max_examples=30)
@given(similarities, similarities)
def test_products_and_inverses(a: Similarity, b: Similarity) -> None:
    points = directions()[:5]
    torch.testing.assert_close((a @ b).points(points), a.points(b.points(points)))
    torch.testing.assert_close(a.inverse().points(a.points(points)), points)
    center = points[0]
    torch.testing.assert_close(
        Similarity(a.rotation, torch.zeros(3), a.scale).about(center).points(center), center, atol=1e-12, rtol=0
    )


@settings(max_examples=30)
@given(similarities)
def test_moving_back_gives_the_scene(a: Similarity) -> None:
    scene = cloud(10, sh_degree=4, dtype=torch.float64)
    back = a.inverse().gaussians(a.gaussians(scene))
    torch.testing.assert_close(rotation_matrix(back.quats), rotation_matrix(scene.quats))
    for name in ("means", "log_scales", "sh0", "sh_rest"):
        torch.testing.assert_close(back.tensors()[name], scene.tensors()[name])


def test_cameras_in_a_batch_are_moved_one_by_one() -> None:
    move, batch = a_similarity(), cameras(3)
    each = [Camera(v, K, batch.width, batch.height) for v, K in zip(batch.viewmat, batch.K, strict=True)]
    torch.testing.assert_close(move.camera(batch).viewmat, torch.stack([move.camera(c).viewmat for c in each]))
    torch.testing.assert_close(move.camera(batch).position, move.points(batch.position), atol=1e-5, rtol=0)


def test_euler_angles_are_applied_in_order() -> None:
    quarter = Similarity.from_euler((90.0, 0.0, 90.0))
    torch.testing.assert_close(  # about x: y becomes z, which a turn about z leaves alone
        quarter.points(torch.tensor([0.0, 1.0, 0.0])), torch.tensor([0.0, 0.0, 1.0]), atol=1e-7, rtol=0
    )
    torch.testing.assert_close(
        quarter.points(torch.tensor([1.0, 0.0, 0.0])), torch.tensor([0.0, 1.0, 0.0]), atol=1e-7, rtol=0
    )


def test_nothing_to_do_copies_nothing() -> None:
    scene = cloud(3)
    assert Similarity.identity().gaussians(scene) is scene
    assert not a_similarity().is_identity


def test_values_that_are_not_finite_stay_with_their_gaussian() -> None:
    scene = cloud(4, sh_degree=2)
    scene.means[1, 0], scene.quats[2], scene.sh_rest[3, 0, 0] = math.nan, 0.0, math.inf
    moved = a_similarity().gaussians(scene)
    assert moved.means[[0, 2, 3]].isfinite().all() and not moved.means[1].isfinite().all()
    assert (moved.quats[2] == 0).all() and moved.sh_rest[:3].isfinite().all()


def test_an_empty_scene_stays_empty() -> None:
    empty: Gaussians = cloud(4, sh_degree=3)[:0]
    assert len(a_similarity().gaussians(empty)) == 0


@given(rotations)
def test_quaternions_of_matrices(quat: list[float]) -> None:
    R = rotation_matrix(torch.tensor(quat, dtype=torch.float64))
    torch.testing.assert_close(rotation_matrix(from_rotation_matrix(R)), R)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Similarity(torch.eye(4), torch.zeros(3)), r"\[3, 3\]"),
        (lambda: Similarity(2 * torch.eye(3), torch.zeros(3)), "without scale or mirror"),
        (lambda: Similarity(torch.diag(torch.tensor([1.0, 1, -1])), torch.zeros(3)), "without scale or mirror"),
        (lambda: Similarity(torch.eye(3), torch.tensor([0, math.nan, 0])), "finite"),
        (lambda: Similarity(torch.eye(3), torch.zeros(3), 0.0), "scale"),
        (lambda: Similarity(torch.eye(3), torch.zeros(3), math.nan), "scale"),
        (lambda: Similarity(torch.eye(3), torch.zeros(3), -1.0), "scale"),
    ],
)
def test_misuse_is_explained(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()
