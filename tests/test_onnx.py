"""Models as ONNX: run by ONNX Runtime to the same numbers, and read again to the same model.

The judges are others': onnx.checker for the file, ONNX Runtime (float32) and onnx's own reference evaluator
(float64) for the numbers.
"""

from __future__ import annotations

import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

import operation_cases  # noqa: E402
import retrograd as rg  # noqa: E402
import test_example_bits as examples  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402
from retrograd import activations, ops  # noqa: E402
from rows import LAYERS, OPERATIONS, Row  # noqa: E402

ROWS: dict[str, Row] = {
    **LAYERS,
    **OPERATIONS,
    **{f"activation {name}": Row(getattr(ops, name), abs) for name in activations.ACTIVATIONS},
}

# What onnx's reference evaluator has not got, or has wrong.
NO_REFERENCE = {
    "ConvTranspose2D:output_padding_dilation": "it takes the padding of a Pad for a size",
    "ConvTranspose2D:groups": "groups are mixed up",
    "ConvTranspose2D:depthwise": "groups are mixed up",
    "SimpleRNN:relu": "Relu is no activation of an RNN there",
    "one_hot": "values and depth are to be of one type there",
    **{
        f"{layer}:mask{rest}": "a Scan walks along its first axis only"
        for layer in ("SimpleRNN", "LSTM", "GRU")
        for rest in ("", " sequences", " reverse", " reverse sequences")
    },
    "SimpleRNN:relu mask": "a Scan walks along its first axis only",
}


def built(name: str, dtype: str = "float32") -> tuple[rg.Model, list[np.ndarray]]:
    """The model of a row with numbers in every parameter and buffer, and inputs for it."""
    row, rng = ROWS[name], np.random.default_rng(zlib.crc32(name.encode()))
    last = len(row.shapes) - 1
    inputs, given = [], []
    for k, shape in enumerate(row.shapes):
        index = row.index and k == last
        inputs.append(rg.Input(shape, dtype="int64" if index else None))
        size = (3, *shape)
        draw = row.draw or (lambda g, s: g.normal(size=s))
        given.append(rng.integers(0, 4, size=size) if index else draw(rng, size).astype(dtype))
    net = rg.Model(inputs, row.make(*inputs), dtype=dtype)
    for key, value in net.parameters.items():
        if value.ndim == 1:  # biases and norms begin at 0 and 1, which would hide a wrong order
            value[...] = rng.normal(size=value.shape) * 0.3 + key.endswith("weight")
    for key, value in net.buffers.items():
        if "running" in key:
            value[...] = rng.uniform(0.5, 2.0, size=value.shape)
    return net, given


def predicted(net: rg.Model, given: list[np.ndarray]) -> list[np.ndarray]:
    found = net.predict(given if len(given) > 1 else given[0])
    return found if isinstance(found, list) else [found]


