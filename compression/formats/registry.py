"""Every file format of scenes: which suffix is which, and one pair of functions for all of them."""

import contextlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from splat.compression.formats import compressed_ply, ksplat, spz
from splat.compression.formats import splat as splat_records
from splat.compression.formats.gltf import reader as gltf_reader
from splat.compression.formats.gltf import writer as gltf_writer
from splat.compression.formats.precision import Steps, check_positions, float_steps, logarithmic_steps
from splat.compression.formats.quantizers import (
    CompressedPlyQuantizer,
    Quantizer,
    SogQuantizer,
    SplatzQuantizer,
    SpzQuantizer,
)
from splat.compression.formats.recognition import recognized, unpacked
from splat.compression.formats.sog import reader as sog_reader
from splat.compression.formats.sog import writer as sog
from splat.compression.formats.splatz import container as splatz
from splat.compression.formats.splatz.options import SplatzOptions
from splat.compression.formats.spz import SpzOptions
from splat.errors import InputError
from splat.gaussians import Gaussians, defects, drawable, with_finite_values
from splat.geometry.georeference import Georeference
from splat.geometry.similarity import Similarity
from splat.io import ply, ply_dialects
from splat.result import LoadedScene
from splat.run import find_scene


@dataclass(frozen=True)
class FormatOptions:
    """What some formats want to know besides the scene."""

    spz: SpzOptions = field(default_factory=SpzOptions)
    splatz: SplatzOptions = field(default_factory=SplatzOptions)
    sog_palette: int | None = None
    """Entries of SOG's palette of harmonics; chosen by the number of Gaussians unless given."""
    order: sog.Order = "morton"
    """Order of the pixels of SOG."""
    antialiased: bool = False
    """The scene was trained with antialiasing; formats that can say so do."""
    placement: Similarity | None = None
    """From the scene's coordinates to those that the file is to have, in double precision: a .glb holds it as its node, a .ply
    by double positions where it needs them, other formats as far as their steps allow."""
    seed: int = 0


@dataclass(frozen=True)
class Importance:
    """How much errors of each Gaussian, and of its harmonics, show in the cameras of a capture. Without it, formats go by
    sizes and opacities."""

    weights: Tensor | None = None  # [N] how much each Gaussian counts
    metric: Tensor | None = None  # [K, K] how much errors of harmonics are seen (see splatz/view_metric.py)
    losses: Tensor | None = None  # [N] squared change of the pictures without each Gaussian


@dataclass(frozen=True)
class Format:
    """One format. `write` is None where it can only be read."""

    name: str
    read: Callable[[Path, FormatOptions], Gaussians | LoadedScene]
    write: Callable[[Gaussians, Path, FormatOptions], None] | None
    degree: int = 3
    """Highest degree of harmonics that it holds."""
    quality_levels: Callable[[FormatOptions], list[FormatOptions]] = lambda options: [options]
    """From options, the same at each level of quality, the finest first; what a search for a size chooses from."""
    quantizer: Callable[[FormatOptions, Importance], Quantizer] | None = None
    """From options and importance, what a file can hold: draws it, and writes it."""
    antialiased: Callable[[Path], bool | None] = lambda path: None
    """Whether a file says that its scene was trained with antialiasing."""
    members: Callable[[Path], list[Path]] = lambda path: []
    """Other files that a file names, in which its Gaussians are."""
    position_steps: Steps | None = None
    """The steps of positions; None where they are as fine as a scene's own, or follow from its size."""
    places: bool = False
    """Whether it holds a placement in double precision."""
    any_order: bool = False
    """Whether `FormatOptions.order` has a say in it."""

    def load(self, path: Path, options: FormatOptions) -> LoadedScene:
        """What `read` gives, with what is known of it besides."""
        read = self.read(path, options)
        return LoadedScene(read) if isinstance(read, Gaussians) else read


def _write_sog(scene: Gaussians, path: Path, options: FormatOptions) -> None:
    sog.write(scene, path, options.antialiased, options.sog_palette, options.seed, order=options.order)


def _sog_quantizer(options: FormatOptions, importance: Importance) -> Quantizer:
    return SogQuantizer(options.sog_palette, options.seed, importance.weights, options.antialiased, options.order)


def _sog_quality_levels(options: FormatOptions) -> list[FormatOptions]:
    """Smaller palettes of harmonics; everything else in a SOG has one precision."""
    sizes = [options.sog_palette] if options.sog_palette else [16384, 4096, 1024]
    return [replace(options, sog_palette=size) for size in sizes]


def _spz_quality_levels(options: FormatOptions) -> list[FormatOptions]:
    """Fewer bits of harmonics; everything else in an SPZ has one precision."""
    fewer = [bits for bits in ((6, 5), (5, 4), (4, 3)) if bits < options.spz.sh_bits]
    return [options, *(replace(options, spz=replace(options.spz, sh_bits=bits)) for bits in fewer)]


