"""The verbs of the viewer, one file a verb: options and body.

May import everything of splat.viewer.
"""
