"""The Gaussians that a run starts from.

May import splat.datasets and training/config.py.
"""
