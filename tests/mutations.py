"""Breaks every backward formula once, and requires that the tests notice.

    python tests/mutations.py                  all of them
    python tests/mutations.py softmax gather   those whose member, file or edit has one of these words
    python tests/mutations.py --list           what would be done

An edit is a small error of the kind that people make: a sign, a factor, a missing term, a row beside the
right one, a sum that overwrites. All are planted in one copy of the sources, each behind a switch that an
environment variable turns, so that one build serves them all:

    y * (1 - y)     becomes     (RG_PLANTED(3) ? (y * (1 + y)) : (y * (1 - y)))

First every test that is named below has to pass with no edit switched on. Then each edit has to make one of
its own tests fail, and the table says which. The exit status is 1 if an edit survives. An edit whose old
text is no longer in the sources stops the program: who changes a formula changes its edit.

Needs a compiler, CMake and pybind11; uses Ninja and ccache where they are. pytest does not collect this
file.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SWITCH = "RETROGRAD_PLANTED_EDIT"


# ----------------------------------------------------------------------------------------- what notices


@dataclass(frozen=True)
class Test:
    """A command, run in the copy of the project; an edit is caught when it fails."""

    name: str
    command: tuple[str, ...]
    __test__ = False  # nothing for pytest


def pytest_of(file: str, name: str) -> Test:
    """By its node id: one that is no longer there is an error of pytest's, not a failed test."""
    test = f"tests/{file}::{name}"
    options = ("-q", "-x", "--tb=no", "-p", "no:cacheprovider")
    return Test(f"{file}::{name}", (sys.executable, "-m", "pytest", *options, test))


def gradients(name: str) -> Test:
    return pytest_of("test_gradients.py", name)


def contract(name: str) -> Test:
    return pytest_of("test_contract.py", name)


def training(name: str) -> Test:
    return pytest_of("test_training.py", name)


def plan(name: str) -> Test:
    return pytest_of("test_plan.py", name)


def activation(name: str) -> Test:
    """In the middle and at the end of a network, with a loss that is right."""
    return gradients(f"test_every_activation_with_every_loss[{name}-half_squared_error]")


def saturated(name: str) -> Test:
    """Where the random networks seldom are."""
    return contract(f"test_activation_derivative_is_the_references[{name}-float64]")


def loss(name: str) -> Test:
    return gradients(f"test_every_activation_with_every_loss[tanh-{name}]")


def weighted(name: str) -> Test:
    """With weights, so that no two rows are alike."""
    return contract(f"test_loss_value_and_delta[{name}-float64]")


def operation(name: str) -> Test:
    return gradients(f"test_operations[{name}]")


def table(name: str) -> Test:
    return pytest_of("test_embedding.py", name)


def row(name: str) -> Test:
    return contract(f"test_row_slope[{name}]")


def graph(name: str) -> Test:
    return gradients(f"test_graphs[{name}-mean_squared_error]")


def corner(name: str) -> Test:
    return pytest_of("test_corners.py", f"test_{name}")


def ops(group: str) -> Test:
    return Test(f"tests/cpp/ops {group}", ("./build/ops_test", group))


ELEMENTWISE = Test("tests/cpp/kernels elementwise", ("./build/kernels_test", "elementwise"))
ROWS = Test("tests/cpp/kernels rows", ("./build/kernels_test", "rows"))
PRODUCTS = Test("tests/cpp/kernels products", ("./build/kernels_test", "products"))


# -------------------------------------------------------------------------------------------- the edits


@dataclass(frozen=True)
class Edit:
    file: str  # in cpp/src
    inside: tuple[str, ...]  # texts that occur once, each in the braces that follow the one before
    member: str
    old: str  # occurs once in the last braces: an expression, or a statement with its semicolon
    new: str
    tests: tuple[Test, ...]

    def __str__(self) -> str:
        return f"{_line(self.old)}  ->  {_line(self.new)}"


def _line(code: str) -> str:
    return re.sub(r"\s+", " ", code)


class Place:
    """Where the next edits are: call it with a member, the old and the new text, and tests."""

    def __init__(self, edits: list[Edit], file: str, *inside: str) -> None:
        self.edits, self.file, self.inside = edits, file, inside

    def __call__(self, member: str, old: str, new: str, *tests: Test) -> None:
        assert tests, member
        self.edits.append(Edit(self.file, self.inside, member, old, new, tests))


def activations(edits: list[Edit]) -> None:
    def in_struct(struct: str) -> Place:
        return Place(edits, "functions/activations.hpp", f"struct {struct} {{")

    at = in_struct("Linear")
    at("linear", "return constant<V>(1);", "return constant<V>(2);", ELEMENTWISE)
    at = in_struct("Sigmoid")
    at("sigmoid", "y * (constant<V>(1) - y)", "y * (constant<V>(1) + y)", activation("sigmoid"))
    at("sigmoid", "y * (constant<V>(1) - y)", "constant<V>(1) - y", activation("sigmoid"))
    at = in_struct("Tanh")
    at("tanh", "constant<V>(1) - y * y", "constant<V>(1) - y", activation("tanh"))
    at("tanh", "constant<V>(1) - y * y", "constant<V>(1) + y * y", activation("tanh"))
    at = in_struct("Relu")
    old = "select(y <= V{}, V{}, constant<V>(1))"
    at("relu", old, "constant<V>(1)", activation("relu"))
    at("relu", old, "y", activation("relu"))
    at("relu at 0", old, "select(y < V{}, V{}, constant<V>(1))", ELEMENTWISE)
    at = in_struct("LeakyRelu")
    old = "select(x > V{}, constant<V>(1), constant<V>(0.01))"
    at("leaky_relu", old, "select(x > V{}, constant<V>(1), constant<V>(0.1))", activation("leaky_relu"))
    at("leaky_relu at 0", old, "select(x >= V{}, constant<V>(1), constant<V>(0.01))", ELEMENTWISE)
    at = in_struct("Elu")
    at("elu", "y + constant<V>(1)", "y", activation("elu"))
    at = in_struct("Selu")
    old = "select(y > V{}, constant<V>(scale), y + constant<V>(scale_alpha))"
    at("selu", old, "select(y > V{}, constant<V>(scale), y + constant<V>(scale))", activation("selu"))
    at("selu", old, "select(y > V{}, constant<V>(1), y + constant<V>(scale_alpha))", activation("selu"))
    at("selu at 0", old, "select(y >= V{}, constant<V>(scale), y + constant<V>(scale_alpha))", ELEMENTWISE)
    at = in_struct("Gelu")
    at("gelu", "fma(x, density, phi(x))", "phi(x)", activation("gelu"))
    at("gelu", "fma(x, density, phi(x))", "fma(-x, density, phi(x))", activation("gelu"))
    at("gelu", "constant<V>(-0.5) * x * x", "-x * x", activation("gelu"))
    at = in_struct("Silu")
    old = "s * fma(x, constant<V>(1) - s, constant<V>(1))"
    at("silu", old, "s * fma(x, s, constant<V>(1))", activation("silu"))
    at("silu", old, "s", activation("silu"))
    at = in_struct("Softplus")
    at("softplus", "return sigmoid(x);", "return sigmoid(-x);", activation("softplus"))
    at = in_struct("Softsign")
    at("softsign", "d * d", "d", activation("softsign"))
    at("softsign", "d * d", "-(d * d)", activation("softsign"))
    at = in_struct("Mish")
    old = "fma(x * (constant<V>(1) - t * t), sigmoid(x), t)"
    at("mish", old, "fma(x * (constant<V>(1) - t), sigmoid(x), t)", activation("mish"))
    at("mish", old, "fma(x, constant<V>(1) - t * t, t)", activation("mish"))
    at = in_struct("HardSigmoid")
    old = "select(abs(x) < constant<V>(3), constant<V>(1.0 / 6), V{})"
    at(
        "hard_sigmoid",
        old,
        "select(abs(x) < constant<V>(3), constant<V>(1.0 / 3), V{})",
        activation("hard_sigmoid"),
    )
    at("hard_sigmoid", old, "constant<V>(1.0 / 6)", saturated("hard_sigmoid"))
    at = in_struct("HardSwish")
    old = "x / three + constant<V>(0.5)"
    at("hard_swish", old, "x / three", activation("hard_swish"))
    at("hard_swish", old, "x / (three + three) + constant<V>(0.5)", activation("hard_swish"))
    at("hard_swish", "x <= -three", "x < -constant<V>(100)", saturated("hard_swish"))
    at("hard_swish", "x >= three", "x > constant<V>(100)", saturated("hard_swish"))
    at = in_struct("Exp")
    at("exp", "return y;", "return y * y;", activation("exp"))


