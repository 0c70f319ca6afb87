"""Editing: selection, moving, measuring, and the history of edits.

May import splat.viewer.draw and the viewer's context, never the app.
"""
