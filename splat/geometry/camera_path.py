"""CameraPath: a flight through a scene by keyframes. `splat.io.camera_path_file` keeps it on disk.

Positions lie on a centripetal Catmull-Rom spline (Yuksel et al. 2011: no cusps, no loops within a stretch), rotations on a
curve of Kim, Kim and Shin (1995) with the same tangents, lenses between those of the keyframes without overshooting. The
shape depends on the keyframes' poses alone; when the camera is where is said by their `seconds` and `ease`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from splat.cameras import Camera

Array = NDArray[np.float64]

MAX_KEYFRAMES = 1000
MAX_FRAMES = 100_000
"""An hour at 24 pictures a second; more is a mistake, or an attack on the memory of the viewer."""
MAX_SECONDS = 3600.0
MIN_SECONDS = 0.01
MAX_COORDINATE = 1e9
"""World units. Farther away, float32 could not draw anything."""
FOV_RANGE = (1.0, 170.0)
"""Degrees."""
SAMPLES = 256
"""Places between two keyframes at which the length of the path is measured."""


@dataclass(frozen=True)
class Keyframe:
    """A camera that the path goes through.

    Raises:
        ValueError: a value is not finite or out of range.
    """

    position: tuple[float, float, float]  # world units
    quaternion: tuple[float, float, float, float]  # (w, x, y, z), camera to world, OpenCV axes; made one long
    fov: float = 60.0  # degrees from the top to the bottom of the picture
    seconds: float = 2.0  # from the keyframe before to this one; of the first: from the last one, in a loop
    ease: bool = False  # slow down to a rest here, and start gently

    def __post_init__(self) -> None:
        position, quaternion = _floats(self.position, 3, "position"), _floats(self.quaternion, 4, "quaternion")
        if max(map(abs, position)) > MAX_COORDINATE:
            raise ValueError(f"position must be within {MAX_COORDINATE:g} of the origin, got {list(position)}")
        length = math.hypot(*quaternion)
        if not 1e-9 <= length <= 1e9:
            raise ValueError(f"quaternion must not be zero or huge, got {list(quaternion)}")
        if abs(length - 1) < 1e-12:  # so that what was written to a file and read again is the same
            length = 1.0
        fov, seconds = _floats((self.fov,), 1, "fov")[0], _floats((self.seconds,), 1, "seconds")[0]
        if not FOV_RANGE[0] <= fov <= FOV_RANGE[1]:
            raise ValueError(f"fov must be {FOV_RANGE[0]:g} to {FOV_RANGE[1]:g} degrees, got {fov:g}")
        if not MIN_SECONDS <= seconds <= MAX_SECONDS:
            raise ValueError(f"seconds must be {MIN_SECONDS:g} to {MAX_SECONDS:g}, got {seconds:g}")
        if not isinstance(self.ease, bool):
            raise ValueError(f"ease must be true or false, got {self.ease!r}")
        object.__setattr__(self, "position", position)
        object.__setattr__(self, "quaternion", tuple(value / length for value in quaternion))
        object.__setattr__(self, "fov", fov)
        object.__setattr__(self, "seconds", seconds)

    @staticmethod
    def of(camera: Camera, seconds: float = 2.0, ease: bool = False) -> "Keyframe":
        """What a camera sees now. Its principal point is taken to be in the middle."""
        to_world = camera.viewmat[:3, :3].double().cpu().numpy().T
        x, y, z, w = Rotation.from_matrix(to_world).as_quat()
        fov = float(np.degrees(2 * np.arctan(camera.height / (2 * float(camera.K[1, 1])))))
        a, b, c = camera.position.double().cpu().tolist()
        return Keyframe((a, b, c), (w, x, y, z), float(np.clip(fov, *FOV_RANGE)), seconds, ease)

    def camera(self, width: int, height: int) -> Camera:
        """The camera of this keyframe, drawing pictures of a size in pixels."""
        return _camera(np.array(self.position), _rotations([self]).as_matrix()[0], self.fov, width, height)


@dataclass(frozen=True)
class CameraPath:
    """Keyframes in order, and how to get from one to the next.

    Raises:
        ValueError: no keyframe or too many, or a value out of range.
    """

    keyframes: tuple[Keyframe, ...]
    loop: bool = False
    """Go on from the last keyframe to the first."""
    tension: float = 0.0
    """0: round curves; 1: straight from keyframe to keyframe."""
    constant_speed: bool = False
    """Divide the whole duration by the length of the way, so that the camera moves evenly. Turning and zooming count as
    well: half a turn takes at least as long as the way between two keyframes on average."""

    _spline: "_Spline | None" = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        keyframes = tuple(self.keyframes)
        if not 1 <= len(keyframes) <= MAX_KEYFRAMES:
            raise ValueError(f"a path needs 1 to {MAX_KEYFRAMES} keyframes, got {len(keyframes)}")
        if not all(isinstance(keyframe, Keyframe) for keyframe in keyframes):
            raise ValueError("keyframes must be of the type Keyframe")
        for name in ("loop", "constant_speed"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be true or false, got {getattr(self, name)!r}")
        tension = _floats((self.tension,), 1, "tension")[0]
        if not 0 <= tension <= 1:
            raise ValueError(f"tension must be 0 to 1, got {tension:g}")
        object.__setattr__(self, "keyframes", keyframes)
        object.__setattr__(self, "tension", tension)
        object.__setattr__(self, "_spline", _Spline(self) if len(keyframes) > 1 else None)

    @property
    def duration(self) -> float:
        """Seconds from the first keyframe to the last, in a loop back to the first; 0 for a single keyframe."""
        legs = self.keyframes if self.loop else self.keyframes[1:]
        return float(sum(keyframe.seconds for keyframe in legs)) if len(self.keyframes) > 1 else 0.0

    @property
    def times(self) -> list[float]:
        """When the camera is at each keyframe, in seconds from the start."""
        return [0.0] if self._spline is None else self._spline.times[: len(self.keyframes)].tolist()

    def at_speed(self, factor: float) -> "CameraPath":
        """The same path, flown `factor` times as fast."""
        if not factor > 0:
            raise ValueError(f"the speed must be positive, got {factor}")
        legs = [float(np.clip(k.seconds / factor, MIN_SECONDS, MAX_SECONDS)) for k in self.keyframes]
        return replace(self, keyframes=tuple(replace(k, seconds=s) for k, s in zip(self.keyframes, legs, strict=True)))

    def keyframe_at(self, seconds: Sequence[float] | Array | float) -> list[Keyframe]:
        """Where the camera is at times from the start; a loop repeats, another path stands still before and after."""
        times = np.atleast_1d(np.asarray(seconds, dtype=np.float64))
        if not np.isfinite(times).all():
            raise ValueError("times must be finite")
        positions, rotations, fovs = self._evaluate(times)
        positions = np.clip(positions, -MAX_COORDINATE, MAX_COORDINATE)
        quats = np.roll(rotations.as_quat(), 1, axis=1).tolist()
        return [
            Keyframe(tuple(p), tuple(q), f) for p, q, f in zip(positions.tolist(), quats, fovs.tolist(), strict=True)
        ]

    def frame_count(self, fps: float) -> int:
        """How many pictures `cameras` gives.

        Raises:
            ValueError: `fps` is not positive, or that would be more than MAX_FRAMES pictures.
        """
        if not 0 < fps < float("inf"):
            raise ValueError(f"fps must be positive, got {fps}")
        frames = self.duration * fps
        if frames > MAX_FRAMES:
            raise ValueError(
                f"{self.duration:g} s at {fps:g} pictures a second are more than {MAX_FRAMES:,} pictures; "
                "make the path shorter or lower the rate"
            )
        return max(1, round(frames)) if self.loop else round(frames) + 1

    def cameras(self, fps: float, width: int, height: int) -> list[Camera]:
        """A camera per picture. The first is at the first keyframe, the last at the last one; a loop leaves out the repeated
        first.

        Args:
            fps: pictures per second.
            width, height: of the pictures, in pixels. The field of view from top to bottom is the keyframes', whatever the
                width.

        Raises:
            ValueError: see `frame_count`.
        """
        count = self.frame_count(fps)
        times = np.arange(count) / max(1, count if self.loop else count - 1) * self.duration
        positions, rotations, fovs = self._evaluate(times)
        matrices = rotations.as_matrix()
        return [_camera(p, R, float(f), width, height) for p, R, f in zip(positions, matrices, fovs, strict=True)]

    def _evaluate(self, times: Array) -> tuple[Array, Rotation, Array]:
        if self._spline is not None:
            return self._spline.evaluate(times)
        only, count = self.keyframes[0], len(times)
        return np.tile(only.position, (count, 1)), _rotations([only] * count), np.full(count, only.fov)


class _Spline:
    """The curve of a path with two keyframes or more: knots u, tangents by u, and a map from time to u."""

    def __init__(self, path: CameraPath) -> None:
        count = len(path.keyframes)
        # A loop is unrolled with two keyframes more at both ends: the tangents of a knot need one neighbor, the pace two.
        pad = 2 if path.loop else 0
        order = np.arange(-pad, count + (pad + 1 if path.loop else 0)) % count
        keyframes = [path.keyframes[index] for index in order]
        self.period = path.duration if path.loop else None
        self.end = path.duration
        self.positions = np.array([keyframe.position for keyframe in keyframes])
        self.rotations = _rotations(keyframes)
        self.lenses = np.log(np.tan(np.radians([keyframe.fov for keyframe in keyframes]) / 2))
        moves = np.linalg.norm(np.diff(self.positions, axis=0), axis=1)
        real = slice(pad, len(moves) - pad)
        self.turn_radius = float(moves[real].mean()) / np.pi or 1.0  # world units for a radian
        gaps = np.sqrt(self._ways(self.positions, self.rotations, self.lenses))
        gaps = np.maximum(gaps, max(1e-3 * float(gaps.max()), 1e-9))  # a camera that waits needs a stretch of its own
        self.knots = np.concatenate([[0.0], np.cumsum(gaps)])
        round_off = 1 - path.tension
        self.tangents = round_off * _tangents(gaps, np.diff(self.positions, axis=0))
        self.spins = round_off * _tangents(gaps, (self.rotations[:-1].inv() * self.rotations[1:]).as_rotvec())
        self.lens_slopes = _monotone_slopes(gaps, np.diff(self.lenses))

        seconds = np.array([keyframe.seconds for keyframe in keyframes[1:]])
        self.progress = self.knots  # what time is mapped to: the spline's knots, or the length of the way
        self.lengths: Array | None = None
        if path.constant_speed:
            self.lengths = self._measure()
            self.progress = self.lengths[::SAMPLES]
            ways = np.maximum(np.diff(self.progress), 1e-9 * (float(self.progress[-1]) or 1.0))
            seconds = ways * (path.duration / ways[real].sum())
        at = np.concatenate([[0.0], np.cumsum(seconds)])
        self.times = at - at[pad]
        self.pace = _monotone_slopes(seconds, np.diff(self.progress))
        self.pace[[keyframe.ease for keyframe in keyframes]] = 0.0
        self.times = self.times[pad : len(at) - pad]
        self.pace, self.progress = self.pace[pad : len(at) - pad], self.progress[pad : len(at) - pad]

    def evaluate(self, times: Array) -> tuple[Array, Rotation, Array]:
        """Positions [T, 3], rotations and fields of view [T] in degrees."""
        times = np.mod(times, self.period) if self.period else np.clip(times, 0.0, self.end)
        stretch, fraction, gap = _locate(self.times, times)
        progress = _hermite(fraction, gap, self.progress, self.pace, stretch)
        if self.lengths is not None:
            places = np.interp(progress, self.lengths, np.arange(len(self.lengths)) / SAMPLES)
            whole = np.clip(places.astype(np.int64), 0, len(self.knots) - 2)
            progress = self.knots[whole] + (places - whole) * np.diff(self.knots)[whole]
        return self._at(progress)

    def _at(self, u: Array) -> tuple[Array, Rotation, Array]:
        stretch, fraction, gap = _locate(self.knots, u)
        positions = _hermite(fraction[:, None], gap[:, None], self.positions, self.tangents, stretch)
        lenses = _hermite(fraction, gap, self.lenses, self.lens_slopes, stretch)
        # A cubic Bezier curve of rotations in cumulative form; its end tangents are the spins.
        first = self.rotations[stretch]
        leave = Rotation.from_rotvec(self.spins[stretch] * gap[:, None] / 3)
        arrive = Rotation.from_rotvec(self.spins[stretch + 1] * gap[:, None] / 3)
        middle = leave.inv() * first.inv() * self.rotations[stretch + 1] * arrive.inv()
        weights = 1 - (1 - fraction) ** 3, fraction**2 * (3 - 2 * fraction), fraction**3
        rotations = first
        for part, weight in zip((leave, middle, arrive), weights, strict=True):
            rotations = rotations * Rotation.from_rotvec(part.as_rotvec() * weight[:, None])
        return positions, rotations, np.clip(np.degrees(2 * np.arctan(np.exp(lenses))), *FOV_RANGE)

    def _measure(self) -> Array:  # [stretches * SAMPLES + 1]
        """The way up to evenly spaced places of each stretch, in world units."""
        fractions = np.arange(SAMPLES) / SAMPLES
        gaps = np.diff(self.knots)
        u = np.append((self.knots[:-1, None] + fractions * gaps[:, None]).ravel(), self.knots[-1])
        positions, rotations, fovs = self._at(u)
        ways = self._ways(positions, rotations, np.log(np.tan(np.radians(fovs) / 2)))
        return np.concatenate([[0.0], np.cumsum(ways)])

    def _ways(self, positions: Array, rotations: Rotation, lenses: Array) -> Array:  # [K - 1] from [K, 3], [K] and [K]
        """How far it is from each view to the next, world units: by moving, turning or zooming, whichever is most."""
        moves = np.linalg.norm(np.diff(positions, axis=0), axis=1)
        turns = (rotations[:-1].inv() * rotations[1:]).magnitude()
        return np.maximum(moves, self.turn_radius * np.maximum(turns, np.abs(np.diff(lenses))))


def _locate(knots: Array, at: Array) -> tuple[NDArray[np.int64], Array, Array]:
    """The stretch of each place, the fraction of it that is done, and the stretch's length."""
    stretch = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
    gap = np.diff(knots)[stretch]
    return stretch, np.clip((at - knots[stretch]) / gap, 0.0, 1.0), gap


