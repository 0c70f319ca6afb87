"""The version of splat, for whatever writes it into a file. pyproject.toml says the same."""

__version__ = "0.1.0"
