"""The verbs of captures, one file a verb: options and body.

May import everything below splat.datasets.
"""
