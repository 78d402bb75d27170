"""Networks run from their files: as exactly as rounding allows, or not at all."""

import itertools
import pickle
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from support.networks import exact, networks, random_params
from threadpoolctl import threadpool_limits

import deepcompress
from deepcompress import CompressedNetwork, native
from deepcompress.commands.convert import convert
from deepcompress.errors import ArgumentError, DataError, FormatError
from deepcompress.model import CompressedModel
from deepcompress.nn import zoo
from deepcompress.nn.conv import Conv2D
from deepcompress.nn.definition import to_definition
from deepcompress.nn.layers import Concat, ReLU
from deepcompress.nn.network import Network
from deepcompress.runtime import crossover
from deepcompress.runtime.preprocessing import Preprocessing

PREPROCESSING = Preprocessing((28, 28), "L", scale=(1 / 255,))


@pytest.fixture(scope="module")
def golden(squeezenet_folder: Path) -> dict[str, np.ndarray]:
    """Pictures and their outputs; fewer of them for NumPy, which takes half a second for one."""
    count = 16 if native.active() else 2
    with np.load(squeezenet_folder / "golden.npz", allow_pickle=False) as arrays:
        return {name: arrays[name][:count] for name in ("images", "logits")}


@pytest.mark.parametrize("form", ["dense", "decompressed", "packed", "chosen"])
def test_squeezenet_of_the_authors(
    form: str, golden: dict[str, np.ndarray], squeezenet_file: Path
) -> None:
    if form == "dense":
        model = deepcompress.load(squeezenet_file)
        network = CompressedNetwork(
            zoo.build("squeezenet"),
            model.to_dense(),
            Preprocessing.from_metadata(model.metadata["preprocessing"]),
        )
    else:
        how = {"decompressed": "always", "packed": "never", "chosen": "auto"}[form]
        network = CompressedNetwork.load(squeezenet_file, dense=how)
    logits = network.predict_images(golden["images"], batch_size=5)
    assert np.abs(logits - golden["logits"]).max() <= 1e-3
    assert np.array_equal(logits.argmax(axis=1), golden["logits"].argmax(axis=1))
    packed = [one.is_packed for one in network.params if len(one.shape) > 1]
    assert {"dense": not any(packed), "decompressed": not any(packed), "packed": all(packed)}.get(
        form, True
    )


@settings(max_examples=25)  # each builds a network and runs it four times
@given(
    networks(), st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.integers(0, 2**32 - 1), st.integers(1, 7)
)
def test_packed_and_dense_agree_with_float64(network, density, seed, batch_size) -> None:
    packed, dense = random_params(network, density, seed)
    x = np.random.default_rng(seed).standard_normal((7, *network.input_shape)).astype(np.float32)
    expected, bound = exact(network, dense, x)
    for params, piece in itertools.product((packed, dense), (None, 2)):
        compressed_network = CompressedNetwork(network, params)
        if piece:  # of a batch; as a rule there is no more than one with such small pictures
            compressed_network._inference._piece = piece
        y = compressed_network.predict(x, batch_size)
        assert y.dtype == np.float32
        assert (np.abs(y - expected) <= bound).all()


def test_an_output_that_others_take_too_is_not_rectified() -> None:
    layers = (Conv2D("conv", 1, 1, kernel=1), ReLU("relu"), Concat("both"))
    network = Network("twice", layers, (1, 1, 2), {"both": ["conv", "relu"]})
    params = {"conv.weight": np.ones((1, 1, 1, 1), np.float32), "conv.bias": np.zeros(1)}
    y = CompressedNetwork(network, params).predict([[-3, 4]])
    assert np.array_equal(y, [[[[-3, 4]], [[0, 4]]]])


@pytest.fixture
def lenet(tmp_path: Path) -> Path:
    return save(tmp_path)


def save(folder: Path, change=None, **metadata: object) -> Path:
    """Write LeNet-5 untrained; `change` maps its dense parameters to others."""
    params = zoo.build("lenet-5").init(np.random.default_rng(0))
    config = deepcompress.Config(deepcompress.TensorConfig(sparsity=0.9, bits=4))
    model = deepcompress.compress(
        change(params) if change else params,
        config,
        metadata={"network": "lenet-5", "preprocessing": PREPROCESSING.to_metadata()} | metadata,
    )
    model.save(folder / "net.dcnn")
    return folder / "net.dcnn"


def test_the_result_is_the_same_for_every_number_of_threads(lenet: Path) -> None:
    x = np.random.default_rng(1).standard_normal((9, 1, 28, 28)).astype(np.float32)
    for dense in ("never", "always", "auto"):
        network = CompressedNetwork.load(lenet, dense=dense)
        with threadpool_limits(1):
            expected = network.predict(x)
        for threads in (2, 3):
            with threadpool_limits(threads):
                assert np.array_equal(network.predict(x), expected)


