"""File formats of scenes, one file or folder a format; their quantizers; the registry that finds the format of a file.

May import splat and splat.compression.coding. The registry stands above the quantizers, which stand above the formats.
"""
