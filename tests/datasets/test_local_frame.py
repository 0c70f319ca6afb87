"""Captures far from the origin, in any unit, and with a camera far off: read as well as the same one in the middle."""

import json
import math
from pathlib import Path

import numpy as np
import pycolmap
import pytest
import torch
from captures import subject, write_capture
from hypothesis import example, given, settings
from hypothesis import strategies as st

import splat
from splat.datasets.capture import Capture
from splat.datasets.load import PhotoOptions, load_capture
from splat.datasets.local_frame import frame_of_scene, local_frame, localized
from splat.datasets.readers.model import Model, PosedImage
from splat.datasets.summary import blind_notes
from splat.errors import InputError
from splat.geometry.georeference import IDENTITY, Georeference
from splat.geometry.scene_size import camera_extent, natural_unit, near_plane, outlying, point_radius
from splat.geometry.similarity import Similarity
from splat.geometry.viewpoints import first_view
from splat.io.georeference_file import beside, read_georeference, write_georeference
from splat.opening import open_scene
from splat.run import Run
from splat.training.config import TrainConfig

UTM = (500_123.25, 4_649_776.5, 212.75)


def moved_capture(folder: Path, offset: tuple[float, float, float] = (0, 0, 0), scale: float = 1.0) -> Path:
    """The capture of tests/captures.py as another program's coordinates have it."""
    write_capture(folder, text=True)
    model = pycolmap.Reconstruction(folder / "sparse/0")
    model.transform(pycolmap.Sim3d(scale, pycolmap.Rotation3d(), np.array(offset, dtype=np.float64)))
    model.write_text(folder / "sparse/0")
    return folder


def pixels(capture: Capture) -> torch.Tensor:
    """Where every point lies in every photo."""
    return torch.stack([frame.camera.project(capture.points)[0] for frame in capture.frames])


@pytest.mark.parametrize("offset", [UTM, (-1e7, 3e6, -2e5), (0, 0, 1e5), (4_000.0, 0, 0)])
@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e4])
def test_cameras_see_the_points_where_they_are(
    tmp_path: Path, offset: tuple[float, float, float], scale: float
) -> None:
    plain = load_capture(moved_capture(tmp_path / "plain"))
    there = load_capture(moved_capture(tmp_path / "there", offset, scale))
    assert plain.georeference == IDENTITY
    # COLMAP's text has 17 digits; what a translation of 1e7 leaves of them bounds the error.
    lost = max(map(abs, offset)) / scale * 1e-14
    assert (pixels(there) - pixels(plain)).abs().max() < 2e-3 + 100 * lost
    assert 0.5 <= there.extent <= 1e4
    back = there.georeference.to_capture(there.points)
    expected = plain.points.double() * scale + torch.tensor(offset, dtype=torch.float64)
    assert (back - expected).abs().max() < 1e-6 * scale * plain.extent + 1e-13 * max(map(abs, offset))


def test_a_capture_of_usual_size_near_the_origin_stays_as_it_is(tmp_path: Path) -> None:
    capture = load_capture(moved_capture(tmp_path, (3.0, -2.0, 1.0), 7.0))
    assert capture.georeference.is_identity
    model = pycolmap.Reconstruction(tmp_path / "sparse/0")
    expected = np.array([model.points3D[identifier].xyz for identifier in sorted(model.points3D)])
    assert capture.points.numpy() == pytest.approx(expected, abs=1e-5)


def test_the_offset_is_a_round_number(tmp_path: Path) -> None:
    found = load_capture(moved_capture(tmp_path, UTM)).georeference
    assert all(value == round(value) for value in found.offset)
    assert max(abs(a - b) for a, b in zip(found.offset, UTM, strict=True)) < 4


def test_one_camera_far_away_changes_nothing(tmp_path: Path) -> None:
    write_capture(tmp_path, text=True)
    plain = load_capture(tmp_path)
    lines = (tmp_path / "sparse/0/images.txt").read_text().splitlines()
    row = next(index for index, line in enumerate(lines) if line.endswith("001.png"))
    values = lines[row].split(" ")
    values[7] = "3000"
    lines[row] = " ".join(values)
    for name in ("frames.txt", "rigs.txt"):  # which repeat the poses
        (tmp_path / "sparse/0" / name).unlink()
    (tmp_path / "sparse/0/images.txt").write_text("\n".join(lines) + "\n")
    far = load_capture(tmp_path)
    assert far.georeference.is_identity
    assert far.extent == pytest.approx(plain.extent, rel=0.1)
    assert any("001.png" in note and "far" in note for note in far.notes)
    assert not plain.notes