def _splatz_quality_levels(options: FormatOptions) -> list[FormatOptions]:
    """All steps of a .splatz larger together."""
    coarse = options.splatz.coarseness
    return [
        replace(options, splatz=replace(options.splatz, coarseness=factor * coarse))
        for factor in (0.5, 0.65, 0.8, 0.95, 1.15, 1.4, 1.8, 2.4)
    ]


SOG = Format(
    "SOG",
    lambda path, options: sog.read(path),
    _write_sog,
    quality_levels=_sog_quality_levels,
    quantizer=_sog_quantizer,
    antialiased=sog_reader.antialiased,
    members=sog_reader.files_beside,
    position_steps=logarithmic_steps,
    any_order=True,
)
# A new format is a module beside this one, and an entry here; longer endings stand before those that they end in.
FORMATS = {
    "meta.json": replace(SOG, name="SOG, unzipped"),
    ".compressed.ply": Format(
        "compressed PLY",
        lambda path, options: compressed_ply.read(path),
        lambda scene, path, options: compressed_ply.write(scene, path),
        4,
        quantizer=lambda options, importance: CompressedPlyQuantizer(),
        antialiased=ply_dialects.antialiased,
    ),
    ".ply": Format(
        "PLY",
        lambda path, options: _moved(*ply.load_moved(path)),
        lambda scene, path, options: ply.save(scene, path, options.placement),
        4,
        antialiased=ply_dialects.antialiased,
        places=True,
    ),
    ".spz": Format(
        "SPZ",
        lambda path, options: spz.read(path, options.spz),
        lambda scene, path, options: spz.write(scene, path, options.spz, options.antialiased),
        4,
        _spz_quality_levels,
        lambda options, importance: SpzQuantizer(options.spz, options.antialiased),
        antialiased=spz.antialiased,
        position_steps=spz.position_steps,
    ),
    ".splatz": Format(
        "splatz",
        lambda path, options: splatz.read(path),
        lambda scene, path, options: splatz.write(scene, path, options.splatz, options.antialiased),
        4,
        _splatz_quality_levels,
        lambda options, importance: SplatzQuantizer(
            options.splatz, importance.weights, importance.metric, options.antialiased, importance.losses
        ),
        antialiased=splatz.antialiased,
    ),
    ".sog": SOG,
    ".splat": Format(
        "splat",
        lambda path, options: splat_records.read(path),
        lambda scene, path, options: splat_records.write(scene, path),
        0,
    ),
    ".glb": Format(
        "glTF",
        lambda path, options: _moved(*gltf_reader.read_moved(path)),
        lambda scene, path, options: gltf_writer.write(scene, path, options.placement),
        places=True,
    ),
    ".gltf": Format(
        "glTF", lambda path, options: _moved(*gltf_reader.read_moved(path)), None, members=gltf_reader.files_beside
    ),
    ".ksplat": Format("ksplat", lambda path, options: ksplat.read(path), None, 2),
}
"""End of a file's name, from a point on, or the whole of it -> format; the first that fits."""
OWN = frozenset(FORMATS)
"""Ends of the formats that come with the program."""


def format_of(path: Path) -> Format:
    """The format that a file's name ends in.

    Raises:
        InputError: it is none of those known.
    """
    end = _named(path)
    if end is not None:
        return FORMATS[end]
    raise InputError(f"{path}: scenes are files ending in {_ends()}; choose one of these endings")


def _ends() -> str:
    return ", ".join(end for end in FORMATS if end.startswith(".")) + ", or called meta.json"


def _strange(path: Path) -> str:
    """What a file is that neither its content nor its name says is a scene, and what to do."""
    if not path.is_file():
        return "not there; check the path"
    match path.suffix.lower():
        case ".las" | ".laz" | ".xyz" | ".pts" | ".pcd" | ".e57":
            return "a point cloud, not Gaussians; train on the capture that it comes from"
        case ".obj" | ".fbx" | ".stl" | ".dae" | ".usdz":
            return "a mesh, not Gaussians; train on the capture that it comes from"
        case ".lcc" | ".rad" | ".pt" | ".pth" | ".ckpt" | ".npz":
            return "of a format that cannot be read; export a .ply from the program that made it"
        case ".tar" | ".tgz" | ".zip" | ".rar" | ".7z":
            return "an archive; unpack it, and name the scene in it"
    return f"not known by its content, nor by its name; scenes are files ending in {_ends()}"


def _named(path: Path) -> str | None:
    """The end of a file's name, or the whole of it, that stands in `FORMATS`."""
    name = path.name.lower()
    return next((end for end in FORMATS if name == end or (end.startswith(".") and name.endswith(end))), None)


def _recognized(path: Path) -> str | None:
    """What a file is by its content; None for formats that were added from outside, which go by their names."""
    end = _named(path)
    return recognized(path) if end is None or end in OWN else None


