"""Fewer Gaussians: importance scores, and pruning by them.

May import splat.
"""
