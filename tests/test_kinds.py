"""Which tensors the words of a configuration mean."""

import pytest

from deepcompress.errors import ConfigError
from deepcompress.kinds import is_pattern, kind_of, kinds_of, matcher, matching, nearest


@pytest.mark.parametrize(
    ("shape", "name", "kinds"),
    [
        ((64, 3, 7, 7), "conv1.weight", "conv"),
        ((8, 3, 5), "embed.weight", "conv"),
        ((10, 20), "fc.weight", "fc"),
        ((10, 20), "model.embed_tokens.weight", "fc embedding"),
        ((10, 20), "Embedding.W", "fc embedding"),
        ((10, 20), "transformer.wte.weight", "fc embedding"),
        ((10, 20), "pos_emb", "fc embedding"),
        ((10, 20), "member.weight", "fc"),
        ((64,), "conv1.bias", "bias"),
        ((64,), "bn1.weight", "bias norm"),
        ((64,), "bn1.bias", "bias"),
        ((64,), "layer_norm/gamma", "bias norm"),
        ((64,), "bn1.running_var", "bias norm"),
        ((), "bn1.num_batches_tracked", "bias norm"),
        ((), "", "bias"),
        ((64,), "weights", "bias"),
    ],
)
def test_kinds(shape: tuple[int, ...], name: str, kinds: str) -> None:
    assert " ".join(kinds_of(shape, name)) == kinds
    assert kind_of(shape, name) == kinds.split()[-1]


@pytest.mark.parametrize(
    ("keys", "name", "key"),
    [
        (["a", "*"], "a", "a"),
        (["*", "a"], "a", "a"),
        (["a*", "*b"], "ab", "*b"),
        (["*b", "a*"], "ab", "a*"),
        (["a?"], "abc", None),
        (["[ab]c"], "bc", "[ab]c"),
        (["[ab]c", "x"], "[ab]c", "[ab]c"),  # a name of its own, not as a pattern
        (["re:a.c"], "abcd", None),
        (["re:a.c.*"], "abcd", "re:a.c.*"),
        (["A*"], "ab", None),
        (["re:("[:3]], "re:", "re:"),
        (["*"], "a\nb", "*"),
        ([], "a", None),
    ],
)
def test_the_key_that_holds(keys: list[str], name: str, key: str | None) -> None:
    assert matching(keys, name) == key


def test_patterns_are_told_from_names() -> None:
    assert [is_pattern(key) for key in ("a", "a.b", "re", "re:a", "a*", "?", "[")] == [
        *(False, False, False),
        *(True, True, True, True),
    ]


@pytest.mark.parametrize("key", ["re:(", "re:a{99999999999999999999}", "re:" + "(" * 5000])
def test_what_isnt_a_regular_expression(key: str) -> None:
    with pytest.raises(ConfigError, match="isn't a regular expression"):
        matcher(key)


def test_the_nearest_is_suggested_if_it_is_near() -> None:
    assert nearest("bit", ("bits", "init")) == "; did you mean 'bits'?"
    assert nearest("x", ("bits", "init")) == nearest("", ()) == ""