def functions_of_one(edits: list[Edit]) -> None:
    def in_struct(struct: str) -> Place:
        return Place(edits, "functions/unary.hpp", f"struct {struct} {{")

    in_struct("Negative")("negative", "constant<V>(-1)", "constant<V>(1)", row("ops.negative"))
    in_struct("Log")("log", "constant<V>(1) / x", "x", row("ops.log"))
    in_struct("Sqrt")("sqrt", "constant<V>(0.5) / y", "constant<V>(1) / y", row("ops.sqrt"))
    in_struct("Square")("square", "x + x", "x", row("ops.square"))
    at = in_struct("Abs")
    at("abs", "return sign(x);", "return constant<V>(1);", row("ops.abs"))
    old = "select(x == V{}, V{}, copysign(constant<V>(1), x))"
    at("abs at 0", old, "copysign(constant<V>(1), x)", ELEMENTWISE)
    in_struct("Sin")("sin", "cos(x)", "-cos(x)", row("ops.sin"))
    in_struct("Cos")("cos", "-sin(x)", "sin(x)", row("ops.cos"))
    at = in_struct("Arctan")
    at("arctan", "fma(x, x, constant<V>(1))", "fma(x, x, constant<V>(2))", row("ops.arctan"))
    at("arctan", "fma(x, x, constant<V>(1))", "(x + constant<V>(1))", row("ops.arctan"))


def functions_of_two(edits: list[Edit]) -> None:
    def in_struct(struct: str, *function: str) -> Place:
        return Place(edits, "functions/arithmetic.hpp", f"struct {struct} {{", *function)

    in_struct("Add", "V da(")("add da", "constant<V>(1)", "constant<V>(2)", operation("add"))
    in_struct("Add", "V db(")("add db", "constant<V>(1)", "constant<V>(-1)", operation("add"))
    in_struct("Subtract")("subtract da", "constant<V>(1)", "constant<V>(-1)", operation("subtract"))
    in_struct("Subtract")("subtract db", "constant<V>(-1)", "constant<V>(1)", operation("subtract"))
    in_struct("Multiply")("multiply da", "return b;", "return b + b;", operation("multiply"))
    in_struct("Multiply")("multiply db", "return a;", "return -a;", operation("multiply"))
    at = in_struct("Divide")
    at("divide da", "constant<V>(1) / b", "b", operation("divide"))
    at("divide db", "-(a / b) / b", "-(a / b)", operation("divide"))
    at("divide db", "-(a / b) / b", "(a / b) / b", operation("divide"))
    at = in_struct("Power")
    at("power da", "b * pow(a, b - constant<V>(1))", "b * pow(a, b)", operation("power"))
    at("power da", "b * pow(a, b - constant<V>(1))", "pow(a, b - constant<V>(1))", operation("power"))
    at("power da, a = b = 0", "b == V{}", "b != b", ops("arithmetic"), corner("power_at_zero"))
    at("power db", "y * log(a)", "y", operation("power"))
    at("power db, a = 0", "(a == V{}) & (b >= V{})", "b != b", ops("arithmetic"), corner("power_at_zero"))
    at = in_struct("Maximum")
    at("maximum da", "return share(a, b);", "return share(b, a);", operation("maximum"))
    at("maximum db", "return share(b, a);", "return constant<V>(1);", operation("maximum"))
    at("maximum of equals", "constant<V>(0.5)", "constant<V>(1)", ELEMENTWISE)
    at = in_struct("Minimum")
    at("minimum da", "Maximum::share(-a, -b)", "Maximum::share(a, b)", operation("minimum"))
    at("minimum db", "Maximum::share(-b, -a)", "Maximum::share(b, a)", operation("minimum"))


def losses(edits: list[Edit]) -> None:
    def in_struct(struct: str) -> Place:
        return Place(edits, "functions/losses.hpp", f"struct {struct} {{")

    at = in_struct("HalfSquaredError")
    at("half_squared_error", "return z - t;", "return constant<V>(2) * (z - t);", loss("half_squared_error"))
    at("half_squared_error", "return z - t;", "return t - z;", loss("half_squared_error"))
    at = in_struct("MeanSquaredError")
    at("mean_squared_error", "constant<V>(2) * (z - t)", "z - t", loss("mean_squared_error"))
    at = in_struct("MeanAbsoluteError")
    at("mean_absolute_error", "Abs::sign(z - t)", "Abs::sign(t - z)", loss("mean_absolute_error"))
    at("mean_absolute_error", "Abs::sign(z - t)", "constant<V>(1)", loss("mean_absolute_error"))
    at = in_struct("Huber")
    old = "select(abs(d) > delta, copysign(delta, d), d)"
    at("huber", old, "d", weighted("huber-delta"))
    at("huber", old, "copysign(delta, d)", weighted("huber-delta"))
    at("huber", old, "select(abs(d) > delta, delta, d)", weighted("huber-delta"))
    at("huber", old, "select(abs(d) > delta, copysign(constant<V>(1), d), d)", weighted("huber-delta"))
    at = in_struct("BinaryCrossEntropy")
    at("binary_cross_entropy", "sigmoid(z) - t", "sigmoid(z) + t", loss("binary_cross_entropy"))
    at("binary_cross_entropy", "sigmoid(z) - t", "z - t", loss("binary_cross_entropy"))
    at = in_struct("Poisson")
    at("poisson", "return exp(z) - t;", "return exp(z);", loss("poisson"))
    at = in_struct("Hinge")
    old = "select(constant<V>(1) - t * z <= V{}, V{}, -t)"
    at("hinge", old, "select(constant<V>(1) - t * z <= V{}, V{}, t)", loss("hinge"))
    at("hinge", old, "-t", weighted("hinge"))
    at(
        "hinge at the kink",
        old,
        "select(constant<V>(1) - t * z < V{}, V{}, -t)",
        ROWS,
        corner("hinge_at_the_kink"),
    )

    at = Place(edits, "kernels/losses.hpp", "void loss_backward(")
    at("losses, mean", "F::mean ? static_cast<T>(columns) : T(1)", "T(1)", loss("mean_squared_error"))
    at("losses, row", "one ? T(1) : dvalue[i] / count", "one ? T(1) : dvalue[0] / count", weighted("poisson"))
    old = "one ? load_next(dvalue + k, left) : factor"
    at("losses, one output", old, "one ? broadcast(dvalue[0]) : factor", ops("losses"))
    at("losses, accumulate", "if (accumulate) d = load_next<T>(dz + k, left) + d;", ";", ops("losses"))


def elementwise_kernels(edits: list[Edit]) -> None:
    def in_function(name: str) -> Place:
        return Place(edits, "kernels/elementwise.hpp", f"void {name}(")

    accumulate = "if (accumulate) d = load_next<T>(dx + i, n - i) + d;"
    at = in_function("unary_backward")
    at("one number, dy", "load_next(dy + i, n - i) * F::df(vx, vy)", "F::df(vx, vy)", activation("tanh"))
    at("one number, accumulate", accumulate, ";", gradients("test_custom_activation_and_custom_loss"))
    at = in_function("binary_backward")
    at("two numbers, dy", "load_next(dy + i, n - i)", "load_next(dy, n - i)", operation("multiply"))
    at("two numbers, operand", "operand == 0", "operand != 0", operation("divide"))
    at("two numbers, accumulate", accumulate, ";", graph("gated"))
    at = in_function("add")
    old = "load_next<T>(y + i, n - i) + load_next(x + i, n - i)"
    at("a gradient added", old, "load_next(x + i, n - i)", graph("same_input_twice"))
    at = in_function("scale")
    at(
        "scale, accumulate",
        "accumulate ? load_next<T>(y + i, n - i) + product : product",
        "product",
        ops("reductions"),
    )

    at = in_function("penalty_gradient")
    penalty = training("test_penalty_enters_the_gradient_of_weights_only")
    old = "fma(second, v, first * Abs::sign(v))"
    at("penalty l2", old, "fma(second, v + v, first * Abs::sign(v))", penalty)
    at("penalty l1", old, "fma(second, v, first * v)", penalty)
    at("penalty l1", old, "fma(second, v, -first * Abs::sign(v))", penalty)
    at("penalty, added", "load_next<T>(g + i, n - i) + slope", "slope", penalty)


