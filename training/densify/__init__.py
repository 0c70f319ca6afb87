"""Strategies of adaptive density control: where Gaussians are added and removed while training."""
