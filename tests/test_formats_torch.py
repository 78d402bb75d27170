"""PyTorch's files, in and out; the tests are there where PyTorch is."""

import importlib.util
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command import call, fails
from support.full_disk import FullDisk
from support.round_trips import refused, there, there_and_back

import deepcompress as dc
from deepcompress.dtypes import from_torch
from deepcompress.errors import ArgumentError, OutputError
from deepcompress.formats import torch as formats
from deepcompress.formats.registry import open_source

if importlib.util.find_spec("torch") is None:
    pytest.skip("PyTorch isn't installed (extra torch)", allow_module_level=True)

import torch
from torch import nn
from torch.nn.utils import prune

DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
    *("bfloat16", "float8_e4m3fn", "float8_e5m2"),
)

NEW = ("uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2")
OLD_DTYPES = [dtype for dtype in DTYPES if dtype not in NEW]  # that older files have


class Block(nn.Module):
    """A residual block, as ResNets have it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))


class Residual(nn.Module):
    """A network like a ResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 7, 2, 3, bias=False)
        self.layer1 = nn.Sequential(Block(16), Block(16))
        self.fc = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.layer1(self.conv1(x)).mean((2, 3)))


@pytest.fixture(scope="module")
def checkpoint() -> dict[str, Any]:
    """Give a checkpoint after some steps of Adam, with what people put beside it."""
    torch.manual_seed(0)
    network = Residual()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    for _ in range(2):
        network(torch.randn(2, 3, 16, 16)).square().mean().backward()
        optimizer.step()
        schedule.step()
    return {
        "model_state": network.state_dict(),
        "optim_state": optimizer.state_dict(),
        "schedule": dict(schedule.state_dict()),
        "epoch": 3,
        "best": float("inf"),
        "rng": torch.get_rng_state(),
        "losses": [0.5, 0.25],
        "shape": torch.Size([3, 4]),
        "dtype": torch.bfloat16,
        "device": torch.device("cuda", 1),
        7: (None, True, b"\0", {"a": ()}),
    }


def same(one: Any, two: Any) -> bool:
    """Tell whether two objects are equal in types, order and bits."""
    if type(one) is not type(two):
        return False
    if isinstance(one, torch.Tensor):
        if (one.dtype, one.shape, one.requires_grad) != (two.dtype, two.shape, two.requires_grad):
            return False
        plain = [tensor.detach().resolve_conj().resolve_neg() for tensor in (one, two)]
        one, two = map(from_torch, plain)
        return one.tobytes() == two.tobytes()
    if isinstance(one, dict):
        if type(one) is OrderedDict and not same(vars(one), vars(two)):
            return False
        return same(list(one.items()), list(two.items()))
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(same, one, two))
    return bool(one == two)


def load(path: Path) -> Any:
    return torch.load(path, weights_only=True)


def test_a_residual_network_with_its_optimizer(tmp_path: Path, checkpoint: dict) -> None:
    path = tmp_path / "a.pt"
    torch.save(checkpoint, path)
    back = there_and_back(path, "b.pth")
    assert same(load(back), load(path))
    network, optimizer = Residual(), None
    network.load_state_dict(load(back)["model_state"])
    optimizer = torch.optim.AdamW(network.parameters())
    optimizer.load_state_dict(load(back)["optim_state"])
    with open_source(path) as source:
        assert list(source)[:2] == ["model_state.conv1.weight", "model_state.layer1.0.conv1.weight"]


def test_an_optimizers_state_is_kept_where_weights_are_shared(
    tmp_path: Path, checkpoint: dict
) -> None:
    path = tmp_path / "a.pt"
    torch.save(checkpoint, path)
    again = load(there_and_back(path, "b.pt", "--seed", 0))
    assert same(again["optim_state"], load(path)["optim_state"])
    assert not same(again["model_state"], load(path)["model_state"])
    kept = dc.load(tmp_path / "packed.dcnn")
    assert isinstance(kept["optim_state.state.0.exp_avg"], np.ndarray)
    assert not isinstance(kept["model_state.conv1.weight"], np.ndarray)
    config = tmp_path / "config.json"
    config.write_text('{"by_name": {"optim_state.state.0.exp_avg": {"bits": 4}}}')
    shared = dc.load(there(path, "--config", config))["optim_state.state.0.exp_avg"]
    assert not isinstance(shared, np.ndarray)


