"""How fast the viewer is: pictures a second while a camera moves, time to the full picture, and what a training loses.

    python benchmarks/viewer.py [--gaussians 200000] [--size 1280x720] [--capture FOLDER] [--json FILE]

A browser is imitated over the websocket, so that what is measured is the server: drawing, encoding and sending. The camera
turns around a seeded scene of 200,000 Gaussians of degree 3 and reports 60 times a second, as a browser does. For the
loss of a training, the same run is made with and without a browser that looks and does not move, in turns; on a machine
that is busy otherwise, its CPU time per iteration says more than its speed.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from cpu_raster import box_scene

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "viewer"))
from wire import Wire, decoded

from splat import Camera
from splat.datasets.load import PhotoOptions, load_capture
from splat.viewer.app import Viewer
from splat.viewer.slots import SceneSlot


def around(angle: float, size: tuple[int, int]) -> Camera:
    """A camera that swings in front of the scene."""
    eye = 4 * torch.tensor([angle, 0.1, -1.0])
    return Camera.look_at(eye, (0, 0, 0), width=size[0], height=size[1], fov_degrees=60)


def measure_moving(viewer: Viewer, size: tuple[int, int], seconds: float) -> dict[str, Any]:
    """Pictures a second while the camera moves, their size, and the time from the last movement to the full picture."""
    with Wire(viewer, size) as wire:
        wire.look(around(0, size))
        wire.settled()
        for step in range(120):  # until the size has adapted
            wire.look(around(0.002 * step, size))
            time.sleep(1 / 60)
        before, began, step = len(wire.frames()), time.monotonic(), 0
        while time.monotonic() - began < seconds:
            step += 1
            wire.look(around(0.3 + 0.002 * step, size))
            time.sleep(1 / 60)
        moving = wire.frames()[before:]
        passed, stopped = time.monotonic() - began, time.monotonic()
        wire.wait(lambda: wire.frames()[-1]["format"] == "png" or None)
        full = time.monotonic() - stopped
        width, height = decoded(moving[-1]).shape[1], decoded(moving[-1]).shape[0]
        return {"fps_moving": len(moving) / passed, "size_moving": [width, height], "seconds_to_full": full}


def train(capture: Path, camera: Camera, folder: Path, iterations: int, looked_at: bool, port: int) -> dict[str, float]:
    """A run, perhaps with a browser that looks on: its iterations a second and its CPU milliseconds per iteration."""
    command = [sys.executable, "-m", "splat", "train", str(capture), "-o", str(folder), "--iterations", str(iterations)]
    command += ["--overwrite", "-r", "2", "--view", "--view-port", str(port)]
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}  # or waiting threads would count as working ones
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        address = next(line for line in process.stdout if line.startswith("viewer at"))
        began = cpu_seconds(process.pid)
        with contextlib.ExitStack() as stack:
            wire = stack.enter_context(
                Wire(Address(int(address.split("://")[1].split(":")[1].split()[0])), (1280, 720))
            )
            if looked_at:
                wire.look(camera)
            next(line for line in process.stdout if line.startswith("trained"))
            spent = cpu_seconds(process.pid) - began
            assert (len(wire.frames()) > 3) == looked_at
            next(line for line in process.stdout if line.startswith("scene "))  # then it waits for its browsers to go
        process.wait()
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    return {"its": last["iteration"] / last["seconds"], "cpu_ms": 1e3 * spent / iterations}


def cpu_seconds(process: int) -> float:
    """Time that all threads of a process have been running. Of a process that others disturb, this is what can be compared."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Address:
    """All that a connection needs to know of a viewer in another process."""

    def __init__(self, port: int) -> None:
        self.port = port


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gaussians", type=int, default=200_000)
    parser.add_argument("--size", default="1280x720", help="WIDTHxHEIGHT of the window in pixels")
    parser.add_argument("--seconds", type=float, default=8.0, help="that the camera moves, per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--capture", type=Path, help="also measure what a training on it loses")
    parser.add_argument("--iterations", type=int, default=1500, help="of each of those trainings")
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args()
    size = tuple(int(part) for part in options.size.split("x"))
    torch.set_num_threads(options.threads)

    viewer = Viewer([SceneSlot("box", box_scene(options.gaussians))], port=0)
    try:
        rounds = [measure_moving(viewer, (size[0], size[1]), options.seconds) for _ in range(options.rounds)]
    finally:
        viewer.stop()
    result: dict[str, Any] = {
        name: statistics.median(each[name] for each in rounds) for name in ("fps_moving", "seconds_to_full")
    }
    result["size_moving"] = rounds[-1]["size_moving"]
    print(f"{options.gaussians:,} Gaussians, {options.size}, {options.threads} threads, {platform.machine()}")
    moving = "x".join(map(str, result["size_moving"]))
    print(f"moving         {result['fps_moving']:6.1f} pictures/s of {moving}   (bar: 8)")
    print(f"full picture   {result['seconds_to_full']:6.2f} s after the camera stops   (bar: 1)")
    if options.capture:
        camera = load_capture(options.capture, PhotoOptions(max_image_size=160)).frames[0].camera
        with tempfile.TemporaryDirectory() as scratch:
            pairs = []
            for number in range(options.rounds):
                order = (False, True) if number % 2 else (True, False)
                runs = {
                    looked: train(
                        options.capture, camera, Path(scratch) / "run", options.iterations, looked, 18200 + number
                    )
                    for looked in order
                }
                pairs.append(runs)
                told = ", ".join(
                    f"{runs[looked]['cpu_ms']:.1f} ms {word}"
                    for looked, word in ((False, "alone"), (True, "looked at"))
                )
                print(f"  round {number + 1}, CPU time per iteration: {told}", flush=True)
        for name in ("its", "cpu_ms"):
            result[f"{name}_alone"] = statistics.median(pair[False][name] for pair in pairs)
            result[f"{name}_looked_at"] = statistics.median(pair[True][name] for pair in pairs)
        result["slowdown"] = statistics.median(pair[True]["cpu_ms"] / pair[False]["cpu_ms"] - 1 for pair in pairs)
        print(f"training       {100 * result['slowdown']:6.1f} % more time per iteration while looked at   (bar: 10)")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        record = {"gaussians": options.gaussians, "size": options.size, "threads": options.threads, **result}
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
