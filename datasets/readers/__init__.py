"""Readers of camera models, one file a source: COLMAP, transforms.json. Each gives a `Model`.

May import splat, and splat.datasets.images.
"""
