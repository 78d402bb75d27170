"""Configuration: default, then kind, then name; every unknown word is named."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepcompress.config import Config, TensorConfig, paper_config
from deepcompress.errors import ConfigError
from deepcompress.files import settings
from deepcompress.kinds import kind_of
from deepcompress.pipeline import compress


def test_name_beats_kind_beats_default() -> None:
    config = Config(
        TensorConfig(bits=3, init="density"),
        by_kind={"conv": {"bits": 8}},
        by_name={"conv1.weight": {"gap_bits": 4}, "conv2.weight": {"bits": 2}},
    )
    assert config.of("fc.weight", (3, 4)) == TensorConfig(bits=3, init="density")
    assert config.of("conv1.weight", (1, 1, 1, 1)).bits == 8
    assert config.of("conv1.weight", (1, 1, 1, 1)).gap_bits == 4
    assert config.of("conv2.weight", (1, 1, 1, 1)).bits == 2
    assert config.of("conv2.weight", (1, 1, 1, 1)).init == "density"


def test_biases_are_raw_unless_said_otherwise() -> None:
    assert Config().of("b", (4,)).method == "raw"
    assert Config(by_kind={"bias": {"bits": 4}}).of("b", (4,)).method == "shared"
    assert Config(by_name={"b": {"method": "float16"}}).of("b", (4,)).method == "float16"

    other_kind = Config(TensorConfig(min_size=7), by_kind={"fc": {"bits": 4}}).of("b", (4,))
    assert other_kind == TensorConfig(method="raw", min_size=7)


@pytest.mark.parametrize("weaker", ["sensitivity", "sparsity", "threshold"])
@pytest.mark.parametrize("stronger", ["sensitivity", "sparsity", "threshold"])
def test_a_pruning_rule_replaces_the_weaker_levels(weaker: str, stronger: str) -> None:
    config = Config(TensorConfig(**{weaker: 0.9}), by_kind={"fc": {stronger: 0.5}})
    assert config.of("w", (2, 2)) == TensorConfig(**{stronger: 0.5})


@pytest.mark.parametrize("rules", ["sensitivity sparsity", "sensitivity threshold"])
def test_pruning_rules_exclude_each_other(rules: str) -> None:
    """Even where a value is 0."""
    first, second = rules.split()
    with pytest.raises(ConfigError, match=f"{first} and {second} exclude"):
        TensorConfig(**{first: 0, second: 0})


def test_defaults_and_the_ends_of_the_ranges() -> None:
    assert asdict(TensorConfig()) == {
        "method": "shared",
        "bits": 5,
        "gap_bits": None,
        "init": "linear",
        "sensitivity": None,
        "sparsity": None,
        "threshold": None,
        "encoding": None,
        "coder": "huffman",
        "min_size": 128,
        "max_iterations": 1000,
        "group_size": None,
        "centroid_dtype": "float32",
    }
    low = TensorConfig(bits=1, gap_bits=1, threshold=0, min_size=0)
    high = TensorConfig(bits=8, gap_bits=8, threshold=1e30, min_size=1 << 40)
    assert (low.min_size, high.min_size) == (0, 1 << 40)


def test_numbers_of_numpy_become_pythons() -> None:
    config = TensorConfig(bits=np.uint8(4), gap_bits=np.int64(3), threshold=np.float32(0.5))
    assert config == TensorConfig(bits=4, gap_bits=3, threshold=0.5)
    assert Config.from_dict(json.loads(json.dumps(Config(config).to_dict()))) == Config(config)


def test_a_name_that_no_tensor_has_is_misspelt() -> None:
    config = Config(by_name={"w": {}, "v\n": {"bits": 4}})
    config.check_names(["v\n", "u", "w"])
    with pytest.raises(ConfigError, match=r"by_name has 'v\\n', which isn't among the 2 tensors"):
        config.check_names(["w", "u"])


def test_kinds_go_by_rank() -> None:
    ranks = [(), (3,), (3, 3), (3, 3, 3), (3, 3, 3, 3)]
    assert [kind_of(shape) for shape in ranks] == ["bias", "bias", "fc", "conv", "conv"]


def test_the_paper_widths() -> None:
    conv, fc = (paper_config().of("w", shape) for shape in ((1, 1, 1, 1), (1, 1)))
    assert (conv.bits, conv.gap_bits, fc.bits, fc.gap_bits) == (8, 8, 5, 5)


def test_json_round_trip() -> None:
    default = TensorConfig("float16", 3, 4, "density", threshold=0.5, coder="fixed", min_size=9)
    config = Config(default, {"fc": {"bits": 4}}, {"w": {"sparsity": 0.5}})
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert Config.from_dict({}) == Config()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"default": {"bitz": 9}}, "unknown field 'bitz'.*; did you mean 'bits'\\?"),
        ({"default": {"method": "lossles"}}, "did you mean 'lossless'"),
        ({"by_kinds": {}}, "did you mean 'by_kind'"),
        ({"by_kind": {"embeding": {}}}, "did you mean 'embedding'"),
        ({"by_kind": {"fc": {}, "linear": {}}}, "by_kind has 'fc' twice, as 'linear' is the same"),
        ({"by_name": {"re:(": {}}}, "'re:\\(' isn't a regular expression"),
        ({"default": None}, "expected fields"),
        ({"default": {"bits": 9}}, "bits must be a whole number from 1 to 8, not 9"),
        ({"default": {"bits": True}}, "bits"),
        ({"default": {"bits": 4.0}}, "bits must be a whole number from 1 to 8, not 4.0"),
        ({"default": {"bits": "4"}}, "bits must be a whole number"),
        ({"default": {"gap_bits": 0}}, "gap_bits"),
        ({"default": {"gap_bits": 9}}, "gap_bits must be a whole number from 1 to 8, not 9"),
        ({"default": {"min_size": -1}}, "min_size"),
        ({"default": {"centroid_dtype": "half"}}, "unknown centroid_dtype 'half'; the choices are"),
        ({"default": {"group_size": 0}}, "group_size must be a whole number from 1"),
        ({"default": {"method": "raw", "group_size": 4}}, "'raw' has no group_size"),
        ({"default": {"max_iterations": -1}}, "max_iterations must be a whole number from 0"),
        (
            {"default": {"coder": "zip"}},
            "unknown coder 'zip'; the choices are fixed, huffman, rans",
        ),
        ({"default": {"encoding": "raw"}}, "unknown encoding 'raw'; the choices are relative,"),
        ({"default": {"encoding": "dense", "gap_bits": 4}}, "'dense' has no gaps"),
        ({"default": {"method": "prune"}}, "method 'prune'; the choices are shared, raw"),
        ({"default": {"init": "forgy"}}, "init 'forgy'; the choices are linear"),
        ({"default": {"bit": 4}}, "unknown field 'bit'"),
        ({"default": {"sparsity": 0.5, "threshold": 1}}, "sparsity and threshold exclude"),
        ({"default": {"sparsity": "high"}}, "sparsity must be a finite number"),
        ({"default": {"sparsity": True}}, "sparsity must be a finite number >= 0, not True"),
        ({"default": {"sensitivity": -0.5}}, "sensitivity must be a finite number >= 0, not -0.5"),
        ({"default": {"threshold": np.nan}}, "threshold must be a finite number >= 0, not nan"),
        ({"default": {"threshold": np.inf}}, "threshold must be a finite number >= 0, not inf"),
        ({"default": {"sensitivity": 10**400}}, "sensitivity must be a finite number >= 0, not 10"),
        ({"default": {"bits": 10**5000}}, "bits must be a whole number from 1 to 8, not something"),
        ({"default": {"sparsity": 1.01}}, r"sparsity must be in \[0, 1\], not 1.01"),
        ({"default": {"coder": np.zeros(3)}}, "unknown coder array"),
        ({"default": 3}, "expected fields"),
        ({"by_kind": 3}, "by_kind must be a mapping, not 3"),
        ({"by_name": ["w"]}, "by_name must be a mapping"),
        (3, "expected default, by_kind and by_name, not 3"),
        ({"by_kind": {"rnn": {}}}, "kind 'rnn'; the choices are conv, fc, embedding, norm, bias"),
        ({"by_kind": {"fc": {"bits": 0}}}, "configuration of 'fc': bits"),
        ({"by_name": {"w": {"x": 1}}}, "configuration of 'w': unknown field 'x'"),
        ({"other": {}}, "unknown configuration key 'other'"),
    ],
)
def test_unknown_words_and_values_are_named(values: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Config.from_dict(values)


@pytest.mark.parametrize("method", ["raw", "float16"])
def test_options_that_a_method_has_no_use_for_are_refused(method: str) -> None:
    """But for a default, which others may refine, and for all fields of a `TensorConfig`."""
    given: dict[str, Any] = {"method": method, "bits": 4, "min_size": 3}
    words = f"method '{method}' has no bits and no min_size"
    with pytest.raises(ConfigError, match=f"configuration of 'fc': {words}"):
        Config(by_kind={"fc": given})
    with pytest.raises(ConfigError, match=f"configuration of 'w': {words}"):
        Config(by_name={"w": given})
    with pytest.raises(ConfigError, match=f"configuration of 'default': {words}"):
        Config(given)
    assert Config(given, {"fc": {"method": "shared"}}).of("w", (2, 2)).bits == 4
    everything = asdict(TensorConfig(**given))
    assert Config(by_name={"w": everything}).of("w", (2,)) == TensorConfig(**given)


def test_raw_tensors_cant_be_pruned() -> None:
    with pytest.raises(ConfigError, match="'w': method 'raw' has no sparsity"):
        Config(by_name={"w": {"method": "raw", "sparsity": 0.5}})
    Config(by_name={"w": {"method": "float16", "sparsity": 0.5}})


@pytest.mark.parametrize("default", [{"bits": 3}, {"method": "float16"}, {}])
def test_a_default_is_taken_as_a_mapping(default: dict[str, Any]) -> None:
    assert (
        Config(default) == Config(TensorConfig(**default)) == Config.from_dict({"default": default})
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"default": None}, "expected fields and their values, not None"),
        ({"default": {"bit": 3}}, "unknown field 'bit'"),
        ({"default": {"bits": 9}}, "bits must be a whole number from 1 to 8"),
        ({"by_name": {3: {}}}, "by_name: a tensor's name is a string, not 3"),
    ],
)
def test_a_configuration_is_checked_at_once(arguments: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Config(**arguments)


@pytest.mark.parametrize("option", ["bits", "gap_bits", "coder", "init", "encoding", "sparsity"])
@pytest.mark.parametrize("level", ["by_kind", "by_name"])
def test_options_of_sharing_mean_to_share(option: str, level: str) -> None:
    value = {"coder": "rans", "init": "density", "encoding": "dense", "sparsity": 0.5}
    key = "fc" if level == "by_kind" else "w"
    config = Config({"method": "raw"}, **{level: {key: {option: value.get(option, 3)}}})
    assert config.of("w", (2, 2)).method == "shared"
    assert config.of("v", (2, 2, 2)).method == "raw"


def test_a_rule_alone_leaves_the_rounding() -> None:
    config = Config({"method": "float16"}, by_kind={"fc": {"sparsity": 0.5}})
    assert config.of("w", (2, 2)) == TensorConfig("float16", sparsity=0.5)


def test_narrower_kinds_are_stronger() -> None:
    config = Config(
        by_kind={"linear": {"bits": 4}, "embedding": {"init": "density"}, "bias": {"bits": 8}}
    )
    assert config.of("fc.weight", (9, 9)) == TensorConfig(bits=4)
    assert config.of("embed.weight", (9, 9)) == TensorConfig(bits=4, init="density")
    assert config.of("bn.weight", (9,)) == config.of("bn.bias", (9,)) == TensorConfig(bits=8)
    alone = Config(by_kind={"norm": {"method": "float16"}})
    assert alone.of("bn.weight", (9,)).method == "float16"
    assert alone.of("bn.bias", (9,)).method == "raw"
    assert list(config.to_dict()["by_kind"]) == ["fc", "embedding", "bias"]


def test_none_leaves_tensors_alone() -> None:
    config = Config(by_kind={"conv": None}, by_name={"fc.*": None, "fc.weight": {"bits": 3}})
    assert config.of("c", (1, 1, 1)).method == config.of("fc.bias", (3,)).method == "raw"
    assert config.of("fc.other", (3, 3)).method == "raw"
    assert config.of("fc.weight", (3, 3)).bits == 3
    assert config.why_raw("c", (1, 1, 1)) == config.why_raw("fc.other", (3, 3)) == ""
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_patterns_wish_and_names_insist() -> None:
    config = Config(by_name={"l*": {"bits": 3}, "l2.*": {"method": "float16"}, "l1.w": {}})
    assert config.of("l1.v", (300, 3)) == TensorConfig(bits=3)
    assert config.of("l2.w", (300, 3)).method == config.of("l2.b", (300,)).method == "float16"
    assert config.of("l1.w", (300, 3)) == TensorConfig()
    assert config.of("l1.b", (300,)) == TensorConfig(method="raw", bits=3)  # still a bias
    assert (config.asked_for("l1.v"), config.why_raw("l1.b", (300,))) == ("", "bias")
    tensors = {"l1.v": np.arange(400), "l1.w": np.eye(20), "l2.w": np.eye(3)}
    assert compress(tensors, config).kept == {"l1.v": "integers"}


def test_a_pattern_of_no_tensor_is_misspelt() -> None:
    config = Config(by_name={"w*": None, "re:v|w": None, "*": None})
    config.check_names(["w"])
    for key in ("v*", "re:", "[!w]"):
        with pytest.raises(ConfigError, match="which matches none of the 1 tensors"):
            Config(by_name={"w*": None, key: None}).check_names(["w"])
    with pytest.raises(ConfigError, match=r"; did you mean 'conv1.weight'"):
        Config(by_name={"conv.weight": None}).check_names(["fc", "conv1.weight"])
    with pytest.raises(ConfigError, match=r"; did you mean 'conv1.weight'"):
        Config(by_name={"cnov*.weight": None}).check_names(["fc", "conv1.weight"])


def test_a_brief_dict_has_what_is_given_alone() -> None:
    assert Config().to_dict(brief=True) == {}
    config = Config({"bits": 5, "coder": "rans"}, {"fc": {"bits": 5}})
    brief = {"default": {"coder": "rans"}, "by_kind": {"fc": {"bits": 5}}}
    assert config.to_dict(brief=True) == brief
    assert Config.from_dict(brief) == config


def test_files_of_both_forms(tmp_path: Path) -> None:
    config = Config({"bits": 4}, {"conv": {"bits": 8}}, {"a.*": {"sparsity": 0.5}})
    toml, other = tmp_path / "c.toml", tmp_path / "c.json"
    toml.write_text(
        '[default]\nbits = 4\n[by_kind.conv]\nbits = 8\n[by_name."a.*"]\nsparsity = 0.5\n'
    )
    other.write_text(json.dumps(config.to_dict()))
    assert Config.from_file(toml) == Config.from_file(other) == config


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("c.toml", "bits = ", "c.toml: Invalid value"),
        ("c.toml", "[default]\nbits = 1979-05-27", "c.toml: bits must be a whole number"),
        ("c.toml", "[default]\nsparsity = nan", "c.toml: sparsity must be a finite number"),
        ("c.toml", '[by_name]\n"a" = 3', "c.toml: configuration of 'a': expected fields"),
        ("c.toml", "a = " + "[" * 9999, "c.toml: "),
        ("c.toml", "\xff", "c.toml: .*utf-8"),
        ("c.json", "[default]", "c.json: "),
        ("c.txt", "{", "c.txt: "),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=words):
        Config.from_file(tmp_path / name)


def test_toml_on_a_python_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "TOML_MODULES", ("no_such_module",))
    (tmp_path / "c.toml").write_text("")
    with pytest.raises(ConfigError, match=r"takes Python 3.11, or the package tomli"):
        Config.from_file(tmp_path / "c.toml")
