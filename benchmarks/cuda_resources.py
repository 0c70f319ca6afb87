"""Registers, shared memory and spills of every CUDA kernel, as ptxas reports them. Needs nvcc and no GPU.

python benchmarks/cuda_resources.py            compares with benchmarks/results/cuda_resources.json
python benchmarks/cuda_resources.py --write    records what is now
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "benchmarks" / "results" / "cuda_resources.json"
ARCHITECTURES = ("sm_86", "sm_90")  # a consumer GPU and a data-center one
FIELDS = ("registers", "shared", "stack", "spills")

Resources = dict[str, dict[str, dict[str, int]]]  # architecture -> kernel -> field -> value


def compile_report(source: Path, architecture: str) -> str:
    """What ptxas says about one file."""
    command = ["nvcc", "-std=c++17", f"-arch={architecture}", "-cubin", "-o", "/dev/null", "--resource-usage", "-O3"]
    command += ["--extra-device-vectorization", "-I", str(ROOT / "cuda_rasterizer" / "csrc"), str(source)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{run.stderr}")
    return subprocess.run(["c++filt"], input=run.stderr + run.stdout, capture_output=True, text=True).stdout


def parse(report: str) -> dict[str, dict[str, int]]:
    """Kernel -> what it uses. Functions that are not inlined count with the kernels that call them."""
    kernels: dict[str, dict[str, int]] = {}
    for entry in re.split(r"Compiling entry function '", report)[1:]:
        name = entry[: entry.index("' for ")]
        name = re.sub(r"^void |\(anonymous namespace\)::|splat::|\(.*", "", name.replace("(anonymous namespace)::", ""))

        def number(pattern: str, text: str = entry) -> int:
            found = re.search(pattern, text)
            return int(found.group(1)) if found else 0

        kernels[name] = {
            "registers": number(r"Used (\d+) registers"),
            "shared": number(r"(\d+) bytes smem"),
            "stack": number(r"(\d+) bytes stack frame"),
            "spills": number(r"(\d+) bytes spill stores"),
        }
    return kernels


def measure() -> Resources:
    """Of all kernels but CUB's, for all architectures."""
    sources = sorted(path for path in (ROOT / "cuda_rasterizer" / "csrc" / "cuda").glob("*.cu") if path.stem != "sort")
    jobs = [(architecture, source) for architecture in ARCHITECTURES for source in sources]
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda job: parse(compile_report(job[1], job[0])), jobs))
    resources: Resources = {architecture: {} for architecture in ARCHITECTURES}
    for (architecture, _), kernels in zip(jobs, reports, strict=True):
        resources[architecture] |= kernels
    return resources


def excesses(now: Resources, budget: Resources) -> list[str]:
    """What is new, or uses more than was recorded."""
    found = []
    for architecture, kernels in now.items():
        for name, fields in kernels.items():
            recorded = budget.get(architecture, {}).get(name)
            if recorded is None:
                found.append(f"{architecture} {name}: not recorded")
                continue
            for field in FIELDS:
                if fields[field] > recorded[field]:
                    found.append(f"{architecture} {name}: {field} {fields[field]}, recorded {recorded[field]}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="record what is now")
    options = parser.parse_args()
    if not shutil.which("nvcc"):
        sys.exit("error: nvcc was not found; install the CUDA toolkit")
    now = measure()
    for architecture, kernels in now.items():
        print(f"{architecture:<48} registers  shared  stack  spills")
        for name, fields in sorted(kernels.items()):
            print(
                f"  {name:<46} {fields['registers']:>9} {fields['shared']:>7} {fields['stack']:>6} {fields['spills']:>7}"
            )
    if options.write:
        RECORD.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
        return
    found = excesses(now, json.loads(RECORD.read_text()))
    print("\n".join(found) or "within what is recorded")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