def rows_of_classes(edits: list[Edit]) -> None:
    def in_function(name: str) -> Place:
        return Place(edits, "kernels/softmax.hpp", f"void {name}(")

    at = in_function("softmax_backward")
    old = "load_next(y + k, left) * (load_next(dy + k, left) - common)"
    at("softmax", old, "load_next(y + k, left) * load_next(dy + k, left)", activation("softmax"))
    at("softmax", old, "load_next(y + k, left) * (load_next(dy + k, left) + common)", activation("softmax"))
    at("softmax", old, "load_next(dy + k, left) - common", activation("softmax"))
    at(
        "softmax, accumulate",
        "if (accumulate) d = load_next<T>(dx + k, left) + d;",
        ";",
        ROWS,
        ops("softmax"),
    )
    at = in_function("log_softmax_backward")
    old = "load_next(dy + k, left) - exp(load_next(y + k, left)) * total"
    new = "load_next(dy + k, left) - load_next(y + k, left) * total"
    at("log_softmax", old, new, activation("log_softmax"))
    new = "load_next(dy + k, left) - exp(load_next(y + k, left))"
    at("log_softmax", old, new, activation("log_softmax"))
    at(
        "log_softmax, accumulate",
        "if (accumulate) d = load_next<T>(dx + k, left) + d;",
        ";",
        ROWS,
        ops("softmax"),
    )

    smoothing = gradients("test_options_of_losses[label_smoothing]")
    at = in_function("cross_entropy_backward")
    old = "factor * (load_next(p + k, left) - target)"
    at("cross_entropy", old, "factor * (load_next(p + k, left) + target)", loss("cross_entropy"))
    at("cross_entropy", old, "factor * load_next(p + k, left)", loss("cross_entropy"))
    at("cross_entropy", old, "load_next(p + k, left) - target", loss("cross_entropy"))
    old = "ignored ? T(0) : dvalue[i]"
    at("cross_entropy, row", old, "ignored ? T(0) : dvalue[0]", weighted("cross_entropy"))
    at("cross_entropy, smoothing", "smoothing / static_cast<T>(columns)", "smoothing", smoothing)
    at("cross_entropy, smoothing", "broadcast(T(1) - smoothing)", "broadcast(T(1))", smoothing)
    at("cross_entropy, label", "IntVec<T>{} + label[i]", "IntVec<T>{} + label[0]", loss("cross_entropy"))
    old = "static_cast<decltype(hot[0] + 0)>(k)"
    at("cross_entropy, column", old, "static_cast<decltype(hot[0] + 0)>(0)", ROWS, ops("losses"))
    at("cross_entropy, ignored", "label[i] == ignore", "false", ROWS, ops("losses"))
    at(
        "cross_entropy, accumulate",
        "if (accumulate) d = load_next<T>(dz + k, left) + d;",
        ";",
        ROWS,
        ops("losses"),
    )

    at = in_function("cross_entropy_soft_backward")
    agree = gradients("test_cross_entropy_of_labels_and_of_probabilities_agree")
    old = "load_next(p + k, left) * whole - q"
    at("cross_entropy of probabilities", old, "load_next(p + k, left) * whole + q", agree)
    at("cross_entropy of probabilities", old, "load_next(p + k, left) * whole", agree)
    old = "(T(1) - smoothing) * sum_all(target, columns) + smoothing"
    at(
        "cross_entropy of probabilities, sum",
        old,
        "T(1)",
        ROWS,
        ops("losses"),
        corner("targets_that_do_not_sum_to_one"),
    )
    old = "fma(keep, load_next(target + k, left), rest)"
    at("cross_entropy of probabilities, smoothing", old, "load_next(target + k, left)", ROWS, ops("losses"))
    at(
        "cross_entropy of probabilities, row",
        "broadcast(dvalue[i])",
        "broadcast(dvalue[0])",
        ROWS,
        ops("losses"),
    )
    old = "if (accumulate) d = load_next<T>(dz + k, left) + d;"
    at("cross_entropy of probabilities, accumulate", old, ";", ROWS, ops("losses"))


def normalised_rows(edits: list[Edit]) -> None:
    def slopes(kind: str) -> Test:
        return pytest_of("test_norm.py", f"test_slopes_with_any_number_of_rows[{kind}-33]")

    at = Place(edits, "kernels/norm.hpp", "RG_INLINE void norm_row_backward(")
    at("layer_norm dx", "Centred ? slope - common : slope", "slope", row("rg.LayerNorm"))
    at("rms_norm dx", "unit(j, left) * share", "share", row("rg.RMSNorm"))
    at("norm, accumulate", "if (g.add_dx) d = load_next<T>(dx + j, left) + d;", ";", slopes("LayerNorm"))
    old = "fma(v, unit(j, left), load_next<T>(g.dW + j, left))"
    at("norm dW", old, "v * unit(j, left)", slopes("RMSNorm"))
    at("layer_norm db", "load_next<T>(g.db + j, left) + v", "v", slopes("LayerNorm"))
    at = Place(edits, "ops/norm.cpp", "class RowNorm :", "static void fold(")
    twice = pytest_of("test_norm.py", "test_slopes_of_a_layer_called_twice[LayerNorm]")
    at("norm dW, accumulate", "r.accumulate[operand] != 0", "false", twice)


def attention(edits: list[Edit]) -> None:
    def own(name: str) -> Test:
        return pytest_of("test_attention.py", f"test_{name}")

    at = Place(edits, "kernels/attention.hpp", "RG_INLINE void slope_rows(")
    plain, dropout = row("rg.MultiHeadAttention"), own("slope_with_dropout")
    at("attention dS", "p * (dp - common) * scale", "p * dp * scale", plain)
    at("attention dS", "p * (dp - common) * scale", "p * (dp - common)", plain)
    at("attention, dropout", "dp = dp * kept;", ";", dropout)
    at("attention, dropout", "weight = p * kept;", ";", dropout)
    at = Place(edits, "ops/attention.cpp", "AttentionScores<T> Attention::block_of(")
    value = contract("test_row_value[rg.MultiHeadAttention:causal-float64]")
    at("attention, causal", "causal_ ? first + 1 : s.keys", "s.keys", value)
    masks = own("masks_of_each_sample[padding-False]")
    at("attention, mask", "shape.batched ? sample * shape.size() : 0", "0", masks)
    at = Place(edits, "ops/attention.cpp", "void Attention::backward_head(")
    adds = own("slopes_where_others_add[False]")
    at("attention dq, accumulate", "adds(0)", "false", adds)
    at("attention dk, accumulate", "again || adds(1)", "again", adds)
    at("attention dv, accumulate", "again || adds(2)", "again", adds)
    blocks = own("sequences_of_several_blocks[70-4-1-True]")
    at("attention dk, blocks", "again || adds(1)", "adds(1)", blocks)
    at("attention dv, blocks", "again || adds(2)", "adds(2)", blocks)


def batch_norm_and_dropout(edits: list[Edit]) -> None:
    def own(name: str) -> Test:
        return pytest_of("test_batch_norm_and_dropout.py", name)

    training, slope = own("test_batch_norm_in_training"), own("test_batch_norm_slope")
    at = Place(edits, "ops/batch_norm.cpp", "class BatchNorm :", "void run_backward(")
    at(
        "batch norm dx, accumulate",
        "r.accumulate[0] != 0",
        "false",
        own("test_batch_norm_beside_a_short_cut"),
    )
    at = Place(edits, "ops/batch_norm.cpp", "static void coefficients(")
    at("batch norm, b", "-factor * deviation * deviation * (product / rows)", "T(0)", training, slope)
    at("batch norm, c", "-factor * (sum / rows)", "T(0)", training, slope)
    at("batch norm dw", "add(3, product * deviation)", "add(3, product)", training)
    at("batch norm db", "add(4, sum)", "add(4, product)", training)
    at = Place(edits, "ops/batch_norm.cpp", "void join(")
    at("batch norm, parts", "static_cast<T>(count) * (apart * apart)", "T(0)", training)
    at("batch norm, unbiased", "squares / (rows - T(1))", "squares / rows", training)
    at = Place(edits, "ops/batch_norm.cpp", "void run_commit(")
    at("batch norm, momentum", "rest * var + some * saved[2 * n + j]", "var", training)
    at = Place(edits, "ops/dropout.cpp", "void apply(")
    at(
        "dropout, scale",
        "static_cast<T>(1 / (1 - rate_))",
        "T(1)",
        own("test_dropout_keeps_the_expected_share"),
    )
    old = "kernels<T>().dropout(words, threshold, scale, i, x + i, y + i, end - i, accumulate);"
    at(
        "dropout, place",
        old,
        old.replace("scale, i", "scale, 0"),
        own("test_same_bits_for_any_number_of_threads[float32]"),
    )
    at = Place(edits, "plan/workspace.cpp", "void Workspace<T>::draw(")
    at(
        "dropout, node",
        "key.stream << 18 | node",
        "key.stream << 18",
        own("test_dropout_by_seed_iteration_and_node"),
    )
    at = Place(edits, "train/trainer.cpp", "double Trainer<T>::forward(")
    at("dropout, pass", "if (s.gathered) ++s.pass;", ";", own("test_gathered_batches_drop_different_numbers"))


