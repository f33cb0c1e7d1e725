"""rg.Graph: values, gradients, local derivatives and the order of backward, beside calculations by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import retrograd as rg
from operation_cases import CASES, Case
from retrograd import ops

Array = np.ndarray


def line() -> tuple[rg.Graph, dict[str, rg.Node]]:
    """(w x + b - y)^2 at w = 2, x = 3, b = 1, y = 5, both ways."""
    leaves = {name: rg.Placeholder((), name=name) for name in "wbxy"}
    w, b, x, y = leaves.values()
    graph = rg.Graph((w * x + b - y) ** 2)
    graph.forward({w: 2, x: 3, b: 1, y: 5})
    graph.backward()
    return graph, leaves


def test_a_line_by_hand() -> None:
    graph, leaves = line()
    error = 2 * 3 + 1 - 5
    assert graph.result.value == error**2
    assert graph.gradient(leaves["w"]) == 2 * error * 3
    assert graph.gradient("b") == 2 * error
    assert graph.gradient("x") == 2 * error * 2
    assert graph.gradient("y") == -2 * error
    product, total, difference, square = graph.nodes[4:]
    assert [node.op for node in graph.nodes[4:]] == ["multiply", "add", "subtract", "square"]
    assert [node.value for node in graph.nodes[4:]] == [6, 7, 2, 4]
    assert product.local_derivatives == [3, 2]
    assert total.local_derivatives == [1, 1]
    assert difference.local_derivatives == [1, -1]
    assert square.local_derivatives == [4]
    assert graph.order == [square, difference, total, product]
    assert [node.name for node in product.inputs] == ["w", "x"]


def test_a_chain_and_a_sum_of_paths() -> None:
    """One path: the total derivative is the product. Two paths: the products are added."""
    x = rg.Placeholder((), name="x")
    chain = rg.Graph(ops.exp(ops.sin(x**2)))
    chain.forward({x: 0.7})
    chain.backward()
    expected = math.exp(math.sin(0.49)) * math.cos(0.49) * 2 * 0.7
    assert chain.gradient(x) == pytest.approx(expected, rel=1e-14)
    paths = rg.Graph(x * ops.sin(x))
    paths.forward({x: 0.7})
    paths.backward()
    assert paths.gradient(x) == pytest.approx(math.sin(0.7) + 0.7 * math.cos(0.7), rel=1e-14)
    same = rg.Graph(x * x)
    same.forward({x: 3})
    same.backward()
    assert (same.gradient(x), same.result.local_derivatives) == (6, [3, 3])


def graph_of(case: Case) -> tuple[rg.Graph, dict[str, Array]]:
    """The case's expression over leaves alone, and their values."""
    nodes: list[Any] = []
    values = {}
    for i, ((kind, shape), array) in enumerate(zip(case.operands, case.draw(), strict=True)):
        name = f"x{i}"
        if kind == "b":
            nodes.append(rg.Input(shape, name=name))
            values[name] = array
        else:
            nodes.append(rg.Variable(array, name=name) if kind == "v" else array)
    return rg.Graph(case.node(*nodes)), values


# a constant alone is no graph
WITH_LEAVES = [case for case in CASES if any(kind != "c" for kind, _ in case.operands)]


@pytest.mark.parametrize("case", WITH_LEAVES, ids=str)
def test_gradients_are_the_local_derivatives_multiplied_and_added(case: Case) -> None:
    """The value is NumPy's; the chain rule by hand over the local derivatives gives every gradient."""
    graph, values = graph_of(case)
    found = graph.forward(values)
    expected = np.asarray(case.value(*case.draw()), np.float64)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)
    seed = np.random.default_rng(2).normal(size=np.shape(found))
    graph.backward(seed)
    sums: dict[str, Any] = {graph.result.name: seed}
    for node in reversed(graph.nodes):
        if not node.inputs or node.name not in sums:
            continue
        for operand, local in zip(node.inputs, node.local_derivatives, strict=True):
            if local is None:
                continue
            above, shape = sums[node.name], np.shape(operand.value)
            if np.shape(local) == np.shape(above) and node.op not in ("softmax", "log_softmax"):
                part = _shrunk(above * local, operand)
            else:
                part = np.tensordot(above, local, axes=np.ndim(above))
            sums[operand.name] = sums.get(operand.name, np.zeros(shape)) + part
    for node in graph.nodes:
        if node.kind == "constant" or node.gradient is None:
            continue
        np.testing.assert_allclose(node.gradient, sums[node.name], rtol=1e-12, atol=1e-12, err_msg=node.name)


