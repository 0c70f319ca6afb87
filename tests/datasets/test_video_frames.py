"""Frames out of videos: the sharpest ones, evenly, also where the header says little; what is damaged is left out and said."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch

from splat.datasets.sfm import reconstruct
from splat.datasets.sfm.video_frames import Extracted, _frames, extract_frames
from splat.datasets.sfm.work_folder import WorkFolder
from splat.errors import InputError
from splat.io.images import read_image
from splat.io.video import VideoWriter

FRAMES, KEY = 60, 12


def write_video(path: Path, codec: str = "libx264") -> bytes:
    """A texture that moves, each frame another part of it; each twelfth frame complete by itself."""
    texture = np.random.default_rng(0).integers(0, 256, (30 + FRAMES, 40 + FRAMES), dtype=np.uint8)
    with av.open(str(path.absolute()), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 80, 60, "yuv420p", KEY
        for index in range(FRAMES):
            part = texture[index : index + 30, index : index + 40].repeat(2, 0).repeat(2, 1)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(part), format="gray")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    return path.read_bytes()


def spoiled(data: bytes, damage: bytes) -> bytes:
    middle = data.index(b"mdat") + len(data) // 2
    return data[:middle] + damage + data[middle + len(damage) :]


def test_a_video_gives_its_sharpest_frames(tmp_path):
    random = torch.Generator().manual_seed(0)
    texture = torch.rand(60, 400, 3, generator=random)
    with VideoWriter(tmp_path / "turn.mp4", fps=30, crf=10) as video:
        for place in range(40):
            frame = texture[:, 4 * place : 4 * place + 80].repeat_interleave(4, 0).repeat_interleave(4, 1)
            if place % 4:  # three of four are blurred
                planes = torch.nn.functional.avg_pool2d(frame.permute(2, 0, 1)[None], 9, 1, 4)
                frame = planes[0].permute(1, 2, 0)
            video.write(frame)
    assert extract_frames(tmp_path / "turn.mp4", tmp_path / "frames", 10) == Extracted(10, ())
    assert len(list((tmp_path / "frames").iterdir())) == 10
    for index in range(10):
        picked = read_image(tmp_path / f"frames/frame_{index + 1:05d}.jpg").float()
        sharp = texture[:, 16 * index : 16 * index + 80].repeat_interleave(4, 0).repeat_interleave(4, 1) * 255
        assert float((picked - sharp).abs().mean()) < 30


def test_frames_are_counted_where_the_header_does_not(tmp_path):
    """Or where it is wrong."""
    write_video(tmp_path / "a.webm", "libvpx")
    data = write_video(tmp_path / "b.avi", "mpeg4")
    assert data.count(FRAMES.to_bytes(4, "little")) >= 2
    (tmp_path / "b.avi").write_bytes(data.replace(FRAMES.to_bytes(4, "little"), (5).to_bytes(4, "little")))
    for name in ("a.webm", "b.avi"):
        assert extract_frames(tmp_path / name, tmp_path / name[0], 10) == Extracted(10, ())


@pytest.mark.parametrize("damage", [bytes(2000), bytes(range(256)) * 8])
def test_what_follows_a_damage_is_used_from_the_next_complete_frame_on(tmp_path, damage):
    data = write_video(tmp_path / "a.mp4")
    whole = {frame.pts: frame.to_ndarray(format="gray") for frame in _frames(tmp_path / "a.mp4")}
    assert len(whole) == FRAMES
    (tmp_path / "a.mp4").write_bytes(spoiled(data, damage))
    kept = [frame for frame in _frames(tmp_path / "a.mp4") if frame is not None]
    assert FRAMES - 3 * KEY < len(kept) < FRAMES and kept[-1].pts == max(whole)
    assert all(np.array_equal(frame.to_ndarray(format="gray"), whole[frame.pts]) for frame in kept)
    done = extract_frames(tmp_path / "a.mp4", tmp_path / "frames", 10)
    assert 6 <= done.written < 10
    assert done.notes[0].startswith(f"a.mp4: {len(kept)} of {FRAMES} frames can be used; the others are damaged")


def test_what_was_lost_is_still_known_when_work_goes_on(tmp_path):
    data, work = write_video(tmp_path / "a.mp4"), WorkFolder(tmp_path / "work", resumed=False)
    (tmp_path / "a.mp4").write_bytes(spoiled(data, bytes(2000)))
    first = reconstruct._frames(tmp_path / "a.mp4", work, reconstruct.SfmOptions(frames=5))
    (tmp_path / "a.mp4").unlink()
    again = reconstruct._frames(tmp_path / "a.mp4", work, reconstruct.SfmOptions(frames=5))
    assert first == again and f"of {FRAMES} frames can be used" in again[1][0]


def test_a_video_that_ends_in_the_middle_is_used_as_far_as_it_goes(tmp_path):
    with VideoWriter(tmp_path / "whole.mp4", fps=30) as video:
        for place in range(60):
            video.write(torch.rand(48, 64, 3, generator=torch.Generator().manual_seed(place)))
    data = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 2 // 3])
    done = extract_frames(tmp_path / "cut.mp4", tmp_path / "frames", 10)
    assert done.written >= 9 and "of 60 frames can be used" in done.notes[0]
    (tmp_path / "short.mp4").write_bytes(data[: data.index(b"mdat") + 5000])
    with pytest.raises(InputError, match=r"shows only [0-2] frames.*short\.mp4: [0-2] of 60 frames"):
        extract_frames(tmp_path / "short.mp4", tmp_path / "few", 10)


def test_a_name_is_no_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "a:b.mp4")
    assert extract_frames(Path("a:b.mp4"), tmp_path / "frames", 10).written == 10
    Path("c:d e.mp4").write_bytes(b"no film")
    with pytest.raises(InputError, match=r"cannot be decoded.*ffmpeg -i '/.*/c:d e\.mp4' -c:v"):
        extract_frames(Path("c:d e.mp4"), tmp_path / "none", 10)
