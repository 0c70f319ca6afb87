"""Scenes made small: file formats and their quantizers, coding, simplification.

formats stands above coding, simplify is beside them, commands on top. May import splat and splat.cuda_rasterizer.
"""
