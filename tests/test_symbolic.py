"""Gradients of the engine against SymPy's derivatives, as formulas and as numbers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from retrograd import _core, ops
from retrograd.activations import ACTIVATIONS
from retrograd.losses import LOSSES

sp = pytest.importorskip("sympy")

from retrograd._symbolic import SymbolicReport, to_sympy, verify  # noqa: E402
from retrograd._symbolic import rules as symbolic_rules  # noqa: E402
from retrograd._symbolic.elementwise import unary_functions  # noqa: E402
from retrograd._symbolic.exactness import Comparison  # noqa: E402

Array = np.ndarray


def run(result: rg.Node, values: dict[rg.Node, Any]) -> rg.Graph:
    g = rg.Graph(result)
    g.forward(values)
    g.backward()
    return g


def weighed(node: rg.Node) -> rg.Node:
    """One number of an array, in which no two elements count alike."""
    shape = node.shape[1:] if node.batched else node.shape
    factors = np.linspace(0.5, 2.0, int(np.prod(shape, dtype=int))).reshape(shape)
    values = node * factors if shape else node
    return ops.mean(values) if node.batched and shape else ops.sum(values) if shape else values


def all_exact(report: SymbolicReport) -> bool:
    return report.passed and report.count("exactly") == len(report.elements) > 0


def number(expression: Any, values: dict[str, float]) -> float:
    """By SymPy's own evaluation, not by ours."""
    points = {symbol: sp.Rational(values[symbol.name]) for symbol in expression.free_symbols}
    return float(expression.xreplace(points).evalf(20))


@pytest.fixture
def scalars() -> list[rg.Node]:
    return [rg.Placeholder((), name) for name in "wbxy"]


# ----------------------------------------------------------------------------------- chains by hand


def test_a_line_with_squared_error(scalars: list[rg.Node]) -> None:
    w, b, x, y = scalars
    g = run((w * x + b - y) ** 2, {w: 2, b: 1, x: 3, y: 5})
    report = g.verify_symbolically()
    W, B, X, Y = sp.symbols("w b x y", real=True)
    found = {e.leaf: e for e in report.elements}
    assert g.to_sympy() == (W * X + B - Y) ** 2
    assert sp.expand(found["w"].expression - 2 * (W * X + B - Y) * X) == 0
    assert sp.expand(found["b"].expression - 2 * (W * X + B - Y)) == 0
    assert sp.expand(found["w"].backward - 2 * (W * X + B - Y) * X) == 0
    assert (found["w"].engine, found["w"].symbolic) == (12.0, 12.0)  # 2 (2 * 3 + 1 - 5) 3
    assert (found["b"].engine, found["b"].symbolic) == (4.0, 4.0)
    assert all_exact(report)
    assert report.max_relative_error == 0.0


def test_one_path_and_two_paths(scalars: list[rg.Node]) -> None:
    x = scalars[2]
    X = sp.Symbol("x", real=True)
    chain = run(ops.exp(ops.sin(x**2)), {x: 0.7}).verify_symbolically()
    assert chain.elements[0].backward == 2 * X * sp.cos(X**2) * sp.exp(sp.sin(X**2))
    two = run(x * ops.sin(x), {x: 0.7}).verify_symbolically()
    assert two.elements[0].backward == sp.sin(X) + X * sp.cos(X)
    for report, value in (
        (chain, 1.4 * np.cos(0.49) * np.exp(np.sin(0.49))),
        (two, np.sin(0.7) + 0.7 * np.cos(0.7)),
    ):
        assert all_exact(report)
        assert report.elements[0].symbolic == pytest.approx(value, rel=1e-14)


def test_constants_are_exact(scalars: list[rg.Node]) -> None:
    x = scalars[2]
    X = sp.Symbol("x", real=True)
    third = 1.0 / 3.0
    assert to_sympy(x * 0.01 - 2.5e-8, {x: "x"}) == X / 100 - sp.Rational(25, 10**9)
    assert to_sympy(x * third, {x: "x"}) == X * sp.Rational(third)
    assert sp.Rational(third) != sp.Rational(1, 3)
    with pytest.raises(rg.GraphError, match="a constant of the graph is inf, which has no place"):
        to_sympy(x * np.inf, {x: "x"})


