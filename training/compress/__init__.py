"""Compression that measures on photos: search for settings, fine-tuning, report.

May import everything of splat.training but its commands.
"""