def _hermite(fraction: Array, gap: Array, values: Array, slopes: Array, stretch: NDArray[np.int64]) -> Array:
    """The cubic with given values and slopes at both ends of a stretch."""
    s, r = fraction, 1 - fraction
    ends = values[stretch] * r * r * (1 + 2 * s) + values[stretch + 1] * s * s * (1 + 2 * r)
    return ends + gap * s * r * (r * slopes[stretch] - s * slopes[stretch + 1])


def _tangents(gaps: Array, steps: Array) -> Array:  # [K, D] from [K-1] and [K-1, D]
    """Slopes of Catmull-Rom splines with uneven knots: of the parabola through three neighbors; at the ends that of the
    step, so that nothing swings out there."""
    slopes = steps / gaps[:, None]
    before, after = gaps[:-1, None], gaps[1:, None]
    inner = (slopes[:-1] * after + slopes[1:] * before) / (before + after)
    return np.concatenate([slopes[:1], inner, slopes[-1:]])


def _monotone_slopes(gaps: Array, steps: Array) -> Array:  # [K] from [K-1] and [K-1]
    """Slopes with which a Hermite spline goes between its values without overshooting: weighted harmonic means (Fritsch and
    Butland 1984), zero at turning points; at the ends those of the steps."""
    slopes = steps / gaps
    before, after = slopes[:-1], slopes[1:]
    w1, w2 = 2 * gaps[1:] + gaps[:-1], gaps[1:] + 2 * gaps[:-1]
    same = before * after > 0
    inner = np.zeros_like(before)
    inner[same] = (w1 + w2)[same] / (w1[same] / before[same] + w2[same] / after[same])
    return np.concatenate([slopes[:1], inner, slopes[-1:]])


