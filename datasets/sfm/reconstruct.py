"""Structure from motion through pycolmap: photos in, a capture that can be trained on out."""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pycolmap
from numpy.typing import NDArray
from PIL import Image

from splat.datasets.images.deep import measure_levels
from splat.datasets.images.lens import undistort_map
from splat.datasets.images.pages import page_notes
from splat.datasets.readers.colmap import find_models
from splat.datasets.sfm.attempts import Mapper, Outcome, SceneSearch, Wishes
from splat.datasets.sfm.cameras import Sharing
from splat.datasets.sfm.matches import ENOUGH, draw_matches, matched_pairs, read_matches
from splat.datasets.sfm.pairs import choose_kinds
from splat.datasets.sfm.prepare_photos import mask_index, prepare
from splat.datasets.sfm.report import Reconstructed
from splat.datasets.sfm.source_photos import check_enough, is_unicode, photo_folder, usable_photos
from splat.datasets.sfm.video_frames import extract_frames, is_video
from splat.datasets.sfm.watch import StepFailed, watched
from splat.datasets.sfm.work_folder import FINISHED, WorkFolder, open_work
from splat.errors import InputError
from splat.io.facts import as_json
from splat.io.progress import Counter, counted


@dataclass(frozen=True)
class SfmOptions:
    """How photos are turned into a capture."""

    frames: int = 150  # of a video
    matching: str = "auto"  # or one of pairs.KINDS
    mapper: Mapper | Literal["auto"] = "auto"
    cameras: Sharing | Literal["auto"] = "auto"
    seed: int = 0
    progress: bool = False
    overwrite: bool = False
    invert_masks: bool = False
    jpeg_quality: int = field(default=95)


def reconstruct(source: Path, out: Path, options: SfmOptions | None = None) -> Reconstructed:
    """Photos of a folder, or a video, to `out`: images/ without lens distortion, sparse/0, and masks/ where there were.

    What is done lies in `out`/work until all is done: where it is cut off, calling this again goes on from there.

    Raises:
        StepFailed: COLMAP has failed; what was done until then is kept.
        InputError: too few photos can be read, or no scene can be made of them; the message says what to do.
    """
    options = options or SfmOptions()
    if source.is_dir() and find_models(source):
        raise InputError(f"{source}: has a COLMAP model already; train on it with: splat train {source}")
    if not is_unicode(str(out)):
        raise InputError(f"{out}: is not a name in UTF-8, for which COLMAP has no room; choose another name")
    ordered = is_video(source)
    folder = source if ordered else photo_folder(source)
    paths, unusable = ([source], []) if ordered else usable_photos(folder, out)
    if not ordered:
        check_enough(source, paths, unusable)
    masks = None if ordered else mask_index(source, folder)
    settings = {"frames": options.frames} if ordered else {"masks": masks is not None, "invert": options.invert_masks}
    work = open_work(out, [*paths, *(masks.index.files if masks else ())], settings, options.overwrite)
    if work.resumed and options.progress:
        print(f"{out}: going on where the work was cut off", file=sys.stderr)
    try:
        video_notes: list[str] = []
        if ordered:
            folder, video_notes = _frames(source, work, options)
            paths, unusable = usable_photos(folder)
            check_enough(source, paths, unusable)
        with ThreadPoolExecutor() as pool:
            levels, notes = measure_levels(paths, pool)
            notes = [*video_notes, *notes, *page_notes(paths, pool)]
        listing = counted(paths, "photos", unit="photo", shown=options.progress)
        prepared = prepare(listing, folder, masks, work.path, levels, options.invert_masks)
        names = prepared.names
        unusable += prepared.unusable
        check_enough(source, [work.photos / name for name in names], unusable)
        notes += prepared.notes
        kinds = choose_kinds(options.matching, paths, ordered)
        search = SceneSearch(work, list(names), kinds, _wishes(options), options.seed, options.progress)
        found = search.run()
        assert found.model is not None
        table = read_matches(work.database(found.attempt.masked), list(names))
        done = _describe(found, search, names, table, out, tuple(unusable), tuple(notes))
        write_capture(found.model, names, work, out, options)
        draw_matches(table, np.array([name not in done.missing for name in names.values()])).save(out / "matches.png")
        (out / "photos.json").write_text(as_json({**asdict(done), "capture": str(out)}))
    except StepFailed as failure:
        raise StepFailed(
            f"{failure}; what was done is kept in {work.path}: the same command goes on from there, with --overwrite it "
            "starts over"
        ) from failure
    except InputError:
        shutil.rmtree(work.path, ignore_errors=True)
        if out.is_dir() and not any(out.iterdir()):
            out.rmdir()
        raise
    over = work.path.with_name(FINISHED)  # a rename is all or nothing; deleting may be cut off
    work.path.rename(over)
    shutil.rmtree(over)
    return done


