"""The verb `splat compress`."""

from splat.training.compress.options import CompressOptions


def compress(options: CompressOptions) -> None:
    """Make a trained scene small, and say what it costs.

    Prunes what matters least, fine-tunes with --finetune, writes with codebooks and entropy coding, and reads the file back to
    measure it: Gaussians, bytes, PSNR and SSIM before and after every step. With --max-size or --max-drop it finds out by
    itself how. Leaves a page with all of it beside the file.
    """
    from splat.training.compress.compress_scene import compress_scene

    compress_scene(options)
