"""Which model a capture takes, what else is said of it, and files that are damaged in any way."""

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import metashape_files as metashape
import numpy as np
import phone_files as phones
import photogrammetry_files as photogrammetry
import pytest
import realityscan_files as realityscan
from captures import write_capture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from posed_photos import POINTS, ring, write_photos, write_ply

from splat.datasets.check_up import check_up
from splat.datasets.load import PhotoOptions, load_capture
from splat.datasets.readers import choose
from splat.datasets.readers.choose import READERS, holds_model, read_model
from splat.errors import InputError


def opensfm(folder: Path) -> Path:
    write_photos(folder / "images", ring())
    photogrammetry.write_json(folder / "reconstruction.json", [photogrammetry.opensfm(ring())])
    return folder / "reconstruction.json"


def openmvg(folder: Path) -> Path:
    write_photos(folder / "images", ring())
    photogrammetry.write_json(folder / "sfm_data.json", photogrammetry.openmvg(ring(), "pinhole_brown_t2"))
    return folder / "sfm_data.json"


def bundler(folder: Path) -> Path:
    write_photos(folder / "images", ring())
    (folder / "bundle.out").write_text(photogrammetry.bundle(ring()))
    return folder / "bundle.out"


def cameras_xml(folder: Path) -> Path:
    write_photos(folder / "images", metashape.write(folder, transform=True))
    return folder / "cameras.xml"


def table(folder: Path) -> Path:
    realityscan.write(folder)
    return folder / "cameras.csv"


def sidecars(folder: Path) -> Path:
    realityscan.write_sidecars(folder)
    return folder / "images" / "IMG_001.xmp"


def polycam(folder: Path) -> Path:
    phones.write_polycam(folder)
    return folder / "keyframes"


def record3d(folder: Path) -> Path:
    phones.write_record3d(folder)
    return folder / "metadata.json"


def colmap(folder: Path) -> Path:
    write_capture(folder, photos=5)
    return folder / "sparse" / "0" / "cameras.bin"


def transforms(folder: Path) -> Path:
    write_photos(folder / "images", ring())
    frames = [{"file_path": f"images/{one.name}", "transform_matrix": one.opengl.tolist()} for one in ring()]
    (folder / "transforms.json").write_text(json.dumps({"w": 64, "h": 48, "fl_x": 58.0, "frames": frames}))
    return folder / "transforms.json"


WRITERS: tuple[Callable[[Path], Path], ...] = (
    colmap,
    transforms,
    cameras_xml,
    table,
    sidecars,
    opensfm,
    openmvg,
    bundler,
    polycam,
    record3d,
)
"""In the order of READERS: each writes a capture and gives what a person names."""


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_every_source_is_read_from_its_folder_and_by_its_name(tmp_path, write):
    named = write(tmp_path)
    for path in (tmp_path, named):
        assert holds_model(path)
        capture = load_capture(path)
        assert len(capture.frames) >= 5 and not capture.skipped
    assert check_up(tmp_path).facts["photos"] >= 5


def test_there_is_a_writer_for_every_reader():
    assert len(WRITERS) == len(READERS)


@pytest.mark.parametrize("write", WRITERS[1:], ids=lambda write: write.__name__)
def test_of_two_models_the_first_in_the_table_is_read_and_the_other_is_named(tmp_path, write):
    colmap(tmp_path)
    other = write(tmp_path)
    model = read_model(tmp_path)
    assert model.source == tmp_path / "sparse" / "0"
    (note,) = [note for note in model.notes if "is used for the cameras" in note]
    assert str(other) in note and "COLMAP" in note


@pytest.mark.parametrize("first, second", [(opensfm, openmvg), (cameras_xml, bundler), (table, record3d)])
def test_the_other_of_two_models_is_read_when_named(tmp_path, first, second):
    first(tmp_path)
    other = second(tmp_path)
    assert read_model(other).source == other and read_model(tmp_path).source != other


def test_the_cameras_of_a_sub_model_are_read_when_named(tmp_path):
    write_capture(tmp_path, photos=8)
    write_capture(tmp_path, photos=5, model="sparse/1")
    assert len(read_model(tmp_path).images) == 8
    assert len(load_capture(tmp_path / "sparse" / "1" / "cameras.bin").frames) == 5


@pytest.mark.parametrize("named", ["sparse/0", "sparse", "sparse/0/."])
@pytest.mark.parametrize("is_relative", [False, True])
def test_the_folder_of_a_colmap_model_is_named(tmp_path, monkeypatch, named, is_relative):
    """Its photos lie above, as when its file is named."""
    colmap(tmp_path)
    monkeypatch.chdir(tmp_path)
    capture = load_capture(Path(named) if is_relative else tmp_path / named)
    assert len(capture.frames) == 5 and capture.path == tmp_path and not capture.notes


