"""glTF as other programs and the standard write it: nodes, several primitives, buffers elsewhere, color spaces, SPZ inside."""

import base64
import json
import math
import warnings

import numpy as np
import pytest
import torch
from gltf_files import joined, parts

import splat
from scenes import cloud
from splat import Gaussians
from splat.compression.formats import registry as formats
from splat.compression.formats.axes import LUF, turned
from splat.compression.formats.gltf import EXTENSION
from splat.compression.formats.gltf.reader import encoded, srgb
from splat.compression.formats.registry import FormatOptions
from splat.compression.formats.spz import SpzOptions
from splat.errors import InputError
from splat.gaussians import SH_C0
from splat.geometry.quaternions import from_rotation_matrix, rotation_matrix
from splat.geometry.similarity import Similarity, sampled_directions
from splat.spherical_harmonics import basis

COUNT = 60


@pytest.fixture
def made(tmp_path):
    """A `.glb` of a cloud: its path, its JSON and its binary part."""
    formats.save(cloud(COUNT, sh_degree=2), tmp_path / "scene.glb")
    return tmp_path / "scene.glb", *parts(tmp_path / "scene.glb")


def plain() -> Gaussians:
    return cloud(COUNT, sh_degree=2)


def covariances(scene: Gaussians) -> torch.Tensor:  # [N, 3, 3] float64
    axes = rotation_matrix(scene.quats.double()) * scene.log_scales.double().exp()[:, None]
    return axes @ axes.transpose(1, 2)


def assert_same(found: Gaussians, expected: Gaussians, tolerance: float = 2e-4) -> None:
    assert len(found) == len(expected)
    assert torch.allclose(found.means, expected.means, atol=tolerance, rtol=tolerance)
    assert torch.allclose(covariances(found), covariances(expected), atol=tolerance, rtol=tolerance)
    assert torch.allclose(found.opacities, expected.opacities, atol=1e-5)
    assert torch.allclose(found.sh0, expected.sh0, atol=tolerance)
    assert torch.allclose(found.sh_rest, expected.sh_rest, atol=tolerance)


def moved(scene: Gaussians, move: Similarity) -> Gaussians:
    """By a similarity in glTF's axes."""
    return turned(move.gaussians(turned(scene, LUF)), LUF)


TURN = Similarity.from_euler((20.0, -50.0, 110.0), (1.0, -2.0, 3.0), 2.5)


def trs(move: Similarity) -> dict:
    w, x, y, z = from_rotation_matrix(move.rotation).tolist()
    return {"translation": move.translation.tolist(), "rotation": [x, y, z, w], "scale": [move.scale] * 3}


def as_matrix(move: Similarity) -> list[float]:
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3], matrix[:3, 3] = move.scale * move.rotation, move.translation
    return matrix.T.flatten().tolist()


@pytest.mark.parametrize("node", [trs(TURN), {"matrix": as_matrix(TURN)}], ids=["TRS", "matrix"])
def test_a_node_moves_its_gaussians(node, made):
    path, document, binary = made
    document["nodes"] = [{"mesh": 0} | node]
    assert_same(splat.load(joined(path, document, binary)), moved(plain(), TURN))


def test_nodes_move_what_is_below_them(made):
    path, document, binary = made
    up = Similarity.from_euler((0, 0, 90.0), (0, 5.0, 0))
    document["nodes"] = [{"children": [1, 2]} | trs(up), {"mesh": 0} | trs(TURN), {"children": [3]}, {"mesh": 0}]
    document["scenes"] = [{"nodes": []}, {"nodes": [0]}]
    document["scene"] = 1
    expected = [moved(moved(plain(), TURN), up), moved(plain(), up)]
    assert_same(splat.load(joined(path, document, binary)), Gaussians.cat(expected))


def test_a_scene_without_a_number_and_nodes_without_a_scene(made):
    path, document, binary = made
    document["nodes"] = [{"mesh": 0}, {"children": [0]} | trs(TURN)]
    document["scenes"] = [{"nodes": [1]}]
    del document["scene"]
    assert_same(splat.load(joined(path, document, binary)), moved(plain(), TURN))
    del document["scenes"]
    assert_same(splat.load(joined(path, document, binary)), moved(plain(), TURN))
    del document["nodes"]
    assert_same(splat.load(joined(path, document, binary)), plain())


