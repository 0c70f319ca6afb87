"""Reading glTF: all Gaussians of its scene, where its nodes put them."""

import warnings
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import torch
from torch import Tensor

from splat.compression.coding.byte_reader import REMEDY, check_ratio
from splat.compression.formats import spz
from splat.compression.formats.axes import LUF, turned
from splat.compression.formats.blocks import joined, ranges
from splat.compression.formats.gltf import EXTENSION, harmonic_names
from splat.compression.formats.gltf.document import Column, Document, Node, item, items
from splat.compression.formats.gltf.nodes import Matrix, Placed, Transform, placed_primitives
from splat.errors import InputError
from splat.gaussians import SH_C0, Gaussians
from splat.geometry.georeference import Georeference
from splat.geometry.similarity import sampled_directions
from splat.io.local_origin import FEW, local_origin, moved_from, moved_text
from splat.io.wording import listed
from splat.spherical_harmonics import basis

PREFIXES = (f"{EXTENSION}:", "_")
"""Before the name of an attribute: as ratified, and in drafts."""
LINEAR = {"lin_rec709_display", "linear", "BT.709-linear"}
DISPLAY = {"srgb_rec709_display", "BT.709", "BT.709-sRGB", None}
"""Color spaces as ratified, and in drafts; those of our scenes are the second."""
DEPENDENT = ("gaussian_splatting", "compression", "quantization", "draco", "spz")
"""In the name of a required extension that concerns Gaussians."""
FAR = 1000.0
"""Translations smaller than this leave positions their precision."""
KNOWN = {EXTENSION, "KHR_mesh_quantization"}
ATTRIBUTES = {*(f"{EXTENSION}:{name}" for name in ("ROTATION", "SCALE", "OPACITY")), *harmonic_names(4)}


def read(path: Path) -> Gaussians:
    """Read all Gaussians of the scene in a `.glb` or `.gltf`.

    Raises:
        InputError: it is damaged, has no Gaussians, lacks a file, or packs them in a way that cannot be read.
    """
    return read_moved(path)[0]


def read_moved(path: Path) -> tuple[Gaussians, Georeference | None]:
    """As `read`, with where the file has the Gaussians if they had to be moved."""
    document = Document(path)
    required = document.json.get("extensionsRequired")
    for name in required if isinstance(required, list) else []:
        if (
            isinstance(name, str)
            and name not in KNOWN
            and "spz" not in name
            and any(word in name for word in DEPENDENT)
        ):
            raise InputError(f"{path}: needs {name[:60]}, which cannot be read: export it without that extension")
    parts, origin, made = [], np.zeros(3), 0
    for number, placed in enumerate(placed_primitives(document)):
        linear, translation = placed.matrix[:3, :3], placed.matrix[:3, 3]
        if _is_far(document, placed, translation - origin):
            if number:
                raise InputError(
                    f"{path}: its nodes lie {float(np.linalg.norm(translation - origin)):.3g} units apart, too far for the "
                    "32-bit floats of one scene: export each as a file of its own"
                )
            origin = translation.round()
            where = moved_text(torch.from_numpy(origin) * torch.tensor(LUF))
            warnings.warn(f"{path}: {where}", stacklevel=3)
        matrix = np.block([[linear, (translation - origin)[:, None]], [np.eye(4)[3]]])
        parts.append(_gaussians(document, placed.primitive, Transform(document, matrix)))
        made += sum(tensor.nbytes for tensor in parts[-1].tensors().values())
        check_ratio(str(path), document.size, made)
    return Gaussians.cat(parts), moved_from(torch.from_numpy(origin) * torch.tensor(LUF)) if origin.any() else None


def _is_far(document: Document, placed: Placed, translation: Matrix) -> bool:
    """Whether the positions of Gaussians that are moved by so much [3] would be too large for 32-bit floats."""
    if float(np.abs(translation).max()) < FAR:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scene = _gaussians(document, placed.primitive, Transform(document, np.diag([1.0, 1.0, 1.0, 1.0])))
    size = abs(float(np.linalg.det(placed.matrix[:3, :3]))) ** (1 / 3)
    return local_origin(torch.from_numpy(translation).expand(len(scene), 3), scene.scales * size, FEW) is not None


