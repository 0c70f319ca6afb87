"""Losses: the photometric objective, regularization of geometry, the target images.

May import the schedules and the configuration of training.
"""
