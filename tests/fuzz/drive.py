"""Fuzz one reader in Python: ``python tests/fuzz/drive.py TARGET [libFuzzer's arguments]``."""

import functools
import importlib
import random
import sys
from pathlib import Path

import atheris

sys.path[0] = str(Path(__file__).parents[1])  # in place of this folder


def main() -> None:
    target = sys.argv.pop(1)
    with atheris.instrument_imports(include=["deepcompress"], enable_loader_override=False):
        module = importlib.import_module(f"fuzz.{target}")
        limits = importlib.import_module("fuzz.limits")
    options = {}
    if hasattr(module, "mutate"):

        def mutator(data: bytes, max_size: int, seed: int) -> bytes:
            try:
                return module.mutate(data, max_size, random.Random(seed), atheris.Mutate)
            except Exception:  # would hang; what a reader does wrong shows up when it runs
                return atheris.Mutate(data, max_size)

        options["custom_mutator"] = mutator
    atheris.Setup(sys.argv, functools.partial(limits.run, module), **options)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
