"""What can be recognized in photos (SIFT), and which photos are alike by it."""

import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray

from splat.datasets.sfm.watch import StepFailed, rows, watched
from splat.io.progress import Counter, counted
from splat.io.wording import listed, number_of

FEATURE_SIDE = 1600
"""Longest side of the photos in pixels for finding features: enough for poses, and three times faster than 12 megapixels."""
FEATURES = ((100, 8192), (sys.maxsize, 2048))
"""The most features of a photo, where there are up to so many photos: the time for a pair grows with their square."""
WORDS, ROUNDS, LEARNED_FROM = 128, 10, 50_000
"""Visual words that descriptors are told apart by, rounds of k-means, and about how many descriptors it sees."""
PER_PHOTO = 2000
"""The features of a photo, the largest ones, that it is looked up by."""


def find_features(database: Path, photos: Path, masks: Path | None, names: Sequence[str], progress: bool) -> None:
    """Features of photos into a database, which may have those of some of them already.

    Photos share a camera if their EXIF names the same one with the same focal length, and they have the same size.

    Args:
        photos: folder with the photos.
        masks: folder with a mask for each, black where no feature is wanted; None for everywhere.
    """
    reader = pycolmap.ImageReaderOptions(camera_model="SIMPLE_RADIAL")
    if masks is not None:
        reader.mask_path = masks
    extraction = pycolmap.FeatureExtractionOptions()
    extraction.max_image_size = FEATURE_SIDE
    extraction.sift.max_num_features = next(most for count, most in FEATURES if len(names) <= count)
    counter = Counter("features", len(names), unit="photo", shown=progress)
    watched(
        lambda token: pycolmap.extract_features(
            database,
            photos,
            image_names=list(names),
            camera_mode=pycolmap.CameraMode.AUTO,
            reader_options=reader,
            extraction_options=extraction,
            cancellation_token=token,
        ),
        counter,
        lambda: counter.to(min(len(names), rows(database, "keypoints"))),
        database.parent,
    )
    if lost := sorted(set(names) - set(image_ids(database))):
        raise StepFailed(f"COLMAP cannot read {number_of(len(lost), 'photo')}: {listed(lost)} in {photos}")


def alike(database: Path, count: int, seed: int, progress: bool) -> list[tuple[int, int]]:
    """Pairs of photos that look alike: each photo with the `count` others that are most like it.

    Returns:
        Pairs of image ids, the smaller one first.
    """
    images, table = likeness(database, seed, progress)
    np.fill_diagonal(table, -np.inf)
    nearest = np.argsort(-table, axis=1, kind="stable")[:, : min(count, len(images) - 1)]
    pairs = {tuple(sorted((images[a], images[b]))) for a, row in enumerate(nearest) for b in row}
    return sorted((a, b) for a, b in pairs)


def likeness(database: Path, seed: int, progress: bool) -> tuple[list[int], NDArray[np.float32]]:
    """Image ids, and how alike each two photos are.

    A photo is described by how its descriptors differ from the nearest of a few visual words (VLAD, Jegou et al. 2010; square
    roots against repeated features, Jegou and Chum 2012), which are learned from these photos: nothing has to be downloaded.

    Returns:
        The ids in ascending order, and [photos, photos] cosines.
    """
    random = np.random.default_rng(seed)
    with pycolmap.Database.open(database) as opened:
        images = sorted(image.image_id for image in opened.read_all_images())
        found = [_largest(opened, image) for image in counted(images, "alike", unit="photo", shown=progress)]
    each = -(-LEARNED_FROM // len(images))
    words = _visual_words(np.concatenate([own[random.permutation(len(own))[:each]] for own in found]), random)
    described = np.stack([_describe(own, words) for own in found])
    return images, described @ described.T


def _largest(database: pycolmap.Database, image: int) -> NDArray[np.float32]:  # [at most PER_PHOTO, 128]
    """Descriptors of a photo's largest features, square roots of their relative sizes (RootSIFT)."""
    keypoints = database.read_keypoints(image)
    descriptors = database.read_descriptors(image).data
    if not len(descriptors):
        return np.zeros((0, 128), dtype=np.float32)
    affine = keypoints.shape[1] == 6  # x, y and a matrix; else x, y, size, direction
    sizes = np.hypot(keypoints[:, 2], keypoints[:, 4]) if affine else keypoints[:, 2]
    rows = descriptors[np.argsort(-sizes, kind="stable")[:PER_PHOTO]].astype(np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def _visual_words(rows: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:  # [words, 128]
    """Means of clusters of descriptors (k-means)."""
    words = rows[random.permutation(len(rows))[:WORDS]]
    for _ in range(ROUNDS if len(words) else 0):  # black photos have none
        nearest = _nearest(rows, words)
        for word in range(len(words)):
            members = rows[nearest == word]
            if len(members):
                words[word] = members.mean(axis=0)
    return words


def _nearest(rows: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.int64]:  # [rows]
    return (rows @ words.T - (words**2).sum(axis=1) / 2).argmax(axis=1)


def _describe(rows: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.float32]:  # [words * 128]
    total = np.zeros_like(words)
    if len(rows):
        nearest = _nearest(rows, words)
        np.add.at(total, nearest, rows - words[nearest])
        total = np.sign(total) * np.sqrt(np.abs(total))
        total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)
    flat = total.ravel()
    return flat / max(float(np.linalg.norm(flat)), 1e-9)


def image_ids(database: Path) -> dict[str, int]:
    """Image ids by names of photos."""
    with closing(sqlite3.connect(database)) as connection:
        return dict(connection.execute("select name, image_id from images"))