def _shrunk(part: Array, operand: Any) -> Array:
    """Summed over the axes along which an operand was repeated."""
    shape = np.shape(operand.value)
    if operand.node.batched:
        shape = (shape[0], *(1,) * (np.ndim(part) - len(shape)), *shape[1:])
    extra = np.ndim(part) - len(shape)
    axes = (*range(extra), *(extra + i for i, n in enumerate(shape) if n == 1))
    return part.sum(axis=axes).reshape(np.shape(operand.value))


def test_a_network_has_the_weights_of_its_model() -> None:
    net = rg.Sequential([rg.Input(3), rg.Dense(4, activation="tanh"), rg.Dense(2)], dtype="float64")
    x = np.random.default_rng(0).normal(size=(5, 3))
    graph = rg.Graph(net.outputs[0])
    np.testing.assert_array_equal(graph.forward({"input_0": x}), net.predict(x))
    net["dense_1"].bias[...] += 1
    np.testing.assert_array_equal(graph.forward({"input_0": x}), net.predict(x))
    seed = np.random.default_rng(1).normal(size=(5, 2))
    graph.backward(seed)
    hidden = np.tanh(x @ net["dense_0"].weight.T + net["dense_0"].bias)
    np.testing.assert_allclose(graph.gradient("dense_1.weight"), seed.T @ hidden, rtol=1e-13)
    delta = (seed @ net["dense_1"].weight) * (1 - hidden**2)
    np.testing.assert_allclose(graph.gradient("dense_0.z"), delta, rtol=1e-13)
    np.testing.assert_allclose(graph.gradient("input_0"), delta @ net["dense_0"].weight, rtol=1e-13)
    jacobian = graph["dense_1.z"].local_derivatives[0]
    assert jacobian.shape == (5, 2, 5, 4)
    np.testing.assert_array_equal(jacobian[2, :, 2, :], net["dense_1"].weight)
    assert not jacobian[2, :, 3, :].any()


def test_a_given_weight_replaces_the_model_s_and_the_model_keeps_its_own() -> None:
    net = rg.Sequential([rg.Input(2), rg.Dense(1, use_bias=False)], dtype="float64")
    before = net.flat_parameters.copy()
    graph = rg.Graph(net.outputs[0])
    assert graph.forward({"input_0": [[1.0, 2.0]], "dense_0.weight": [[10.0, 100.0]]}) == 210.0
    np.testing.assert_array_equal(net.flat_parameters, before)
    assert graph.forward({"input_0": [[1.0, 2.0]]}) == pytest.approx(before @ [1.0, 2.0])


def test_normalisation_with_running_statistics() -> None:
    """What an operation keeps as a constant of the graph does not stand in the way."""
    net = rg.Sequential([rg.Input(3), rg.BatchNorm()], dtype="float64")
    net.set_parameters({**net.parameters, "batch_norm_0.running_mean": [1.0, 2.0, 3.0]}, strict=False)
    x = np.random.default_rng(0).normal(size=(4, 3))
    graph = rg.Graph(net.outputs[0])
    np.testing.assert_array_equal(graph.forward({"input_0": x}), net.predict(x))
    graph.backward(np.ones((4, 3)))
    by_x, *others = graph.result.local_derivatives
    assert by_x.shape == (4, 3, 4, 3)
    assert by_x[1, 2, 1, 2] == pytest.approx(1 / math.sqrt(1 + 1e-5))
    assert [other is None or other.shape for other in others].count(True) == 2


def test_indices_have_values_and_no_gradients() -> None:
    table, rows = rg.Variable(np.arange(6.0).reshape(3, 2), name="table"), rg.Input((), "int64", name="rows")
    graph = rg.Graph(ops.gather(table, rows))
    np.testing.assert_array_equal(graph.forward({rows: [2, 0, 2]}), [[4, 5], [0, 1], [4, 5]])
    graph.backward(np.ones((3, 2)))
    np.testing.assert_array_equal(graph.gradient(table), [[1, 1], [0, 0], [2, 2]])
    assert graph.gradient(rows) is None
    np.testing.assert_array_equal(graph.value(rows), [2, 0, 2])
    by_table, by_rows = graph.result.local_derivatives
    assert by_table.shape == (3, 2, 3, 2)
    assert by_rows is None


def test_backward_twice_is_backward_once() -> None:
    graph, leaves = line()
    before = graph.gradient(leaves["w"])
    graph.backward()
    assert graph.gradient(leaves["w"]) == before
    graph.backward(2.0)
    assert graph.gradient(leaves["w"]) == 2 * before


def test_what_is_returned_stays_what_it_is() -> None:
    v = rg.Variable([1.0, 2.0], name="v")
    graph = rg.Graph(ops.sum(v * v))
    graph.forward()
    value = graph.value(v)
    graph.forward({v: [3.0, 4.0]})
    np.testing.assert_array_equal(value, [1, 2])


