"""The scenes that a run has left: its point clouds, and the checkpoints between them."""

import pickle
import re
import zipfile
from pathlib import Path

import torch

from splat.compression.formats import registry as formats
from splat.errors import InputError
from splat.gaussians import Gaussians

PLACES = (
    ("ckpts/ckpt_*.pt", r"ckpt_(\d{1,9})\.pt"),
    ("point_cloud/iteration_*/point_cloud.ply", r"iteration_(\d{1,9})"),
)
"""Where a run's scenes are, and the name that tells the iteration; later ones are preferred."""


def saved_scenes(run: Path) -> dict[int, Path]:
    """Iteration -> file with the scene after it, oldest first; empty where the folder is not of a run."""
    found = {}
    for pattern, name in PLACES:
        for file in run.glob(pattern):
            number = re.fullmatch(name, file.name if file.suffix == ".pt" else file.parent.name)
            if number:
                found[int(number[1])] = file
    return dict(sorted(found.items()))


def load_saved(file: Path) -> Gaussians:
    """Read a scene of any format, or out of a checkpoint, there without its sky.

    Raises:
        InputError: it is damaged or gone.
    """
    if file.suffix != ".pt":
        return formats.load(file)
    try:
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        parameters = state["optimizer"]["parameters"]
        names = ("means", "quats", "log_scales", "logit_opacities", "sh0", "sh_rest")
        return Gaussians(**{name: parameters[name].float().clone() for name in names})
    except FileNotFoundError:
        raise InputError(f"{file}: the checkpoint is gone; runs keep only the latest ones") from None
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
    ) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{file}: not a checkpoint that can be read ({reason}); choose another iteration") from None
