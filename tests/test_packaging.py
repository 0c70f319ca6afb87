"""What is installed: one name, all subpackages, the compiled module, the program. Run from outside the checkout."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDERS = ("cuda_rasterizer", "datasets", "compression", "training", "viewer")


@pytest.fixture(scope="module")
def distribution() -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution("splat")
    except importlib.metadata.PackageNotFoundError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("splat is not installed (`make test` installs it)")


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program where no checkout is in the way."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_everything_lies_under_one_name(distribution: importlib.metadata.Distribution) -> None:
    files = [str(file) for file in distribution.files or ()]
    tops = {file.split("/")[0] for file in files if not file.startswith("..")}
    compiled = {top for top in tops if top.startswith("_splat_native.")}
    assert len(compiled) == 1
    assert {top for top in tops - compiled if not top.endswith(".dist-info")} == {"splat"}


def test_sources_of_kernels_stay_out(distribution: importlib.metadata.Distribution) -> None:
    files = [str(file) for file in distribution.files or ()]
    assert not [file for file in files if file.endswith((".cpp", ".cu", ".h", "CMakeLists.txt"))]
    assert {"splat/py.typed", "splat/cuda_rasterizer/ops/schema.py", "splat/datasets/load.py"} <= set(files)
    assert {"splat/viewer/share/web/page.html", "splat/viewer/share/web/main.js"} <= set(files)
    assert any(file.endswith("LICENSE") for file in files)


def test_subpackages_load_once_and_from_one_place(
    distribution: importlib.metadata.Distribution, tmp_path: Path
) -> None:
    script = (
        "import json, sys, _splat_native, splat, splat.training.trainer, splat.datasets.load, splat.cuda_rasterizer.ops.adam\n"
        f"print(json.dumps([[n, m.__file__] for n, m in sys.modules.items() if n.split('.')[0] in {(*FOLDERS, 'splat')}"
        " and m.__file__]))"
    )
    result = run([sys.executable, "-c", script], tmp_path)
    assert result.returncode == 0, result.stderr
    modules = json.loads(result.stdout)
    assert all(name.split(".")[0] == "splat" for name, _ in modules)
    site = str(distribution.locate_file("splat"))
    assert all(file.startswith(site) for _, file in modules)
    assert len({file for _, file in modules}) == len(modules)


def test_the_program_runs(distribution: importlib.metadata.Distribution, tmp_path: Path) -> None:
    (script,) = distribution.entry_points.select(group="console_scripts", name="splat")
    assert script.value == "splat.cli.main:main"
    program = Path(sys.executable).with_name("splat")
    result = run([str(program), "--version"], tmp_path)
    assert (result.returncode, result.stdout) == (0, f"splat {distribution.version}\n")
    result = run([str(program), "info", "nothing.ply"], tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "error: nothing.ply: no such file or folder. Check the path.\n"


def test_python_dash_m(distribution: importlib.metadata.Distribution, tmp_path: Path) -> None:
    result = run([sys.executable, "-m", "splat", "doctor", "--json"], tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["works"]


def test_versions_agree(distribution: importlib.metadata.Distribution) -> None:
    import splat

    assert distribution.version == splat.__version__


def test_requirements_have_floors_and_pins(distribution: importlib.metadata.Distribution) -> None:
    """Every direct requirement is pinned in constraints.txt, so that an installation can be repeated."""
    constraints = (Path(__file__).resolve().parent.parent / "constraints.txt").read_text()
    for requirement in distribution.requires or ():
        name = requirement.split(";")[0].split(">=")[0].strip()
        assert ">=" in requirement
        assert f"\n{name}==" in constraints
