"""A model built of another model's nodes begins with that model's weights, and has its own from then on."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import retrograd as rg

X = np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32)
Y = np.arange(12) % 3


def trained(seed: int = 3) -> rg.Model:
    net = rg.Sequential(
        [rg.Input(6), rg.Dense(8, activation="tanh", name="lower"), rg.BatchNorm(name="norm"), rg.Dense(3)],
        seed=seed,
    )
    rg.Trainer(net, "cross_entropy", rg.SGD(0.1)).fit(X, Y, epochs=3, progress=False)
    return net


def test_a_new_head() -> None:
    net = trained()
    other = rg.Model(net.inputs, rg.Dense(5, name="head")(net["norm"].output), seed=9)
    for name in ("lower.weight", "lower.bias", "norm.weight", "norm.bias"):
        np.testing.assert_array_equal(other.parameters[name], net.parameters[name])
        assert not np.shares_memory(other.parameters[name], net.parameters[name])
    np.testing.assert_array_equal(other["norm"].running_mean, net["norm"].running_mean)
    assert other["norm"].running_mean.any()
    fresh = rg.Sequential([rg.Input(8), rg.Dense(5, name="head")], seed=9)
    assert other["head"].weight.std() > 0
    assert fresh["head"].weight.shape == other["head"].weight.shape
    before = net.to_bytes()
    rg.Trainer(other, "cross_entropy").fit(X, Y, epochs=1, progress=False)
    assert net.to_bytes() == before


def test_the_same_outputs_predict_the_same() -> None:
    net = trained()
    again = rg.Model(net.inputs, net.outputs)
    np.testing.assert_array_equal(again.predict(X), net.predict(X))
    twice = rg.Model(net.inputs, net.outputs, dtype="float64")
    np.testing.assert_allclose(twice.predict(X), net.predict(X), atol=1e-5)


def test_nodes_of_a_copy_and_of_a_loaded_model(tmp_path: Path) -> None:
    net = trained()
    copy, loaded = net.copy(), rg.load(net.save(tmp_path / "net"))
    copy.parameters["lower.bias"][...] = 7.0
    loaded.parameters["lower.bias"][...] = 8.0
    for source in (copy, loaded, net, copy):  # the one whose node is taken
        other = rg.Model(source.inputs, source["lower"].output)
        np.testing.assert_array_equal(other["lower"].bias, source["lower"].bias)


def test_nodes_kept_by_the_user() -> None:
    x = rg.Input(6)
    h = rg.Dense(4, activation="relu")(x)
    net = rg.Model(x, rg.Dense(2)(h), seed=1)
    net.parameters["dense_0.weight"][...] = 0.25
    other = rg.Model(x, rg.Dense(3, name="head")(h), seed=2)
    np.testing.assert_array_equal(other["dense_0"].weight, 0.25)
    del net, other
    gc.collect()
    assert rg.Model(x, h, seed=2)["dense_0"].weight.std() > 0  # nobody has weights for it any more


def test_an_encoder_within_the_model_it_was_cut_from() -> None:
    x = rg.Input(6)
    code = rg.Dense(2, name="code")(x)
    net = rg.Model(x, rg.Dense(6, name="decoder")(code))
    rg.Trainer(net, "mse").fit(X, X, epochs=2, progress=False)
    encoder = rg.Model(x, code)
    np.testing.assert_allclose(encoder.predict(X), X @ net["code"].weight.T + net["code"].bias, atol=1e-5)


def test_one_layer_object_in_two_models() -> None:
    """The second model has a call of its own, its first; from then on each has its own weights."""
    shared = rg.Dense(2, name="shared")
    first, second = (rg.Sequential([rg.Input(6), rg.Dense(4, name="own"), shared], seed=1) for _ in range(2))
    assert [layer.calls for layer in second.layers] == [1, 1]
    assert "shared.z" in second._core.node_names
    np.testing.assert_array_equal(first["shared"].weight, second["shared"].weight)
    rg.Trainer(second, "mse").fit(X, X[:, :2], epochs=1, progress=False)
    assert not np.array_equal(first["shared"].weight, second["shared"].weight)
    again = rg.Model.from_bytes(second.to_bytes())
    np.testing.assert_array_equal(again.predict(X), second.predict(X))


def test_a_later_call_of_a_layer_alone() -> None:
    x, layer = rg.Input(6), rg.Dense(6, name="twice")
    both, one = rg.Model(x, layer(layer(x))), rg.Model(x, layer(x))
    assert (both["twice"].calls, one["twice"].calls) == (2, 1)
    trace = one.trace(X, X, "mse")
    np.testing.assert_allclose(trace["twice"].z, X @ one["twice"].weight.T + one["twice"].bias, atol=1e-5)
