"""`.splatz`: the format of this project, entropy-coded codes in steps chosen by what is seen.

container.py reads and writes it, quantization.py says which numbers a scene becomes, optional/ is for what lost when measured.
May import splat, splat.compression.coding and the flat modules of splat.compression.formats, except the registry.
"""
