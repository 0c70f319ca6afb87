"""Facts, as verbs print and write them: JSON for programs, lines of words for people."""

import json
import math
from typing import Any

RANGES = ("bounds", "most points within", "most points at a depth of")
"""Facts that say from where to where."""


def as_json(facts: Any, indent: int | None = 2) -> str:
    """Facts for programs. JSON has no number for what is not finite: it becomes null."""
    return json.dumps(_finite(facts), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def as_text(facts: dict[str, Any], indent: str = "") -> str:
    """Facts for people, one a line."""
    lines = []
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        if isinstance(value, dict) and name in ("newest scene",):
            lines.append(f"{indent}{name}\n{as_text(value, indent + '  ')}")
        else:
            lines.append(f"{indent}{name:<{width}}  {as_words(name, value)}")
    return "\n".join(lines)


def as_words(name: str, value: Any) -> str:
    """One value in words."""
    if name == "bytes":
        return f"{value / 1e6:.2f} MB"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {as_words(key, item)}" for key, item in value.items()) or "none"
    if name in RANGES:
        return " to ".join(f"{end:.4g}" if isinstance(end, float) else str(end) for end in value)
    if isinstance(value, list):
        shown = [as_words("", item) for item in (value if len(value) <= 8 else [*value[:3], "...", *value[-3:]])]
        return ", ".join(shown) or "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
