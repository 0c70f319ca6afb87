"""What differs from photo to photo and is not the scene: exposure, bilateral grids; and the sky behind it."""
