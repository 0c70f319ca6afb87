"""Photographs the sample scene: primary rays, soft shadows, ambient occlusion, one reflection, supersampling.

There is no random number in it: shadows are computed from how far a solid reaches over the light, so pictures have no
grain and a point on a matt surface has one color in all of them.
"""

import math

import torch
from torch import Tensor

from splat.cameras import Camera
from splat.datasets.sample.ray_shapes import dot, length, unit
from splat.datasets.sample.still_life import (
    OBJECTS,
    SKY_RADIUS,
    SUN,
    SUN_COLOR,
    SUN_RADIUS,
    Object,
    floor_albedo,
    mix,
    rgb,
    sky,
)

FLOOR = len(OBJECTS)
SKY = FLOOR + 1
"""What a ray met: the index of an object, or one of these."""

OCCLUSION_REACH = 0.5
"""Solids farther than this from a point do not darken it."""

CHUNK = 1 << 16
"""Rays traced at once: their numbers stay in the processor's cache."""


def trace(origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """First thing that each ray meets.

    Args:
        origins, directions: [3, N], directions of length 1.

    Returns:
        distances [N], always finite; and what was met, [N] int64: index into OBJECTS, FLOOR or SKY.
    """
    along = dot(origins, directions)
    nearest = -along + (along * along - dot(origins, origins) + SKY_RADIUS**2).clamp_min(0).sqrt()
    met = torch.full(nearest.shape, SKY)
    floor = -origins[1] / directions[1]
    floor = torch.where((directions[1] > 0) & (floor > 1e-4), floor, math.inf)
    met = torch.where(floor < nearest, FLOOR, met)
    nearest = torch.minimum(nearest, floor)
    for index, item in enumerate(OBJECTS):
        reached = item.shape.hit(origins, directions)
        met = torch.where(reached < nearest, index, met)
        nearest = torch.minimum(nearest, reached)
    return nearest, met


def radiance(origins: Tensor, directions: Tensor, pixel: float, *, reflect: bool = True) -> Tensor:  # [3, N]
    """Linear light that arrives along each ray.

    Args:
        pixel: angle of a pixel in radians, which textures are averaged over.
        reflect: whether to follow reflections; a reflection of a reflection shows the sky.
    """
    depth, met = trace(origins, directions)
    light = sky(directions)
    solid = (met != SKY).nonzero()[:, 0]
    if not len(solid):
        return light
    met, view, depth = met[solid], directions[:, solid], depth[solid]
    points = origins[:, solid] + depth * view
    normals = rgb(0.0, -1.0, 0.0).repeat(1, len(solid))
    albedo = torch.empty_like(points)
    coat = torch.full_like(depth, 0.02)
    metal = torch.zeros_like(depth)
    for index, item in enumerate(OBJECTS):
        mine = (met == index).nonzero()[:, 0]
        if len(mine):
            normals[:, mine] = item.shape.normal(points[:, mine])
            albedo[:, mine] = item.texture(item.shape.local(points[:, mine]))
            coat[mine], metal[mine] = item.coat, float(item.metal)
    mine = (met == FLOOR).nonzero()[:, 0]
    if len(mine):
        place = points[:, mine]
        # A pixel covers more floor the flatter the view; the mean of its two axes is between blur and glitter.
        size = pixel * depth[mine] / view[1, mine].clamp_min(0.08).sqrt()
        albedo[:, mine] = floor_albedo(place[0], place[2], size)
    shade = albedo * (1 - metal) * irradiance(points, normals, met)
    facing = -dot(normals, view).clamp(-1, 0)
    fresnel = coat + (1 - coat) * (1 - facing).pow(5)
    shiny = (coat >= 0.03).nonzero()[:, 0] if reflect else torch.zeros(0, dtype=torch.int64)
    mirrored = sky(view) * metal  # what is not followed: a plain sky
    if len(shiny):
        normal, incoming = normals[:, shiny], view[:, shiny]
        outgoing = unit(incoming - 2 * dot(incoming, normal) * normal)
        seen = radiance(points[:, shiny] + 2e-3 * normal, outgoing, 3 * pixel, reflect=False)
        # The sun itself, blurred a little as by a polish that is not perfect; where the sun is hidden, not seen.
        offset = (dot(outgoing, SUN.expand_as(outgoing)).clamp(-1, 1)).arccos() / SUN_RADIUS
        spot = torch.exp(-(offset.clamp_max(6).pow(4))) * visible_sun(points[:, shiny], normal)
        mirrored[:, shiny] = seen + 6 * SUN_COLOR * spot
        fraction = fresnel[shiny]
        tint = mix(torch.ones_like(seen), albedo[:, shiny], metal[shiny])
        shade[:, shiny] = shade[:, shiny] * (1 - fraction) + mirrored[:, shiny] * tint * fraction
    else:
        shade = shade + mirrored * albedo
    # Haze: the floor runs into the sky at the horizon without an edge.
    flat = length(points[::2])
    haze = ((flat - 5.0) / (0.8 * SKY_RADIUS - 5.0)).clamp(0, 1).square() * (met == FLOOR)
    light[:, solid] = mix(shade, light[:, solid], haze)
    return light


def irradiance(points: Tensor, normals: Tensor, met: Tensor) -> Tensor:  # [3, N]
    """Light that a matt surface collects, over pi: the sun, the sky, and what the floor throws back."""
    facing = dot(normals, SUN.expand_as(normals)).clamp_min(0)
    sun = torch.zeros_like(facing)
    lit = (facing > 0).nonzero()[:, 0]
    sun[lit] = facing[lit] * visible_sun(points[:, lit], normals[:, lit])
    upward = 0.5 - 0.5 * normals[1]
    ambient = mix(rgb(0.26, 0.18, 0.13), rgb(0.32, 0.40, 0.58), upward)
    return SUN_COLOR * sun + ambient * openness(points, normals)


def visible_sun(points: Tensor, normals: Tensor) -> Tensor:  # [N]
    """Fraction of the sun that is seen from points of a surface, 0 to 1."""
    above = points + 4e-3 * normals
    fraction = torch.ones_like(points[0])
    for item in OBJECTS:
        fraction = fraction * _others_shadow(item, above)
    return fraction


def _others_shadow(item: Object, points: Tensor) -> Tensor:
    shadow = item.shape.shadow(points, SUN, SUN_RADIUS)
    if not item.shape.is_ball:
        return shadow
    # A ball does not shade itself: where it is turned away from the sun it is dark by its normal already.
    own = length(points - item.shape.middle) < item.shape.bound + 6e-3
    return torch.where(own, 1.0, shadow)


def openness(points: Tensor, normals: Tensor) -> Tensor:  # [N]
    """Fraction of the surroundings that is open, from the distances a little way off the surface (Quilez 2008)."""
    blocked = torch.zeros_like(points[0])
    reaches, weights = (0.05, 0.16, OCCLUSION_REACH), (0.40, 0.34, 0.26)
    nearest = [(-(points[1] + reach * normals[1])).clamp_max(reach) for reach in reaches]
    for item in OBJECTS:
        near = (length(points - item.shape.middle) < item.shape.bound + 2 * OCCLUSION_REACH).nonzero()[:, 0]
        if not len(near):
            continue
        place, normal = points[:, near], normals[:, near]
        for level, reach in enumerate(reaches):
            gap = item.shape.distance(place + reach * normal)
            nearest[level][near] = torch.minimum(nearest[level][near], gap)
    for gap, reach, weight in zip(nearest, reaches, weights, strict=True):
        blocked += weight * ((reach - gap) / reach).clamp(0, 1)
    return (1 - 0.92 * blocked).clamp_min(0)


def developed(light: Tensor) -> Tensor:
    """Linear light to sRGB, 0 to 1: a film curve (Hable 2010, his constants) that keeps highlights, then gamma."""

    def curve(x: Tensor) -> Tensor:
        return ((x * (0.15 * x + 0.05) + 0.004) / (x * (0.15 * x + 0.50) + 0.06)) - 0.02 / 0.30

    gray = light.mean(0, keepdim=True)
    x = (curve(1.9 * (gray + 1.12 * (light - gray)).clamp_min(0)) / curve(light.new_tensor(5.5))).clamp(0, 1)
    x = x * x * (0.30 * (3 - 2 * x)) + 0.70 * x  # a little more contrast
    return torch.where(x <= 0.0031308, 12.92 * x, 1.055 * x.clamp_min(1e-6).pow(1 / 2.4) - 0.055)


def rays(camera: Camera, columns: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Origins and unit directions, [3, N], of the rays through image positions (pixels, the first center is at 0.5)."""
    K, rotation = camera.K, camera.viewmat[:3, :3]
    local = torch.stack([(columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1], torch.ones_like(columns)])
    directions = unit(rotation.T @ local)
    return camera.position[:, None].expand_as(directions).contiguous(), directions


def photograph(camera: Camera, samples: int = 3) -> Tensor:  # [H, W, 3] uint8
    """A picture of the scene.

    Args:
        camera: a single one.
        samples: rays per pixel and axis.
    """
    total = camera.width * camera.height
    offsets = (torch.arange(samples) + 0.5) / samples
    dy, dx = torch.meshgrid(offsets, offsets, indexing="ij")
    pixel = 1.0 / float(camera.K[0, 0])
    picture = torch.empty(total, 3)
    chunk = max(1, CHUNK // samples**2)
    for start in range(0, total, chunk):
        index = torch.arange(start, min(start + chunk, total))
        columns = ((index % camera.width)[:, None] + dx.flatten()).flatten()
        rows = ((index // camera.width)[:, None] + dy.flatten()).flatten()
        light = radiance(*rays(camera, columns, rows), pixel / samples)
        # Develop before averaging: a highlight's edge then is as smooth as any other.
        picture[index] = developed(light).reshape(3, -1, samples**2).mean(2).T
    return (picture * 255).round().to(torch.uint8).reshape(camera.height, camera.width, 3)
