"""Training on the cameras that were named, and going on with the same ones; and on a zip."""

import json
import shutil
from pathlib import Path

import photogrammetry_files as photogrammetry
import pytest
from captures import write_capture
from posed_photos import ring, write_photos

from splat.cli import main as cli


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A COLMAP model, and one of OpenSfM of other photos."""
    folder = tmp_path / "capture"
    write_capture(folder, photos=6)
    write_photos(folder / "images", ring(9))
    photogrammetry.write_json(folder / "reconstruction.json", [photogrammetry.opensfm(ring(9))])
    return folder


def views(run: Path) -> list[str]:
    return [view["img_name"] for view in json.loads((run / "cameras.json").read_text())]


def test_the_named_cameras_are_kept(capture, tmp_path, capsys):
    out = tmp_path / "run"
    cli.main(["train", str(capture / "reconstruction.json"), "-o", str(out), "--iterations", "2", "--eval"])
    assert len(views(out)) == 9
    capsys.readouterr()
    cli.main(["eval", str(out)])
    assert "IMG_001" in capsys.readouterr().out
    cli.main(["train", "--resume", "-o", str(out)])
    assert len(views(out)) == 9


def test_without_a_name_the_first_in_the_table_is_taken_and_said(capture, tmp_path, capsys):
    cli.main(["train", str(capture), "-o", str(tmp_path / "run"), "--iterations", "2"])
    assert len(views(tmp_path / "run")) == 6
    said = " ".join(capsys.readouterr()).replace("\n", " ")
    assert f"splat train {capture / 'reconstruction.json'}" in said


def test_a_zip_is_trained_on_and_looked_at(capture, tmp_path, capsys):
    shutil.make_archive(str(tmp_path / "scan"), "zip", tmp_path, "capture")
    shutil.rmtree(capture)
    cli.main(["info", str(tmp_path / "scan.zip")])
    cli.main(["train", str(tmp_path / "scan.zip"), "-o", str(tmp_path / "run"), "--iterations", "2"])
    assert len(views(tmp_path / "run")) == 6


def test_info_of_a_file_of_cameras(capture, capsys):
    cli.main(["info", str(capture / "reconstruction.json"), "--json"])
    assert json.loads(capsys.readouterr().out)["photos"] == 9
