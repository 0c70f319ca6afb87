"""What a file is by its first bytes: names lie, and downloads are renamed."""

import gzip
import json
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from splat.compression.coding.byte_reader import BLOCK, REMEDY, check_ratio, read_file
from splat.compression.formats import compressed_ply
from splat.compression.formats.sog.reader import META, folder_of
from splat.errors import InputError
from splat.io.ply_container import is_ply
from splat.io.wording import listed
from splat.run import SOG_FILES

GZIP, ZIP, SPZ_MAGIC = b"\x1f\x8b", b"PK", b"NGSP"
SPZ_PACKED = (4).to_bytes(4, "little")
"""Version of .spz that somebody packed with gzip once more."""
HEADS = {b"glTF": ".glb", b"SPLZ": ".splatz", SPZ_MAGIC: ".spz"}
"""First bytes -> end of a name."""
OTHERS = {
    b"version https://git-lfs": "a Git LFS pointer in place of the file: fetch it (`git lfs pull`)",
    b"<!DOCTYPE": "a web page, perhaps an error of the download: download the file again",
    b"<html": "a web page, perhaps an error of the download: download the file again",
    b"7z\xbc\xaf": "a 7-Zip archive: unpack it",
    b"Rar!": "a RAR archive: unpack it",
    b"LASF": "a LAS point cloud, not Gaussians: train on the capture that it comes from to get a scene",
    b"ASTM-E57": "an E57 point cloud, not Gaussians: train on the capture that it comes from to get a scene",
    b"# .PCD": "a PCD point cloud, not Gaussians: train on the capture that it comes from to get a scene",
    b"\xff\xd8\xff": "a JPEG picture, not Gaussians",
    b"\x89PNG": "a PNG picture, not Gaussians",
}
"""First bytes -> what the file is, which holds no Gaussians that can be read, and what to do."""
STREAMED = SOG_FILES[1]
"""The index of a streamed SOG goes by its name, because it may be of any size."""
JSON_LIMIT = 1 << 22


def recognized(path: Path) -> str | None:
    """The end of a name that the content of a file calls for; None where the content does not say (.splat and .ksplat have
    no mark), or where there is no file.

    Raises:
        InputError: it is a file of another kind, which the message names.
    """
    if not path.is_file():
        return None
    head = read_file(path, 64)
    for mark, end in HEADS.items():
        if head.startswith(mark):
            return end
    if is_ply(head):
        return ".compressed.ply" if compressed_ply.is_compressed(path) else ".ply"
    if head.startswith(GZIP):
        inner = _unpacked_head(path)
        if inner.startswith(SPZ_MAGIC):  # in gzip by itself up to version 3
            return ".gz" if inner[4:8] == SPZ_PACKED else ".spz"
        return ".spz" if path.suffix.lower() == ".spz" and not inner.startswith(b"ply") else ".gz"
    if head.startswith(ZIP):
        return _kind_of_archive(path)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return _kind_of_json(path)
    for mark, what in OTHERS.items():
        if head.lower().startswith(mark.lower()):
            raise InputError(f"{path}: this is {what}")
    return None


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The content of a .gz as a file of its own, for as long as it is needed; messages name the .gz.

    Raises:
        InputError: it is damaged, or holds far more than a scene does.
    """
    with tempfile.TemporaryDirectory() as folder:
        name = path.name[:-3] if path.name.lower().endswith(".gz") else ""
        inner, size = Path(folder) / (name if name.strip(".") else "scene"), 0
        try:
            with gzip.open(path) as packed, open(inner, "wb") as file:
                while block := packed.read(BLOCK):
                    size += len(block)
                    check_ratio(str(path), path.stat().st_size, size)
                    file.write(block)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(f"{path}: the gzip stream cannot be read ({error}). {REMEDY}") from None
        try:
            with warnings.catch_warnings(record=True) as caught:
                yield inner
        except InputError as error:
            raise InputError(str(error).replace(str(inner), str(path))) from None
        for warning in caught:
            warnings.warn(str(warning.message).replace(str(inner), str(path)), stacklevel=4)


def _unpacked_head(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            return file.read(16)
    except (OSError, EOFError, zlib.error):
        return b""  # its reader says what is wrong


def _kind_of_archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError):
        return ".sog"  # its reader says what is wrong
    folder = folder_of(names)
    described = f"{folder}{META}" in names and any(name.startswith(f"{folder}means") for name in names)
    if described or path.suffix.lower() == ".sog":
        return ".sog"
    shown = listed(names)
    raise InputError(
        f"{path}: this is a ZIP archive of {len(names)} files ({shown[:300]}): unpack it, and name the scene"
    )


def _kind_of_json(path: Path) -> str | None:
    try:
        document = json.loads(read_file(path, JSON_LIMIT))
    except (ValueError, RecursionError):
        document = {}
    if path.name.lower() == STREAMED or "lodLevels" in document:
        raise InputError(
            f"{path}: this is the index of a streamed SOG; its Gaussians are in SOGs beside it, such as 0_0/meta.json, each "
            "of one level of detail, of which 0 is the finest: open one, or `splat convert` all of a level into one scene"
        )
    if "asset" in document and ("meshes" in document or "nodes" in document or "scenes" in document):
        return ".gltf"
    return "meta.json" if "means" in document else None
