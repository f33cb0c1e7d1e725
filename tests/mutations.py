"""Breaks every backward formula once and requires that the tests notice.

    python tests/mutations.py                  all of them
    python tests/mutations.py softmax gather   those whose member or file has one of these words
    python tests/mutations.py --list           what would be done

An edit is a small error of the kind that people make: a sign, a factor, a term that is missing, a row beside the
right one, a sum that overwrites. All edits are planted in one copy of the sources, each behind a switch that an
environment variable turns, so that one build serves them all:

    y * (1 - y)     becomes     (RG_PLANTED(3) ? (y * (1 + y)) : (y * (1 - y)))

First everything has to pass with no edit switched on; then each edit has to make the tests fail that are named
with it. An edit whose old text is no longer in the sources stops the program: a formula that has moved takes its
edit along. The table says which edits were caught and by what; if one survives, the exit status is 1.

The edits of one formula differ from what a test must tell apart by far more than rounding, so a survivor is a case
that the tests lack. Where only a check in this file catches an edit, the table says so.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SWITCH = "RETROGRAD_PLANTED_EDIT"


# ---------------------------------------------------------------------------------------- what can notice


@dataclass(frozen=True)
class Test:
    """A command in the tree of edits; the edit is caught where it fails."""

    shown: str
    command: tuple[str, ...]


def gradients(*names: str) -> Test:
    return _pytest("test_gradients.py", names)


def contract(*names: str) -> Test:
    return _pytest("test_contract.py", names)


def training(*names: str) -> Test:
    return _pytest("test_training.py", names)


def plan(*names: str) -> Test:
    return _pytest("test_plan.py", names)


def _pytest(file: str, names: Sequence[str]) -> Test:
    # by node ids: where one is renamed, pytest ends with another status than that of a failed test
    ids = [f"tests/{file}::{name}" for name in names]
    shown = f"{file}::{names[0]}" + (" ..." if len(names) > 1 else "")
    return Test(shown, (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=no", *ids))


def activation(name: str) -> Test:
    return gradients(f"test_every_activation_with_every_loss[{name}-half_squared_error]")


def loss(name: str) -> Test:
    return gradients(f"test_every_activation_with_every_loss[tanh-{name}]")


def operation(name: str) -> Test:
    return gradients(f"test_operations[{name}]")


def row(name: str) -> Test:
    return contract(f"test_row_slope[{name}]")


OPS = Test("tests/cpp/ops", ("./build/ops_test",))
ELEMENTWISE = Test("tests/cpp/kernels elementwise", ("./build/kernels_test", "elementwise"))
ROWS = Test("tests/cpp/kernels rows", ("./build/kernels_test", "rows", "reductions"))

HERE: dict[str, Callable[[], None]] = {}  # the checks of this file, at its end


def here(name: str) -> Test:
    return Test(f"mutations.py {name}", (sys.executable, "tests/mutations.py", "--check", name))


# -------------------------------------------------------------------------------------------- the edits


@dataclass(frozen=True)
class Edit:
    file: str  # in cpp/src
    inside: str  # a text that occurs once; the edit is in the braces that follow it
    member: str
    old: str  # an expression, or a whole statement with its semicolon; occurs once in those braces
    new: str
    tests: tuple[Test, ...]


EDITS: list[Edit] = []


def edit(file: str, inside: str, member: str, old: str, new: str, *tests: Test) -> None:
    EDITS.append(Edit(file, inside, member, old, new, tests))


def activations() -> None:
    def df(struct: str, name: str, old: str, new: str, *tests: Test) -> None:
        edit("functions/activations.hpp", f"struct {struct} {{", name, old, new, *(tests or (activation(name),)))

    df("Linear", "linear", "return constant<V>(1);", "return constant<V>(2);", ELEMENTWISE)
    df("Sigmoid", "sigmoid", "y * (constant<V>(1) - y)", "y * (constant<V>(1) + y)")
    df("Sigmoid", "sigmoid", "y * (constant<V>(1) - y)", "constant<V>(1) - y")
    df("Tanh", "tanh", "constant<V>(1) - y * y", "constant<V>(1) - y")
    df("Relu", "relu", "select(y <= V{}, V{}, constant<V>(1))", "constant<V>(1)")
    df("Relu", "relu at 0", "select(y <= V{}, V{}, constant<V>(1))", "select(y < V{}, V{}, constant<V>(1))", ELEMENTWISE)
    slope = "select(x > V{}, constant<V>(1), constant<V>(0.01))"
    df("LeakyRelu", "leaky_relu", slope, "select(x > V{}, constant<V>(1), constant<V>(0.1))")
    df("LeakyRelu", "leaky_relu at 0", slope, "select(x >= V{}, constant<V>(1), constant<V>(0.01))", ELEMENTWISE)
    df("Elu", "elu", "y + constant<V>(1)", "y")
    df("Selu", "selu", "y + constant<V>(scale_alpha)", "y + constant<V>(scale)")
    df("Selu", "selu", "constant<V>(scale), y", "constant<V>(1), y")
    df("Gelu", "gelu", "fma(x, density, phi(x))", "phi(x)")
    df("Gelu", "gelu", "constant<V>(-0.5) * x * x", "constant<V>(-1) * x * x")
    df("Silu", "silu", "s * fma(x, constant<V>(1) - s, constant<V>(1))", "s * fma(x, s, constant<V>(1))")
    df("Silu", "silu", "s * fma(x, constant<V>(1) - s, constant<V>(1))", "s")
    df("Softplus", "softplus", "return sigmoid(x);", "return constant<V>(1) - sigmoid(x);")
    df("Softsign", "softsign", "d * d", "d")
    df("Mish", "mish", "fma(x * (constant<V>(1) - t * t), sigmoid(x), t)", "fma(x * (constant<V>(1) - t), sigmoid(x), t)")
    df("Mish", "mish", "fma(x * (constant<V>(1) - t * t), sigmoid(x), t)", "fma(x, constant<V>(1) - t * t, t)")
    inner = "select(abs(x) < constant<V>(3), constant<V>(1.0 / 6), V{})"
    df("HardSigmoid", "hard_sigmoid", inner, "select(abs(x) < constant<V>(3), constant<V>(1.0 / 3), V{})")
    df("HardSigmoid", "hard_sigmoid", inner, "constant<V>(1.0 / 6)", contract(*_reference("hard_sigmoid")))
    df("HardSwish", "hard_swish", "x / three + constant<V>(0.5)", "x / three")
    df("HardSwish", "hard_swish", "x / three + constant<V>(0.5)", "x / (three + three) + constant<V>(0.5)")
    df("HardSwish", "hard_swish", "x >= three", "x > constant<V>(6)", contract(*_reference("hard_swish")))
    df("Exp", "exp", "df(V, V y) { return y;", "df(V, V y) { return y * y;")


def _reference(name: str) -> list[str]:
    """Over -9 to 9 and with both dtypes: the random networks seldom reach a saturated end."""
    return [f"test_activation_derivative_is_the_references[{name}-{dtype}]" for dtype in ("float32", "float64")]


def one_number() -> None:
    def df(struct: str, name: str, old: str, new: str, *tests: Test) -> None:
        edit("functions/unary.hpp", f"struct {struct} {{", name, old, new, *(tests or (row(f"ops.{name}"),)))

    df("Negative", "negative", "constant<V>(-1)", "constant<V>(1)")
    df("Log", "log", "constant<V>(1) / x", "x")
    df("Sqrt", "sqrt", "constant<V>(0.5) / y", "constant<V>(1) / y")
    df("Square", "square", "x + x", "x")
    df("Abs", "abs", "return sign(x);", "return constant<V>(1);")
    df("Abs", "abs at 0", "select(x == V{}, V{}, copysign(constant<V>(1), x))", "copysign(constant<V>(1), x)", ELEMENTWISE)
    df("Sin", "sin", "cos(x)", "-cos(x)")
    df("Cos", "cos", "-sin(x)", "sin(x)")
    df("Arctan", "arctan", "constant<V>(1) / fma(x, x, constant<V>(1))", "constant<V>(1) / fma(x, x, constant<V>(2))")


def two_numbers() -> None:
    def d(struct: str, name: str, old: str, new: str, *tests: Test) -> None:
        edit("functions/arithmetic.hpp", f"struct {struct} {{", name, old, new, *(tests or (operation(name),)))

    one = "{ return constant<V>(1); }"
    d("Add", "add da", f"V da(V, V, V) {one}", "V da(V, V, V) { return constant<V>(2); }", operation("add"))
    d("Add", "add db", f"V db(V, V, V) {one}", "V db(V, V, V) { return constant<V>(-1); }", operation("add"))
    d("Subtract", "subtract da", "constant<V>(1)", "constant<V>(-1)", operation("subtract"))
    d("Subtract", "subtract db", "constant<V>(-1)", "constant<V>(1)", operation("subtract"))
    d("Multiply", "multiply da", "return b;", "return b + b;", operation("multiply"))
    d("Multiply", "multiply db", "return a;", "return -a;", operation("multiply"))
    d("Divide", "divide da", "constant<V>(1) / b", "b", operation("divide"))
    d("Divide", "divide db", "-(a / b) / b", "-(a / b)", operation("divide"))
    d("Divide", "divide db", "-(a / b) / b", "(a / b) / b", operation("divide"))
    d("Power", "power da", "b * pow(a, b - constant<V>(1))", "b * pow(a, b)", operation("power"))
    d("Power", "power da", "b * pow(a, b - constant<V>(1))", "pow(a, b - constant<V>(1))", operation("power"))
    d("Power", "power da, b = 0", "select(b == V{}, V{}, b * pow", "select(b == V{} - constant<V>(9), V{}, b * pow", here("power at 0"))
    d("Power", "power db", "y * log(a)", "y", operation("power"))
    d("Power", "power db, a = 0", "(a == V{}) & (b >= V{})", "(a == V{}) & (b < V{})", here("power at 0"))
    d("Maximum", "maximum", "return share(a, b);", "return share(b, a);", operation("maximum"), row("ops.maximum"))
    d("Maximum", "maximum", "return share(b, a);", "return constant<V>(1);", operation("maximum"), row("ops.maximum"))
    d("Maximum", "maximum of equals", "constant<V>(0.5)", "constant<V>(1)", ELEMENTWISE)
    d("Minimum", "minimum", "Maximum::share(-a, -b)", "Maximum::share(a, b)", operation("minimum"), row("ops.minimum"))
    d("Minimum", "minimum", "Maximum::share(-b, -a)", "Maximum::share(b, a)", operation("minimum"), row("ops.minimum"))


def losses() -> None:
    def d(struct: str, name: str, old: str, new: str, *tests: Test) -> None:
        edit("functions/losses.hpp", f"struct {struct} {{", name, old, new, *(tests or (loss(name),)))

    d("HalfSquaredError", "half_squared_error", "return z - t;", "return constant<V>(2) * (z - t);")
    d("HalfSquaredError", "half_squared_error", "return z - t;", "return t - z;")
    d("MeanSquaredError", "mean_squared_error", "constant<V>(2) * (z - t)", "z - t")
    d("MeanAbsoluteError", "mean_absolute_error", "Abs::sign(z - t)", "Abs::sign(t - z)")
    d("MeanAbsoluteError", "mean_absolute_error", "Abs::sign(z - t)", "constant<V>(1)")
    d("MeanAbsoluteError", "mean_absolute_error at 0", "Abs::sign(z - t)", "copysign(constant<V>(1), z - t)", OPS)
    kink = "select(abs(d) > delta, copysign(delta, d), d)"
    d("Huber", "huber", kink, "d", loss("huber"), contract("test_loss_slope[huber-delta]"))
    d("Huber", "huber", kink, "select(abs(d) > delta, delta, d)", contract("test_loss_slope[huber-delta]"))
    d("Huber", "huber", kink, "select(abs(d) > delta, copysign(constant<V>(1), d), d)", contract("test_loss_slope[huber-delta]"))
    d("BinaryCrossEntropy", "binary_cross_entropy", "sigmoid(z) - t", "sigmoid(z) + t")
    d("BinaryCrossEntropy", "binary_cross_entropy", "sigmoid(z) - t", "z - t")
    d("Poisson", "poisson", "return exp(z) - t;", "return exp(z);")
    d("Hinge", "hinge", "V{}, -t)", "V{}, t)")
    d("Hinge", "hinge", "select(constant<V>(1) - t * z <= V{}, V{}, -t)", "-t", contract("test_loss_slope[hinge]"))

    def loop(member: str, old: str, new: str, *tests: Test) -> None:
        edit("kernels/losses.hpp", "void loss_backward(", member, old, new, *tests)

    loop("losses, mean", "F::mean ? static_cast<T>(columns) : T(1)", "T(1)", loss("mean_squared_error"))
    loop("losses, row", "one ? T(1) : dvalue[i] / count", "one ? T(1) : dvalue[0] / count", *_delta("huber"))
    loop("losses, one output", "one ? load_next(dvalue + k, left) : factor", "one ? broadcast(dvalue[0]) : factor", OPS)
    loop("losses, accumulate", "if (accumulate) d = load_next<T>(dz + k, left) + d;", ";", OPS)


def _delta(name: str) -> tuple[Test, ...]:
    """With weights, so that rows differ."""
    return (contract(f"test_loss_value_and_delta[{name}-float64]"),)


def elementwise_kernels() -> None:
    file = "kernels/elementwise.hpp"
    unary, binary = "void unary_backward(", "void binary_backward("
    accumulate = "if (accumulate) d = load_next<T>(dx + i, n - i) + d;"
    edit(file, unary, "one number, chain rule", "load_next(dy + i, n - i) * F::df(vx, vy)", "F::df(vx, vy)", activation("tanh"))
    edit(file, unary, "one number, accumulate", accumulate, ";", gradients("test_custom_activation_and_custom_loss"), ELEMENTWISE)
    edit(file, binary, "two numbers, chain rule", "load_next(dy + i, n - i) *", "load_next(dy, n - i) *", operation("multiply"), ELEMENTWISE)
    edit(file, binary, "two numbers, operand", "operand == 0", "operand != 0", operation("divide"))
    edit(file, binary, "two numbers, accumulate", accumulate, ";", gradients("test_graphs[gated-mean_squared_error]"))
    edit(file, "void add(", "add to a gradient", "load_next<T>(y + i, n - i) + load_next(x + i, n - i)", "load_next(x + i, n - i)", gradients("test_graphs[same_input_twice-mean_squared_error]"))
    edit(file, "void scale(", "scale, accumulate", "accumulate ? load_next<T>(y + i, n - i) + product : product", "product", OPS)

    penalty = training("test_penalty_enters_the_gradient_of_weights_only")
    slope = "fma(second, v, first * Abs::sign(v))"
    edit(file, "void penalty_gradient(", "penalty l2", slope, "fma(second, v + v, first * Abs::sign(v))", penalty)
    edit(file, "void penalty_gradient(", "penalty l1", slope, "fma(second, v, first * v)", penalty)
    edit(file, "void penalty_gradient(", "penalty l1", slope, "fma(second, v, -first * Abs::sign(v))", penalty)
    edit(file, "void penalty_gradient(", "penalty, added", "load_next<T>(g + i, n - i) + slope", "slope", penalty)


def rows_of_classes() -> None:
    file = "kernels/softmax.hpp"
    adds = "if (accumulate) d = load_next<T>(dx + k, left) + d;"
    adds_dz = "if (accumulate) d = load_next<T>(dz + k, left) + d;"
    soft, log = "void softmax_backward(", "void log_softmax_backward("
    formula = "load_next(y + k, left) * (load_next(dy + k, left) - common)"
    edit(file, soft, "softmax", formula, "load_next(y + k, left) * load_next(dy + k, left)", activation("softmax"))
    edit(file, soft, "softmax", formula, "load_next(y + k, left) * (load_next(dy + k, left) + common)", activation("softmax"))
    edit(file, soft, "softmax", formula, "load_next(dy + k, left) - common", activation("softmax"))
    edit(file, soft, "softmax, accumulate", adds, ";", ROWS, OPS)
    formula = "load_next(dy + k, left) - exp(load_next(y + k, left)) * total"
    edit(file, log, "log_softmax", formula, "load_next(dy + k, left) - load_next(y + k, left) * total", activation("log_softmax"))
    edit(file, log, "log_softmax", formula, "load_next(dy + k, left) - exp(load_next(y + k, left))", activation("log_softmax"))
    edit(file, log, "log_softmax, accumulate", adds, ";", ROWS, OPS)

    hard = "void cross_entropy_backward("
    smoothing = gradients("test_options_of_losses[label_smoothing]")
    ignoring = gradients("test_options_of_losses[ignore_index]")
    formula = "factor * (load_next(p + k, left) - target)"
    edit(file, hard, "cross_entropy", formula, "factor * (load_next(p + k, left) + target)", loss("cross_entropy"))
    edit(file, hard, "cross_entropy", formula, "factor * load_next(p + k, left)", loss("cross_entropy"))
    edit(file, hard, "cross_entropy, row", "ignored ? T(0) : dvalue[i]", "ignored ? T(0) : dvalue[0]", *_delta("cross_entropy"))
    edit(file, hard, "cross_entropy, smoothing", "smoothing / static_cast<T>(columns)", "smoothing", smoothing)
    edit(file, hard, "cross_entropy, smoothing", "broadcast(T(1) - smoothing)", "broadcast(T(1))", smoothing)
    edit(file, hard, "cross_entropy, column", "static_cast<decltype(hot[0] + 0)>(k)", "static_cast<decltype(hot[0] + 0)>(0)", ROWS)
    # its row of the loss weighs nothing, so what this changes is only seen with a position of several
    edit(file, hard, "cross_entropy, ignored", "const bool ignored = label[i] == ignore;", "const bool ignored = false;", OPS, ignoring)
    edit(file, hard, "cross_entropy, accumulate", adds_dz, ";", ROWS, OPS)
    soft = "void cross_entropy_soft_backward("
    agree = gradients("test_cross_entropy_of_labels_and_of_probabilities_agree")
    edit(file, soft, "cross_entropy of probabilities", "load_next(p + k, left) * whole - q", "load_next(p + k, left) * whole + q", agree)
    edit(file, soft, "cross_entropy of probabilities", "(T(1) - smoothing) * sum(target, columns) + smoothing", "T(1)", ROWS, OPS)
    edit(file, soft, "cross_entropy of probabilities, smoothing", "fma(keep, load_next(target + k, left), rest)", "load_next(target + k, left)", ROWS, OPS)
    edit(file, soft, "cross_entropy of probabilities, row", "broadcast(dvalue[i])", "broadcast(dvalue[0])", ROWS, OPS)
    edit(file, soft, "cross_entropy of probabilities, accumulate", adds_dz, ";", ROWS, OPS)


def loss_operations() -> None:
    file = "ops/losses.cpp"
    ignoring = gradients("test_options_of_losses[ignore_index]")
    edit(file, "class Loss :", "losses, accumulate", "r.accumulate[0] != 0", "false", OPS)
    several = "class CrossEntropy :"
    edit(file, several, "cross_entropy, positions", "dy / static_cast<T>(counted)", "dy / static_cast<T>(positions)", OPS)
    edit(file, several, "cross_entropy, positions", "counted > 0 ? dy / static_cast<T>(counted)", "counted > 0 ? dy", OPS)
    edit(file, several, "cross_entropy, count", "r.index[1].data() + i * positions", "r.index[1].data()", OPS)
    edit(file, several, "cross_entropy, accumulate", "const bool accumulate = r.accumulate[0] != 0;", "const bool accumulate = false;", OPS)
    share = "static_cast<T>(counted) / static_cast<T>(positions)"
    edit(file, "class LabelWeight :", "label_weight", share, "T(1)", ignoring)
    edit(file, "class LabelWeight :", "label_weight", share, "static_cast<T>(positions - counted) / static_cast<T>(positions)", ignoring)
    mean = "class WeightedMean :"
    formula = "total == T(0) ? T(0) : factor / total * dy"
    weighted = _delta("mean_squared_error")
    edit(file, mean, "weighted_mean", formula, "total == T(0) ? T(0) : factor / static_cast<T>(std::ssize(r.x[0])) * dy", *weighted)
    edit(file, mean, "weighted_mean", formula, "total == T(0) ? T(0) : factor * dy", loss("mean_squared_error"))
    edit(file, mean, "weighted_mean", formula, "total == T(0) ? T(0) : factor / total", gradients("test_several_inputs_and_outputs"))
    edit(file, mean, "weighted_mean of nothing", formula, "factor / total * dy", OPS)
    edit(file, mean, "weighted_mean, weights", "factor *= r.x[w].data()[i];", ";", *weighted)
    edit(file, mean, "weighted_mean, d weight", "factor *= r.x[0].data()[i] - y;", "factor *= r.x[0].data()[i];", OPS)
    edit(file, mean, "weighted_mean, d weight", "w != operand", "w != operand && operand == 0", OPS)
    edit(file, mean, "weighted_mean, accumulate", "accumulate ? dx[i] : T(0)", "T(0)", OPS)
    edit("train/loss.cpp", "LossGraph extend_with_loss(", "loss_weights", "options.loss_weights[i]", "options.loss_weights[0]", gradients("test_several_inputs_and_outputs"))
    edit("train/loss.cpp", "LossGraph extend_with_loss(", "label_weight, used", "operands.push_back(label_weights.back());", ";", ignoring)


def linear() -> None:
    file = "ops/linear.cpp"
    backward, part, fold = "static void gradients(", "static void weight_gradients(", "static void fold("
    tanh, graphs = activation("tanh"), gradients("test_graphs[shared-mean_squared_error]")
    edit(file, backward, "linear dx", "matrix(weight, s.in), r.dx[0]", "transposed(weight, s.in), r.dx[0]", tanh)
    edit(file, backward, "linear dx, accumulate", "r.accumulate[0] != 0", "false", gradients("test_graphs[residual-mean_squared_error]"))
    edit(file, backward, "linear dW, accumulate", "r.accumulate[1] != 0", "false", graphs)
    edit(file, backward, "linear db, accumulate", "db != nullptr && r.accumulate[2] != 0", "false", graphs)
    edit(file, part, "linear dW", "matrix(x, s.in), dW", "matrix(delta, s.in), dW", tanh)
    edit(file, part, "linear dW, rows", "product(s.out, s.in, last - first,", "product(s.out, s.in, last - first - 1,", tanh)
    edit(file, part, "linear db, rows", "s.out, last - first, end - j", "s.out, last - first - 1, end - j", tanh)
    edit(file, part, "linear db, column", "delta + j, s.out", "delta, s.out", here("wide bias"), OPS)
    edit(file, part, "linear in parts, x", "x += first * s.in;", ";", here("parts"), OPS)
    edit(file, part, "linear in parts, delta", "delta += first * s.out;", ";", here("parts"), OPS)
    edit(file, backward, "linear in parts, rows", "s.rows * (part + 1) / parts", "s.rows * (part + 1) / parts - 1", here("parts"), OPS)
    edit(file, backward, "linear in parts, db", "db_parts + part * s.out", "db_parts", here("parts"), OPS)
    edit(file, fold, "linear in parts, fold", "parts, end - j, sum + j, accumulate", "parts - 1, end - j, sum + j, accumulate", here("parts"), OPS)
    edit(file, fold, "linear in parts, accumulate", "sum + j, accumulate", "sum + j, false", here("parts"), OPS)
    fused = "class LinearActivation :"
    both = "r.y.data() + i, r.dy.data() + i, r.dy.data() + i"
    edit(file, fused, "fused, y", "data(r.saved, i), r.y.data() + i,", "data(r.saved, i), r.y.data(),", here("fused"), OPS)
    edit(file, fused, "fused, z", "data(r.saved, i)", "data(r.saved, 0)", here("fused"), OPS)
    edit(file, fused, "fused, derivative", f"""activation_.of<T>().backward(data(r.saved, i), {both},
                                         end - i, false);""", ";", tanh)  # fmt: skip
    edit("kernels/gemm.hpp", "void gemm(", "products, accumulate", "m.accumulate ? m.c + corner : nullptr", "nullptr", graphs)
    edit("ops/work.hpp", "void copy(const T* x, T* y", "copies, accumulate", "if (accumulate) kernels<T>().add(x, y, n);", "if (accumulate) std::copy_n(x, n, y);", OPS)


for _group in (activations, one_number, two_numbers, losses, elementwise_kernels, rows_of_classes, loss_operations, linear):
    _group()