def test_arrays_and_batches_have_a_symbol_for_each_element() -> None:
    w, x = rg.Placeholder(2, "w"), rg.Input(2, name="x")
    W0, W1, A, B = (sp.Symbol(name, real=True) for name in ("w[0]", "w[1]", "x[1, 0]", "x[1, 1]"))
    node = ops.sum(w * x)
    values = to_sympy(node, {w: "w", x: "x"}, {x: (2, 2)})
    assert values.shape == (2,)
    assert values[1] == W0 * A + W1 * B
    with pytest.raises(rg.GraphError, match=r"has a batch: give shapes=\{node: \(samples, ...\)\}"):
        to_sympy(node, {w: "w", x: "x"})
    with pytest.raises(rg.GraphError, match=r"got values of shape \(2, 3\), expected \(batch, 2\)"):
        to_sympy(node, {w: "w", x: "x"}, {x: (2, 3)})


def test_leaves_of_one_name_stay_apart() -> None:
    a, b = rg.Placeholder((), "w"), rg.Placeholder((), "w")
    assert {s.name for s in to_sympy(a * b, {a: "w", b: "w"}).free_symbols} == {"w", "w_2"}


# ------------------------------------------------------------------------------ every single formula


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_exactly(name: str) -> None:
    z, w = rg.Placeholder(3, "z"), rg.Placeholder((), "w")
    points = {"w": 0.8, "z[0]": -1.3, "z[1]": 0.45, "z[2]": 2.6}
    g = run(weighed(getattr(ops, name)(w * z)), {w: 0.8, z: [-1.3, 0.45, 2.6]})
    report = g.verify_symbolically()
    assert all_exact(report), report
    assert not report.corners
    assert number(g.to_sympy(), points) == pytest.approx(g.result.value, rel=1e-14)
    for element in report.elements:
        assert number(element.expression, points) == pytest.approx(element.engine, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    "name", ["relu", "leaky_relu", "elu", "selu", "hard_sigmoid", "hard_swish", "softsign"]
)
def test_at_a_corner_the_convention_of_the_engine_holds(name: str) -> None:
    z = rg.Placeholder(3, "z")
    report = run(weighed(getattr(ops, name)(z)), {z: [-3.0, 0.0, 3.0]}).verify_symbolically()
    assert report.passed, report
    assert report.corners


TARGETS: dict[str, Any] = {
    "cross_entropy": np.array([1, 0]),
    "binary_cross_entropy": np.array([[0.0, 1.0], [1.0, 0.3]]),
    "kl_divergence": np.array([[0.25, 0.75], [0.5, 0.5]]),
    "poisson": np.array([[2.0, 0.0], [1.0, 3.0]]),
    "hinge": np.array([[-1.0, 1.0], [1.0, -1.0]]),
}
X = np.array([[0.3, -0.7], [1.1, 0.4]])
Y = np.array([[0.5, -0.25], [0.1, 2.9]])


def tanh_net(output: str | None = None, units: int = 3) -> rg.Model:
    return rg.Sequential(
        [rg.Input(2), rg.Dense(units, activation="tanh"), rg.Dense(2, activation=output)], seed=3
    )


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_exactly_in_a_network(name: str) -> None:
    net = tanh_net()
    before = net.flat_parameters.copy()
    report = rg.check_symbolic(net, X, TARGETS.get(name, Y), name)
    assert all_exact(report), report
    assert len(report.elements) == net.flat_parameters.size == 17
    assert {e.leaf for e in report.elements} == set(net.parameters)
    np.testing.assert_array_equal(net.flat_parameters, before)


def test_a_loss_by_its_formula() -> None:
    """delta = softmax(z) - q: the derivative by the output's bias, written here by hand."""
    net = rg.Sequential([rg.Input(1), rg.Dense(2)], seed=1)
    report = rg.check_symbolic(net, np.array([[0.5]]), np.array([1]), "cross_entropy")
    b = next(e for e in report.elements if e.name == "dense_0.bias[1]")
    w = [sp.Symbol(f"dense_0.weight[{i}, 0]", real=True) for i in (0, 1)]
    c = [sp.Symbol(f"dense_0.bias[{i}]", real=True) for i in (0, 1)]
    x = sp.Symbol("input_0[0, 0]", real=True)
    e0, e1 = (sp.exp(w[i] * x + c[i]) for i in (0, 1))
    assert sp.simplify(b.expression - (e1 / (e0 + e1) - 1)) == 0


