"""File formats of scenes, one file or folder a format, and the registry that finds the one for a file.

May import splat and splat.compression.coding; the registry also splat.compression.quantize_aware.
"""
