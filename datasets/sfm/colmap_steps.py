"""COLMAP's steps on a folder of photos, each in a thread, so that what is done can be counted and Ctrl-C ends it."""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pycolmap

from splat.datasets.readers.colmap_library import in_words
from splat.errors import InputError
from splat.io.progress import Counter

FEATURE_SIDE = 1600
"""Longest side of the photos in pixels for finding features: enough for poses, and three times faster than 12 megapixels."""
OVERLAP = 12
"""Neighbors on each side that ordered photos are matched with; and powers of two beyond."""

PATIENCE = 5.0
"""Seconds that a step may take to end when it is interrupted."""

Result = TypeVar("Result")

ADVICE = (
    "What helps: at least 20 photos, each sharing two thirds of its picture with the next; walk around the scene instead "
    "of turning on the spot; no blur, no zooming in between; some texture (a newspaper on a bare table does)"
)


def run_sfm(
    work: Path, names: Sequence[str], matching: str, seed: int, progress: bool
) -> tuple[pycolmap.Reconstruction, int]:
    """Features, matches, mapping. Returns the largest model and how many there were.

    Args:
        work: folder with photos/, and masks/ if there are any; COLMAP's files are written beside them.
        matching: exhaustive, sequential or spatial.
        progress: tell a person how far it is.

    Raises:
        InputError: no two photos match well enough to begin.
    """
    pycolmap.set_random_seed(seed)
    database, photos = work / "database.db", work / "photos"
    reader = pycolmap.ImageReaderOptions(camera_model="OPENCV")
    if (work / "masks").is_dir():
        reader.mask_path = work / "masks"
    extraction = pycolmap.FeatureExtractionOptions()
    extraction.max_image_size = FEATURE_SIDE
    watched(
        lambda token: pycolmap.extract_features(
            database,
            photos,
            image_names=list(names),
            reader_options=reader,
            extraction_options=extraction,
            cancellation_token=token,
        ),
        Counter("features", len(names), unit="photo", shown=progress),
        lambda: _rows(database, "keypoints"),
    )
    count = len(names)
    if matching == "exhaustive":
        pairs = count * (count - 1) // 2
        match: Callable[[pycolmap.CancellationToken], None] = lambda token: pycolmap.match_exhaustive(  # noqa: E731
            database, cancellation_token=token
        )
    elif matching == "spatial":
        pairs = count * 50
        match = lambda token: pycolmap.match_spatial(database, cancellation_token=token)  # noqa: E731
    else:
        pairs = count * (OVERLAP + 4)
        pairing = pycolmap.SequentialPairingOptions(overlap=OVERLAP, quadratic_overlap=True)
        match = lambda token: pycolmap.match_sequential(  # noqa: E731
            database, pairing_options=pairing, cancellation_token=token
        )
    matching_counter = Counter("matches", pairs, unit="pair", shown=progress)
    watched(match, matching_counter, lambda: _rows(database, "two_view_geometries"))
    (work / "models").mkdir()
    mapper = pycolmap.IncrementalPipelineOptions(min_model_size=3, random_seed=seed)
    registered = Registered()
    models = watched(
        lambda token: pycolmap.incremental_mapping(
            database,
            photos,
            work / "models",
            options=mapper,
            initial_image_pair_callback=registered.begin,
            next_image_callback=registered.add,
            cancellation_token=token,
        ),
        Counter("registered", count, unit="photo", shown=progress),
        lambda: registered.count,
    )
    if not models:
        raise InputError(f"no scene can be made of these {count} photos: no two of them match well enough. {ADVICE}")
    return max(models.values(), key=lambda model: model.num_reg_images()), len(models)


class Registered:
    """Photos that have a pose, of the model that is being made: if a beginning leads nowhere, another follows."""

    def __init__(self) -> None:
        self.count = 0

    def begin(self) -> None:
        self.count = 2

    def add(self) -> None:
        self.count += 1


def watched(work: Callable[[pycolmap.CancellationToken], Result], counter: Counter, done: Callable[[], int]) -> Result:
    """Run in a thread, count meanwhile what is done, stop when interrupted.

    Raises:
        InputError: the work has failed.
    """
    token = pycolmap.CancellationToken()
    results: list[Result] = []
    failures: list[Exception] = []
    over = threading.Event()

    def run() -> None:
        try:
            results.append(work(token))
        except Exception as error:
            failures.append(error)
        finally:
            over.set()

    try:
        with counter:
            threading.Thread(target=run, daemon=True).start()
            while not over.wait(0.5):
                counter.to(min(counter.total or 0, done()))
            counter.to(min(counter.total or 0, done()))
    except KeyboardInterrupt:
        token.cancel()
        over.wait(PATIENCE)  # matching looks at the token once a block of photos
        raise
    if failures:
        raise InputError(f"structure from motion failed: {in_words(failures[0])}") from failures[0]
    return results[0]


def _rows(database: Path, table: str) -> int:
    """How many rows a table has, as far as they have reached the file.

    Takes no lock: one of ours would make a write of COLMAP's fail, which ends the whole process.
    """
    if not database.is_file():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)) as connection:
            return int(connection.execute(f"select count(*) from {table}").fetchone()[0])
    except sqlite3.Error:  # not made yet, or just being written
        return 0