def loss_operations(edits: list[Edit]) -> None:
    def in_class(name: str, *function: str) -> Place:
        return Place(edits, "ops/losses.cpp", f"class {name} :", *function)

    in_class("Loss")("losses, accumulate", "r.accumulate[0] != 0", "false", ops("losses"))
    at = in_class("CrossEntropy", "void run_backward(")
    old = "counted > 0 ? dy / static_cast<T>(counted) : T(0)"
    at("cross_entropy, positions", old, "dy / static_cast<T>(positions)", ops("losses"))
    at("cross_entropy, positions", old, "counted > 0 ? dy : T(0)", ops("losses"))
    at("cross_entropy, positions", "count(r, i, positions)", "count(r, 0, positions)", ops("losses"))
    at("cross_entropy, positions", "r.dy[static_cast<std::size_t>(i)]", "r.dy[0]", ops("losses"))
    at = in_class("CrossEntropy", "void derivatives(")
    at("cross_entropy, accumulate", "r.accumulate[0] != 0", "false", ops("losses"))

    ignoring = gradients("test_options_of_losses[ignore_index]")
    at = in_class("LabelWeight")
    old = "static_cast<T>(counted) / static_cast<T>(positions)"
    at("label_weight", old, "T(1)", ignoring)
    at("label_weight", old, "static_cast<T>(positions - counted) / static_cast<T>(positions)", ignoring)
    at = in_class("WeightedMean", "void run_backward(")
    old = "total == T(0) ? T(0) : factor / total * dy"
    new = "total == T(0) ? T(0) : factor / static_cast<T>(std::ssize(r.x[0])) * dy"
    at("weighted_mean", old, new, weighted("mean_squared_error"))
    at("weighted_mean", old, "total == T(0) ? T(0) : factor * dy", loss("mean_squared_error"))
    new = "total == T(0) ? T(0) : factor / total"
    at("weighted_mean", old, new, gradients("test_several_inputs_and_outputs"))
    at("weighted_mean of nothing", old, "factor / total * dy", ops("losses"))
    at("weighted_mean, weights", "factor *= r.x[w].data()[i];", ";", weighted("mean_squared_error"))
    at("weighted_mean, d weight", "r.x[0].data()[i] - y", "r.x[0].data()[i]", ops("losses"))
    at("weighted_mean, d weight", "w != operand", "w != operand && operand == 0", ops("losses"))
    at("weighted_mean, accumulate", "accumulate ? dx[i] : T(0)", "T(0)", ops("losses"))

    at = Place(edits, "train/loss.cpp", "LossGraph extend_with_loss(")
    several = gradients("test_several_inputs_and_outputs")
    at("loss_weights", "options.loss_weights[i]", "options.loss_weights[0]", several)
    at("label_weight, used", "operands.push_back(label_weights.back());", ";", ignoring)


def linear(edits: list[Edit]) -> None:
    def in_function(name: str) -> Place:
        return Place(edits, "ops/linear.cpp", f"static void {name}(")

    hidden = activation("tanh")
    at = in_function("gradients")
    at("linear dx", "matrix(weight, s.in)", "matrix(weight + s.in, s.in)", hidden)
    at("linear dx, accumulate", "r.accumulate[0] != 0", "false", graph("residual"))
    at("linear dW, accumulate", "r.accumulate[1] != 0", "false", graph("shared"))
    at("linear db, accumulate", "db != nullptr && r.accumulate[2] != 0", "false", graph("shared"))
    at("linear in parts, rows", "s.rows * part / parts", "s.rows * part / parts + 1", ops("linear"))
    at("linear in parts, dW", "dW_parts + part * weights", "dW_parts", ops("linear"))
    at("linear in parts, db", "db_parts + part * s.out", "db_parts", ops("linear"))
    at = in_function("weight_gradients")
    old = """product(s.out, s.in, last - first, transposed(delta, s.out), matrix(x, s.in), dW, add_dW)"""
    at("linear dW, rows", old, old.replace("last - first", "last - first - 1"), hidden)
    at("linear dW, x", old, old.replace("matrix(x,", "matrix(x + 1,"), hidden)
    old = "kernels<T>().sum_columns(delta + j, s.out, last - first, end - j, db + j, add_db);"
    at("linear db, rows", old, old.replace("last - first", "last - first - 1"), hidden)
    at("linear db, columns", old, old.replace("delta + j", "delta"), ops("linear"))
    at("linear in parts, x", "x += first * s.in;", ";", ops("linear"))
    at("linear in parts, delta", "delta += first * s.out;", ";", ops("linear"))
    at = in_function("fold")
    old = "kernels<T>().sum_columns(partial + j, n, parts, end - j, sum + j, accumulate);"
    at("linear in parts, fold", old, old.replace("parts,", "parts - 1,"), ops("linear"))
    at(
        "linear in parts, fold",
        old,
        old.replace("partial + j", "partial"),
        ops("linear"),
        corner("a_layer_in_parts"),
    )
    at("linear in parts, accumulate", old, old.replace("accumulate", "false"), ops("linear"))

    at = Place(edits, "ops/activated.hpp", "class Activated :", "void run_backward(")
    old = """activation_.template of<T>().backward(data(r.saved, i), r.y.data() + i, r.dy.data() + i,
                                                  r.dy.data() + i, end - i, false);"""
    at("linear with its activation", old, ";", hidden)
    at("linear with its activation, y", old, old.replace("r.y.data() + i", "r.y.data()"), ops("fused"))
    at("linear with its activation, z", old, old.replace("data(r.saved, i)", "data(r.saved)"), ops("fused"))

    at = Place(edits, "kernels/gemm.hpp", "Product<T> rectangle(")
    at("products, accumulate", "m.accumulate ? m.c + corner : nullptr", "nullptr", ops("linear"))

    at = Place(edits, "kernels/tiny.hpp", "void multiply_tiny(")
    at("small products, accumulate", "m.c[i * m.c_row + j] + sum", "sum", PRODUCTS)
    at = Place(edits, "kernels/tiny.hpp", "void tiny_linear_backward(")
    at("tiny linear dx", "a.weight + q", "a.weight", PRODUCTS)
    at("tiny linear dx, accumulate", "to.add_dx ? *dx + sum : sum", "sum", PRODUCTS)
    at("tiny linear dW", "a.x + q", "a.x", PRODUCTS)
    at("tiny linear dW, accumulate", "to.add_dW ? *dW + sum : sum", "sum", PRODUCTS)
    at("tiny linear db", "sum += delta[i * a.out + j];", "sum += delta[j];", PRODUCTS)
    at("tiny linear db, accumulate", "to.add_db ? to.db[j] : T(0)", "T(0)", PRODUCTS)

    zeros = pytest_of("test_zeros.py", "test_gradients")
    at = Place(edits, "ops/zeros.hpp", "void multiply_sparse_b(")
    at("zeros passed over, columns", "transposed(p.b + j, p.b_row)", "transposed(p.b, p.b_row)", zeros)
    at(
        "zeros passed over, accumulate",
        "if (p.accumulate) k.transpose(p.c + j, p.c_row, p.m, some, part, p.m);",
        ";",
        zeros,
    )
    at = Place(edits, "kernels/sparse.hpp", "void multiply_lists(")
    at("zeros passed over, sum", "a[column[e] * a_col]", "a[e * a_col]", zeros)


def convolutions(edits: list[Edit]) -> None:
    def slope(variant: str) -> Test:
        return contract(f"test_row_slope[rg.{variant}]")

    large = pytest_of("test_torch_convolution.py", "test_large_images_and_batches")
    one_channel = slope("Conv2D:one_channel_padded")
    twice = pytest_of("test_convolution.py", "test_a_layer_called_twice_with_one_node")
    at = Place(edits, "ops/conv.cpp", "void gradients(const Run<T>& r")
    at("convolution dx, accumulate", "r.accumulate[0] != 0", "false", twice)
    at("convolution dW, accumulate", "r.accumulate[1] != 0", "false", twice)
    at("convolution db, accumulate", "r.accumulate[2] != 0", "false", twice)
    at = Place(edits, "ops/convolution.cpp", "class Spreading {", "void add(const Piece& rows")
    at("convolution dx, rows", "y - ky * s_.h.dilation", "y - ky", large)
    at = Place(edits, "ops/convolution.cpp", "class Spreading {", "void add_runs(")
    at("convolution dx, runs", "to + run * runs_.step", "to + run", slope("Conv2D:dilation"))
    at("convolution dx, groups", "dy + group * group_filters_", "dy", slope("Conv2D:groups"))
    at = Place(edits, "ops/convolution.cpp", "void gradient_band(")
    at("convolution dW, stride", "s.h.stride * s.row()", "s.row()", slope("Conv2D:stride"))
    at("convolution dW, pieces", "add ? p.c : nullptr", "nullptr", large)
    at = Place(edits, "ops/convolution.cpp", "ConvSizes gathered(ConvSizes s) {")
    at("depthwise dx", "s.backwards = !s.backwards;", ";", slope("Conv2D:depthwise"))
    at = Place(edits, "ops/conv_planar.hpp", "void add_gradients(")
    at("convolution in planes, dW", "ky * s.h.dilation * layout.width", "ky * layout.width", one_channel)
    at = Place(edits, "ops/conv_transpose.cpp", "void run_backward(")
    at("conv_transpose dx, accumulate", "r.accumulate[0] != 0", "false", twice)
    at("conv_transpose db", "s.batch * s.h.in", "s.batch", slope("ConvTranspose2D"))


