"""The reference reader, docs/reader.py, as a module."""

import importlib.util
from pathlib import Path

READER = Path(__file__).parents[2] / "docs" / "reader.py"
found = importlib.util.spec_from_file_location("reader", READER)
reader = importlib.util.module_from_spec(found)
found.loader.exec_module(reader)