def test_photos_of_another_capture_are_not_taken_for_those_of_one_without(tmp_path):
    write_capture(tmp_path / "images", photos=5)
    write_capture(tmp_path / "model", photos=5)
    shutil.rmtree(tmp_path / "model/images")
    with pytest.raises(InputError, match="model/images: no such folder of photos"):
        load_capture(tmp_path / "model")


@pytest.mark.parametrize("write", [opensfm, table], ids=lambda write: write.__name__)
def test_two_poses_of_one_photo_by_other_names(tmp_path, write):
    named = write(tmp_path)
    named.write_text(named.read_text().replace("IMG_001", "a/IMG_001").replace("IMG_002", "a/img_001"))
    capture = load_capture(tmp_path, PhotoOptions(allow_missing=True))
    assert [frame.name for frame in capture.frames] == ["IMG_003.png", "IMG_004.png", "IMG_005.png"]
    assert all("certain" in reason for _, reason in capture.skipped)


def test_a_capture_deeper_than_that_is_named(tmp_path):
    (tmp_path / "x/y/z").mkdir(parents=True)
    (tmp_path / "a/b/c").mkdir(parents=True)
    colmap(tmp_path / "x/y/z")
    with pytest.raises(InputError, match=r"deeper inside; name .*x/y/z$"):
        read_model(tmp_path)
    assert not holds_model(tmp_path)


@pytest.mark.parametrize("write", [opensfm, cameras_xml, table], ids=lambda write: write.__name__)
def test_a_capture_one_folder_deeper_is_found(tmp_path, write):
    (tmp_path / "project").mkdir()
    write(tmp_path / "project")
    capture = load_capture(tmp_path)
    assert len(capture.frames) == 5 and any("project/ are used" in note for note in capture.notes)