def sums(edits: list[Edit]) -> None:
    """Sums over axes: of an operation, and of the gradients of what is repeated."""

    def in_function(name: str) -> Place:
        return Place(edits, "ops/axis_sum.hpp", name)

    at = in_function("void run(const T* x, T* y, bool accumulate, T* shared")
    at(
        "sums, one term",
        "copy(x + i, y + i, end - i, accumulate);",
        "copy(x + i, y + i, end - i, false);",
        ops("shapes"),
        corner("expanded_to_its_own_shape"),
    )
    at(
        "sums in parts, rows",
        "outermost * (part + 1) / count",
        "outermost * (part + 1) / count - 1",
        ops("reductions"),
    )
    at("sums in parts, part", "shared + part * outputs_", "shared", ops("reductions"))
    old = "kernels<T>().sum_columns(shared + i, outputs_, count, end - i, y + i, accumulate);"
    at("sums in parts, fold", old, old.replace("count", "count - 1"), ops("reductions"))
    at("sums in parts, accumulate", old, old.replace("accumulate", "false"), ops("arithmetic"))
    at = in_function("void add_up(")
    at("sums, block", "x += block % size_[g] * stride;", ";", ops("reductions"))
    at("sums, panel", "x += column;", ";", ops("reductions"))
    at("sums of rows, accumulate", "accumulate ? *y : T(0)", "T(0)", ops("reductions"))
    old = "k.sum_columns(from, width, rows, n, y, accumulate);"
    at("sums of columns, accumulate", old, old.replace("accumulate", "false"), ops("reductions"))
    at("sums of columns, rows", old, old.replace("rows", "rows - 1"), operation("variable"))
    at = in_function("AxisSum sum_of_repeats(")
    at(
        "sums of repeats",
        "strides.step(operand, axis) == 0",
        "strides.step(0, axis) == 0",
        operation("variable"),
        ops("arithmetic"),
    )

    at = Place(edits, "ops/strides.hpp", "void repeat(")
    at("repeats, factor", "factor * x[at[0]]", "x[at[0]]", operation("mean"))
    at("repeats, accumulate", "out += value;", "out = value;", ops("reductions"))
    old = "return kernels<T>().scale(x + at[0], factor, y + i, n, accumulate);"
    at("repeats of rows, factor", old, old.replace("factor", "T(1)"), ops("reductions"))
    at("repeats of rows", old, old.replace("x + at[0]", "x"), ops("reductions"))
    at = Place(edits, "ops/strides.hpp", "void copy_to(")
    at("columns written, accumulate", "y[i * step] += x[i];", "y[i * step] = x[i];", ops("shapes"))
    at = Place(edits, "ops/work.hpp", "void copy(const T* x, T* y")
    at("copies, accumulate", "accumulate", "false", ops("shapes"))


def reductions(edits: list[Edit]) -> None:
    def in_class(name: str, *function: str) -> Place:
        return Place(edits, "ops/reductions.cpp", name, *function)

    at = in_class("class Sum :", "void run_backward(")
    old = "mean_ ? T(1) / static_cast<T>(sum.terms()) : T(1)"
    at("mean", old, "T(1)", operation("mean"))
    at("mean", old, "mean_ ? T(1) / static_cast<T>(sum.outputs()) : T(1)", operation("mean"))
    at("sum", old, "T(1) / static_cast<T>(sum.terms())", operation("sum"))
    at("sum", "reduced ? 0 : step", "0", operation("sum"))
    at("sum over inner axes", "if (!reduced) step *= n;", ";", row("ops.sum"))
    at("sum, accumulate", "r.accumulate[0] != 0", "false", ops("reductions"))
    at = in_class("class RowReduction :", "void run_backward(")
    at("max and logsumexp, row", "r.dy[at]", "r.dy[0]", operation("max"))
    at("max, y", "r.y[at]", "r.y[0]", operation("max"))
    at("max and logsumexp, accumulate", "r.accumulate[0] != 0", "false", ops("reductions"))
    at = in_class("struct Groups {", "void put(")
    at("max and logsumexp, place", "x += kept.offsets(i)[0];", ";", operation("max"))
    at = in_class("struct Max {", "static void derivative(")
    at("max", "x[i] == y ? share : T(0)", "share", operation("max"))
    at("max of equals", "dy / static_cast<T>(std::count(x, x + n, y))", "dy", ops("reductions"))
    at = in_class("struct LogSumExp {", "static void derivative(")
    at("logsumexp", "kernels<T>().softmax", "kernels<T>().log_softmax", operation("logsumexp"))
    at("logsumexp", "dx[i] *= dy;", ";", operation("logsumexp"))
    at("logsumexp of nothing", "y == -std::numeric_limits<T>::infinity()", "false", ops("reductions"))


def shapes(edits: list[Edit]) -> None:
    def in_class(name: str) -> Place:
        return Place(edits, "ops/shapes.cpp", f"class {name} :", "void run_backward(")

    at = in_class("Reshape")
    old = "copy<T>(r.dy.data() + i, r.dx[0].data() + i, end - i, r.accumulate[0] != 0);"
    at("reshape", old, old.replace("r.dy.data() + i", "r.dy.data()"), ops("shapes"))
    at("reshape, accumulate", old, old.replace("r.accumulate[0] != 0", "false"), ops("shapes"))
    at = Place(edits, "ops/shapes.cpp", "void write_view(")
    old = "copy_to<T>(r.dy.data() + i, dx + at[0], view.step(0), n, accumulate);"
    at("transpose and slice", old, old.replace("dx + at[0]", "dx + i"), row("ops.transpose"), ops("shapes"))
    at("transpose and slice, accumulate", old, old.replace("accumulate", "false"), ops("shapes"))
    at = in_class("Transpose")
    at("transpose, accumulate", "r.accumulate[0] != 0", "false", ops("shapes"))
    at = in_class("Concatenate")
    old = "copy<T>(r.dy.data() + row * width + from, dx + own * n, n, accumulate);"
    at("concatenate", old, old.replace(" + from", ""), operation("concatenate"))
    at("concatenate", old, old.replace("row * width", "row * n"), operation("concatenate"))
    at("concatenate, accumulate", "r.accumulate[i] != 0", "false", ops("shapes"))
    at("concatenate, repeated", "row += own_rows, accumulate = true", "row += own_rows", ops("shapes"))
    at = in_class("Slice")
    at("slice, the rest is 0", "clear(r.dx[0], member);", ";", row("ops.slice"), ops("shapes"))
    old = "write_view(r, view, start, accumulate, member);"
    at("slice, start", old, old.replace("start", "0"), ops("shapes"))
    at("slice, accumulate", "r.accumulate[0] != 0", "false", ops("shapes"))
    at = in_class("Expand")
    at("expand, accumulate", "r.accumulate[0] != 0", "false", ops("shapes"))


def other_operations(edits: list[Edit]) -> None:
    at = Place(edits, "ops/lookup.cpp", "class Gather :", "void run_backward(")
    at("gather", "!adds", "false", row("ops.gather"))
    at("gather, accumulate", "!adds", "true", ops("shapes"))
    at("gather, row", "r.dy.data() + place.position * n", "r.dy.data()", row("ops.gather"))
    only = table("test_only_the_rows_of_the_batch_have_a_gradient")
    at = Place(edits, "ops/lookup.cpp", "class Gather :", "static void forget(")
    at("touched rows, cleared", "list[static_cast<std::size_t>(i)] * n", "0", only)
    same = table("test_same_bits_as_a_visit_to_every_row[called_twice-SGD-float32]")
    at = Place(edits, "ops/lookup.cpp", "void note(")
    at("touched rows, of several uses", "!adds", "true", same)
    at = Place(edits, "train/updater.cpp", "void Updater<T>::choose_tiles()")
    at("touched rows, visited", "rows.subspan(i, end - i)", "rows.subspan(i, 1)", same)

    at = Place(edits, "ops/elementwise.cpp", "class Clip :", "void run_backward(")
    old = "x[i] < low || x[i] > high ? T(0) : dy[i]"
    at("clip", old, "dy[i]", row("ops.clip"))
    at("clip", old, "x[i] < low ? T(0) : dy[i]", row("ops.clip"))
    at(
        "clip at the bounds",
        old,
        "x[i] <= low || x[i] >= high ? T(0) : dy[i]",
        ops("elementwise"),
        corner("clip_at_the_bounds"),
    )
    at("clip, accumulate", "accumulate ? dx[i] : T(0)", "T(0)", ops("elementwise"))
    at = Place(edits, "ops/elementwise.cpp", "class Copy :")
    at(
        "stop_gradient",
        "return !stops_;",
        "return true;",
        contract("test_row_without_a_derivative[ops.stop_gradient]"),
    )
    at("identity, accumulate", "r.accumulate[0] != 0", "false", ops("elementwise"))
    at = Place(edits, "ops/elementwise.hpp", "class Unary :", "void run_backward(")
    at(
        "one number, x",
        "f.needs_x ? r.x[0].data() + i : nullptr",
        "f.needs_x ? r.x[0].data() : nullptr",
        ops("elementwise"),
    )
    at(
        "one number, y",
        "f.needs_y ? r.y.data() + i : nullptr",
        "f.needs_y ? r.y.data() : nullptr",
        ops("elementwise"),
    )
    accumulate = gradients("test_custom_activation_and_custom_loss")
    at("one number, accumulate", "r.accumulate[0] != 0", "false", accumulate)

    at = Place(edits, "ops/arithmetic.cpp", "void operand_gradient(")
    at("two numbers, accumulate", "r.accumulate[i] != 0", "false", graph("gated"))
    old = "sum_of_repeats(strides, operand).run(each, r.dx[i].data(), accumulate, partial, member);"
    at("two numbers, repeated", old, old.replace("accumulate", "false"), ops("arithmetic"))
    at(
        "two numbers, repeated",
        "derive(begin, end, each, false);",
        "derive(begin, end, each, accumulate);",
        ops("arithmetic"),
    )
    at = Place(edits, "ops/arithmetic.cpp", "class Binary :", "void run_backward(")
    old = """f.backward(operand, a + at[0], a_step, b + at[1], b_step, y + i, r.dy.data() + i, g + i,
                               n, accumulate);"""
    at("two numbers, a", old, old.replace("a + at[0]", "a"), ops("arithmetic"), ELEMENTWISE)
    at("two numbers, b", old, old.replace("b + at[1]", "b"), ops("arithmetic"))
    at("two numbers, y", old, old.replace("y + i", "y", 1), ops("arithmetic"))
    at("two numbers, dy", old, old.replace("r.dy.data() + i", "r.dy.data()"), ops("arithmetic"))
    at = Place(edits, "ops/arithmetic.cpp", "class Where :", "void run_backward(")
    old = "(condition[j * strides.step(0)] != T(0)) == (operand == 1)"
    at("where", old, old.replace(" == (", " != ("), row("ops.where"))
    at("where", old, "true", row("ops.where"))
    at("where, accumulate", "accumulate ? out[j] : T(0)", "T(0)", ops("arithmetic"))

    at = Place(edits, "ops/softmax.cpp", "class Softmax :", "void run_backward(")
    at("softmax, accumulate", "r.accumulate[0] != 0", "false", ops("softmax"))

    at = Place(edits, "ops/matmul.cpp", "class MatMul :", "void run_backward(")
    at("matmul da", "p.offset(1, i, j)", "p.offset(1, 0, j)", ops("matmul"))
    at("matmul db", "p.offset(0, i, j)", "p.offset(0, 0, j)", ops("matmul"))
    at("matmul dy", "(i * p.lead + j) * p.m * p.n", "j * p.m * p.n", ops("matmul"))
    old = "product(p.m, p.k, p.n, matrix(dy(i, j), p.n), transposed(b, p.n), da, accumulate)"
    at("matmul da", old, old.replace("transposed(b, p.n)", "matrix(b, p.k)"), row("ops.matmul"))
    old = "product(p.k, p.n, p.m, transposed(a, p.k), matrix(dy(i, j), p.n), db, accumulate)"
    at("matmul db", old, old.replace("p.k, p.n, p.m,", "p.k, p.n, p.m - 1,"), row("ops.matmul"))
    at = Place(edits, "ops/matmul.cpp", "class MatMul :", "static void gradient(")
    at("matmul, accumulate", "r.accumulate[operand] != 0", "false", ops("matmul"))
    at("matmul of one with many", "accumulate = true;", ";", ops("matmul"))
    at("matmul of some with many", "!p.meets(operand, j, l)", "false", ops("matmul"))
    at("matmul of one with many", "s < p.samples", "s < samples", ops("matmul"))


