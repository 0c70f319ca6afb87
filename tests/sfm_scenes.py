"""Made-up scenes as COLMAP holds them, whose cameras and matches are known exactly, for tests of structure from motion."""

from pathlib import Path

import numpy as np
import pycolmap


def made_up(folder: Path, photos: int = 12) -> tuple[Path, pycolmap.Reconstruction]:
    """A database with matches, each photo with a camera of its own, and the scene that they show."""
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_frames_per_rig, options.num_points3D = photos, 1, 300
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "features.db"
    pycolmap.set_random_seed(0)
    with pycolmap.Database.open(path) as database:
        scene = pycolmap.synthesize_dataset(options, database)
    (folder / "photos").mkdir()
    return path, scene


def turned(found: pycolmap.Reconstruction, right: pycolmap.Reconstruction) -> float:
    """The largest angle in degrees between relative rotations of two scenes: no alignment is needed for them."""
    mine, theirs = ({i.name: i.cam_from_world().rotation for i in scene.images.values()} for scene in (found, right))
    first = next(iter(mine))
    between = [
        (mine[name] * mine[first].inverse()) * (theirs[name] * theirs[first].inverse()).inverse() for name in mine
    ]
    return float(np.degrees(max(rotation.angle() for rotation in between)))


def part(scene: pycolmap.Reconstruction, numbers: range) -> pycolmap.Reconstruction:
    """The scene with some of its photos only, moved elsewhere."""
    cut = pycolmap.Reconstruction(scene)
    for image in list(scene.images):
        if image not in numbers:
            cut.deregister_frame(cut.images[image].frame_id)
    cut.transform(pycolmap.Sim3d(3.0, pycolmap.Rotation3d(np.array([0.0, 0.6, 0.0, 0.8])), np.array([1.0, 2.0, 3.0])))
    return cut
