"""Single steps of structure from motion, on scenes that are made up: their cameras and matches are known exactly."""

import re
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from sfm_scenes import made_up, part, turned

from splat.datasets.sfm import cameras, mapping, matches, pairs, work_folder
from splat.errors import InputError


def test_cameras_are_shared_by_size_or_each_photo_has_its_own(tmp_path):
    features, _ = made_up(tmp_path)
    for sharing, count in (("size", 1), ("photo", 12)):
        cameras.write_mapping_database(features, tmp_path / "mapping.db", sharing, seed=0)
        with pycolmap.Database.open(tmp_path / "mapping.db") as database:
            found = database.read_all_cameras()
            assert len(found) == count and database.num_images() == 12 and database.num_frames() == 12
            assert database.num_verified_image_pairs() == 66
            assert all(0.4 < camera.mean_focal_length() / 1024 < 5 for camera in found)
    assert abs(found[0].mean_focal_length() / 1280 - 1) < 0.1 or sharing == "photo"
    with pycolmap.Database.open(features) as database:
        assert database.num_cameras() == 12  # the features' own database is as it was
    assert cameras.has_unknown(features)


def test_global_mapping_finds_all_poses_and_tells_how_far_it_is(tmp_path, monkeypatch):
    features, scene = made_up(tmp_path)
    cameras.write_mapping_database(features, tmp_path / "mapping.db", "size", seed=0)
    told: list[str] = []
    monkeypatch.setattr(mapping.Counter, "name_as", lambda self, name: told.append(name))
    models = mapping.map_globally(tmp_path / "mapping.db", tmp_path / "photos", tmp_path, seed=0, progress=False)
    assert [model.num_reg_images() for model in models] == [12] and turned(models[0], scene) < 0.2
    assert told and all(re.fullmatch(r"global mapping, step \d of 8 \([a-z ]+\)", name) for name in told)


def test_a_scene_is_gone_on_with(tmp_path):
    features, scene = made_up(tmp_path)
    cameras.write_mapping_database(features, tmp_path / "mapping.db", "size", seed=0)
    where = (tmp_path / "mapping.db", tmp_path / "photos", tmp_path)
    whole = mapping.map_incrementally(*where, seed=0, progress=False)[0]
    half = part(whole, range(1, 8))
    assert half.num_reg_images() == 7
    more = mapping.map_incrementally(*where, seed=0, progress=False, start=half)[0]
    assert more.num_reg_images() == 12 and turned(more, scene) < 0.2


def test_scenes_that_share_photos_are_joined(tmp_path):
    features, _ = made_up(tmp_path)
    cameras.write_mapping_database(features, tmp_path / "mapping.db", "size", seed=0)
    where = (tmp_path / "mapping.db", tmp_path / "photos", tmp_path)
    whole = mapping.map_incrementally(*where, seed=0, progress=False)[0]
    one, other = part(whole, range(1, 9)), part(whole, range(5, 13))
    other.transform(pycolmap.Sim3d(0.2, pycolmap.Rotation3d(np.array([0.6, 0.0, 0.0, 0.8])), np.array([0.0, 9.0, 0.0])))
    joined = mapping.join([one, other], *where, progress=False)
    assert [model.num_reg_images() for model in joined] == [12] and turned(joined[0], whole) < 0.2
    apart = [part(whole, range(1, 7)), part(whole, range(7, 13))]
    assert [model.num_reg_images() for model in mapping.join(apart, *where, progress=False)] == [6, 6]


def test_photos_get_cameras_of_their_own_afterwards(tmp_path):
    features, scene = made_up(tmp_path)
    cameras.write_mapping_database(features, tmp_path / "photo.db", "photo", seed=0)
    where = (tmp_path / "photo.db", tmp_path / "photos", tmp_path)
    apart = mapping.with_other_cameras(scene, *where, seed=0, progress=False)
    focals = [camera.mean_focal_length() for camera in apart.cameras.values()]
    assert len(focals) == 12 and np.allclose(focals, 1280, rtol=0.01) and turned(apart, scene) < 0.2


@pytest.mark.parametrize("sharing", ["size", "photo"])
def test_photos_that_are_left_over_are_placed_by_the_points(tmp_path, sharing):
    features, scene = made_up(tmp_path)
    cameras.write_mapping_database(features, tmp_path / "mapping.db", sharing, seed=0)
    where = (tmp_path / "mapping.db", tmp_path / "photos", tmp_path)
    begun = part(mapping.map_incrementally(*where, seed=0, progress=False)[0], range(1, 9))
    _mismatch(tmp_path / "mapping.db", 11)
    with pycolmap.Database.open(tmp_path / "mapping.db") as database:
        for camera in database.read_all_cameras():
            if sharing == "photo" and camera.camera_id > 9:  # as badly known as may be
                camera.focal_length, camera.has_prior_focal_length = 500, False
                database.update_camera(camera)
        for seen in range(1, 9):  # by the points that the ones placed before it add
            database.delete_two_view_geometry(12, seen)
    more = mapping.place_missing(begun, *where, seed=0, progress=False)
    assert set(more.reg_image_ids()) == {*range(1, 13)} - {11} and begun.num_reg_images() == 8
    assert turned(more, scene) < 0.2
    assert all(abs(camera.mean_focal_length() / 1280 - 1) < 0.02 for camera in more.cameras.values())
    assert mapping.place_missing(more, *where, seed=0, progress=False) is more

    wrong = pycolmap.Reconstruction(more)
    for key in (3, 4):
        turn = pycolmap.Rigid3d(pycolmap.Rotation3d(np.array([0.0, 0.6, 0.0, 0.8])), np.zeros(3))
        frame = wrong.images[key].frame
        frame.rig_from_world = turn * frame.rig_from_world
    assert turned(wrong, scene) > 50
    rest = mapping.without_photos(wrong, {wrong.images[key].name for key in (3, 4)})
    mended = mapping.place_missing(rest, *where, seed=0, progress=False)
    assert turned(mended, scene) < 0.2 and set(mended.reg_image_ids()) == set(more.reg_image_ids())