def test_a_run_keeps_where_it_is(tmp_path: Path) -> None:
    folder = moved_capture(tmp_path / "capture", UTM, 100.0)
    config = TrainConfig.from_dict({"optimization": {"iterations": 30}, "data": {"eval": True}, "run": {"threads": 1}})
    result = splat.train(folder, config, output=tmp_path / "run", progress=False)
    run = Run(tmp_path / "run")
    found = json.loads(run.georeference_file.read_text())
    assert (
        Georeference(tuple(found["offset"]), found["unit"]) == run.georeference() == load_capture(folder).georeference
    )
    assert result.scene.means.abs().max() < 1e4
    assert result.metrics is not None
    again = splat.evaluate(tmp_path / "run", progress=False)
    assert again.psnr == pytest.approx(result.metrics.psnr, abs=1e-4)
    # A scene of which nobody says where it lies is found by where it is.
    alone = splat.evaluate(result.scene, folder, config=config, progress=False)
    assert alone.psnr == pytest.approx(result.metrics.psnr, abs=1e-4)
    assert open_scene(tmp_path / "run").georeference == run.georeference()


def test_metric_depth_is_in_local_units(tmp_path: Path) -> None:
    """Depth maps in the capture's units fit the scene after it was scaled."""
    folder = moved_capture(tmp_path, UTM, 1e-3)
    (folder / "depths").mkdir()
    for index in range(1, 11):
        np.save(folder / f"depths/{index:03d}.npy", np.full((32, 48), 4e-3, dtype=np.float32))
    capture = load_capture(folder, PhotoOptions(depths="depths"))
    assert capture.georeference.unit == pytest.approx(1e-3)
    depth = capture.frames[0].photo.depth
    assert depth is not None
    assert depth.numpy() == pytest.approx(4.0)


def test_resuming_keeps_the_coordinates(tmp_path: Path) -> None:
    folder = moved_capture(tmp_path / "capture", UTM)
    config = TrainConfig.from_dict({"optimization": {"iterations": 20}, "run": {"threads": 1, "save_every": 10}})
    splat.train(folder, config, output=tmp_path / "run", progress=False)
    other = Georeference((UTM[0] - 1, UTM[1], UTM[2]), 2.0)
    write_georeference(other, Run(tmp_path / "run").georeference_file)
    resumed = splat.plugins.find(splat.plugins.PREPARE_TRAINING)(
        folder, None, output=tmp_path / "run", resume=True, progress=False
    )
    assert resumed.capture.georeference == other


def test_a_capture_loaded_into_the_coordinates_of_another(tmp_path: Path) -> None:
    folder = moved_capture(tmp_path, UTM)
    given_ = Georeference((UTM[0], UTM[1], 0.0), 10.0)
    capture = load_capture(folder, georeference=given_)
    assert capture.georeference == given_
    own = load_capture(folder)
    assert (pixels(capture) - pixels(own)).abs().max() < 2e-3


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"offset": [1, 2], "unit": 1}',
        '{"offset": [1, 2, 3], "unit": 0}',
        '{"offset": ["a", 1, 2], "unit": 1}',
        '{"offset": [1, 2, NaN], "unit": 1}',
        '{"offset": [1, 2, 1%s], "unit": 1}' % ("0" * 400),
    ],
)
def test_a_damaged_georeference_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "georeference.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r'georeference\.json: not a georeference: expected {"offset": \[x, y, z\]'):
        read_georeference(path)


def test_a_scene_in_small_units_is_drawn(tmp_path: Path) -> None:
    whole = subject()
    small = Similarity(torch.eye(3), torch.zeros(3), 1e-4).gaussians(whole)
    splat.save(whole, tmp_path / "whole.ply")
    splat.save(small, tmp_path / "small.ply")
    opened = [open_scene(tmp_path / name) for name in ("whole.ply", "small.ply")]
    images = []
    for each in opened:
        view = first_view(each.gaussians.means)
        images.append(splat.render(each.gaussians, view.camera(96, 64), settings=each.render).rgb)
    assert images[0].max() > 0.2
    assert (images[0] - images[1]).abs().max() < 1e-3
    assert opened[0].render.near == 0.01
    assert opened[1].render.near == pytest.approx(1e-6)


