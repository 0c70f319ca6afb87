"""Which scene is taken: how well it agrees with the matches, who does not fit in, and what is tried next."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from sfm_scenes import made_up, part

from splat.datasets.sfm import agreement, attempts, cameras, mapping, report, work_folder


def test_a_scene_explains_fewer_matches_where_photos_are_missing_or_wrong(tmp_path):
    features, scene = made_up(tmp_path)
    whole, half = agreement.agreement(scene, features), agreement.agreement(part(scene, range(1, 7)), features)
    assert whole.of_all == whole.of_placed > 0.95
    assert 0.1 < half.of_all < 0.5 and half.of_placed > 0.95
    cameras.write_mapping_database(features, tmp_path / "mapping.db", "size", seed=0)
    where = (tmp_path / "mapping.db", tmp_path / "photos", tmp_path, mapping.Counter("x", shown=False, countable=False))
    placed = {
        key: (image.cam_from_world(), list(scene.cameras[image.camera_id].params))
        for key, image in scene.images.items()
    }
    placed[3], placed[9] = placed[9], placed[3]
    wrong = agreement.agreement(mapping._rebuild(placed, *where), features)
    assert wrong.of_placed < 0.9 and whole.misfits == ()
    assert wrong.misfits == (scene.images[3].name, scene.images[9].name)


def compared(table: dict[tuple[int, int], tuple[int, int]]) -> agreement.Pairs:
    """Pairs of photos with their matches and how many of them a scene explains; numbered 100, 101, ..."""
    rows = [(100 + index, *pair, *counts) for index, (pair, counts) in enumerate(table.items())]
    return agreement.Pairs(*np.array(rows, dtype=np.int64).reshape(-1, 5).T)


def ring(photos: range, reach: int, counts: tuple[int, int]) -> dict[tuple[int, int], tuple[int, int]]:
    return {
        (photos[index], photos[(index + step) % len(photos)]): counts
        for index in range(len(photos))
        for step in range(1, reach + 1)
    }


def test_a_group_of_photos_in_a_wrong_place_is_found():
    rest, group = ring(range(9), 2, (200, 120)), ring(range(9, 14), 2, (300, 200))
    right = {(0, 9): (60, 1), (1, 10): (80, 0), (1, 9): (40, 0)}
    for wrong in ({(5, 12): (50, 20)}, {(5, 12): (50, 20), (6, 12): (40, 19)}):
        pairs = compared(rest | group | right | wrong)
        misfits, ties = pairs.misfits(14)
        assert misfits.tolist() == [9, 10, 11, 12, 13]
        assert ties.tolist() == pairs.number[-len(wrong) :].tolist()
    for fitting in (
        rest
        | group
        | {(0, 9): (60, 40), (1, 10): (80, 45), (5, 12): (30, 0)},  # only one pair is wrong, and does no harm
        ring(range(200), 3, (100, 60)),  # joined to the rest by few pairs at two places, as every part of a loop
        ring(range(3), 1, (100, 60)) | ring(range(3, 6), 1, (100, 60)),  # nothing in common, and so nothing wrong
    ):
        misfits, ties = compared(fitting).misfits(200)
        assert misfits.tolist() == [] and ties.tolist() == []
    alone, ties = compared(rest | {(0, 9): (60, 3), (3, 9): (70, 30), (5, 9): (300, 20)}).misfits(10)
    assert alone.tolist() == [9] and ties.tolist() == [119]
    assert [len(found) for found in compared({}).misfits(4)] == [0, 0]


def test_photos_that_do_not_fit_in_are_named(tmp_path):
    numbers = dict(photos=5, registered=5, points=100, reprojection_error=0.5, cameras=1, pairs=10, other_groups=())
    words = dict(lens="RADIAL", matching="exhaustive", mapping="global mapping", tried=(), missing=(), unmatched=())
    for misfits, said in (
        ((), ""),
        (("a.jpg",), "a.jpg fits in far worse"),
        (("a.jpg", "b.jpg"), "a.jpg, b.jpg fit in"),
    ):
        found = report.Reconstructed(tmp_path, **numbers, **words, unusable=(), explained=0.7, misfits=misfits)
        assert ("warning" in found.describe()) == bool(misfits) and said in found.describe()


def test_groups_that_do_not_overlap_are_named(tmp_path):
    numbers = dict(photos=9, registered=4, points=100, reprojection_error=0.5, cameras=1, pairs=10, explained=0.7)
    words = dict(lens="RADIAL", matching="exhaustive", mapping="global mapping", tried=(), missing=(), unmatched=())
    groups = (("b1.jpg", "b2.jpg", "b3.jpg"), ("c.jpg",))
    said = report.Reconstructed(tmp_path, **numbers, **words, unusable=(), misfits=(), other_groups=groups).describe()
    assert "3 groups that do not overlap. The one with most matches is used" in said
    assert "others: 3 photos (b1.jpg, b2.jpg, b3.jpg); 1 photo (c.jpg)" in said


def test_what_lies_in_further_scenes(tmp_path):
    _, scene = made_up(tmp_path)
    names = {key: scene.images[key].name for key in scene.reg_image_ids()}
    parts = [part(scene, range(1, 7)), part(scene, range(5, 10)), part(scene, range(2, 5)), part(scene, range(10, 13))]
    assert attempts._further(parts) == [[names[key] for key in keys] for keys in (range(7, 10), range(10, 13))]


@dataclass
class Found:
    """A scene as far as the search looks at it."""

    photos: int
    error: float = 0.3
    points3D: dict[int, "Found"] = field(default_factory=dict)
    cameras: dict[int, pycolmap.Camera] = field(
        default_factory=lambda: {1: pycolmap.Camera(model="PINHOLE", width=800, height=600, params=[1, 1, 1, 1])}
    )

    def num_reg_images(self) -> int:
        return self.photos


@pytest.mark.parametrize(
    ("results", "tried", "best"),
    [
        ([(20, 0.8)], ["size"], 0),
        ([(20, 0.2), (20, 0.2), (20, 0.35)], ["size", "photo", "incremental sure"], 2),
        ([(20, 0.2), (20, 0.3), (18, 0.29)], ["size", "photo", "incremental sure"], 1),
        ([(4, 0.1), (20, 0.9)], ["size", "photo"], 1),
        ([(4, 0.6), (4, 0.6), (19, 0.8)], ["size", "photo", "incremental"], 2),
        ([(20, 0.8, 1)], ["size"], 0),
        ([(20, 0.8, 5), (20, 0.79, 0)], ["size", "loosened"], 1),
        ([(20, 0.8, 5), (20, 0.79, 5)], ["size", "loosened"], 0),
        ([(20, 0.8, 5), (19, 0.7, 0)], ["size", "loosened"], 0),
        ([(20, 0.8, 5), (20, 0.8, 3)], ["size", "loosened"], 1),
    ],
)
def test_what_is_tried_follows_from_what_came_out(tmp_path, monkeypatch, results, tried, best):
    class Search(attempts.SceneSearch):
        def _matched(self, masked: bool) -> Path:
            return tmp_path

        def _match_further(self, which: str, database: Path) -> bool:
            return False

        def _complete(self, best: attempts.Outcome) -> attempts.Outcome:
            return best

        def _try(self, attempt: attempts.Attempt) -> attempts.Outcome:
            photos, share, *odd = results[len(self.outcomes)]
            done.append(attempt)
            odd = sum(odd)
            found = agreement.Agreement(round(1000 * share), 1000, 1000, ("odd",) * odd, range(odd))
            assert not attempt.loosened or self._ties == range(results[0][2])
            return attempts.Outcome(attempt, Found(photos, points3D={1: Found(0)}), (), found)

        def _judge(self, attempt: attempts.Attempt, models: list[Found], others: object = None) -> attempts.Outcome:
            return next(outcome for outcome in self.outcomes if outcome.attempt == attempt)

    monkeypatch.setattr(attempts, "has_unknown", lambda database: True)
    monkeypatch.setattr(attempts, "unsure_pairs", lambda database: [1])
    monkeypatch.setattr(attempts, "GLOBAL_FROM", 10)
    monkeypatch.setattr(attempts.mapping, "refine", lambda model, progress: model)
    done: list[attempts.Attempt] = []
    work = work_folder.WorkFolder(tmp_path, resumed=False)
    search = Search(work, [f"{number}.jpg" for number in range(20)], ("exhaustive",), attempts.Wishes(), 0, False)
    found = search.run()
    words = [
        f"{a.mapper * (a.mapper == 'incremental')} {'sure' * a.sure}{'loosened' * a.loosened}".strip() or a.sharing
        for a in done
    ]
    assert words == tried and found.attempt == done[best]
