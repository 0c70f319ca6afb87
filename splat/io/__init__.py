"""Files of the core: images, videos, PLY, camera paths, and files that are replaced as a whole; facts printed, sizes parsed.

May import splat.geometry and the flat modules of splat.
"""
