"""The viewer: scenes in the browser, also while they train, and pages to share them.

May import splat, splat.datasets, splat.compression and splat.cuda_rasterizer; never splat.training.
"""
