"""How each tensor is compressed: a default, refined by the tensor's kind and by its name."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from .checks import as_whole_number, is_finite
from .container.records import CODERS, ENCODINGS
from .errors import ConfigError, shown
from .quantize.share import MAX_ITERATIONS
from .quantize.starts import INITS
from .tensors import MAX_BITS

METHODS = ("shared", "raw", "float16")
KINDS = ("conv", "fc", "bias")
WHOLE_NUMBERS = (
    ("bits", 1, MAX_BITS),
    ("gap_bits", 1, MAX_BITS),
    ("max_iterations", 0, 1 << 62),
    ("min_size", 0, 1 << 62),
)


@dataclass(frozen=True)
class TensorConfig:
    """How one tensor is compressed.

    Attributes
    ----------
    method : {"shared", "raw", "float16"}
        Share the weights; keep the elements exactly; or round them to half precision.
    bits : int
        Width of a label, 1 to 8.
    gap_bits : int or None
        Width of a gap, 1 to 8; None takes the one with the fewest bytes.
    init : str
        Start of the centroids, one of `quantize.INITS`.
    sensitivity, sparsity, threshold : float or None
        Prune so before sharing (see `prune`), at most one of them. None of them
        keeps the weights that aren't zero.
    encoding : {"relative", "dense", "bitmask"} or None
        How a file says where the weights are (see `container`); None takes the one with
        the fewest bytes. With `gap_bits` it is ``"relative"``.
    coder : str
        The strongest coder of labels and positions, one of `container.CODERS`; each stream takes
        the one with the fewest bytes up to it.
    min_size : int
        A tensor with fewer elements is kept raw: its codebook would cost more than it saves.
    max_iterations : int
        Bound on k-means' iterations, which end by themselves; 0 keeps the centroids where
        they start. With few, from ``"linear"``, common labels stay more common: Huffman
        codes gain by it, at the price of a larger error.
    """

    method: str = "shared"
    bits: int = 5
    gap_bits: int | None = None
    init: str = "linear"
    sensitivity: float | None = None
    sparsity: float | None = None
    threshold: float | None = None
    encoding: str | None = None
    coder: str = "huffman"
    min_size: int = 128
    max_iterations: int = MAX_ITERATIONS

    def __post_init__(self) -> None:
        _choice("method", self.method, METHODS)
        _choice("init", self.init, tuple(INITS))
        for name, low, high in WHOLE_NUMBERS:
            if (value := getattr(self, name)) is not None or name != "gap_bits":
                number = as_whole_number(value, name, low, high, ConfigError)
                object.__setattr__(self, name, number)
        _choice("coder", self.coder, CODERS)
        if self.encoding is not None:
            _choice("encoding", self.encoding, ENCODINGS[1:])
            if self.gap_bits is not None and self.encoding != "relative":
                raise ConfigError(f"encoding {self.encoding!r} has no gaps, gap_bits are given")
        rules = ("sensitivity", "sparsity", "threshold")
        given = [rule for rule in rules if getattr(self, rule) is not None]
        if len(given) > 1:
            raise ConfigError(f"{' and '.join(given)} exclude each other")
        for rule in given:
            object.__setattr__(self, rule, _number(rule, getattr(self, rule)))
        if self.sparsity is not None and self.sparsity > 1:
            raise ConfigError(f"sparsity must be in [0, 1], not {self.sparsity!r}")


@dataclass(frozen=True)
class Config:
    """The choices for all tensors of a model.

    Attributes
    ----------
    default : TensorConfig
        Where nothing else is said.
    by_kind : mapping of str to mapping
        Fields of `TensorConfig` that replace the default's, for a kind of tensor:
        ``"conv"`` (rank 3 and more), ``"fc"`` (rank 2) or ``"bias"`` (rank 0 and 1).
    by_name : mapping of str to mapping
        The same for a tensor by its name; stronger than its kind.

    Raises
    ------
    ConfigError
        If a kind, field or value is unknown, naming it and the choices.

    Examples
    --------
    >>> config = Config(by_kind={"conv": {"bits": 8}}, by_name={"conv1.weight": {"method": "raw"}})
    >>> config.of("conv2.weight", (50, 20, 5, 5)).bits
    8
    """

    default: TensorConfig = field(default_factory=TensorConfig)
    by_kind: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    by_name: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for field_name in ("by_kind", "by_name"):
            if not isinstance(overrides := getattr(self, field_name), Mapping):
                raise ConfigError(f"{field_name} must be a mapping, not {shown(overrides)}")
        for kind in self.by_kind:
            _choice("kind", kind, KINDS)
        for where, overrides in [*self.by_kind.items(), *self.by_name.items()]:
            try:
                _override(self.default, overrides)
            except ConfigError as error:
                raise ConfigError(f"configuration of {where!r}: {error}") from None

    def of(self, name: str, shape: tuple[int, ...]) -> TensorConfig:
        """Return the configuration of one tensor."""
        kind = kind_of(shape)
        base = self.default
        if kind == "bias" and "bias" not in self.by_kind:
            base = replace(base, method="raw")
        base = _override(base, self.by_kind.get(kind, {}))
        return _override(base, self.by_name.get(name, {}))

    def check_names(self, names: Collection[str]) -> None:
        """Raise ConfigError for a name in `by_name` that no tensor has: it must be misspelt."""
        absent = [name for name in self.by_name if name not in names]
        if absent:
            raise ConfigError(
                f"by_name has {', '.join(map(repr, absent[:5]))}, "
                f"which isn't among the {len(names)} tensors"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as JSON's types; `from_dict` reads it back."""
        return {
            "default": asdict(self.default),
            "by_kind": {kind: dict(values) for kind, values in self.by_kind.items()},
            "by_name": {name: dict(values) for name, values in self.by_name.items()},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Config":
        """Build a configuration from the result of `to_dict`; raise ConfigError otherwise."""
        if not isinstance(values, Mapping):
            raise ConfigError(f"expected default, by_kind and by_name, not {shown(values)}")
        for key in values:
            _choice("configuration key", key, ("default", "by_kind", "by_name"))
        default = _override(TensorConfig(), values.get("default", {}))
        return cls(default, values.get("by_kind", {}), values.get("by_name", {}))


def paper_config() -> Config:
    """Return the paper's widths: 8-bit labels and gaps for conv, 5-bit for fc.

    Those of its text: in its tables every gap has 5 bits (in AlexNet's 4), and all labels of
    LeNet-300-100 have 6.
    """
    return Config(by_kind={"conv": {"bits": 8, "gap_bits": 8}, "fc": {"bits": 5, "gap_bits": 5}})


def kind_of(shape: tuple[int, ...]) -> str:
    """Return ``"conv"``, ``"fc"`` or ``"bias"``, by the rank of a tensor."""
    return KINDS[0] if len(shape) > 2 else KINDS[1] if len(shape) == 2 else KINDS[2]


def _override(base: TensorConfig, values: Mapping[str, Any]) -> TensorConfig:
    if not isinstance(values, Mapping):
        raise ConfigError(f"expected fields and their values, not {shown(values)}")
    names = tuple(f.name for f in fields(TensorConfig))
    for name in values:
        _choice("field", name, names)
    rules = {"sensitivity", "sparsity", "threshold"}
    if rules & set(values):  # a rule replaces the weaker level's, whichever that was
        base = replace(base, sensitivity=None, sparsity=None, threshold=None)
    return replace(base, **values)


def _choice(what: str, value: Any, choices: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise ConfigError(f"unknown {what} {shown(value)}; the choices are {', '.join(choices)}")


def _number(what: str, value: Any) -> float:
    """Return a finite number from 0 on as Python's."""
    if not is_finite(value, 0):
        raise ConfigError(f"{what} must be a finite number >= 0, not {shown(value)}")
    return float(value)
