"""Captures as other programs write them, a file a program, written from known cameras for tests. May import posed_photos."""
