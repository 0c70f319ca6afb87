"""Panels at the side of the picture: look, photos, scenes, training, help.

May import splat, splat.datasets and splat.compression, splat.viewer.draw, and the viewer's context with the modules below it;
never the app, live or another folder of the viewer.
"""
