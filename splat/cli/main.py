"""`splat VERB`: a table of verbs. Each folder owns its verbs; a verb's folder is imported only when it is called.

Exit status: 0 done, 1 a file or flag cannot be used (or a bug), 2 the command line was not understood, 130 Ctrl-C.
"""

import difflib
import errno
import importlib
import inspect
import os
import sys
import traceback
import typing
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import docstring_parser
import tyro

from splat import __version__
from splat.cuda_rasterizer.native import NativeModuleError
from splat.errors import InputError


@dataclass(frozen=True)
class Verb:
    """Where a verb is implemented, and what it does in one line."""

    target: str  # "module:function"; the function takes one dataclass, whose fields become the flags
    help: str


VERBS = {
    "photos": Verb(
        "splat.datasets.commands.commands:photos", "find out where photos or a video were taken from, to train on them"
    ),
    "train": Verb("splat.training.commands.commands:train", "optimise Gaussians to match the photos of a capture"),
    "eval": Verb("splat.training.commands.commands:eval", "measure a trained scene against the photos it has not seen"),
    "render": Verb(
        "splat.training.commands.commands:render", "draw a scene along cameras or an orbit, to pictures or a video"
    ),
    "compare": Verb("splat.training.commands.commands:compare", "put runs side by side in one page"),
    "mesh": Verb("splat.training.commands.commands:mesh", "make a coloured triangle mesh of a scene"),
    "retouch": Verb(
        "splat.training.commands.commands:retouch", "carry a change of colours in one picture over to the scene"
    ),
    "view": Verb(
        "splat.viewer.commands.view:view", "look at scenes in the browser, compare them with their photos, edit them"
    ),
    "compress": Verb("splat.training.commands.compress:compress", "make a scene small, and say what it costs"),
    "convert": Verb("splat.compression.commands.commands:convert", "write a scene in another file format"),
    "verify": Verb("splat.compression.commands.commands:verify", "check a scene's file of any format"),
    "share": Verb("splat.viewer.commands.share:share", "put a scene and a viewer into one HTML file"),
    "sample": Verb("splat.datasets.commands.commands:sample", "make a small ray-traced capture to try everything on"),
    "info": Verb("splat.cli.commands:info", "say what a scene, a run or a capture contains"),
    "doctor": Verb("splat.cli.commands:doctor", "say what this installation can do, and what it lacks"),
}

LIVE_VIEWER = "splat.viewer.live:LiveTraining"
"""What `splat train --view` shows a run with. Training finds it by this name and imports nothing of it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit. `SPLAT_DEBUG=1` shows the traceback behind every error message.

    Args:
        arguments: what follows the program's name; those of this process unless given.
    """
    debug = os.environ.get("SPLAT_DEBUG", "") not in ("", "0")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except KeyboardInterrupt:
        if debug:
            raise
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or flushing at exit would fail again
        sys.exit(1)
    except Exception as error:
        message = explain(error)
        if debug or message is None:
            traceback.print_exc()
        if message is None:
            message = (
                f"{type(error).__name__}: {error}\nThis is not your mistake but one in splat; please report the above."
            )
        print(f"error: {message}", file=sys.stderr)
        sys.exit(1)


def run(arguments: list[str]) -> None:
    """Find the verb, parse its options, call it.

    Raises:
        SystemExit: after help or the version was printed (0), or when the command line was not understood (2).
    """
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help", "help"):
        print(overview())
        return
    if name in ("-V", "--version", "version"):
        print(f"splat {__version__}")
        return
    if name not in VERBS:
        nearest = difflib.get_close_matches(name, VERBS, n=1)
        hint = f"Did you mean `splat {nearest[0]}`?" if nearest else "`splat --help` lists the verbs."
        print(f"error: there is no `splat {name}`. {hint}", file=sys.stderr)
        sys.exit(2)
    function = find(VERBS[name].target)
    options_type = next(iter(typing.get_type_hints(function).values()))
    options = tyro.cli(
        options_type,
        prog=f"splat {name}",
        description=inspect.getdoc(function),
        args=arguments[1:],
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    function(options)


def parse_help(kind: Any, parse: Callable[[Any], Any] = docstring_parser.parse_from_object) -> Any:
    """What tyro reads the explanations of flags with. It would keep the line breaks of the source in the help."""
    found = parse(kind)
    for flag in found.params:
        flag.description = " ".join((flag.description or "").split()) or None
    return found


setattr(docstring_parser, "parse_from_object", parse_help)  # noqa: B010 (the types of the two differ)


def find(target: str) -> Callable[..., Any]:
    """Import `module:function`."""
    module, _, attribute = target.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return function


def overview() -> str:
    """What `splat --help` prints."""
    width = max(len(name) for name in VERBS)
    lines = [f"  {name:<{width}}  {verb.help}" for name, verb in VERBS.items()]
    return "\n".join(
        [
            f"splat {__version__}: from photos to a 3D scene of Gaussians",
            "",
            "usage: splat VERB ...",
            "",
            *lines,
            "",
            "`splat VERB --help` explains a verb's options.",
            "First steps: `splat sample capture`, then `splat train capture -o run --eval`.",
        ]
    )


def explain(error: Exception) -> str | None:
    """The message for an error that is not a bug: what happened and what to do. None for a bug."""
    if isinstance(error, InputError | NativeModuleError):
        return str(error)
    if isinstance(error, MemoryError):
        return "memory ran out. Use smaller images (-r 2, --max-size) or fewer Gaussians (--budget)."
    if isinstance(error, OSError):
        where = f" {error.filename}" if error.filename else ""
        match error.errno:
            case errno.ENOSPC | errno.EDQUOT:
                return f"the disk is full while writing{where}. Free space or choose another folder; older files are unharmed."
            case errno.EACCES | errno.EPERM | errno.EROFS:
                return f"not allowed to use{where} ({error.strerror}). Change its permissions or choose another folder."
            case errno.ENOENT | errno.ENOTDIR | errno.EISDIR | errno.EEXIST | errno.ENAMETOOLONG:
                return f"cannot use{where}: {error.strerror}. Check the path."
    return None


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Warnings as plain lines: their place in the source says nothing to a user."""
    print(f"warning: {message}", file=file or sys.stderr)


if __name__ == "__main__":
    main()
