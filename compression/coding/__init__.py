"""Coding of numbers: bytes, entropy coders, octrees, k-means, rotations, the straight-through estimator.

May import splat and splat.cuda_rasterizer; nothing else of splat.compression.
"""
