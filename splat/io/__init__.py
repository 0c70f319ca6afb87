"""Files of the core: images, videos, PLY, camera paths, and files that are replaced as a whole.

May import splat.geometry and the flat modules of splat.
"""