def test_the_file_beside_a_scene_says_where_it_lies(tmp_path: Path) -> None:
    splat.save(subject(), tmp_path / "scene.ply")
    assert open_scene(tmp_path / "scene.ply").georeference is None
    write_georeference(Georeference(UTM, 0.5), beside(tmp_path / "scene.ply"))
    assert open_scene(tmp_path / "scene.ply").georeference == Georeference(UTM, 0.5)


finite = st.floats(-1e7, 1e7, allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(st.tuples(finite, finite, finite), st.floats(-5, 5), st.integers(0, 1000))
@example((0.0, 0.0, 0.0), -1.5, 0)  # scaled by so little that a scene fits both ways nearly as well
def test_any_place_and_unit(offset: tuple[float, float, float], exponent: float, seed: int) -> None:
    """Local coordinates are of a usual size and near the origin, and there is a way back."""
    generator = np.random.default_rng(seed)
    scale = 10.0**exponent
    points = generator.normal(size=(50, 3)) * scale + np.array(offset)
    images = []
    for index in range(8):
        viewmat = np.eye(4)
        viewmat[:3, 3] = -(generator.normal(size=3) * 3 * scale + np.array(offset))
        images.append(
            PosedImage(f"{index}", pycolmap.Camera.create_from_model_name(1, "PINHOLE", 500.0, 640, 480), viewmat)
        )
    model = Model(Path("model"), images, points, np.zeros((50, 3), dtype=np.uint8))
    found = local_frame(model)
    local = localized(model, found)
    size = max(camera_extent(torch.from_numpy(np.stack([-image.viewmat[:3, 3] for image in local.images]))), 1e-30)
    assert 0.5 <= size <= 3e4
    assert np.abs(np.median(local.points, axis=0)).max() < 15 * size
    assert found.to_capture(torch.from_numpy(local.points)).numpy() == pytest.approx(
        points, rel=1e-12, abs=1e-9 * scale
    )
    means = torch.from_numpy(local.points).float()
    assert frame_of_scene(model, means) == found


@settings(max_examples=60, deadline=None)
@given(st.floats(1e-9, 1e12))
def test_units(size: float) -> None:
    unit = natural_unit(size)
    assert 0.5 <= size / unit <= 1e4 * (1 + 1e-9)
    assert math.log10(unit) == pytest.approx(round(math.log10(unit)))
    assert near_plane(size) <= 0.02 * size + 1e-300


def test_sizes_of_little(tmp_path: Path) -> None:
    nothing = torch.zeros(0, 3)
    assert point_radius(nothing) == 1
    assert point_radius(torch.full((5, 3), math.nan)) == 1
    assert point_radius(torch.zeros(5, 3)) == 1
    assert camera_extent(nothing) > 0
    assert camera_extent(torch.zeros(1, 3)) > 0
    assert not outlying(torch.zeros(9, 3)).any()
    line = torch.arange(10.0)[:, None].repeat(1, 3)
    line[3] = torch.tensor([0.0, 1e6, 0.0])
    assert outlying(line).nonzero().flatten().tolist() == [3]


def test_the_near_plane_lies_before_the_points(tmp_path: Path) -> None:
    """Even if half of the cameras are lost in space, so that the size of the scene says nothing."""
    write_capture(tmp_path, text=True)
    for name in ("frames.txt", "rigs.txt"):
        (tmp_path / "sparse/0" / name).unlink()
    path = tmp_path / "sparse/0/images.txt"
    lines = path.read_text().splitlines()
    for index, line in enumerate(lines):
        values = line.split(" ")
        if line.endswith(".png") and int(values[0]) % 2:
            values[5] = str(1e6 + int(values[0]))
            lines[index] = " ".join(values)
    path.write_text("\n".join(lines) + "\n")
    capture = load_capture(tmp_path)
    depth = capture.frames[1].camera.project(capture.points)[1]
    assert float(depth.min()) > 2 * splat.RenderSettings().near
    assert any("none of the points" in note for note in blind_notes(capture))
