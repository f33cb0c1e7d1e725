"""What a step costs: counts against counts by hand, times against the clock within a wide margin."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from retrograd import _cost, _machine
from rows import LAYERS, OPERATIONS, Row

BATCH = 32
FLOAT = 4  # bytes


@pytest.fixture
def no_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time is taken three times and no more."""
    monkeypatch.setattr(_cost, "MEASURE", 0.0)


def dense(**options: Any) -> rg.Model:
    return rg.Sequential([rg.Input(7), rg.Dense(5, **options), rg.Dense(3)], dtype="float32")


def test_multiply_adds_of_dense_layers() -> None:
    """Forward n m; backward dW = delta^T x as many again, and dx = delta W where somebody waits for it."""
    cost = rg.cost(dense(), BATCH)
    assert cost["dense_0"].forward == BATCH * 7 * 5
    assert cost["dense_0"].backward == BATCH * 7 * 5  # nobody wants the gradient of the data
    assert cost["dense_1"].forward == BATCH * 5 * 3
    assert cost["dense_1"].backward == 2 * BATCH * 5 * 3
    assert cost.forward == sum(layer.forward for layer in cost.layers)
    assert [layer.name for layer in cost.layers] == ["dense_0", "dense_1", "operations and loss"]


def test_multiply_adds_of_convolutions() -> None:
    net = rg.Sequential([rg.Input((9, 8, 2)), rg.Conv2D(4, 3), rg.Conv2D(6, (2, 3), stride=2, groups=2)])
    cost = rg.cost(net, BATCH)
    first = (7 * 6 * 4) * (3 * 3 * 2)  # outputs, by the inputs of each
    second = (3 * 2 * 6) * (2 * 3 * 2)
    assert (cost["conv2d_0"].forward, cost["conv2d_0"].backward) == (BATCH * first, BATCH * first)
    assert (cost["conv2d_1"].forward, cost["conv2d_1"].backward) == (BATCH * second, 2 * BATCH * second)


def test_forward_is_what_the_model_says() -> None:
    net = dense(activation="relu")
    cost = rg.cost(net, BATCH)
    assert sum(layer.forward for layer in cost.layers[:-1]) == BATCH * net.summary().cost


def test_bytes_of_dense_layers() -> None:
    cost = rg.cost(dense(activation="tanh"), BATCH)
    x, h, y = 7 * BATCH, 5 * BATCH, 3 * BATCH
    p, q = 7 * 5 + 5, 5 * 3 + 3
    first, second = cost["dense_0"], cost["dense_1"]
    assert first.forward_bytes == FLOAT * (x + p + h)
    assert first.backward_bytes == FLOAT * (h + h + x + p)  # delta, a for its slope, x, and dW, db written
    assert second.forward_bytes == FLOAT * (h + q + y)
    assert second.backward_bytes == FLOAT * (y + h + q + q + h)  # delta, a, dW db; W read, dx written
    assert first.update_bytes == FLOAT * 3 * p
    assert first.memory == FLOAT * (2 * p + 2 * h)
    assert first.bytes == first.forward_bytes + first.backward_bytes + first.update_bytes
    assert first.intensity == (first.forward + first.backward) / first.bytes
    assert cost.bytes == sum(layer.bytes for layer in cost.layers)
    twice = rg.cost(dense(activation="tanh").copy(dtype="float64"), BATCH)
    assert twice.bytes == 2 * cost.bytes


def test_the_optimizer_reads_and_writes_its_own_numbers() -> None:
    p = 7 * 5 + 5
    for optimizer, numbers in ((rg.SGD(0.1), 0), (rg.SGD(0.1, momentum=0.9), 1), (rg.Adam(), 2)):
        trainer = rg.Trainer(dense(), "mse", optimizer)
        cost = rg.cost(trainer, BATCH)
        assert cost["dense_0"].update_bytes == FLOAT * p * (3 + 2 * numbers)
        assert cost.memory == trainer.summary(BATCH).memory


