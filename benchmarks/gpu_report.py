"""Test and time the CUDA kernels on this machine, and compare them with gsplat where it is installed.

    python benchmarks/gpu_report.py                    everything; a few minutes (an estimate)
    python benchmarks/gpu_report.py --quick            small scenes, no compute-sanitizer
    python benchmarks/gpu_report.py --scene runs/fox --capture captures/fox

Runs the tests on the GPU, runs kernels under compute-sanitizer where it is installed, then measures seeded scenes: splat-like
sizes, many tiny and a few huge Gaussians, at 1080p and 4K; with --scene a trained one; with --capture a training run. Times
are medians of CUDA events after a warm-up. Where gsplat can be imported, it draws the same scenes in the same run, from the
same stored parameters (its activations count); its training step uses torch's fused Adam, and fused_ssim where that is
installed. Writes benchmarks/results/gpu-NAME.json and .md. On `--device cpu` it tries itself on small scenes.
"""

import argparse
import importlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from gpu_cases import DISTRIBUTIONS, case, seeded_scene
from gpu_timing import Stopwatch

import splat
from splat.cuda_rasterizer import native

ROOT = Path(__file__).resolve().parent.parent
SIZES = {"1080p": (1920, 1080), "4K": (3840, 2160)}


def run_tests(device: torch.device) -> dict[str, Any]:
    """The kernels' own tests, on the GPU."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/cuda_rasterizer"]
    environment = os.environ | {"SPLAT_TEST_DEVICES": device.type}
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    summary = run.stdout.strip().splitlines()[-1] if run.stdout.strip() else run.stderr[-300:]
    failures = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return {"passed": run.returncode == 0, "summary": summary, "failures": failures[:50]}


SANITIZED = """
import sys; sys.path.insert(0, "tests")
import torch, splat
from scenes import cameras, cloud
from splat.cuda_rasterizer.autograd import l1_ssim_loss
for deterministic in (False, True):
    scene = cloud(400).to("cuda"); scene.log_scales[::7] += 3; scene = scene.requires_grad_()
    camera = cameras(2, width=150, height=100).to("cuda")
    settings = splat.RenderSettings(deterministic=deterministic)
    result = splat.render(scene, camera, depth=True, features=torch.ones(400, 9, device="cuda"), statistics=True,
                          absgrad=True, settings=settings)
    (l1_ssim_loss(result.rgb, torch.zeros_like(result.rgb)) + result.depth.sum() + result.features.sum()).backward()
torch.cuda.synchronize()
"""


def sanitize() -> dict[str, Any]:
    """compute-sanitizer's tools over a render and its backward."""
    if not shutil.which("compute-sanitizer"):
        return {"available": False}
    results: dict[str, Any] = {"available": True}
    for tool in ("memcheck", "racecheck", "initcheck", "synccheck"):
        command = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "9", "--kernel-name-exclude", "kns=cub"]
        run = subprocess.run([*command, sys.executable, "-c", SANITIZED], cwd=ROOT, capture_output=True, text=True)
        results[tool] = {"clean": run.returncode == 0, "tail": (run.stdout + run.stderr)[-800:]}
    return results


def train_capture(capture: Path, device: torch.device) -> dict[str, Any]:
    """`splat train`, 7,000 iterations, the whole command."""
    out = ROOT / "runs" / f"gpu-report-{capture.name}"
    iterations = "7000" if device.type == "cuda" else "50"
    command = [
        sys.executable,
        "-m",
        "splat.cli.main",
        "train",
        str(capture),
        "-o",
        str(out),
        "--iterations",
        iterations,
    ]
    start = time.perf_counter()
    run = subprocess.run(
        [*command, "--eval", "--overwrite", "--device", str(device)], cwd=ROOT, capture_output=True, text=True
    )
    seconds = time.perf_counter() - start
    if run.returncode:
        return {"error": (run.stdout + run.stderr)[-800:]}
    metrics = json.loads((out / "metrics.json").read_text())
    wanted = ("psnr", "ssim", "gaussians", "train_seconds")
    return {"capture": capture.name, "command_seconds": seconds, **{name: metrics[name] for name in wanted}}


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Names, versions, and the two rates that bound a kernel: copy bandwidth as measured, instructions by clock."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    machine = {
        "commit": commit or "unknown",
        "device": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "build": {key: value for key, value in native.build_info().items() if key != "file"},
        "bytes_per_second": 0.0,
        "instructions_per_second": 0.0,
    }
    if device.type != "cuda":
        return machine
    properties = torch.cuda.get_device_properties(device)
    query = ["nvidia-smi", "--query-gpu=driver_version,clocks.max.sm", "--format=csv,noheader,nounits"]
    driver, clock = subprocess.run(query, capture_output=True, text=True).stdout.splitlines()[0].split(",")
    source = torch.empty(1 << 28, device=device)
    target = torch.empty_like(source)
    milliseconds = Stopwatch(device, 10).measure(lambda: target.copy_(source))
    return machine | {
        "device": properties.name,
        "driver": driver.strip(),
        "bytes_per_second": 2 * source.nbytes / milliseconds * 1000,
        "instructions_per_second": properties.multi_processor_count * 128 * float(clock) * 1e6,
    }


