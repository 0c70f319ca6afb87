"""The verbs of training, one file a verb: options and body.

May import everything of splat.training.
"""