def test_what_is_frozen_has_no_backward() -> None:
    net = dense()
    net.freeze("dense_0")
    cost = rg.cost(net, BATCH)
    assert cost["dense_0"].backward == cost["dense_0"].backward_bytes == cost["dense_0"].update_bytes == 0
    assert cost["dense_1"].backward == BATCH * 5 * 3  # dW, and no dx
    net.unfreeze("dense_0")
    net.freeze("dense_1")
    cost = rg.cost(net, BATCH)
    assert cost["dense_1"].backward == BATCH * 5 * 3  # dx, and no dW
    assert net.frozen == ["dense_1.weight", "dense_1.bias"]
    net.freeze()
    assert rg.cost(net, BATCH).backward == 0


def test_a_layer_called_twice_and_an_embedding() -> None:
    x = rg.Input(5)
    layer = rg.Dense(5)
    cost = rg.cost(rg.Model(x, layer(layer(x))), BATCH)
    assert (cost["dense_0"].forward, cost["dense_0"].backward) == (BATCH * 50, BATCH * 75)
    index = rg.Input(2, dtype="int64")
    net = rg.Model(index, rg.Dense(1)(rg.Flatten()(rg.Embedding(1000, 3)(index))))
    looked_up = 2 * 3 * BATCH
    assert rg.cost(net, BATCH)["embedding_0"].update_bytes == FLOAT * 3 * looked_up


def test_operations_outside_of_layers_are_counted() -> None:
    x = rg.Input(4)
    w = rg.Variable(np.ones((4, 3)), "w")
    plain, product = (rg.cost(rg.Model(x, y), BATCH) for y in (rg.Dense(3)(x), x @ w))
    rest = product["operations and loss"]
    assert rest.forward - plain["operations and loss"].forward == BATCH * 12
    assert rest.update_bytes == FLOAT * 3 * 12


def test_nothing_of_the_users_changes() -> None:
    net = dense()
    trainer = rg.Trainer(net, "mse", rg.Adam())
    trainer.step(np.ones((4, 7)), np.ones((4, 3)))
    before = net.flat_parameters.copy(), net.flat_gradients.copy()
    state = trainer.optimizer_state["dense_0.weight"]["exp_avg"].copy()
    str(rg.cost(trainer, 4))
    np.testing.assert_array_equal(net.flat_parameters, before[0])
    np.testing.assert_array_equal(net.flat_gradients, before[1])
    np.testing.assert_array_equal(trainer.optimizer_state["dense_0.weight"]["exp_avg"], state)
    assert trainer.iteration == 1
    assert trainer.lr == 1e-3


def test_predicted_and_measured_are_of_one_size() -> None:
    net = rg.Sequential(
        [rg.Input(256), rg.Dense(256, activation="relu"), rg.Dense(128, activation="relu"), rg.Dense(10)]
    )
    ratios = []
    for _ in range(5):  # other processes may have had the processor
        _machine.machine.cache_clear()
        cost = rg.cost(net, 128)
        ratios.append(cost.ratio)
        if 0.2 < ratios[-1] < 5.0:
            break
    else:
        pytest.fail(f"measured / predicted: {ratios}")
    assert cost.predicted.step > cost.predicted.forward > 0.0
    assert cost.bounds["dense_0"] in ("arithmetic", "memory")
    assert set(cost.bounds.values()) <= {"arithmetic", "memory", "overhead"}
    assert cost.predicted.step == pytest.approx(sum(cost.seconds.values()) + _machine.smallest().step)


@pytest.mark.usefixtures("no_repeats")
def test_bounds_and_seconds_follow_the_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cost, "machine", lambda dtype, threads: _machine.Machine(dtype, threads, 1e9, 1e10))
    monkeypatch.setattr(_cost, "copy_rate", lambda size: 2e9)
    monkeypatch.setattr(_cost, "smallest", lambda: _machine.Seconds(1e-6, 3e-6))
    cost = rg.cost(dense(), BATCH)
    for layer in cost.layers:
        arithmetic, memory = (layer.forward + layer.backward) / 1e9, layer.bytes / 2e9
        assert cost.seconds[layer.name] == max(arithmetic, memory)
        expected = "arithmetic" if arithmetic > memory else "memory"
        assert cost.bounds[layer.name] == (expected if max(arithmetic, memory) > 1e-6 else "overhead")
    assert cost.bounds["dense_0"] == "arithmetic"
    assert cost.predicted.forward == pytest.approx(
        1e-6 + sum(max(layer.forward / 1e9, layer.forward_bytes / 2e9) for layer in cost.layers)
    )


