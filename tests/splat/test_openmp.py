"""torch's OpenMP threads sleep while they have nothing to do, instead of spinning on cores that the kernels need."""

import os
import re
import subprocess
import sys

import pytest


def policy(statement: str, **environment: str) -> tuple[str, set[str]]:
    """What a new process has as OMP_WAIT_POLICY after a statement, and how long its GNU OpenMP runtimes say they spin."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    result = subprocess.run(
        [sys.executable, "-c", f"import os, sys; {statement}; print(os.environ.get('OMP_WAIT_POLICY'))"],
        env={**inherited, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_DISPLAY_ENV": "verbose", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip(), set(re.findall(r"GOMP_SPINCOUNT = '(\w+)'", result.stderr))


@pytest.mark.parametrize("statement", ["import splat", "import splat.training.trainer", "import splat.cli.main"])
def test_torch_reads_the_policy(statement):
    chosen, spins = policy(statement)
    assert chosen == "passive"
    assert spins <= {"0"}  # nothing where torch has another runtime


def test_the_users_choice_stays():
    chosen, spins = policy("import splat", OMP_WAIT_POLICY="active")
    assert chosen == "active" and "0" not in spins


def test_torch_first_is_harmless():
    chosen, _ = policy("import torch; import splat")
    assert chosen == "passive"  # too late for this process; programs that it starts read it
