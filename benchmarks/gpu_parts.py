"""The parts of the report that are commands of their own: tests, sanitizer, profile, capture, cpu. For gpu_report.py.

Each part yields a name and a result whenever it has one. A result may be {"error": ...}, or {"skipped": ...} where
something that the part needs is not there.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"
PART_SECONDS = 470
"""Within the eight minutes that a part may take."""

Results = Iterator[tuple[str, dict[str, Any]]]


class Finished(NamedTuple):
    """A command that ended, or took too long and was ended."""

    output: str
    seconds: float
    error: str
    """Empty if it succeeded."""


def run(command: list[str], limit: float, environment: dict[str, str] | None = None) -> Finished:
    """Run a command for at most `limit` seconds."""
    start = time.perf_counter()
    error = ""
    # A file, since a pipe would stay open as long as anything lives that the command started.
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | (environment or {}),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(limit)
            error = f"exit status {status}" if status else ""
        except subprocess.TimeoutExpired:
            error = f"took longer than {limit:.0f} seconds"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        return Finished(output.read(), time.perf_counter() - start, error)


def missing(tool: str, device: torch.device) -> str:
    """Why one of NVIDIA's tools cannot run, or an empty string."""
    if not shutil.which(tool):
        return f"{tool} is not on PATH"
    return "" if device.type == "cuda" else f"{tool} needs a GPU"


# --- tests -------------------------------------------------------------------------------------------------------------


def tests(device: torch.device) -> Results:
    """The kernels' own tests, on the device; to try the script, a few of them."""
    folder = "tests/cuda_rasterizer"
    wanted = (
        [folder, f"--ignore={folder}/test_gpu_report.py"]
        if device.type == "cuda"
        else [f"{folder}/test_training_kernels.py"]
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *wanted]
    finished = run(command, PART_SECONDS, {"SPLAT_TEST_DEVICES": device.type})
    result = {"passed": not finished.error, "seconds": finished.seconds} | parse_tests(finished.output)
    yield device.type, result | ({"error": finished.error} if finished.error else {})


def parse_tests(output: str) -> dict[str, Any]:
    """The last line of pytest's report, and what failed."""
    summaries = re.findall(r"^.*\b(?:passed|failed|skipped|deselected|errors?)\b.* in [\d.]+s.*$", output, re.MULTILINE)
    failures = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return {"summary": summaries[-1].strip("= ") if summaries else output[-300:], "failures": failures[:50]}


# --- sanitizer ---------------------------------------------------------------------------------------------------------


def sanitizer(device: torch.device) -> Results:
    """compute-sanitizer's tools over renders and their backward."""
    tools = ("memcheck", "racecheck", "initcheck", "synccheck")
    for tool in tools:
        if reason := missing("compute-sanitizer", device):
            yield tool, {"skipped": reason}
            continue
        command = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "9"]
        if tool != "initcheck":  # which must see what CUB's kernels write
            command += ["--kernel-name-exclude", "kns=cub"]
        command += [sys.executable, str(BENCHMARKS / "gpu_workloads.py"), "sanitized", str(device)]
        finished = run(command, PART_SECONDS / len(tools))
        result = {"clean": not finished.error, "seconds": finished.seconds, "report": parse_sanitizer(finished.output)}
        yield tool, result | ({"error": finished.error, "tail": finished.output[-800:]} if finished.error else {})


def parse_sanitizer(output: str) -> list[str]:
    """The sanitizer's own lines: the first of what it found, and its summary."""
    lines = [line.rstrip() for line in re.findall(r"========= (.*)", output)]
    return lines if len(lines) < 40 else [*lines[:39], lines[-1]]


# --- profile -----------------------------------------------------------------------------------------------------------

METRICS = {
    "microseconds": "Duration",
    "compute": "Compute (SM) Throughput",
    "dram": "DRAM Throughput",
    "active_cycles": "SM Active Cycles",
    "issued": "Avg. Issued Instructions Per Scheduler",
    "registers": "Registers Per Thread",
    "occupancy": "Achieved Occupancy",
}
SECTIONS = ("SpeedOfLight", "InstructionStats", "LaunchStats", "Occupancy")
"""Of Nsight Compute; they contain the metrics above."""


def profile(device: torch.device, count: int = 1_000_000) -> Results:
    """Every kernel of one training step, as Nsight Compute sees it."""
    name = f"splat-like, {count:,}, 1080p"
    if reason := missing("ncu", device):
        yield name, {"skipped": reason}
        return
    command = ["ncu", "--clock-control", "none", "--profile-from-start", "off"]
    command += [word for section in SECTIONS for word in ("--section", section)]
    command += [sys.executable, str(BENCHMARKS / "gpu_workloads.py"), "profiled", str(device), str(count)]
    finished = run(command, PART_SECONDS)
    kernels = parse_profile(finished.output)
    if finished.error or not kernels:
        yield name, {"error": finished.error or "no kernel was profiled", "tail": finished.output[-800:]}
    else:
        yield name, {"seconds": finished.seconds, "kernels": kernels}


