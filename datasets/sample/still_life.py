"""The sample scene: a still life on a tiled floor under an evening sky. What is where, and its colors.

World axes are those COLMAP worlds mostly have: x right, y down, z forward; the floor is y = 0 and up is -y. Units may be
read as meters. Colors are linear light.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from splat.datasets.sample.ray_shapes import Shape, ball, dot, rounded_box, rounded_cylinder, torus

Texture = Callable[[Tensor], Tensor]  # [3, N] in the shape's axes -> [3, N] albedo

SKY_RADIUS = 16.0
"""The sky is a sphere of this radius, so that everything in a picture has a finite place."""

TILE = 0.42
FLOOR_RADIUS = 2.75
"""Size of a patterned tile, and radius of the round floor made of them."""


def rgb(*levels: float) -> Tensor:  # [3, 1]
    return torch.tensor(levels)[:, None]


def mix(a: Tensor, b: Tensor, fraction: Tensor) -> Tensor:
    return a + (b - a) * fraction


def step(edge: float, x: Tensor, width: Tensor | float) -> Tensor:
    """0 below the edge, 1 above, with a ramp `width` wide: the texture seen through a pixel of that size."""
    return ((x - edge) / width + 0.5).clamp(0, 1)


def chance(a: Tensor, b: Tensor, salt: float = 0.0) -> Tensor:
    """A fixed pseudo-random number from 0 to 1 for each pair of whole numbers."""
    value = torch.sin(a * 12.9898 + b * 78.233 + salt * 37.719) * 43758.547
    return value - value.floor()


def noise(u: Tensor, v: Tensor, salt: float = 0.0) -> Tensor:
    """Smooth value noise, 0 to 1, with a feature size of 1."""
    a, b = u.floor(), v.floor()
    s, t = u - a, v - b
    s, t = s * s * (3 - 2 * s), t * t * (3 - 2 * t)
    low = chance(a, b, salt) * (1 - s) + chance(a + 1, b, salt) * s
    high = chance(a, b + 1, salt) * (1 - s) + chance(a + 1, b + 1, salt) * s
    return low * (1 - t) + high * t


def floor_albedo(x: Tensor, z: Tensor, pixel: Tensor) -> Tensor:  # [3, N]
    """Truchet tiles (quarter arcs, each tile turned at random; Smith 1987) inside a border, fine terrazzo outside.

    Args:
        x, z: [N] place on the floor.
        pixel: [N] size of a pixel on the floor, which the pattern is averaged over.
    """
    radius = (x * x + z * z).sqrt()
    soft = (1.5 * pixel).clamp_min(1e-3)
    # Terrazzo: a chip of random size, place and color in each cell.
    ground = rgb(0.56, 0.50, 0.43) * (0.88 + 0.2 * noise(1.7 * x, 1.7 * z))
    for cell, salt in ((0.16, 1.0), (0.11, 2.0)):
        u, v = x / cell + salt * 0.37, z / cell + salt * 0.71
        a, b = u.floor(), v.floor()
        du, dv = u - a - 0.3 - 0.4 * chance(a, b, salt), v - b - 0.3 - 0.4 * chance(a, b, salt + 3)
        chip = 0.08 + 0.20 * chance(a, b, salt + 5)
        kind = chance(a, b, salt + 7)
        dark = torch.where(kind < 0.4, rgb(0.23, 0.12, 0.08), rgb(0.12, 0.19, 0.22))
        color = torch.where(kind < 0.7, dark, rgb(0.80, 0.75, 0.66))
        fraction = (0.3 * cell / pixel).clamp_max(
            1
        )  # far away the chips are finer than a pixel and blend into the ground
        ground = mix(ground, mix(color, ground, step(0, (du * du + dv * dv).sqrt() - chip, soft / cell)), fraction)
    # Tiles.
    u, v = x / TILE, z / TILE
    a, b = u.floor(), v.floor()
    s, t = u - a, v - b
    s = torch.where(chance(a, b) < 0.5, s, 1 - s)
    width = soft / TILE
    arc = torch.minimum(
        ((s * s + t * t).sqrt() - 0.5).abs(), (((1 - s).square() + (1 - t).square()).sqrt() - 0.5).abs()
    )
    tone = 0.86 + 0.28 * chance(a, b, 11.0)
    glaze = 0.92 + 0.16 * noise(9 * u, 9 * v, 4.0)
    tiles = mix(rgb(0.82, 0.74, 0.60), rgb(0.035, 0.105, 0.23), step(0.20, arc, width))
    tiles = mix(rgb(0.60, 0.17, 0.065), tiles, step(0.055, arc, width))
    tiles = tiles * tone * glaze
    joint = torch.minimum(torch.minimum(s, 1 - s), torch.minimum(t, 1 - t))
    tiles = mix(rgb(0.34, 0.31, 0.27), tiles, step(0.016, joint, width))
    # Border: a ring of wedges of two colors.
    wedge = torch.sin(torch.atan2(z, x) * 48)
    ring = mix(rgb(0.55, 0.15, 0.06), rgb(0.80, 0.70, 0.52), step(0, wedge, 24 * soft / FLOOR_RADIUS))
    ring = mix(rgb(0.03, 0.07, 0.13), ring, step(0, 0.09 - (radius - FLOOR_RADIUS - 0.14).abs(), soft))
    inside = mix(ring, tiles, step(0, FLOOR_RADIUS - radius, soft))
    return mix(ground, inside, step(0, FLOOR_RADIUS + 0.28 - radius, soft))


def sky(directions: Tensor) -> Tensor:  # [3, N]
    """Light from the sky: warm at the horizon, blue above, brighter on the sun's side."""
    up = -directions[1]
    height = up.clamp(0, 1).pow(0.45)
    color = mix(rgb(1.10, 0.72, 0.50), rgb(0.13, 0.32, 0.72), height)
    glow = (dot(directions, SUN.expand_as(directions)).clamp(0, 1)).pow(6)
    return color + rgb(0.42, 0.24, 0.10) * glow


