"""Recipes fit their networks, and say what the paper says."""

from dataclasses import asdict

import pytest

import deepcompress as dc
from deepcompress.experiments import recipes
from deepcompress.experiments.recipes import (
    DEMO,
    PAPER_SPARSITY,
    RECIPES,
    MaxRecipe,
    Recipe,
    Round,
    Training,
    find_recipe,
)
from deepcompress.nn import zoo
from deepcompress.nn.network import Network
from deepcompress.reports.paper import PAPER

ITERATIVE = [DEMO, *(one for one in RECIPES.values() if isinstance(one, Recipe))]


def named(recipe: Recipe | MaxRecipe) -> str:
    return f"{recipe.name}-{recipe.network}"


@pytest.mark.parametrize("recipe", ITERATIVE, ids=named)
def test_recipes_fit_their_networks(recipe: Recipe) -> None:
    network = zoo.build(recipe.network)
    weights = [name for name in network.param_shapes if name.endswith(".weight")]
    assert list(recipe.bits) == weights
    assert all([*one.sensitivity, *one.sparsity] == weights for one in recipe.rounds)
    network.with_dropout(recipe.dropout)
    assert set(recipe.dropout) <= set(recipe.dropout_of)
    for dropout, weight in recipe.dropout_of.items():
        assert weight == weight_at(network, dropout)


@pytest.mark.parametrize("network", ["lenet-300-100", "lenet-5"])
def test_the_smallest_recipes_fit_their_networks(network: str) -> None:
    recipe = find_recipe(network, "max")
    assert isinstance(recipe, MaxRecipe)
    shapes = zoo.build(network).param_shapes
    weights = [name for name in shapes if name.endswith(".weight")]
    assert list(recipe.units) == weights[:-1]
    assert all(0 < count < shapes[name][0] for name, count in recipe.units.items())
    assert 0 < recipe.prune_epochs < recipe.prune.epochs
    assert 0 < recipe.survivors < 5300 < recipe.start
    assert list(recipe.epochs()) == ["train", "prune", "round", "tune"]


def weight_at(network: Network, layer: str) -> str:
    """Return the last weight that an input has passed when it comes to a layer, or the first."""
    names = [one.name for one in network.layers]
    passed = names[: names.index(layer)]
    weights = [name for name in network.param_shapes if name.endswith(".weight")]
    return [w for w in weights if w.removesuffix(".weight") in passed or w == weights[0]][-1]


def test_recipes_share_what_the_paper_says() -> None:
    assert find_recipe("lenet-5") is RECIPES["paper", "lenet-5"]
    assert set(find_recipe("lenet-300-100").bits.values()) == {6}  # 64 centroids
    for recipe in ITERATIVE:
        assert (recipe.init, recipe.momentum) == ("linear", 0.9)
        last = recipe.rounds[-1].retrain
        assert (recipe.train.final_rate, last.final_rate, recipe.fine_tune.final_rate) == (0, 0, 0)
        assert all(last.epochs > one.retrain.epochs for one in recipe.rounds[:-1])
    for network, sparsity in PAPER_SPARSITY.items():
        *kept, _ = (row.kept_percent for row in PAPER[network].rows)
        assert [round(100 * (1 - zeros)) for zeros in sparsity.values()] == kept
        gradual, paper = RECIPES["gradual", network], RECIPES["paper", network]
        assert isinstance(gradual, Recipe)
        assert isinstance(paper, Recipe)
        assert gradual.rounds[-1].sparsity == sparsity
        assert [one.retrain for one in gradual.rounds] == [
            *[paper.rounds[0].retrain] * 3,
            paper.rounds[-1].retrain,
        ]
        differing = {key for key, value in asdict(gradual).items() if value != asdict(paper)[key]}
        assert differing == {"name", "rounds"}


def test_rounds_pair_the_sensitivities_in_their_order() -> None:
    first, last = Training(1, 0.1), Training(2, 0.1)
    assert recipes._rounds({"a": (0.1, 0.2, 0.3), "b": (0.4, 0.5, 0.6)}, first, last) == (
        Round({"a": 0.1, "b": 0.4}, first),
        Round({"a": 0.2, "b": 0.5}, first),
        Round({"a": 0.3, "b": 0.6}, last),
    )


def test_unknown_names_list_the_choices() -> None:
    with pytest.raises(dc.ConfigError, match="'vgg'; the choices are lenet-300-100, lenet-5"):
        find_recipe("vgg")
    with pytest.raises(
        dc.ConfigError, match="'mine' for lenet-5; the choices are gradual, max, paper"
    ):
        find_recipe("lenet-5", "mine")