def run(model: Any, given: list[np.ndarray]) -> list[np.ndarray]:
    """What ONNX Runtime makes of it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    kinds = {"tensor(int64)": np.int64, "tensor(float)": np.float32, "tensor(double)": np.float64}
    fed = {
        info.name: np.asarray(x).astype(kinds[info.type])
        for info, x in zip(session.get_inputs(), given, strict=True)
    }
    return list(session.run(None, fed))


def assert_near(found: list[np.ndarray], expected: list[np.ndarray], tolerance: float) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1.0, float(np.abs(b).max())))


def shapes(net: rg.Model) -> dict[str, tuple[int, ...]]:
    return {name: value.shape for name, value in net.parameters.items()}


@pytest.mark.parametrize("name", ROWS)
def test_onnx_runtime_has_the_same_numbers(name: str) -> None:
    net, given = built(name)
    model = rg.onnx.export(net)
    expected = predicted(net, given)
    assert_near(run(model, given), expected, 1e-5)
    again = rg.onnx.load(model)
    assert_near(predicted(again, given), expected, 1e-5)
    assert shapes(again) == shapes(net)


@pytest.mark.parametrize("name", ROWS)
def test_float64(name: str) -> None:
    """Settings of operators (alpha, epsilon) are float32 in ONNX whatever the numbers are."""
    net, given = built(name, "float64")
    model = rg.onnx.export(net)
    expected = predicted(net, given)
    assert_near(predicted(rg.onnx.load(model), given), expected, 1e-7)
    if name not in NO_REFERENCE:
        fed = dict(zip(net._core.input_names, given, strict=True))
        assert_near(list(ReferenceEvaluator(model).run(None, fed)), expected, 1e-7)


@pytest.mark.parametrize("case", operation_cases.CASES, ids=str)
def test_broadcasting_axes_and_slices(case: operation_cases.Case) -> None:
    net, given = case.build(case.draw())
    net, given = net.copy("float32"), [x.astype(np.float32) for x in given]
    model = rg.onnx.export(net)
    assert_near(run(model, given), predicted(net, given), 1e-5)
    assert_near(predicted(rg.onnx.load(model), given), predicted(net, given), 1e-5)


def test_what_has_no_batch_stands_beside_every_sample() -> None:
    x = rg.Input((2, 3))
    ends = [rg.constant(np.full((1, 3), 7.0)), rg.Variable(np.ones((2, 3)), name="v")]
    net = rg.Model(x, rg.ops.concatenate([x, *ends], axis=1))
    given = [np.zeros((4, 2, 3), np.float32)]
    model = rg.onnx.export(net)
    assert_near(run(model, given), predicted(net, given), 0.0)
    again = rg.onnx.load(model)
    assert_near(predicted(again, given), predicted(net, given), 0.0)
    assert shapes(again) == {"v": (2, 3)}


@pytest.mark.parametrize("opset", [17, 18, 19, 20, 21])
def test_every_opset(opset: int) -> None:
    """Reductions and splits are written in two ways."""
    for name in ("mean", "max", "logsumexp", "RMSNorm", "MultiHeadAttention", "LSTM:mask", "GRU:mask"):
        net, given = built(name)
        model = rg.onnx.export(net, opset=opset)
        assert model.opset_import[0].version == opset
        assert model.ir_version <= 10
        assert_near(run(model, given), predicted(net, given), 1e-5)
        assert_near(predicted(rg.onnx.load(model), given), predicted(net, given), 1e-5)


@pytest.mark.parametrize("make", examples.CASES, ids=lambda make: make.__name__)
def test_networks_of_the_examples(make: Any, example: Any) -> None:
    case = make(example, np.random.default_rng(0))
    net = case.network()
    rng = np.random.default_rng(1)
    for value in net.parameters.values():
        value[...] += 0.05 * rng.normal(size=value.shape)
    given = [np.asarray(x)[:8] for x in (case.x if isinstance(case.x, list) else [case.x])]
    expected = predicted(net, given)
    model = rg.onnx.export(net)
    assert_near(run(model, given), expected, 1e-5)
    again = rg.onnx.load(model)
    assert_near(predicted(again, given), expected, 1e-5)
    assert shapes(again) == shapes(net)


# ------------------------------------------------------------------------------------------- the file


def lenet() -> rg.Model:
    x = rg.Input((12, 12, 2), name="image")
    h = rg.Conv2D(4, 3, activation="relu")(x)
    h = rg.MaxPool2D(2)(rg.BatchNorm()(h))
    h = rg.Conv2D(6, 3, padding="same", name="deep")(h)
    h = rg.GlobalAvgPool2D()(h + rg.ops.tanh(h))
    return rg.Model(x, rg.Dense(3, name="head")(h), seed=1)


def test_names_and_shapes_at_the_border() -> None:
    net = lenet()
    model = rg.onnx.export(net)
    (given,), (made,) = model.graph.input, model.graph.output
    assert (given.name, made.name) == ("image", "head.z")
    assert [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim] == ["batch", 12, 12, 2]
    assert [d.dim_param or d.dim_value for d in made.type.tensor_type.shape.dim] == ["batch", 3]
    assert (model.opset_import[0].version, model.ir_version) == (17, 8)
    assert (model.producer_name, model.producer_version) == ("retrograd", rg.__version__)
    assert "channels" in model.graph.doc_string
    norm = next(node for node in model.graph.node if node.op_type == "BatchNormalization")
    settings = {a.name: onnx.helper.get_attribute_value(a) for a in norm.attribute}
    assert settings["momentum"] == pytest.approx(0.9)  # ours is the share of the batch, 0.1


def test_parameters_keep_their_names() -> None:
    net = lenet()
    initializers = {
        tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in rg.onnx.export(net).graph.initializer
    }
    assert set(net.parameters) <= set(initializers)
    np.testing.assert_array_equal(initializers["head.weight"], net.parameters["head.weight"])
    turned = net.parameters["deep.weight"].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(initializers["deep.weight"], turned)


def test_transposes_that_meet_are_gone() -> None:
    """One to turn the image, none between two convolutions, none before the mean of the channels."""
    kinds = Counter(node.op_type for node in rg.onnx.export(lenet()).graph.node)
    assert kinds["Transpose"] == 1
    x = rg.Input((4, 4, 2))
    net = rg.Model(x, rg.Conv2D(2, 1)(rg.ops.relu(rg.Conv2D(3, 1)(x)) * 2.0))
    assert Counter(node.op_type for node in rg.onnx.export(net).graph.node)["Transpose"] == 2


def test_any_number_of_rows() -> None:
    net = lenet()
    model = rg.onnx.export(net)
    for rows in (1, 5):
        x = np.random.default_rng(rows).normal(size=(rows, 12, 12, 2)).astype(np.float32)
        assert_near(run(model, [x]), [net.predict(x)], 1e-5)


def test_metadata_and_files(tmp_path: Path) -> None:
    net = rg.Model.from_bytes(lenet().to_bytes({"made by": "a test"}))
    path = rg.onnx.export(net, tmp_path / "net.onnx")
    assert path == str(tmp_path / "net.onnx")
    again = rg.onnx.load(path)
    assert again.metadata == {"made by": "a test"}
    assert shapes(again) == shapes(net)
    assert [layer.name for layer in again.layers][-1] == "head"
    for key, value in net.parameters.items():
        assert again.parameters[key].tobytes() == value.tobytes()


def test_several_inputs_and_outputs() -> None:
    a, b = rg.Input(3, name="a"), rg.Input((2, 3), name="b")
    h = rg.Dense(4, activation="tanh")(a)
    net = rg.Model([a, b], [h, rg.ops.sum(b, axis=1) + a, a], dtype="float32")
    given = [np.ones((2, 3), np.float32), np.arange(12, dtype=np.float32).reshape(2, 2, 3)]
    model = rg.onnx.export(net)
    assert_near(run(model, given), predicted(net, given), 1e-6)
    assert_near(predicted(rg.onnx.load(model), given), predicted(net, given), 1e-6)


def test_a_shared_layer_stays_shared() -> None:
    a, b = rg.Input((6, 6, 2)), rg.Input((6, 6, 2))
    conv, walk = rg.Conv2D(3, 3), rg.LSTM(3)
    rows = rg.Input((4, 3))
    outputs = [conv(a) - conv(b), walk(rows), walk(rows, mask=rg.ops.greater(rg.ops.sum(rows, -1), 0.0))]
    net = rg.Model([a, b, rows], outputs, seed=2)
    again = rg.onnx.load(rg.onnx.export(net))
    assert again["conv2d_0"].calls == 2
    given = [np.random.default_rng(k).normal(size=s) for k, s in enumerate([(2, 6, 6, 2)] * 2 + [(2, 4, 3)])]
    given = [x.astype(np.float32) for x in given]
    assert_near(run(rg.onnx.export(net), given), predicted(net, given), 1e-5)
    assert_near(predicted(again, given), predicted(net, given), 1e-5)


def test_training_goes_on_as_if_nothing_had_happened() -> None:
    """Dropout and batch norm too: the same steps on the model and on the one that was written and read."""
    x, y = np.random.default_rng(0).normal(size=(16, 12, 12, 2)), np.arange(16) % 3
    h = rg.Input((12, 12, 2))
    layers = [rg.Conv2D(4, 3, activation="relu"), rg.BatchNorm(), rg.Flatten(), rg.Dropout(0.3), rg.Dense(3)]
    net = rg.Sequential([h, *layers], seed=3, dtype="float64")
    again = rg.onnx.load(rg.onnx.export(net))
    for model in (net, again):
        trainer = rg.Trainer(model, "cross_entropy", rg.SGD(0.1), seed=4)
        for _ in range(3):
            trainer.step(x, y)
    for key, value in net.parameters.items():
        np.testing.assert_allclose(again.parameters[key], value, rtol=0, atol=1e-12)
    for key, value in net.buffers.items():
        np.testing.assert_allclose(again.buffers[key], value, rtol=0, atol=1e-7)


# --------------------------------------------------------------------------------------------- errors


def test_what_cannot_be_written_says_so() -> None:
    from retrograd.graph import operation

    x, y = rg.Input(3), rg.Input(3)
    net = rg.Model([x, y], operation("half_squared_error", x, y))
    with pytest.raises(rg.GraphError, match=r"half_squared_error_0 \(half_squared_error\) cannot be written"):
        rg.onnx.export(net)
    with pytest.raises(rg.ArgumentError, match="opset is 16, expected one of 17, 18, 19, 20, 21"):
        rg.onnx.export(lenet(), opset=16)
    with pytest.raises(rg.ArgumentError, match="expected a model, got list"):
        rg.onnx.export([])  # type: ignore[arg-type]


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(rg.ArgumentError, match=r'pip install "retrograd\[onnx\]"'):
        rg.onnx.export(lenet())
    with pytest.raises(rg.ArgumentError, match=r'pip install "retrograd\[onnx\]"'):
        rg.onnx.load("net.onnx")