SUN = torch.nn.functional.normalize(torch.tensor([-0.80, -0.74, -0.22]), dim=0)[:, None]
"""Direction to the middle of the sun, [3, 1]."""
SUN_RADIUS = 0.085
"""Its angular radius in radians: eighteen times the real one, a soft box rather than a sun."""
SUN_COLOR = rgb(3.30, 2.72, 2.00)


@dataclass(frozen=True)
class Object:
    """A shape and how it reflects light: a colored matt base under a clear coat, or metal."""

    shape: Shape
    texture: Texture
    coat: float = 0.0  # fraction of light that the coat reflects at normal incidence
    metal: bool = False  # reflections take the color of the base, and there is no matt part


def plain(*color: float) -> Texture:
    tone = rgb(*color)
    return lambda p: tone.expand(3, p.shape[1])


def candy_stripes(ring: float) -> Texture:
    """Stripes that wind around a torus about the z axis."""

    def texture(p: Tensor) -> Tensor:
        around = torch.atan2(p[1], p[0])
        tube = torch.atan2(p[2], (p[0] * p[0] + p[1] * p[1]).sqrt() - ring)
        wave = torch.sin(9 * around + 2 * tube)
        color = mix(rgb(0.86, 0.80, 0.70), rgb(0.80, 0.36, 0.03), step(-0.25, wave, 0.10))
        return mix(color, rgb(0.55, 0.12, 0.03), step(0.86, wave, 0.10))

    return texture


def spots(radius: float, count: int) -> Texture:
    """Round spots, evenly spread over a ball by a Fibonacci lattice."""
    index = torch.arange(count) + 0.5
    height, turn = 1 - 2 * index / count, math.pi * (1 + 5**0.5) * index
    flat = (1 - height * height).sqrt()
    directions = torch.stack([flat * turn.cos(), height, flat * turn.sin()], dim=1)  # [count, 3]

    def texture(p: Tensor) -> Tensor:
        nearest = (directions @ (p / radius)).amax(0).clamp(-1, 1).arccos() * math.sqrt(count)
        color = mix(rgb(0.78, 0.15, 0.12), rgb(0.86, 0.81, 0.73), step(0.98, nearest, 0.08))
        return mix(rgb(0.86, 0.81, 0.73), color, step(0.55, nearest, 0.08))

    return texture


def weave(p: Tensor) -> Tensor:
    """A teal checked cloth, each face by its own two coordinates."""
    scaled = p / 0.15
    lines = torch.sin(math.pi * scaled)
    broad = step(0, lines[0], 0.15) + step(0, lines[1], 0.15) + step(0, lines[2], 0.15)
    color = mix(rgb(0.030, 0.20, 0.215), rgb(0.10, 0.42, 0.40), (broad / 3).clamp(0, 1))
    thread = (scaled - scaled.round()).abs().amin(0)
    return mix(rgb(0.72, 0.62, 0.42), color, step(0.035, thread, 0.03))


def marble(p: Tensor) -> Tensor:
    """White stone with gray and ochre veins."""
    bend = noise(2.3 * p[0] + 5 * p[1], 2.3 * p[2] - 3 * p[1], 1.0) + 0.5 * noise(6 * p[0], 6 * p[2] + 7 * p[1], 2.0)
    vein = torch.sin(7 * p[1] + 4 * p[0] + 9 * bend).abs()
    color = mix(rgb(0.36, 0.33, 0.31), rgb(0.83, 0.79, 0.73), step(0.16, vein, 0.34))
    return mix(rgb(0.62, 0.45, 0.26), color, step(0.07, (vein - 0.62).abs(), 0.08))


def on_floor(radius: float, x: float, z: float, texture: Texture, *, coat: float = 0.05) -> Object:
    return Object(Shape(ball(radius), (x, -radius, z), radius, is_ball=True), texture, coat)


OBJECTS = (
    # A polished copper ball on a marble drum.
    Object(Shape(ball(0.52), (0.30, -1.07, 0.35), 0.52, is_ball=True), plain(0.93, 0.55, 0.38), coat=0.80, metal=True),
    Object(Shape(rounded_cylinder(0.50, 0.275, 0.035), (0.30, -0.275, 0.35), 0.58), marble, coat=0.03),
    # A candy ring on edge, a cloth-covered box, a spotted ball.
    Object(Shape(torus(0.44, 0.155), (-0.98, -0.595, 0.42), 0.60, yaw=-32), candy_stripes(0.44), coat=0.05),
    Object(Shape(rounded_box((0.36, 0.36, 0.36), 0.05), (1.28, -0.36, -0.42), 0.60, yaw=27), weave),
    on_floor(0.40, -0.30, -0.62, spots(0.40, 26)),
    # Marbles strewn about.
    on_floor(0.15, 0.42, -0.98, plain(0.75, 0.42, 0.02), coat=0.08),
    on_floor(0.12, 0.72, -0.72, plain(0.02, 0.30, 0.10), coat=0.08),
    on_floor(0.17, -1.12, -0.72, plain(0.06, 0.10, 0.42), coat=0.08),
    on_floor(0.11, -0.82, -1.12, plain(0.62, 0.05, 0.22), coat=0.08),
    on_floor(0.20, 1.30, 0.72, plain(0.42, 0.06, 0.30), coat=0.08),
    on_floor(0.13, -0.35, 1.32, plain(0.80, 0.30, 0.05), coat=0.08),
    on_floor(0.16, 0.38, 1.30, plain(0.04, 0.36, 0.42), coat=0.08),
)
