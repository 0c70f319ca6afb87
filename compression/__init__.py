"""Scenes made small: file formats, coding, simplification, and what formats can represent, to train on.

May import splat and splat.cuda_rasterizer.
"""