def test_all_primitives_of_all_meshes(made):
    path, document, binary = made
    primitive = document["meshes"][0]["primitives"][0]
    bare = {
        name: index
        for name, index in primitive["attributes"].items()
        if "DEGREE_1" not in name and "DEGREE_2" not in name
    }
    document["meshes"] = [
        {"primitives": [primitive, primitive | {"attributes": bare}, {"mode": 4, "attributes": {"POSITION": 0}}]},
        {"primitives": [primitive]},
        {"primitives": [primitive]},
    ]
    document["nodes"] = [{"mesh": 0}, {"mesh": 1} | trs(TURN)]
    document["scenes"] = [{"nodes": [0, 1]}]
    with pytest.warns(UserWarning, match="1 primitives of triangles or points, 1 primitives of Gaussians in no node"):
        found = splat.load(joined(path, document, binary))
    flat = plain().with_sh_degree(0).with_sh_degree(2)
    assert_same(found, Gaussians.cat([plain(), flat, moved(plain(), TURN)]))


@pytest.mark.parametrize(
    "linear",
    [torch.diag(torch.tensor([1.0, 3.0, 0.5])), torch.diag(torch.tensor([-1.0, 1.0, 1.0])), None],
    ids=["stretched", "mirrored", "sheared"],
)
def test_nodes_that_are_no_similarities(linear, made):
    path, document, binary = made
    linear = (
        (torch.eye(3) + 0.4 * torch.randn(3, 3, generator=torch.Generator().manual_seed(3)))
        if linear is None
        else linear
    )
    matrix = torch.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, torch.tensor([1.0, 2.0, 3.0])
    document["nodes"] = [{"mesh": 0, "matrix": matrix.T.flatten().tolist()}]
    with pytest.warns(UserWarning, match="stretches or mirrors"):
        found = turned(splat.load(joined(path, document, binary)), LUF)
    before = turned(plain(), LUF)
    linear = linear.double()
    expected = linear @ covariances(before) @ linear.T
    assert torch.allclose(covariances(found), expected, atol=1e-5, rtol=1e-4)
    assert torch.allclose(found.means, before.means @ linear.T.float() + matrix[:3, 3], atol=1e-5)
    if linear[0, 0] == -1:  # a mirror image: the color from a mirrored direction is that from the direction
        directions = sampled_directions()
        seen = basis(2, directions)[:, 1:] @ before.sh_rest.double()
        mirrored = basis(2, directions @ linear.T)[:, 1:] @ found.sh_rest.double()
        assert torch.allclose(seen, mirrored, atol=1e-4)


@pytest.mark.parametrize("kind", ["file", "spaces", "text"])
def test_gltf_with_its_buffer_elsewhere(kind, made, tmp_path):
    _, document, binary = made
    if kind == "text":
        document["buffers"][0]["uri"] = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
    else:
        name = "a b/ü.bin" if kind == "spaces" else "scene.bin"
        document["buffers"][0]["uri"] = "a%20b/%C3%BC.bin" if kind == "spaces" else name
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(binary)
    (tmp_path / "scene.gltf").write_text(json.dumps(document))
    assert_same(splat.load(tmp_path / "scene.gltf"), plain(), 1e-6)
    with pytest.warns(UserWarning, match="content is glTF"):
        (tmp_path / "scene.ply").write_text(json.dumps(document))
        assert_same(splat.load(tmp_path / "scene.ply"), plain(), 1e-6)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("../scene.bin", "outside its folder"),
        ("/etc/passwd", "outside its folder"),
        ("http://example.com/scene.bin", "outside its folder"),
        ("none.bin", "copy it beside"),
        ("data:text/plain,abc", "not base64"),
        ("data:;base64,&&&&", "cannot be decoded"),
        ("data:;base64,", "does not fit"),
        ("data:" + "1" * 5000, "cannot be decoded"),
        ("a%00b", "no file can be called"),
        ("\ud800", "no file can be called"),
        ("n" * 5000, "no file can be called"),
        ("loop.bin", "no file can be called|copy it beside"),
        ("http://[", "no file can be called"),
        (7, "not text"),
    ],
)
def test_buffers_that_cannot_be_used(uri, message, made, tmp_path):
    _, document, _ = made
    document["buffers"][0]["uri"] = uri
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/loop.bin").symlink_to("loop.bin")
    text = json.dumps(document)
    if isinstance(uri, str) and uri.startswith("data:1"):
        text = text.replace('"data:1', '"\\u0064ata:1')
    (tmp_path / "inner/scene.gltf").write_text(text)
    with pytest.raises(InputError, match=message):
        splat.load(tmp_path / "inner/scene.gltf")