@pytest.mark.parametrize(
    ("loss", "y", "output"),
    [
        (rg.CrossEntropy(), np.array([[0.2, 0.8], [1.0, 0.0]]), None),
        (rg.CrossEntropy(label_smoothing=0.1), np.array([1, 0]), None),
        (rg.CrossEntropy(label_smoothing=0.1), np.array([[0.2, 0.8], [0.5, 0.3]]), None),
        (rg.CrossEntropy(ignore_index=7), np.array([7, 1]), None),
        (rg.CrossEntropy(), np.array([1, 0]), "softmax"),
        (rg.BinaryCrossEntropy(), TARGETS["binary_cross_entropy"], "sigmoid"),
        (rg.Huber(0.5), Y, None),
        (lambda z, t: ops.mean(ops.square(z - t) * ops.exp(z)), Y, None),
    ],
)
def test_losses_with_arguments_and_pairs(loss: Any, y: Array, output: str | None) -> None:
    report = rg.check_symbolic(tanh_net(output, units=1), X, y, loss, sample_weight=[2.0, 0.5])
    assert all_exact(report), report


def test_labels_of_several_positions_count_as_far_as_they_are_there() -> None:
    net = rg.Sequential([rg.Input((2, 1)), rg.Dense(2)], seed=1)
    x = np.array([[[0.3], [0.9]], [[-0.4], [1.2]]])
    report = rg.check_symbolic(net, x, np.array([[0, -100], [1, 0]]), "cross_entropy")
    assert all_exact(report), report


def test_several_outputs_with_weights_and_a_frozen_layer() -> None:
    x = rg.Input(2)
    h = rg.Dense(2, activation="tanh", name="first")(x)
    net = rg.Model(x, [rg.Dense(1, name="a")(h), rg.Dense(2, name="b")(h)], seed=2)
    net.freeze("first")
    report = rg.check_symbolic(net, X, [Y[:, :1], np.array([1, 0])], ["mse", "cross_entropy"])
    assert {e.leaf for e in report.elements} == {"a.weight", "a.bias", "b.weight", "b.bias"}
    assert all_exact(report), report


# ------------------------------------------------------------------------------- every operation


def through(make: Callable[..., rg.Node], *shapes: tuple[int, ...]) -> Callable[[], rg.Graph]:
    """A graph of placeholders of these shapes, at numbers that no two elements share."""

    def build() -> rg.Graph:
        leaves = [rg.Placeholder(shape, f"x{k}") for k, shape in enumerate(shapes)]
        sizes = [int(np.prod(shape, dtype=int)) for shape in shapes]
        numbers = np.split(
            np.random.default_rng(1).permutation(np.linspace(0.3, 2.1, sum(sizes))), np.cumsum(sizes)
        )
        values = {leaf: part.reshape(leaf.shape) for leaf, part in zip(leaves, numbers, strict=False)}
        return run(weighed(make(*leaves)), values)

    return build


def layer(make: Callable[[], Any], *shape: int) -> Callable[[], rg.Graph]:
    """A graph of a layer in prediction, with an input of two samples."""

    def build() -> rg.Graph:
        x = rg.Input(shape, name="x")
        numbers = 0.3 + np.sin(1.7 * np.arange(2 * np.prod(shape, dtype=int))).reshape(2, *shape)
        made = weighed(make()(x))
        return run(_core.apply("weighted_mean", {}, [made]), {x: numbers})

    return build


def indexed(make: Callable[[rg.Node], rg.Node]) -> Callable[[], rg.Graph]:
    def build() -> rg.Graph:
        index = rg.Input(2, dtype="int64", name="index")
        return run(_core.apply("weighted_mean", {}, [weighed(make(index))]), {index: [[1, 0], [1, 2]]})

    return build


def loss_of(name: str) -> Callable[[], rg.Graph]:
    def build() -> rg.Graph:
        z, t = rg.Placeholder(2, "z"), rg.Placeholder(2, "t")
        target = {"hinge": [-1.0, 1.0], "cross_entropy": [0.25, 0.75]}.get(name, [0.0, 1.0])
        return run(_core.apply(name, {}, [z, t]), {z: [0.4, -1.7], t: target})

    return build


def _seen() -> Any:
    return rg.Standardize().adapt(np.array([[0.0, 1.0], [2.0, 1.0]]))


