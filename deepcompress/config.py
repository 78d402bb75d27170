"""How each tensor is compressed: a default, refined by the tensor's kind and by its name."""

import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from .checks import as_whole_number, is_finite
from .container.records import CODERS, SHARED_ENCODINGS
from .errors import ConfigError, shown
from .files import settings
from .kinds import KINDS, SYNONYMS, is_pattern, kinds_of, matcher, matching, nearest
from .quantize.clusters import MAX_ITERATIONS
from .quantize.starts import INITS
from .tensors import MAX_BITS

METHODS = ("shared", "raw", "float16", "lossless")
RULES = ("sensitivity", "sparsity", "threshold")
SHARING = (
    *("bits", "gap_bits", "init", "encoding", "coder", "max_iterations"),
    *("group_size", "centroid_dtype"),
)
LEVELS = ("default", "by_kind", "by_name")
WHOLE_NUMBERS = (
    ("bits", 1, MAX_BITS),
    ("gap_bits", 1, MAX_BITS),
    ("max_iterations", 0, 1 << 62),
    ("min_size", 0, 1 << 62),
    ("group_size", 1, 1 << 62),
)


@dataclass(frozen=True)
class TensorConfig:
    """How one tensor is compressed.

    Attributes
    ----------
    method : {"shared", "raw", "float16", "lossless"}
        Share the weights; keep the elements exactly; round them to half precision; or keep them
        exactly in the fewest bytes, which shares weights where they are few-valued. Only
        floating tensors are shared or rounded, all others are kept exactly.
    bits : int
        Width of a label, 1 to 8.
    gap_bits : int or None
        Width of a gap, 1 to 8; None takes the one with the fewest bytes.
    init : str
        Start of the centroids, one of `quantize.INITS`; ``"optimal"`` is the end, too, the least
        sum of squares there is (see `quantize.share_weights`).
    sensitivity, sparsity, threshold : float or None
        Prune so before sharing or rounding (see `prune`), at most one of them. None of them
        keeps the weights that aren't zero.
    encoding : {"relative", "dense", "bitmask", "context"} or None
        How a file says where the weights are (see `container`); None takes the one with
        the fewest bytes. With `gap_bits` it is ``"relative"``. Groups of a `group_size` have
        no contexts, and take the fewest bytes of the others.
    coder : str
        The strongest coder of labels and positions, one of `container.CODERS`; each stream takes
        the one with the fewest bytes up to it. ``"rans1"`` is rANS as readers of versions before
        3 of the format know it, for which ``"rans"`` is too new.
    min_size : int
        A tensor with fewer elements is kept exactly: its codebook would cost more than it saves.
    max_iterations : int
        Bound on k-means' iterations, which end by themselves; 0 keeps the centroids where
        they start. With few, from ``"linear"``, common labels stay more common: Huffman
        codes gain by it, at the price of a larger error.
    group_size : int or None
        Output channels (slices of the first axis) that share a codebook: 1 gives each its own.
        None is for one codebook of the whole tensor, as in the paper; so has a tensor that has no
        more channels, and one of rank 0 or 1.
    centroid_dtype : {"float32", "float16"}
        How a file has the centroids of a float32 or float64 tensor. They are rounded before each
        weight takes the nearest, so that what is read is what was chosen. Other tensors have
        centroids of their own dtype.
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
    group_size: int | None = None
    centroid_dtype: str = "float32"

    def __post_init__(self) -> None:
        _choice("method", self.method, METHODS)
        _choice("init", self.init, tuple(INITS))
        for name, low, high in WHOLE_NUMBERS:
            if (value := getattr(self, name)) is not None or name not in ("gap_bits", "group_size"):
                number = as_whole_number(value, name, low, high, ConfigError)
                object.__setattr__(self, name, number)
        _choice("coder", self.coder, CODERS)
        _choice("centroid_dtype", self.centroid_dtype, ("float32", "float16"))
        if self.encoding is not None:
            _choice("encoding", self.encoding, SHARED_ENCODINGS)
            if self.gap_bits is not None and self.encoding != "relative":
                raise ConfigError(f"encoding {self.encoding!r} has no gaps, gap_bits are given")
        given = [rule for rule in RULES if getattr(self, rule) is not None]
        if len(given) > 1:
            raise ConfigError(f"{' and '.join(given)} exclude each other")
        for rule in given:
            object.__setattr__(self, rule, _number(rule, getattr(self, rule)))
        if self.sparsity is not None and self.sparsity > 1:
            raise ConfigError(f"sparsity must be in [0, 1], not {self.sparsity!r}")


FIELDS = tuple(field.name for field in fields(TensorConfig))


@dataclass(frozen=True)
class Config:
    """The choices for all tensors of a model.

    Attributes
    ----------
    default : TensorConfig, or mapping of its fields
        Where nothing else is said.
    by_kind : mapping of str to mapping, or None
        Fields of `TensorConfig` that replace the default's, for a kind of tensor: ``"conv"``
        (rank 3 and more), ``"fc"`` (rank 2; ``"linear"`` is taken for it) or ``"bias"`` (rank 0
        and 1). An ``"embedding"`` is an ``"fc"``, too, and a ``"norm"`` a ``"bias"``; what is
        given for these is stronger. `kinds` says how names tell them.
    by_name : mapping of str to mapping, or None
        The same for a tensor by its name; stronger than its kind. A key is a name; a glob with
        ``*``, ``?`` or ``[…]``; or ``re:`` and a regular expression that the whole name matches.
        Of the keys that fit a name, one holds: the name itself, else the last pattern.
        None in the place of a mapping leaves the tensors alone, as the method ``"raw"``.

    Raises
    ------
    ConfigError
        If a kind, field or value is unknown, naming it and the choices; or if a method has no
        such option as is given with it.

    Notes
    -----
    Options of sharing without a method, and pruning rules where the weaker levels keep a tensor
    raw, mean that the tensor is to be shared; of a pattern, only where it isn't a bias. The
    default rules (biases and tensors below `min_size` are kept exactly, as is what sharing would
    enlarge or what isn't floating and finite) are weaker than what is asked for a tensor by its
    own name: that is done, or refused. Patterns are wishes like those for a kind.

    Examples
    --------
    >>> config = Config(by_kind={"conv": {"bits": 8}}, by_name={"conv1.*": None})
    >>> config.of("conv2.weight", (50, 20, 5, 5)).bits
    8
    >>> config.of("conv1.weight", (50, 20, 5, 5)).method
    'raw'
    """

    default: TensorConfig = field(default_factory=TensorConfig)
    by_kind: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    by_name: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    _known: dict[Any, TensorConfig] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        for field_name in ("by_kind", "by_name"):
            if not isinstance(overrides := getattr(self, field_name), Mapping):
                raise ConfigError(f"{field_name} must be a mapping, not {shown(overrides)}")
        if not isinstance(self.default, TensorConfig):
            object.__setattr__(self, "default", _from_fields(self.default))
        for kind in self.by_kind:
            _choice("kind", kind, KINDS, (*KINDS, *SYNONYMS))
        object.__setattr__(self, "by_kind", _in_one_word(self.by_kind))
        for name in self.by_name:
            if not isinstance(name, str):
                raise ConfigError(f"by_name: a tensor's name is a string, not {shown(name)}")
            if is_pattern(name):
                matcher(name)
        if not (self.by_kind or self.by_name):  # else its options are what these may refine
            plain = TensorConfig()
            given = [f for f in FIELDS if getattr(self.default, f) != getattr(plain, f)]
            _check_method(self.default.method, given, "configuration of 'default': ")
        for where, overrides in [*self.by_kind.items(), *self.by_name.items()]:
            try:
                _override(self.default, overrides)
            except ConfigError as error:
                raise ConfigError(f"configuration of {where!r}: {error}") from None

    def of(self, name: str, shape: tuple[int, ...]) -> TensorConfig:
        """Return the configuration of one tensor."""
        kinds = [kind for kind in kinds_of(shape, name) if kind in self.by_kind]
        key = matching(self.by_name, name)
        situation = *kinds, len(shape) < 2, key, key == name
        if situation not in self._known:
            self._known[situation] = self._combined(name, shape, kinds, key)
        return self._known[situation]

    def _combined(
        self, name: str, shape: tuple[int, ...], kinds: list[str], key: str | None
    ) -> TensorConfig:
        """Return the same, from the kinds and the key of `by_name` that hold."""
        base = self.default
        is_bias = len(shape) < 2 and not kinds  # which is raw unless more is said
        if is_bias:
            base = replace(base, method="raw")
        for kind in kinds:
            base = _override(base, self.by_kind[kind])
        if key is None:
            return base
        wishes = self.by_name[key]
        if key != name and is_bias and wishes and "method" not in wishes:
            unpruned = replace(_override(base, wishes), sensitivity=None, sparsity=None)
            return replace(unpruned, threshold=None, method="raw")
        if key == name and wishes and "min_size" not in wishes:
            base = replace(base, min_size=0)  # a wish for this tensor, whatever its size
        return _override(base, wishes)

    def asked_for(self, name: str) -> str:
        """Return what is asked for a tensor by its own name, in words; "" if nothing is."""
        wishes = (self.by_name.get(name) or {}).items()
        return ", ".join(f"{option} {shown(value)}" for option, value in wishes)

    def why_raw(self, name: str, shape: tuple[int, ...]) -> str:
        """Return why a tensor whose method is ``"raw"`` isn't pruned and shared; "" if asked for.

        Arguments are as for `of`.
        """
        key = matching(self.by_name, name)
        levels = [self.by_kind.get(kind, {}) for kind in kinds_of(shape, name)]
        levels += [self.by_name[key]] if key is not None else []
        if any(values is None or "method" in values for values in levels):
            return ""
        if self.default.method != "raw":
            return "bias"
        has_rule = any(getattr(self.default, rule) is not None for rule in RULES)
        return "method raw" if has_rule else ""

    def check_names(self, names: Collection[str]) -> None:
        """Raise ConfigError for a name, or pattern, in `by_name` of no tensor: it is misspelt."""
        absent = [name for name in self.by_name if name not in names and not is_pattern(name)]
        if absent:
            raise ConfigError(
                f"by_name has {', '.join(map(repr, absent[:5]))}, "
                f"which isn't among the {len(names)} tensors{nearest(absent[0], names)}"
            )
        for key in self.by_name:
            if key not in names and not any(map(matcher(key).fullmatch, names)):
                raise ConfigError(
                    f"by_name has {key!r}, which matches none of the {len(names)} tensors"
                    f"{nearest(key, names)}"
                )

    def to_dict(self, *, brief: bool = False) -> dict[str, Any]:
        """Return the configuration as JSON's types; `from_dict` reads it back.

        If `brief`, fields of the default that are as always are left out, and empty levels.
        """
        default = asdict(self.default)
        if brief:
            always = asdict(TensorConfig())
            default = {name: value for name, value in default.items() if value != always[name]}
        levels: dict[str, Any] = {
            "default": default,
            "by_kind": {kind: values and dict(values) for kind, values in self.by_kind.items()},
            "by_name": {name: values and dict(values) for name, values in self.by_name.items()},
        }
        return {level: held for level, held in levels.items() if held or not brief}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Config":
        """Build a configuration from the result of `to_dict`; raise ConfigError otherwise."""
        if not isinstance(values, Mapping):
            raise ConfigError(f"expected default, by_kind and by_name, not {shown(values)}")
        for key in values:
            _choice("configuration key", key, LEVELS)
        default = _from_fields(values.get("default", {}))
        return cls(default, values.get("by_kind", {}), values.get("by_name", {}))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> "Config":
        """Read a configuration from a TOML file, by its suffix ``.toml``, or else a JSON file.

        Raises
        ------
        DataError
            If the file can't be read.
        ConfigError
            If it isn't TOML or JSON, or as the class; it names the file.

        Examples
        --------
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "small.toml")
        >>> with open(path, "w") as file:
        ...     _ = file.write('''
        ... [default]
        ... bits = 4
        ... [by_kind]
        ... conv = {bits = 8, gap_bits = 8}
        ... embedding = {method = "float16"}
        ... [by_name]
        ... "classifier.*" = {sparsity = 0.9}
        ... "classifier.6.weight" = {method = "raw"}
        ... ''')
        >>> Config.from_file(path).of("classifier.1.weight", (4096, 9216)).sparsity
        0.9
        """
        try:
            return cls.from_dict(settings.read(path))
        except (ConfigError, ValueError) as error:
            raise ConfigError(f"{os.fspath(path)}: {error}") from None


def paper_config() -> Config:
    """Return the paper's widths: 8-bit labels and gaps for conv, 5-bit for fc.

    Those of its text: in its tables every gap has 5 bits (in AlexNet's 4), and all labels of
    LeNet-300-100 have 6.
    """
    return Config(by_kind={"conv": {"bits": 8, "gap_bits": 8}, "fc": {"bits": 5, "gap_bits": 5}})


def _in_one_word(
    by_kind: Mapping[str, Mapping[str, Any] | None],
) -> dict[str, Mapping[str, Any] | None]:
    """Return the same with each synonym of a kind replaced."""
    words: dict[str, Mapping[str, Any] | None] = {}
    for word, values in by_kind.items():
        kind = SYNONYMS.get(word, word)
        if kind in words:
            raise ConfigError(f"by_kind has {kind!r} twice, as {word!r} is the same")
        words[kind] = values
    return words


def _from_fields(values: Mapping[str, Any]) -> TensorConfig:
    _check_fields(values)
    return TensorConfig(**values)


def _check_fields(values: Mapping[str, Any]) -> None:
    """Raise ConfigError unless these are fields of `TensorConfig` with values."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"expected fields and their values, not {shown(values)}")
    for name in values:
        _choice("field", name, FIELDS)


def _override(base: TensorConfig, values: Mapping[str, Any] | None) -> TensorConfig:
    """Return a configuration with the fields that a stronger level gives; None keeps all raw."""
    if values is None:
        values = {"method": "raw"}
    _check_fields(values)
    if not values:
        return base
    has_rule = not set(RULES).isdisjoint(values)
    if has_rule:  # it replaces the weaker level's, whichever that was
        base = replace(base, sensitivity=None, sparsity=None, threshold=None)
    if "method" in values:
        _choice("method", values["method"], METHODS)
        has_all = len(values) == len(FIELDS)  # as of a `TensorConfig`, asked for or not
        given = [name for name in values if values[name] is not None]
        _check_method(values["method"], [] if has_all else given)
    elif not set(SHARING).isdisjoint(values) or (has_rule and base.method == "raw"):
        base = replace(base, method="shared")
    return replace(base, **values)


def _check_method(method: str, given: Collection[str], where: str = "") -> None:
    """Raise ConfigError if options are given that a method has no use for."""
    # What is kept has a coder, too: that of its planes.
    of_sharing = [option for option in (*SHARING, "min_size") if option != "coder"]
    exact = (*of_sharing, *RULES)
    without = {"shared": (), "float16": of_sharing, "raw": exact, "lossless": exact}[method]
    idle = [option for option in without if option in given]
    if idle:
        raise ConfigError(f"{where}method {method!r} has no {' and no '.join(idle)}")


def _choice(
    what: str, value: Any, choices: tuple[str, ...], accepted: tuple[str, ...] | None = None
) -> None:
    """Raise ConfigError unless a value is a choice, or another that is `accepted`."""
    if not isinstance(value, str) or value not in (accepted or choices):
        hint = nearest(value, choices) if isinstance(value, str) else ""
        raise ConfigError(
            f"unknown {what} {shown(value)}; the choices are {', '.join(choices)}{hint}"
        )


def _number(what: str, value: Any) -> float:
    """Return a finite number from 0 on as Python's."""
    if not is_finite(value, 0):
        raise ConfigError(f"{what} must be a finite number >= 0, not {shown(value)}")
    return float(value)
