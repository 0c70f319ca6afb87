"""`.splatz`: the format of this project, entropy-coded codes in steps chosen by what is seen.

May import splat, splat.compression.coding and the flat modules of splat.compression.formats.
"""
