"""Training: Gaussians optimized to match photos, evaluated, compressed, meshed.

May import splat, splat.datasets, splat.compression and splat.cuda_rasterizer; never splat.viewer.
"""
