"""Editing: selection, moving, measuring, and the history of edits.

May import splat, splat.datasets and splat.compression, splat.viewer.draw, and the viewer's context with the modules below it;
never the app, live or another folder of the viewer.
"""
