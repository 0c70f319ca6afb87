"""What `splat share` writes: sizes, what is given up for them, and how it says what it cannot do."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scenes import cloud
from splat import Gaussians, RenderSettings
from splat.compression.coding import smallest_three
from splat.compression.formats import registry as formats
from splat.geometry.quaternions import rotation_matrix
from splat.reference.projection import project
from splat.viewer.commands import share as share_command
from splat.viewer.share import fit as share_fit
from splat.viewer.share import page as share
from splat.viewer.share import payload as share_scene
from splat.viewer.share import text_encoding as share_text
from splat.viewer.share import views as share_views

RunSplat = Callable[..., int]


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    return cloud(5000, sh_degree=1, scale=0.05)


def covariance(gaussians: Gaussians) -> torch.Tensor:
    axes = rotation_matrix(gaussians.quats) * gaussians.scales[:, None, :]
    return axes @ axes.transpose(1, 2)


def test_axes_by_size_are_the_same_ellipsoids(scene: Gaussians) -> None:
    double = scene.to(dtype=torch.float64)
    sorted_axes = share_scene.with_axes_by_size(double)
    assert torch.allclose(covariance(sorted_axes), covariance(double), atol=1e-12)
    assert bool((sorted_axes.log_scales.diff(dim=1) <= 0).all())


def test_largest_first_is_the_same_ellipsoid() -> None:
    """All codes of quaternions whose largest component is any of the four."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(40, 216, (4000, 3), generator=generator)
    largest = torch.arange(4000) % 4

    def decoded(largest: torch.Tensor, codes: torch.Tensor) -> Gaussians:
        quats = smallest_three.join(largest, (codes.double() / 255 - 0.5) * 2**0.5)
        scales = torch.tensor([[0.0, -1.0, -2.0]], dtype=torch.float64).expand(len(quats), 3)
        zeros = torch.zeros(len(quats), 3, dtype=torch.float64)
        return Gaussians(zeros, quats, scales, zeros[:, 0], zeros, zeros[:, None, :][:, :0])

    stored = torch.cat([codes, 252 + largest[:, None]], dim=1).to(torch.uint8).numpy()
    turned = torch.from_numpy(share_scene._with_largest_first(stored)).long()
    first = decoded(torch.zeros(4000, dtype=torch.int64), turned)
    assert torch.allclose(covariance(first), covariance(decoded(largest, codes)), atol=1e-12)


def from_text(text: str, length: int) -> bytes:
    """The plain way to undo `share_text.encode`."""
    bits = ""
    for character in text:
        code = ord(character)
        symbols = [code] if code < 128 else [share_text.SPECIAL[(code >> 7) - 1], code & 127]
        bits += "".join(f"{symbol:07b}" for symbol in symbols)
    return bytes(int(bits[8 * index : 8 * index + 8], 2) for index in range(length))


@given(st.binary(max_size=200) | st.lists(st.sampled_from(b"\x00\x0d\x3c\x78\xf0\x01"), max_size=60).map(bytes))
def test_text_comes_back_and_fits_into_html(content: bytes) -> None:
    text = share_text.encode(content)
    assert not set(text) & set(share_text.SPECIAL)
    assert len(text) <= len(content) * 8 / 7 + 2
    assert from_text(text.decode(), len(content)) == content


@pytest.mark.parametrize("limit", [240_000, 130_000])
def test_fits_and_says_what_was_given_up(scene: Gaussians, limit: int) -> None:
    fitted = share_fit.fit(scene, limit - 60_000)
    assert share_fit.text_size(fitted.payload) <= limit - 60_000
    assert share_fit.text_size(fitted.payload) > 0.7 * (limit - 60_000) or limit > 200_000
    notes = "; ".join(fitted.given_up)
    assert ("left out" in notes) == (limit < 200_000)


def test_least_visible_go_first(scene: Gaussians) -> None:
    """Making some Gaussians nearly transparent makes them the ones that are left out."""
    faint = scene.map(torch.clone)
    faint.logit_opacities[:2500] = -5
    faint.means[:2500, 0] += 100  # so that one can tell
    size = share_fit.text_size(share_scene.encode(faint.with_sh_degree(0)))
    fitted = share_fit.fit(faint, int(0.55 * size))
    header_length = int.from_bytes(fitted.payload[4:8], "little")
    assert '"maxs":[' in fitted.payload[8 : 8 + header_length].decode()
    x = float(fitted.payload[8 : 8 + header_length].decode().split('"maxs":[')[1].split(",")[0])
    assert x < 3


