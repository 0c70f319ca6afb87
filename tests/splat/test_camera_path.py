"""Paths go through their keyframes, smoothly, at the pace asked for; files are read whole or refused with a reason."""

import json
import math
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes import cameras
from splat import Camera
from splat.errors import InputError
from splat.geometry.camera_path import FOV_RANGE, MAX_FRAMES, CameraPath, Keyframe
from splat.io.camera_path_file import from_json, load_path, save_path, to_json

reals = st.floats(-100, 100)
keyframes = st.builds(
    Keyframe,
    position=st.tuples(reals, reals, reals),
    quaternion=st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: sum(x * x for x in q) > 1e-2),
    fov=st.floats(*FOV_RANGE),
    seconds=st.floats(0.05, 20),
    ease=st.booleans(),
)
paths = st.builds(
    CameraPath,
    keyframes=st.lists(keyframes, min_size=1, max_size=6).map(tuple),
    loop=st.booleans(),
    tension=st.floats(0, 1),
    constant_speed=st.booleans(),
)


def flight(**options: object) -> CameraPath:
    """Around the origin, looking at it, with stretches of very different lengths."""
    stops = []
    for turn, height, seconds in (
        (0.0, -1.0, 1.0),
        (0.5, -0.5, 2.0),
        (2.4, -1.5, 1.5),
        (2.7, -1.0, 3.0),
        (4.5, -0.2, 1.0),
    ):
        eye = (4 * math.sin(turn), height, -4 * math.cos(turn))
        stops.append(Keyframe.of(Camera.look_at(eye, (0, 0, 0), width=64, height=48), seconds))
    return CameraPath(tuple(stops), **options)


def angle(a: Keyframe, b: Keyframe) -> float:
    return 2 * math.acos(min(1.0, abs(float(np.dot(a.quaternion, b.quaternion)))))


def steps(path: CameraPath, times: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.diff([k.position for k in path.keyframe_at(times)], axis=0), axis=1)


@settings(max_examples=30)
@given(paths)
def test_goes_through_every_keyframe_when_it_should(path: CameraPath) -> None:
    size = max(max(map(abs, k.position)) for k in path.keyframes) + 1
    for wanted, found in zip(path.keyframes, path.keyframe_at(path.times), strict=True):
        assert math.dist(wanted.position, found.position) < 1e-5 * size
        assert angle(wanted, found) < 1e-4
        assert found.fov == pytest.approx(wanted.fov, rel=1e-4)
    assert np.all(np.diff(path.times) > 0) and path.times[-1] <= path.duration + 1e-9


@settings(max_examples=30)
@given(paths)
def test_is_continuous_and_its_lens_stays_between_the_keyframes(path: CameraPath) -> None:
    """No single one of four small steps is nearly all of them, as a jump would be."""
    around = np.array(path.times)[:, None] + np.array([-1, -0.5, 0, 0.5, 1]) * 1e-4  # where pieces meet
    within = np.linspace(0, path.duration, 10)[:, None] + np.array([-1, -0.5, 0, 0.5, 1]) * 1e-4
    fovs = [k.fov for k in path.keyframes]
    for times in np.concatenate([around, within]):
        views = path.keyframe_at(times)
        half = [math.dist(a.position, b.position) for a, b in pairwise(views)]
        assert max(half) <= 0.75 * sum(half) + 1e-6
        turns = [angle(a, b) for a, b in pairwise(views)]
        assert max(turns) <= 0.75 * sum(turns) + 1e-4
        assert all(min(fovs) - 1e-6 <= k.fov <= max(fovs) + 1e-6 for k in views)


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("constant_speed", [False, True])
def test_no_kink_at_keyframes(loop: bool, constant_speed: bool) -> None:
    """Velocities just before and just after a keyframe are the same, of position and of rotation."""
    path = flight(loop=loop, constant_speed=constant_speed)
    h = 1e-4
    for at in path.times[0 if loop else 1 : None if loop else -1]:
        a, b, c = path.keyframe_at([at - h, at, at + h])
        before, after = np.subtract(b.position, a.position), np.subtract(c.position, b.position)
        assert np.linalg.norm(after - before) < 0.02 * np.linalg.norm(after)
        assert angle(a, b) == pytest.approx(angle(b, c), rel=0.03)


def test_constant_speed_is_constant() -> None:
    for loop in (False, True):
        path = flight(loop=loop, constant_speed=True)
        walked = steps(path, np.linspace(0, path.duration, 500))
        assert walked.std() < 0.005 * walked.mean()
    uneven = steps(flight(), np.linspace(0, flight().duration, 500))
    assert uneven.std() > 0.2 * uneven.mean()


def test_speed_changes_when_but_not_where() -> None:
    path, fast = flight(), flight().at_speed(2.0)
    assert fast.duration == pytest.approx(path.duration / 2)
    a, b = path.keyframe_at(np.linspace(0, path.duration, 50)), fast.keyframe_at(np.linspace(0, fast.duration, 50))
    assert max(math.dist(x.position, y.position) for x, y in zip(a, b, strict=True)) < 1e-9


