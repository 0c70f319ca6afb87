"""benchmarks/gpu_report.py without a GPU, so that nothing but the GPU is new when it first runs on one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from captures import write_capture

from splat.cuda_rasterizer.ops import launch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))  # its files import each other
import gpu_parts
import gpu_report
import gpu_tables
import gpu_timing

BENCHMARKS = gpu_parts.BENCHMARKS

PROFILE = """\
==WARNING== Note: Running with unmodified GPU clocks. If not controlled otherwise, profiling results may be inconsistent.
==PROF== Connected to process 1985 (/usr/bin/python3.12)
==PROF== Profiling "composite" - 5 (6/70): 0%....50%....100% - 18 passes
[1985] python3.12@127.0.0.1
  void cub::DeviceRadixSortOnesweepKernel<cub::policy_hub<unsigned short, unsigned int>::Policy1000>(T7 *) (547, 1, 1)x(512, 1, 1), Context 1, Stream 7, Device 0, CC 9.0
    Memory Throughput                 %        31.98
    DRAM Throughput                   %        21.20
    Duration                         us        34.30
    SM Active Cycles              cycle    57,516.28
    Compute (SM) Throughput           %        29.40
    Avg. Issued Instructions Per Scheduler          inst    19,823.24
    Registers Per Thread             register/thread              64
  void cub::DeviceRadixSortOnesweepKernel<cub::policy_hub<unsigned short, unsigned int>::Policy1000>(T7 *) (547, 1, 1)x(512, 1, 1), Context 1, Stream 7, Device 0, CC 9.0
    DRAM Throughput                   %        22.69
    Duration                         us        31.90
    SM Active Cycles              cycle    53,546.77
    Compute (SM) Throughput           %        31.88
    Avg. Issued Instructions Per Scheduler          inst    19,902.63
    Registers Per Thread             register/thread              64
  void splat::<unnamed>::composite<float, 3>(splat::RenderArguments, splat::Thresholds<T1>, const unsigned long long *, int) (8160, 1, 1)x(128, 1, 1), Context 1, Stream 7, Device 0, CC 9.0
    Warning: Data collection happened without fixed GPU frequencies. Profiling results may be inconsistent.
    Section: GPU Speed Of Light Throughput
    ----------------------- ----------- ------------
    Metric Name             Metric Unit Metric Value
    ----------------------- ----------- ------------
    Elapsed Cycles                cycle      509,287
    Memory Throughput                 %        66.54
    DRAM Throughput                   %         6.76
    Duration                         us       259.42
    SM Active Cycles              cycle   487,222.92
    Compute (SM) Throughput           %        81.09
    ----------------------- ----------- ------------

    INF   This workload is utilizing greater than 80.0% of the available compute or memory performance of the device.   
    Memory Throughput                          Gbyte/s       226.47
    Warp Cycles Per Issued Instruction             cycle         8.21
    Avg. Issued Instructions Per Scheduler          inst   410,950.34
    Issued Instructions                             inst  216,981,777
    Registers Per Thread             register/thread              64
    # SMs                                         SM             132
    Theoretical Occupancy                     %           50
    Achieved Occupancy                        %        43.32
"""  # noqa: E501, W291
"""Lines of what ncu wrote on an H100; two reports are shortened."""

RACECHECK = """\
========= COMPUTE-SANITIZER
 - leaked function ""
