"""`.glb` files taken apart and put together again."""

import json
import struct
from pathlib import Path

import numpy as np


def parts(path: Path) -> tuple[dict, bytes]:
    """The JSON and the binary part of a `.glb`."""
    content = path.read_bytes()
    (size,) = struct.unpack_from("<I", content, 12)
    return json.loads(content[20 : 20 + size]), content[28 + size :]


def joined(path: Path, document: dict, binary: bytes) -> Path:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
    path.write_bytes(struct.pack("<III", 0x46546C67, 2, 12 + len(body)) + body)
    return path


def with_sparse(document: dict, binary: bytes, name: str, rows: list[int], numbers: np.ndarray) -> bytes:
    """The binary part, where an attribute has other numbers in some rows."""
    primitive = document["meshes"][0]["primitives"][0]
    accessor = document["accessors"][primitive["attributes"][name]]
    for content in (np.array(rows, "<u2").tobytes(), numbers.astype("<f4").tobytes()):
        binary += bytes(-len(binary) % 4)
        document["bufferViews"].append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(content)})
        binary += content
    last = len(document["bufferViews"])
    accessor["sparse"] = {
        "count": len(rows),
        "indices": {"bufferView": last - 2, "componentType": 5123},
        "values": {"bufferView": last - 1},
    }
    document["buffers"][0]["byteLength"] = len(binary)
    return binary
