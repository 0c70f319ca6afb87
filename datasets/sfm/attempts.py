"""From photos to a scene: features, pairs, matches, mapping, and what is tried next when few photos find their place, or some
may have found the wrong one.
"""

import math
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pycolmap

from splat.datasets.readers.colmap_library import in_words
from splat.datasets.sfm import mapping
from splat.datasets.sfm.agreement import Agreement, agreement
from splat.datasets.sfm.cameras import Sharing, has_unknown, shares_cameras, write_mapping_database
from splat.datasets.sfm.features import find_features, image_ids
from splat.datasets.sfm.matches import find_matches, matched_pairs, unsure_pairs
from splat.datasets.sfm.pairs import choose_pairs, most_alike
from splat.datasets.sfm.report import ADVICE, DOUBTFUL
from splat.datasets.sfm.watch import StepFailed
from splat.datasets.sfm.work_folder import WorkFolder
from splat.errors import InputError

Mapper = Literal["global", "incremental"]

GLOBAL_FROM = 60
"""Photos from which on all poses are found at once: incremental mapping takes minutes for more, and hours for hundreds."""
GUIDED_MAX = 150
"""Photos up to which guided matching is used from the beginning; of more, for those only that find no place without."""
REGISTERED = 0.9
"""Fraction of the photos below which something else is tried."""
MOST_PAIRS = 5_000
"""Further pairs that are matched when photos have found no place, or do not fit in."""
NEARLY = 0.95
"""Fraction of another scene's explained matches from which on a scene explains nearly as many."""
NEARLY_ALL = 0.98
"""Fraction of another scene's photos that a scene must have for its smaller error to decide."""
CLEARLY = 0.9
"""Fraction of another scene's reprojection error up to which a scene is clearly sharper."""
INCREMENTAL_MAX = 150
"""Photos up to which they are placed one after another where some may stand in the wrong place: slower, and more reliable."""
SHARP, SHARP_PIXELS = 1.25 / 1600, 0.6
"""Reprojection error relative to the longer side of the photos, and in pixels: with more, they may not share a camera after
all. Features are found to half a pixel or so, however small a photo is.
"""


@dataclass(frozen=True)
class Attempt:
    """One way to a scene."""

    mapper: Mapper
    sharing: Sharing
    masked: bool = True
    every_pair: bool = False  # of the photos that had found no place before
    sure: bool = False  # only pairs that match well
    loosened: bool = False  # without the pairs that held photos in a wrong place before

    def describe(self) -> str:
        words = [
            f"{self.mapper} mapping",
            "one camera for each size" if self.sharing == "size" else "a camera for each photo",
        ]
        if self.every_pair:
            words.append("more pairs")
        if self.sure:
            words.append("only pairs that match well")
        if self.loosened:
            words.append("without pairs that may lead photos astray")
        if not self.masked:
            words.append("without the masks")
        return ", ".join(words)


@dataclass(frozen=True)
class Outcome:
    """What an attempt led to."""

    attempt: Attempt
    model: pycolmap.Reconstruction | None
    others: Sequence[Sequence[str]]  # photos of further scenes, which share none with the first
    agreement: Agreement

    @property
    def registered(self) -> int:
        return 0 if self.model is None else int(self.model.num_reg_images())

    @property
    def fitting(self) -> int:
        """Photos that fit in with the others."""
        return self.registered - len(self.agreement.misfits)

    @property
    def error(self) -> float:
        """Median reprojection error of the points in pixels: a few wrong ones do not count."""
        if self.model is None or not self.model.points3D:
            return math.inf
        return float(np.median([point.error for point in self.model.points3D.values()]))

    @property
    def is_sharp(self) -> bool:
        """Whether the error is as small as where the cameras are right."""
        if self.model is None:
            return False
        size = max(max(camera.width, camera.height) for camera in self.model.cameras.values())
        return self.error <= max(SHARP * size, SHARP_PIXELS)

    def better_than(self, other: "Outcome") -> bool:
        """More matches explained; of nearly as many, a clearly smaller reprojection error, or else more photos that fit in."""
        if self.attempt.masked == other.attempt.masked:  # else the matches are others
            mine, theirs = self.agreement.of_all, other.agreement.of_all
            if min(mine, theirs) < NEARLY * max(mine, theirs):
                return mine > theirs
            same = min(self.fitting, other.fitting) >= NEARLY_ALL * max(self.fitting, other.fitting)
            if same and min(self.error, other.error) <= CLEARLY * max(self.error, other.error):
                return self.error < other.error
        return (self.fitting, self.agreement.of_placed) > (other.fitting, other.agreement.of_placed)

    def describe(self, photos: int) -> str:
        """A part of a sentence, of a scene of so many photos."""
        return f"{self.registered} of {photos} photos, {self.agreement.of_placed:.0%} of their matches fit"