PAIR = ((2, 2), (2,))
CASES: dict[str, Callable[[], rg.Graph]] = {
    **{
        name: through(getattr(ops, "linear" if name == "identity" else name), (3,))
        for name in unary_functions()
    },
    **{
        name: through(getattr(ops, name), *PAIR)
        for name in ("add", "subtract", "multiply", "divide", "power", "maximum", "minimum")
    },
    **{
        name: through(lambda a, b, name=name: getattr(ops, name)(a, b) * a, *PAIR)
        for name in ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
    },
    "where": through(lambda a, b: ops.where(ops.greater(a, 1.0), a * b, b), *PAIR),
    "clip": through(lambda a: ops.clip(a, 0.8, 1.5), (4,)),
    "stop_gradient": through(lambda a: ops.stop_gradient(a * a) * a, (2,)),
    "dropout": layer(lambda: rg.Dropout(0.5), 2),
    "sum": through(lambda a: ops.sum(a, axis=0), (2, 3)),
    "mean": through(lambda a: ops.mean(a, axis=(0, 1), keepdims=True), (2, 3)),
    "max": through(lambda a: ops.max(a, axis=1), (2, 3)),
    "logsumexp": through(lambda a: ops.logsumexp(a, axis=0), (2, 2)),
    "softmax": through(ops.softmax, (2, 3)),
    "log_softmax": through(ops.log_softmax, (2, 3)),
    "matmul": through(ops.matmul, (2, 2, 3), (3, 2)),
    "reshape": through(lambda a: ops.reshape(a, (3, 2)), (2, 3)),
    "flatten": through(lambda a: _core.apply("flatten", {}, [a]), (2, 2)),
    "transpose": through(lambda a: ops.transpose(a, (1, 2, 0)), (2, 1, 3)),
    "concatenate": through(lambda a, b: ops.concatenate([a, b, a], 1), (2, 2), (2, 1)),
    "slice": through(lambda a: ops.slice(a, 1, 2, None, -2), (2, 3)),
    "expand": through(lambda a: _core.apply("expand", {"shape": [2, 3]}, [a]), (2, 1)),
    "gather": indexed(lambda i: ops.tanh(ops.gather(rg.Variable(np.arange(6.0).reshape(3, 2), "table"), i))),
    "one_hot": indexed(lambda i: ops.one_hot(i, 3) * rg.Variable([0.5, 1.0, 2.0], "w")),
    "linear": layer(lambda: rg.Dense(2), 2),
    "layer_norm": layer(lambda: rg.LayerNorm(0.1), 3),
    "rms_norm": layer(lambda: rg.RMSNorm(0.1), 3),
    "batch_norm": layer(lambda: rg.BatchNorm(0.1), 2),
    "standardize": layer(_seen, 2),
    "conv1d": layer(lambda: rg.Conv1D(2, 2, stride=2, padding=1), 3, 1),
    "conv2d": layer(lambda: rg.Conv2D(2, 2, padding="same", groups=2), 2, 2, 2),
    "conv_transpose2d": layer(lambda: rg.ConvTranspose2D(1, 2, stride=2, padding=1), 2, 2, 1),
    "max_pool2d": layer(lambda: rg.MaxPool2D(2, stride=1), 2, 3, 1),
    "avg_pool2d": layer(lambda: rg.AvgPool2D(2, stride=1, padding=1), 2, 2, 1),
    "upsample2d": layer(lambda: rg.UpSample2D((1, 2), mode="bilinear"), 1, 2, 1),
    **{name: loss_of(name) for name in _core.op_list("loss")},
    "label_weight": indexed(
        lambda i: _core.apply("label_weight", {"ignore_index": 0}, [i]) * rg.Variable(2.0, "w")
    ),
    "weighted_mean": through(lambda v, w: _core.apply("weighted_mean", {}, [v, w]), (), ()),
}


def test_every_operation_has_a_rule_and_a_case_or_a_reason() -> None:
    known = set(symbolic_rules.all_rules())
    assert known | set(symbolic_rules.NOT_EXPRESSED) == set(_core.op_names())
    assert not known & set(symbolic_rules.NOT_EXPRESSED)
    assert set(CASES) == known


@pytest.mark.parametrize("name", CASES)
def test_every_operation_exactly(name: str) -> None:
    g = CASES[name]()
    assert any(node.op == name for node in g.nodes)
    report = g.verify_symbolically()
    assert all_exact(report), report


