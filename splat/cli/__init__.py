"""The command line: `splat VERB`, and the verbs of the core, `splat info` and `splat doctor`.

May import all of splat; finds the verbs of other folders by name (verbs.py). Nothing imports it.
"""
