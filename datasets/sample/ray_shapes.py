"""Solid shapes of the sample scene, by signed distance: where a ray meets them, how much of a round light they hide.

All points and directions are [3, N] (a component is contiguous); distances are world units. Distance functions after
Quilez, "Distance functions" (2013), rays by sphere tracing (Hart 1996).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

Distance = Callable[[Tensor], Tensor]  # [3, N] in the shape's axes -> [N], negative inside

TRACE_STEPS = 72
TRACE_TOLERANCE = 2e-4
SHADOW_STEPS = 28


def dot(a: Tensor, b: Tensor) -> Tensor:  # [N]
    return (a * b).sum(0)


def length(a: Tensor) -> Tensor:  # [N]
    return dot(a, a).sqrt()


def unit(a: Tensor) -> Tensor:  # [3, N]
    return a / length(a).clamp_min(1e-12)


def ball(radius: float) -> Distance:
    return lambda p: length(p) - radius


def torus(ring: float, tube: float) -> Distance:
    """A ring of radius `ring` around the z axis, `tube` thick."""

    def distance(p: Tensor) -> Tensor:
        around = (p[0] * p[0] + p[1] * p[1]).sqrt() - ring
        return (around * around + p[2] * p[2]).sqrt() - tube

    return distance


def rounded_box(half: tuple[float, float, float], edge: float) -> Distance:
    """A box of half sizes `half` with edges rounded by a radius of `edge`."""
    inner = torch.tensor(half)[:, None] - edge

    def distance(p: Tensor) -> Tensor:
        q = p.abs() - inner
        return length(q.clamp_min(0)) + q.amax(0).clamp_max(0) - edge

    return distance


def rounded_cylinder(radius: float, half_height: float, edge: float) -> Distance:
    """A cylinder along the y axis."""

    def distance(p: Tensor) -> Tensor:
        across = (p[0] * p[0] + p[2] * p[2]).sqrt() - radius + edge
        along = p[1].abs() - half_height + edge
        outside = (across.clamp_min(0).square() + along.clamp_min(0).square()).sqrt()
        return outside + torch.maximum(across, along).clamp_max(0) - edge

    return distance


@dataclass(frozen=True)
class Shape:
    """A solid at a place in the world."""

    distance_at: Distance
    center: tuple[float, float, float]
    bound: float  # radius of a sphere around the center that holds all of it
    yaw: float = 0.0  # degrees about the vertical
    is_ball: bool = False
    rotation: Tensor = field(init=False)  # [3, 3] world to the shape's axes

    def __post_init__(self) -> None:
        c, s = math.cos(math.radians(self.yaw)), math.sin(math.radians(self.yaw))
        object.__setattr__(self, "rotation", torch.tensor([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]]))

    @property
    def middle(self) -> Tensor:  # [3, 1]
        return torch.tensor(self.center)[:, None]

    def local(self, points: Tensor) -> Tensor:  # [3, N]
        return self.rotation @ (points - self.middle)

    def distance(self, points: Tensor) -> Tensor:  # [N]
        return self.distance_at(self.local(points))

    def normal(self, points: Tensor) -> Tensor:  # [3, N]
        """Outward unit normal at points of the surface: the distance's gradient by differences over a tetrahedron."""
        if self.is_ball:
            return unit(points - self.middle)
        corners = torch.tensor([[1.0, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]])
        total = torch.zeros_like(points)
        for corner in corners[:, :, None]:
            total += corner * self.distance(points + 1e-3 * corner)
        return unit(total)

    def hit(self, origins: Tensor, directions: Tensor) -> Tensor:  # [N], infinite where missed
        """Distance along each ray (unit directions) to the surface, from outside."""
        toward = self.middle - origins
        along = dot(toward, directions)
        half_chord2 = self.bound**2 - (dot(toward, toward) - along * along)
        half_chord = half_chord2.clamp_min(0).sqrt()
        result = torch.full_like(along, math.inf)
        if self.is_ball:
            near = along - half_chord
            return torch.where((half_chord2 > 0) & (near > 1e-3), near, result)
        rays = ((half_chord2 > 0) & (along + half_chord > 1e-3)).nonzero()[:, 0]
        start, end = (along - half_chord)[rays].clamp_min(0), (along + half_chord)[rays]
        o, d = self.rotation @ (origins[:, rays] - self.middle), self.rotation @ directions[:, rays]
        for step in range(TRACE_STEPS):
            gap = self.distance_at(o + start * d)
            arrived = gap < TRACE_TOLERANCE
            if step % 4 == 3 or step == TRACE_STEPS - 1:
                result[rays[arrived]] = start[arrived]
                going = ~arrived & (start < end)
                if not going.any():
                    break
                rays, start, end, gap = rays[going], start[going], end[going], gap[going]
                o, d = o[:, going], d[:, going]
            start = start + gap.clamp_min(0)
        return result

    def shadow(self, points: Tensor, light: Tensor, light_radius: float) -> Tensor:  # [N]
        """Fraction of a distant round light that is seen past this solid, 0 to 1.

        Args:
            light: [3, 1] unit direction to the light's middle.
            light_radius: its angular radius (radians); the light's edge is treated as straight where it is cut.
        """
        toward = self.middle - points
        along = dot(toward, light.expand_as(points))
        aside = (dot(toward, toward) - along * along).clamp_min(0).sqrt()
        gap = torch.where(along > 0, (aside - self.bound) / (light_radius * along.clamp_min(1e-4)), math.inf)
        if self.is_ball:
            return seen_fraction(gap)
        result = torch.ones_like(along)
        inside = length(toward) < self.bound + light_radius
        which = ((gap < 1) | inside).nonzero()[:, 0]
        if not len(which):
            return result
        o, d = self.local(points[:, which]), self.rotation @ light
        end = along[which] + self.bound
        t = torch.full_like(end, 0.01)
        closest = torch.ones_like(end)
        for _ in range(SHADOW_STEPS):
            distance = self.distance_at(o + t * d)
            closest = torch.where(t < end, torch.minimum(closest, distance / (light_radius * t)), closest)
            t = t + distance.abs().clamp(0.012, 0.4)
        result[which] = seen_fraction(closest)
        return result


def seen_fraction(gap: Tensor) -> Tensor:
    """Seen fraction of a disc of radius 1 cut by a straight edge at `gap` from its middle (a cubic fit, within 0.5 %)."""
    x = gap.clamp(-1, 1)
    return 0.25 * (1 + x).square() * (2 - x)
