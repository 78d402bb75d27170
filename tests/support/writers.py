"""Folders that are written to, and processes that write."""

import os
import subprocess
import sys
from pathlib import Path

import deepcompress


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def run_python(*arguments: object) -> subprocess.Popen:
    """Start Python with the package that is tested here."""
    env = {**os.environ, "PYTHONPATH": str(Path(deepcompress.__file__).parents[1])}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
