"""Densification: strategies that add and remove Gaussians during training, one file a strategy.

May import the optimizer, the schedules and the configuration of training.
"""
