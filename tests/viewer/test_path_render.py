"""Videos and pictures along a path appear whole or not at all."""

from pathlib import Path

import pytest
import torch
from captures import ring

import splat
from scenes import cloud
from splat.io.images import read_image, to_uint8
from splat.viewer.path.render_job import Canceled, RenderJob


def run(output: Path, *, stop_at: int | None = None, scene=None, count: int = 6) -> tuple[RenderJob, list, list]:
    done, ended = [], []
    cameras = ring(count, 32, 24)

    def progress(index: int) -> None:
        done.append(index)
        if index == stop_at:
            job.cancel()

    job = RenderJob(
        cloud(40) if scene is None else scene,
        cameras,
        output,
        fps=12,
        background=(0.2, 0.4, 0.6),
        progress=progress,
        finished=ended.append,
    )
    job.start()
    assert job.wait(30)
    return job, done, ended


def test_pictures_are_those_of_the_cameras(tmp_path: Path) -> None:
    job, done, ended = run(tmp_path / "flight")
    assert done == [1, 2, 3, 4, 5, 6] and ended == [None]
    files = sorted((tmp_path / "flight").iterdir())
    assert [file.name for file in files] == [f"{index:05d}.png" for index in range(6)]
    for file, camera in zip(files, job.cameras, strict=True):
        expected = splat.render(cloud(40), camera, background=(0.2, 0.4, 0.6)).rgb
        assert torch.equal(read_image(file), to_uint8(expected))
    assert [file.name for file in tmp_path.iterdir()] == ["flight"]


def test_a_video_has_every_frame(tmp_path: Path) -> None:
    import av

    run(tmp_path / "paths" / "flight.mp4")
    with av.open(str(tmp_path / "paths" / "flight.mp4")) as video:
        assert video.streams.video[0].frames == 6 and float(video.streams.video[0].average_rate) == 12


@pytest.mark.parametrize("name", ["flight.mp4", "flight"])
def test_canceled_leaves_nothing(name: str, tmp_path: Path) -> None:
    _, done, ended = run(tmp_path / name, stop_at=3)
    assert done == [1, 2, 3] and len(ended) == 1 and isinstance(ended[0], Canceled)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["flight.mp4", "flight"])
def test_failures_are_told_and_leave_nothing(name: str, tmp_path: Path) -> None:
    broken = cloud(3)
    broken.means = broken.means.double()  # of another precision than the rest
    _, _, ended = run(tmp_path / name, scene=broken)
    assert isinstance(ended[0], Exception) and not isinstance(ended[0], Canceled)
    assert list(tmp_path.iterdir()) == []


def test_a_canceled_video_leaves_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "flight.mp4").write_bytes(b"old")
    run(tmp_path / "flight.mp4", stop_at=1)
    assert (tmp_path / "flight.mp4").read_bytes() == b"old"
