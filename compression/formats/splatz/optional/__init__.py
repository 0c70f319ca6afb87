"""Options of `.splatz` that measurement has shown to lose against its default: residual codebooks and midpoints.

Kept apart so that the main path reads without them. May import splat, splat.compression.coding, and of
splat.compression.formats.splatz what is below them: canonical, shapes and steps.
"""
