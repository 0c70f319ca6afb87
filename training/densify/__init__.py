"""Densification: strategies that add and remove Gaussians during training, one file a strategy with its options.

A new one is a `DensifyConfig` whose `build` makes a `Strategy` (both in base.py), and an entry of `STRATEGIES` in choose.py.

May import splat.datasets, and the optimizer and the schedules of training.
"""
