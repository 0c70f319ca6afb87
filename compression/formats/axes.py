"""Which way the axes of a file point. Scenes here are as COLMAP makes them: x right, y down, z forward (RDF).

Other conventions differ by half a turn around an axis. Then positions, rotations and spherical harmonics only change signs.
"""

from splat.gaussians import Gaussians

RDF = (1, 1, 1)
"""Right, down, forward: .ply, compressed .ply, .splat, .ksplat, .sog."""
RUB = (1, -1, -1)
"""Right, up, back: .spz as specified."""
LUF = (-1, -1, 1)
"""Left, up, forward: glTF."""

FACTORS = (
    ("y", "z", "x"),
    ("xy", "yz", "", "xz", ""),
    ("y", "xyz", "y", "z", "x", "z", "x"),
    ("xy", "yz", "xy", "yz", "", "xz", "", "xz", ""),
)
"""For every spherical harmonic of degree 1 to 4, in the order of `sh_rest`: the axes in which it is odd."""


def turned(gaussians: Gaussians, signs: tuple[int, int, int]) -> Gaussians:
    """The same scene in axes multiplied by `signs`, of which none or two are negative. Its own inverse."""
    x, y, z = signs
    if x * y * z != 1:
        raise ValueError(f"signs {signs} mirror the scene; expected none or two negative ones")
    if signs == RDF:
        return gaussians
    means = gaussians.means
    flip = means.new_tensor(signs)
    quat = means.new_tensor([1, y * z, x * z, x * y])
    odd = dict(zip("xyz", signs, strict=True))
    rest = means.new_ones(gaussians.sh_rest.shape[1])
    for index, axes in enumerate([axes for degree in FACTORS for axes in degree][: len(rest)]):
        for axis in axes:
            rest[index] *= odd[axis]
    return Gaussians(
        means=means * flip,
        quats=gaussians.quats * quat,
        log_scales=gaussians.log_scales,
        logit_opacities=gaussians.logit_opacities,
        sh0=gaussians.sh0,
        sh_rest=gaussians.sh_rest * rest[:, None],
    )
