"""One vocabulary: American spelling, and the field's words for what has one."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = {".py", ".h", ".cpp", ".cu", ".js", ".mjs", ".css", ".html", ".md", ".toml", ".cff"}

BANNED = {
    r"colour": "color",
    r"centre[sd]?\b|centring": "center",
    r"neighbour": "neighbor",
    r"behaviour": "behavior",
    r"favour": "favor",
    r"honour": "honor",
    r"\bgrey": "gray",
    r"(optim|normal|initial|quant|regular|raster|vector)is(e|ed|es|ing|ation)\b": "-ize",
    r"(organ|recogn|minim|maxim|serial|synchron|visual)is(e|ed|es|ing|ation)\b": "-ize, -ization",
    r"\bmetres?\b": "meter",
    r"\bartefact": "artifact",
    r"\blabelled|\bmodell(ed|ing)|\bcancell(ed|ing)": "one l",
    r"\bMoment\b": "Iteration",
    r"\b[Tt]ruth\b": "target",
    r"\bpair_(count|offsets|capacity|gradients)\b|\bmax_pairs\b": "intersection",
    r"\bMatter\b": "Importance",
    r"\b[Gg]radients? by (the|one|viewmat)\b|\b[Dd]erivatives? by (the|one)\b": "with respect to",
    r"\bload_scene\(.*capture|\bScene, Frame\b": "load_capture, Capture",
    r"\bopacity_loss\b": "opacity_decay",
}
"""Pattern of a word that is not used -> what is."""

EXEMPT = {Path(__file__).resolve(), ROOT / "CHANGELOG.md"}
"""They name the old words."""

FILES = [
    path
    for name in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    if (path := ROOT / name).suffix in TEXT and path.is_file() and path not in EXEMPT
]


@pytest.mark.parametrize("pattern", BANNED, ids=BANNED.values())
def test_one_vocabulary(pattern: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match.group()}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (match := re.search(pattern, line))
    ]
    assert not found, f"write {BANNED[pattern]}:\n" + "\n".join(found)


def test_every_kind_of_file_is_looked_at() -> None:
    assert {path.suffix for path in FILES} >= {".py", ".cu", ".js", ".md"}
