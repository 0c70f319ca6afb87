"""The command line's frame: verbs, exit statuses, messages."""

import errno
import io
import json
import os
import subprocess
import sys
import typing
import warnings
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from pathlib import Path

import pytest
import torch

import splat
from scenes import cloud
from splat.cli import main as cli
from splat.cli.verbs import Verb
from splat.cuda_rasterizer.ops.memory import TooManyIntersectionsError
from splat.errors import InputError
from splat.plugins import find


@dataclass(frozen=True)
class Options:
    """Options of a verb made for these tests."""

    count: int = 3
    """How many."""


def behavior(_: Options) -> None:
    """A verb made for these tests."""


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Options], None]], None]:
    """Adds the verb `try`, which does what it is told to."""

    def install(action: Callable[[Options], None]) -> None:
        def function(options: Options) -> None:
            """Try something."""
            action(options)

        monkeypatch.setattr(sys.modules[__name__], "behavior", function)
        monkeypatch.setitem(cli.VERBS, "try", Verb(f"{__name__}:behavior", "try something"))

    return install


def fails(error: BaseException) -> Callable[[Options], None]:
    def action(_: Options) -> None:
        raise error

    return action


def status(*arguments: str) -> int:
    """Exit status of the command line; 0 when it simply returns."""
    try:
        cli.main(arguments)
    except SystemExit as exit_request:
        return int(exit_request.code or 0)
    return 0


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ((), ("--help",), ("-h",), ("help",)):
        assert status(*arguments) == 0
        printed = capsys.readouterr().out
        assert all(f"\n  {name}" in printed and verb.help in printed for name, verb in cli.VERBS.items())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("--version") == 0
    assert capsys.readouterr().out == f"splat {splat.__version__}\n"


