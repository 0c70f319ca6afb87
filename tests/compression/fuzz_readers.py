"""Coverage-guided fuzzing of every reader: `make fuzz`. A reader gives a scene or an InputError; anything else is a finding.

    python tests/compression/fuzz_readers.py build/fuzz/corpus tests/compression/data -max_total_time=60

Takes the options of libFuzzer. The first byte of an input chooses the format, the rest is the file. Files of the corpus in
tests/compression/data are used as they are: they begin with no such byte, so whole files are tried as every format as well.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["splat", "plyfile"]):
    from splat.compression.formats import registry as formats
    from splat.errors import InputError

ENDS = [end for end in formats.FORMATS if end != "meta.json"]
MOST_BYTES_EACH = 400
"""Of memory, for every byte of a file; and a million besides."""


def read(path: Path) -> None:
    try:
        scene = formats.load(path)
    except InputError:
        return
    size = sum(tensor.nbytes for tensor in scene.tensors().values())
    limit = MOST_BYTES_EACH * path.stat().st_size + (1 << 21)
    if size > limit:
        raise MemoryError(f"{path.suffix}: {size:,} bytes of Gaussians from {path.stat().st_size:,}")


def fuzz_one_input(data: bytes) -> None:
    if not data:
        return
    warnings.simplefilter("ignore")
    for end, content in (
        (ENDS[data[0] % len(ENDS)], data[1:]),
        *((end, data) for end in ENDS if looks_like(end, data)),
    ):
        path = FOLDER / f"scene{end}"
        path.write_bytes(content)
        read(path)


def looks_like(end: str, data: bytes) -> bool:
    """Whether the whole input is tried as this format: files of the corpus."""
    marks = {
        ".sog": b"PK",
        ".glb": b"glTF",
        ".splatz": b"SPLZ",
        ".ply": b"ply",
        ".compressed.ply": b"ply",
        ".gltf": b"{",
    }
    return data.startswith(marks[end]) if end in marks else end == ".spz" and data[:2] in (b"NG", b"\x1f\x8b")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        FOLDER = Path(folder)
        atheris.Setup(sys.argv, fuzz_one_input)
        atheris.Fuzz()