def test_seconds_do_not_change_the_shape() -> None:
    """Every point of the path flown in another rhythm lies on the path."""
    path = flight()
    other = replace(path, keyframes=tuple(replace(k, seconds=1 + 5 * (i % 2)) for i, k in enumerate(path.keyframes)))
    dense = np.array([k.position for k in path.keyframe_at(np.linspace(0, path.duration, 5000))])
    for keyframe in other.keyframe_at(np.linspace(0, other.duration, 40)):
        assert np.linalg.norm(dense - keyframe.position, axis=1).min() < 5e-3


def test_ease_rests_at_its_keyframe_only() -> None:
    path = flight()
    eased = replace(path, keyframes=tuple(replace(k, ease=index == 2) for index, k in enumerate(path.keyframes)))
    h, speed = 1e-3, {}
    for index, at in enumerate(eased.times[1:-1], start=1):
        speed[index] = steps(eased, np.array([at - h, at + h]))[0]
    assert speed[2] < 0.01 * min(speed[1], speed[3])


def test_tension_straightens() -> None:
    path = flight(tension=1.0)
    for start, a, b in zip(path.times, path.keyframes, path.keyframes[1:], strict=False):
        (middle,) = path.keyframe_at(start + 0.37 * b.seconds)
        detour = math.dist(a.position, middle.position) + math.dist(middle.position, b.position)
        assert detour == pytest.approx(math.dist(a.position, b.position), rel=1e-9)
    length = {t: steps(flight(tension=t), np.linspace(0, 7.5, 2000)).sum() for t in (0.0, 0.5, 1.0)}
    assert length[0.0] > length[0.5] > length[1.0]


def test_a_loop_closes_and_repeats() -> None:
    path = flight(loop=True)
    assert path.duration == flight().duration + path.keyframes[0].seconds
    start, end, later = path.keyframe_at([0.3, path.duration + 0.3, 5 * path.duration + 0.3])
    assert math.dist(start.position, end.position) < 1e-9 and math.dist(start.position, later.position) < 1e-9
    drawn = path.cameras(10, 64, 48)
    walked = torch.stack([camera.position for camera in [*drawn, drawn[0]]]).diff(dim=0).norm(dim=1)
    assert walked[-1] < 2 * walked[0] and walked[0] < 2 * walked[-1]  # no jump at the seam, no picture twice


def test_a_camera_that_waits_stays_where_it_is() -> None:
    stops = list(flight().keyframes)
    stops.insert(2, replace(stops[1], seconds=4.0))
    path = CameraPath(tuple(stops))
    waiting = path.keyframe_at(np.linspace(path.times[1], path.times[2], 50))
    assert max(math.dist(k.position, stops[1].position) for k in waiting) < 1e-3


def test_turning_in_place_takes_time_at_constant_speed() -> None:
    turn = [Keyframe((0, 0, 0), (math.cos(a / 2), 0, math.sin(a / 2), 0)) for a in (0.0, 1.0, 1.5, 3.0)]
    path = CameraPath(tuple(turn), constant_speed=True)
    views = path.keyframe_at(np.linspace(0, path.duration, 200))
    turned = np.array([angle(a, b) for a, b in pairwise(views)])
    assert turned.std() < 0.02 * turned.mean()
    assert turned.sum() == pytest.approx(3.0, rel=1e-3)


def test_zooming_in_place_takes_time_at_constant_speed() -> None:
    stop = flight().keyframes[0]
    path = CameraPath((replace(stop, fov=60.0), replace(stop, fov=10.0, seconds=3.0)), constant_speed=True)
    fovs = np.array([k.fov for k in path.keyframe_at(np.linspace(0, 3, 100))])
    zoomed = np.diff(np.log(np.tan(np.radians(fovs) / 2)))
    assert zoomed.std() < 0.01 * abs(zoomed.mean()) and (zoomed < 0).all()


def test_keyframes_in_one_place_are_no_trouble() -> None:
    stop = flight().keyframes[0]
    for constant_speed in (False, True):
        for loop in (False, True):
            path = CameraPath((stop, stop, stop), loop=loop, constant_speed=constant_speed)
            for keyframe in path.keyframe_at(np.linspace(0, path.duration, 20)):
                assert math.dist(keyframe.position, stop.position) < 1e-9 and angle(keyframe, stop) < 1e-6


