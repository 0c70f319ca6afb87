"""Captures: photos and their cameras, read from disk, found by structure from motion, or made by a program.

May import splat and splat.cuda_rasterizer.
"""

from splat.datasets.readers import colmap_library as colmap_library
