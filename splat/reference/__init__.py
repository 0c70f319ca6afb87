"""The specification: a slow, exact renderer in plain torch, one file a stage, that every kernel is tested against.

May import splat.geometry and the flat modules of splat.
"""
