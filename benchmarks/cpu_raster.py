"""How fast the CPU rasterizer is: pixel-Gaussian evaluations per second and core, and milliseconds per stage.

    python benchmarks/cpu_raster.py [--gaussians 200000] [--size 800x450] [--variants avx512,avx2] [--json FILE]

The scene is seeded: Gaussians of splat-like sizes in a box that fills the view, SH degree 3. An evaluation is one pixel
at which the compositor computed one Gaussian's alpha, whether or not it then contributed; vectors and rows that the exact
clipping leaves out do not count. Rates are per core, from one thread; the training step (render with densification
statistics, L1 + SSIM, backward, Adam on all parameters) runs on all threads. Medians of several rounds.
"""

import argparse
import json
import platform
import resource
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

import torch

import splat
from splat.cuda_rasterizer import native
from splat.cuda_rasterizer.autograd import l1_ssim_loss
from splat.cuda_rasterizer.ops import launch
from splat.cuda_rasterizer.ops.adam import adam_step


def box_scene(count: int, seed: int = 0) -> splat.Gaussians:
    """`count` Gaussians in a box of 6 x 3.4 x 4 units, median standard deviation 0.0136 units."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    means = (torch.rand(count, 3, generator=generator) * 2 - 1) * torch.tensor([3.0, 1.7, 2.0])
    return splat.Gaussians(
        means=means,
        quats=normal(count, 4),
        log_scales=normal(count, 3) * 0.5 - 4.3,
        logit_opacities=normal(count) * 1.5,
        sh0=normal(count, 3),
        sh_rest=normal(count, 15, 3) * 0.1,
    )


class StageClock:
    """Times every kernel by its name while it is active."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = defaultdict(list)
        self.evaluations = torch.zeros(256, dtype=torch.int64)

    def __enter__(self) -> "StageClock":
        self._run = launch.run

        def timed(stage: str, arguments: object) -> object:
            if stage == "rasterize_forward":
                arguments.evaluations = self.evaluations.zero_().data_ptr()  # type: ignore[attr-defined]
            start = time.perf_counter()
            result = self._run(stage, arguments)
            self.times[stage].append(time.perf_counter() - start)
            return result

        launch.run = timed  # type: ignore[assignment]
        return self

    def __exit__(self, *_: object) -> None:
        launch.run = self._run  # type: ignore[assignment]

    def median(self, stage: str) -> float:
        return statistics.median(self.times[stage])


def training_step(
    gaussians: splat.Gaussians, camera: splat.Camera, target: torch.Tensor, moments: dict, step: int
) -> None:
    result = splat.render(gaussians, camera, statistics=True)
    l1_ssim_loss(result.rgb[None], target).backward()
    for name, parameter in gaussians.tensors().items():
        adam_step(parameter.detach(), parameter.grad, *moments[name], step=step, lr=1e-7)
        parameter.grad = None


def measure(variant: str, count: int, width: int, height: int, rounds: int, threads: int) -> dict:
    native.load().choose_variant(variant)
    gaussians = box_scene(count).requires_grad_()
    camera = splat.Camera.look_at((0, 0, -4), (0, 0, 0), width=width, height=height)
    target = torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    moments = {name: (torch.zeros_like(t), torch.zeros_like(t)) for name, t in gaussians.tensors().items()}

    torch.set_num_threads(1)
    with StageClock() as single:
        for _ in range(rounds):
            splat.render(gaussians, camera).rgb.mean().backward()
        evaluations = int(single.evaluations.sum())

    torch.set_num_threads(threads)
    steps = []
    with StageClock() as stages:
        for step in range(1, rounds + 3):
            start = time.perf_counter()
            training_step(gaussians, camera, target, moments, step)
            steps.append(time.perf_counter() - start)
            if step == 2:  # the first two are warm-up
                stages.times.clear(), steps.clear()
    per_step = {name: sum(times) / (len(steps)) * 1e3 for name, times in stages.times.items()}
    return {
        "variant": variant,
        "evaluations": evaluations,
        "forward_gev_per_s_core": evaluations / single.median("rasterize_forward") / 1e9,
        "backward_gev_per_s_core": evaluations / single.median("rasterize_backward") / 1e9,
        "step_ms": statistics.median(steps) * 1e3,
        "stage_ms": per_step,
        "slowest_stage": max(per_step, key=per_step.__getitem__),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gaussians", type=int, default=200_000)
    parser.add_argument("--size", default="800x450", help="WIDTHxHEIGHT in pixels")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--variants", default=",".join(native.build_info()["cpu_isas_supported"]))
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args()
    width, height = (int(part) for part in options.size.split("x"))

    print(f"{options.gaussians:,} Gaussians, {width}x{height}, SH 3, {options.threads} threads, {platform.machine()}")
    print("kernels    Mev   forward  backward [Gev/s/core]   training step [ms]   by stage [ms]")
    results = []
    for variant in options.variants.split(","):
        result = measure(variant, options.gaussians, width, height, options.rounds, options.threads)
        results.append(result)
        stages = ", ".join(f"{name} {ms:.1f}" for name, ms in result["stage_ms"].items())
        print(
            f"{variant:9s} {result['evaluations'] / 1e6:5.1f}   {result['forward_gev_per_s_core']:7.2f}"
            f"  {result['backward_gev_per_s_core']:8.2f}                {result['step_ms']:18.1f}   {stages}"
        )
        print(f"{'':9s} bound by {result['slowest_stage']}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"peak memory of this process {peak / 2**30:.2f} GiB")
    if options.json:
        record = {"torch": torch.__version__, "threads": options.threads, "peak_bytes": peak, "results": results}
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