def test_a_batch_norm_in_training_takes_the_statistics_of_the_batch() -> None:
    net = rg.Sequential([rg.Input(1), rg.BatchNorm(0.1), rg.Dense(1)], seed=1)
    x, y = np.array([[0.2], [1.5], [0.9]]), np.array([[1.0], [0.0], [0.5]])
    report = rg.check_symbolic(net, x, y, "mse")
    assert all_exact(report), report
    net.freeze("batch_norm_0")
    frozen = rg.check_symbolic(net, x, y, "mse")
    assert all_exact(frozen), frozen
    powers = frozen.elements[0].expression.atoms(sp.Pow)
    assert not any(p.free_symbols and not p.exp.is_Integer for p in powers)  # sqrt of numbers alone


def test_stop_gradient_and_targets_are_constants_and_the_report_says_so(scalars: list[rg.Node]) -> None:
    w, _, x, y = scalars
    report = run(ops.stop_gradient(w * x) * w, {w: 2.0, x: 3.0}).verify_symbolically()
    W, X = (sp.Symbol(name, real=True) for name in "wx")
    assert {e.leaf: e.expression for e in report.elements} == {"w": W * X}  # and not 2 w x
    assert all_exact(report)
    assert "have no gradient by definition; SymPy took them as constants" in str(report)
    loss = run(rg.MeanSquaredError()(w * x, w + y), {w: 2.0, x: 3.0, y: 1.0})
    assert all_exact(loss.verify_symbolically())
    assert loss.gradient(w) == 18.0  # 2 (6 - 3) 3: none of it through the target


# ---------------------------------------------------------------------------------- what is wrong


def test_a_wrong_rule_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    value, _ = unary_functions()["tanh"]
    monkeypatch.setitem(unary_functions(), "tanh", (value, lambda x, y: 1 - y))
    report = rg.check_symbolic(tanh_net(), X, Y, "mse")
    assert not report
    assert report.max_relative_error < 1e-12  # the engine is right, the copied rule is not
    assert report.count("different") == 9  # all of the first layer
    assert report.worst is not None
    assert report.worst.leaf.startswith("dense_0")
    text = str(report)
    assert text.startswith("symbolic check FAILED")
    assert "17 derivatives; formulas: 8 exactly, 9 different" in text
    assert "backpropagation builds" in text
    assert "The backward rules do not give the derivative of this expression." in text


def test_a_rule_that_drops_a_path_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = symbolic_rules.all_rules()["sum"]
    half = rule._replace(gradients=lambda call, dy, y, x: [rule.gradients(call, dy / 2, y, x)[0]])
    monkeypatch.setitem(symbolic_rules.all_rules(), "sum", half)
    assert not CASES["sum"]().verify_symbolically()


def test_a_right_rule_that_cannot_be_decided_is_compared_with_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    value, _ = unary_functions()["tanh"]
    monkeypatch.setitem(unary_functions(), "tanh", (value, lambda x, y: 4 / (sp.exp(x) + sp.exp(-x)) ** 2))
    report = CASES["tanh"]().verify_symbolically()
    assert report.passed
    assert report.count("30 digits") == 3
    assert "30 digits: SymPy did not bring the difference to 0" in str(report)
    wrong = sp.Rational(1, 10**28)
    monkeypatch.setitem(unary_functions(), "tanh", (value, lambda x, y: 1 - y * y + wrong * sp.sin(x)))
    assert CASES["tanh"]().verify_symbolically().count("different") == 3


def test_a_wrong_number_is_caught_and_its_element_named() -> None:
    w, x = rg.Placeholder((2, 2), "w"), rg.Placeholder(2, "x")
    values = {w: np.array([[1.0, -2.0], [0.5, 3.0]]), x: np.array([0.7, -0.4])}
    result = ops.sum(ops.tanh(w @ x))
    g = run(result, values)
    right = {leaf: np.array(g.gradient(leaf)) for leaf in (w, x)}
    names = {w: "w", x: "x"}
    assert all_exact(verify(result, names, values, right))
    right[w][1, 0] *= 1.0 + 1e-11
    report = verify(result, names, values, right)
    assert not report.passed
    assert report.count("exactly") == 6
    assert report.worst is not None
    assert report.worst.name == "w[1, 0]"
    assert 1e-12 < report.max_relative_error < 1e-11  # of x (1 - a^2), with the size x (1 + a^2)
    assert "The engine's number is not the derivative at these values." in str(report)
    right[w][1, 0] = np.nan
    report = verify(result, names, values, right)
    assert not report
    assert report.max_relative_error == np.inf


