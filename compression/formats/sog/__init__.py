"""SOG: a scene as WebP images with codebooks, as PlayCanvas and SuperSplat write it.

May import splat, splat.compression.coding and the flat modules of splat.compression.formats, except the registry.
"""