@pytest.mark.parametrize(("typed", "meant"), [("tain", "train"), ("evaluate", "eval"), ("doktor", "doctor")])
def test_unknown_verb_suggests_the_nearest(typed: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(typed) == 2
    assert f"Did you mean `splat {meant}`?" in capsys.readouterr().err


def test_unknown_verb_unlike_any(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("xyzzy") == 2
    assert "`splat --help` lists the verbs" in capsys.readouterr().err


@pytest.mark.parametrize("name", cli.VERBS)
def test_every_verb_exists_and_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = next(iter(typing.get_type_hints(find(cli.VERBS[name].target)).values()))
    assert is_dataclass(options)
    assert status(name, "--help") == 0
    assert f"usage: splat {name}" in capsys.readouterr().out


def test_wrong_flags_exit_with_2(
    verb: Callable[[Callable[[Options], None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    verb(fails(AssertionError("must not be called")))
    assert status("try", "--count", "many") == 2
    assert status("try", "--cuont", "3") == 2
    assert "--count" in capsys.readouterr().err


def test_options_arrive(verb: Callable[[Callable[[Options], None]], None]) -> None:
    seen: list[Options] = []
    verb(seen.append)
    assert status("try", "--count", "5") == 0
    assert seen == [Options(count=5)]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("photo.png: broken. Mend it."), 1, "error: photo.png: broken. Mend it.\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/data/x.ply"),
            1,
            "error: the disk is full while writing /data/x",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/root/x"),
            1,
            "error: not allowed to use /root/x (Permission",
        ),
        (FileNotFoundError(errno.ENOENT, "No such file", "x"), 1, "error: cannot use x: No such file. Check the path."),
        (MemoryError(), 1, "error: memory ran out"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."), 1, "error: memory ran out"),
        (torch.OutOfMemoryError("CUDA out of memory."), 1, "error: memory ran out"),
        (TooManyIntersectionsError("this render needs 9 intersections"), 1, "error: this render needs 9"),
    ],
)
def test_errors_of_the_user_have_no_traceback(
    error: BaseException,
    code: int,
    message: str,
    verb: Callable[[Callable[[Options], None]], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SPLAT_DEBUG", raising=False)
    verb(fails(error))
    assert status("try") == code
    printed = capsys.readouterr().err
    assert printed.startswith(message)
    assert "Traceback" not in printed


def test_debug_shows_the_traceback(
    verb: Callable[[Callable[[Options], None]], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPLAT_DEBUG", "1")
    verb(fails(InputError("broken")))
    assert status("try") == 1
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert printed.endswith("error: broken\n")


def test_bugs_show_the_traceback(
    verb: Callable[[Callable[[Options], None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    verb(fails(ZeroDivisionError("oh")))
    assert status("try") == 1
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert "error: ZeroDivisionError: oh" in printed


def test_warnings_are_one_line(
    verb: Callable[[Callable[[Options], None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def action(_: Options) -> None:
        warnings.warn("two rows", stacklevel=1)

    verb(action)
    assert status("try") == 0
    assert capsys.readouterr().err == "warning: two rows\n"


def test_any_name_can_be_printed(
    verb: Callable[[Callable[[Options], None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of files may be any bytes."""
    verb(lambda _: print(os.fsdecode(b"caf\xe9.jpg"), "\u2192"))
    for encoding, printed in (("utf-8", "caf\\udce9.jpg \u2192\n"), ("ascii", "caf\\udce9.jpg \\u2192\n")):
        output = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding, newline="\n"))
        assert status("try") == 0
        assert output.getvalue().decode(encoding) == printed


def test_a_closed_pipe_is_quiet() -> None:
    """`splat --help | head -1`: the reader leaves before the writer writes."""
    script = "import splat.cli.main as cli, time; time.sleep(0.5); cli.main(['--help'])"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1
    process.stderr.close()


def environment() -> dict[str, str]:
    """Of a subprocess that finds the same splat as this process."""
    return {**os.environ, "PYTHONPATH": str(Path(splat.__file__).parents[1])}


def test_info_of_a_scene(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = splat.Gaussians(
        means=torch.tensor([[0.0, 0, 0], [1, 2, 4], [9, 9, 9], [5, 5, 5]]),
        quats=torch.tensor([[1.0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]),
        log_scales=torch.tensor([[1.0, 2, 3]] * 4).log(),
        logit_opacities=torch.tensor([0.0, 0.0, float("nan"), 0.0]),
        sh0=torch.zeros(4, 3),
        sh_rest=torch.zeros(4, 3, 3),
    )
    with pytest.warns(UserWarning, match="cannot be drawn"):
        splat.save(scene, tmp_path / "scene.ply")
    assert status("info", str(tmp_path / "scene.ply"), "--json") == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("warning: ")
    facts = json.loads(printed.out)
    assert facts["gaussians"] == 4
    assert facts["not drawn"] == 2
    assert facts["SH degree"] == 1
    assert facts["bounds"] == [[0, 0, 0], [1, 2, 4]]
    assert facts["opacity"] == {"5 %": 0.5, "50 %": 0.5, "95 %": 0.5}
    assert facts["longest axis"]["50 %"] == 3
    assert facts["shortest axis"]["50 %"] == 1
    assert status("info", str(tmp_path / "scene.ply")) == 0
    assert "[0.0, 0.0, 0.0] to [1.0, 2.0, 4.0]" in capsys.readouterr().out


def test_info_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = splat.Gaussians(*(torch.zeros(2, *shape) for shape in ((3,), (4,), (3,), (), (3,), (0, 3))))
    for iteration in (7, 1000, 200):
        splat.save(scene, tmp_path / f"point_cloud/iteration_{iteration}/point_cloud.ply")
    (tmp_path / "metrics.json").write_text('{"psnr": 21.5, "views": {"a": 1}}')
    assert status("info", str(tmp_path), "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["saved iterations"] == [7, 200, 1000]
    assert facts["scores"] == {"psnr": 21.5}
    assert "iteration_1000" in facts["newest scene"]["file"]
    assert status("info", str(tmp_path)) == 0
    assert "psnr: 21.5" in capsys.readouterr().out
    (tmp_path / "metrics.json").write_text('{"psnr": 21')
    assert status("info", str(tmp_path)) == 1
    assert "metrics.json: not JSON" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["scene.json", "scene.zip"])
def test_info_of_a_scene_that_is_named_like_a_capture(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splat.save(cloud(20, sh_degree=0), tmp_path / "scene.glb")
    splat.save(cloud(20, sh_degree=0), tmp_path / "scene.sog")
    (tmp_path / "scene.sog").rename(tmp_path / "scene.zip")
    content = (tmp_path / "scene.glb").read_bytes()
    end = 20 + int.from_bytes(content[12:16], "little")
    document = json.loads(content[20:end])
    document["buffers"][0]["uri"] = "scene.bin"
    (tmp_path / "scene.bin").write_bytes(content[end + 8 :])
    (tmp_path / "scene.json").write_text(json.dumps(document))
    assert status("info", str(tmp_path / name), "--json") == 0
    assert json.loads(capsys.readouterr().out)["gaussians"] == 20


def test_info_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "point_cloud").mkdir()
    cases = {
        "missing": "no such file",
        "notes.txt": "scenes are files ending in",
        "": "expected point_cloud/iteration_",
    }
    for name, message in cases.items():
        assert status("info", str(tmp_path / name)) == 1
        assert message in capsys.readouterr().err


def test_what_is_done_stays_done_while_python_leaves() -> None:
    """A cluster may send SIGTERM when the last line is printed already: the exit status is that of the work."""
    late = "import atexit, os, signal; atexit.register(os.kill, os.getpid(), signal.SIGTERM); "
    for arguments, status in ((["--version"], 0), (["info", "nowhere"], 1)):
        program = f"{late}import sys; sys.argv = ['splat', *{arguments!r}]; from splat.cli.main import main; main()"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done.stderr
    after = f"from splat.cli.main import main\ntry:\n    main(['--version'])\nfinally:\n    {late}"
    done = subprocess.run([sys.executable, "-c", after], capture_output=True, text=True, timeout=60)
    assert done.returncode < 0, "another program's own SIGTERM has changed"
