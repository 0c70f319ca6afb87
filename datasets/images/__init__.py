"""Photos, and the masks and depth maps beside them: decoded, resized, undistorted, cached.

May import splat.
"""
