"""`splat render --path` draws what the path's cameras see."""

from pathlib import Path

import pytest
import torch
from captures import ring, subject

import splat
from splat.geometry.camera_path import CameraPath, Keyframe
from splat.io.camera_path_file import save_path
from splat.io.images import read_image, to_uint8


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, CameraPath]:
    path = CameraPath(tuple(Keyframe.of(camera, 0.5) for camera in ring(6, 48, 32)[:3]))
    splat.save(subject(), tmp_path / "scene.ply")
    save_path(path, tmp_path / "swing.json")
    return tmp_path / "scene.ply", tmp_path / "swing.json", path


def test_pictures_are_those_of_the_path(files, run_splat, tmp_path) -> None:
    scene, file, path = files
    assert run_splat("render", scene, "--path", file, "--size", "48x32", "--fps", 6, "-o", tmp_path / "out") == 0
    pictures = sorted((tmp_path / "out").iterdir())
    assert [picture.name for picture in pictures] == [f"{index:05d}.png" for index in range(7)]
    for picture, camera in zip(pictures, path.cameras(6, 48, 32), strict=True):
        expected = to_uint8(splat.render(splat.load(scene), camera).rgb)
        assert torch.equal(read_image(picture), expected)


def test_a_video_has_the_duration_of_the_path(files, run_splat, tmp_path) -> None:
    import av

    scene, file, path = files
    output = tmp_path / "swing.mp4"
    assert run_splat("render", scene, "--path", file, "--size", "48x32", "--fps", 12, "-o", output) == 0
    with av.open(str(output)) as video:
        assert video.streams.video[0].frames == path.frame_count(12) == 13


def test_named_after_the_path_unless_told(files, run_splat, tmp_path, capsys) -> None:
    scene, file, _ = files
    assert run_splat("render", scene, "--path", file, "--size", "16x8", "--fps", 2) == 0
    assert (tmp_path / "scene_swing" / "00000.png").is_file()


def test_what_is_wrong_with_a_path_is_said(files, run_splat, tmp_path, capsys) -> None:
    scene, file, _ = files
    file.write_text('{"format": "splat camera path", "version": 1, "keyframes": []}')
    for flags, message in (
        (("--path", file), "swing.json: needs a list of 1 to 1000 keyframes"),
        (("--path", tmp_path / "other.json"), "other.json: no such file"),
    ):
        assert run_splat("render", scene, *flags) == 1
        assert message in capsys.readouterr().err
    save_path(files[2], file)
    assert run_splat("render", scene, "--path", file, "--fps", 1e9) == 1
    assert "pictures" in capsys.readouterr().err


def test_an_empty_scene_is_an_error(files, run_splat, tmp_path, capsys) -> None:
    splat.save(subject()[:0], tmp_path / "empty.ply")
    assert run_splat("render", tmp_path / "empty.ply", "-o", tmp_path / "out") == 1
    assert "no Gaussians that can be drawn" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
