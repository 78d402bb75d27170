"""The training loop: the same bytes for every thread count, resuming, masks, errors."""

import numpy as np
import pytest

from deepcompress.errors import ArgumentError
from deepcompress.nn import zoo
from deepcompress.nn.losses import error_count
from deepcompress.nn.optim import SGD, Adam, constant, cosine
from deepcompress.nn.train import _dropout_rngs, fit
from deepcompress.nn.trainable import Masked, free


def digits(count, features=64):
    """Ten noisy prototypes: quick to learn, and of the sizes of images."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, count)
    prototypes = rng.random((10, features), dtype=np.float32)
    noise = 0.2 * rng.standard_normal((count, features), dtype=np.float32)
    return prototypes[labels] + noise, labels


def train(
    network,
    data,
    *,
    trainables=None,
    params=None,
    optimizer=None,
    rate=0.05,
    schedule=None,
    **options,
):
    """Fit with few arguments; return the parameters' bytes and what else was produced."""
    params = network.init(np.random.default_rng(5)) if params is None else params
    trainables = free(params) if trainables is None else trainables
    history = []
    state = fit(
        network,
        params,
        data,
        trainables,
        optimizer or SGD(l2=1e-4),
        schedule or cosine(rate, 4),
        **{"epochs": 2, "batch_size": 32, "seed": (1, 2), **options},
        on_epoch=lambda epoch, loss, seconds: history.append((epoch, loss)),
    )
    return {name: tensor.tobytes() for name, tensor in params.items()}, params, state, history


@pytest.mark.parametrize("name", ["lenet-5", "digits"])
@pytest.mark.parametrize("optimizer", [SGD(l2=1e-4), Adam()])
def test_threads_do_not_change_a_bit(name, optimizer):
    network = zoo.build(name, dropout=0.3)
    data = digits(100, int(np.prod(network.input_shape)))
    options = {"optimizer": optimizer, "rate": 0.001, "shards": 3}
    runs = [train(network, data, threads=n, **options) for n in (1, 2, 3)]
    assert runs[0][0] == runs[1][0] == runs[2][0]
    assert runs[0][3] == runs[1][3] == runs[2][3]
    x = data[0]
    logits = [network.predict(runs[0][1], x, batch_size=30, threads=n).tobytes() for n in (1, 2, 3)]
    assert logits[0] == logits[1] == logits[2]


def test_shards_change_only_the_rounding():
    network, data = zoo.build("digits"), digits(100)
    one, three = (train(network, data, shards=shards)[1] for shards in (1, 3))
    for name in one:
        np.testing.assert_allclose(one[name], three[name], atol=1e-5)


@pytest.mark.parametrize("optimizer", [SGD(l2=1e-4), Adam()])
def test_resumed_at_an_epoch_is_the_same_run(optimizer):
    network, data = zoo.build("digits", dropout=0.2), digits(100)
    straight, _, _, history = train(network, data, optimizer=optimizer, epochs=3)
    _, params, state, first = train(network, data, optimizer=optimizer, epochs=1)
    resumed, _, _, rest = train(
        network, data, optimizer=optimizer, params=params, state=state, start_epoch=1, epochs=3
    )
    assert resumed == straight
    assert first + rest == history
    assert [epoch for epoch, _ in history] == [0, 1, 2]


def test_seed_decides_order_and_dropout():
    network, data = zoo.build("digits", dropout=0.2), digits(100)
    assert train(network, data)[0] != train(network, data, seed=(1, 3))[0]
    whole = {"batch_size": 100, "epochs": 1}
    assert train(network, data, **whole)[0] != train(network, data, **whole, seed=(1, 3))[0]


def test_each_epoch_has_its_own_order():
    network, data = zoo.build("digits"), digits(100)
    first, second = (
        train(network, data, schedule=constant(0.05), start_epoch=epoch, epochs=epoch + 1)
        for epoch in (0, 1)
    )
    assert first[0] != second[0]


def test_each_step_and_shard_has_its_own_dropout():
    network = zoo.build("digits", dropout=0.2)
    streams = [rng.random() for step in (0, 1) for rng in _dropout_rngs(network, 3, (1,), 0, step)]
    assert len(set(streams)) == 6
    assert _dropout_rngs(zoo.build("digits"), 3, (1,), 0, 0) == [None] * 3


def test_learns():
    network, data = zoo.build("digits"), digits(500)
    _, params, _, history = train(network, data, epochs=4)
    assert history[-1][1] < history[0][1] / 4
    assert error_count(network.predict(params, data[0]), data[1]) < 10


