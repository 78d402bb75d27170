"""What all tests share: hypothesis profiles, the data folder, a header that says what is tested."""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

import deepcompress
from deepcompress import native
from deepcompress.experiments import datasets
from deepcompress.formats import net
from deepcompress.formats.layers import load_layers
from deepcompress.native import gateway
from deepcompress.runtime import costs
from deepcompress.runtime.preprocessing import Preprocessing

settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("brief", deadline=None, derandomize=True, max_examples=30)
settings.register_profile("deep", deadline=None, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

# Tests of what an extra brings are there where it is installed.
collect_ignore_glob = [] if find_spec("torch") else ["test_torch*.py"]

DATA_FOLDER = Path(
    os.environ.get("DEEPCOMPRESS_DATA") or Path(__file__).parents[2] / "shared" / "data"
)


def pytest_report_header() -> str:
    """Say which copy of the package is tested, installed or checkout, and on which backend."""
    info = native.info()
    return f"deepcompress: {Path(deepcompress.__file__).parent}, {info['backend']} {info['isa']}"


@pytest.fixture(autouse=True, scope="session")
def shipped_costs() -> Iterator[None]:
    """Have the costs of products be those of the package, whatever this user has measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "path", lambda: Path("none") / "costs.json")
        yield


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """Folder for `load_mnist`; the test is skipped where MNIST is absent."""
    if not (DATA_FOLDER / "mnist").is_dir():
        pytest.skip(f"no MNIST in {DATA_FOLDER} (set DEEPCOMPRESS_DATA)")
    return DATA_FOLDER


@pytest.fixture(scope="module")
def kernels() -> Iterator[None]:
    """Have the C kernels compute, whatever the environment says but for the instruction set."""
    if gateway._load()[0] is None:
        pytest.skip("no C extension")
    with nullcontext() if native.active() else native.use("native"):
        yield


@pytest.fixture(scope="session")
def digits() -> datasets.Dataset:
    """Give few of scikit-learn's digits, for runs that are short."""
    data = datasets.load_digits()
    return replace(data, train_images=data.train_images[:400], train_labels=data.train_labels[:400])


@pytest.fixture(scope="session")
def squeezenet_folder() -> Path:
    """Folder of the authors' SqueezeNet; the test is skipped where it is absent."""
    folder = DATA_FOLDER / "squeezenet"
    if not folder.is_dir():
        pytest.skip(f"no squeezenet in {DATA_FOLDER} (set DEEPCOMPRESS_DATA)")
    return folder


@pytest.fixture(scope="session")
def photographs_folder() -> Path:
    """Folder of 500 photographs and `labels.csv`; the test is skipped where it is absent."""
    folder = DATA_FOLDER / "photographs"
    if not folder.is_dir():
        pytest.skip(f"no photographs in {DATA_FOLDER} (set DEEPCOMPRESS_DATA)")
    return folder


@pytest.fixture(scope="session")
def real_weights_folder() -> Path:
    """Folder of trained weights of real networks; the test is skipped where it is absent."""
    folder = DATA_FOLDER / "real-weights"
    if not folder.is_dir():
        pytest.skip(f"no real-weights in {DATA_FOLDER} (set DEEPCOMPRESS_DATA)")
    return folder


@pytest.fixture(scope="session")
def squeezenet_file(squeezenet_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the authors' SqueezeNet as a ``.dcnn`` file, all in it that a network needs."""
    data = (squeezenet_folder / "compressed_SqueezeNet.net").read_bytes()
    model = net.read(data, load_layers(squeezenet_folder / "layers.json"))
    preprocessing = Preprocessing((227, 227), "BGR", mean=(104, 117, 123))
    metadata = {"network": "squeezenet", "preprocessing": preprocessing.to_metadata()}
    path = tmp_path_factory.mktemp("squeezenet") / "squeezenet.dcnn"
    replace(model, metadata=metadata).save(path)
    return path
