"""SceneSlot: one scene that the viewer shows, and what is hidden or selected of it."""

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from splat.gaussians import Gaussians
from splat.geometry.georeference import Georeference
from splat.geometry.similarity import Similarity
from splat.settings import RenderSettings


@dataclass
class SceneSlot:
    """A scene in the viewer.

    Tensors are never changed in place: whoever changes one puts another in its place and calls `Viewer.refresh`, so that a
    picture that is being drawn stays whole.
    """

    name: str
    gaussians: Gaussians  # detached
    path: Path | None = None  # what was opened: a file or the folder of a run
    file: Path | None = None  # the file that was read
    visible: bool = True
    hidden: Tensor | None = None  # [N] bool: kept, not drawn
    selected: Tensor | None = None  # [N] bool: drawn in the color of the selection
    transform: Similarity = field(default_factory=Similarity.identity)  # from the scene to the world
    settings: RenderSettings = field(default_factory=RenderSettings)  # how it is drawn as it was trained
    georeference: Georeference | None = None  # where its coordinates lie in its capture's, where that is known
    version: int = 0  # counts changes of the Gaussians

    def replace(self, gaussians: Gaussians) -> None:
        """Show other Gaussians. What was hidden or selected is forgotten where the number of Gaussians changed."""
        if len(gaussians) != len(self.gaussians):
            self.hidden = self.selected = None
        self.gaussians = gaussians.detach()
        self.version += 1
