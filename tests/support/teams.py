"""Teams of threads that Python wouldn't choose."""

from deepcompress.native import gateway
from deepcompress.native import pool as native_pool

LONG = 1e9  # nanoseconds of work, for which any thread is woken


def team_of(threads, nanoseconds=LONG):
    """Return a struct dc_team *, also for one thread."""
    pool = native_pool._get_pool()
    return gateway._ffi().new("struct dc_team *", (pool, threads, nanoseconds))


def always(threads):
    """Return what takes the place of `gateway._team`: as many threads for whatever work."""
    return lambda *_: (team_of(threads), threads)
