"""MultiHeadAttention and PositionalEmbedding beyond their rows: long sequences, masks by sample, dropout.

The value and the slope of each configuration are in ``rows.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_attention as att
import retrograd as rg
from retrograd import _core, ops

Array = np.ndarray


def sequences(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def self_attention(
    time: int, d: int, heads: int, *, causal: bool = False, dtype: str = "float64"
) -> rg.Model:
    x = rg.Input((time, d), name="x")
    return rg.Model(x, att.multi_head(d, heads, causal)(x), dtype=dtype)


def masked_attention(
    mask_shape: tuple[int, ...], *, causal: bool = False, time: int = 6, d: int = 4
) -> rg.Model:
    x, mask = rg.Input((time, d), name="x"), rg.Input(mask_shape, dtype="bool", name="mask")
    return rg.Model([x, mask], att.multi_head(d, 2, causal)(x, mask=mask), dtype="float64")


# ------------------------------------------------------------------------------------- values and slopes


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("time", "d", "heads"), [(31, 8, 2), (33, 6, 3), (70, 4, 1), (300, 4, 2)])
def test_sequences_of_several_blocks(time: int, d: int, heads: int, causal: bool) -> None:
    net, x = self_attention(time, d, heads, causal=causal), sequences(2, time, d)
    expected = att.multi_head_value(x, x, x, heads, causal)
    np.testing.assert_allclose(net.predict(x), expected, rtol=0, atol=1e-12)
    y = sequences(2, time, d, seed=1)
    assert rg.check_gradients(net, x, y, "mse").max_relative_error < 1e-6


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", ["padding", "each query"])
def test_masks_of_each_sample(kind: str, causal: bool) -> None:
    rng = np.random.default_rng(3)
    x, y = sequences(5, 6, 4), sequences(5, 6, 4, seed=1)
    shape = (6,) if kind == "padding" else (6, 6)
    mask = rng.random((5, *shape)) < 0.6
    mask[0] = False  # nothing to attend to at all
    net = masked_attention(shape, causal=causal)
    expected = att.multi_head_value(x, x, x, 2, causal, mask.reshape(5, -1, 6))
    np.testing.assert_allclose(net.predict([x, mask]), expected, rtol=0, atol=1e-13)
    assert rg.check_gradients(net, [x, mask], y, "mse").max_relative_error < 1e-6


@pytest.mark.parametrize("kind", ["keys", "values", "none"])
def test_slopes_with_one_sequence_as_several(kind: str) -> None:
    """What reaches a node by several of its roles is added up."""
    a, b = rg.Input((5, 4)), rg.Input((5, 4))
    shared = ops.multiply(a, rg.Variable(np.linspace(0.5, 1.5, 4), name="scale"))
    given = {"keys": (shared, shared, b), "values": (shared, b, shared), "none": (b, shared, a)}[kind]
    net = rg.Model([a, b], att.multi_head(4, 2)(*given), dtype="float64")
    x = [sequences(3, 5, 4), sequences(3, 5, 4, seed=1)]
    assert rg.check_gradients(net, x, sequences(3, 5, 4, seed=2), "mse").max_relative_error < 1e-6


@pytest.mark.parametrize("packed", [False, True])
def test_slopes_where_others_add(packed: bool) -> None:
    """The operands have other readers, too, so their gradients are added to."""
    x = rg.Input((40, 4))
    nodes = [rg.Dense(12)(x)] if packed else [rg.Dense(4)(x) for _ in range(3)]
    options = {"heads": 2, "packed": packed, "causal": True, "dropout": 0.0}
    attended = _core.apply("attention", options, nodes)
    net = rg.Model(x, rg.Concatenate()(*nodes, attended), dtype="float64", seed=1)
    report = rg.check_gradients(net, sequences(3, 40, 4), sequences(3, 40, 16, seed=1), "mse")
    assert report.max_relative_error < 1e-6


def test_slopes_of_frozen_parts() -> None:
    a, b = rg.Input((5, 4)), rg.Input((5, 4))
    nodes = [rg.Dense(4)(a), rg.Dense(4)(b), rg.Dense(4)(b)]
    net = rg.Model([a, b], att.multi_head(4, 2)(*nodes), dtype="float64", seed=1)
    x, y = [sequences(3, 5, 4), sequences(3, 5, 4, seed=1)], sequences(3, 5, 4, seed=2)
    for trained in ("dense_0", "dense_1", "dense_2", "multi_head_attention_0"):
        net.freeze("*")
        net.unfreeze(trained)
        assert rg.check_gradients(net, x, y, "mse").max_relative_error < 1e-6


def test_one_node_three_times_is_one_product() -> None:
    x = rg.Input((5, 4))
    nets = [rg.Model(x, att.multi_head(4, 2)(*given), seed=1) for given in ((x,), (x, x, x))]
    data = sequences(3, 5, 4)
    assert nets[0].predict(data).tobytes() == nets[1].predict(data).tobytes()
    assert nets[0].summary().cost == nets[1].summary().cost


def test_causal_means_that_later_steps_do_not_matter() -> None:
    net, x = self_attention(40, 8, 2, causal=True, dtype="float32"), sequences(1, 40, 8)
    before = net.predict(x)
    x[0, 33:] += 5.0
    assert net.predict(x)[0, :33].tobytes() == before[0, :33].tobytes()
    assert (net.predict(x)[0, 33:] != before[0, 33:]).any()


def test_causal_is_the_lower_triangle() -> None:
    x, node = sequences(2, 40, 8), rg.Input((40, 8))
    triangle = np.tril(np.ones((40, 40)))
    net = rg.Model(node, att.multi_head(8, 2)(node, mask=triangle), dtype="float64")
    causal = self_attention(40, 8, 2, causal=True)
    np.testing.assert_allclose(net.predict(x), causal.predict(x), rtol=0, atol=1e-14)


def test_padding_does_not_matter() -> None:
    x = sequences(2, 6, 4)
    mask = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]], bool)
    net = masked_attention((6,))
    before = net.predict([x, mask])
    x[0, 4:] = 100.0
    np.testing.assert_array_equal(net.predict([x, mask])[0, :4], before[0, :4])


def test_a_query_without_keys_gets_zero_and_hands_nothing_back() -> None:
    x = sequences(2, 6, 4)
    mask = np.ones((2, 6, 6), bool)
    mask[0, 2] = mask[1] = False
    net = masked_attention((6, 6))
    bias = net.parameters["multi_head_attention_0.out_proj.bias"]
    found = net.predict([x, mask])
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[0, 2], bias)
    np.testing.assert_array_equal(found[1], np.broadcast_to(bias, (6, 4)))
    trainer = rg.Trainer(net, loss="mse")
    trainer.gradients([x[1:], mask[1:]], sequences(1, 6, 4, seed=1))
    for role in ("in_proj_weight", "in_proj_bias", "out_proj.weight"):
        assert not net.gradients[f"multi_head_attention_0.{role}"].any()
    assert net.gradients["multi_head_attention_0.out_proj.bias"].any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_scores_do_not_overflow(dtype: str) -> None:
    net, x = self_attention(40, 8, 2, causal=True, dtype=dtype), 60.0 * sequences(1, 40, 8)
    expected = att.multi_head_value(x, x, x, 2, causal=True)
    np.testing.assert_allclose(net.predict(x), expected, rtol=0, atol=2e-2 if dtype == "float32" else 1e-9)
    rg.Trainer(net, loss="mse").gradients(x, np.zeros((1, 40, 8)))
    assert np.isfinite(net.flat_gradients).all()


def test_a_number_that_is_not_finite_is_handed_on() -> None:
    net, x = self_attention(5, 4, 2, causal=True), sequences(1, 5, 4)
    net.parameters["multi_head_attention_0.in_proj_weight"][0, 0] = np.nan  # of every query
    found = net.predict(x)
    assert np.isnan(found).all()


# --------------------------------------------------------------------------------------------- dropout


def dropout_net(rate: float, dtype: str = "float64", time: int = 40) -> rg.Model:
    x = rg.Input((time, 8))
    layer = rg.MultiHeadAttention(2, causal=True, dropout=rate)
    return rg.Model(x, att.with_parameters(layer, att.attention_parameters(8))(x), dtype=dtype)


def test_dropout_is_of_training_alone() -> None:
    x = sequences(3, 40, 8)
    assert dropout_net(0.5).predict(x).tobytes() == dropout_net(0.0).predict(x).tobytes()
    y = np.zeros((3, 40, 8))
    losses = [rg.Trainer(dropout_net(rate), loss="mse").forward(x, y) for rate in (0.5, 0.5, 0.0)]
    assert losses[0] == losses[1] != losses[2]
    assert rg.Trainer(dropout_net(0.5), loss="mse", seed=1).forward(x, y) != losses[0]


def test_dropout_differs_from_batch_to_batch() -> None:
    trainer = rg.Trainer(dropout_net(0.5), loss="mse")
    x, y = sequences(3, 40, 8), np.zeros((3, 40, 8))
    first = trainer.forward(x, y)
    assert trainer.forward(x, y) == first  # looking again
    trainer.backward()
    assert trainer.forward(x, y) != first  # another batch for the same update
    trainer.iteration = 1
    assert trainer.forward(x, y) != first


def test_dropout_keeps_the_mean() -> None:
    """With equal scores and values of 1, each result is the share that was kept."""
    rate, time, samples = 0.3, 64, 100
    x = rg.Input((time, 4))
    ones = np.zeros((12, 4)), np.r_[np.zeros(8), np.ones(4)]
    parameters = {"in_proj_weight": ones[0], "in_proj_bias": ones[1]}
    parameters |= {"out_proj.weight": np.eye(4), "out_proj.bias": np.zeros(4)}
    node = att.with_parameters(rg.MultiHeadAttention(4, dropout=rate), parameters)(x)
    net = rg.Model(x, node, dtype="float64")
    trace = rg.Trainer(net, loss="mse").trace(np.zeros((samples, time, 4)), np.zeros((samples, time, 4)))
    shares = trace["multi_head_attention_0"].a
    kept = shares * (1 - rate) * time  # how many of 64 keys
    np.testing.assert_allclose(kept, np.round(kept), atol=1e-9)
    deviation = np.sqrt(rate / (1 - rate) / time)
    assert abs(shares.mean() - 1) < 5 * deviation / np.sqrt(shares.size)
    assert shares.std() == pytest.approx(deviation, rel=0.05)
    # no two heads, queries or samples have one mask
    assert abs(np.corrcoef(shares[..., 0].ravel(), shares[..., 1].ravel())[0, 1]) < 0.06
    assert abs(np.corrcoef(shares[:, 0, 0], shares[:, 1, 0])[0, 1]) < 0.5
    assert abs(np.corrcoef(shares[0, :, 0], shares[1, :, 0])[0, 1]) < 0.6


def test_slope_with_dropout() -> None:
    """A new trainer draws the same numbers, so the loss is a function of the parameters."""
    net, x, y = dropout_net(0.4), sequences(2, 40, 8), sequences(2, 40, 8, seed=1)
    rg.Trainer(net, loss="mse").gradients(x, y)
    gradient, at_rest = net.flat_gradients.copy(), net.flat_parameters.copy()
    direction = np.random.default_rng(2).normal(size=gradient.size)
    direction /= np.linalg.norm(direction)

    def loss(step: float) -> float:
        net.flat_parameters[...] = at_rest + step * direction
        return rg.Trainer(net, loss="mse").forward(x, y)

    h = 1e-3
    slope = (8.0 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12.0 * h)
    assert gradient @ direction == pytest.approx(slope, rel=1e-7)


# ------------------------------------------------------------------------------------------ equal bits


def step_bytes(threads: int, dtype: str, causal: bool, dropout: float) -> bytes:
    node, mask = rg.Input((128, 128)), rg.Input(128, dtype="bool")
    h = rg.LayerNorm()(rg.PositionalEmbedding(150)(node))
    h = rg.RMSNorm()(h + rg.MultiHeadAttention(4, causal=causal, dropout=dropout)(h, mask=mask))
    h = rg.MultiHeadAttention(2)(h, node, h)
    trainer = rg.Trainer(
        rg.Model([node, mask], h, seed=1, dtype=dtype), loss="mse", optimizer=rg.Adam(1e-3), threads=threads
    )
    x = sequences(6, 128, 128)
    for _ in range(2):
        trainer.step([x, np.arange(128) < np.array([[128, 9, 77, 0, 31, 32]]).T], 0.5 * x)
    assert trainer.threads_used == threads
    return trainer.model.flat_parameters.tobytes() + trainer.model.flat_gradients.tobytes()


@pytest.mark.parametrize(("causal", "dropout"), [(True, 0.0), (False, 0.2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads(dtype: str, causal: bool, dropout: float) -> None:
    assert len({step_bytes(threads, dtype, causal, dropout) for threads in range(1, 9)}) == 1


ISA_SCRIPT = """
import hashlib
from test_attention import step_bytes
parts = [step_bytes(1, dtype, causal, dropout)
         for dtype in ("float32", "float64") for causal, dropout in ((True, 0.0), (False, 0.2))]
