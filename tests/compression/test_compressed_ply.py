"""Compressed PLY as other programs write it, and damaged ones: of other types, with other numbers of rows."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import plyfile
import pytest
import torch

from scenes import cloud
from splat.compression.formats import compressed_ply
from splat.compression.formats import registry as formats
from splat.errors import InputError

COUNT = 300


def rewritten(path: Path, change: Callable[[dict[str, np.ndarray]], object], **options) -> Path:
    """A compressed PLY of which the tables were changed."""
    formats.save(cloud(COUNT, sh_degree=1, scale=0.1), path)
    tables = {element.name: element.data for element in plyfile.PlyData.read(str(path), mmap=False)}
    change(tables)
    elements = [plyfile.PlyElement.describe(table, name) for name, table in tables.items()]
    plyfile.PlyData(elements, **options).write(str(path))
    return path


def typed(table: np.ndarray, kind: str) -> np.ndarray:
    """The same bits where there are as many, else the same numbers."""
    same = all(table.dtype[name].itemsize == np.dtype(kind).itemsize for name in table.dtype.names)
    layout = [(name, kind) for name in table.dtype.names]
    return table.view(layout) if same else table.astype(layout)


def with_value(table: np.ndarray, name: str, value: float, kind: str) -> np.ndarray:
    table = typed(table, kind)
    table[name][7] = value
    return table


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (lambda tables: tables.update(vertex=typed(tables["vertex"], "i4")), {}),
        (lambda tables: tables.update(sh=typed(tables["sh"], "f4")), {}),
        (lambda tables: tables.update(sh=typed(tables["sh"], "i2")), {"byte_order": ">"}),
        (lambda tables: None, {"text": True}),
    ],
)
def test_other_types_of_the_same_numbers(change, options, tmp_path):
    expected = formats.load(rewritten(tmp_path / "plain.compressed.ply", lambda tables: None))
    found = formats.load(rewritten(tmp_path / "scene.compressed.ply", change, **options))
    for name, tensor in expected.tensors().items():
        torch.testing.assert_close(found.tensors()[name], tensor)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda tables: tables.update(sh=with_value(tables["sh"], "f_rest_3", 256, "i2")),
            "f_rest_3 of 0 to 255 .*got 256",
        ),
        (
            lambda tables: tables.update(sh=with_value(tables["sh"], "f_rest_3", -1, "i4")),
            "f_rest_3 of 0 to 255 .*got -1",
        ),
        (lambda tables: tables.update(sh=with_value(tables["sh"], "f_rest_3", np.nan, "f4")), "0 to 255 .*got nan"),
        (lambda tables: tables.update(sh=with_value(tables["sh"], "f_rest_3", 0.5, "f4")), "0 to 255 .*got 0.5"),
        (lambda tables: tables.update(sh=tables["sh"][:-1]), "300 rows of 9, 24, 45 or 72 harmonics, got 299 of 9"),
        (lambda tables: tables.update(chunk=np.repeat(tables["chunk"], 3)), "expected 2 chunks for 300 .*got 6"),
        (lambda tables: tables.update(chunk=tables["chunk"][:1]), "expected 2 chunks for 300 .*got 1"),
        (lambda tables: tables.update(vertex=typed(tables["vertex"], "f8")), "packed_position of 32 bits.*got float64"),
        (
            lambda tables: tables.update(vertex=tables["vertex"].view([(name, "u4") for name in "abcd"])),
            "missing; export it again",
        ),
    ],
)
def test_tables_that_do_not_fit(change, message, tmp_path):
    with pytest.raises(InputError, match=message) as caught:
        formats.load(rewritten(tmp_path / "scene.compressed.ply", change))
    assert "export it again" in str(caught.value)


def test_bytes_after_the_end_are_said_once(tmp_path):
    path = rewritten(tmp_path / "scene.compressed.ply", lambda tables: None)
    path.write_bytes(path.read_bytes() + b"12345")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        formats.load(path)
    assert [str(warning.message) for warning in said if "5 bytes follow" in str(warning.message)] and len(said) == 1


@pytest.mark.parametrize(
    ("attribute", "value", "tolerance"), [("means", 1e6, 0.01), ("means", -1e20, 0.01), ("sh0", 1e5, 0.1)]
)
def test_a_stray_gaussian_spoils_no_more_than_its_chunk_and_that_is_said(attribute, value, tolerance, tmp_path):
    before = cloud(3000, sh_degree=0, scale=0.1)
    before.tensors()[attribute][3, 0] = value
    with pytest.warns(UserWarning, match=r"([0-9]+) of 3,000 Gaussians lose .*--filter-floaters") as said:
        formats.save(before, tmp_path / "scene.compressed.ply")
    order = compressed_ply.chunk_order(before)
    found = formats.load(tmp_path / "scene.compressed.ply")
    wrong = (found.tensors()[attribute] - before.tensors()[attribute][order]).abs().amax(dim=1) > tolerance
    assert int(wrong.sum()) <= 3000 % 256 and f" {3000 % 256} of 3,000" in str(said[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        formats.save(before[torch.arange(3000) != 3], tmp_path / "scene.compressed.ply")