def _rotations(keyframes: Sequence[Keyframe]) -> Rotation:
    return Rotation.from_quat(np.roll([keyframe.quaternion for keyframe in keyframes], -1, axis=1))


def _camera(position: Array, to_world: Array, fov: float, width: int, height: int) -> Camera:
    viewmat = np.eye(4)
    viewmat[:3, :3] = to_world.T
    viewmat[:3, 3] = -to_world.T @ position
    focal = height / (2 * np.tan(np.radians(fov) / 2))
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return Camera(torch.from_numpy(viewmat).float(), K.float(), width, height)


def _floats(values: object, count: int, name: str) -> tuple[float, ...]:
    """Finite numbers, whatever was given.

    Raises:
        ValueError: they are not.
    """
    wanted = f"{name} must be {'a number' if count == 1 else f'{count} numbers'}"
    if not isinstance(values, Sequence | np.ndarray) or isinstance(values, str) or len(values) != count:
        raise ValueError(f"{wanted}, got {str(values)[:60]}")
    found = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise ValueError(f"{wanted}, got {str(value)[:60]}")
        try:
            found.append(float(value))
        except OverflowError:
            raise ValueError(f"{wanted} that fit into double precision") from None
    if not np.isfinite(found).all():
        raise ValueError(f"{wanted}, finite, got {found}")
    return tuple(found)
