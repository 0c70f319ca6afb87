"""The sample capture: a still life, its ray tracer, and the COLMAP model that goes with the photographs.

May import splat.
"""