def _mismatch(path: Path, photo: int) -> None:
    """Match a photo's features to others than those of the same points."""
    random = np.random.default_rng(0)
    with pycolmap.Database.open(path) as database:
        for other in range(1, 13):
            if other != photo:
                geometry = database.read_two_view_geometry(photo, other)
                wrong = geometry.inlier_matches.copy()
                wrong[:, 0] = random.permutation(wrong[:, 0])
                geometry.inlier_matches = wrong
                database.update_two_view_geometry(photo, other, geometry)


def test_poses_that_make_no_sense_do_not_count(tmp_path):
    _, scene = made_up(tmp_path)
    odd = pycolmap.Reconstruction(scene)
    behind, endless, lonely = (odd.images[key] for key in (2, 5, 9))
    for image, focal in ((behind, -1200.0), (endless, 1e9)):
        odd.cameras[image.camera_id].focal_length = focal
    for index in range(5, lonely.num_points2D()):
        if lonely.point2D(index).has_point3D():
            odd.delete_observation(lonely.image_id, index)
    kept = mapping.drop_odd_photos(odd)
    assert set(kept.reg_image_ids()) == set(scene.reg_image_ids()) - {2, 5, 9}
    assert set(mapping.refine(odd, progress=False).reg_image_ids()) == set(kept.reg_image_ids())
    assert len(odd.reg_image_ids()) == 12 and mapping.drop_odd_photos(scene).num_reg_images() == 12


def test_a_lens_that_photos_share_may_still_be_mended(tmp_path):
    features, _ = made_up(tmp_path)
    cameras.write_mapping_database(features, tmp_path / "mapping.db", "size", seed=0)
    assert cameras.shares_cameras(tmp_path / "mapping.db") and not cameras.shares_cameras(features)
    scene = mapping.map_incrementally(tmp_path / "mapping.db", tmp_path / "photos", tmp_path, seed=0, progress=False)[0]
    (lens,) = scene.cameras.values()
    lens.params = [*lens.params[:3], -3.0]
    assert not cameras.is_plausible(lens) and mapping.drop_odd_photos(scene).num_reg_images() == 12


def test_more_of_a_lens_is_found_where_many_photos_share_it(tmp_path, capfd):
    features, _ = made_up(tmp_path)
    where = (tmp_path / "mapping.db", tmp_path / "photos", tmp_path)
    for sharing, model in (("size", "RADIAL"), ("photo", "SIMPLE_RADIAL")):
        cameras.write_mapping_database(features, tmp_path / "mapping.db", sharing, seed=0)
        scene = mapping.map_incrementally(*where, seed=0, progress=False)[0]
        refined = mapping.refine(scene, progress=False)
        assert {camera.model_name for camera in refined.cameras.values()} == {model}
        assert refined.compute_mean_reprojection_error() <= scene.compute_mean_reprojection_error()
    assert pycolmap.logging.minloglevel == pycolmap.logging.FATAL.value and capfd.readouterr().err == ""


@pytest.mark.parametrize(("radial", "plausible"), [((0.1, 0.02), True), ((-0.2, 0.0), True), ((-1.5, 0.0), False)])
def test_a_lens_that_folds_the_picture_is_none(radial, plausible):
    camera = pycolmap.Camera(model="OPENCV", width=800, height=600, params=[700, 700, 400, 300, *radial, 0, 0])
    assert cameras.is_plausible(camera) is plausible


def test_neighbors_are_those_of_the_order_of_names(tmp_path):
    names = [f"{number:06d}.jpg" for number in range(1, 31)]
    found = pairs.choose_pairs(("sequential",), tmp_path, {}, names, seed=0, progress=False)
    assert len(found) == len(set(found)) and all(a < b for a, b in found)
    assert {(names[0], names[step]) for step in (1, 5, 10, 20)} <= set(found) and (names[0], names[7]) not in found
    all_pairs = pairs.choose_pairs(("exhaustive", "sequential"), tmp_path, {}, names, seed=0, progress=False)
    assert len(all_pairs) == 30 * 29 / 2


