"""What every part of the child script may raise while a model is loaded."""


class LoadError(Exception):
    """Nothing was loaded; ``code`` is stable, the text one line for people, ``traceback`` for the log."""

    def __init__(self, code, message, trace=""):
        Exception.__init__(self, message)
        self.code, self.traceback = code, trace
