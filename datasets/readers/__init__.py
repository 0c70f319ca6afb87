"""Readers of camera models, one file a source: COLMAP, transforms.json, and those of other programs in programs/. Each gives a
`Model`; choose.py says which is taken.

May import splat, and splat.datasets.images.
"""
