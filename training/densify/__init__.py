"""Densification: strategies that add and remove Gaussians during training, one file a strategy.

A new one is a `Strategy` (base.py), a case in choose.py, and a name in `DensifyConfig.strategy` (training/config.py).

May import the optimizer, the schedules and the configuration of training.
"""
