"""Large scenes go block by block: where the blocks end changes neither files nor what is read."""

import pytest
import torch

from scenes import cloud
from splat.compression.formats import blocks
from splat.compression.formats import registry as formats
from splat.io import ply
from splat.io import ply_container as ply_file


@pytest.mark.parametrize("name", ["scene.ply", "scene.compressed.ply", "scene.spz", "scene.splat"])
@pytest.mark.filterwarnings("ignore:.*cannot be drawn")
def test_blocks_leave_no_trace(name, tmp_path, monkeypatch):
    scene = cloud(1100, sh_degree=3, seed=5)
    scene.quats[300] = 0  # cannot be drawn
    formats.save(scene, tmp_path / name)
    content, found = (tmp_path / name).read_bytes(), formats.load(tmp_path / name)
    for module in (blocks, ply_file, ply):
        monkeypatch.setattr(module, "BLOCK", 256)
    formats.save(scene, tmp_path / name)
    again = formats.load(tmp_path / name)
    assert (tmp_path / name).read_bytes() == content
    assert all(torch.equal(tensor, found.tensors()[key]) for key, tensor in again.tensors().items())


def test_an_empty_scene_has_no_blocks(tmp_path):
    for name in ("scene.ply", "scene.compressed.ply", "scene.spz"):
        formats.save(cloud(4, sh_degree=1)[:0], tmp_path / name)
        assert len(formats.load(tmp_path / name)) == 0