def test_a_seed_weighs_the_elements_of_the_result() -> None:
    x = rg.Placeholder(3, "x")
    result, seed = ops.square(x), np.array([1.0, -0.5, 0.25])
    g = rg.Graph(result)
    g.forward({x: [1.0, 2.0, 3.0]})
    g.backward(seed)
    values, gradients = {x: np.array([1.0, 2.0, 3.0])}, {x: g.gradient(x)}
    assert all_exact(verify(result, {x: "x"}, values, gradients, seed))
    assert not verify(result, {x: "x"}, values, gradients)
    with pytest.raises(rg.ShapeError, match=r"the seed has shape \(2,\), expected \(3,\) of the result"):
        verify(result, {x: "x"}, values, gradients, [1.0, 2.0])
    with pytest.raises(rg.ShapeError, match=r"the gradient of x has shape \(2,\), expected \(3,\)"):
        verify(result, {x: "x"}, values, {x: np.ones(2)})
    with pytest.raises(rg.ArgumentError, match="expected values of all leaves, got none of x"):
        verify(result, {x: "x"}, {}, gradients)


def test_what_cancels_is_measured_by_what_it_was_before() -> None:
    x = rg.Placeholder(3, "x")
    report = run(ops.sum(ops.softmax(x)), {x: [0.1, 1.3, -0.7]}).verify_symbolically()
    assert all_exact(report)  # all derivatives are 0, and rounding leaves 1e-17 of them
    assert [e.symbolic for e in report.elements] == [0.0, 0.0, 0.0]


def test_where_there_is_no_number_nothing_passes() -> None:
    x = rg.Placeholder((), "x")
    values = {x: np.array(-2.0)}
    report = verify(ops.log(x) * ops.exp(x), {x: "x"}, values, {x: np.array(0.5)})
    assert not report
    assert report.worst is not None
    assert np.isnan(report.worst.symbolic)
    assert report.worst.decided == "exactly"
    json.dumps(report.to_dict(), allow_nan=False)


# ------------------------------------------------------------------------------ equal, or not shown


def test_equal_expressions() -> None:
    x, y = sp.symbols("x y", real=True)
    s = 1 / (1 + sp.exp(-x))
    root = sp.sqrt(x**2 + y**2)
    equal = [
        ((x + y) ** 3, x**3 + 3 * x**2 * y + 3 * x * y**2 + y**3),
        (s * (1 - s), sp.exp(-x) / (1 + sp.exp(-x)) ** 2),
        (sp.exp(x + y) / sp.exp(x), sp.exp(y)),
        (1 / root - x**2 / root**3, y**2 / root**3),
        (sp.sign(x) * sp.Abs(x) * y, x * y),
        (sp.sign(x) ** 2, sp.Integer(1)),
        (sp.Max(x, y) + sp.Min(x, y), x + y),
        (sp.Piecewise((x, x > 0), (-x, True)), sp.Abs(x)),
        (x ** (y - 1) * x, x**y),
        (sp.sqrt(2) ** 2 * sp.pi / sp.sqrt(sp.pi), 2 * sp.sqrt(sp.pi)),
        (1 / (1 / x + 1 / y), x * y / (x + y)),
    ]
    for a, b in equal:
        assert Comparison().equal(a, b), (a, b)
    together = Comparison()
    assert all(together.equal(a, b) for a, b in equal)


def test_unequal_expressions() -> None:
    x, y = sp.symbols("x y", real=True)
    unequal = [
        (x, y),
        (x**2, x**2 + sp.Rational(1, 10**20)),
        (1 / (1 + sp.exp(-x)), 1 / (1 + sp.exp(x))),
        (sp.sqrt(x**2 + 1), x),
        (sp.sign(x), sp.sign(y)),
        (sp.Piecewise((x, x > 0), (0, True)), sp.Piecewise((x, x < 0), (0, True))),
        (sp.Max(x, y), sp.Min(x, y)),
        (sp.exp(2 * x), sp.exp(x)),
        ((x + y + 1) ** 40, (x + y) ** 40),  # too long to be multiplied out
    ]
    together = Comparison()
    for a, b in unequal:
        assert not Comparison().equal(a, b), (a, b)
        assert not together.equal(a, b), (a, b)


