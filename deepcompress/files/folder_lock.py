"""Locks a folder itself, so that no lock file has to be kept or cleaned away."""

import logging
import os

from ..errors import OutputError

try:
    import fcntl
except ImportError:  # not a POSIX system: two runs at once go unnoticed
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger(__name__)


def lock_folder(folder: str | os.PathLike[str]) -> int | None:
    """Lock a folder; return a descriptor that is to be closed, None where there are no locks.

    The lock goes with the process, however that ends.

    Raises
    ------
    OutputError
        If another run has it.
    """
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise OutputError(
            f"{os.fspath(folder)}: another run is writing here; "
            "wait for its end or choose another --out"
        ) from None
    except OSError as reason:  # some network file systems can't
        _log.warning("%s: can't be locked: %s", os.fspath(folder), reason.strerror)
    return descriptor
