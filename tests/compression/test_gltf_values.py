"""glTF whose numbers are unusual: sparse, out of range, or of nodes that lie far apart."""

import numpy as np
import pytest
import torch
from gltf_files import joined, parts, with_sparse

import splat
from scenes import cloud
from splat.compression.formats import registry as formats
from splat.compression.formats.axes import LUF
from splat.compression.formats.gltf import EXTENSION
from splat.errors import InputError

COUNT = 60


@pytest.fixture
def made(tmp_path):
    """A `.glb` of a cloud: its path, its JSON and its binary part."""
    formats.save(cloud(COUNT, sh_degree=0), tmp_path / "scene.glb")
    return tmp_path / "scene.glb", *parts(tmp_path / "scene.glb")


def test_a_node_too_far_from_the_first_is_refused(made):
    path, document, binary = made
    document["nodes"] = [{"mesh": 0}, {"mesh": 0, "translation": [5e7, 0, 0]}]
    document["scenes"] = [{"nodes": [0, 1]}]
    with pytest.raises(InputError, match=r"5e\+07 units apart.*export each as a file of its own"):
        splat.load(joined(path, document, binary))
    for node in document["nodes"]:  # but they may be far away together
        node["translation"] = [5e7, 0, 0]
    with pytest.warns(UserWarning, match="was subtracted"):
        found = splat.load(joined(path, document, binary))
    assert torch.allclose(found.means, torch.cat([cloud(COUNT, sh_degree=0).means] * 2), atol=1e-6)


@pytest.mark.parametrize("zeros", [False, True])
def test_sparse_accessors(zeros, made):
    path, document, binary = made
    primitive = document["meshes"][0]["primitives"][0]
    numbers = np.array([[1.0, 2, 3], [4, 5, 6]])
    binary = with_sparse(document, binary, "POSITION", [3, 50], numbers)
    if zeros:
        del document["accessors"][primitive["attributes"]["POSITION"]]["bufferView"]
    expected = cloud(COUNT, sh_degree=0)
    expected.means *= not zeros
    expected.means[[3, 50]] = torch.from_numpy(numbers).float() * torch.tensor(LUF)
    assert torch.allclose(splat.load(joined(path, document, binary)).means, expected.means)


def test_sparse_accessors_that_do_not_fit(made):
    path, document, binary = made
    with pytest.raises(InputError, match="POSITION: its accessor does not fit"):
        splat.load(joined(path, document, with_sparse(document, binary, "POSITION", [COUNT], np.ones((1, 3)))))
    for accessor in document["accessors"]:
        accessor.pop("bufferView"), accessor.pop("sparse", None)
        accessor["count"] = 10**12
    with pytest.raises(InputError, match="promises"):
        splat.load(joined(path, document, binary))


def test_opacities_beyond_their_range_are_said(made):
    path, document, binary = made
    binary = with_sparse(document, binary, f"{EXTENSION}:OPACITY", [0, 1, 2], np.array([3.0, -1.0, 1.0]))
    with pytest.warns(UserWarning, match="2 of 60 opacities are not 0 to 1; they become 0 or 1"):
        found = splat.load(joined(path, document, binary))
    assert torch.allclose(found.opacities[:3], torch.tensor([1.0, 0.0, 1.0]), atol=1e-5)
    primitive = document["meshes"][0]["primitives"][0]
    accessor = document["accessors"][primitive["attributes"][f"{EXTENSION}:OPACITY"]]
    del accessor["sparse"]
    accessor["componentType"] = 5121
    with pytest.warns(UserWarning, match="opacities are not 0 to 1, and its accessor lacks `normalized`"):
        splat.load(joined(path, document, binary))
