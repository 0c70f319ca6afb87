"""Camera paths in the viewer: keyframes, flights, videos.

May import splat.viewer.draw and the viewer's context, never the app.
"""
