"""Flags as earlier versions spelled them: they work for one more release, and the new spelling is said."""

import sys
from collections.abc import Callable, Sequence

Rewrite = Callable[[str | None], tuple[str, ...]]
"""The value that followed the flag, None where it stands alone -> what to say now."""


def to(flag: str) -> Rewrite:
    """Another name, the same value."""
    return lambda value: (flag, *(() if value is None else (value,)))


def member(flag: str, name: str) -> Rewrite:
    """One of the values of a flag that takes NAME=VALUE."""
    return lambda value: (flag, f"{name}={value}")


def switch(*words: str) -> Rewrite:
    """A flag that stood alone."""
    return lambda _: words


STANDALONE = {"--progressive", "--full-size"}
"""Old flags that took no value."""

OLD: dict[str, dict[str, Rewrite]] = {
    "train": {
        "--strategy": to("--densify"),
        "--max-size": to("--max-image-size"),
        "--progressive": switch("--progressive", "on"),
        "--full-size": switch("--progressive", "off"),
        "--late-steps": to("--accumulate"),
        "--mask-weight": to("--learned-mask"),
        "--ssim-weight": member("--loss", "ssim"),
        "--grid-smoothness": member("--loss", "grid"),
        "--grid-tv-weight": member("--loss", "bilateral_tv"),
        "--depth-points-weight": member("--loss", "depth_points"),
        "--depth-maps-weight": member("--loss", "depth_maps"),
        "--depth-smooth-weight": member("--loss", "depth_smooth"),
        "--normal-weight": member("--loss", "normals"),
        "--flat-weight": member("--loss", "flat"),
        **{
            f"--lr-{name.replace('_', '-')}": member("--lr", name)
            for name in ("means", "means_final", "sh0", "sh_rest", "opacities", "scales", "quats", "final")
        },
        "--view-share": to("--view-fraction"),
    },
    "compress": {"--data": to("--capture"), "--max-size": to("--max-bytes"), "--max-drop": to("--max-psnr-drop")},
    "share": {"--max-size": to("--max-bytes")},
    "view": {"--max-size": to("--max-image-size")},
    "mesh": {"--max-size": to("--max-image-size")},
}
"""Verb -> old flag -> what it is now."""


def renewed(verb: str, arguments: Sequence[str]) -> list[str]:
    """A verb's arguments in the present spelling; a line on standard error for each that was not."""
    result: list[str] = []
    words, known = list(arguments), OLD.get(verb, {})
    while words:
        word = words.pop(0)
        if word == "--":
            return [*result, word, *words]
        flag, sign, value = word.partition("=")
        flag = flag.replace("_", "-") if flag.startswith("--") else flag
        rewrite = known.get(flag)
        if rewrite is None or (flag in STANDALONE and sign):
            result.append(word)
            continue
        follows: str | None = None
        if flag in STANDALONE:
            if flag == "--progressive" and words and words[0] in ("auto", "on", "off"):
                result.append(word)
                continue
        elif sign or (words and not is_flag(words[0])):
            follows = value if sign else words.pop(0)
        else:
            result.append(word)  # without its value it is not understood in either spelling
            continue
        new = rewrite(follows)
        print(f"warning: {flag} is now `{' '.join(new)}`; the old spelling goes with the next release", file=sys.stderr)
        result += new
    return result


def is_flag(word: str) -> bool:
    """Whether a word begins an option: -o, --output, but not -1."""
    return word.startswith("-") and not word[1:2].isdigit() and word != "-"