def format_to_read(path: Path) -> Format:
    """The format of a file by its content; by its name where the content does not say.

    Raises:
        InputError: it is a file of another kind, or of none that is known.
    """
    end = _recognized(path)
    if end == ".gz":
        raise InputError(f"{path}: is packed with gzip; unpack it first (gunzip)")
    if end is None and _named(path) is None:
        raise InputError(f"{path}: is {_strange(path)}")
    if end is None:
        return format_of(path)
    known = FORMATS[end]
    named = FORMATS.get(_named(path) or end, known)
    if named.name != known.name and not {named.name, known.name} <= {"PLY", "compressed PLY"}:
        warnings.warn(f"{path}: its content is {known.name}, whatever its name says, and is read as that", stacklevel=3)
    return known


def is_scene(path: Path) -> bool:
    """Whether a file's content is that of a scene, whatever its name."""
    try:
        return recognized(path) is not None
    except InputError:
        return False


def writable(path: Path, order: sog.Order = "morton") -> Format:
    """The format of a file to write.

    Raises:
        InputError: it can only be read, or its order cannot be chosen.
    """
    known = format_of(path)
    if known.write is None:
        raise InputError(f"{path}: {known.name} can be read only; write another format")
    if order != "morton" and not known.any_order:
        others = ", ".join(end for end, other in FORMATS.items() if other.any_order)
        raise InputError(f"{path}: {known.name} has an order of its own; `order` {order} is for {others}")
    return known


def load(path: str | Path, options: FormatOptions | None = None) -> Gaussians:
    """Read a scene of any format, also from the folder of a run (its latest scene) or of an unzipped SOG.

    Gaussians that cannot be drawn are left out, with a warning that says how many and why.

    Raises:
        InputError: there is none, or it is damaged.
    """
    return load_with_facts(path, options).gaussians


def load_with_facts(path: str | Path, options: FormatOptions | None = None) -> LoadedScene:
    """The same, with what the file says besides.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path, options = find_scene(Path(path)), options or FormatOptions()
    if _recognized(path) == ".gz":
        with unpacked(path) as inner:
            return replace(_loaded(inner, options), size=path.stat().st_size)
    return _loaded(path, options)


def _loaded(path: Path, options: FormatOptions) -> LoadedScene:
    known = format_to_read(path)
    read = known.load(path, options)
    gaussians = only_drawable(read.gaussians, str(path))
    left_out = len(read.gaussians) - len(gaussians)
    if not len(gaussians):
        warnings.warn(f"{path}: holds no Gaussians that can be drawn", stacklevel=3)
    fine = with_finite_values(gaussians)
    return LoadedScene(fine, known.antialiased(path), left_out, read.georeference, size_of(path))


def only_drawable(gaussians: Gaussians, name: str) -> Gaussians:
    """The scene without what cannot be drawn; a warning says how many Gaussians of `name` those are, and why.

    The scene itself where all can be drawn.
    """
    fine = drawable(gaussians)
    left_out = len(gaussians) - int(fine.sum())
    if not left_out:
        return gaussians
    counts = [(int(broken.sum()), reason) for reason, broken in defects(gaussians)]
    reasons = ", ".join(f"{count:,} {reason}" for count, reason in counts if count)
    warnings.warn(
        f"{name}: {left_out:,} of {len(gaussians):,} Gaussians cannot be drawn and are left out ({reasons})",
        stacklevel=3,
    )
    return gaussians[fine]


def save(gaussians: Gaussians, path: str | Path, options: FormatOptions | None = None) -> None:
    """Write a scene in the format that the name ends in, atomically. Lossy formats leave out what cannot be drawn.

    Raises:
        InputError: the format cannot be written, or cannot hold this scene.
        OSError: the folder cannot be written or the disk is full; an existing file is then unharmed.
    """
    path, options = Path(path), options or FormatOptions()
    known = writable(path, options.order)
    if gaussians.sh_degree > known.degree > 0:
        raise InputError(
            f"{path}: {known.name} holds harmonics up to degree {known.degree}, the scene has {gaussians.sh_degree}; "
            f"reduce the degree (`sh_degree` {known.degree})"
        )
    assert known.write is not None
    if known.name != "PLY":  # which holds anything, bit for bit
        gaussians = only_drawable(gaussians, str(path))
    steps = known.position_steps
    if options.placement is not None and not known.places:
        gaussians, steps = options.placement.gaussians(gaussians), steps or float_steps
    if steps is not None:
        check_positions(gaussians, steps, path, known.name)
    known.write(gaussians, path, options)


def size_of(path: Path) -> int:
    """Bytes of a scene's file that can be read, and of those that it names."""
    known = FORMATS.get(_recognized(path) or _named(path) or "")
    size = path.stat().st_size
    for file in set(known.members(path)) if known is not None else ():
        with contextlib.suppress(OSError, ValueError):  # what is not there holds nothing
            size += file.stat().st_size
    return size


def _moved(gaussians: Gaussians, georeference: Georeference | None) -> LoadedScene:
    return LoadedScene(gaussians, georeference=georeference)
