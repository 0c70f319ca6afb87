"""Evaluation: image metrics, held-out views, the report.

May import splat.training.losses, splat.training.per_image and the configuration of training.
"""
