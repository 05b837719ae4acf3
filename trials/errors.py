"""Every kind of error that trials raise, and what the command and trials say of an error."""

from __future__ import annotations

import errno

from search_space.errors import LesionNasError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PASSING = (*_FULL, errno.EIO, errno.ESTALE, errno.ETIMEDOUT)  # after which the same command can succeed
_WORDS = {
    errno.ENOENT: "there is no such file or folder; check the name",
    errno.EACCES: "may not be used by you; change its permissions, or name another place",
    errno.EPERM: "may not be used by you; change its permissions, or name another place",
    errno.EROFS: "lies on a disk that cannot be written to; name another place",
    errno.EISDIR: "is a folder, expected a file",
    errno.ENOTDIR: "a part of this path is a file, expected folders; check the name",
    errno.EEXIST: "is there already; name another, or remove it",
    errno.ENOTEMPTY: "is a folder that holds something; name another, or empty it",
    errno.ENAMETOOLONG: "a longer name than the disk takes; name a shorter one",
    errno.ELOOP: "links that lead in a circle; name the place itself",
    errno.EMFILE: "too many open files; raise the limit: ulimit -n 4096",
    **dict.fromkeys(_FULL, "the disk is full; free some, or name a folder on another disk"),
}


class SettingsError(LesionNasError, ValueError):
    """A setting that does not exist or has a value that it cannot have."""


class ParametersError(LesionNasError, ValueError):
    """Something else than a trial's parameters."""


class DataError(LesionNasError, ValueError):
    """The data on disk is wrong; the text names the file, what was expected and the way out."""


class NoLesionError(DataError):
    """A frame in which no mask marks anything."""


class LeakError(LesionNasError, ValueError):
    """A test on images, or on other images of groups, that were seen before."""


class TrainingError(LesionNasError, RuntimeError):
    """A training that cannot go on."""


class DivergedTwiceError(TrainingError):
    """A training that has diverged, and in its second attempt too."""


class ModelError(LesionNasError, ValueError):
    """A folder that holds no model of ours, or a damaged one, or a model that gives no finite numbers."""


class TuningError(LesionNasError, ValueError):
    """Trials of a tuner that nothing can be chosen by."""


class RunFolderError(LesionNasError, ValueError):
    """An output folder that this run cannot use."""


class DamagedError(LesionNasError, ValueError):
    """A file of a finished run that is not as the run has left it."""


class LinkError(LesionNasError, ValueError):
    """A link that leads out of the folder to write to."""


class LockedError(LesionNasError, RuntimeError):
    """A lock that another process holds."""


class PredictionsError(LesionNasError, ValueError):
    """A table of predictions, or what is needed to read it, that holds no usable number."""


class EvaluationError(LesionNasError, ValueError):
    """Runs that are unfinished or do not belong together."""


class ExportError(LesionNasError, ValueError):
    """A model that does not say the same when it is exported, or what that check needs is not there."""


class ExplainError(LesionNasError, ValueError):
    """An explanation that cannot be made; the text says what is missing."""


class ExperimentError(LesionNasError, RuntimeError):
    """An experiment that could not be started, or that did not come to its end."""


class HostError(LesionNasError, RuntimeError):
    """A host that cannot take part in an experiment."""


def in_words(error: Exception, *, resumes: bool = True) -> str:
    """Return an error as a sentence; `resumes`: what it ended goes on by the same command.

    An error that no line of ours raises is named as a defect, with what to do.
    """
    if isinstance(error, LesionNasError):
        return str(error)
    if isinstance(error, OSError):
        goes_on = resumes and error.errno in _PASSING
        return f"{_of_system(error)}{_GOES_ON if goes_on else ''}"
    if isinstance(error, UnicodeError):
        return f"{_text(error)}: not UTF-8; rename the file, or save the text as UTF-8"
    if isinstance(error, MemoryError):
        return f"memory is full ({error}); close other programs, or take smaller batches or images"
    if isinstance(error, ModuleNotFoundError):
        return f"the package {error.name} is missing; install all: {install('dev')}"
    if isinstance(error, ValueError):
        return str(error)
    return (
        f"{type(error).__name__}: {error}: a defect of lesion-nas; please report it with what the same "
        "command prints with --debug"
    )


def install(extra: str) -> str:
    """Return the command that installs the packages of an extra of this project."""
    return f"pip install -c constraints.txt -e '.[{extra}]'"


def reason(error: Exception) -> str:
    """Return what is wrong, for a sentence that has named the place already."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


_GOES_ON = "; what was saved before is whole, and then the same command goes on from there"


def _of_system(error: OSError) -> str:
    words = _WORDS.get(error.errno or 0)
    if words is None or error.filename is None:
        return f"{words} ({error})" if words else str(error)
    return f"{error.filename}: {words}"


def _text(error: UnicodeError) -> str:
    found = getattr(error, "object", None)
    return ascii(found)[:120] if found is not None else str(error)