def test_a_part(tmp_path: Path, checkpoint: dict) -> None:
    path = tmp_path / "a.pt"
    torch.save(checkpoint, path)
    back = there_and_back(path, "b.pt", "--only", "model_state", "--paper")
    again = load(back)
    assert list(again) == ["model_state"]
    assert list(again["model_state"]) == list(checkpoint["model_state"])
    Residual().load_state_dict(again["model_state"])
    message = fails(2, "compress", path, "-o", tmp_path / "x", "--only", "modl_state")
    assert "no tensor is below 'modl_state'; nearest: 'model_state'" in message
    assert not (tmp_path / "x").exists()


def bits(dtype: str, shape: tuple[int, ...]) -> torch.Tensor:
    kind = getattr(torch, dtype)
    size = torch.empty(0, dtype=kind).element_size()
    high = 2 if dtype == "bool" else 256
    return torch.randint(0, high, (*shape, size), dtype=torch.uint8).view(kind).reshape(shape)


@pytest.mark.parametrize("is_zip", [True, False])
def test_every_dtype_and_rank(tmp_path: Path, is_zip: bool) -> None:
    torch.manual_seed(0)
    given = {
        f"{dtype}.{len(shape)}": bits(dtype, shape)
        for dtype in (DTYPES if is_zip else OLD_DTYPES)
        for shape in ((), (3,), (0, 4), (3, 2, 1), (2, 1, 3, 1), (1, 1, 2, 1, 2), (1,) * 6)
    }
    path = tmp_path / "a.pt"
    torch.save(given, path, _use_new_zipfile_serialization=is_zip)
    assert same(load(there_and_back(path, "b.pt")), load(path))


def test_how_tensors_lie_in_memory(tmp_path: Path) -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    tied = nn.Linear(3, 3)
    given = {
        "turned": whole.t(),
        "part": whole[1:3, ::2],
        "again": whole[1:3, ::2],
        "spread": torch.ones(1, 3).expand(5, 3),
        "conjugate": torch.tensor([1 + 2j]).conj(),
        "negative": torch.tensor([1 + 2j]).conj().imag,
        "encoder": tied.weight,
        "decoder": tied.weight.detach(),
        "learns": torch.ones(2, requires_grad=True),
        "frozen": nn.Parameter(torch.ones(2), requires_grad=False),
    }
    given["turned"].tag = ["attribute", 1]
    path = tmp_path / "a.pt"
    torch.save(given, path)
    again = load(there_and_back(path, "b.pt"))
    assert same(again, load(path))
    assert again["turned"].tag == ["attribute", 1]
    for one, two in (("encoder", "decoder"), ("part", "again")):
        assert again[one].data_ptr() == again[two].data_ptr()
    assert again["turned"].data_ptr() != again["part"].data_ptr()


def test_tied_tensors_that_became_different(tmp_path: Path) -> None:
    weight = torch.randn(20, 20)
    path, config = tmp_path / "a.pt", tmp_path / "config.json"
    torch.save({"a": weight, "b": weight}, path)
    config.write_text('{"by_name": {"a": {"bits": 2}, "b": {"bits": 4}}}')
    again = load(there_and_back(path, "b.pt", "--config", config))
    assert (len(again["a"].unique()), len(again["b"].unique())) == (3, 15)


def test_a_pruned_layer_comes_back_as_one_weight(tmp_path: Path) -> None:
    layer = prune.l1_unstructured(nn.Linear(6, 5), "weight", 0.5)
    path = tmp_path / "a.pt"
    torch.save(layer.state_dict(), path)
    again = load(there_and_back(path, "b.pt"))
    assert list(again) == ["bias", "weight"]
    assert torch.equal(again["weight"], layer.weight)


@pytest.mark.parametrize("given", [torch.arange(3), [torch.ones(2), {"a": torch.zeros(1)}]])
def test_objects_that_are_no_dict(tmp_path: Path, given: Any) -> None:
    torch.save(given, tmp_path / "a.pt")
    assert same(load(there_and_back(tmp_path / "a.pt", "b.pt")), given)


def test_out_of_another_format_and_into_one(tmp_path: Path) -> None:
    arrays = {"b.w": np.eye(3, dtype=np.float32), "a": np.array(True)}
    np.savez(tmp_path / "a.npz", **arrays)
    again = load(there_and_back(tmp_path / "a.npz", "b.pt"))
    assert same(again, {name: torch.from_numpy(array) for name, array in arrays.items()})
    back = np.load(there_and_back(tmp_path / "b.pt", "c.npz"))
    assert {name: back[name].tolist() for name in back} == {"b.w": np.eye(3).tolist(), "a": True}


class Module(nn.Module):
    """One with code."""


