"""Options of `.splatz` that measurement has shown to lose against its default: residual codebooks and midpoints.

Kept apart so that the main path reads without them. May import what splat.compression.formats.splatz may.
"""