def test_cameras_draw_the_keyframes_they_were_made_of() -> None:
    batch = cameras(4, width=64, height=48)
    K = batch.K.clone()
    K[:, 0, 2], K[:, 1, 2] = 32, 24
    K[:, 1, 1] = K[:, 0, 0]
    stops = [Camera(v, k, 64, 48) for v, k in zip(batch.viewmat, K, strict=True)]
    drawn = CameraPath(tuple(Keyframe.of(camera, 1.0) for camera in stops)).cameras(10, 64, 48)
    assert len(drawn) == 31
    for camera, wanted in zip(drawn[::10], stops, strict=True):
        torch.testing.assert_close(camera.viewmat, wanted.viewmat, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(camera.K, wanted.K, atol=1e-3, rtol=1e-5)
    wide = stops[0].K[1, 1] * 2
    assert Keyframe.of(stops[0]).camera(256, 96).K[1, 1] == pytest.approx(
        float(wide), rel=1e-5
    )  # fov is the vertical one


def test_frames_are_counted_and_limited() -> None:
    path = flight()
    assert path.frame_count(24) == len(path.cameras(24, 8, 8)) == 24 * 7.5 + 1
    assert flight(loop=True).frame_count(24) == len(flight(loop=True).cameras(24, 8, 8)) == 24 * 8.5
    assert CameraPath(path.keyframes[:1]).frame_count(30) == len(CameraPath(path.keyframes[:1]).cameras(30, 8, 8)) == 1
    with pytest.raises(ValueError, match="pictures"):
        path.cameras(MAX_FRAMES, 8, 8)
    for fps in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="fps"):
            path.frame_count(fps)


@settings(max_examples=30)
@given(paths)
def test_files_give_back_the_path(path: CameraPath) -> None:
    assert from_json(to_json(path)) == path


def test_file_on_disk(tmp_path: Path) -> None:
    save_path(flight(), tmp_path / "paths" / "a.json")
    assert load_path(tmp_path / "paths" / "a.json").keyframes == flight().keyframes
    assert [p.name for p in (tmp_path / "paths").iterdir()] == ["a.json"]


def changed(**values: object) -> str:
    return json.dumps({**json.loads(to_json(flight())), **values})


def with_keyframe(**values: object) -> str:
    document = json.loads(to_json(flight()))
    document["keyframes"][1].update(values)
    return json.dumps(document)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("9" * 5000, "not JSON"),
        ("[]", "not a camera path"),
        ('{"keyframes": []}', "not a camera path"),
        (changed(version=2), "version 2"),
        (changed(version=True), "version True"),
        (changed(version=None), "version None"),
        (changed(keyframes=[]), "1 to 1000 keyframes"),
        (changed(keyframes=[{}] * 1001), "1 to 1000 keyframes"),
        (changed(keyframes={"0": 1}), "1 to 1000 keyframes"),
        (changed(keyframes=[7]), "keyframe 1 must be an object"),
        (changed(speed=3), "unknown value 'speed'"),
        (changed(loop=1), "loop must be true or false"),
        (changed(tension="high"), "tension must be a number"),
        (changed(tension=2), "tension must be 0 to 1"),
        (changed(constant_speed=None), "constant_speed must be"),
        (with_keyframe(position=[0, 0]), "keyframe 2: position must be 3 numbers"),
        (with_keyframe(position=[0, 0, math.nan]), "keyframe 2: position must be 3 numbers, finite"),
        (with_keyframe(position=[0, 0, 1e300]), "within"),
        (with_keyframe(position="xyz"), "3 numbers"),
        (with_keyframe(position=[0, 0, 10**400]), "double precision"),
        (with_keyframe(position=[True, 0, 0]), "3 numbers"),
        (with_keyframe(quaternion=[0, 0, 0, 0]), "must not be zero"),
        (with_keyframe(quaternion=[1, math.inf, 0, 0]), "finite"),
        (with_keyframe(quaternion=None), "4 numbers"),
        (with_keyframe(fov=0), "fov must be"),
        (with_keyframe(fov=180), "fov must be"),
        (with_keyframe(seconds=0), "seconds must be"),
        (with_keyframe(seconds=-1), "seconds must be"),
        (with_keyframe(seconds=1e12), "seconds must be"),
        (with_keyframe(ease="yes"), "ease must be"),
        (with_keyframe(roll=3), "keyframe 2 has an unknown value 'roll'"),
        (changed(keyframes=[{"position": [0, 0, 0]}]), "keyframe 1 has no quaternion"),
    ],
)
def test_what_is_no_path_is_refused_with_a_reason(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(text)
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(InputError, match=f"bad.json: .*{message}"):
        load_path(tmp_path / "bad.json")


@settings(max_examples=30)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda x: (
            st.lists(x, max_size=4)
            | st.dictionaries(st.sampled_from(["position", "quaternion", "fov", "seconds", "ease"]), x)
        ),
    )
)
def test_whatever_stands_in_a_file_is_a_path_or_a_value_error(value: object) -> None:
    for text in (changed(keyframes=value), changed(keyframes=[value]), changed(tension=value), json.dumps(value)):
        with suppress(ValueError):
            assert from_json(text).keyframe_at(0.5)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_path(tmp_path / "missing.json")
    with pytest.raises(InputError, match="cannot be read"):
        load_path(tmp_path)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        load_path(tmp_path / "binary.json")
    with open(tmp_path / "huge.json", "wb") as file:
        file.truncate(1 << 32)
    with pytest.raises(InputError, match="too large"):
        load_path(tmp_path / "huge.json")


def test_the_file_in_the_documentation_is_one() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "guides" / "editing.md").read_text(encoding="utf-8")
    path = from_json(text.split("```json\n")[1].split("```")[0])
    assert len(path.keyframes) == 2 and path.duration == 3
