"""What all tests share: hypothesis profiles, the data folder, a header that says what is tested."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

import deepcompress
from deepcompress import native

settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("deep", deadline=None, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

DATA_FOLDER = Path(
    os.environ.get("DEEPCOMPRESS_DATA") or Path(__file__).parents[2] / "shared" / "data"
)


def pytest_report_header() -> str:
    """Say which copy of the package is tested, installed or checkout, and on which backend."""
    info = native.info()
    return f"deepcompress: {Path(deepcompress.__file__).parent}, {info['backend']} {info['isa']}"


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """Folder for `load_mnist`; the test is skipped where MNIST is absent."""
    if not (DATA_FOLDER / "mnist").is_dir():
        pytest.skip(f"no MNIST in {DATA_FOLDER} (set DEEPCOMPRESS_DATA)")
    return DATA_FOLDER


@pytest.fixture(scope="session")
def squeezenet_folder() -> Path:
    """Folder of the authors' SqueezeNet; the test is skipped where it is absent."""
    folder = DATA_FOLDER / "squeezenet"
    if not folder.is_dir():
        pytest.skip(f"no squeezenet in {DATA_FOLDER} (set DEEPCOMPRESS_DATA)")
    return folder