def test_the_machine_is_measured_once() -> None:
    machine = _machine.machine("float64", 1)
    assert machine is _machine.machine("float64", 1)
    assert (machine.dtype, machine.threads) == ("float64", 1)
    assert 1e7 < machine.multiply_adds < 1e13
    assert 1e7 < machine.bytes < 1e13
    assert "a second (float64, 1 thread)" in str(machine)
    assert _machine.copy_rate(1) == _machine.copy_rate(2**16)
    assert _machine.copy_rate(2**40) == machine.bytes


@pytest.mark.usefixtures("no_repeats")
def test_what_is_shown() -> None:
    cost = rg.cost(dense(activation="relu"), BATCH)
    text = str(cost)
    lines = text.splitlines()
    assert lines[0].startswith("a training step of 32 samples, float32: ")
    assert lines[1].startswith("predicted ")
    assert "ratio" in lines[1]
    assert [line.split()[0] for line in lines[-3:]] == ["dense_0", "dense_1", "operations"]
    assert "print it" in repr(cost)
    assert cost._repr_html_().count("<tr>") == 4
    data = json.loads(json.dumps(cost.to_dict()))
    assert data["layers"][0]["forward"] == cost["dense_0"].forward
    assert data["layers"][0]["bound"] in ("arithmetic", "memory", "overhead")
    assert set(data["measured"]) == {"forward", "step"}


@pytest.mark.usefixtures("no_repeats")
@pytest.mark.parametrize("name", sorted(rg.losses.LOSSES))
def test_every_loss(name: str) -> None:
    outputs = [rg.Dense(3, activation="sigmoid"), rg.Dense(3)]
    for output in outputs:
        net = rg.Sequential([rg.Input(7), output])
        assert rg.cost(rg.Trainer(net, name), BATCH).measured.step > 0.0


@pytest.mark.usefixtures("no_repeats")
def test_losses_of_ones_own_are_replaced() -> None:
    def loss(output: rg.Node, advantage: rg.Node) -> rg.Node:
        return rg.ops.mean(output * advantage, axis=-1)

    trainer = rg.Trainer(dense(), loss)
    assert rg.cost(trainer, BATCH).measured.step > 0.0


EVERY: dict[str, Row] = {**{f"rg.{name}": row for name, row in LAYERS.items()}, **OPERATIONS}


@pytest.mark.usefixtures("no_repeats")
@pytest.mark.parametrize("name", sorted(EVERY))
def test_every_layer_and_operation(name: str) -> None:
    row = EVERY[name]
    last = len(row.shapes) - 1
    inputs = [
        rg.Input(shape, dtype="int64" if row.index and k == last else None)
        for k, shape in enumerate(row.shapes)
    ]
    net = rg.Model(inputs, row.make(*inputs))
    cost = rg.cost(net, 8)
    assert cost.forward > 0
    assert cost.bytes > 0
    assert cost.memory["parameters"] == FLOAT * sum(view.size for view in net.parameters.values())
    assert cost.bounds.keys() == {layer.name for layer in cost.layers}
    assert cost.measured.step > 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("net",), "cost: expected a Model or a Trainer, got str"),
        ((dense(), 0), "cost: batch_size: expected at least 1, got 0"),
    ],
)
def test_errors(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(rg.ArgumentError, match=message):
        rg.cost(*arguments)


def test_an_unknown_layer() -> None:
    with pytest.raises(rg.ArgumentError, match="cost: layer: unknown name 'dense_9'; did you mean 'dense_"):
        rg.cost(dense(), BATCH)["dense_9"]