def test_what_is_known_of_a_network(lenet: Path) -> None:
    network = CompressedNetwork.load(lenet, dense="never")
    assert (network.name, network.input_shape) == ("lenet-5", (1, 28, 28))
    assert [one.name for one in network.params] == list(zoo.build("lenet-5").param_shapes)
    for one in network.params:
        is_weight = one.name.endswith(".weight")
        assert one.is_packed == is_weight
        assert one.density == pytest.approx(0.1 if is_weight else 0, abs=0.01)
    packed = sum(one.nbytes for one in network.params)
    dense = sum(one.nbytes for one in CompressedNetwork.load(lenet, dense="always").params)
    assert dense == 4 * 431_080
    assert packed < dense / 4


def test_a_definition_travels_with_the_file(tmp_path: Path) -> None:
    network = zoo.build("lenet-5")
    path = save(tmp_path, network=to_definition(network) | {"name": "mine"})
    loaded = CompressedNetwork.load(path)
    x = np.random.default_rng(1).standard_normal((2, 1, 28, 28)).astype(np.float32)
    assert loaded.name == "mine"
    assert np.array_equal(loaded.predict(x), CompressedNetwork.load(save(tmp_path)).predict(x))


def test_no_input_no_output(lenet: Path) -> None:
    network = CompressedNetwork.load(lenet)
    assert network.predict(np.zeros((0, 1, 28, 28))).shape == (0, 10)
    assert network.predict_images([]).shape == (0, 10)
    assert network.predict(np.zeros((3, 784), np.uint8)).shape == (3, 10)


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.zeros((1, 3, 28, 28)), "inputs of shape"),
        (np.zeros((28, 28)), "inputs of shape"),
        (np.zeros(784), "inputs of shape"),
        (np.zeros((1, 784), complex), "real numbers"),
        ([[1, 2], [3]], "isn't an array"),
        (["a"], "real numbers"),
    ],
)
def test_wrong_inputs(lenet: Path, x: object, reason: str) -> None:
    with pytest.raises(ArgumentError, match=reason):
        CompressedNetwork.load(lenet).predict(x)


def test_wrong_options(lenet: Path, tmp_path: Path) -> None:
    network = CompressedNetwork.load(lenet)
    for batch_size in (0, -1, 1.5, True, "2"):
        for call in (network.predict, network.predict_images):
            with pytest.raises(ArgumentError, match="batch_size"):
                call(np.zeros((1, 28, 28), np.uint8), batch_size)
    with pytest.raises(ArgumentError, match="dense must be one of"):
        CompressedNetwork.load(lenet, dense="maybe")
    with pytest.raises(ArgumentError, match=r"conv1.weight.*max_bytes is 100"):
        CompressedNetwork.load(lenet, max_bytes=100)
    with pytest.raises(ArgumentError, match=r"ip1.weight'.* takes? \d"):
        CompressedNetwork.load(lenet, dense="always", max_bytes=4 * 500 * 800 - 1)
    with pytest.raises(ArgumentError, match="several, not one path"):
        network.predict_images("picture.png")
    with pytest.raises(DataError, match="No such file"):
        CompressedNetwork.load(tmp_path / "absent")
    alone = CompressedNetwork(network.network, deepcompress.load(lenet))
    with pytest.raises(ArgumentError, match="no preprocessing"):
        alone.predict_images([])


def without(name: str):
    return lambda params: {key: value for key, value in params.items() if key != name}


LAYERS = to_definition(zoo.build("lenet-5"))["layers"]


def definition(change) -> dict[str, object]:
    """Return a definition of LeNet-5, its layer conv2 changed."""
    layers = [entry | change if entry["name"] == "conv2" else entry for entry in LAYERS]
    return {"name": "lenet", "input_shape": [1, 28, 28], "layers": layers}


@pytest.mark.parametrize(
    ("change", "metadata", "error", "reason"),
    [
        (without("ip1.bias"), {}, ArgumentError, "tensor 'ip1.bias' .* is missing"),
        (
            lambda params: params | {"ip3.bias": np.ones(2)},
            {},
            ArgumentError,
            "has no tensor 'ip3.bias'",
        ),
        (
            lambda params: params | {"ip2.weight": np.ones((10, 5))},
            {},
            ArgumentError,
            r"'ip2.weight' has shape \(10, 5\), .* \(10, 500\)",
        ),
        (
            lambda params: params | {"ip2.bias": np.ones(10, complex)},
            {},
            ArgumentError,
            "'ip2.bias' is of complex128",
        ),
        (None, {"network": None}, ArgumentError, "names no network"),
        (None, {"network": 5}, ArgumentError, "names no network"),
        (None, {"network": "lenet-6"}, ArgumentError, "'lenet-6'"),
        (None, {"network": {}}, FormatError, "has no name"),
        (None, {"network": definition({"type": "Magic"})}, FormatError, "conv2.*unknown type"),
        (None, {"network": definition({"sources": ["ip1"]})}, FormatError, "isn't before it"),
        (None, {"network": definition({"sources": ["conv2"]})}, FormatError, "isn't before it"),
        (None, {"network": definition({"inputs": 19})}, FormatError, "conv2.*expected"),
        (None, {"preprocessing": {"size": 28}}, FormatError, "has no channels"),
        (None, {"preprocessing": None}, FormatError, "must be an object"),
        (
            None,
            {"preprocessing": PREPROCESSING.to_metadata() | {"channels": "RGB"}},
            ArgumentError,
            r"shape \(3, 28, 28\)",
        ),
    ],
)
def test_files_that_hold_no_network(tmp_path: Path, change, metadata, error, reason) -> None:
    path = save(tmp_path, change, **metadata)
    with pytest.raises(error, match=reason) as caught:
        CompressedNetwork.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).count(str(path)) == 1