def _gaussians(document: Document, primitive: Node, transform: Transform) -> Gaussians:
    """Those of a primitive, in our axes."""
    extension = item(item(primitive, "extensions"), EXTENSION)
    linear = _is_linear(document, extension)
    kernel = extension.get("kernel", "ellipse")
    if kernel != "ellipse":
        warnings.warn(
            f"{document.path}: its kernel {str(kernel)[:40]!r} is not known, and is taken for ellipse", stacklevel=4
        )
    packed = _packed(document, item(extension, "extensions")) or _packed(document, item(primitive, "extensions"))
    if packed is not None:
        plain = turned(packed, LUF)
        count, bases = len(plain), plain.sh_rest.shape[1]
        blocks = (plain[place] for place in ranges(count))
    else:
        attributes = primitive.get("attributes")
        if not isinstance(attributes, dict):
            raise InputError(f"{document.path}: a primitive has no attributes. {REMEDY}")
        columns = _Attributes(document, attributes)
        count, bases = columns.means.count, len(columns.rest)
        blocks = (columns.block(place) for place in ranges(count))
    parts = (encoded(block) if linear else block for block in blocks)
    return joined(count, bases, (turned(transform(part), LUF) for part in parts))


def _packed(document: Document, extensions: Node) -> Gaussians | None:
    """What an extension holds as SPZ, in our axes."""
    for name, extension in extensions.items():
        if "spz" in name.lower() and isinstance(extension, dict):
            buffer, first, end, _ = document.view(extension.get("bufferView"))
            with buffer.open() as file:
                file.seek(first)
                data = file.read(end - first)
            return spz.decode(f"{document.path}: {name[:60]}", data, spz.SpzOptions(), assumed=spz.RUB)
        if "compression" in name:
            raise InputError(
                f"{document.path}: its Gaussians are packed by {name[:60]}; only plain ones and SPZ can be read"
            )
    return None


def _is_linear(document: Document, extension: Node) -> bool:
    space = extension.get("colorSpace")
    if space is not None and not isinstance(space, str):
        raise InputError(f"{document.path}: its color space is not text. {REMEDY}")
    if space in LINEAR:
        warnings.warn(
            f"{document.path}: its colors are linear; each Gaussian's was converted to sRGB, in which they are blended here",
            stacklevel=5,
        )
        return True
    if space not in DISPLAY:
        warnings.warn(
            f"{document.path}: its color space {str(space)[:40]!r} is not known, and is taken for sRGB", stacklevel=5
        )
    return False


def files_beside(path: Path) -> list[Path]:
    """The files beside a glTF that hold its buffers."""
    addresses = [buffer.get("uri") for buffer in items(Document(path).json.get("buffers"))]
    return [path.parent / unquote(uri) for uri in addresses if isinstance(uri, str) and not uri.startswith("data:")]


def encoded(gaussians: Gaussians) -> Gaussians:
    """Linear colors as sRGB: in every direction, as nearly as harmonics of the same degree can."""
    matrix = basis(gaussians.sh_degree, sampled_directions()).float()  # [D, K]
    harmonics = torch.cat([gaussians.sh0[:, None], gaussians.sh_rest], dim=1)  # [N, K, 3]
    colors = srgb((matrix @ harmonics + 0.5).clamp_min(0))
    found = torch.linalg.pinv(matrix.double()).float() @ (colors - 0.5)
    return Gaussians(**{**gaussians.tensors(), "sh0": found[:, 0], "sh_rest": found[:, 1:]})


def srgb(linear: Tensor) -> Tensor:
    """The transfer function of IEC 61966-2-1, from 0 on; it goes on above 1."""
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


def _names(degree: int) -> list[str]:
    """The attributes of the harmonics of one degree."""
    return [f"SH_DEGREE_{degree}_COEF_{index}" for index in range(2 * degree + 1)]