def test_the_verb_keeps_to_a_size(run_splat: RunSplat, tmp_path: Path, capsys) -> None:
    formats.save(cloud(12_000, sh_degree=0), tmp_path / "ball.spz")
    assert run_splat("share", tmp_path / "ball.spz", "--max-bytes", "200kB") == 0
    page = tmp_path / "ball.html"
    said = capsys.readouterr().out
    assert page.stat().st_size <= 200_000
    assert "to fit into 200kB: " in said
    assert "<title>ball</title>" in page.read_text(encoding="utf-8")


def test_a_sog_says_whether_it_is_antialiased(run_splat: RunSplat, tmp_path: Path) -> None:
    """As it is, with other harmonics, and where the flag says more than the file."""
    scene = cloud(300, sh_degree=1)
    for name, inside in (("plain", False), ("smooth", True)):
        formats.save(scene, tmp_path / f"{name}.sog", formats.FormatOptions(antialiased=inside))
    for name, flags, expected in (
        ("plain", (), False),
        ("smooth", (), True),
        ("smooth", ("--sh-degree", 0), True),
        ("plain", ("--antialiased",), True),
    ):
        page = tmp_path / "page.html"
        assert run_splat("share", tmp_path / f"{name}.sog", "-o", page, "--overwrite", *flags) == 0
        text = page.read_text(encoding="utf-8").split('id="scene">')[1].split("</script>")[0]
        header = from_text(text[:1200], 900).decode("latin-1")
        assert f'"antialiased":{str(expected).lower()}' in header


def test_a_run_knows_its_cameras_but_gives_no_photos(
    small_run: tuple[Path, Path], run_splat: RunSplat, tmp_path: Path
) -> None:
    assert run_splat("share", small_run[1], "-o", tmp_path / "run.html") == 0
    text = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert '"views":[{"name":"001"' in text
    assert "data:image" not in text.split("<script type=")[1]
    assert run_splat("share", small_run[1], "-o", tmp_path / "with.html", "--capture", small_run[0]) == 0
    assert "data:image/jpeg" in (tmp_path / "with.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("-o", "page.txt"), "must end in .html"),
        (("--background", "blue-ish"), "--background must be"),
        (("--max-bytes", "tiny"), "--max-bytes must be a size"),
        (("--max-bytes", "1kB"), "200kB or more"),
        (("--sh-degree", "4"), "--sh-degree must be 0 to 3"),
        (("--capture", "nowhere"), "nowhere"),
    ],
)
def test_refuses_what_it_cannot_do(
    scene: Gaussians, run_splat: RunSplat, tmp_path: Path, capsys, flags: tuple[str, ...], words: str
) -> None:
    formats.save(scene[:50], tmp_path / "a.ply")
    assert run_splat("share", tmp_path / "a.ply", *flags) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "a.html").exists()


def test_does_not_replace_a_page_unasked(scene: Gaussians, run_splat: RunSplat, tmp_path: Path, capsys) -> None:
    formats.save(scene[:50], tmp_path / "a.ply")
    (tmp_path / "a.html").write_text("mine")
    assert run_splat("share", tmp_path / "a.ply") == 1
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "a.html").read_text() == "mine"
    assert run_splat("share", tmp_path / "a.ply", "--overwrite") == 0
    assert (tmp_path / "a.html").stat().st_size > 10_000


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[1]",
        '[{"rotation": 3}]',
        '[{"rotation": [[0]], "position": null}]',
        '[{"rotation": [1, 2], "position": [3]}]',
    ],
)
def test_broken_cameras_of_a_run_are_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "cameras.json").write_text(content)
    assert share_views.views_of_run(tmp_path) == []


def test_start_view_sees_the_scene(scene: Gaussians) -> None:
    view = share_views.view_around(scene)
    camera = view.camera
    seen = project(scene, camera.viewmat, camera.K, camera.width, camera.height, RenderSettings())
    inside = (seen.mean2d > 0).all(1) & (seen.mean2d < torch.tensor([camera.width, camera.height])).all(1)
    assert float((seen.drawn & inside).float().mean()) > 0.8


@pytest.mark.parametrize(
    ("text", "size"), [("8MB", 8_000_000), ("500kB", 500_000), ("1.5 MiB", 1_572_864), (None, None)]
)
def test_sizes(text: str | None, size: int | None) -> None:
    assert share_command.parse_size(text) == size


def test_only_comments_and_indentation_are_dropped() -> None:
    source = 'a = "x // y";\n  // gone\n\n    b = `c\n      d`;\n'
    assert share.smaller(source) == 'a = "x // y";\nb = `c\nd`;'