def as_markdown(report: dict[str, Any]) -> str:
    machine = report["machine"]
    lines = [
        f"# {machine['device']}",
        "",
        f"Commit {machine['commit'][:12]}, torch {machine['torch']}, driver {machine.get('driver', 'none')}. "
        f"Command: `python benchmarks/gpu_report.py {' '.join(report['arguments'])}`",
        "",
        f"Tests: {report['tests']['summary'] if report['tests'] else 'not run'}",
    ]
    if report["sanitizer"] and report["sanitizer"]["available"]:
        found = ", ".join(
            f"{tool} {'clean' if r['clean'] else 'FOUND ERRORS'}"
            for tool, r in report["sanitizer"].items()
            if tool != "available"
        )
        lines += ["", f"compute-sanitizer: {found}"]
    lines += [
        "",
        "| scene | Gaussians | size | intersections | forward ms | + backward ms | step ms | peak MB | error image / gradients "
        "| deterministic | gsplat / ours: forward, + backward, step; memory ours / gsplat | slowest stage |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in report["cases"]:
        slowest = max(r["stages_ms"], key=r["stages_ms"].get)
        floor = r["floors"].get(slowest)
        bound = f", {floor['times_floor']:.1f}x its {floor['limit']} floor" if floor and floor["times_floor"] else ""
        ratio = "not measured"
        if "ratio" in r:
            ratio = f"{r['ratio']['forward']:.2f}, {r['ratio']['forward_backward']:.2f}, {r['ratio']['step']:.2f}"
            ratio += f"; {r['ratio']['memory']:.2f}" if r["ratio"]["memory"] else ""
        elif "gsplat" in r:
            ratio = r["gsplat"]["error"][:60]
        lines.append(
            f"| {r['name']} | {r['gaussians']:,} | {r['size'][0]}x{r['size'][1]} | {r['counts']['intersections']:,} "
            f"| {r['ms']['forward']:.3f} | {r['ms']['forward_backward']:.3f} | {r['ms']['step']:.3f} "
            f"| {r['peak_bytes'] / 1e6:.0f} | {r['accuracy']['image']:.1e} / {r['accuracy']['gradients']:.1e} "
            f"| {'same bits' if r['deterministic']['same_bits'] else 'DIFFERENT'}, {r['deterministic']['slower']:+.0%} "
            f"| {ratio} | {slowest} {r['stages_ms'][slowest]:.3f} ms{bound} |"
        )
    if report["training"]:
        lines += ["", f"`splat train`, 7,000 iterations: {json.dumps(report['training'])}"]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu to try the script (default cuda)")
    parser.add_argument("--quick", action="store_true", help="100k Gaussians at 1080p only, no compute-sanitizer")
    parser.add_argument("--million", action="store_true", help="with --quick: a million Gaussians too")
    parser.add_argument("--scene", type=Path, help="a trained scene: .ply or run folder")
    parser.add_argument("--capture", type=Path, help="a capture to train 7,000 iterations on")
    parser.add_argument("--no-tests", action="store_true", help="do not run the test suite")
    parser.add_argument("--rounds", type=int, default=20, help="repetitions of each measurement (default 20)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the results")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and (native.build_info()["cuda"] is None or not torch.cuda.is_available()):
        sys.exit("error: no GPU, or a build without CUDA kernels; `splat doctor` tells which")
    if device.type == "cuda":
        device = torch.device("cuda", device.index or 0)
        torch.cuda.set_device(device)
    try:
        gsplat = importlib.import_module("gsplat") if device.type == "cuda" else None
    except Exception as error:
        gsplat = None
        print(f"gsplat cannot be imported ({error}): no ratios")

    machine = describe_machine(device)
    report: dict[str, Any] = {"machine": machine, "arguments": sys.argv[1:], "cases": [], "training": None}
    report["tests"] = None if options.no_tests else run_tests(device)
    print(report["tests"])
    report["sanitizer"] = None if options.quick or device.type != "cuda" else sanitize()
    print(report["sanitizer"])

    stopwatch = Stopwatch(device, options.rounds)
    counts = [100_000] if options.quick else [100_000, 1_000_000, 5_000_000]
    counts += [1_000_000] if options.million else []
    sizes = {"1080p": SIZES["1080p"]} if options.quick else SIZES
    if device.type == "cpu":
        counts, sizes = [2_000], {"tiny": (160, 90)}
    scenes = [
        (f"{distribution}, {count:,}", seeded_scene(count, distribution, device))
        for count in counts
        for distribution in DISTRIBUTIONS
    ]
    if options.scene is not None:
        scenes.append((options.scene.name, splat.load(options.scene).to(device)))
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"gpu-{re.sub(r'[^A-Za-z0-9]+', '-', machine['device']).strip('-')}.json"
    for name, scene in scenes:
        for width, height in sizes.values():
            camera = splat.Camera.look_at((0, 0, -4.5), (0, 0, 0), width=width, height=height).to(device)
            report["cases"].append(case(name, scene, camera, stopwatch, machine, gsplat))
            print(json.dumps(report["cases"][-1]))
            path.write_text(json.dumps(report, indent=1) + "\n")  # what is measured stays, whatever comes
            path.with_suffix(".md").write_text(as_markdown(report))
    if options.capture is not None:
        report["training"] = train_capture(options.capture, device)
        print(report["training"])
    path.write_text(json.dumps(report, indent=1) + "\n")
    path.with_suffix(".md").write_text(as_markdown(report))
    print(f"\n{as_markdown(report)}\nwritten: {path}")


if __name__ == "__main__":
    main()
