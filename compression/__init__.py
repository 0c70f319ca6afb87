"""Scenes made small: file formats, coding, simplification, and what formats can represent, to train on.

formats.registry stands above quantize_aware, which stands above the formats, which stand above coding; simplify is beside them,
commands on top. May import splat and splat.cuda_rasterizer.
"""
