"""The version of splat, for what it writes."""

__version__ = "0.1.0"
