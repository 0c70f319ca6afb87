"""`splat VERB`: parses the command line, calls the verb (verbs.py), and turns errors into messages.

Exit status: 0 done, 1 a file or flag cannot be used (or a bug), 2 the command line was not understood, 130 ended by Ctrl-C
(or by the viewer's Stop), 143 by SIGTERM, 129 by SIGHUP: 128 and the number of the signal.
"""

import difflib
import errno
import inspect
import io
import os
import sys
import traceback
import typing
import warnings
from collections.abc import Sequence
from typing import TextIO

from splat.cli.old_spellings import renewed
from splat.cli.signals import CTRL_C, ending, fall_silent, leave, say
from splat.cli.verbs import VERBS
from splat.cuda_rasterizer.native import NativeModuleError
from splat.cuda_rasterizer.ops.memory import TooManyIntersectionsError
from splat.errors import InputError
from splat.options.flags import with_flags
from splat.options.parse import parse
from splat.plugins import find
from splat.version import __version__


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit. `SPLAT_DEBUG=1` shows the traceback behind every error message.

    Args:
        arguments: what follows the program's name; those of this process unless given.
    """
    debug = os.environ.get("SPLAT_DEBUG", "") not in ("", "0")
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may lack characters, a file's name be any bytes
    program = arguments is None
    with ending(program=program) as asked:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = show_warning
                run(list(sys.argv[1:] if arguments is None else arguments))
            sys.stdout.flush()
        except SystemExit as leaving:
            leave(asked.status if leaving.code == CTRL_C else leaving.code, program=program)
        except KeyboardInterrupt:
            if debug:
                raise
            say("interrupted")
            leave(asked.status, program=program)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.EIO) and not error.filename:
                fall_silent()  # the reader of a pipe, such as `head`, has left, or the terminal has closed
                leave(1 if asked.number is None else asked.status, program=program)
            message = explain(error)
            if debug or message is None:
                traceback.print_exc()
            if message is None:
                message = (
                    f"{type(error).__name__}: {error}\n"
                    "This is not your mistake but one in splat; please report the above."
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
    given = renewed(name, arguments[1:])
    options = parse(options_type, given, f"splat {name}", inspect.getdoc(function) or "")
    show = warnings.showwarning
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *rest: show(with_flags(str(message), options_type), *rest)
            function(options)
    except InputError as error:
        raise InputError(with_flags(str(error), options_type)) from error


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
            "`splat VERB --help` explains a verb's options, `--help-all` all of them.",
            "First steps: `splat sample capture`, then `splat train capture -o run --eval`.",
        ]
    )


def explain(error: Exception) -> str | None:
    """The message for an error that is not a bug: what happened and what to do. None for a bug."""
    if isinstance(error, InputError | NativeModuleError | TooManyIntersectionsError):
        return str(error)
    if isinstance(error, MemoryError) or is_out_of_memory(error):
        return "memory ran out. Use smaller images (-r 2, --max-image-size) or fewer Gaussians (--budget)."
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


def is_out_of_memory(error: Exception) -> bool:
    """Whether torch ran out of memory; on the CPU it says so in the text of a RuntimeError only."""
    name, text = type(error).__name__, str(error)
    return name == "OutOfMemoryError" or (isinstance(error, RuntimeError) and "can't allocate memory" in text)


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