def test_of_several_captures_below_none_is_guessed(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        opensfm(tmp_path / name)
    with pytest.raises(InputError, match="holds 2 captures; name one of them"):
        read_model(tmp_path)


def test_nothing_found_says_what_was_looked_for(tmp_path):
    with pytest.raises(InputError) as error:
        read_model(tmp_path)
    assert all(reader.looks_for in str(error.value) for reader in READERS)
    assert "splat photos" in str(error.value) and not holds_model(tmp_path)


@pytest.mark.parametrize("name", ["notes.txt", "mesh.xml", "a.out", "b.csv", "c.xmp"])
def test_files_that_are_no_models(tmp_path, name):
    (tmp_path / name).write_text("hello")
    assert not holds_model(tmp_path / name)
    with pytest.raises(InputError, match="not a file of cameras"):
        read_model(tmp_path / name)


@pytest.mark.parametrize("write", [opensfm, openmvg, record3d, transforms], ids=lambda write: write.__name__)
def test_json_is_told_apart_by_its_content(tmp_path, write):
    named = write(tmp_path)
    other = named.rename(tmp_path / "other.json")
    assert len(read_model(other).images) >= 5


@pytest.mark.parametrize("name", ["sparse_pc.ply", "points3D.ply", "export.PLY"])
@pytest.mark.parametrize("write", [transforms, table, record3d], ids=lambda write: write.__name__)
def test_points_that_nothing_names_are_used_and_said(tmp_path, name, write):
    named = write(tmp_path)
    place = np.array((500.0, 300.0, 20.0) if write is table else (0.0, 0.0, 0.0))
    write_ply(tmp_path / name, POINTS + place, kind="float")
    model = read_model(tmp_path)
    np.testing.assert_allclose(model.points, POINTS + place, atol=1e-4)
    assert any(name in note and "60" in note for note in model.notes)
    assert len(read_model(named).points) == 60


@pytest.mark.parametrize(
    "spoil, part",
    [
        (lambda path: write_ply(path, POINTS + 1e5), "0 % of its points"),
        (lambda path: path.write_text("ply\nformat ascii 1.0\nelement vertex 9"), "not used"),
        (
            lambda path: path.write_text(path.read_text().replace("property double x", "property double f_dc_0")),
            "x, y and z",
        ),
    ],
)
def test_points_that_cannot_be_used_are_said(tmp_path, spoil, part):
    record3d(tmp_path)
    write_ply(tmp_path / "sparse_pc.ply", POINTS)
    spoil(tmp_path / "sparse_pc.ply")
    model = read_model(tmp_path)
    assert len(model.points) == 0 and any(part in note for note in model.notes)


def test_a_dense_cloud_is_thinned_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr("splat.datasets.readers.programs.beside.MOST_POINTS", 20)
    record3d(tmp_path)
    write_ply(tmp_path / "dense.ply", POINTS)
    model = read_model(tmp_path)
    assert len(model.points) == 20 and any("20 of 60 points" in note for note in model.notes)


FILES = [writer for writer in WRITERS if writer not in (colmap, transforms)]


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, tuple[Path, Path, bytes]]:
    """A capture of every kind: its folder, the file to damage, and what was in it."""
    found = {}
    for write in FILES:
        folder = tmp_path_factory.mktemp(write.__name__)
        file = write(folder)
        file = next((file / "corrected_cameras").iterdir()) if write is polycam else file
        found[write.__name__] = (folder, file, file.read_bytes())
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("kind", [write.__name__ for write in FILES])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_damaged_files_are_refused_or_read(written, kind, data):
    folder, file, content = written[kind]
    damaged = bytearray(content)
    if data.draw(st.booleans()):
        damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    for _ in range(data.draw(st.integers(0, 4))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(
                st.sampled_from(b'\x00\xff9-e.,"[]{}<> \n')
            )
    file.write_bytes(bytes(damaged))
    try:
        model = read_model(folder)
    except InputError:
        return
    finally:
        file.write_bytes(content)
    for image in model.images:
        assert np.isfinite(image.viewmat).all() and np.isfinite(image.camera.params).all()
        assert image.observed is None or (image.observed < len(model.points)).all()
    assert np.isfinite(model.points).all() and model.colors.shape == model.points.shape


def test_a_capture_is_trained_on_from_its_zip(tmp_path):
    (tmp_path / "scan").mkdir()
    opensfm(tmp_path / "scan")
    shutil.make_archive(str(tmp_path / "scan"), "zip", tmp_path, "scan")
    shutil.rmtree(tmp_path / "scan")
    model = read_model(tmp_path / "scan.zip")
    assert len(model.images) == 5 and any("was unpacked to" in note for note in model.notes)
    assert len(load_capture(tmp_path / "scan.zip").frames) == 5


STRANGE = st.sampled_from(
    [None, True, "", "x", -1, 0, 1e308, 10**400, float("nan"), [], {}, [[]], [None] * 9, {"key": []}, "9 9"]
)


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of all entries of a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, entry in inside for place in places(entry, (*path, key)))]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("kind", ["opensfm", "openmvg", "record3d", "polycam"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_strange_values_in_json_are_refused_or_left_out(written, kind, data):
    folder, file, content = written[kind]
    values = json.loads(content)
    for _ in range(data.draw(st.integers(1, 3))):
        known = places(values)[1:]
        *path, last = known[data.draw(st.integers(0, len(known) - 1))]
        parent = values
        for key in path:
            parent = parent[key]
        parent[last] = copy.deepcopy(data.draw(STRANGE))
    file.write_text(json.dumps(values))
    try:
        model = read_model(folder)
    except InputError:
        return
    finally:
        file.write_bytes(content)
    assert all(np.isfinite(image.viewmat).all() for image in model.images) and np.isfinite(model.points).all()


def test_a_file_that_may_not_be_read_is_said(tmp_path, monkeypatch):
    cameras_xml(tmp_path)

    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("splat.datasets.readers.programs.metashape.accepts", refuse)
    with pytest.raises(InputError, match=r"cameras\.xml: cannot be looked into \(Permission denied\)"):
        read_model(tmp_path)


@pytest.mark.parametrize("name", ["table.csv", "x.xml", "y.xmp", "bundle.out", "metadata"])
def test_a_folder_named_as_a_file_of_cameras_does_no_harm(tmp_path, name):
    colmap(tmp_path)
    (tmp_path / name).mkdir()
    assert len(read_model(tmp_path).images)


def test_a_file_that_may_not_be_read_does_no_harm_beside_a_model(tmp_path, monkeypatch):
    colmap(tmp_path)

    def refuse(path: Path) -> list[Path]:
        raise PermissionError(13, "Permission denied", str(path))

    readers = tuple(replace(one, find=refuse) if one.name == "Metashape" else one for one in choose.READERS)
    monkeypatch.setattr(choose, "READERS", readers)
    assert len(read_model(tmp_path).images)


def test_links_in_circles_are_followed_once(tmp_path, monkeypatch):
    photogrammetry.write_json(tmp_path / "reconstruction.json", [photogrammetry.opensfm(ring())])
    for name in "uvwxyz":
        (tmp_path / name).symlink_to(".")
    looked, look = [], Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: looked.append(path) or look(path))
    assert choose.find_model(tmp_path / "reconstruction.json").folder == tmp_path
    assert len(looked) < 50


def test_points_that_are_not_finite_are_counted(tmp_path):
    record3d(tmp_path)
    points = POINTS.copy()
    points[3, 1], points[4] = np.nan, 1e13
    write_ply(tmp_path / "sparse_pc.ply", points)
    model = read_model(tmp_path)
    assert len(model.points) == len(POINTS) - 2
    assert any("2 points of 60 were left out: not finite" in note for note in model.notes)
