"""The report as Markdown. For gpu_report.py."""

from collections.abc import Iterable
from typing import Any

Results = dict[str, dict[str, Any]]


def as_markdown(report: dict[str, Any], predictions: dict[str, Any]) -> str:
    """All parts that have results.

    Args:
        report: machine, commands, and part -> name -> result.
        predictions: times and ratios of one case, as in results/gpu-predictions.json.
    """
    machine = report["machine"]
    lines = [
        f"# {machine['device']}",
        "",
        f"Commit {machine['commit'][:12]}, torch {machine['torch']}, driver {machine.get('driver', 'unknown')}. Commands:",
        "",
        *(f"- `python benchmarks/gpu_report.py {command}`" for command in report["commands"]),
    ]
    for part, write in {
        "cases": cases_table,
        "tests": tests_lines,
        "sanitizer": sanitizer_lines,
        "profile": profile_tables,
        "capture": capture_table,
        "cpu": cpu_table,
    }.items():
        results = report.get(part, {})
        measured = {name: r for name, r in results.items() if not obstacle(r) or part in ("tests", "sanitizer")}
        if results:
            lines += ["", f"## {part}", ""]
            lines += write(measured) if measured else []
            lines += [f"- {name}: {obstacle(r)}" for name, r in results.items() if name not in measured]
        if part == "cases" and predictions["case"] in measured and predictions["device"] in machine["device"]:
            lines += ["", *prediction_table(predictions, measured[predictions["case"]])]
    return "\n".join(lines) + "\n"


def obstacle(result: dict[str, Any]) -> str:
    """Why there is no result, in one line."""
    return " ".join(str(result.get("error") or result.get("skipped") or "").split())[:200]


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    header = list(header)
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def cases_table(cases: Results) -> list[str]:
    header = [
        "scene",
        "intersections",
        "forward ms",
        "+ backward ms",
        "step ms (Adam fused)",
        "peak MB (Adam fused)",
        "error image / gradients",
        "deterministic",
        "gsplat / ours: forward, + backward, step (fused); memory ours / gsplat (fused)",
        "slowest stage",
    ]
    return table(header, ([name, *case_cells(r)] for name, r in cases.items()))


def case_cells(r: dict[str, Any]) -> list[str]:
    slowest = max(r["stages_ms"], key=r["stages_ms"].get)
    floor = r["floors"].get(slowest)
    bound = f", {floor['times_floor']:.1f}x its {floor['limit']} floor" if floor and floor["times_floor"] else ""
    ratio = "not measured"
    if "ratio" in r:
        ratios = r["ratio"]
        ratio = f"{ratios['forward']:.2f}, {ratios['forward_backward']:.2f}, {ratios['step']:.2f} ({ratios['fused_step']:.2f})"
        ratio += f"; {ratios['memory']:.2f} ({ratios['fused_memory']:.2f})" if ratios["memory"] else ""
    elif "gsplat" in r:
        ratio = obstacle(r["gsplat"])[:60]
    return [
        f"{r['counts']['intersections']:,}",
        *(f"{r['ms'][what]:.3f}" for what in ("forward", "forward_backward")),
        f"{r['ms']['step']:.3f} ({r['ms']['fused_step']:.3f})",
        f"{r['peak_bytes'] / 1e6:.0f} ({r['fused_peak_bytes'] / 1e6:.0f})",
        f"{r['accuracy']['image']:.1e} / {r['accuracy']['gradients']:.1e}",
        f"{'same bits' if r['deterministic']['same_bits'] else 'DIFFERENT'}, {r['deterministic']['slower']:+.0%}",
        ratio,
        f"{slowest} {r['stages_ms'][slowest]:.3f} ms{bound}",
    ]


def prediction_table(predictions: dict[str, Any], measured: dict[str, Any]) -> list[str]:
    """What was predicted beside what was measured, of one case."""
    rows = [
        [stage, f"{predicted:.2f} ms", f"{now:.2f} ms", f"{now / predicted:.2f}"]
        for stage, predicted in predictions["stages_ms"].items()
        if (now := measured["stages_ms"].get(stage)) is not None
    ]
    for what, (low, high) in predictions["ratio"].items():
        cells = ["not measured", ""]
        if "ratio" in measured:
            now = measured["ratio"][what]
            cells = [f"{now:.2f}", "as predicted" if low <= now <= high else "less" if now < low else "more"]
        rows.append([f"gsplat / ours, {what}", f"{low} to {high}", *cells])
    introduction = (
        f"{predictions['case']}, beside predictions for the {predictions['device']}, made {predictions['made']}:"
    )
    return [introduction, "", *table(["", "predicted", "measured", "measured / predicted"], rows)]


def tests_lines(tests: Results) -> list[str]:
    lines = []
    for device, r in tests.items():
        lines += [f"- {device}: {' '.join(r['summary'].split())}", *(f"    - {failure}" for failure in r["failures"])]
    return lines


def sanitizer_lines(tools: Results) -> list[str]:
    lines = []
    for tool, r in tools.items():
        if "skipped" in r:
            lines.append(f"- {tool}: {r['skipped']}")
        else:
            summary = r["report"][-1] if r["report"] else ""
            lines.append(f"- {tool}: {'clean' if r['clean'] else 'NOT CLEAN, ' + r['error']}; {summary}")
    return lines


def profile_tables(profiles: Results) -> list[str]:
    lines = []
    header = ["kernel", "calls", "microseconds", "registers", "occupancy", "issue slots busy", "compute", "DRAM"]
    for name, profile in profiles.items():
        rows = [
            [f"`{kernel}`", f"{r['calls']}", f"{r['microseconds']:.1f}", f"{r['registers']}"]
            + [f"{r[key]:.0f}%" for key in ("occupancy", "issue_slots", "compute", "dram")]
            for kernel, r in profile["kernels"].items()
        ]
        lines += [f"One training step of {name}:", "", *table(header, rows)]
    return lines


def capture_table(captures: Results) -> list[str]:
    header = ["capture", "iterations", "command s", "training s", "PSNR dB", "SSIM", "Gaussians"]
    rows = [
        [
            name,
            f"{r['iterations']:,}",
            f"{r['command_seconds']:.0f}",
            f"{r['train_seconds']:.0f}",
            f"{r['psnr']:.2f}",
            f"{r['ssim']:.4f}",
            f"{r['gaussians']:,}",
        ]
        for name, r in captures.items()
    ]
    return table(header, rows)


def cpu_table(runs: Results) -> list[str]:
    runs = dict(sorted(runs.items(), key=lambda item: int(item[0])))
    first = next(iter(runs.values()))
    header = ["threads", "kernels", "training step ms", "forward 10⁹/s/core", "backward 10⁹/s/core", "bound by"]
    rows = [
        [
            threads,
            r["variant"],
            f"{r['step_ms']:.1f}",
            f"{r['forward_gev_per_s_core']:.2f}",
            f"{r['backward_gev_per_s_core']:.2f}",
            r["slowest_stage"],
        ]
        for threads, run in runs.items()
        for r in run["results"]
    ]
    return [f"{first['processor']}; rates are of one thread:", "", *table(header, rows)]
