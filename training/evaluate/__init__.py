"""Evaluation: image metrics, held-out views, the report.

May import splat.training.losses and splat.training.per_image.
"""
