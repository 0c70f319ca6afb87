"""The one exception for what a user's files or flags got wrong."""


class InputError(ValueError):
    """A file, folder or flag cannot be used. The message names it, what was expected and came, and the remedy.

    The command line prints the message without a traceback and exits with status 1.
    """
