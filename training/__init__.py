"""Training: a capture in, optimised Gaussians out."""