def sh(degree: int, coefficient: int) -> str:
    return f"{EXTENSION}:SH_DEGREE_{degree}_COEF_{coefficient}"


def tower(scale: float, height: int = 20) -> list[dict]:
    """Nodes on top of each other, each scaled."""
    return [{"children": [above + 1], "scale": [scale] * 3} for above in range(height)] + [{"mesh": 0}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(nodes=[{"mesh": 0, "children": [0]}]), "no trees"),
        (lambda d: d.update(nodes=[{"children": [1, 1]}, {"mesh": 0}]), "no trees"),
        (lambda d: d.update(nodes=[{"children": [9]}]), "names the node 9 of 1"),
        (lambda d: d.update(scene=3), "names the scene 3 of 1"),
        (lambda d: d.update(nodes=[{"camera": 0}]), "1 primitives with them are in no node"),
        (lambda d: d.update(nodes=[{"mesh": 0, "scale": [1, 1, 0]}]), "presses its Gaussians flat"),
        (lambda d: d.update(nodes=[{"mesh": 0, "rotation": [0, 0, 0, 0]}]), "rotation is zero"),
        (lambda d: d.update(nodes=[{"mesh": 0, "scale": [1, 1]}]), "expected 3 numbers as its scale"),
        (lambda d: d.update(nodes=[{"mesh": 0, "translation": [1, 1, None]}]), "expected 3 numbers as its translation"),
        (lambda d: d.update(nodes=[{"mesh": 0, "matrix": [1.0] * 16}]), "last row"),
        (lambda d: d.update(extensionsRequired=["KHR_gaussian_splatting_other"]), "needs KHR_gaussian_splatting_other"),
        (lambda d: d["bufferViews"][0].update(extensions={"EXT_meshopt_compression": {}}), "packed by EXT_meshopt"),
        (lambda d: d["asset"].update(version="1.0"), "version 1.0"),
        (lambda d: d.update(nodes=[{"mesh": 0}, {"mesh": 7}], scenes=[{"nodes": [0, 1]}]), "names the mesh 7 of 1"),
        (lambda d: d["meshes"][0]["primitives"][0]["attributes"].pop(sh(1, 0)), "SH_DEGREE_1_COEF_0 is missing"),
        (lambda d: d["meshes"][0]["primitives"][0]["extensions"][EXTENSION].update(colorSpace=[]), "space is not text"),
        (lambda d: d.update(nodes=tower(1e29)), "a transform that is not finite"),
        (lambda d: d["accessors"][0].update(byteOffset=math.inf), "POSITION: its accessor does not fit"),
    ],
)
def test_documents_that_cannot_be_used(change, message, made):
    path, document, binary = made
    change(document)
    with pytest.raises(InputError, match=message):
        splat.load(joined(path, document, binary))


