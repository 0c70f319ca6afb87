"""Train a scene from Python: photos in, a scene out, with a callback that watches and stops the run.

python docs/examples/train_from_python.py                      a small sample capture, made on the spot
python docs/examples/train_from_python.py CAPTURE -o run       your own, with images/ and sparse/0/
"""

import argparse
import tempfile
from pathlib import Path

import splat
from splat.datasets.sample.sample_capture import write_sample
from splat.training.config import DataConfig, OptimizationConfig, TrainConfig


def main(arguments: list[str] | None = None) -> splat.TrainingResult:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path, nargs="?")
    parser.add_argument("-o", "--output", type=Path, help="folder of the run; without it no run is kept")
    parser.add_argument("--scene", type=Path, default=Path("scene.ply"), help="file for the trained scene")
    parser.add_argument("--iterations", type=int, default=500)
    parser.add_argument("--enough", type=float, default=35.0, help="stop at this training PSNR in dB")
    options = parser.parse_args(arguments)

    def watch(step: splat.Step) -> splat.Action | None:
        """Called after every iteration; `psnr` is measured now and then, on the photo of the step."""
        if step.iteration % 100 == 0:
            print(f"{step.progress:4.0%}  loss {step.loss:.4f}  {len(step.gaussians):,} Gaussians")
        return splat.Action.STOP if step.psnr is not None and step.psnr > options.enough else None

    with tempfile.TemporaryDirectory() as folder:
        capture = options.capture or Path(folder)
        if options.capture is None:
            write_sample(capture, width=120, height=80, views=16, seed=0)
        config = TrainConfig(
            data=DataConfig(eval=True),  # hold every 8th photo out
            optimization=OptimizationConfig(iterations=options.iterations, sh_degree=1),
        )
        result = splat.train(capture, config, output=options.output, callback=watch, progress=False)
        metrics = result.metrics or splat.evaluate(result.scene, capture, config=config, progress=False)
    for view in metrics.views:
        print(f"{view.name}: PSNR {view.psnr:.2f} dB, SSIM {view.ssim:.4f}")
    print(f"held-out views: PSNR {metrics.psnr:.2f} dB after {result.iterations} iterations, {result.seconds:.1f} s")
    splat.save(result.scene, options.scene)
    return result


if __name__ == "__main__":
    main()
