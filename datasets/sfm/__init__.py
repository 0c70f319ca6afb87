"""Structure from motion: cameras for photos or a video that have none.

May import splat, splat.datasets.readers and splat.datasets.images.
"""