@dataclass(frozen=True)
class Wishes:
    """What a person has decided; None for what is decided here."""

    mapper: Mapper | None = None
    sharing: Sharing | None = None


class SceneSearch:
    """The attempts on the photos of a work folder.

    Args:
        work: with photos/ and maybe masks/.
        names: of the photos in photos/, in their order.
        kinds: how pairs are chosen, see `pairs.choose_kinds`.
    """

    def __init__(
        self, work: WorkFolder, names: Sequence[str], kinds: tuple[str, ...], wishes: Wishes, seed: int, progress: bool
    ) -> None:
        self.work, self.names, self.kinds = work, list(names), kinds
        self.wishes, self.seed, self.progress = wishes, seed, progress
        self.outcomes: list[Outcome] = []
        self._databases: dict[bool, Path] = {}
        self._ties: Sequence[int] = ()  # ids of the pairs that are left out of loosened attempts

    @property
    def best(self) -> Outcome:
        best = self.outcomes[0]
        for outcome in self.outcomes[1:]:
            if outcome.better_than(best):
                best = outcome
        return best

    def run(self) -> Outcome:
        """Find a scene; where it holds few of the photos, or some may stand in the wrong place, try the next thing.

        Raises:
            StepFailed: COLMAP has failed, or a file cannot be written.
            InputError: none of the attempts gave a scene.
        """
        try:
            for attempt in self._attempts():
                if self.outcomes:
                    self._say(f"{self.best.describe(len(self.names))}; trying {attempt.describe()}")
                self.outcomes.append(self._try(attempt))
            best = self._complete(self.best)
            if best.model is not None:
                refined = mapping.refine(best.model, self.progress)
                if refined.num_reg_images() >= mapping.SMALLEST:
                    return self._judge(best.attempt, [refined], best.others)
        except (sqlite3.Error, RuntimeError, OSError) as error:
            raise StepFailed(f"structure from motion failed: {in_words(error)}") from error
        raise InputError(
            f"no scene can be made of these {len(self.names)} photos: no two of them match well enough. {ADVICE}"
        )

    def _complete(self, best: Outcome) -> Outcome:
        """The same scene with photos that it lacks, where it is a better one with them."""
        if best.model is None or best.registered == len(self.names):
            return best
        folder = self.work.attempts / self._label(best.attempt)
        database = folder / "mapping.db"
        told = (database, self.work.photos, folder, self.seed, self.progress)
        model = mapping.place_missing(best.model, *told, lenses=shares_cameras(database))
        placed = {model.images[key].name for key in model.reg_image_ids()}
        others = [left for group in best.others if (left := [name for name in group if name not in placed])]
        found = self._judge(best.attempt, [model], others)
        return found if found.better_than(best) else best

    def _attempts(self) -> Iterator[Attempt]:
        """The first attempt, and what follows from how the ones before went."""
        database = self._matched(masked=True)
        first: Mapper = self.wishes.mapper or ("incremental" if len(self.names) < GLOBAL_FROM else "global")
        yield Attempt(first, self.wishes.sharing or "size")
        yield from self._loosened()
        unsure = self._few or self._doubtful or not self.best.is_sharp
        if unsure and self.wishes.sharing is None and has_unknown(database):
            yield replace(self.best.attempt, sharing="photo")
        if self._few and self._match_further("missing", database):
            yield replace(self.best.attempt, every_pair=True)
        if self._few and self.wishes.mapper is None:
            yield replace(self.best.attempt, mapper="incremental" if first == "global" else "global")
        if self._doubtful and unsure_pairs(database):
            slowly = self.wishes.mapper is None and len(self.names) <= INCREMENTAL_MAX
            mapper: Mapper = "incremental" if slowly else self.best.attempt.mapper
            yield replace(self.best.attempt, mapper=mapper, sure=True)
        yield from self._loosened()
        if self._few and self.work.masks.is_dir():
            yield replace(self.best.attempt, masked=False, every_pair=False, loosened=False)

    def _loosened(self) -> Iterator[Attempt]:
        """Where photos that belong together stand in a wrong place together: without the pairs that hold them there."""
        if self._astray:
            self._match_further("misfits", self._matched(self.best.attempt.masked))
        if self._astray:  # by all that they have in common with others, too
            self._ties = self.best.agreement.ties
            yield replace(self.best.attempt, loosened=True)

    @property
    def _astray(self) -> bool:
        """Whether several photos, but not most, fit in far worse than the others, and it was not tried yet to free them."""
        attempt, found = replace(self.best.attempt, loosened=True), self.best.agreement
        tried = attempt in [outcome.attempt for outcome in self.outcomes]
        return not self._few and not tried and 1 < len(found.misfits) < self.best.fitting

    @property
    def _few(self) -> bool:
        return self.best.registered < REGISTERED * len(self.names)

    @property
    def _doubtful(self) -> bool:
        """Whether photos may stand in the wrong place."""
        return self.best.model is not None and self.best.agreement.of_placed < DOUBTFUL

    def _matched(self, masked: bool) -> Path:
        """The database with features and matches, which are found if they are not there yet."""
        if masked in self._databases:
            return self._databases[masked]
        database = self.work.database(masked)
        masks = self.work.masks if masked and self.work.masks.is_dir() else None
        find_features(database, self.work.photos, masks, self.names, self.progress)
        noted = f"pairs-{database.stem}-{self._choices}"
        pairs = self.work.noted(noted)
        if pairs is None:
            pairs = choose_pairs(self.kinds, database, image_ids(database), self.names, self.seed, self.progress)
            self.work.note(noted, pairs)
        find_matches(database, [(a, b) for a, b in pairs], len(self.names) <= GUIDED_MAX, self.progress)
        self._databases[masked] = database
        return database

    @property
    def _choices(self) -> str:
        """What matches and scenes depend on besides the attempt: with other choices they are not gone on with."""
        return "-".join((*self.kinds, str(self.seed)))

    def _match_further(self, which: str, database: Path) -> bool:
        """Match photos that have no place, or do not fit in, with all others. Returns whether anything could be gained."""
        if self.kinds == ("exhaustive",):
            return False
        noted = f"further-{which}-{database.stem}-{self._choices}"
        pairs = self.work.noted(noted)
        if pairs is None:
            pairs = self._further_pairs(database)
            self.work.note(noted, pairs)
        find_matches(database, [(a, b) for a, b in pairs], True, self.progress)
        self.outcomes = [self._judge(o.attempt, [o.model] if o.model else [], o.others) for o in self.outcomes]
        return True

    def _further_pairs(self, database: Path) -> list[tuple[str, str]]:
        """Pairs that were not compared yet, of photos that have no place or do not fit in."""
        model, before = self.best.model, matched_pairs(database)
        there = set() if model is None else {model.images[key].name for key in model.reg_image_ids()}
        there -= {*self.best.agreement.misfits}
        left = [name for name in self.names if name not in there]
        pairs = [(a, b) for a in left for b in self.names if a < b or (b in there and a != b)]
        pairs = [pair for pair in pairs if pair not in before]
        if len(pairs) > MOST_PAIRS:
            self._say(
                f"of {len(pairs):,} further pairs only the {MOST_PAIRS:,} that look most alike are matched; "
                f"--matching exhaustive does all"
            )
            return most_alike(pairs, MOST_PAIRS, database, self.seed, self.progress)
        return pairs

    def _try(self, attempt: Attempt) -> Outcome:
        """Map, or read what mapping had led to before the work was cut off."""
        label = self._label(attempt)
        folder = self.work.attempts / label
        scene = folder / "scene"
        noted = self.work.noted(f"attempt-{label}")
        if noted is not None:
            model = pycolmap.Reconstruction(scene) if scene.is_dir() else None
            return Outcome(attempt, model, noted["others"], Agreement(**noted["agreement"]))
        features = self._matched(attempt.masked)
        folder.mkdir(parents=True, exist_ok=True)
        database = folder / "mapping.db"
        without = {*(unsure_pairs(features) if attempt.sure else ()), *(self._ties if attempt.loosened else ())}
        write_mapping_database(features, database, attempt.sharing, self.seed, sorted(without))
        models = self._map(attempt, database, folder)
        if models:
            scene.mkdir(exist_ok=True)
            models[0].write(scene)
        outcome = self._judge(attempt, models)
        self.work.note(f"attempt-{label}", {"others": outcome.others, "agreement": asdict(outcome.agreement)})
        return outcome

    def _label(self, attempt: Attempt) -> str:
        """Name of an attempt's folder in the work."""
        return "-".join((*(str(value).lower() for value in asdict(attempt).values()), self._choices))

    def _judge(
        self, attempt: Attempt, models: mapping.Models, others: Sequence[Sequence[str]] | None = None
    ) -> Outcome:
        if not models:
            return Outcome(attempt, None, (), Agreement(0, 0, 0))
        found = agreement(models[0], self._matched(attempt.masked))
        return Outcome(attempt, models[0], _further(models) if others is None else others, found)

    def _map(self, attempt: Attempt, database: Path, folder: Path) -> mapping.Models:
        told = (database, self.work.photos, folder, self.seed, self.progress)
        kept = self.outcomes and not self._few and not self._doubtful
        if kept and attempt == replace(self.best.attempt, sharing="photo"):
            assert self.best.model is not None  # its poses are right, only its cameras may not be
            model = mapping.with_other_cameras(self.best.model, *told)
            return [model] if model.num_reg_images() >= mapping.SMALLEST else []
        lenses = shares_cameras(database)  # one photo says too little about the distortion of its lens
        if self.outcomes and attempt == replace(self.best.attempt, loosened=True):
            best = self.best
            assert best.model is not None  # only some of its poses are wrong
            rest = mapping.without_photos(best.model, best.agreement.misfits)
            models = [mapping.place_missing(rest, *told, lenses)]
        elif attempt.mapper == "incremental":
            models = mapping.map_incrementally(*told, lenses)
        else:
            models = mapping.map_globally(*told, lenses)
        if attempt.mapper == "global" or attempt.loosened:
            first = self._judge(attempt, models)
            if models and (first.registered < len(self.names) or not first.is_sharp):
                for model in mapping.map_incrementally(*told, lenses, start=models[0])[:1]:
                    if self._judge(attempt, [model]).better_than(first):
                        models[0] = model
        if len(models) > 1:
            return mapping.join(models, database, self.work.photos, folder, self.progress, lenses)
        return models

    def _say(self, text: str) -> None:
        if self.progress:
            print(text, file=sys.stderr, flush=True)


def _further(models: mapping.Models) -> list[list[str]]:
    """The photos of each scene but the first that are in no scene before it."""
    seen: set[str] = set()
    found = []
    for model in models:
        names = {model.images[key].name for key in model.reg_image_ids()}
        found.append(sorted(names - seen))
        seen |= names
    return [names for names in found[1:] if names]
