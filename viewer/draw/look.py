"""Look: how one browser wants the scenes drawn."""

from dataclasses import dataclass

MODES = {
    "color": "as photos show it",
    "depth": "near is light, far is dark",
    "normals": "which way surfaces face, seen from the camera",
    "alpha": "white where the scene is opaque",
    "overdraw": "how many Gaussians lie over a pixel: where drawing costs most",
    "centers": "a dot at the middle of every Gaussian",
    "ellipsoids": "Gaussians as solid bodies",
    "contribution": "how much each Gaussian adds to the photos; dark ones could go",
    "blame": "which Gaussians lie where the photos are missed most",
    "error": "where the render differs from the photo that is compared",
}
"""Ways to draw, and what they show."""

LAYOUTS = ("together", "side by side", "mix", "difference")
"""Ways to show several scenes."""

COMPARISONS = ("off", "wipe", "mix", "photo", "difference")
"""Ways to show a photo with the render."""

Box = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Lowest and highest corner in world coordinates."""


@dataclass(frozen=True)
class Look:
    """Everything that a browser's controls say about drawing."""

    mode: str = "color"
    sh_degree: int = 4
    opacity: float = 1.0  # factor
    scale: float = 1.0  # factor
    background: tuple[int, int, int] = (0, 0, 0)  # 0 to 255
    crop: Box | None = None  # draw only what is inside
    layout: str = "together"
    mix: float = 0.5  # fraction of the second scene where two are mixed
    comparison: str = "wipe"
    wipe: float = 0.5  # fraction of the photo's width, from the left, or of its weight, that is photo
    client_side: bool = False  # the browser draws