def _frames(video: Path, work: WorkFolder, options: SfmOptions) -> tuple[Path, list[str]]:
    """The folder with a video's frames, taken out of it unless they all are there, and what to know of them."""
    folder, part = work.path / "frames", work.path / "frames-part"
    if not folder.is_dir():
        shutil.rmtree(part, ignore_errors=True)
        work.note("video", extract_frames(video, part, options.frames, progress=options.progress).notes)
        part.rename(folder)
    return folder, work.noted("video") or []


def _wishes(options: SfmOptions) -> Wishes:
    return Wishes(
        mapper=None if options.mapper == "auto" else options.mapper,
        sharing=None if options.cameras == "auto" else options.cameras,
    )


def _describe(
    found: Outcome,
    search: SceneSearch,
    names: dict[str, str],
    table: NDArray[np.int64],
    out: Path,
    unusable: tuple[tuple[str, str], ...],
    notes: tuple[str, ...],
) -> Reconstructed:
    model = found.model
    assert model is not None
    registered = [model.images[key] for key in model.reg_image_ids()]
    missing = sorted(set(names) - {image.name for image in registered})
    lonely = {name for name, row in zip(names, table, strict=True) if row.max(initial=0) < ENOUGH}
    others = [outcome for outcome in search.outcomes if outcome.attempt != found.attempt]
    return Reconstructed(
        capture=out,
        photos=len(names),
        registered=len(registered),
        missing=tuple(names[name] for name in missing),
        unmatched=tuple(names[name] for name in missing if name in lonely),
        unusable=unusable,
        points=model.num_points3D(),
        reprojection_error=model.compute_mean_reprojection_error(),
        explained=found.agreement.of_placed,
        misfits=tuple(names[name] for name in found.agreement.misfits),
        cameras=len({image.camera_id for image in registered}),
        lens=", ".join(sorted({model.cameras[image.camera_id].model_name for image in registered})),
        matching=" and ".join(search.kinds),
        pairs=len(matched_pairs(search.work.database(found.attempt.masked))) // 2,
        mapping=found.attempt.describe(),
        tried=tuple(f"{o.attempt.describe()}: {o.describe(len(names))}" for o in others),
        other_groups=tuple(tuple(names[name] for name in group) for group in found.others),
        notes=notes,
    )


def write_capture(
    model: pycolmap.Reconstruction, names: dict[str, str], work: WorkFolder, out: Path, options: SfmOptions
) -> None:
    """images/ and sparse/0 without lens distortion, and the masks that go with them, all under the photos' own names.

    Args:
        names: of the photos in the capture, by their names in the work folder.
    """
    best, flat = work.path / "best", work.path / "flat"
    for folder in (best, flat, out / "images", out / "sparse", out / "masks"):
        shutil.rmtree(folder, ignore_errors=True)  # of a writing that was cut off
    best.mkdir()
    model.write(best)
    counter = Counter("undistorted", model.num_reg_images(), unit="photo", shown=options.progress)
    watched(
        lambda token: pycolmap.undistort_images(
            flat, best, work.photos, jpeg_quality=options.jpeg_quality, cancellation_token=token
        ),
        counter,
        lambda: counter.to(sum(path.is_file() for path in (flat / "images").rglob("*"))),
    )
    straight = pycolmap.Reconstruction(flat / "sparse")
    for image in straight.images.values():
        number, name = image.name, names[image.name]
        target = out / "images" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(str(flat / "images" / number), str(target))
        image.name = name
        mask = work.masks / f"{number}.png"
        if mask.is_file():
            bent = model.images[image.image_id].camera
            assert bent is not None and image.camera is not None
            _straighten_mask(mask, bent, image.camera, out / "masks" / f"{name}.png")
    (out / "sparse" / "0").mkdir(parents=True)
    straight.write(out / "sparse" / "0")


def _straighten_mask(mask: Path, bent: pycolmap.Camera, pinhole: pycolmap.Camera, target: Path) -> None:
    """A mask without lens distortion, unless it hides nothing."""
    with Image.open(mask) as opened:
        values = np.asarray(opened)
    if values.min() == 255:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(undistort_map(values, bent, pinhole)).save(target)
