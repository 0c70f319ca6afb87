"""Meshes from scenes; needs Open3D, except for what is said where it is missing."""

import builtins
import json
import math
import struct
from typing import Any

import numpy as np
import pytest
import torch
from captures import ring

import splat
from splat import Gaussians
from splat.errors import InputError
from splat.geometry.georeference import Georeference
from splat.io.georeference_file import beside, write_georeference
from splat.training import mesh
from splat.training.per_image.sky import fibonacci_sphere


def needs_open3d() -> Any:
    """Open3D, or a skipped test."""
    try:
        return mesh.open3d()
    except InputError as error:
        pytest.skip(str(error))


def ball(radius: float = 1.0, count: int = 12_000) -> Gaussians:
    """Opaque, flat Gaussians on a sphere, red above and blue below."""
    means = radius * fibonacci_sphere(count)
    normal = means / radius
    # The rotation that takes z to the normal.
    quats = torch.stack([1 + normal[:, 2], -normal[:, 1], normal[:, 0], torch.zeros(count)], 1)
    colors = torch.where(means[:, 1:2] < 0, torch.tensor([1.0, 0, 0]), torch.tensor([0, 0, 1.0]))
    size = radius * math.sqrt(4 * math.pi / count)
    return Gaussians(
        means=means,
        quats=quats + 1e-6,
        log_scales=torch.tensor([size, size, 0.002]).log().repeat(count, 1),
        logit_opacities=torch.full((count,), 6.0),
        sh0=(colors - 0.5) / 0.28209479,
        sh_rest=torch.zeros(count, 0, 3),
    )


def test_a_ball_is_fused_and_written(tmp_path):
    open3d = needs_open3d()
    fused = mesh.clean(mesh.fuse(ball(), ring(20, 160, 120), extent=4.4, voxel=0.05))
    points, colors = np.asarray(fused.vertices), np.asarray(fused.vertex_colors)
    distances = np.linalg.norm(points, axis=1)
    assert abs(np.median(distances) - 1) < 0.03 and (np.abs(distances - 1) < 0.12).mean() > 0.98
    assert colors[points[:, 1] < -0.2][:, 0].mean() > 0.8 and colors[points[:, 1] > 0.2][:, 2].mean() > 0.8
    few = mesh.simplify(fused, 500)
    assert 300 < len(few.triangles) <= 500
    for suffix in mesh.SUFFIXES:
        mesh.write_mesh(few, tmp_path / f"ball{suffix}")
    for suffix in (".ply", ".obj"):
        again = open3d.io.read_triangle_mesh(str(tmp_path / f"ball{suffix}"))
        assert len(again.triangles) == len(few.triangles) and again.has_vertex_colors()
    glb = (tmp_path / "ball.glb").read_bytes()
    header = json.loads(glb[20 : 20 + struct.unpack("<I", glb[12:16])[0]])
    primitive = header["meshes"][0]["primitives"][0]
    assert header["accessors"][primitive["indices"]]["count"] == 3 * len(few.triangles)
    assert {"POSITION", "COLOR_0"} <= primitive["attributes"].keys()
    top = header["accessors"][primitive["attributes"]["POSITION"]]["max"]
    assert top[1] == pytest.approx(-np.asarray(few.vertices)[:, 1].min(), abs=1e-4)  # y is up there
    assert {path.name for path in tmp_path.iterdir()} == {"ball.ply", "ball.obj", "ball.glb"}
    with pytest.raises(InputError, match="choose one of these suffixes"):
        mesh.write_mesh(few, tmp_path / "ball.stl")


def test_a_mesh_where_its_capture_lies(tmp_path, run_splat, capsys):
    open3d = needs_open3d()
    offset = (500_123.25, 4_649_776.5, 212.75)
    splat.save(ball(), tmp_path / "ball.ply")
    flags = ("--voxel", 0.025, "--frame", "capture")
    assert run_splat("mesh", tmp_path / "ball.ply", "-o", tmp_path / "nowhere.ply", *flags) == 1
    assert "give the capture with --capture, or the run" in capsys.readouterr().err
    write_georeference(Georeference(offset, 0.5), beside(tmp_path / "ball.ply"))
    for suffix in (".ply", ".obj"):
        assert run_splat("mesh", tmp_path / "ball.ply", "-o", tmp_path / f"there{suffix}", *flags) == 0
        again = open3d.io.read_triangle_mesh(str(tmp_path / f"there{suffix}"))
        points = np.asarray(again.vertices) - np.array(offset)
        distances = np.linalg.norm(points, axis=1)
        assert abs(np.median(distances) - 0.5) < 0.015 and len(again.triangles) > 500
        outward = (np.asarray(again.vertex_normals) * points).sum(1) / distances
        assert np.median(outward) > 0.8
        assert np.asarray(again.vertex_colors)[points[:, 1] < -0.1][:, 0].mean() > 0.7
    assert run_splat("mesh", tmp_path / "ball.ply", "-o", tmp_path / "there.glb", *flags) == 1
    assert "a .glb holds 7 digits" in capsys.readouterr().err


def test_small_parts_go():
    open3d = needs_open3d()
    both = open3d.geometry.TriangleMesh.create_sphere(1.0, 30)
    large = len(both.triangles)
    speck = open3d.geometry.TriangleMesh.create_tetrahedron(0.1)
    speck.translate((5, 0, 0))
    both += speck
    assert len(mesh.clean(both).triangles) == large


def test_a_transparent_scene_has_no_surface():
    needs_open3d()
    faint = ball()
    faint.logit_opacities[:] = -6.0
    with pytest.raises(InputError, match="no view shows a surface"):
        mesh.fuse(faint, ring(4, 80, 60), extent=4.4)


@pytest.mark.parametrize(
    "error, message",
    [
        (ModuleNotFoundError("No module named 'open3d'"), r"pip install 'splat\[mesh\]'"),
        (OSError("libGL.so.1: cannot open shared object file"), "libGL.so.1.*apt install"),
    ],
)
def test_a_missing_open3d_is_explained(monkeypatch, error, message):
    real = builtins.__import__

    def missing(name, *arguments, **keywords):
        if name == "open3d":
            raise error
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InputError, match=message):
        mesh.open3d()


def test_the_command(small_run, tmp_path, run_splat, capsys):
    needs_open3d()
    assert run_splat("mesh", small_run[1], "-o", tmp_path / "m.ply", "--voxel", 0.2) == 0
    assert "triangles" in capsys.readouterr().out and (tmp_path / "m.ply").stat().st_size > 500
    assert run_splat("mesh", small_run[1], "-o", tmp_path / "m.ply") == 1
    assert "exists already" in capsys.readouterr().err
    assert run_splat("mesh", small_run[1], "-o", tmp_path / "m.stl") == 1
    assert run_splat("mesh", small_run[1], "-o", tmp_path / "n.ply", "--voxel", -1) == 1
