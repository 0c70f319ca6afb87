"""What NVIDIA's tools look at while it runs, in a process of its own. For gpu_parts.py.

python benchmarks/gpu_workloads.py sanitized cuda           renders with everything that a render can compute, and gradients
python benchmarks/gpu_workloads.py profiled cuda 1000000    training steps, of which only the last is profiled
"""

import sys
from pathlib import Path

import torch
from gpu_cases import Ours, seeded_scene, view

import splat
from splat.cuda_rasterizer.autograd import l1_ssim_loss

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from scenes import cameras, cloud


def sanitized(device: torch.device) -> None:
    for deterministic in (False, True):
        scene = cloud(400).to(device)
        scene.log_scales[::7] += 3
        scene = scene.requires_grad_()
        result = splat.render(
            scene,
            cameras(2, width=150, height=100).to(device),
            depth=True,
            features=torch.ones(400, 9, device=device),
            statistics=True,
            absgrad=True,
            settings=splat.RenderSettings(deterministic=deterministic),
        )
        loss = l1_ssim_loss(result.rgb, torch.zeros_like(result.rgb))
        (loss + result.depth.sum() + result.features.sum()).backward()
    if device.type == "cuda":
        torch.cuda.synchronize()


def profiled(device: torch.device, count: int) -> None:
    ours = Ours(seeded_scene(count, "splat-like", device), view(1920, 1080, device), splat.RenderSettings())
    for _ in range(3):  # after the first, renders start with a guess of their intersections
        ours.step()
    if device.type != "cuda":
        return
    torch.cuda.synchronize()
    torch.cuda.profiler.start()
    ours.step()
    torch.cuda.synchronize()
    torch.cuda.profiler.stop()


if __name__ == "__main__":
    workload, device, *count = sys.argv[1:]
    {"sanitized": sanitized, "profiled": profiled}[workload](torch.device(device), *map(int, count))