def plans(edits: list[Edit]) -> None:
    """Who writes a gradient first, who adds, and how long it lives."""
    at = Place(edits, "plan/plan.cpp", "std::vector<bool> reaching(")
    old = "if (node.op->differentiable(i)) reaches[at(node.inputs[i])] = true;"
    stopped = contract("test_row_without_a_derivative[ops.stop_gradient]")
    at("plan, no derivative", old, "reaches[at(node.inputs[i])] = true;", stopped)
    at = Place(edits, "plan/plan.cpp", "void Plan::make_steps(")
    old = "step->accumulate[i] = written[at(step->inputs[i])];"
    at("plan, accumulate", old, "step->accumulate[i] = 0;", graph("residual"))
    at("plan, accumulate", old, "step->accumulate[i] = 1;", graph("residual"))
    bits = plan("test_plan_passes_leave_every_bit[True-False-float64]")
    at = Place(edits, "plan/plan.cpp", "void Plan::place_buffers(")
    at("plan, inputs kept", "step.backward && needs.inputs", "false", bits, graph("gated"))
    at("plan, outputs kept", "step.backward && needs.output", "false", bits, graph("gated"))
    old = "if (step.backward) extend(delta_slots_[at(step.node)], backward_time(s));"
    at("plan, gradients kept", old, ";", bits, graph("residual"))
    at = Place(edits, "plan/plan.cpp", "Plan::Layout Plan::layout(")
    at("plan, what is saved kept", "step.backward ? backward : s", "s", bits, graph("residual"))
    name = "test_running_statistics_are_safe_from_the_backward_of_wider_layers"
    safe = pytest_of("test_batch_norm_and_dropout.py", name)
    at("plan, what states change by kept", "!step.states.empty()", "false", safe)

    at = Place(edits, "plan/workspace.cpp", "Workspace<T>::Workspace(")
    accumulating = training("test_accumulating_gradients")
    at("parameters, accumulate", "record.accumulate_parameters[i] = 1;", ";", accumulating)
    old = "record.accumulate[at(i)] = record.accumulate_parameters[at(i)] = 0;"
    at(
        "an operand twice, accumulate",
        old,
        "record.accumulate[at(i)] = 0;",
        accumulating,
        corner("a_weight_twice_accumulated"),
    )
    at = Place(edits, "plan/workspace.cpp", "void Workspace<T>::bind_step(")
    old = "offset += (count + 15) / 16 * 16;"
    at("an operand three times", old, ";", graph("same_input_twice"), corner("an_operand_three_times"))
    at = Place(edits, "plan/workspace.cpp", "void Workspace<T>::set_mode(")
    old = "accumulate_ ? record.accumulate_parameters : record.accumulate"
    at("accumulate", old, "record.accumulate", accumulating)
    at("accumulate", old, "record.accumulate_parameters", accumulating)
    at = Place(edits, "plan/workspace.cpp", "void Workspace<T>::forward(")
    at("dL/dL", "T(1)", "T(2)", loss("half_squared_error"))
    at = Place(edits, "plan/workspace.cpp", "void Workspace<T>::add_repeated(")
    old = "kernels<T>().add(apart.data() + begin, record.repeated[k].data() + begin, end - begin);"
    at("an operand twice", old, ";", graph("same_input_twice"))


def steps(edits: list[Edit]) -> None:
    """What comes after backward: penalties and clipping."""
    penalty = training("test_penalty_enters_the_gradient_of_weights_only")
    at = Place(edits, "train/updater.cpp", "bool is_penalised(")
    at("penalty of biases", 'data.role.find("weight") != std::string::npos', "true", penalty)
    at = Place(edits, "train/updater.cpp", "void Updater<T>::sweep(")
    old = "k.penalty_gradient(w + tile.offset, g + tile.offset, tile.count, l1, l2);"
    at("penalty", old, ";", penalty)
    at("penalty, place", old, old.replace("w + tile.offset", "w"), penalty)
    at("penalty, l1 and l2", old, old.replace("l1, l2", "l2, l1"), penalty)
    clipping = training("test_clipping")
    at("norm of the gradient", "tile.square += k.sum_of_squares(g + offset, count);", ";", clipping)
    at = Place(edits, "train/updater.cpp", "bool Updater<T>::apply(")
    old = "std::min(1.0, options_.clip_norm / (sums.norm + 1e-6))"
    at("clip_norm", old, "options_.clip_norm / (sums.norm + 1e-6)", clipping)
    at("clip_norm", old, "std::min(1.0, options_.clip_norm)", clipping)
    at = Place(edits, "kernels/updates.hpp", "void update_next(")
    old = "select(gradient > step.high, step.high, select(gradient < step.low, step.low, gradient))"
    at("clip_value", old, "select(gradient > step.high, step.high, gradient)", clipping)
    at("clip_value", old, "gradient", clipping)
    at("gradient scaled", "load_next(g + i, some) * step.factor", "load_next(g + i, some)", clipping)
    at = Place(edits, "train/trainer.cpp", "void Trainer<T>::backward(")
    at(
        "penalty in backward",
        "s.updater.penalise_and_measure(member);",
        "s.updater.measure(member);",
        penalty,
    )
    at(
        "accumulate in backward",
        "workspace.prepare(true, accumulate);",
        "workspace.prepare(true, false);",
        training("test_accumulating_gradients"),
    )
    at = Place(edits, "train/epoch.cpp", "Outcome step(const Member& member")
    same = training("test_three_calls_equal_one_step[float64-settings1]")
    at("penalty in a step", "s_.updater.penalise_and_measure(member);", "s_.updater.measure(member);", same)


