"""Scenes made small: pruning, codebooks, and one module for every file format."""
