"""`splat doctor`: what this installation can do, what it lacks and how to get it.

Every check reports; none raises: the doctor must be able to speak where everything else fails.
"""

import importlib
import importlib.metadata
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from splat.cameras import Camera
from splat.cuda_rasterizer import native
from splat.gaussians import Gaussians
from splat.io.facts import as_json
from splat.render import render
from splat.version import __version__

PACKAGES = dict(
    numpy="numpy",
    scipy="scipy",
    PIL="pillow",
    plyfile="plyfile",
    tqdm="tqdm",
    tyro="tyro",
    pycolmap="pycolmap",
    av="av",
)
"""Module -> name on PyPI of everything that is needed besides torch."""


@dataclass(frozen=True)
class DoctorOptions:
    """Options of `splat doctor`."""

    json: bool = False
    """Print JSON, for programs."""


def doctor(options: DoctorOptions) -> None:
    """Say what this installation can do, what it lacks and how to get it. Exit status 1 when it cannot render."""
    report = examine()
    print(as_json(report) if options.json else as_text(report))
    if not report["works"]:
        sys.exit(1)


def examine() -> dict[str, Any]:
    """All facts, as JSON-able values.

    Returns:
        splat, python, system, torch, kernels, gpus, packages, self_test: facts; problems: list of what and remedy;
        works: whether it can render and differentiate; verdict: one line.
    """
    problems: list[dict[str, str]] = []
    report: dict[str, Any] = {
        "splat": {"version": __version__, "folder": str(Path(__file__).parents[1])},
        "python": {"version": platform.python_version(), "program": sys.executable},
        "system": system(),
        "torch": {
            "version": torch.__version__,
            "cuda": torch.version.cuda,
            "threads": torch.get_num_threads(),
        },
        "kernels": kernels(problems),
        "gpus": gpus(),
        "packages": packages(problems),
    }
    report["self_test"] = self_test(problems) if report["kernels"] else None
    report["problems"] = problems
    report["works"] = bool(report["self_test"] and report["self_test"]["passed"])
    report["verdict"] = verdict(report)
    return report


