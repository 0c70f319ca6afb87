"""splat: differentiable 3D Gaussian splatting, from photos to a scene you can share.

This folder is the core: what a scene is, how it is drawn, what a run is, the command line. May import
splat.cuda_rasterizer; the other folders, which are installed as subpackages beside it, import the core.

>>> import splat
>>> scene = splat.load("point_cloud.ply")
>>> camera = splat.Camera.look_at(eye=(0, -1, -4), target=(0, 0, 0), width=640, height=480)
>>> image = splat.render(scene, camera).rgb  # [480, 640, 3]

>>> result = splat.train("capture", output="run")  # photos and their cameras in, a scene out
>>> splat.evaluate("run", all_views=True).psnr
>>> splat.compress("run", "scene.splatz", max_bytes="8MB").psnr_drop
"""

import os
from pathlib import Path

# torch's OpenMP threads spin when a parallel region of theirs has ended, for milliseconds, on the cores that the kernels'
# own threads then need: a step of training takes a third longer, beside other work three times as long. OpenMP reads
# this variable once, when torch is first imported; where that came before us, or where the user chose, it stays as it is.
# GNU's runtime (torch's Linux wheels) and LLVM's and Intel's alike know it: there it means KMP_BLOCKTIME=0.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# In a checkout the sibling folders (training, datasets, ...) are our subpackages, exactly as they are once installed.
_root = Path(__file__).resolve().parent.parent
if (_root / "pyproject.toml").is_file() and (_root / "cuda_rasterizer").is_dir():
    __path__.append(str(_root))

from splat.callbacks import Action, Step
from splat.cameras import Camera
from splat.contribution import Contribution, contribution
from splat.gaussians import Gaussians
from splat.plugins import compress, evaluate, train
from splat.plugins import load_scene as load
from splat.plugins import save_scene as save
from splat.render import render
from splat.result import CompressionResult, CompressionStep, Metrics, RenderResult, TrainingResult, ViewMetrics
from splat.settings import RenderSettings
from splat.version import __version__ as __version__

__all__ = [
    "Action",
    "Camera",
    "CompressionResult",
    "CompressionStep",
    "Contribution",
    "Gaussians",
    "Metrics",
    "RenderResult",
    "RenderSettings",
    "Step",
    "TrainingResult",
    "ViewMetrics",
    "compress",
    "contribution",
    "evaluate",
    "load",
    "render",
    "save",
    "train",
]
