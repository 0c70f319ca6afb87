"""The Gaussians that a run starts from.

May import splat.datasets, and the configuration and the schedules of training.
"""