print(hashlib.sha256(b"".join(parts)).hexdigest())
"""


def test_instruction_sets() -> None:
    with_fma = [isa for isa in _core.runnable_isas() if isa != "baseline"]
    if len(with_fma) < 2:
        pytest.skip(f"this machine runs one instruction set with fused multiply-add at most: {with_fma}")
    found = set()
    for isa in with_fma:
        paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
        environment = {**os.environ, "RETROGRAD_ISA": isa, "PYTHONPATH": paths}
        command = [sys.executable, "-c", ISA_SCRIPT]
        found.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(found) == 1


# ------------------------------------------------------------------------- parameters with a dot in the role


def named_net() -> rg.Model:
    return rg.Sequential([rg.Input((5, 4)), rg.MultiHeadAttention(2), rg.Dense(3)], seed=0)


ROLES = ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]


def test_parameters_are_named_as_in_pytorch(tmp_path: Path) -> None:
    net = named_net()
    name = "multi_head_attention_0"
    assert list(net.parameters)[:4] == [f"{name}.{role}" for role in ROLES]
    assert sorted(net[name].parameters) == sorted(ROLES)
    assert net[name].parameters["out_proj.weight"] is not None
    again = rg.load(net.save(tmp_path / "net"))
    assert again.flat_parameters.tobytes() == net.flat_parameters.tobytes()
    assert list(again.parameters) == list(net.parameters)
    other = rg.Sequential([rg.Input((5, 4)), rg.MultiHeadAttention(2), rg.Dense(3)], seed=1)
    other.set_parameters(dict(net.parameters))
    assert other.flat_parameters.tobytes() == net.flat_parameters.tobytes()


@pytest.mark.parametrize(
    ("pattern", "frozen"),
    [
        ("multi_head_attention_0", ROLES),
        ("multi*", ROLES),
        ("multi_head_attention_0.out_proj", ROLES[2:]),
        ("multi_head_attention_0.out_proj.weight", ROLES[2:3]),
        ("*.in_proj_weight", ROLES[:1]),
    ],
)
def test_patterns_reach_parameters_with_a_dot(pattern: str, frozen: list[str]) -> None:
    x, y = sequences(3, 5, 4), np.zeros((3, 5, 3))
    net = named_net()
    net.freeze(pattern)
    groups = [rg.ParamGroup(pattern, lr_scale=0.0)]
    for trained, options in ((net, {}), (named_net(), {"param_groups": groups})):
        before = {name: value.copy() for name, value in trained.parameters.items()}
        rg.Trainer(trained, loss="mse", optimizer=rg.SGD(0.1), **options).step(x, y)
        same = {n for n, value in trained.parameters.items() if np.array_equal(value, before[n])}
        assert same == {f"multi_head_attention_0.{role}" for role in frozen}


def test_weights_begin_as_in_pytorch() -> None:
    net = rg.Sequential([rg.Input((5, 64)), rg.MultiHeadAttention(2)], dtype="float64")
    layer = net["multi_head_attention_0"].parameters
    bound = np.sqrt(6 / (64 + 3 * 64))
    assert 0.95 * bound < np.abs(layer["in_proj_weight"]).max() <= bound
    assert not layer["in_proj_bias"].any()
    assert not layer["out_proj.bias"].any()
    assert np.abs(layer["out_proj.weight"]).max() <= np.sqrt(6 / 128)


# ----------------------------------------------------------------------------------------------- errors


def x_of(*shape: int, dtype: str | None = None) -> rg.Node:
    return rg.Input(shape, dtype=dtype)


def attend(*shapes: tuple[int, ...], mask: Any = None, **options: Any) -> Any:
    return rg.MultiHeadAttention(2, name="att", **options)(*[x_of(*s) for s in shapes], mask=mask)


BAD: dict[str, tuple[Callable[[], Any], type[Exception], list[str]]] = {
    "no heads": (
        lambda: rg.MultiHeadAttention(0),
        rg.ArgumentError,
        ["MultiHeadAttention: heads: expected at least 1, got 0"],
    ),
    "half a head": (lambda: rg.MultiHeadAttention(1.5), rg.ArgumentError, ["heads", "1.5"]),
    "dropout 1": (
        lambda: rg.MultiHeadAttention(2, dropout=1.0),
        rg.ArgumentError,
        ["MultiHeadAttention: dropout: expected less than 1", "got 1"],
    ),
    "dropout below 0": (
        lambda: rg.MultiHeadAttention(2, dropout=-0.1, name="att"),
        rg.ArgumentError,
        ["att: dropout: expected at least 0, got -0.1"],
    ),
    "causal is no flag": (lambda: rg.MultiHeadAttention(2, causal=1), rg.ArgumentError, ["causal", "1"]),
    "heads that do not divide": (
        lambda: rg.MultiHeadAttention(3, name="att")(x_of(5, 4)),
        rg.ShapeError,
        ["att: 3 heads do not divide the 4 features of the input (batch, 5, 4)", "choose a number"],
    ),
    "no time": (
        lambda: attend((4,)),
        rg.ShapeError,
        ["att: expected (batch, time, features) for the input, got shape (batch, 4)"],
    ),
    "an image": (lambda: attend((4, 4, 2)), rg.ShapeError, ["att", "(batch, 4, 4, 2)", "(batch, time, "]),
    "indices": (
        lambda: rg.MultiHeadAttention(2)(x_of(5, 4, dtype="int64")),
        rg.DTypeError,
        ["multi_head_attention", "(batch, 5, 4)", "indices", "Embedding"],
    ),
    "two nodes": (
        lambda: attend((5, 4), (5, 4)),
        rg.GraphError,
        ["MultiHeadAttention(2, name='att'): called with 2 nodes", "(x) or (q, k, v)", "mask="],
    ),
    "no node": (lambda: attend(), rg.GraphError, ["called with 0 nodes"]),
    "an array as x": (
        lambda: rg.MultiHeadAttention(2)(np.zeros((1, 5, 4))),
        rg.GraphError,
        ["called with ndarray, expected a node"],
    ),
    "other features": (
        lambda: attend((5, 4), (5, 6), (5, 4)),
        rg.ShapeError,
        ["att: the queries are (batch, 5, 4) but the keys are (batch, 5, 6); expected 4 features"],
    ),
    "more keys than values": (
        lambda: attend((3, 4), (6, 4), (5, 4)),
        rg.ShapeError,
        ["att: there are 6 keys (batch, 6, 4) but 5 values (batch, 5, 4); expected one value for each key"],
    ),
    "queries of one number": (
        lambda: attend((3,), (6, 4), (6, 4)),
        rg.ShapeError,
        ["att: expected (batch, time, features) for the queries, got shape (batch, 3)"],
    ),
    "a mask of other keys": (
        lambda: attend((5, 4), mask=x_of(6, dtype="bool")),
        rg.ShapeError,
        ["att: the mask has shape (batch, 6), expected (batch, 5)", "(5, 5) or (batch, 5, 5)"],
    ),
    "a mask of one row": (
        lambda: attend((5, 4), mask=np.ones(5)),
        rg.ShapeError,
        ["att: the mask has shape (5)", "(batch, 5)"],
    ),
    "a transposed mask": (
        lambda: attend((3, 4), (5, 4), (5, 4), mask=np.ones((5, 3))),
        rg.ShapeError,
        ["att: the mask has shape (5, 3)", "(3, 5)", "3 queries and 5 keys"],
    ),
    "a mask of indices": (
        lambda: attend((5, 4), mask=x_of(5, dtype="int64")),
        rg.DTypeError,
        ["att: the mask of shape (batch, 5) holds indices", 'dtype="bool"'],
    ),
    "a mask that is added": (
        lambda: attend((5, 4), mask=np.triu(np.full((5, 5), -np.inf), 1)),
        rg.ArgumentError,
        ["mask has the number -inf", "1 where a key may be attended to"],
    ),
    "a mask of text": (lambda: attend((5, 4), mask=np.full((5, 5), "a")), rg.DTypeError, ["mask", "numbers"]),
    "no length": (
        lambda: rg.PositionalEmbedding(0),
        rg.ArgumentError,
        ["PositionalEmbedding: length: expected at least 1, got 0"],
    ),
    "longer than its length": (
        lambda: rg.PositionalEmbedding(4, name="pos")(x_of(5, 3)),
        rg.ShapeError,
        ["pos: the input (batch, 5, 3) has 5 steps, but length is 4", "at least 5"],
    ),
    "positions of no sequence": (
        lambda: rg.PositionalEmbedding(4)(x_of(3)),
        rg.ShapeError,
        ["positional_embedding: expected (batch, time, features) for the input", "(batch, 3)"],
    ),
    "positions of indices": (
        lambda: rg.PositionalEmbedding(4)(x_of(3, 2, dtype="int32")),
        rg.DTypeError,
        ["positional_embedding", "indices"],
    ),
    "rows that do not fit": (
        lambda: rg.PositionalEmbedding(4, weight_init=np.zeros((5, 3))),
        rg.ShapeError,
        ["weight_init has shape (5, 3), expected (4, features)"],
    ),
    "another size later": (
        lambda: [layer := rg.PositionalEmbedding(4), layer(x_of(3, 2)), layer(x_of(3, 5))],
        rg.ShapeError,
        ["its weight has shape (4, 2) from the first call, but this input needs (4, 5)"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_errors(case: str) -> None:
    make, kind, words = BAD[case]
    with pytest.raises(kind) as error:
        make()
    assert isinstance(error.value, rg.RetrogradError)
    for word in words:
        assert word in str(error.value)


OPERATION = {"heads": 2, "packed": False, "causal": False, "dropout": 0.0}
BAD_OPERATIONS: dict[str, tuple[dict[str, Any], list[tuple[int, ...]], type[Exception], list[str]]] = {
    "heads": ({"heads": 0}, [(5, 4)] * 3, rg.ArgumentError, ["heads is 0"]),
    "dropout": ({"dropout": 1.0}, [(5, 4)] * 3, rg.ArgumentError, ["dropout is 1"]),
    "packed features": ({"packed": True}, [(5, 8)], rg.ShapeError, ["(batch, 5, 8)", "heads do not divide"]),
    "packed rank": ({"packed": True}, [(12,)], rg.ShapeError, ["(batch, 12)", "3 * features"]),
    "operands": ({}, [(5, 4)] * 2, rg.GraphError, ["2 operands, expected 3 to 4"]),
    "features": ({}, [(5, 4), (5, 6), (5, 4)], rg.ShapeError, ["equally many features"]),
    "attribute": ({"head": 2}, [(5, 4)] * 3, rg.ArgumentError, ["head"]),
}


@pytest.mark.parametrize("case", BAD_OPERATIONS)
def test_the_operation_of_a_file_is_checked(case: str) -> None:
    attributes, shapes, kind, words = BAD_OPERATIONS[case]
    with pytest.raises(kind) as error:
        _core.apply("attention", {**OPERATION, **attributes}, [x_of(*shape) for shape in shapes])
    for word in words:
        assert word in str(error.value)


def test_a_mask_by_sample_holds_0_and_1() -> None:
    net, mask = masked_attention((6,)), np.ones((2, 6))
    mask[1, 3] = -1.0
    with pytest.raises(rg.ArgumentError, match="-1"):
        net.predict([sequences(2, 6, 4), mask])
