"""point_cloud.ply: lossless, readable by an independent library, and never taken in by a damaged file."""

import gc
from pathlib import Path

import numpy as np
import plyfile
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import splat
from splat.compression.formats.recognition import recognized
from splat.errors import InputError
from splat.gaussians import Gaussians
from splat.io.ply import load, load_moved, save, save_points


def scene(count: int = 7, degree: int = 3, seed: int = 0) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    bases = (degree + 1) ** 2 - 1
    return Gaussians(
        random(count, 3), random(count, 4), random(count, 3), random(count), random(count, 3), random(count, bases, 3)
    )


def same(left: Gaussians, right: Gaussians) -> bool:
    pairs = zip(left.tensors().values(), right.tensors().values(), strict=True)
    return all(torch.equal(a.view(torch.int32), b.view(torch.int32)) for a, b in pairs)


@pytest.mark.parametrize("degree", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_round_trip_keeps_every_bit(tmp_path: Path, degree: int, count: int) -> None:
    original = scene(count, degree)
    save(original, tmp_path / "new" / "folder" / "point_cloud.ply")
    restored = load(tmp_path / "new" / "folder" / "point_cloud.ply")
    assert same(original, restored)
    assert all(tensor.is_contiguous() and tensor.dtype == torch.float32 for tensor in restored.tensors().values())


def test_a_name_that_is_all_ending(tmp_path: Path) -> None:
    save(scene(), tmp_path / ".ply")
    assert same(load(tmp_path / ".ply"), scene())


def test_layout_is_the_published_one(tmp_path: Path) -> None:
    original = scene(5)
    save(original, tmp_path / "scene.ply")
    element = plyfile.PlyData.read(tmp_path / "scene.ply")["vertex"]
    rest = [f"f_rest_{index}" for index in range(45)]
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", *rest, "opacity"]
    names += ["scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    assert [prop.name for prop in element.properties] == names
    assert all(prop.val_dtype == "f4" for prop in element.properties)
    assert np.array_equal(element["f_rest_0"], original.sh_rest[:, 0, 0])
    assert np.array_equal(element["f_rest_14"], original.sh_rest[:, 14, 0])
    assert np.array_equal(element["f_rest_15"], original.sh_rest[:, 0, 1])
    assert np.array_equal(element["rot_0"], original.quats[:, 0])
    assert not element["nx"].any()


@pytest.mark.parametrize("form", ["ascii", "big", "little"])
def test_any_order_type_and_byte_order(tmp_path: Path, form: str) -> None:
    """A file as another program may write it: shuffled, doubles among floats, extra properties and elements."""
    original = scene(6, degree=1)
    save(original, tmp_path / "scene.ply")
    rows = plyfile.PlyData.read(tmp_path / "scene.ply")["vertex"].data
    names = list(np.random.default_rng(0).permutation(rows.dtype.names))
    layout = [(name, "f8" if index % 3 == 0 else "f4") for index, name in enumerate(names)] + [("class", "u1")]
    table = np.zeros(len(rows), dtype=layout)
    for name in names:
        table[name] = rows[name]
    before = np.array([(1, 2.5), (3, 4.5)], dtype=[("a", "i2"), ("b", "f8")])
    elements = [
        plyfile.PlyElement.describe(before, "earlier"),
        plyfile.PlyElement.describe(table, "vertex"),
        plyfile.PlyElement.describe(before, "later"),
    ]
    order = {"ascii": "=", "big": ">", "little": "<"}[form]
    plyfile.PlyData(elements, text=form == "ascii", byte_order=order, comments=["by someone"]).write(
        tmp_path / "other.ply"
    )
    restored = load(tmp_path / "other.ply")
    if form == "ascii":  # plyfile prints floats with 9 or fewer digits
        for left, right in zip(original.tensors().values(), restored.tensors().values(), strict=True):
            torch.testing.assert_close(left, right)
    else:
        assert same(original, restored)


def test_saving_double_on_purpose_and_gradients(tmp_path: Path) -> None:
    original = scene().to(dtype=torch.float64).requires_grad_()
    save(original, tmp_path / "scene.ply")
    assert same(scene(), load(tmp_path / "scene.ply"))


def test_rows_that_are_not_finite_are_kept_and_reported(tmp_path: Path) -> None:
    original = scene()
    original.log_scales[2, 1] = float("-inf")
    original.means[4] = float("nan")
    with pytest.warns(UserWarning, match="1 of 7 Gaussians"):
        save(original, tmp_path / "scene.ply")
    assert same(original, load(tmp_path / "scene.ply"))
    with pytest.warns(UserWarning, match="scene.ply: 1 of 7 Gaussians cannot be drawn .*1 position not finite"):
        assert len(splat.load(tmp_path / "scene.ply")) == 6


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "scene.ply"
    save(scene(seed=1), path)

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("splat.io.ply.write_blocks", full_disk)
    with pytest.raises(OSError, match="No space") as caught:
        save(scene(seed=2), path)
    assert caught.value.filename == str(path)
    assert same(load(path), scene(seed=1))
    assert [file.name for file in tmp_path.iterdir()] == ["scene.ply"]


def test_save_points(tmp_path: Path) -> None:
    points, colors = torch.randn(9, 3), torch.randint(0, 256, (9, 3), dtype=torch.uint8)
    save_points(tmp_path / "input.ply", points, colors)
    element = plyfile.PlyData.read(tmp_path / "input.ply")["vertex"]
    assert np.array_equal(np.stack([element[name] for name in "xyz"], 1), points)
    assert np.array_equal(np.stack([element[name] for name in ("red", "green", "blue")], 1), colors)
    with pytest.raises(InputError, match="point cloud or mesh"):
        load(tmp_path / "input.ply")
    with pytest.raises(ValueError, match=r"colors must be uint8 \[9, 3\]"):
        save_points(tmp_path / "input.ply", points, colors.float())
    with pytest.raises(ValueError, match=r"ending in \.ply"):
        save_points(tmp_path / "input.obj", points, colors)


HEADER = b"ply\nformat binary_little_endian 1.0\nelement vertex 3\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"solid cube", "not a PLY"),
        (b"ply\nformat binary_little_endian 1.0\n", "no 'end_header'"),
        (b"ply\nelement vertex 0\nproperty float x\nend_header\n", "no 'format'"),
        (b"ply\nformat binary_middle_endian 1.0\nelement vertex 0\nproperty float x\nend_header\n", "line 2"),
        (HEADER + b"property quad x\nend_header\n", "line 4"),
        (HEADER + b"property float x\nproperty float x\nend_header\n", "line 5 .* a second time"),
        (HEADER + b"property float x\nelement vertex 3\nproperty float y\nend_header\n", "line 5 .* a second time"),
        (HEADER + b"property half x\nend_header\n", "line 4.*half.*Mend that line"),
        (HEADER.replace(b"3", b"-3") + b"property float x\nend_header\n", "line 3"),
        (HEADER.replace(b"3", b"9" * 30) + b"property float x\nend_header\n", "line 3"),
        (HEADER.replace(b"vertex", b"face") + b"property float x\nend_header\n", "expected an element 'vertex'"),
        (HEADER + b"property list uchar int x\nend_header\n", "list property"),
        (HEADER + b"property float x\nend_header\n" + bytes(11), "3 rows, which take"),
        (HEADER.replace(b"3", b"999999999999") + b"property float x\nend_header\n" + bytes(12), "999999999999 rows"),
        (HEADER.replace(b"3", b"0") + b"property float x\nend_header\n", "point cloud or mesh"),
        (HEADER.replace(b"3", b"0") + b"property uint packed_position\nend_header\n", "compressed PLY"),
        (HEADER.replace(b"3", b"0") + b"property float f_rest_7\nend_header\n", "numbered f_rest_0"),
    ],
)
def test_damaged_files_say_what_is_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.ply"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path / "none.ply")
    with pytest.raises(InputError, match="got a folder"):
        load(tmp_path)


