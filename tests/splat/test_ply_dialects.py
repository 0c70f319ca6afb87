"""PLYs of Gaussians as other programs write them."""

import warnings
from pathlib import Path

import numpy as np
import plyfile
import pytest
import torch

import splat
from scenes import cloud
from splat.errors import InputError
from splat.gaussians import SH_C0
from splat.io.ply import load_points
from splat.io.ply_dialects import antialiased, filtered

COUNT = 40


def table(degree: int = 1) -> dict[str, np.ndarray]:
    """The columns of a plain PLY, by name."""
    gaussians = cloud(COUNT, sh_degree=degree)
    columns = dict(zip("xyz", gaussians.means.T.numpy(), strict=True))
    columns |= {f"f_dc_{k}": gaussians.sh0[:, k].numpy() for k in range(3)}
    rest = gaussians.sh_rest.transpose(1, 2).flatten(1)
    columns |= {f"f_rest_{k}": rest[:, k].numpy() for k in range(rest.shape[1])}
    columns["opacity"] = gaussians.logit_opacities.numpy()
    columns |= {f"scale_{k}": gaussians.log_scales[:, k].numpy() for k in range(3)}
    return columns | {f"rot_{k}": gaussians.quats[:, k].numpy() for k in range(4)}


def write(path: Path, columns: dict[str, np.ndarray], **options) -> Path:
    """A PLY with these columns, of their types."""
    rows = np.zeros(len(columns["x"]), dtype=[(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        rows[name] = values
    plyfile.PlyData([plyfile.PlyElement.describe(rows, "vertex")], **options).write(str(path))
    return path


def without(columns: dict[str, np.ndarray], *starts: str) -> dict[str, np.ndarray]:
    return {name: values for name, values in columns.items() if not name.startswith(starts)}


def same(first: splat.Gaussians, second: splat.Gaussians) -> bool:
    others = second.tensors()
    return all(torch.equal(tensor, others[name]) for name, tensor in first.tensors().items())


@pytest.mark.parametrize("prefix", ["scalar_", "scal_", "scalar_scal_"])
def test_names_of_cloudcompare(prefix, tmp_path):
    columns = table()
    renamed = {name if name in "xyz" else prefix + name: values for name, values in columns.items()}
    renamed |= {name: np.full(COUNT, 200, np.uint8) for name in ("red", "green", "blue")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = splat.load(write(tmp_path / "scene.ply", renamed))
    assert same(found, cloud(COUNT, sh_degree=1))


SCALES = [
    (np.uint8, 255),
    (np.uint16, 255),
    (np.uint16, 65535),
    (np.int32, 255),
    (np.int32, 65535),
    (np.int32, 2**31 - 1),
]
SCALES += [(np.float32, 1.0), (np.float32, 255.0), (np.float64, 65535.0)]


def in_color(dtype: type, most: float) -> dict[str, np.ndarray]:
    unit = np.linspace(0, 1, COUNT)
    return {name: (unit**power * most).astype(dtype) for power, name in enumerate(("red", "green", "blue"), 1)}


@pytest.mark.parametrize(("dtype", "most"), SCALES, ids=str)
def test_colors_of_points(dtype, most, tmp_path):
    cloud = load_points(write(tmp_path / "points.ply", {name: table()[name] for name in "xyz"} | in_color(dtype, most)))
    assert np.allclose(cloud.colors.numpy(), 255 * np.linspace(0, 1, COUNT)[:, None] ** (1, 2, 3), atol=1.01)


@pytest.mark.parametrize(("dtype", "most"), SCALES, ids=str)
def test_colors_as_red_green_and_blue(dtype, most, tmp_path):
    columns = without(table(), "f_dc", "f_rest")
    unit = np.linspace(0, 1, COUNT)
    colors = in_color(dtype, most)
    with pytest.warns(UserWarning, match="colors are red, green and blue"):
        found = splat.load(write(tmp_path / "scene.ply", columns | colors))
    assert found.sh_degree == 0
    assert np.allclose(found.sh0[:, 1] * SH_C0 + 0.5, unit**2, atol=1 / 255)
    assert torch.equal(found.log_scales, cloud(COUNT).log_scales)


def test_harmonics_beside_colors_are_read(tmp_path):
    columns = without(table(), "f_dc") | in_color(np.uint8, 255)
    with pytest.warns(UserWarning, match=r"colors are red, green and blue \(divided by 255\)$"):
        found = splat.load(write(tmp_path / "scene.ply", columns))
    assert torch.equal(found.sh_rest, cloud(COUNT, sh_degree=1).sh_rest)


def test_opacity_as_alpha(tmp_path):
    columns = without(table(), "opacity") | {"alpha": np.linspace(0, 255, COUNT).astype(np.uint8)}
    found = splat.load(write(tmp_path / "scene.ply", columns))
    assert np.allclose(found.opacities, columns["alpha"] / 255, atol=1e-6)


def test_two_scales_are_flat_gaussians(tmp_path):
    with pytest.warns(UserWarning, match="flat 3D Gaussians"):
        found = splat.load(write(tmp_path / "scene.ply", without(table(), "scale_2")))
    assert torch.equal(found.log_scales[:, :2], cloud(COUNT).log_scales[:, :2])
    assert float(found.scales[:, 2].max()) < 1e-12
    camera = splat.Camera.look_at((0, -1, -4), (0, 0, 0), width=40, height=30)
    picture = splat.render(found, camera).rgb
    assert picture.isfinite().all() and float(picture.mean()) > 0.05


def test_one_scale_is_a_round_gaussian(tmp_path):
    with pytest.warns(UserWarning, match="round Gaussians"):
        found = splat.load(write(tmp_path / "scene.ply", without(table(), "scale_1", "scale_2")))
    assert torch.equal(found.log_scales, cloud(COUNT).log_scales[:, :1].expand(-1, 3))


def test_the_filter_of_mip_splatting_is_applied(tmp_path):
    columns = table() | {"filter_3D": np.linspace(0, 0.5, COUNT, dtype=np.float32)}
    path = write(tmp_path / "scene.ply", columns)
    with pytest.warns(UserWarning, match="filter_3D.*applied"):
        found = splat.load(path)
    before, f = cloud(COUNT, sh_degree=1, dtype=torch.float64), torch.from_numpy(columns["filter_3D"]).double()
    scales = (before.scales.float().double().square() + f[:, None].square()).sqrt()
    factor = (before.scales.square().prod(1) / scales.square().prod(1)).sqrt()
    assert torch.allclose(found.scales.double(), scales, rtol=1e-5)
    assert torch.allclose(found.opacities.double(), before.opacities * factor, rtol=1e-4)
    assert found.log_scales[0].tolist() == cloud(COUNT).log_scales[0].tolist()  # a filter of 0 changes no bit
    assert antialiased(path) is True


def test_a_filtered_gaussian_keeps_its_mass():
    log_scales, logits = torch.randn(50, 3), torch.randn(50)
    after, opacity = filtered(log_scales, logits, torch.rand(50))
    before = logits.sigmoid() * log_scales.sum(1).exp()
    assert torch.allclose(opacity.sigmoid() * after.sum(1).exp(), before, rtol=1e-4)


def test_anchors_are_named(tmp_path):
    columns = without(table(), "f_dc", "f_rest") | {
        f"{name}_{k}": np.zeros(COUNT, np.float32) for name in ("f_offset", "f_anchor_feat") for k in range(6)
    }
    with pytest.raises(InputError, match=r"anchors of Scaffold-GS.*networks"):
        splat.load(write(tmp_path / "scene.ply", columns))


@pytest.mark.parametrize("colors", [True, False])
def test_points_are_named(colors, tmp_path):
    columns = {name: table()[name] for name in "xyz"}
    columns |= {name: np.zeros(COUNT, np.uint8) for name in ("red", "green", "blue")} if colors else {}
    with pytest.raises(InputError, match=f"40 points {'with' if colors else 'without'} colors, not Gaussians"):
        splat.load(write(tmp_path / "scene.ply", columns))


def test_what_is_not_read_is_said(tmp_path):
    columns = table() | {f"semantic_{k}": np.zeros(COUNT, np.float32) for k in range(12)}
    with pytest.warns(UserWarning, match=r"12 properties mean nothing here.*semantic_0, .*\.\.\."):
        assert same(splat.load(write(tmp_path / "scene.ply", columns)), cloud(COUNT, sh_degree=1))


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("antialiased 1", True),
        ("antialiased 0", False),
        ("postshot.anti_aliasing=1", True),
        ("postshot.anti_aliasing=0", False),
        ("SplatRenderMode: mip", True),
        ("SplatRenderMode: default", False),
        ("made by hand", None),
    ],
)
@pytest.mark.parametrize("end", [".ply", ".compressed.ply"])
def test_marks_of_antialiasing(comment, expected, end, tmp_path):
    path = tmp_path / f"scene{end}"
    splat.save(cloud(COUNT), path)
    path.write_bytes(path.read_bytes().replace(b"\nelement", f"\ncomment {comment}\nelement".encode(), 1))
    assert antialiased(path) is expected
    assert splat.plugins.load_with_facts(path).antialiased is expected


@pytest.mark.parametrize("comment", ["von Jörg Müller", "写真", "C:\\Users\\Zoë\\scène"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_comments_that_are_not_ascii(comment, encoding, tmp_path):
    path = write(tmp_path / "scene.ply", table(), comments=["PLACE"])
    path.write_bytes(path.read_bytes().replace(b"PLACE", comment.encode(encoding).replace(b"\n", b"")))
    assert same(splat.load(path), cloud(COUNT, sh_degree=1))


@pytest.mark.parametrize("options", [{"text": True}, {"byte_order": ">"}, {"byte_order": "<"}], ids=str)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_kinds_of_ply_and_ends_of_lines(options, end, tmp_path):
    path = write(tmp_path / "scene.ply", table(), comments=["x"], **options)
    header, mark, rows = path.read_bytes().partition(b"end_header\n")
    header = header.replace(b"comment ", "comment é".encode())
    rows = rows.replace(b"\n", end) if options.get("text") else rows
    path.write_bytes((header + mark).replace(b"\n", end) + rows)
    found, expected = splat.load(path), cloud(COUNT, sh_degree=1)
    assert torch.allclose(found.means, expected.means, rtol=1e-5) and found.sh_degree == 1
