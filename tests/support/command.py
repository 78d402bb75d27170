"""Runs the command line in this process, for the tests of `cli`."""

import contextlib
import io
import json

import deepcompress
from deepcompress import cli


def call(*arguments: object) -> tuple[int, str, str]:
    """Run a command; return its exit status, standard output and standard error."""
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        status = cli.main([str(argument) for argument in arguments])
    return status, out.getvalue(), error.getvalue()


def fails(status: int, *arguments: object) -> str:
    """Run a command that must fail with this status, as text and in JSON; return its message."""
    *result, error = call(*arguments)
    assert result == [status, ""]
    message = error.removeprefix("deepcompress: error: ").removesuffix("\n")
    assert error == f"deepcompress: error: {message}\n"
    assert "\n" not in message
    *result, error_too = call(*arguments, "--json")
    values = json.loads(result[1])
    assert (result[0], error_too, values["error"]) == (status, error, message)
    assert issubclass(getattr(deepcompress, values["kind"]), deepcompress.DeepCompressError)
    return message
