"""Rigid motions and what follows from them: rotations, similarities, alignment, viewpoints, camera paths, orbits, Morton order.

May import the flat modules of splat (cameras, gaussians, errors), not splat.io or splat.reference.
"""
