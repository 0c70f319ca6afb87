"""Options of verbs: dataclasses whose fields become flags, whose docstrings become the help.

markers.py says what a field's type alone cannot; flags.py lists the flags of such a class; parse.py makes an instance from a
command line. May import splat.errors.
"""