def test_missing_properties_are_named(tmp_path: Path) -> None:
    save(scene(0), tmp_path / "scene.ply")
    text = (tmp_path / "scene.ply").read_bytes()
    (tmp_path / "part.ply").write_bytes(text.replace(b"property float rot_1\n", b""))
    with pytest.raises(InputError, match="properties missing: rot_1; export"):
        load(tmp_path / "part.ply")


def test_ascii_rows_that_cannot_be_read(tmp_path: Path) -> None:
    save(scene(2, degree=0), tmp_path / "scene.ply")
    data = plyfile.PlyData.read(tmp_path / "scene.ply")
    data.text = True
    data.write(tmp_path / "text.ply")
    text = (tmp_path / "text.ply").read_text()
    head, _, rows = text.partition("end_header\n")
    for damaged in (rows.replace(" ", " word ", 1), rows.split("\n")[0] + "\n" + "0 " * 40, "1 2 3\n" + "4 " * 60):
        (tmp_path / "bad.ply").write_text(head + "end_header\n" + damaged)
        with pytest.raises(InputError, match=r"bad\.ply"):
            load(tmp_path / "bad.ply")


@pytest.mark.parametrize("kind", ["float", "float32", "double"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.filterwarnings("error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning")
def test_text_keeps_the_digits_of_map_coordinates(tmp_path: Path, kind: str, end: str) -> None:
    """Whatever type its header gives to them, and without leaving the file open."""
    original = scene(5, degree=0)
    original.means[:, 1], original.log_scales[:] = torch.arange(5) / 8, -3.0
    save(original, tmp_path / "scene.ply")
    data = plyfile.PlyData.read(tmp_path / "scene.ply")
    data.text = True
    data.write(tmp_path / "text.ply")
    head, mark, rows = (tmp_path / "text.ply").read_text().partition("end_header\n")
    lines = [row.split() for row in rows.splitlines()]
    lines = [[x, repr(4500000.456 + float(y)), *others] for x, y, *others in lines]
    text = head.replace("property float y", f"property {kind} y") + mark + "\n".join(map(" ".join, lines)) + "\n"
    (tmp_path / "text.ply").write_bytes(text.replace("\n", end).encode())
    with pytest.warns(UserWarning, match="too far from the origin"):
        found, georeference = load_moved(tmp_path / "text.ply")
    gc.collect()
    assert georeference is not None
    wanted = original.means.double() + torch.tensor([0, 4500000.456, 0], dtype=torch.float64)
    assert (georeference.to_capture(found.means) - wanted).abs().max() < 1e-6


@pytest.fixture(scope="module")
def good_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "good.ply"
    save(scene(3, degree=1), path)
    return path.read_bytes()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_fuzzed_files_load_or_say_why(
    data: st.DataObject, good_bytes: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Cut, overwritten and spliced files: an answer or an InputError, nothing else, and no more memory than the file."""
    damaged = bytearray(good_bytes)
    header = good_bytes.index(b"end_header") + 11
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["cut", "byte", "splice", "number"]))
        at = data.draw(st.integers(0, min(header, len(damaged))))
        if kind == "cut":
            del damaged[data.draw(st.integers(0, len(damaged))) :]
        elif kind == "byte" and at < len(damaged):
            damaged[at] = data.draw(st.integers(0, 255))
        elif kind == "splice":
            damaged[at:at] = data.draw(st.binary(max_size=12))
        elif kind == "number":
            number = data.draw(st.integers(0, 10**20))
            damaged = bytearray(bytes(damaged).replace(b"vertex 3", b"vertex %d" % number))
    path = tmp_path_factory.getbasetemp() / "fuzzed.ply"
    path.write_bytes(damaged)
    try:
        loaded = load(path)
    except InputError as error:
        assert str(path) in str(error)
    else:
        assert len(loaded) <= len(damaged)


def test_rows_that_the_header_does_not_count_are_said(tmp_path: Path) -> None:
    save(splat.Gaussians.cat([scene()] * 3), tmp_path / "scene.ply")
    data = (tmp_path / "scene.ply").read_bytes()
    count = len(load(tmp_path / "scene.ply"))
    (tmp_path / "scene.ply").write_bytes(data.replace(b"vertex %d" % count, b"vertex %d" % (count - 5)))
    with pytest.warns(UserWarning, match="bytes follow the last row"):
        assert len(load(tmp_path / "scene.ply")) == count - 5


def as_text(path: Path, gaussians: splat.Gaussians) -> str:
    """The content of a PLY in ASCII."""
    save(gaussians, path)
    data = plyfile.PlyData.read(str(path), mmap=False)
    data.text = True
    data.write(str(path))
    return path.read_text()


def test_rows_of_text_that_the_header_does_not_count_are_said(tmp_path: Path) -> None:
    text = as_text(tmp_path / "scene.ply", scene(20))
    (tmp_path / "scene.ply").write_text(text.replace("vertex 20", "vertex 12") + "\n")
    with pytest.warns(UserWarning, match="8 lines follow the last row"):
        assert len(load(tmp_path / "scene.ply")) == 12


def test_text_of_old_compilers_is_read(tmp_path: Path) -> None:
    head, mark, rows = as_text(tmp_path / "scene.ply", scene(2, degree=0)).partition("end_header\n")
    values = rows.split(" ")
    values[:3] = ["-1.#IND", "1.#QNAN0", "-1.#INF00"]
    (tmp_path / "scene.ply").write_text(head + mark + " ".join(values))
    x, y, z = load(tmp_path / "scene.ply").means[0].tolist()
    assert x != x and y != y and z == -float("inf")


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"ply\n", b"\xef\xbb\xbfply\n"),
        (b"ply\n", b"ply \t\n"),
        (b"end_header\n", b" end_header \n"),
        (b"element", b"comment up to end_header\nelement"),
        (b"element", b"comment end_header\nelement"),
    ],
)
def test_headers_that_are_a_little_different(tmp_path: Path, old: bytes, new: bytes, text: bool) -> None:
    save(scene(), path := tmp_path / "scene.ply")
    if text:
        as_text(path, scene())
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    assert recognized(path) == ".ply"
    assert torch.equal(load(path).means, scene().means)


@pytest.mark.parametrize("bad", ["1,234", "-1.#WHAT", "", "1 2"])
def test_a_row_of_text_that_cannot_be_read_is_named(tmp_path: Path, bad: str) -> None:
    save(scene(), tmp_path / "scene.ply")
    data = plyfile.PlyData.read(str(tmp_path / "scene.ply"))
    data.text = True
    data.write(str(tmp_path / "text.ply"))
    lines = (tmp_path / "text.ply").read_text().split("\n")
    row = lines.index("end_header") + 4
    values = lines[row].split(" ")
    lines[row] = " ".join([*values[:2], *([bad] if bad else []), *values[3:]])
    (tmp_path / "text.ply").write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"text\.ply: row 4 of \d+ of vertex.* cannot be read"):
        load(tmp_path / "text.ply")
