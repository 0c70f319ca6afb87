"""Shared pages: one HTML file with a scene and a WebGL viewer (web/) in it.

May import splat, splat.datasets and splat.compression; nothing else of the viewer.
"""
