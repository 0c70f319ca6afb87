"""`splat compress`: make a scene small, and say what it costs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from splat.training.compress.settings import CompressSettings


@dataclass(frozen=True)
class CompressOptions:
    """Options of `splat compress`."""

    scene: tyro.conf.Positional[Path]
    """Output folder of `splat train`, or a scene of any format."""

    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """File to write; its ending chooses the format, .splatz is the smallest. compressed.splatz in the run's folder, or beside
    the scene, unless given."""

    capture: Path | None = None
    """The capture that the scene was trained on: its photos measure what is lost, say which Gaussians matter, and fine-tune.
    A run knows it; without one the scene's own renders have to do."""

    settings: CompressSettings = field(default_factory=CompressSettings)

    device: str = "auto"
    """cpu, cuda, cuda:1 ...; auto takes the GPU where this build and this machine have one."""

    json: bool = False
    """Print JSON, for programs, and no table."""

    overwrite: bool = False
    """Replace an output that exists."""

    COMMON: ClassVar[Sequence[str]] = (
        "scene output capture max_bytes max_psnr_drop prune finetune sh_degree device json overwrite"
    ).split()


def compress(options: CompressOptions) -> None:
    """Make a trained scene small, and say what it costs.

    Prunes what matters least, fine-tunes with --finetune, writes the format that the name ends in, and reads the file back to
    measure it: Gaussians, bytes, PSNR and SSIM before and after every step. With --max-bytes or --max-psnr-drop it finds out
    by itself how. Leaves a page with all of it beside the file.
    """
    from splat.io.georeference_file import georeference_beside
    from splat.training.compress.compress_scene import compress as compress_scene
    from splat.training.compress.report import beside, print_table

    output = options.output or default_output(options.scene)
    found = compress_scene(
        options.scene,
        output,
        settings=options.settings,
        capture=options.capture,
        report=True,
        overwrite=options.overwrite,
        progress=not options.json,
        device=options.device,
    )
    if options.json:
        print(beside(output, "json").read_text(encoding="utf-8"), end="")
        return
    print_table(found.steps, found.against)
    print(f"scene     {output}")
    print(f"report    {beside(output, 'html')}")
    georeference = georeference_beside(output)
    if georeference is not None:
        print(f"coordinates {georeference.describe()}; {output.name}.georeference.json leads back")


def default_output(scene: Path) -> Path:
    return scene / "compressed.splatz" if scene.is_dir() else scene.with_name(f"{scene.stem}.splatz")
