"""The table of verbs. Each folder owns its verbs, one file a verb; that file is imported only when the verb is called."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Verb:
    """Where a verb is implemented, and what it does in one line."""

    target: str  # "module:function"; the function takes one dataclass, whose fields become the flags
    help: str


VERBS = {
    "photos": Verb(
        "splat.datasets.commands.photos:photos", "find out where photos or a video were taken from, to train on them"
    ),
    "train": Verb("splat.training.commands.train:train", "optimize Gaussians to match the photos of a capture"),
    "eval": Verb("splat.training.commands.eval:eval", "measure a trained scene against the photos it has not seen"),
    "render": Verb(
        "splat.training.commands.render:render", "draw a scene along cameras or an orbit, to pictures or a video"
    ),
    "compare": Verb("splat.training.commands.compare:compare", "put runs side by side in one page"),
    "mesh": Verb("splat.training.commands.mesh:mesh", "make a colored triangle mesh of a scene"),
    "retouch": Verb(
        "splat.training.commands.retouch:retouch", "carry a change of colors in one picture over to the scene"
    ),
    "view": Verb(
        "splat.viewer.commands.view:view", "look at scenes in the browser, compare them with their photos, edit them"
    ),
    "compress": Verb("splat.training.commands.compress:compress", "make a scene small, and say what it costs"),
    "convert": Verb("splat.compression.commands.convert:convert", "write a scene in another file format"),
    "verify": Verb("splat.compression.commands.verify:verify", "check a scene's file of any format"),
    "share": Verb("splat.viewer.commands.share:share", "put a scene and a viewer into one HTML file"),
    "sample": Verb("splat.datasets.commands.sample:sample", "make a small ray-traced capture to try everything on"),
    "info": Verb("splat.cli.info:info", "say what a scene or a run contains, or check a capture before training"),
    "doctor": Verb("splat.cli.doctor:doctor", "say what this installation can do, and what it lacks"),
}