def test_what_is_refused_with_a_way_out(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)

    class Bomb:
        def __reduce__(self) -> Any:
            return Path.touch, (Path("loaded"),)

    hooked = torch.ones(3)
    hooked._backward_hooks = OrderedDict({0: Path.touch})
    path = tmp_path / "a.pt"
    way_out = "save model.state_dict() by torch.save instead"
    for given in (Module(), {"a": Bomb()}, {"a": np.float64(1)}):
        torch.save(given, path)
        message = refused(path)
        assert "a.pt: holds code or objects of " in message
        assert way_out in message
    assert "holds code or objects of numpy" in message
    torch.save(Module(), path, _use_new_zipfile_serialization=False)
    assert "holds code or objects of " in refused(path)
    assert not Path("loaded").exists()


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_torchscript(tmp_path: Path) -> None:
    torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)).save(tmp_path / "a.pt")
    words = "is an archive of TorchScript, that is of code, which is never run; save model.state_"
    assert words in refused(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"w": torch.eye(3).to_sparse()}, "tensor 'w' is sparse or nested; save its to_dense()"),
        ({"w": torch.empty(3, device="meta")}, "tensor 'w' has no elements, its device is meta"),
        ({"w": torch.ones(3).to(torch.float8_e4m3fnuz)}, "'w' has dtype float8_e4m3fnuz, which"),
        ({"a": {"b": torch.ones(1)}, "a.b": torch.ones(1)}, "two tensors have the name 'a.b'"),
        ({"a": {0: torch.ones(1), "0": torch.ones(1)}}, "two tensors have the name 'a.0'"),
        ({"": torch.ones(1)}, "a tensor's name"),
    ],
    ids=["sparse", "meta", "dtype", "names", "keys", "nameless"],
)
def test_tensors_that_cant_be_stored(tmp_path: Path, given: Any, words: str) -> None:
    torch.save(given, tmp_path / "a.pt")
    assert words in refused(tmp_path / "a.pt", 2)


@pytest.mark.filterwarnings("ignore")  # of PyTorch: such tensors are going to go
def test_quantized_tensors(tmp_path: Path) -> None:
    quantized = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    torch.save({"w": quantized}, tmp_path / "a.pt")
    assert "tensor 'w' is quantized; save its dequantize()" in refused(tmp_path / "a.pt", 2)


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"w": torch.ones(300)}, path)
    data = path.read_bytes()
    for damaged in (b"", b"x", data[:-200], data[:40], b"PK\3\4" + bytes(50)):
        path.write_bytes(damaged)
        assert "a.pt: not a whole file of torch.save's" in refused(path)
    torch.save({"epoch": 1}, path)
    assert "a.pt: holds no tensors" in refused(path)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (1, "it lacks 'w'"),
        ({"tensor": "v"}, "nothing has the form"),
        ({"tensor": 1}, "nothing has the form"),
        ([{"tensor": "w"}, {"size": [-1]}], "nothing has the form"),
        ([{"tensor": "w"}, {"dtype": "load"}], "nothing has the form"),
        ([{"tensor": "w"}, {"device": "nowhere"}], "isn't valid"),
        ({"tensor": "w", "attributes": {"dict": [["shape", 1]]}}, "no tensor has the attribute"),
    ],
)
def test_origins_that_arent_valid(tmp_path: Path, form: Any, words: str) -> None:
    arrays = [("w", np.ones(3))]
    with pytest.raises(ArgumentError, match="what was around the tensors isn't valid") as raised:
        formats.write(tmp_path / "a.pt", arrays, {"structure": form})
    assert words in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(tmp_path: Path, monkeypatch) -> None:
    def write_by(path: Path, fill: Any) -> int:
        return fill(FullDisk())

    monkeypatch.setattr(formats, "write_by", write_by)
    with pytest.raises(OutputError, match="No space left on device"):
        formats.write(tmp_path / "a.pt", [("w", np.ones(300))])
    assert list(tmp_path.iterdir()) == []


def test_the_same_bytes_again(tmp_path: Path, checkpoint: dict) -> None:
    torch.save(checkpoint, tmp_path / "a.pt")
    first = there_and_back(tmp_path / "a.pt", "b.pt").read_bytes()
    assert there_and_back(tmp_path / "a.pt", "b.pt").read_bytes() == first


def test_output_that_is_the_input(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"w": torch.ones(3)}, path)
    before = path.read_bytes()
    assert "is the very file to read" in fails(2, "compress", path, "-o", path)
    assert path.read_bytes() == before
    assert call("compress", path, "-o", tmp_path / "b.dcnn")[0] == 0
    assert (
        "is the very file" in fails(2, "decompress", tmp_path / "b.dcnn", "-o", tmp_path / "b.dcnn")
        or (tmp_path / "b.dcnn").exists()
    )