def test_pairs_that_few_matches_stand_for_are_unsure(tmp_path):
    features, _ = made_up(tmp_path)
    assert matches.unsure_pairs(features) == []
    with pycolmap.Database.open(features) as database:
        for a, b, kept, others in ((1, 2, 20, 0), (3, 4, 40, 60), (5, 6, 40, 30)):
            found = database.read_matches(a, b)[:kept]
            wrong = np.stack([np.arange(others), np.arange(others)[::-1]], axis=1).astype(np.uint32) + 10_000
            database.delete_matches(a, b)
            database.write_matches(a, b, np.concatenate([found, wrong]))
            geometry = database.read_two_view_geometry(a, b)
            assert len(geometry.inlier_matches) > kept  # as if guided matching had found the rest
    unsure = {pycolmap.pair_id_to_image_pair(pair) for pair in matches.unsure_pairs(features)}
    assert unsure == {(1, 2), (3, 4)}
    cameras.write_mapping_database(features, tmp_path / "mapping.db", "size", 0, matches.unsure_pairs(features))
    with pycolmap.Database.open(tmp_path / "mapping.db") as database:
        assert database.num_verified_image_pairs() == 66 - 2


def test_photos_without_any_feature_are_as_alike_as_any(tmp_path):
    """Those of a black video."""
    with pycolmap.Database.open(tmp_path / "features.db") as database:
        camera = pycolmap.Camera(model="SIMPLE_PINHOLE", width=8, height=8, params=[8, 4, 4])
        camera.camera_id = database.write_camera(camera)
        names = [f"{number}.jpg" for number in range(4)]
        for name in names:
            database.write_image(pycolmap.Image(name=name, camera_id=camera.camera_id))
    ids = pairs.image_ids(tmp_path / "features.db")
    found = pairs.choose_pairs(
        ("sequential", "retrieval"), tmp_path / "features.db", ids, names, seed=0, progress=False
    )
    assert len(found) == 6


def test_pairs_that_look_most_alike_come_first(tmp_path, monkeypatch):
    features, _ = made_up(tmp_path)
    names = sorted(pairs.image_ids(features))
    ids = sorted(pairs.image_ids(features).values())
    table = np.random.default_rng(0).random((12, 12))
    monkeypatch.setattr(pairs, "likeness", lambda *_: (ids, table))
    every = [(a, b) for a in names for b in names if a < b]
    first = pairs.most_alike(every, 5, features, seed=0, progress=False)
    row = {name: ids.index(number) for name, number in pairs.image_ids(features).items()}
    least = min(table[row[a], row[b]] for a, b in first)
    assert len(first) == 5 and all(table[row[a], row[b]] <= least for a, b in set(every) - set(first))


def test_the_picture_of_matches(tmp_path):
    features, _ = made_up(tmp_path)
    with pycolmap.Database.open(features) as database:
        names = sorted(image.name for image in database.read_all_images())
    table = matches.read_matches(features, names)
    assert table.shape == (12, 12) and (table == table.T).all() and (np.diag(table) == 0).all()
    assert (table[~np.eye(12, dtype=bool)] >= matches.ENOUGH).all()
    table[3] = table[:, 3] = 0
    picture = np.asarray(matches.draw_matches(table, np.arange(12) != 3))
    side = matches.CELLS // 12
    rows = picture[50 + side // 2 :: side, 70 + side // 2][:12]
    assert (rows[3] == 255).all() and (rows[5] != 255).any()
    assert (picture == np.array(matches.APART)).all(axis=2).any()


def test_a_work_folder_is_gone_on_with_only_for_the_same_photos(tmp_path):
    photo, out = tmp_path / "a.jpg", tmp_path / "out"
    photo.write_bytes(b"1")
    first = work_folder.open_work(out, [photo], {"frames": 3})
    first.note("pairs", [["a", "b"]])
    again = work_folder.open_work(out, [photo], {"frames": 3})
    assert not first.resumed and again.resumed and again.noted("pairs") == [["a", "b"]] and again.noted("x") is None
    begun = again.noted("begun")
    again.note("begun", {**begun, "version": 0})
    with pytest.warns(UserWarning, match="of another version of splat is begun anew"):
        assert not work_folder.open_work(out, [photo], {"frames": 3}).resumed
    (again.path / "pairs.json").write_text("[[")  # cut off: as if it had not been written
    assert again.noted("pairs") is None
    with pytest.raises(InputError, match="--overwrite"):
        work_folder.open_work(out, [photo], {"frames": 4})
    photo.write_bytes(b"22")
    with pytest.raises(InputError, match="before they were changed"):
        work_folder.open_work(out, [photo], {"frames": 3})
    (out / "mine.txt").write_text("mine")
    fresh = work_folder.open_work(out, [photo], {"frames": 3}, overwrite=True)
    assert not fresh.resumed and fresh.noted("pairs") is None and (out / "mine.txt").read_text() == "mine"


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.jpg").write_bytes(b"1")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="choose another name"):
            work_folder.open_work(tmp_path, [], {}, overwrite)
    assert (tmp_path / "images/a.jpg").exists()