def recurrent(edits: list[Edit]) -> None:
    def layer(name: str) -> Test:
        return row(f"rg.{name}")

    def own(name: str) -> Test:
        return pytest_of("test_recurrent.py", name)

    at = Place(edits, "functions/cells.hpp", "struct TanhRnn {", "static RG_MEMBER V backward(")
    at("simple_rnn", "constant<V>(1) - slot[0] * slot[0]", "constant<V>(1) - slot[0]", layer("SimpleRNN"))
    at = Place(edits, "functions/cells.hpp", "struct ReluRnn {", "static RG_MEMBER V backward(")
    at("simple_rnn, relu", "select(slot[0] <= V{}, V{}, dh)", "dh", layer("SimpleRNN:relu"))
    at = Place(edits, "functions/cells.hpp", "struct Lstm {", "static RG_MEMBER V backward(")
    at("lstm, c", "fma(dh * o, one - t * t, dc)", "fma(dh * o, one - t, dc)", layer("LSTM"))
    at("lstm, c of the next step", "fma(dh * o, one - t * t, dc)", "dh * o * (one - t * t)", layer("LSTM"))
    at("lstm, i", "dc * g * (i * (one - i))", "dc * (i * (one - i))", layer("LSTM"))
    at("lstm, f", "dc * before.c * (f * (one - f))", "dc * c * (f * (one - f))", layer("LSTM"))
    at("lstm, g", "dc * i * (one - g * g)", "dc * i * (one - g)", layer("LSTM"))
    at("lstm, o", "dh * t * (o * (one - o))", "dh * t * o", layer("LSTM"))
    at("lstm, back through c", "dc = dc * f;", ";", layer("LSTM"))
    at = Place(edits, "functions/cells.hpp", "struct Gru {", "static RG_MEMBER V backward(")
    at("gru, n", "dh * (one - u) * (one - n * n)", "dh * (one - n * n)", layer("GRU"))
    at("gru, r", "dn * p * (r * (one - r))", "dn * (r * (one - r))", layer("GRU"))
    at("gru, u", "dh * (before.h - n) * (u * (one - u))", "dh * before.h * (u * (one - u))", layer("GRU"))
    at("gru, what does not pass r", "dz[2] = dn;", "dz[2] = dn * r;", layer("GRU"))
    at("gru, n of the state", "slot[2] = dn * r;", "slot[2] = dn;", layer("GRU"))
    at("gru, past the gates", "return dh * u;", "return V{};", layer("GRU"))

    at = Place(edits, "kernels/recurrent.hpp", "void cell_backward(")
    throughout = own("test_what_is_masked_does_not_matter[LSTM]")
    at("recurrent, masked", "is_masked(s.mask, i * s.mask_row)", "false", layer("LSTM:mask"), throughout)
    old = "load_next(s.dy + i * s.dy_row + j, left) + dh"
    at("recurrent, dy", old, "load_next(s.dy + i * s.dy_row + j, left)", layer("LSTM:sequences"))
    old = "if (s.add_dz) dz[k] = load_next<T>(to + k * n, left) + dz[k];"
    at("recurrent, accumulate", old, ";", own("test_z_may_have_other_readers[GRU]"))

    at = Place(edits, "ops/recurrent.cpp", "void run_backward(")
    old = "std::copy_n(r.dy.data() + from, n, places.dh + from);"
    at("recurrent, the last state", old, "std::fill_n(places.dh + from, n, T(0));", layer("GRU"))
    at = Place(edits, "ops/recurrent.cpp", "void step_backward(")
    at("recurrent, time", "time_of(s, step)", "step", layer("GRU:reverse"))
    old = "places.h + places.state_of(step - 1, row)"
    at("recurrent, h before", old, "places.h + places.state_of(step, row)", layer("GRU"))
    at = Place(edits, "ops/recurrent.cpp", "static void weight_gradients(")
    at("recurrent, dW_hh", "places.slots + s.batch * delta_row", "places.slots", layer("LSTM"))
    twice = own("test_a_layer_called_twice_adds_its_gradients[LSTM]")
    at("recurrent, dW_hh, accumulate", "r.accumulate[1] != 0", "false", twice)
    at("recurrent, db_hh", "s.steps * s.batch", "s.batch", layer("LSTM"))
    at("recurrent, db_hh, accumulate", "r.accumulate[2] != 0", "false", twice)


def updates(edits: list[Edit]) -> None:
    """The rules of the optimizers without a group of their own above."""

    def of(name: str, *options: str) -> Test:
        return contract(f"test_optimizer_steps[{'-'.join([name, *options])}-float64]")

    def in_struct(struct: str) -> Place:
        return Place(edits, "functions/updates.hpp", f"struct {struct} : StartAtZero {{")

    at = in_struct("Adadelta")
    at(
        "adadelta",
        "sqrt(slot[1] + c[4]) / sqrt(slot[0] + c[4]) * g",
        "g / sqrt(slot[0] + c[4])",
        of("Adadelta"),
    )
    at("adadelta", "fma(c[3] * d, d, c[2] * slot[1])", "fma(c[3] * g, g, c[2] * slot[1])", of("Adadelta"))
    at = in_struct("Nadam")
    decay = of("NAdam", "weight_decay", "momentum_decay")
    at("nadam", "whole_power(base, t + 1)", "whole_power(base, t)", decay)
    at("nadam", "i < t && product > 1e-20", "i < 1", of("NAdam"))
    at("nadam", "-lr * (1 - now) / (1 - product)", "-lr / (1 - product)", of("NAdam"))
    at("nadam", 'log_of_096 * h.get("momentum_decay")', "log_of_096", of("NAdam"))
    at = in_struct("Radam")
    at("radam", "n > 5", "n > 4", of("RAdam"))
    at("radam", 'trusted ? h.get("eps") : 1', "1", of("RAdam"))
    at("radam", "(n - 4) * (n - 2) * r", "(n - 4) * (n - 2)", of("RAdam"))
    at = in_struct("Adamax")
    old = "max(c[2] * slot[1], abs(g) + c[3])"
    at("adamax", old, "max(c[2] * slot[1], abs(g))", of("Adamax", "weight_decay", "betas", "eps"))
    at("adamax", old, "c[2] * slot[1] + abs(g) + c[3]", of("Adamax"))
    at = in_struct("Lion")
    at("lion", "sign(lerp(slot[0], g, c[2]))", "sign(g)", of("Lion"))
    at("lion", "slot[0] = lerp(slot[0], g, c[3]);", "slot[0] = lerp(slot[0], g, c[2]);", of("Lion"))
    at("lion", '1 - lr * h.get("weight_decay")', "1", of("Lion", "weight_decay", "betas"))
    at = in_struct("Rprop")
    at("rprop", "select(kept < V{}, V{}, g)", "g", of("Rprop"))
    at("rprop", "select(slot[1] == V{}, c[0], slot[1])", "slot[1]", of("Rprop"))
    at(
        "rprop",
        "min(max(step * factor, c[3]), c[4])",
        "max(step * factor, c[3])",
        of("Rprop", "etas", "step_sizes"),
    )


def schedules(edits: list[Edit]) -> None:
    def of(name: str) -> Test:
        return contract(f"test_schedule_rates[{name}-iteration]")

    at = Place(edits, "train/schedule.cpp", "double Rate::varying(")
    at("warmup_cosine", "lr_ * (time + 1) / (peak_ + 1)", "lr_ * time / peak_", of("WarmupCosine"))
    at("one_cycle", "half_cosine(start_, lr_, time, peak_)", "lr_", of("OneCycle"))
    at = Place(edits, "train/schedule.cpp", "double Rate::piece(")
    at("piecewise", "t >= one.from", "t > one.from", of("Piecewise"))
    plateau = pytest_of("test_schedules.py", "test_fit_shows_every_epoch_to_the_plateau")
    at = Place(edits, "train/plateau.cpp", "double Plateau::observe(")
    at("plateau", "bad_ <= patience_", "bad_ < patience_", plateau)
    at("plateau", "best_ = value;", ";", plateau)
    at = Place(edits, "train/plateau.cpp", "bool Plateau::improves(")
    at("plateau", "best_ * (1 + direction * threshold_)", "best_", plateau)


def all_edits() -> list[Edit]:
    edits: list[Edit] = []
    for group in (
        activations,
        functions_of_one,
        functions_of_two,
        losses,
        elementwise_kernels,
        rows_of_classes,
        normalised_rows,
        attention,
        batch_norm_and_dropout,
        loss_operations,
        linear,
        convolutions,
        sums,
        reductions,
        shapes,
        other_operations,
        recurrent,
        plans,
        steps,
        updates,
        schedules,
    ):
        group(edits)
    return edits


# ------------------------------------------------------------------------------------------- the program


def region(text: str, edit: Edit) -> tuple[int, int]:
    """Where the braces begin and end that the edit is in."""
    start, end = 0, len(text)
    for anchor in edit.inside:
        start = text.index("{", only(text, anchor, start, end, edit)[0])
        depth = 0
        for position in range(start, end):
            depth += {"{": 1, "}": -1}.get(text[position], 0)
            if depth == 0:
                end = position
                break
        else:
            raise SystemExit(f"{edit.file}: no end of {anchor!r}")
    return start, end


def only(text: str, part: str, start: int, end: int, edit: Edit) -> tuple[int, int]:
    """The one place of a part, however its lines are broken."""
    spaced = r"\s+".join(re.escape(word) for word in part.split())
    found = [match.span() for match in re.compile(spaced).finditer(text, start, end)]
    if len(found) != 1:
        where = " in ".join([edit.file, *edit.inside][::-1])
        raise SystemExit(
            f"mutations.py: {edit.member}: {part!r} occurs {len(found)} times in {where}, expected once.\n"
            "The source has changed: change the edit with it."
        )
    return found[0]


