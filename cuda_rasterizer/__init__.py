"""The compiled kernels and the only Python that touches them. Imports torch and nothing else of this project."""
