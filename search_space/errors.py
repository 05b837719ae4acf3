"""The base of every error that the packages raise on purpose."""


class LesionNasError(Exception):
    """What went wrong, in a sentence that names the file or setting, what was expected and the way out.

    A subclass derives from the built-in exception, ValueError or RuntimeError, that callers expect as well.
    """
