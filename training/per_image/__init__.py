"""What is learned of each photo: exposure, bilateral grids, pose corrections; and the sky.

May import the configuration of training.
"""