def test_mask_survives_training():
    network, data = zoo.build("digits"), digits(100)
    params = network.init(np.random.default_rng(0))
    weight = params["ip1.weight"]
    mask = np.abs(weight) > 0.1
    weight[~mask] = 0
    trainables = [Masked("ip1.weight", weight, mask)]
    before = {name: tensor.tobytes() for name, tensor in params.items()}
    after, *_ = train(network, data, params=params, trainables=trainables)
    assert not weight[~mask].any()
    assert {name for name in before if before[name] != after[name]} == {"ip1.weight"}


def test_loss_is_the_mean_over_images():
    """With rate 0 the epoch's loss is that of the initial parameters, whatever the batches."""
    network, (x, labels) = zoo.build("digits"), digits(50)
    params = network.init(np.random.default_rng(0), dtype=np.float64)
    x = x.astype(np.float64)
    expected, _ = network.loss_and_grads(params, x, labels)
    losses = []
    fit(
        network, params, (x, labels), free(params), SGD(), constant(0.0), epochs=1, batch_size=16,
        seed=(0,), on_epoch=lambda epoch, loss, seconds: losses.append(loss),
    )  # fmt: skip
    assert losses == pytest.approx([expected])


def test_fit_and_predict_errors():
    network, (x, labels) = zoo.build("digits"), digits(20)
    params = network.init(np.random.default_rng(0))
    wrong_shape = {**params, "ip2.weight": params["ip2.weight"].T}
    missing = {name: tensor for name, tensor in params.items() if name != "ip3.bias"}
    sgd_state, adam_state = SGD().init(free(params)), Adam().init(free(params))
    cases = [
        ("parameter 'ip2.weight' has shape", lambda: network.predict(wrong_shape, x)),
        ("parameter 'ip3.bias' is missing", lambda: network.predict(missing, x)),
        ("no parameter 'ip9.bias'", lambda: network.predict({**params, "ip9.bias": x}, x)),
        ("inputs of shape", lambda: network.predict(params, x[:, 1:])),
        ("inputs of dtype uint8", lambda: network.predict(params, x.astype(np.uint8))),
        ("batch_size 0", lambda: network.predict(params, x, batch_size=0)),
        ("threads 0", lambda: network.predict(params, x, threads=0)),
        ("20 inputs with 19 labels", lambda: train(network, (x, labels[1:]))),
        ("labels must lie in 0 … 9", lambda: train(network, (x, labels + 9))),
        ("batch_size 0", lambda: train(network, (x, labels), batch_size=0)),
        ("shards 0", lambda: train(network, (x, labels), shards=0)),
        ("isn't an ndarray of dtype float64", lambda: train(network, (x.astype(float), labels))),
        ("optimizer's state", lambda: train(network, (x, labels), state=adam_state)),
        ("optimizer's state", lambda: train(
            network, (x, labels), state=sgd_state, optimizer=Adam())),
    ]  # fmt: skip
    for message, call in cases:
        with pytest.raises(ArgumentError, match=message):
            call()


def test_what_is_prepared_is_trained_on():
    """Halved inputs, of which half the features are left: as if the data had been so."""
    network = zoo.build("digits", dropout=0.3)
    x, labels = digits(100, 64)
    wide = np.concatenate([2 * x, np.full_like(x, np.nan)], axis=1)
    plain = train(network, (x, labels))
    assert train(network, (wide, labels), prepare=lambda x, rng: x[:, :64] / 2)[0] == plain[0]
    assert wide[:, :64].tobytes() == (2 * x).tobytes()


def test_noise_of_preparing_is_the_same_for_every_thread_count_and_drawn_anew():
    network = zoo.build("digits")
    data = digits(100, 64)
    drawn = []

    def prepare(x, rng):
        noise = rng.standard_normal(x.shape, dtype=np.float32)
        drawn.append(float(noise.flat[0]))
        return x + noise

    runs = [train(network, data, prepare=prepare, threads=n, epochs=4)[0] for n in (1, 2)]
    assert runs[0] == runs[1] != train(network, data, epochs=4)[0]
    steps = 4 * 4 * 2  # epochs, mini-batches, shards; and one call each that only looks
    assert len(set(drawn)) == steps + 1
    params = network.init(np.random.default_rng(5))
    *_, state, _ = train(network, data, params=params, prepare=prepare, epochs=2)
    options = {"params": params, "state": state, "start_epoch": 2, "epochs": 4}
    assert train(network, data, prepare=prepare, **options)[0] == runs[0]