def test_a_damaged_tensor_is_named(lenet: Path) -> None:
    data = bytearray(lenet.read_bytes())
    data[-50] ^= 1
    lenet.write_bytes(data)
    with pytest.raises(FormatError, match=f"^{lenet}: .*tensor 'ip2"):
        CompressedNetwork.load(lenet)


def test_a_packed_vector_becomes_dense() -> None:
    params = zoo.build("digits").init(np.random.default_rng(0))
    config = deepcompress.Config(by_kind={"bias": {"method": "shared", "min_size": 0}})
    model: CompressedModel = deepcompress.compress(params, config)
    network = CompressedNetwork(zoo.build("digits"), model)
    assert {one.name for one in network.params if one.is_packed} == {
        "ip1.weight",
        "ip2.weight",
        "ip3.weight",
    }


@pytest.mark.usefixtures("kernels")  # NumPy's twins take half a minute
def test_the_authors_squeezenet_sees_photographs_as_it_was_trained(
    photographs_folder: Path, squeezenet_folder: Path, tmp_path: Path
) -> None:
    """Data's README: stretched to 256 x 256, middle 227 x 227, top-1 63.0 %, top-5 83.8 %."""
    source, listed = (squeezenet_folder / n for n in ("compressed_SqueezeNet.net", "layers.json"))
    convert(str(source), str(tmp_path / "x.dcnn"), layers=str(listed))
    rows = (photographs_folder / "labels.csv").read_text(encoding="utf-8").split()
    names, classes = zip(*(row.split(",") for row in rows if row[0].isdigit()), strict=True)
    network = CompressedNetwork.load(tmp_path / "x.dcnn")
    logits = network.predict_images([photographs_folder / name for name in names])
    best = np.argsort(-logits, axis=1, kind="stable")[:, :5]
    right = best == np.array(classes, int)[:, np.newaxis]
    assert right[:, 0].mean() >= 0.625
    assert right.any(axis=1).mean() >= 0.833


@pytest.mark.usefixtures("kernels")
def test_loading_names_what_winograd_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = (
        Conv2D("one", 32, 64, 3, padding=1),
        Conv2D("apart", 64, 8, 3, stride=2),
        Conv2D("groups", 8, 8, 3, groups=2),
        Conv2D("wide", 8, 8, 5),
    )
    network = Network("convolutions", layers, (32, 24, 24))
    params = network.init(np.random.default_rng(0))
    config = deepcompress.Config(deepcompress.TensorConfig(sparsity=0.5, bits=4))
    model = deepcompress.compress(params, config, metadata={"network": to_definition(network)})
    model.save(tmp_path / "net.dcnn")
    asked = []

    def takes(*sizes: object) -> bool:
        asked.append(sizes[:4])
        return True

    x = np.random.default_rng(1).standard_normal((1, 32, 24, 24)).astype(np.float32)
    never = CompressedNetwork.load(tmp_path / "net.dcnn", dense="never").predict(x)
    monkeypatch.setattr(crossover, "convolution_runs_winograd", takes)
    for dense in ("auto", "always"):
        loaded = CompressedNetwork.load(tmp_path / "net.dcnn", dense=dense)
        assert loaded._programs._by_winograd == {"one.weight"}
        again = pickle.loads(pickle.dumps(loaded))
        for one in (loaded, again):
            np.testing.assert_allclose(one.predict(x), never, atol=1e-5 * np.abs(never).max())
    assert asked == [(64, 32, 9216, (24, 24)), (64, 32, 18432, (24, 24))]
    for options in ({"dense": "never"}, {"dense": "auto", "max_bytes": 144 * 64 * 32 - 1}):
        few = CompressedNetwork.load(tmp_path / "net.dcnn", **options)
        assert few._programs._by_winograd == frozenset()
    assert CompressedNetwork.of(model)._programs._by_winograd == frozenset()
