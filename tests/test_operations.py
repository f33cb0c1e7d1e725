"""rg.ops beside NumPy: broadcasting, axes, keepdims, slices, batched products; values and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from operation_cases import BATCH, CASES, Case
from retrograd import ops

LIMIT = 1e-6


def trainer_of(net: rg.Model) -> rg.Trainer:
    """The loss is a fixed weighted sum, so that every element of the output matters."""

    def loss(found: rg.Node, weigh: rg.Node) -> rg.Node:
        return ops.sum(ops.multiply(rg.Flatten()(found), weigh), axis=1)

    return rg.Trainer(net, loss=loss, optimizer=rg.SGD(0.1))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_value(case: Case) -> None:
    arrays = case.draw()
    net, given = case.build(arrays)
    expected = case.expected(arrays)
    found = net.predict(given if len(given) > 1 else given[0])
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("case", [case for case in CASES if case.differentiable], ids=str)
def test_gradient(case: Case) -> None:
    """The slope along random directions, by central differences of two widths."""
    arrays = case.draw()
    net, given = case.build(arrays)
    if net.flat_parameters.size == 0:
        pytest.skip("nothing to learn")
    x = given if len(given) > 1 else given[0]
    rng = np.random.default_rng(1)
    weigh = rng.normal(size=(BATCH, int(np.prod(case.expected(arrays).shape[1:]))))
    trainer = trainer_of(net)
    start = net.flat_parameters.copy()
    trainer.gradients(x, weigh)
    gradient = net.flat_gradients.copy()
    for _ in range(3):
        v = rng.normal(size=start.shape)

        def slope(h: float, v: np.ndarray = v) -> float:
            values = []
            for step in (h, -h):
                net.flat_parameters[...] = start + step * v
                values.append(trainer.forward(x, weigh))
            return (values[0] - values[1]) / (2.0 * h)

        by_differences = (4.0 * slope(1e-4) - slope(2e-4)) / 3.0
        scale = max(1e-3, float(np.abs(gradient * v).sum()))
        assert abs(gradient @ v - by_differences) / scale < LIMIT


def test_gather_and_one_hot() -> None:
    """Indices of one and of two axes, repeated ones among them."""
    table = np.random.default_rng(0).normal(size=(5, 2, 3))
    for index in (np.array([4, 0, 4]), np.array([[1, 1], [0, 4], [2, 1]])):
        node, v = rg.Input(index.shape[1:], dtype="int64"), rg.Variable(table, name="table")
        net = rg.Model(node, ops.gather(v, node), dtype="float64")
        np.testing.assert_array_equal(net.predict(index), table[index])
        weigh = np.random.default_rng(1).normal(size=(BATCH, table[index][0].size))
        trainer_of(net).gradients(index, weigh)
        expected = np.zeros_like(table)
        np.add.at(expected, index, weigh.reshape(table[index].shape) / BATCH)
        np.testing.assert_allclose(net.gradients["table"], expected, rtol=1e-13, atol=1e-15)
        hot = rg.Model(node, ops.one_hot(node, 5), dtype="float64")
        np.testing.assert_array_equal(hot.predict(index), np.eye(5)[index])


REFUSED: list[tuple[str, Callable[[], Any], type[Exception]]] = [
    ("sum over the batch", lambda: ops.sum(rg.Input(3), axis=0), rg.GraphError),
    ("max over the batch", lambda: ops.max(rg.Input(3), axis=(0, 1)), rg.GraphError),
    ("the batch moved", lambda: ops.transpose(rg.Input(3), (1, 0)), rg.GraphError),
    ("the batch cut", lambda: ops.slice(rg.Input(3), 0, 1), rg.GraphError),
    ("joined along the batch", lambda: ops.concatenate([rg.Input(3), rg.Input(3)], 0), rg.GraphError),
    ("shapes that do not broadcast", lambda: rg.Input((3, 4)) + rg.Variable(np.zeros(3)), rg.ShapeError),
    ("the batch beside an axis", lambda: rg.Input(4) + rg.Variable(np.zeros((3, 4))), rg.RetrogradError),
    ("a product of other sizes", lambda: ops.matmul(rg.Input((3, 4)), np.zeros((3, 2))), rg.ShapeError),
    ("a product of a number", lambda: ops.matmul(rg.Input((3, 4)), 2.0), rg.ShapeError),
    ("an axis that is not there", lambda: ops.sum(rg.Input((3, 4)), axis=3), rg.ShapeError),
    ("an axis twice", lambda: ops.sum(rg.Input((3, 4)), axis=(1, -2)), rg.RetrogradError),
    ("a slice without steps", lambda: ops.slice(rg.Input(4), 1, step=0), rg.ArgumentError),
    ("a slice of nothing", lambda: ops.slice(rg.Input(4), 1, 3, 2), rg.ShapeError),
    ("clip the wrong way round", lambda: ops.clip(rg.Input(4), 1.0, 0.0), rg.ArgumentError),
    ("numbers alone", lambda: ops.add(1.0, 2.0), rg.DTypeError),
]


@pytest.mark.parametrize(("what", "make", "error"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refused(what: str, make: Callable[[], Any], error: type[Exception]) -> None:
    with pytest.raises(error) as found:
        make()
    assert len(str(found.value)) > 20, what