def system() -> dict[str, Any]:
    """Operating system, processor, cores that this process may use, and memory in bytes (None where unknown)."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux has it
        cores = os.cpu_count() or 1
    try:
        memory: int | None = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        memory = None
    return {"name": platform.system(), "machine": platform.machine(), "cores": cores, "memory_bytes": memory}


def kernels(problems: list[dict[str, str]]) -> dict[str, Any] | None:
    """What the compiled module contains; None, and a problem, where it cannot be loaded."""
    try:
        return native.build_info()
    except Exception as error:  # whatever it is, it is what the user came to find out
        problems.append({"what": f"the compiled kernels do not load: {error}", "remedy": "run `pip install .` again"})
        return None


def gpus() -> list[str]:
    """Names of the GPUs that torch can use."""
    try:
        return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    except Exception as error:  # drivers fail in many ways
        return [f"unusable: {error}"]


def packages(problems: list[dict[str, str]]) -> dict[str, str | None]:
    """Version of every package that is needed; None, and a problem, where one is missing or does not load."""
    versions: dict[str, str | None] = {}
    for module, package in PACKAGES.items():
        try:
            importlib.import_module(module)
            versions[package] = importlib.metadata.version(package)
        except Exception as error:  # a broken shared library raises OSError, a broken package anything
            versions[package] = None
            remedy = f"pip install --force-reinstall {package}"
            problems.append({"what": f"the package {package} does not load: {error}", "remedy": remedy})
    return versions


def self_test(problems: list[dict[str, str]]) -> dict[str, Any]:
    """Render one red Gaussian and differentiate; compare with what the formulas say."""
    started = time.perf_counter()
    try:
        trouble = draw_and_differentiate()
    except Exception as error:
        trouble = f"{type(error).__name__}: {error}"
    if trouble:
        problems.append({"what": f"the self-test failed: {trouble}", "remedy": "run `pip install .` again"})
    return {"passed": not trouble, "milliseconds": round((time.perf_counter() - started) * 1000, 1)}


def draw_and_differentiate() -> str:
    """What is wrong with a render of one Gaussian, or nothing."""
    scene = Gaussians(
        means=torch.zeros(1, 3),
        quats=torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
        log_scales=torch.full((1, 3), -1.5),
        logit_opacities=torch.zeros(1),
        sh0=torch.tensor([[1.0, -9.0, -9.0]]),
        sh_rest=torch.zeros(1, 0, 3),
    ).requires_grad_()
    camera = Camera.look_at((0.0, 0.0, -4.0), (0.0, 0.0, 0.0), width=33, height=33)
    image = render(scene, camera).rgb
    image.sum().backward()
    middle, corner = image[16, 16].tolist(), image[0, 0].tolist()
    expected = 0.5 * (0.28209479 + 0.5)  # opacity times the color of the constant harmonic
    if abs(middle[0] - expected) > 1e-3 or any(middle[1:]) or any(corner):
        return (
            f"expected the color {expected:.4f}, 0, 0 in the middle and black in the corner, got {middle} and {corner}"
        )
    gradients = {name: tensor.grad for name, tensor in scene.tensors().items() if tensor.numel()}
    wrong = [name for name, gradient in gradients.items() if gradient is None or not gradient.isfinite().all()]
    return f"gradients missing or not finite: {', '.join(wrong)}" if wrong else ""


def verdict(report: dict[str, Any]) -> str:
    """The one line that most people read."""
    if not report["works"]:
        return "broken: rendering does not work here; see the problems above"
    device = "the GPU and the CPU" if report["kernels"]["cuda"] and report["gpus"] else "the CPU"
    if report["problems"]:
        return f"rendering works on {device}, but something is missing; see the problems above"
    return f"ready: renders and trains on {device}"


def as_text(report: dict[str, Any]) -> str:
    """The report for people."""
    machine, build, test = report["system"], report["kernels"], report["self_test"]
    memory = f", {machine['memory_bytes'] / 2**30:.1f} GiB memory" if machine["memory_bytes"] else ""
    cuda = f"for CUDA {report['torch']['cuda']}" if report["torch"]["cuda"] else "without CUDA"
    rows = [
        ("splat", f"{report['splat']['version']}  {report['splat']['folder']}"),
        ("python", f"{report['python']['version']}  {report['python']['program']}"),
        ("system", f"{machine['name']} {machine['machine']}, {machine['cores']} cores{memory}"),
        ("torch", f"{report['torch']['version']}, built {cuda}, {report['torch']['threads']} threads"),
    ]
    if build:
        rows += [
            ("kernels", f"{build['cpu_isa']} in use (SPLAT_CPU overrides), compiled by {build['compiler']}"),
            (
                "",
                f"built for {', '.join(build['cpu_isas'])}; this processor runs {', '.join(build['cpu_isas_supported'])}",
            ),
            ("", f"CUDA: {describe_cuda(build['cuda'])}"),
        ]
    else:
        rows.append(("kernels", "do not load; see the problem below"))
    rows.append(("gpus", ", ".join(report["gpus"]) or "none that torch can use"))
    found = [f"{name} {version}" for name, version in report["packages"].items() if version]
    rows.append(("packages", ", ".join(found)))
    if test:
        outcome = "passed" if test["passed"] else "FAILED"
        rows.append(("self-test", f"{outcome} in {test['milliseconds']} ms (one Gaussian drawn and differentiated)"))
    for problem in report["problems"]:
        rows += [("problem", problem["what"]), ("  remedy", problem["remedy"])]
    lines = [f"{label:<10} {text}" for label, text in rows]
    return "\n".join([*lines, "", report["verdict"]])


def describe_cuda(cuda: dict[str, Any] | None) -> str:
    """The CUDA half of the build in words."""
    if cuda is None:
        return "not in this build, which renders on the CPU; with nvcc on PATH, `pip install .` compiles them"
    architectures = ", ".join(str(architecture) for architecture in cuda["architectures"])
    return f"toolkit {cuda['toolkit']}, architectures {architectures}, driver {cuda['driver'] or 'not found'}"
