"""Drawing for browsers: what one looks at and how, pictures of scenes and photos, the loop that draws.

May import splat and splat.datasets, and of the viewer only its slots.
"""
