"""The sample capture is a real capture: it reads back, its tracks are true, its photos show what its points say."""

import numpy as np
import pycolmap
import pytest
import torch

from splat.cli import main as cli
from splat.datasets.load import load_capture
from splat.datasets.sample.ray_tracer import rays, trace
from splat.datasets.sample.sample_capture import KEYPOINT_NOISE, sample_cameras, write_sample


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, 96, 64, 8, seed=0)
    return folder


def test_it_reads_back_with_its_exact_cameras(sample):
    scene = load_capture(sample)
    assert len(scene) == 8 and len(scene.points) > 1500 and not scene.skipped
    for frame, camera in zip(scene.frames, sample_cameras(8, 96, 64), strict=True):
        torch.testing.assert_close(frame.camera.viewmat, camera.viewmat, atol=1e-5, rtol=0)
        torch.testing.assert_close(frame.camera.K, camera.K)


def test_tracks_are_true(sample):
    """Points project onto their observations to within the noise, and each is seen by three photos at least."""
    model = pycolmap.Reconstruction(str(sample / "sparse/0"))
    errors = []
    for point in model.points3D.values():
        assert point.track.length() >= 3
        for element in point.track.elements:
            image = model.images[element.image_id]
            observed = image.points2D[element.point2D_idx]
            errors.append(np.asarray(image.project_point(point.xyz)) - observed.xy)
    spread = np.concatenate(errors).std()
    assert 0.9 * KEYPOINT_NOISE < spread < 1.1 * KEYPOINT_NOISE
    assert model.compute_mean_reprojection_error() < 1


def test_points_have_the_color_of_the_photos(sample):
    scene = load_capture(sample)
    frame = scene.frames[0]
    origins = frame.camera.position
    local = scene.points @ frame.camera.viewmat[:3, :3].T + frame.camera.viewmat[:3, 3]
    pixel = local @ frame.camera.K.T
    place = pixel[:, :2] / pixel[:, 2:]
    inside = (local[:, 2] > 0) & (place > 1).all(1) & (place < torch.tensor([95.0, 63.0])).all(1)
    distance, _ = trace(*rays(frame.camera, place[inside, 0], place[inside, 1]))
    visible = (distance - (scene.points[inside] - origins).norm(dim=1)).abs() < 0.01
    where = place[inside][visible].long()
    photo = frame.image[where[:, 1], where[:, 0]].float()
    difference = (photo - scene.colors[inside][visible].float()).abs().mean(1)
    assert len(difference) > 200 and difference.median() < 15


def test_photos_are_pictures(sample):
    """Bright, contrasty, colorful, and no two alike."""
    images = [frame.image.float() for frame in load_capture(sample).frames]
    for image in images:
        assert 60 < image.mean() < 200 and image.std() > 35
        assert (image.amax(2) - image.amin(2)).mean() > 20
    assert all((images[0] - other).abs().mean() > 8 for other in images[1:])


def test_cameras_are_upright():
    for camera in sample_cameras(12, 96, 64):
        assert camera.viewmat[0, 1].abs() < 1e-5  # x runs level
        assert camera.viewmat[1, 1] > 0.5  # y runs down, as the world's


def test_same_seed_same_files(tmp_path):
    for name in ("a", "b"):
        write_sample(tmp_path / name, 24, 16, 4, seed=3)
    for file in ("images/000.png", "sparse/0/points3D.bin", "sparse/0/images.bin"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["full"], "not an empty folder"),
        (["new", "--size", "big"], "--size"),
        (["new", "--size", "4x4"], "--size"),
        (["new", "--views", "1"], "--views"),
    ],
)
def test_mistakes_are_explained(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("notes")
    with pytest.raises(SystemExit) as end:
        cli.main(["sample", *arguments])
    assert end.value.code == 1 and message in capsys.readouterr().err
    assert (tmp_path / "full/mine.txt").read_text() == "notes" and not (tmp_path / "new").exists()
