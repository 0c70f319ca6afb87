"""The verbs of file formats, one file a verb: options and body.

May import everything below splat.compression.
"""