w, x = rg.Placeholder((), name="weight"), rg.Input(3, name="sample")
P3 = rg.Placeholder(3, name="vector")


def backward_unseeded() -> None:
    graph = rg.Graph(P3 * 2.0)
    graph.forward({P3: [1, 2, 3]})
    graph.backward()


def large_jacobian() -> None:
    v = rg.Variable(np.ones((20, 20)), name="v")
    graph = rg.Graph(ops.matmul(v, v))
    graph.forward()
    _ = graph.result.local_derivatives


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda: rg.Graph(3.0), rg.GraphError, "Graph: expected a node, got float"),
    (lambda: rg.Graph(w), rg.GraphError, "the result is a leaf"),
    (lambda: rg.Graph(w * 2).forward(), rg.StateError, "weight has no value; call forward({weight: ..."),
    (lambda: rg.Graph(w * 2).forward({"wieght": 1}), rg.ArgumentError, "did you mean 'weight'?"),
    (lambda: rg.Graph(w * 2).forward({w: math.nan}), rg.ArgumentError, "weight: nan, expected finite"),
    (lambda: rg.Graph(w * 2).forward({w: [1, 2]}), rg.ShapeError, "expected shape (), got (2,)"),
    (lambda: rg.Graph(w * 2).forward({w: "1"}), rg.DTypeError, "expected a number"),
    (lambda: rg.Graph(w * 2).forward({"multiply_0": 1}), rg.ArgumentError, "computed by the graph"),
    (lambda: rg.Graph(x * 2).forward({x: [[1.0, 2.0]]}), rg.ShapeError, "sample: expected shape (batch, 3)"),
    (lambda: rg.Graph(x * 2).forward({x: [[1, math.inf, 2]]}), rg.ArgumentError, "sample: infinity in row 0"),
    (
        lambda: rg.Graph(x + rg.Input(3, name="other")).forward(
            {x: np.ones((2, 3)), "other": np.ones((1, 3))}
        ),
        rg.ShapeError,
        "other: it has 1 samples, but another input has 2",
    ),
    (lambda: rg.Graph(w * 2).backward(), rg.StateError, "backward: call forward first"),
    (lambda: rg.Graph(w * 2).value(w), rg.StateError, "weight: no value yet"),
    (lambda: rg.Graph(w * 2)["nothing"], rg.GraphError, "'nothing' is none of its nodes"),
    (backward_unseeded, rg.ShapeError, "the result has shape (3,), so a gradient needs a seed"),
    (large_jacobian, rg.ShapeError, "(20, 20) x (20, 20) = 160,000 numbers"),
]


@pytest.mark.parametrize(("call", "error", "text"), REFUSED, ids=[text for _, _, text in REFUSED])
def test_refused(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as found:
        call()
    assert text in str(found.value)


def test_a_gradient_before_backward() -> None:
    graph = rg.Graph(w * 2)
    graph.forward({w: 1})
    with pytest.raises(rg.StateError, match="no gradient yet; call backward first"):
        graph.gradient(w)


# --------------------------------------------------------------------------------------------- pictures


def test_the_picture_has_every_number(tmp_path: Path) -> None:
    """Value and gradient of each node, the local derivative of each edge, in the picture and for Graphviz."""
    graph, _ = line()
    svg = graph.to_svg(tmp_path / "line.svg")
    assert (tmp_path / "line.svg").read_text(encoding="utf-8") == svg == graph._repr_svg_()
    texts = [element.text for element in ElementTree.fromstring(svg).iter() if element.text]
    for node in graph.nodes:
        assert node.name in texts
        assert texts.count(f"{node.value:g}") >= 1
        assert texts.count(f"{node.gradient:g}") >= 1
        for local in node.local_derivatives:
            assert f"{local:g}" in texts
    dot = graph.to_dot()
    assert dot.startswith("digraph")
    for node in graph.nodes:
        assert f"{node.name}\\nvalue {node.value:g}\\ngradient {node.gradient:g}" in dot.replace("× ", "")


def test_a_picture_before_any_number_and_of_arrays() -> None:
    net = rg.Sequential([rg.Input(2), rg.Dense(40, activation="relu"), rg.Dense(1)])
    graph = rg.Graph(net.outputs[0])
    assert "value" not in [e.text for e in ElementTree.fromstring(graph.to_svg()).iter()]
    graph.forward({"input_0": [[1.0, 2.0]]})
    graph.backward()
    texts = [element.text for element in ElementTree.fromstring(graph.to_svg()).iter()]
    assert "shape (40, 2)" in texts
    assert "[[1, 2]]" in texts
    assert not any(text and "…" in text for text in texts), "a number that is cut is another number"
