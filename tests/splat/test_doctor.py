"""splat doctor: the facts, the self-test, and speaking where something is broken."""

import json
from typing import Any

import pytest
import torch

from splat.cli import doctor
from splat.cli import main as cli
from splat.cuda_rasterizer import native


def examine_json(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], int]:
    code = 0
    try:
        cli.main(["doctor", "--json"])
    except SystemExit as request:
        code = int(request.code or 0)
    return json.loads(capsys.readouterr().out), code


def test_a_healthy_installation(capsys: pytest.CaptureFixture[str]) -> None:
    report, code = examine_json(capsys)
    assert code == 0
    assert report["works"]
    assert report["problems"] == []
    assert report["verdict"].startswith("ready")
    assert report["torch"]["version"] == torch.__version__
    assert report["kernels"]["cpu_isa"] in report["kernels"]["cpu_isas"]
    assert set(report["packages"]) == {"numpy", "scipy", "pillow", "plyfile", "tqdm", "tyro", "pycolmap", "av"}
    cli.main(["doctor"])
    printed = capsys.readouterr().out
    assert "self-test  passed" in printed
    assert report["kernels"]["cpu_isa"] + " in use" in printed


def test_kernels_that_do_not_load(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> dict[str, Any]:
        raise native.NativeModuleError("undefined symbol: oh")

    monkeypatch.setattr(native, "build_info", broken)
    report, code = examine_json(capsys)
    assert code == 1
    assert not report["works"]
    assert report["verdict"].startswith("broken")
    assert "undefined symbol: oh" in report["problems"][0]["what"]
    assert "pip install" in report["problems"][0]["remedy"]
    with pytest.raises(SystemExit):
        cli.main(["doctor"])
    assert "undefined symbol: oh" in capsys.readouterr().out


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", {"numpy": "numpy", "no_such_module": "no-such-package"})
    report, code = examine_json(capsys)
    assert code == 0  # rendering works all the same
    assert report["packages"]["no-such-package"] is None
    assert report["problems"][0]["remedy"] == "pip install --force-reinstall no-such-package"
    assert "something is missing" in report["verdict"]


def test_wrong_kernels_are_noticed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An image that is not what the formulas say must fail the self-test."""
    honest = doctor.render

    def darker(*arguments: Any, **options: Any) -> Any:
        result = honest(*arguments, **options)
        result.rgb = result.rgb * 0.99
        return result

    monkeypatch.setattr(doctor, "render", darker)
    report, code = examine_json(capsys)
    assert code == 1
    assert "expected the color 0.3910" in report["problems"][0]["what"]


def test_a_build_with_cuda_is_described() -> None:
    cuda = {"toolkit": "13.0", "architectures": [75, 90], "device_count": 0, "driver": None}
    assert doctor.describe_cuda(cuda) == "toolkit 13.0, architectures 75, 90, driver not found"
