"""Which tensors the words of a configuration mean: kinds, by rank and name, and patterns of names.

A tensor of rank 3 and more is a ``"conv"``, one of rank 2 an ``"fc"``, any other a ``"bias"``. Two
kinds are narrower. An ``"fc"`` is an ``"embedding"``, too, if its name has ``embed``, or one of
`EMBEDDINGS` between dots and underscores. A ``"bias"`` is a ``"norm"``, too, if the last part of
its name is one of `NORMS`: the scale of a normalization, or a statistic that it keeps. Names tell
no more than that: the slope of a PReLU is a ``"norm"``, for its name is ``weight``.
"""

import difflib
import re
from collections.abc import Collection, Iterable
from fnmatch import translate
from functools import cache

from .errors import ConfigError

KINDS = ("conv", "fc", "embedding", "norm", "bias")
SYNONYMS = {"linear": "fc"}
EMBEDDINGS = ("emb", "wte", "wpe")
NORMS = (
    *("weight", "gamma", "scale", "running_mean", "running_var", "num_batches_tracked"),
    *("moving_mean", "moving_variance"),
)
REGEX = "re:"  # what a pattern begins with that is a regular expression


def kind_of(shape: tuple[int, ...], name: str = "") -> str:
    """Return the narrowest kind of a tensor, one of `KINDS`.

    Examples
    --------
    >>> kind_of((64, 3, 7, 7)), kind_of((10, 20)), kind_of((10,))
    ('conv', 'fc', 'bias')
    >>> kind_of((32000, 256), "model.embed_tokens.weight"), kind_of((64,), "bn1.weight")
    ('embedding', 'norm')
    """
    return kinds_of(shape, name)[-1]


def kinds_of(shape: tuple[int, ...], name: str = "") -> tuple[str, ...]:
    """Return the kinds of a tensor, the widest first, for the narrower is the stronger."""
    if len(shape) > 2:
        return ("conv",)
    lower = name.lower()
    if len(shape) == 2:
        is_embedding = "embed" in lower or not set(EMBEDDINGS).isdisjoint(re.split("[._/]", lower))
        return ("fc", "embedding") if is_embedding else ("fc",)
    return ("bias", "norm") if re.split("[./]", lower)[-1] in NORMS else ("bias",)


def is_pattern(key: str) -> bool:
    """Tell whether a key may mean several names: a glob, or ``re:`` and a regular expression."""
    return key.startswith(REGEX) or not set("*?[").isdisjoint(key)


@cache
def matcher(key: str) -> re.Pattern[str]:
    """Return the regular expression that a name has to match as a whole.

    Raises
    ------
    ConfigError
        If it isn't one.
    """
    try:
        return re.compile(key[len(REGEX) :] if key.startswith(REGEX) else translate(key))
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"{key!r} isn't a regular expression: {error}") from None


def matching(keys: Iterable[str], name: str) -> str | None:
    """Return the key that holds for a name: the name itself, or else the last pattern that fits.

    Examples
    --------
    >>> matching(["conv1.weight", "conv*", "re:.*weight"], "conv1.weight")
    'conv1.weight'
    >>> matching(["conv1.weight", "conv*", "re:.*weight"], "conv2.weight")
    're:.*weight'
    """
    found = None
    for key in keys:
        if key == name:
            return key
        if is_pattern(key) and matcher(key).fullmatch(name):
            found = key
    return found


def nearest(word: str, choices: Collection[str]) -> str:
    """Return a question that suggests the choice most like a word, to end a message; or nothing."""
    close = difflib.get_close_matches(word[:200], choices, 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