See https://nanobind.readthedocs.io/en/latest/refleaks.html========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)
"""  # noqa: E501

FAILED = """\
tests/cuda_rasterizer/test_cuda_build.py:27: AssertionError
=========================== short test summary info ============================
FAILED tests/cuda_rasterizer/test_cuda_build.py::test_no_kernel_uses_more_than_is_recorded
1 failed, 27 passed in 62.72s (0:01:02)
nanobind: leaked 6 instances!
"""


def test_every_part_runs_without_a_gpu(tmp_path: Path) -> None:
    write_capture(tmp_path / "small", photos=9)
    command = [sys.executable, BENCHMARKS / "gpu_report.py", "--device", "cpu", "--rounds", "1", "--out", tmp_path]
    for more in (
        ["--only", "cases", "--filter", "Huge"],
        ["--capture", tmp_path / "small", "--filter", "like,tiny, 2"],
    ):
        subprocess.run([*command, *more], check=True, capture_output=True, cwd=tmp_path)
    (path,) = tmp_path.glob("gpu-*.json")
    report = json.loads(path.read_text())
    assert {name.rpartition(", 2,000, tiny")[0] for name in report["cases"]} == set(gpu_report.DISTRIBUTIONS)
    for case in report["cases"].values():
        assert case["accuracy"]["gradients"] < 1e-4 and case["deterministic"]["same_bits"]
    assert report["tests"]["cpu"]["passed"]
    for result in (*report["sanitizer"].values(), *report["profile"].values()):
        assert "is not on PATH" in result["skipped"] or "needs a GPU" in result["skipped"]
    assert report["capture"]["small"]["psnr"] > 0
    assert report["cpu"]["1"]["results"][0]["step_ms"] > 0
    assert len(report["commands"]) == 2
    markdown = path.with_suffix(".md").read_text()
    assert all(f"\n## {part}\n" in markdown for part in gpu_report.PARTS) and "error:" not in markdown


@pytest.mark.parametrize("workload", [["sanitized", "cpu"], ["profiled", "cpu", "500"]])
def test_the_workloads_of_the_tools_run(workload: list[str]) -> None:
    subprocess.run([sys.executable, BENCHMARKS / "gpu_workloads.py", *workload], check=True, capture_output=True)


def test_a_profile_is_read() -> None:
    kernels = gpu_parts.parse_profile(PROFILE)
    assert list(kernels) == ["composite<float, 3>", "cub::DeviceRadixSortOnesweepKernel"]
    assert kernels["composite<float, 3>"] == pytest.approx(
        {
            "calls": 1,
            "microseconds": 259.42,
            "registers": 64,
            "occupancy": 43.32,
            "issue_slots": 100 * 410_950.34 / 487_222.92,
            "compute": 81.09,
            "dram": 6.76,
        }
    )
    sort = kernels["cub::DeviceRadixSortOnesweepKernel"]
    assert sort["calls"] == 2 and sort["microseconds"] == pytest.approx(66.2)
    assert sort["compute"] == pytest.approx((29.40 * 34.30 + 31.88 * 31.90) / 66.2)
    rows = gpu_tables.profile_tables({"scene": {"kernels": kernels}})
    assert "| `composite<float, 3>` | 1 | 259.4 | 64 | 43% | 84% | 81% | 7% |" in rows


@pytest.mark.parametrize(("unit", "microseconds"), [("ns", 0.0025), ("us", 2.5), ("ms", 2500), ("s", 2.5e6)])
def test_times_of_a_profile_have_units(unit: str, microseconds: float) -> None:
    assert gpu_parts.metric(f"    Duration     {unit}     2.50\n", "Duration") == pytest.approx(microseconds)


def test_a_profile_without_kernels_is_empty() -> None:
    assert gpu_parts.parse_profile("==ERROR== ERR_NVGPUCTRPERM - The user does not have permission\n") == {}


def test_summaries_are_found_among_other_output() -> None:
    assert gpu_parts.parse_sanitizer(RACECHECK) == [
        "COMPUTE-SANITIZER",
        "RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)",
    ]
    tests = gpu_parts.parse_tests(FAILED)
    assert tests["summary"] == "1 failed, 27 passed in 62.72s (0:01:02)" and len(tests["failures"]) == 1


def test_a_command_that_takes_too_long_is_ended() -> None:
    script = "import subprocess, sys; print('started', flush=True); subprocess.run([sys.executable, '-c', 'while True: pass'])"
    finished = gpu_parts.run([sys.executable, "-c", script], 1)
    assert finished.output == "started\n" and finished.error == "took longer than 1 seconds" and finished.seconds < 10


def test_the_stages_of_a_step_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage that a step calls twice, once briefly and once for long."""
    clock = [0.0]

    def run(stage: str, milliseconds: float) -> None:
        clock[0] += milliseconds

    class Fake(gpu_timing.Stopwatch):
        def mark(self) -> float:
            return clock[0] / 1000

    def step() -> None:
        launch.run("bin", 1.0)
        launch.run("bin", 10.0)
        launch.run("loss", 2.0)

    monkeypatch.setattr(launch, "run", run)
    stages, _ = gpu_timing.stage_times(Fake(torch.device("cpu"), 3), step)
    assert stages == pytest.approx({"bin": 11.0, "loss": 2.0})


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ("", 18),
        ("1,000,000", 6),
        ("1,000,000, 1080P", 3),
        ("splat-like, 1,000,000, 1080p", 1),
        ("many tiny,4k", 12),
        ("5,000,000, 4K,a few huge, 100,000", 5),
        ("8K", 0),
    ],
)
def test_filters_choose_cases(filters: str, count: int) -> None:
    names = [
        f"{distribution}, {gaussians}, {size}"
        for distribution in gpu_report.DISTRIBUTIONS
        for gaussians in ("100,000", "1,000,000", "5,000,000")
        for size in ("1080p", "4K")
    ]
    assert sum(gpu_report.chosen(name, filters) for name in names) == count


def machine(commit: str) -> dict[str, str]:
    return {"device": "NVIDIA H100 80GB HBM3", "commit": commit, "torch": "2.11.0"}


def test_later_runs_add_to_a_report(tmp_path: Path) -> None:
    gpu_report.Report(tmp_path, machine("a")).add("capture", "fox", {"error": "none"})
    again = gpu_report.Report(tmp_path, machine("a"))
    again.add("sanitizer", "memcheck", {"clean": True, "report": []})
    again.add("sanitizer", "memcheck", {"skipped": "compute-sanitizer is not on PATH"})
    stored = json.loads((tmp_path / "gpu-NVIDIA-H100-80GB-HBM3.json").read_text())
    assert stored["capture"] == {"fox": {"error": "none"}} and stored["sanitizer"]["memcheck"]["clean"]
    gpu_report.Report(tmp_path, machine("b")).add("cases", "other", {"error": "none"})
    stored = json.loads((tmp_path / "gpu-NVIDIA-H100-80GB-HBM3.json").read_text())
    assert "capture" not in stored and stored["machine"]["commit"] == "b"


def test_predictions_stand_beside_what_was_measured() -> None:
    predictions = json.loads((gpu_report.RESULTS / "gpu-predictions.json").read_text())
    measured = {
        "stages_ms": {"bin": 0.307, "adam": 0.5535},
        "ratio": {"forward": 2.49, "forward_backward": 2.26, "step": 1.6},
    }
    lines = gpu_tables.prediction_table(predictions, measured)
    assert "| bin | 0.14 ms | 0.31 ms | 2.19 |" in lines
    assert "| gsplat / ours, forward | 1.9 to 2.4 | 2.49 | more |" in lines
    assert "| gsplat / ours, forward_backward | 2.0 to 2.5 | 2.26 | as predicted |" in lines
    assert "| gsplat / ours, step | 1.7 to 2.1 | 1.60 | less |" in lines
