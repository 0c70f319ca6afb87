"""Panels at the side of the picture: look, photos, scenes, training, help.

May import splat.viewer.draw and the viewer's context, never the app.
"""
