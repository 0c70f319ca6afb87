"""What came out of structure from motion: for a person, and as a file beside the capture."""

from dataclasses import dataclass
from pathlib import Path

from splat.io.wording import grouped, listed, number_of

FEW_REGISTERED = 0.7
DOUBTFUL = 0.4
"""Share of the matches between the photos of a scene that are points of it, below which some may stand in the wrong place."""
ADVICE = (
    "What helps: at least 20 photos, each sharing two thirds of its picture with the next; walk around the scene instead "
    "of turning on the spot; no blur, no zooming in between; some texture (a newspaper on a bare table does)"
)


@dataclass(frozen=True)
class Reconstructed:
    """What came out of structure from motion."""

    capture: Path
    photos: int
    registered: int
    missing: tuple[str, ...]  # photos without a pose
    unmatched: tuple[str, ...]  # those of them that match no other photo
    unusable: tuple[tuple[str, str], ...]  # files that could not be read: name, reason
    points: int
    reprojection_error: float  # pixels
    explained: float  # share of the matches between its photos that are points of the scene
    misfits: tuple[str, ...]  # photos of which a far smaller share is
    cameras: int
    lens: str  # COLMAP's name of the camera model before the lens distortion was taken out
    matching: str
    pairs: int  # of photos that were compared
    mapping: str  # what led to the scene
    tried: tuple[str, ...]  # what did not, and how many photos it registered
    other_groups: tuple[tuple[str, ...], ...]  # photos of further scenes, which share none with this one
    notes: tuple[str, ...] = ()  # how photos were read

    def describe(self) -> str:
        """A few lines for a person."""
        lines = [
            f"{self.registered} of {self.photos} photos registered, {self.points:,} points, mean reprojection error "
            f"{self.reprojection_error:.2f} pixels ({self.matching} matching, {self.mapping}; "
            f"{number_of(self.cameras, 'camera')}, {self.lens})"
        ]
        lines += self.notes
        lines += [f"tried before: {attempt}" for attempt in self.tried]
        lines += [f"warning: {line}; left out" for line in grouped(self.unusable)]
        if self.missing:
            lines.append(f"not registered: {listed(self.missing)}")
        if self.unmatched:
            lines.append(f"{number_of(len(self.unmatched), 'of these matches', 'of these match')} no other photo")
        if self.registered < FEW_REGISTERED * self.photos:
            lines.append(f"warning: few photos registered. {ADVICE}.")
            if self.other_groups:
                others = "; ".join(f"{number_of(len(names), 'photo')} ({listed(names)})" for names in self.other_groups)
                lines.append(
                    f"The photos fell into {len(self.other_groups) + 1} groups that do not overlap. The one with most matches "
                    f"is used; others: {others}. More photos between them would join groups of one place; where they are of "
                    "different places, call `splat photos` on those of each alone."
                )
        if self.explained < DOUBTFUL:
            lines.append(
                f"warning: only {self.explained:.0%} of what the photos have in common fits together in this scene: some may "
                "stand in the wrong place, as happens where a pattern repeats or both sides of a thing look the same. "
                f"Look at it: splat info {self.capture} --picture cameras.png"
            )
        elif self.misfits:
            lines.append(
                f"warning: {listed(self.misfits)} {'fits' if len(self.misfits) == 1 else 'fit'} in far worse than the others, "
                "and may stand in the wrong place. If training shows a haze, leave such photos out"
            )
        lines.append(f"which photos match which: {self.capture / 'matches.png'}")
        return "\n".join(lines)