@pytest.mark.parametrize("space", ["lin_rec709_display", "BT.709-linear"])
def test_linear_colors_become_srgb(space, made):
    path, document, binary = made
    document["meshes"][0]["primitives"][0]["extensions"][EXTENSION]["colorSpace"] = space
    with pytest.warns(UserWarning, match="linear"):
        found = splat.load(joined(path, document, binary))
    directions = sampled_directions()
    before, after = (
        basis(2, directions).float() @ torch.cat([scene.sh0[:, None], scene.sh_rest], 1) + 0.5
        for scene in (plain(), found)
    )
    assert float((after - srgb(before.clamp_min(0))).abs().mean()) < 0.02
    flat = encoded(cloud(9, sh_degree=0))
    base = (cloud(9, sh_degree=0).sh0 * SH_C0 + 0.5).clamp_min(0)
    assert torch.allclose(flat.sh0 * SH_C0 + 0.5, srgb(base), atol=1e-5)
    assert math.isclose(float(srgb(torch.tensor(0.5))), 0.7353570, rel_tol=1e-5)


@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize(
    "name", [f"{EXTENSION}_compression_spz", f"{EXTENSION}_compression_spz_2", "KHR_spz_gaussian_splats_compression"]
)
def test_spz_inside(name, version, made, tmp_path):
    path, document, _ = made
    scene = cloud(COUNT, sh_degree=2, scale=0.1)
    formats.save(scene, tmp_path / "inner.spz", FormatOptions(spz=SpzOptions(version=version)))
    blob = (tmp_path / "inner.spz").read_bytes()
    packed = {name: {"bufferView": 0}}
    extensions = {EXTENSION: {"extensions": packed}} if "compression_spz" in name else packed
    document |= {
        "extensionsRequired": [EXTENSION, name],
        "meshes": [{"primitives": [{"mode": 0, "attributes": {"POSITION": 0}, "extensions": extensions}]}],
        "accessors": [{"componentType": 5126, "count": COUNT, "type": "VEC3"}],
        "bufferViews": [{"buffer": 0, "byteLength": len(blob)}],
        "buffers": [{"byteLength": len(blob)}],
        "nodes": [{"mesh": 0} | trs(TURN)],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = splat.load(joined(path, document, blob))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = moved(formats.load(tmp_path / "inner.spz"), TURN)
    assert_same(found, expected)


def test_drafts_without_opacity_and_harmonics(made):
    """The first draft, as in 3D Tiles: _ROTATION, _SCALE, and everything else in COLOR_0."""
    path, document, binary = made
    attributes = document["meshes"][0]["primitives"][0]["attributes"]
    color = np.frombuffer(binary, np.float32, 4 * COUNT, document["bufferViews"][1]["byteOffset"]).reshape(-1, 4)
    document["meshes"][0]["primitives"][0]["attributes"] = {
        "POSITION": attributes["POSITION"],
        "COLOR_0": attributes["COLOR_0"],
        "_ROTATION": attributes[f"{EXTENSION}:ROTATION"],
        "_SCALE": attributes[f"{EXTENSION}:SCALE"],
    }
    found = splat.load(joined(path, document, binary))
    assert found.sh_degree == 0
    assert np.allclose(found.opacities, color[:, 3], atol=1e-5)
    assert np.allclose(found.sh0 * SH_C0 + 0.5, color[:, :3], atol=1e-5)


def test_harmonics_of_degree_0_may_be_a_color_and_those_above_4_are_not_read(made):
    path, document, binary = made
    attributes = document["meshes"][0]["primitives"][0]["attributes"]
    attributes |= {sh(5, 0): attributes.pop(sh(0, 0)), "_FEATURE_ID_0": attributes["POSITION"]}
    with pytest.warns(UserWarning, match=r"not read: KHR_gaussian_splatting:SH_DEGREE_5_COEF_0$"):
        assert torch.equal(splat.load(joined(path, document, binary)).sh_rest, plain().sh_rest)


def test_a_buffer_in_the_text_is_decoded_once(made, tmp_path, monkeypatch):
    _, document, binary = made
    content, decoded, decode = base64.b64encode(binary).decode(), [], base64.b64decode
    monkeypatch.setattr("base64.b64decode", lambda *given, **named: decoded.append(1) or decode(*given, **named))
    for text in ("data:;base64," + content, "data:a/b;base64," + content):
        document["buffers"][0]["uri"] = text
        (tmp_path / "scene.gltf").write_text(json.dumps(document).replace("a/b", r"a\/b"))
        assert_same(splat.load(tmp_path / "scene.gltf"), plain(), 1e-6)
    assert len(decoded) == 2


def test_one_mesh_in_many_nodes_is_bounded(made, monkeypatch):
    path, document, binary = made
    document["nodes"], document["scenes"] = [{"mesh": 0}] * 30, [{"nodes": [*range(30)]}]
    assert len(splat.load(joined(path, document, binary))) == 30 * COUNT
    monkeypatch.setattr("splat.compression.coding.byte_reader.ALWAYS", 1000)
    monkeypatch.setattr("splat.compression.coding.byte_reader.RATIO", 5)
    with pytest.raises(InputError, match="which no scene does"):
        splat.load(joined(path, document, binary))


def test_quantized_attributes(made):
    """Rotations as signed shorts, scales as unsigned bytes that are not normalized, opacities as normalized bytes."""
    path, document, binary = made
    unit = torch.nn.functional.normalize(turned(plain(), LUF).quats, dim=1)
    quats = (unit[:, [1, 2, 3, 0]] * 32767).round().numpy().astype("<i2")
    sizes = np.tile(np.array([[1, 2, 3, 0]], np.uint8), (COUNT, 1))
    opacities = np.tile(np.array([[128, 0, 0, 0]], np.uint8), (COUNT, 1))
    attributes = document["meshes"][0]["primitives"][0]["attributes"]
    for name, values, kind, component, normalized in (
        ("ROTATION", quats, "VEC4", 5122, True),
        ("SCALE", sizes, "VEC3", 5121, False),
        ("OPACITY", opacities, "SCALAR", 5121, True),
    ):
        attributes[f"{EXTENSION}:{name}"] = len(document["accessors"])
        view = {"buffer": 0, "byteOffset": len(binary), "byteLength": values.nbytes, "byteStride": values.strides[0]}
        accessor = {
            "bufferView": len(document["bufferViews"]),
            "componentType": component,
            "count": COUNT,
            "type": kind,
        }
        document["bufferViews"].append(view)
        document["accessors"].append(accessor | ({"normalized": True} if normalized else {}))
        binary += values.tobytes()
    document["buffers"][0]["byteLength"] = len(binary)
    found = splat.load(joined(path, document, binary))
    assert torch.allclose(found.scales, torch.tensor([1.0, 2.0, 3.0]), atol=1e-5)
    assert torch.allclose(found.opacities, torch.tensor(128 / 255), atol=1e-5)
    assert_same(splat.Gaussians(**{**plain().tensors(), "quats": found.quats}), plain(), 1e-3)


def test_a_placement_is_written_as_the_node(tmp_path):
    utm = Similarity.from_euler((10.0, 0, 30.0), (500000.25, 4649776.125, 30.0), 0.5)
    formats.save(plain(), tmp_path / "scene.glb", FormatOptions(placement=utm))
    document, _ = parts(tmp_path / "scene.glb")
    assert document["nodes"][0]["translation"] == [-500000.25, -4649776.125, 30.0]  # every digit
    small = Similarity.from_euler((10.0, 0, 30.0), (5.0, 4.0, 30.0), 0.5)
    formats.save(plain(), tmp_path / "small.glb", FormatOptions(placement=small))
    assert_same(splat.load(tmp_path / "small.glb"), small.gaussians(plain()))


def test_what_is_written_is_as_ratified(made):
    _, document, binary = made
    primitive = document["meshes"][0]["primitives"][0]
    assert primitive["mode"] == 0
    assert primitive["extensions"][EXTENSION] == {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}
    assert document["extensionsUsed"] == [EXTENSION]
    color = np.frombuffer(binary, np.float32, 4 * COUNT, document["bufferViews"][1]["byteOffset"]).reshape(-1, 4)
    shown = (plain().sh0 * SH_C0 + 0.5).clamp(0, 1)
    assert np.allclose(srgb(torch.from_numpy(color[:, :3].copy())), shown, atol=1e-5)  # COLOR_0 is linear
