"""Captures: photos and their cameras, read from disk or made by a program."""
