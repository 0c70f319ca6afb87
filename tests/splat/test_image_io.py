"""Pictures and videos: exact where the format is, atomic, and clear about damaged files."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from splat.errors import InputError
from splat.io.images import colorize_depth, read_image, side_by_side, write_image
from splat.io.video import VideoWriter


def picture(height: int = 9, width: int = 14, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=generator)


def test_png_is_exact(tmp_path: Path) -> None:
    write_image(tmp_path / "new" / "a.png", picture())
    assert torch.equal(read_image(tmp_path / "new" / "a.png"), picture())


def test_floats_are_clamped_and_rounded(tmp_path: Path) -> None:
    values = torch.tensor([-1.0, 0.0, 0.4999 / 255, 0.5001 / 255, 1.0, 7.0, float("nan"), float("inf"), -float("inf")])
    write_image(tmp_path / "a.png", values[None, :, None].expand(1, 9, 3).requires_grad_())
    assert read_image(tmp_path / "a.png")[0, :, 0].tolist() == [0, 0, 0, 1, 255, 255, 0, 255, 0]
    write_image(tmp_path / "b.png", (picture().double() / 255).to(torch.float64))
    assert torch.equal(read_image(tmp_path / "b.png"), picture())


def test_jpeg_is_close(tmp_path: Path) -> None:
    ramp = torch.linspace(0, 1, 64)[None, :, None].expand(48, 64, 3)
    write_image(tmp_path / "a.jpg", ramp)
    assert (read_image(tmp_path / "a.jpg") / 255 - ramp).abs().max() < 0.02


def test_other_kinds_of_pictures_become_rgb(tmp_path: Path) -> None:
    gray = np.arange(0, 60000, 1000, dtype=np.uint16).reshape(6, 10)
    Image.fromarray(gray).save(tmp_path / "gray16.png")
    assert np.array_equal(read_image(tmp_path / "gray16.png")[:, :, 1], gray >> 8)
    for mode in ("L", "LA", "P", "RGBA", "CMYK", "1"):
        suffix = "tif" if mode == "CMYK" else "png"
        Image.fromarray(picture().numpy()).convert(mode).save(tmp_path / f"{mode}.{suffix}")
        image = read_image(tmp_path / f"{mode}.{suffix}")
        assert image.shape == (9, 14, 3)
        assert image.dtype == torch.uint8


def test_damaged_pictures_are_named(tmp_path: Path) -> None:
    write_image(tmp_path / "whole.png", picture(64, 64))
    content = (tmp_path / "whole.png").read_bytes()
    cases = {
        "cut.png": (content[: len(content) // 2], "damaged"),
        "text.png": (b"hello", "not a picture"),
        "empty.png": (b"", "not a picture"),
    }
    for name, (damaged, message) in cases.items():
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(InputError, match=message) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(InputError, match="no such file"):
        read_image(tmp_path / "none.png")


@pytest.mark.parametrize("length", range(1, 400, 13))
def test_any_cut_is_reported(tmp_path: Path, length: int) -> None:
    write_image(tmp_path / "whole.jpg", picture(20, 20))
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:length])
    with pytest.raises(InputError, match=r"cut\.jpg"):
        read_image(tmp_path / "cut.jpg")


def test_wrong_use_is_refused(tmp_path: Path) -> None:
    for bad in (torch.zeros(4, 4), torch.zeros(3, 4, 4), torch.zeros(0, 4, 3), torch.zeros(4, 4, 3, dtype=torch.int64)):
        with pytest.raises(ValueError, match="expected an image"):
            write_image(tmp_path / "a.png", bad)
    with pytest.raises(ValueError, match="ending in"):
        write_image(tmp_path / "a.gif", picture())
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "a.png", picture(seed=1))

    def full_disk(_: Image.Image, path: Path, **__: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="No space") as caught:
        write_image(tmp_path / "a.png", picture(seed=2))
    assert caught.value.filename == str(tmp_path / "a.png")
    assert torch.equal(read_image(tmp_path / "a.png"), picture(seed=1))
    assert len(list(tmp_path.iterdir())) == 1


def test_side_by_side() -> None:
    left, right = picture(4, 5), picture(4, 7, seed=1)
    joined = side_by_side(left, right.float() / 255)
    assert torch.equal(joined, torch.cat([left, right], dim=1))
    with pytest.raises(ValueError, match=r"one height, got \[4, 5\]"):
        side_by_side(left, picture(5, 5))
    with pytest.raises(ValueError, match="at least one"):
        side_by_side()


def test_depth_colors_go_from_light_to_dark() -> None:
    depth = torch.linspace(1, 10, 50).repeat(3, 1)
    depth[2] = 0
    depth[1, 0], depth[1, 1] = float("nan"), float("inf")
    colors = colorize_depth(depth)
    brightness = colors[0].float().sum(-1)
    assert (brightness.diff() <= 0).all()
    assert brightness[0] > 600 > 100 > brightness[-1]
    assert not colors[2].any()
    assert not colors[1, :2].any()
    assert colorize_depth(torch.full((2, 2), 3.0)).shape == (2, 2, 3)
    assert not colorize_depth(torch.zeros(2, 2)).any()
    assert torch.equal(colorize_depth(depth, near=1, far=10)[0, 0], torch.tensor([252, 244, 176], dtype=torch.uint8))
    with pytest.raises(ValueError, match="near < far"):
        colorize_depth(depth, near=3, far=2)
    with pytest.raises(ValueError, match=r"\[H, W\]"):
        colorize_depth(torch.zeros(2, 2, 3))


def decode(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_video_has_the_frames_in_order(tmp_path: Path) -> None:
    """Gray levels survive yuv420p nearly; an odd size is padded by one."""
    levels = [0.1, 0.5, 0.9, 0.3]
    with VideoWriter(tmp_path / "new" / "a.mp4", fps=24) as video:
        for level in levels:
            video.write(torch.full((33, 65, 3), level))
    frames = decode(tmp_path / "new" / "a.mp4")
    assert [frame.shape for frame in frames] == [(34, 66, 3)] * 4
    assert [float(frame.mean() / 255) for frame in frames] == pytest.approx(levels, abs=0.02)
    with av.open(str(tmp_path / "new" / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 24)


def test_video_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with pytest.raises(KeyError), VideoWriter(path) as video:
        video.write(picture(32, 32))
        raise KeyError
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="no frame"), VideoWriter(path):
        pass
    with pytest.raises(ValueError, match="must be 32 x 16 like the first"), VideoWriter(path) as video:
        video.write(picture(16, 32))
        video.write(picture(16, 16))
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"\.mp4"):
        VideoWriter(tmp_path / "a.avi")
    with pytest.raises(ValueError, match="fps"):
        VideoWriter(path, fps=0)