# --------------------------------------------------------------------------------- reports, refusals


def test_the_report_in_all_its_forms(scalars: list[rg.Node]) -> None:
    w, b, x, y = scalars
    report = run((w * x + b - y) ** 2, {w: 2, b: 1, x: 3, y: 5}).verify_symbolically()
    assert str(report).splitlines()[:3] == [
        "symbolic check passed: largest relative error 0.0e+00 (allowed 1e-12) of 4 derivatives; "
        "formulas: 4 exactly",
        "d/d w = 2*x*(b + w*x - y)",
        "    engine 12, SymPy 12, error 0.0e+00; formulas: exactly",
    ]
    assert repr(report) == str(report)
    html = report._repr_html_()
    assert "<code>2*x*(b + w*x - y)</code></td><td>exactly</td><td>12</td>" in html
    less = run(ops.relu(x), {x: 1.0}).verify_symbolically()._repr_html_()
    assert "x &gt; 0" in less
    whole = report.to_dict()
    assert json.loads(json.dumps(whole)) == whole
    assert whole["passed"] is True
    assert whole["elements"][0] == {
        "leaf": "w",
        "index": [],
        "expression": "2*x*(b + w*x - y)",
        "backward": "x*(2*b + 2*w*x - 2*y)",
        "decided": "exactly",
        "engine": 12.0,
        "symbolic": 12.0,
        "error": 0.0,
    }
    large = str(rg.check_symbolic(tanh_net(), X, Y, "mse"))
    assert "of 17 derivatives" in large
    assert large.splitlines()[1].startswith("worst: d/d dense_")
    assert large.splitlines()[1].endswith(" ...")
    assert max(map(len, large.splitlines())) < 160


def test_networks_that_are_too_large_are_refused() -> None:
    net = rg.Sequential([rg.Input(20), rg.Dense(30, activation="relu"), rg.Dense(5)])
    with pytest.raises(rg.ArgumentError) as caught:
        rg.check_symbolic(net, np.ones((3, 20)), np.ones((3, 5)), "mse")
    assert str(caught.value) == (
        "check_symbolic: 785 parameters and 2,970 multiply-adds over 3 samples make expressions that are too "
        "long: their product is 2,331,450, and at most 20,000 are taken. Give fewer samples, take a smaller "
        "network of the same kind, or use rg.check_gradients(net, x, y, loss), which has no such limit"
    )
    net = tanh_net()
    net.freeze()
    with pytest.raises(rg.ArgumentError, match="the model has no parameters that are trained"):
        rg.check_symbolic(net, X, Y, "mse")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: rg.LSTM(1)(x), "^lstm: a walk over the steps of a sequence, which is not written as"),
        (lambda x: rg.GRU(1)(x), "^gru: a walk over the steps"),
        (
            lambda x: rg.SimpleRNN(1)(x),
            r"^simple_rnn: .* check a network that has it with rg.check_gradients",
        ),
        (lambda x: rg.MultiHeadAttention(1)(x), "^attention: a softmax over all pairs of steps"),
        (lambda x: rg.Dropout(0.5)(rg.Dense(1)(x)), "dropout of rate 0.5 leaves numbers out by chance"),
    ],
)
def test_what_has_no_expression_is_named(make: Callable[[rg.Node], rg.Node], message: str) -> None:
    x = rg.Input((2, 1))
    net = rg.Model(x, rg.Dense(1)(rg.Flatten()(make(x))))
    with pytest.raises(rg.GraphError, match=message):
        rg.check_symbolic(net, np.ones((1, 2, 1)), np.ones((1, 1)), "mse")


def test_indices_need_their_numbers() -> None:
    index = rg.Input((), dtype="int64", name="index")
    table = rg.Variable([0.5, 2.0], "table")
    node = ops.gather(table, index)
    with pytest.raises(rg.GraphError, match="index: indices choose elements and have no symbol"):
        to_sympy(node, {index: "index", table: "table"}, {index: (1,)})
    found = to_sympy(node, {index: "index", table: "table"}, given={index: np.array([1])})
    assert found[0] == sp.Symbol("table[1]", real=True)


def test_without_sympy_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sympy", None)
    with pytest.raises(
        rg.ArgumentError, match=r'SymPy, which is not installed: pip install "retrograd\[symbolic\]"'
    ):
        rg.check_symbolic(tanh_net(), X, Y, "mse")
