"""One scene at one size, measured beside gsplat: times, memory, accuracy, determinism. For gpu_report.py."""

import importlib
import math
from typing import Any

import torch
from gpu_timing import Stopwatch, peak_memory, stage_times

import splat
from splat.cuda_rasterizer.autograd import l1_ssim_loss
from splat.cuda_rasterizer.ops.adam import FusedAdam, adam_steps
from splat.cuda_rasterizer.ops.schema import PARAMETERS

DISTRIBUTIONS = {  # mean and spread of log scales, and the fraction of Gaussians a hundred times larger
    "splat-like": (-4.6, 0.6, 0.0),
    "many tiny": (-6.5, 0.4, 0.0),
    "a few huge": (-5.0, 0.6, 0.001),
}
INSTRUCTIONS = {"rasterize_forward": 20, "rasterize_backward": 67}
"""Instructions of one thread per pixel and Gaussian: in the machine code for sm_90, a warp (32 threads, 64 pixels) spends
40 instructions on a Gaussian in the forward pass and 134 in the backward pass."""


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


def view(width: int, height: int, device: torch.device) -> splat.Camera:
    """Of the middle of the box."""
    return splat.Camera.look_at((0, 0, -4.5), (0, 0, 0), width=width, height=height).to(device)


class Ours:
    """What is timed."""

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
        leaves = self.leaves.tensors()
        parameters, gradients = [leaf.detach() for leaf in leaves.values()], [leaf.grad for leaf in leaves.values()]
        moments = zip(*(self.moments[name] for name in leaves), strict=True)
        adam_steps(parameters, gradients, *moments, [1e-7] * len(leaves), step=self.steps)

    def fused_step(self) -> None:
        """With Adam inside the backward."""
        self.zero()
        self.steps += 1
        exp_avg, exp_avg_sq = zip(*(self.moments[name] for name in PARAMETERS), strict=True)
        fused = FusedAdam(list(exp_avg), list(exp_avg_sq), [1e-7] * len(PARAMETERS), self.steps)
        result = splat.render(self.leaves, self.camera, statistics=True, settings=self.settings, adam=fused)
        l1_ssim_loss(result.rgb[None], self.target).backward()

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
            similarity = 1 - l1_ssim_loss(image, self.target, 1.0)  # ours, in gsplat's favor
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
    count, intersections, visible = len(scene), counts["intersections"], counts["visible"]
    key = 2
    traffic = {
        "project": count * (44 + 4 + 4 + 64 * visible / count) + visible * 192,
        "bin": count * 4 + visible * (8 * 8 + 64 + 12) + intersections * (4 + key) * (1 + 2 * 2),
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
    scene: splat.Gaussians, camera: splat.Camera, stopwatch: Stopwatch, machine: dict, gsplat: Any
) -> dict[str, Any]:
    """Everything about one scene at one size."""
    device = scene.means.device
    ours = Ours(scene, camera, splat.RenderSettings())
    result: dict[str, Any] = {"gaussians": len(scene), "size": [camera.width, camera.height]}
    stages, counts = stage_times(stopwatch, ours.step)
    timed = ("forward", "forward_backward", "step", "fused_step")
    measured = {what: stopwatch.measure(getattr(ours, what)) for what in timed}
    result |= {
        "counts": counts,
        "stages_ms": stages,
        "ms": measured,
        "peak_bytes": peak_memory(device, ours.step, ours.zero),
    }
    result["fused_peak_bytes"] = peak_memory(device, ours.fused_step, ours.zero)
    result["floors"] = floors(stages, counts, scene, machine)
    result["accuracy"] = accuracy(scene, camera)
    result["deterministic"] = determinism(scene, camera, stopwatch)
    if gsplat is not None:
        image = ours.forward()
        del ours
        try:
            theirs = Gsplat(gsplat, scene, camera)
            result["gsplat_image_difference"] = relative_error(theirs.forward(), image.double())
            peer = {what: stopwatch.measure(getattr(theirs, what)) for what in timed[:3]}
            peak = peak_memory(device, theirs.step, theirs.optimizer.zero_grad)
            result["gsplat"] = {"ms": peer, "peak_bytes": peak}
            result["ratio"] = {what: peer[what] / measured[what] for what in peer}
            result["ratio"]["fused_step"] = peer["step"] / measured["fused_step"]
            result["ratio"]["memory"] = result["peak_bytes"] / peak if peak else None
            result["ratio"]["fused_memory"] = result["fused_peak_bytes"] / peak if peak else None
        except Exception as error:  # a peer's failure is a result, not the end of the report
            result["gsplat"] = {"error": f"{type(error).__name__}: {error}"}
    return result
