"""Times and memory of what runs on a GPU, or for trials on the CPU: medians, single kernels, the peak. For gpu_report.py."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch

from splat.cuda_rasterizer.ops import launch


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
    """Milliseconds that a step spends in each stage, however often it calls it, and counts: intersections, visible,
    evaluations."""
    steps: list[dict[str, list[Callable[[], float]]]] = []
    counts: dict[str, int] = {}
    evaluations = torch.zeros(256, dtype=torch.int64, device=stopwatch.device)
    run = launch.run

    def timed(stage: str, arguments: Any) -> Any:
        if stage == "rasterize_forward":
            arguments.evaluations = evaluations.zero_().data_ptr()
        before = stopwatch.mark()
        result = run(stage, arguments)
        steps[-1][stage].append(stopwatch.since(before))
        if stage in ("project", "count"):  # the latter where the former was only a guess
            counts.update(intersections=arguments.intersection_count, visible=arguments.visible_count)
        return result

    launch.run = timed
    try:
        for _ in range(stopwatch.rounds + 2):
            steps.append(defaultdict(list))
            step()
    finally:
        launch.run = run
    counts["evaluations"] = int(evaluations.sum())
    measured = steps[2:]
    return {
        stage: statistics.median(sum(elapsed() for elapsed in calls[stage]) for calls in measured)
        for stage in dict.fromkeys(stage for calls in measured for stage in calls)
    }, counts


def peak_memory(device: torch.device, function: Callable[[], Any], reset: Callable[[], Any]) -> int:
    """Bytes allocated at the worst moment, beyond what is there after `reset`: gradients of an earlier call would count as
    there already.
    """
    reset()
    if device.type != "cuda":
        function()
        return 0
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    function()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before