class _Attributes:
    """The attributes of a primitive, as ratified or as in drafts: without opacity, or without harmonics of degree 0, those are
    in COLOR_0."""

    def __init__(self, document: Document, attributes: Node) -> None:
        self.document, self.attributes = document, attributes
        self.means = document.column(attributes.get("POSITION"), 3, "POSITION")
        self.quats, self.scales = self.column("ROTATION", 4), self.column("SCALE", 3)
        degree = max((degree for degree in range(5) if self.has(degree)), default=0)
        self.color = None
        if not self.has(0) or self.name("OPACITY") not in attributes:
            if "COLOR_0" not in attributes:
                missing = f"{EXTENSION}:{'OPACITY' if self.has(0) else 'SH_DEGREE_0_COEF_0'}"
                raise InputError(f"{document.path}: the attribute {missing} is missing. {REMEDY}")
            self.color = document.column(attributes["COLOR_0"], 4, "COLOR_0")
        self.opacities = self.column("OPACITY", 1) if self.name("OPACITY") in attributes else None
        self.sh0 = self.column("SH_DEGREE_0_COEF_0", 3) if self.has(0) else None
        self.rest = [self.column(name, 3) for above in range(1, degree + 1) for name in _names(above)]
        columns = (self.quats, self.scales, self.opacities, self.sh0, self.color, *self.rest)
        if any(one is not None and one.count != self.means.count for one in columns):
            raise InputError(f"{document.path}: its attributes are of different lengths. {REMEDY}")
        unread = [name for name in attributes if name.startswith(f"{EXTENSION}:") and name not in ATTRIBUTES]
        if unread:
            warnings.warn(
                f"{document.path}: attributes that mean nothing here were not read: {listed(unread)}", stacklevel=5
            )
        self._warn_of_opacities()

    def _warn_of_opacities(self) -> None:
        """Say how many opacities are none."""
        column, beyond = self.opacities or self.color, 0
        assert column is not None
        for place in ranges(column.count):
            opacities = column.rows(place)[:, -1]
            beyond += int(((opacities < 0) | (opacities > 1)).sum())
        if beyond:
            why = ", and its accessor lacks `normalized`" if column.scale == 1 and column.dtype != "<f4" else ""
            warnings.warn(
                f"{self.document.path}: {beyond:,} of {column.count:,} opacities are not 0 to 1{why}; they become 0 or 1",
                stacklevel=6,
            )

    def name(self, name: str) -> str:
        """The attribute's whole name in this file."""
        return next((prefix + name for prefix in PREFIXES if prefix + name in self.attributes), PREFIXES[0] + name)

    def has(self, degree: int) -> bool:
        """Whether there are harmonics of a degree, or some of them."""
        return any(self.name(name) in self.attributes for name in _names(degree))

    def column(self, name: str, width: int) -> Column:
        """Where an attribute's numbers are."""
        name = self.name(name)
        if name not in self.attributes:
            raise InputError(f"{self.document.path}: the attribute {name} is missing. {REMEDY}")
        return self.document.column(self.attributes[name], width, name)

    def block(self, place: slice) -> Gaussians:
        """Some of the Gaussians, in glTF's axes."""
        color = self.color.rows(place) if self.color is not None else torch.zeros(0, 4)
        opacities = self.opacities.rows(place)[:, 0] if self.opacities is not None else color[:, 3]
        harmonics = [one.rows(place) for one in self.rest]
        return Gaussians(
            means=self.means.rows(place),
            quats=self.quats.rows(place)[:, [3, 0, 1, 2]],
            log_scales=self.scales.rows(place).log(),
            logit_opacities=opacities.clamp(1e-6, 1 - 1e-6).logit(),
            sh0=self.sh0.rows(place) if self.sh0 is not None else (color[:, :3] - 0.5) / SH_C0,
            sh_rest=torch.stack(harmonics, dim=1) if harmonics else torch.zeros(place.stop - place.start, 0, 3),
        )
