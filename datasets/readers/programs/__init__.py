"""Readers of captures that other programs export: Metashape, RealityScan, Bundler, OpenSfM, OpenMVG, Polycam, Record3D, a file
a program, and what they are made of: entries.py, lenses.py and beside.py.

Each gives a `Model`. May import splat, splat.datasets.images, and the modules of splat.datasets.readers.
"""