def plant(edits: list[Edit], sources: Path) -> None:
    """Writes every edit into its file, behind its switch; number 1 is the first."""
    for file in sorted({edit.file for edit in edits}):
        path = sources / file
        text = path.read_text(encoding="utf-8")
        places: dict[tuple[int, int], list[tuple[int, Edit]]] = {}
        for number, edit in enumerate(edits, 1):
            if edit.file == file:
                span = only(text, edit.old, *region(text, edit), edit)
                places.setdefault(span, []).append((number, edit))
        spans = sorted(places)
        for (_, end), (begin, _) in pairwise(spans):
            if begin < end:
                raise SystemExit(f"mutations.py: edits of {file} overlap at {text[begin:end]!r}")
        for begin, end in reversed(spans):
            text = text[:begin] + switched(text[begin:end], places[begin, end]) + text[end:]
        path.write_text(text, encoding="utf-8")


def switched(old: str, edits: list[tuple[int, Edit]]) -> str:
    if old.endswith(";"):
        return (
            "".join(f"if (RG_PLANTED({number})) {{ {edit.new} }} else " for number, edit in edits)
            + f"{{ {old} }}"
        )
    return "(" + "".join(f"RG_PLANTED({number}) ? ({edit.new}) : " for number, edit in edits) + f"({old}))"


HEADER = """#pragma once
extern const int rg_planted_edit;
#define RG_PLANTED(number) (rg_planted_edit == (number))
"""
SWITCHES = f"""#include <cstdlib>
static int number_of(const char* text) {{ return text == nullptr ? 0 : std::atoi(text); }}
const int rg_planted_edit = number_of(std::getenv("{SWITCH}"));
"""
PROGRAMS = """
foreach(program ops kernels)
  file(GLOB program_sources tests/cpp/${program}/*.cpp)
  add_executable(${program}_test ${program_sources})
  target_include_directories(${program}_test PRIVATE cpp/src)
  target_link_libraries(${program}_test PRIVATE retrograd Threads::Threads)
endforeach()
"""


def build(edits: list[Edit], tree: Path, jobs: int) -> None:
    """A copy of the project with all edits, its extension and the test programs in C++."""
    for folder in ("cpp", "python", "tests"):
        shutil.copytree(
            ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
        )
    for file in ("CMakeLists.txt", "pyproject.toml"):
        shutil.copy2(ROOT / file, tree / file)
    plant(edits, tree / "cpp" / "src")
    (tree / "planted.hpp").write_text(HEADER, encoding="utf-8")
    (tree / "cpp" / "src" / "base" / "planted.cpp").write_text(SWITCHES, encoding="utf-8")
    # one instruction set is enough: the kernels of all are the same text
    replace(
        tree / "cpp" / "kernels.cmake", "set(retrograd_isas baseline avx2 avx512)", "set(retrograd_isas avx2)"
    )
    replace(tree / "cpp" / "src" / "kernels" / "table.cpp", "X(baseline) X(avx2) X(avx512)", "X(avx2)")
    # one group of cases at a time, and no further than the first that fails
    program = tree / "tests" / "cpp" / "ops" / "ops_test.cpp"
    replace(program, "int main() {", "int main(int, char** arguments) {")
    replace(program, " group();", " if (std::string(arguments[1]) == name) group();")
    replace(
        program.with_name("harness.hpp"),
        "if (ok) return;",
        "if (ok) return; std::puts(what.c_str()); std::exit(1);",
    )
    with (tree / "CMakeLists.txt").open("a", encoding="utf-8") as file:
        file.write(PROGRAMS)

    import pybind11

    options = [
        "-DCMAKE_BUILD_TYPE=Release",
        "-DRETROGRAD_PYTHON=ON",
        f"-DPython_EXECUTABLE={sys.executable}",
        f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        f"-DCMAKE_CXX_FLAGS=-include {tree / 'planted.hpp'}",
    ]
    if shutil.which("ninja"):
        options += ["-G", "Ninja"]
    if shutil.which("ccache"):
        options += ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"]
    environment = {**os.environ, "CCACHE_BASEDIR": str(tree), "CCACHE_NOHASHDIR": "1"}
    for command in (["-S", ".", "-B", "build", *options], ["--build", "build", "-j", str(jobs)]):
        done = subprocess.run(["cmake", *command], cwd=tree, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}\nthe edits do not compile")
    (extension,) = [*(tree / "build").glob("_core*.so"), *(tree / "build").glob("_core*.pyd")]
    shutil.copy2(extension, tree / "python" / "retrograd")


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise SystemExit(f"mutations.py: {old!r} is not in {path.name} once; change build() with it")
    path.write_text(text.replace(old, new), encoding="utf-8")


def run(command: tuple[str, ...], tree: Path, number: int) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        SWITCH: str(number),
        "PYTHONPATH": str(tree / "python"),
        "RETROGRAD_SEEDS": "1",
    }
    environment.pop("RETROGRAD_ISA", None)
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=900)


def fails(test: Test, tree: Path, number: int) -> bool:
    try:
        done = run(test.command, tree, number)
    except subprocess.TimeoutExpired:
        return True
    if (
        "pytest" in test.command and done.returncode > 1
    ):  # neither passed nor failed: not there, or not collected
        raise SystemExit(f"mutations.py: {test.name} could not run:\n{done.stdout}{done.stderr}")
    return done.returncode != 0


def everything_passes(edits: list[Edit], tree: Path) -> None:
    """Without an edit; pytest's tests in one go."""
    tests = list(dict.fromkeys(test for edit in edits for test in edit.tests))
    by_pytest = [test.command for test in tests if "pytest" in test.command]
    commands = [test.command for test in tests if "pytest" not in test.command]
    if by_pytest:
        commands.append((*by_pytest[0][:-1], *(command[-1] for command in by_pytest)))
    probe = "import pathlib, retrograd; print(pathlib.Path(retrograd.__file__).resolve())"
    found = run((sys.executable, "-c", probe), tree, 0).stdout.strip()
    if tree.resolve() not in Path(found).parents:
        raise SystemExit(
            f"mutations.py: the tests would use {found or 'no retrograd'}, not the copy with the edits"
        )
    for command in commands:
        done = run(command, tree, 0)
        if done.returncode != 0:
            raise SystemExit(f"mutations.py: without an edit this fails:\n{done.stdout}{done.stderr}")


def catches(edit: Edit, tree: Path, number: int) -> Test | None:
    return next((test for test in edit.tests if fails(test, tree, number)), None)


def report(edits: list[Edit], found: Iterator[Test | None]) -> list[Edit]:
    """Prints a line for each edit, as they come; returns the survivors."""
    survivors, counts = [], dict.fromkeys(("tests in Python", "tests in C++"), 0)
    for edit, test in zip(edits, found, strict=True):
        print(f"{'SURVIVED' if test is None else 'caught':9} {edit.member}: {edit}", flush=True)
        if test is None:
            survivors.append(edit)
            print(f"{'':9}     not by {', '.join(test.name for test in edit.tests)}", flush=True)
            continue
        print(f"{'':9}     by {test.name}", flush=True)
        kind = 0 if "pytest" in test.command else 1
        counts[[*counts][kind]] += 1
    shown = ", ".join(f"{count} by {kind}" for kind, count in counts.items())
    print(f"\n{len(edits)} edits: {len(edits) - len(survivors)} caught ({shown}), {len(survivors)} survived")
    return survivors


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Break every backward formula once: the tests have to notice."
    )
    parser.add_argument(
        "words", nargs="*", help="only edits whose member, file or text has one of these words"
    )
    parser.add_argument("--list", action="store_true", help="show the edits and do nothing")
    parser.add_argument("--jobs", "-j", type=int, default=1, help="processes at a time")
    parser.add_argument("--keep", type=Path, help="a folder for the copy, which is then left there")
    arguments = parser.parse_args()

    edits = all_edits()
    numbers = [
        number
        for number, edit in enumerate(edits, 1)
        if not arguments.words or any(word in f"{edit.member} {edit.file} {edit}" for word in arguments.words)
    ]
    chosen = [edits[number - 1] for number in numbers]
    if arguments.list:
        for edit in chosen:
            print(f"{edit.file}  {edit.member}: {edit}")
        print(f"{len(chosen)} edits")
        return 0

    tree = arguments.keep or Path(tempfile.mkdtemp(prefix="retrograd-mutations-"))
    start = time.monotonic()
    try:
        tree.mkdir(parents=True, exist_ok=True)
        if not (tree / "build").exists():
            build(edits, tree, arguments.jobs)
        print(f"{len(edits)} edits in one build, {time.monotonic() - start:.0f} s", flush=True)
        everything_passes(chosen, tree)
        print(f"without any of them all tests pass, {time.monotonic() - start:.0f} s\n", flush=True)
        with ThreadPoolExecutor(arguments.jobs) as pool:
            survivors = report(
                chosen, pool.map(lambda number: catches(edits[number - 1], tree, number), numbers)
            )
    finally:
        if arguments.keep is None:
            shutil.rmtree(tree, ignore_errors=True)
    print(f"{time.monotonic() - start:.0f} s")
    return 1 if survivors or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