def parse_profile(output: str) -> dict[str, dict[str, float]]:
    """ncu's text -> kernel, the slowest first -> calls, microseconds of all calls, the most registers of a thread, and in
    percent, averages over the time: occupancy, issue slots, compute and DRAM."""
    header = re.compile(r"^  (\S.*) \(\d+, \d+, \d+\)x\(\d+, \d+, \d+\), Context \d+", re.MULTILINE)
    _, *parts = header.split(output)
    kernels: dict[str, dict[str, float]] = {}
    for signature, report in zip(parts[::2], parts[1::2], strict=True):
        call = {key: metric(report, name) for key, name in METRICS.items()}
        call["issue_slots"] = 100 * call["issued"] / call["active_cycles"] if call["active_cycles"] else 0.0
        kernel = kernels.setdefault(short_name(signature), {"calls": 0, "microseconds": 0.0, "registers": 0})
        total = kernel["microseconds"] + call["microseconds"]
        for key in ("occupancy", "issue_slots", "compute", "dram"):
            sum_before = kernel.get(key, 0.0) * kernel["microseconds"]
            kernel[key] = (sum_before + call[key] * call["microseconds"]) / total if total else 0.0
        kernel["registers"] = max(kernel["registers"], int(call["registers"]))
        kernel["calls"] += 1
        kernel["microseconds"] = total
    return dict(sorted(kernels.items(), key=lambda item: -item[1]["microseconds"]))


def metric(report: str, name: str) -> float:
    """One number of one kernel's report, times in microseconds; 0 where ncu has none."""
    found = re.search(rf"^ +{re.escape(name)} +(?:(\S+) +)?([\d,.]+) *$", report, re.MULTILINE)
    if not found:
        return 0.0
    factor = {"n": 1e-3, "m": 1e3, "s": 1e6}.get((found[1] or "")[:1], 1.0) if name == "Duration" else 1.0
    return float(found[2].replace(",", "")) * factor


def short_name(signature: str) -> str:
    """A kernel's name: ours with its template arguments, others' without."""
    name = signature.removeprefix("void ").replace("<unnamed>::", "")
    if not name.startswith("splat::"):
        return re.split(r"[<(]", name, maxsplit=1)[0]
    return name.removeprefix("splat::").split("(", 1)[0]


# --- capture -----------------------------------------------------------------------------------------------------------


def capture(device: torch.device, path: Path | None) -> Results:
    """`splat train`, 7,000 iterations, the whole command; to try the script, a few."""
    if path is None:
        print("capture: skipped, there is no --capture")
        return
    iterations = "7000" if device.type == "cuda" else "20"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "splat", "train", str(path.resolve()), "-o", folder, "--overwrite", "--eval"]
        finished = run([*command, "--iterations", iterations, "--device", str(device)], PART_SECONDS)
        if finished.error:
            yield path.name, {"error": finished.error, "tail": finished.output[-800:]}
            return
        metrics = json.loads((Path(folder) / "metrics.json").read_text())
    wanted = ("psnr", "ssim", "gaussians", "train_seconds")
    measured = {"iterations": int(iterations), "command_seconds": finished.seconds}
    yield path.name, measured | {name: metrics[name] for name in wanted}


# --- cpu ---------------------------------------------------------------------------------------------------------------


def cpu(device: torch.device) -> Results:
    """The CPU engine on this machine's processor, with more and more threads; to try the script, on a tiny scene."""
    trial = device.type != "cuda"
    counts = [count for count in (1, 2, 4, 8, 16) if count <= len(os.sched_getaffinity(0))]
    for threads in counts[:2] if trial else counts:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "cpu.json"
            command = [
                sys.executable,
                str(BENCHMARKS / "cpu_raster.py"),
                "--threads",
                str(threads),
                "--json",
                str(path),
            ]
            command += ["--gaussians", "2000", "--size", "160x90", "--rounds", "1"] if trial else []
            finished = run(command, PART_SECONDS / len(counts))
            if finished.error:
                yield str(threads), {"error": finished.error, "tail": finished.output[-800:]}
            else:
                yield str(threads), {"processor": processor()} | json.loads(path.read_text())


def processor() -> str:
    """The name of this machine's processor."""
    path = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.*)$", path.read_text(), re.MULTILINE) if path.exists() else None
    return found[1] if found else "unknown"
