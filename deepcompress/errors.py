"""The closed list of errors that deepcompress raises on purpose.

Every one derives from `DeepCompressError`, and from the built-in exception
that a caller who doesn't know us would expect (`ValueError`, `OSError`, …).
A message names the tensor, the offset or the option that is wrong.
"""

_SHOWN = 60  # characters of a value that may be of any size


class DeepCompressError(Exception):
    """Base of every error of ours."""


class ArgumentError(DeepCompressError, ValueError):
    """An argument or an option has a value, shape or dtype that can't be used."""


class ConfigError(ArgumentError):
    """A configuration, recipe or environment variable names an unknown choice."""


class FormatError(DeepCompressError, ValueError):
    """Bytes that were read don't follow their format."""


class TruncatedError(FormatError):
    """A file or stream ends before what it declares."""


class ChecksumError(FormatError):
    """Stored and computed checksums differ: the bytes were changed."""


class VersionError(FormatError):
    """The file was written by a newer version of the format."""


class DataError(DeepCompressError, ValueError):
    """A data set is missing, truncated or not what its header says."""


class OutputError(DeepCompressError, OSError):
    """A result could not be written (disk full, no permission, another run's folder)."""


class BackendError(DeepCompressError, RuntimeError):
    """The requested backend or instruction set is not available here."""


def shown(value: object) -> str:
    """Return a value as messages show it, short whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # more digits or depth than Python prints
        return "something too large"
    except Exception:  # whatever the class of the value raises
        return f"something of {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
