"""The whole truth about the CUDA kernels on this machine: do they work, how fast are they, and beside gsplat.

    python benchmarks/gpu_report.py                    everything; about 8 minutes on an H200
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
import math
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import splat
from splat.cuda_rasterizer import native
from splat.cuda_rasterizer.autograd import l1_ssim_loss
from splat.cuda_rasterizer.ops import launch
from splat.cuda_rasterizer.ops.adam import adam_step

ROOT = Path(__file__).resolve().parent.parent
SIZES = {"1080p": (1920, 1080), "4K": (3840, 2160)}
DISTRIBUTIONS = {  # mean and spread of log scales, and the share of Gaussians a hundred times larger
    "splat-like": (-4.6, 0.6, 0.0),
    "many tiny": (-6.5, 0.4, 0.0),
    "a few huge": (-5.0, 0.6, 0.001),
}
INSTRUCTIONS = {"rasterize_forward": 22, "rasterize_backward": 55}
"""Instructions per pixel and Gaussian that the compositors cannot do without, counted in the source."""


def seeded_scene(count: int, distribution: str, device: torch.device, seed: int = 0) -> splat.Gaussians:
    """Gaussians in a box that fills the view. Sizes shrink with the cube root of their number, as in captures."""
    generator = torch.Generator().manual_seed(seed)
    mean, spread, huge = DISTRIBUTIONS[distribution]
    log_scales = torch.randn(count, 3, generator=generator) * spread + mean + math.log(1e6 / count) / 3
    log_scales[: round(huge * count)] += math.log(100.0)
    box = torch.tensor([4.0, 2.3, 2.0])
    return splat.Gaussians(
        means=(torch.rand(count, 3, generator=generator) * 2 - 1) * box,
        quats=torch.randn(count, 4, generator=generator),
        log_scales=log_scales,
        logit_opacities=torch.randn(count, generator=generator) * 1.5,
        sh0=torch.randn(count, 3, generator=generator),
        sh_rest=torch.randn(count, 15, 3, generator=generator) * 0.1,
    ).to(device)


class Stopwatch:
    """Medians in milliseconds, by CUDA events on a GPU."""

    def __init__(self, device: torch.device, rounds: int) -> None:
        self.device, self.rounds = device, rounds

    def measure(self, function: Callable[[], Any], warm_up: int = 3) -> float:
        times = []
        for index in range(warm_up + self.rounds):
            before = self.mark()
            function()
            elapsed = self.since(before)
            if index >= warm_up:
                times.append(elapsed())
        return statistics.median(times)

    def mark(self) -> Any:
        if self.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def since(self, before: Any) -> Callable[[], float]:
        after = self.mark()
        if self.device.type != "cuda":
            return lambda: (after - before) * 1000

        def elapsed() -> float:
            after.synchronize()
            return before.elapsed_time(after)

        return elapsed


def stage_times(stopwatch: Stopwatch, step: Callable[[], Any]) -> tuple[dict[str, float], dict[str, int]]:
    """Milliseconds of every kernel call of a step, and counts: pairs, visible, evaluations."""
    times: dict[str, list[Callable[[], float]]] = defaultdict(list)
    counts: dict[str, int] = {}
    evaluations = torch.zeros(256, dtype=torch.int64, device=stopwatch.device)
    run = launch.run

    def timed(stage: str, arguments: Any) -> Any:
        if stage == "rasterize_forward":
            arguments.evaluations = evaluations.zero_().data_ptr()
        before = stopwatch.mark()
        result = run(stage, arguments)
        times[stage].append(stopwatch.since(before))
        if stage == "project":
            counts.update(pairs=arguments.pair_count, visible=arguments.visible_count)
        return result

    launch.run = timed
    try:
        for _ in range(stopwatch.rounds + 2):
            step()
    finally:
        launch.run = run
    counts["evaluations"] = int(evaluations.sum())
    per_step = {stage: len(all_times) // (stopwatch.rounds + 2) for stage, all_times in times.items()}
    return {
        stage: statistics.median([elapsed() for elapsed in all_times[2 * per_step[stage] :]]) * per_step[stage]
        for stage, all_times in times.items()
    }, counts


def peak_memory(device: torch.device, function: Callable[[], Any]) -> int:
    """Bytes allocated at the worst moment, beyond what was there before."""
    if device.type != "cuda":
        function()
        return 0
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    function()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


class Ours:
    """The three things that are timed."""

    def __init__(self, scene: splat.Gaussians, camera: splat.Camera, settings: splat.RenderSettings) -> None:
        self.scene, self.camera, self.settings = scene, camera, settings
        self.leaves = scene.map(lambda tensor: tensor.clone()).requires_grad_()
        self.target = torch.full((1, camera.height, camera.width, 3), 100, dtype=torch.uint8, device=scene.means.device)
        self.moments = {name: (torch.zeros_like(t), torch.zeros_like(t)) for name, t in scene.tensors().items()}
        self.steps = 0

    def forward(self) -> torch.Tensor:
        with torch.no_grad():
            return splat.render(self.scene, self.camera, settings=self.settings).rgb

    def forward_backward(self) -> None:
        self.zero()
        splat.render(self.leaves, self.camera, settings=self.settings).rgb.square().mean().backward()

    def step(self) -> None:
        self.zero()
        self.steps += 1
        result = splat.render(self.leaves, self.camera, statistics=True, settings=self.settings)
        l1_ssim_loss(result.rgb[None], self.target).backward()
        for name, parameter in self.leaves.tensors().items():
            adam_step(parameter.detach(), parameter.grad, *self.moments[name], step=self.steps, lr=1e-7)

    def zero(self) -> None:
        for tensor in self.leaves.tensors().values():
            tensor.grad = None


class Gsplat:
    """The same with gsplat, fed with the same stored parameters."""

    def __init__(self, module: Any, scene: splat.Gaussians, camera: splat.Camera) -> None:
        self.gsplat, self.camera = module, camera
        self.parameters = {name: t.clone().requires_grad_() for name, t in scene.tensors().items()}
        self.optimizer = torch.optim.Adam(list(self.parameters.values()), lr=1e-7, eps=1e-15, fused=True)
        self.target = torch.full((1, camera.height, camera.width, 3), 100 / 255, device=scene.means.device)
        try:
            self.ssim = importlib.import_module("fused_ssim").fused_ssim
        except ImportError:
            self.ssim = None

    def forward(self) -> torch.Tensor:
        with torch.no_grad():
            return self.render()[0]

    def render(self) -> torch.Tensor:
        p = self.parameters
        image, _, self.meta = self.gsplat.rasterization(
            p["means"],
            p["quats"],
            p["log_scales"].exp(),
            p["logit_opacities"].sigmoid(),
            torch.cat([p["sh0"][:, None], p["sh_rest"]], dim=1),
            self.camera.viewmat[None],
            self.camera.K[None],
            self.camera.width,
            self.camera.height,
            sh_degree=3,
            packed=False,
        )
        return image

    def forward_backward(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.render().square().mean().backward()

    def step(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        image = self.render()
        l1 = (image - self.target).abs().mean()
        if self.ssim is not None:
            similarity = self.ssim(image.permute(0, 3, 1, 2), self.target.permute(0, 3, 1, 2))
        else:
            similarity = 1 - l1_ssim_loss(image, self.target, 1.0)  # ours, in gsplat's favour
        (0.8 * l1 + 0.2 * (1 - similarity)).backward()
        self.optimizer.step()


def relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return float((actual.double() - expected).norm() / expected.norm().clamp_min(1e-30))


def accuracy(scene: splat.Gaussians, camera: splat.Camera) -> dict[str, float]:
    """Worst relative error of image and gradients in float against double (which the tests hold to the reference)."""
    results = []
    for dtype in (torch.float64, torch.float32):
        leaves = scene.to(dtype=dtype).map(lambda tensor: tensor.clone()).requires_grad_()
        image = splat.render(leaves, camera.to(dtype=dtype)).rgb
        weight = torch.randn(image.shape, generator=torch.Generator().manual_seed(0)).to(image)
        (image * weight).sum().backward()
        results.append((image.detach(), {name: tensor.grad for name, tensor in leaves.tensors().items()}))
    (image, gradients), (image32, gradients32) = results
    errors = {name: relative_error(gradients32[name], expected) for name, expected in gradients.items()}
    return {"image": relative_error(image32, image), "gradients": max(errors.values())}


def determinism(scene: splat.Gaussians, camera: splat.Camera, stopwatch: Stopwatch) -> dict[str, Any]:
    """Whether deterministic=True gives the same bits twice, and what it costs."""
    times, gradients = {}, []
    for deterministic in (False, True):
        ours = Ours(scene, camera, splat.RenderSettings(deterministic=deterministic))
        times[deterministic] = stopwatch.measure(ours.forward_backward)
    for _ in range(2):
        ours.forward_backward()
        gradients.append([tensor.grad.clone() for tensor in ours.leaves.tensors().values()])
    same = all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    return {"same_bits": same, "slower": times[True] / times[False] - 1}


def floors(stages: dict[str, float], counts: dict[str, int], scene: splat.Gaussians, machine: dict) -> dict[str, Any]:
    """For each stage the time that memory or arithmetic alone would take, and the ratio to what was measured."""
    count, pairs, visible = len(scene), counts["pairs"], counts["visible"]
    key = 2
    traffic = {
        "project": count * (44 + 4 + 4 + 64 * visible / count) + visible * 192,
        "bin": count * 4 + visible * (8 * 8 + 64 + 12) + pairs * (4 + key) * (1 + 2 * 2),
        "project_backward": count * (36 + 236 + 44) + visible * 256,
        "adam": 59 * 4 * 7 * count,
    }
    found = {}
    for stage, milliseconds in stages.items():
        if stage in INSTRUCTIONS and machine["instructions_per_second"]:
            floor = counts["evaluations"] * INSTRUCTIONS[stage] / machine["instructions_per_second"] * 1000
            limit = "arithmetic"
        elif stage in traffic and machine["bytes_per_second"]:
            floor, limit = traffic[stage] / machine["bytes_per_second"] * 1000, "memory"
        else:
            continue
        found[stage] = {"limit": limit, "floor_ms": floor, "times_floor": milliseconds / floor if floor else None}
    return found


def case(
    name: str, scene: splat.Gaussians, camera: splat.Camera, stopwatch: Stopwatch, machine: dict, gsplat: Any
) -> dict[str, Any]:
    """Everything about one scene at one size."""
    device = scene.means.device
    ours = Ours(scene, camera, splat.RenderSettings())
    result: dict[str, Any] = {"name": name, "gaussians": len(scene), "size": [camera.width, camera.height]}
    stages, counts = stage_times(stopwatch, ours.step)
    measured = {what: stopwatch.measure(getattr(ours, what)) for what in ("forward", "forward_backward", "step")}
    result |= {"counts": counts, "stages_ms": stages, "ms": measured, "peak_bytes": peak_memory(device, ours.step)}
    result["floors"] = floors(stages, counts, scene, machine)
    result["accuracy"] = accuracy(scene, camera)
    result["deterministic"] = determinism(scene, camera, stopwatch)
    if gsplat is not None:
        image = ours.forward()
        del ours
        try:
            theirs = Gsplat(gsplat, scene, camera)
            result["gsplat_image_difference"] = relative_error(theirs.forward(), image.double())
            peer = {what: stopwatch.measure(getattr(theirs, what)) for what in measured}
            peak = peak_memory(device, theirs.step)
            result["gsplat"] = {"ms": peer, "peak_bytes": peak}
            result["ratio"] = {what: peer[what] / measured[what] for what in measured}
            result["ratio"]["memory"] = result["peak_bytes"] / peak if peak else None
        except Exception as error:  # a peer's failure is a result, not the end of the report
            result["gsplat"] = {"error": f"{type(error).__name__}: {error}"}
    return result


def run_tests(device: torch.device) -> dict[str, Any]:
    """The suite, on the GPU."""
    select = (
        ["-k", "cuda"] if device.type == "cuda" else ["tests/cuda_rasterizer/test_training_kernels.py", "-k", "cpu"]
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *select]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
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
        "| scene | Gaussians | size | pairs | forward ms | + backward ms | step ms | peak MB | error image / gradients "
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
            f"| {r['name']} | {r['gaussians']:,} | {r['size'][0]}x{r['size'][1]} | {r['counts']['pairs']:,} "
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
