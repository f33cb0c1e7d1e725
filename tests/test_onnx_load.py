"""Reading what others have written: their operators, their habits, and files that are not what they say."""

from __future__ import annotations

import io
import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

import retrograd as rg  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

RNG = np.random.default_rng(0)
FLOAT = TensorProto.FLOAT


def model_of(
    nodes: list[Any], shape: tuple[Any, ...], output: str = "y", opset: int = 17, **weights: Any
) -> Any:
    """A model with one input x and these weights."""
    graph = helper.make_graph(
        nodes,
        "by hand",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info(output, FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    model.graph.output[0].type.tensor_type.shape.SetInParent()
    return model


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


# ------------------------------------------------------------------------------ habits of other programs


def test_a_product_and_a_sum_are_a_dense_layer() -> None:
    w, b, x = normal(4, 3), normal(3), normal(5, 4)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["b", "p"], ["s"]),
        helper.make_node("Relu", ["s"], ["y"]),
    ]
    net = rg.onnx.load(model_of(nodes, ("n", 4), w=w, b=b))
    assert [(layer.kind, layer.config["activation"]) for layer in net.layers] == [("dense", "relu")]
    np.testing.assert_array_equal(net["dense_0"].weight, w.T)
    np.testing.assert_allclose(net.predict(x), np.maximum(x @ w + b, 0.0), atol=1e-6)


def test_one_number_alone_is_no_parameter() -> None:
    nodes = [helper.make_node("Mul", ["x", "scale"], ["s"]), helper.make_node("Add", ["s", "row"], ["y"])]
    weights = {"scale": np.array([2.0], np.float32), "row": np.ones(3, np.float32)}
    net = rg.onnx.load(model_of(nodes, ("n", 3), **weights))
    assert list(net.parameters) == ["row"]
    np.testing.assert_array_equal(net.predict(np.ones((1, 3))), [[3, 3, 3]])


def test_a_weight_with_and_without_a_bias_is_one_parameter() -> None:
    w, b, x = normal(3, 4), normal(3), normal(2, 4)
    nodes = [
        helper.make_node("Gemm", ["x", "fc.weight", "fc.bias"], ["p"], transB=1),
        helper.make_node("Gemm", ["x", "fc.weight"], ["q"], transB=1),
        helper.make_node("Sub", ["p", "q"], ["y"]),
    ]
    net = rg.onnx.load(model_of(nodes, ("n", 4), **{"fc.weight": w, "fc.bias": b}))
    assert sorted(net.parameters) == ["fc.bias", "fc.weight"]
    np.testing.assert_allclose(net.predict(x), np.broadcast_to(b, (2, 3)), atol=1e-6)


def test_two_layers_of_one_name() -> None:
    """One weight in two norms that differ: the second layer cannot have the name, nor the parameter."""
    nodes = [
        helper.make_node("LayerNormalization", ["x", "a.weight", "a.bias"], ["p"], epsilon=0.1),
        helper.make_node("LayerNormalization", ["p", "a.weight", "a.bias"], ["y"], epsilon=0.2),
    ]
    net = rg.onnx.load(model_of(nodes, ("n", 3), **{"a.weight": normal(3), "a.bias": normal(3)}))
    assert [layer.name for layer in net.layers] == ["a", "layer_norm_0"]


@pytest.mark.parametrize("form", ["torch", "halves", "onnxruntime"])
def test_gelu_however_it_is_written(form: str) -> None:
    """The constants stand at different places, and in different orders."""
    from math import erf, sqrt

    nodes = [
        helper.make_node("Div", ["x", "root"], ["u"]),
        helper.make_node("Erf", ["u"], ["e"]),
        helper.make_node("Add", ["e", "one"], ["f"]),
    ]
    ends = {
        "torch": [("Mul", ["x", "f"], ["g"]), ("Mul", ["g", "half"], ["y"])],
        "halves": [("Mul", ["x", "half"], ["h"]), ("Mul", ["h", "f"], ["y"])],
        "onnxruntime": [("Mul", ["f", "half"], ["h"]), ("Mul", ["x", "h"], ["y"])],
    }
    nodes += [helper.make_node(*end) for end in ends[form]]
    numbers = {"root": np.float32(sqrt(2)), "one": np.float32(1), "half": np.float32(0.5)}
    net = rg.onnx.load(model_of(nodes, ("n", 6), **numbers))
    x = normal(3, 6)
    expected = [[0.5 * v * (1 + erf(v / sqrt(2))) for v in row] for row in x.tolist()]
    np.testing.assert_allclose(net.predict(x), expected, atol=1e-6)
    assert not net.parameters


def test_an_erf_of_something_else_is_refused() -> None:
    nodes = [helper.make_node("Erf", ["x"], ["e"]), helper.make_node("Mul", ["e", "x"], ["y"])]
    with pytest.raises(rg.GraphError, match=r"Erf 'e': it is read only as a part of gelu"):
        rg.onnx.load(model_of(nodes, ("n", 3)))


def test_a_shape_that_the_file_computes() -> None:
    """x.view(x.size(0), -1), as PyTorch writes it."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n", "axes"], ["m"]),
        helper.make_node("Concat", ["m", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    numbers = {"zero": np.int64(0), "axes": np.array([0]), "rest": np.array([-1])}
    net = rg.onnx.load(model_of(nodes, ("n", 2, 3), **numbers))
    x = normal(4, 2, 3)
    np.testing.assert_array_equal(net.predict(x), x.reshape(4, 6))


def test_the_batch_may_be_the_second_axis() -> None:
    """A sequence whose time comes first; ours has the batch first at the border."""
    nodes = [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)]
    net = rg.onnx.load(model_of(nodes, (5, "n", 3), axes=np.array([0])))
    x = normal(2, 5, 3)
    np.testing.assert_allclose(net.predict(x), x.sum(axis=1), atol=1e-6)


def test_a_table_that_is_also_a_product_is_one_parameter() -> None:
    """Tied weights: rows of the table on the way in, products with it on the way out."""
    table = normal(7, 4)
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["rows"]),
        helper.make_node("Transpose", ["table"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["rows", "turned"], ["y"]),
    ]
    model = model_of(nodes, ("n", 2), table=table)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    net = rg.onnx.load(model)
    assert list(net.parameters) == ["table"]
    index = np.array([[0, 6], [3, 2]])
    np.testing.assert_allclose(net.predict(index), table[index] @ table.T, atol=1e-5)


def _modules(torch: Any) -> dict[str, tuple[Any, tuple[int, ...]]]:
    nn = torch.nn

    class Walk(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.walk = nn.LSTM(5, 7, num_layers=2, bidirectional=True, batch_first=True)
            self.head = nn.Linear(14, 3)

        def forward(self, x: Any) -> Any:
            return self.head(self.walk(x)[0][:, -1])

    class Residual(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
            self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(8, 3)

        def forward(self, x: Any) -> Any:
            h = torch.relu(self.norm(self.a(x)))
            return self.head((h + torch.relu(self.b(h))).mean((2, 3)))

    rows = [nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 3), nn.Softmax(-1)]
    images = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.SiLU(), nn.AvgPool2d(2), nn.Flatten()]
    large = [nn.ConvTranspose2d(3, 4, 3, 2, 1, 1), nn.Hardswish(), nn.Upsample(scale_factor=2)]
    line = [nn.Conv1d(3, 4, 3), nn.Tanh(), nn.MaxPool1d(2), nn.BatchNorm1d(4), nn.Flatten()]
    return {
        "rows": (nn.Sequential(*rows), (4,)),
        "images": (nn.Sequential(*images, nn.Linear(72, 5)), (3, 14, 14)),
        "larger images": (nn.Sequential(*large), (3, 5, 5)),
        "sequences": (nn.Sequential(*line), (3, 10)),
        "residual": (Residual(), (3, 8, 8)),
        "walks": (Walk(), (6, 5)),
    }


@pytest.mark.parametrize("name", ["rows", "images", "larger images", "sequences", "residual", "walks"])
def test_files_of_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module, shape = _modules(torch)[name]
    module.eval()
    x, file = torch.randn(3, *shape), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        axes = {"x": {0: "n"}, "y": {0: "n"}}
        names = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": axes}
        torch.onnx.export(module, (x[:2],), file, dynamo=False, opset_version=17, **names)
    found = rg.onnx.load(file.getvalue()).predict(x.numpy())
    np.testing.assert_allclose(found, module(x).detach().numpy(), atol=1e-5)


# ----------------------------------------------------------------------------------- onnx's own node tests


def test_the_node_tests_of_onnx() -> None:
    """How many pass is written in docs/onnx.md; tests/onnx_nodes.py prints them one by one."""
    import onnx_nodes as nodes
    from retrograd.onnx.load import READ

    reals = [
        case
        for case in nodes.cases(list(READ))
        if case.model.graph.node[0].op_type in READ and nodes.of_reals(case)
    ]
    passed = sum(not nodes.why_not(case) for case in reals)
    page = (Path(__file__).resolve().parents[1] / "docs" / "onnx.md").read_text(encoding="utf-8")
    written = re.search(r"onnx (\d+\.\d+)\S* has (\d+) .*?\*\*(\d+) pass\*\*", page, re.DOTALL)
    assert written is not None
    if onnx.__version__.startswith(written[1]):
        assert (len(reals), passed) == (int(written[2]), int(written[3]))
    assert passed > 0.6 * len(reals)


# ------------------------------------------------------------------------------------ files of strangers


def small() -> bytes:
    x = rg.Input((6, 6, 1))
    net = rg.Model(x, rg.Dense(2)(rg.Flatten()(rg.MaxPool2D(2)(rg.Conv2D(2, 3, activation="relu")(x)))))
    return rg.onnx.export(net).SerializeToString()


def test_damaged_files_are_errors_of_ours() -> None:
    """Cut at any place, or with bytes changed: a model or a RetrogradError, nothing else."""
    data, refused = small(), 0
    rng = np.random.default_rng(0)
    damaged = [data[:n] for n in range(0, len(data), 97)]
    for _ in range(250):
        changed = bytearray(data)
        for place in rng.integers(0, len(data), size=3):
            changed[place] = int(rng.integers(256))
        damaged.append(bytes(changed))
    for case in damaged:
        try:
            rg.onnx.load(case)
        except rg.RetrogradError:
            refused += 1
    assert refused > 50


def test_a_name_that_is_no_text() -> None:
    with pytest.raises(rg.GraphError, match=r"xfdu' .* cannot be read"):
        rg.onnx.load(small().replace(b"Relu", b"\xff\xfe\xfdu"))
    domain = model_of([helper.make_node("Relu", ["x"], ["y"], domain="site")], ("n", 3)).SerializeToString()
    with pytest.raises(rg.FileFormatError, match="onnx: the model contradicts itself"):
        rg.onnx.load(domain.replace(b"site", b"\xff\xfe\xfd\xfc"))


@pytest.mark.parametrize("operator", ["Gemm", "Add", "LayerNormalization", "Conv"])
def test_parameters_that_are_not_finite_are_refused(operator: str) -> None:
    shape = ("n", 1, 3) if operator == "Conv" else ("n", 3)
    w = np.full((1, 1, 3) if operator == "Conv" else (3, 3) if operator == "Gemm" else 3, np.nan, np.float32)
    nodes = [helper.make_node(operator, ["x", "w"], ["y"])]
    with pytest.raises(rg.RetrogradError, match="finite"):
        rg.onnx.load(model_of(nodes, shape, w=w))


@pytest.mark.parametrize("data", [b"", b"no model", b"\x08\x08", os.urandom(64)])
def test_no_model_at_all(data: bytes) -> None:
    with pytest.raises(rg.FileFormatError, match="onnx: this is no ONNX model"):
        rg.onnx.load(data)


def test_what_is_no_source() -> None:
    with pytest.raises(rg.ArgumentError, match=r"expected a path, bytes or an onnx\.ModelProto, got int"):
        rg.onnx.load(3)
    with pytest.raises(OSError, match="nowhere"):
        rg.onnx.load("nowhere.onnx")


def test_unknown_operators_are_named_with_their_place() -> None:
    nodes = [helper.make_node("Hardmax", ["x"], ["y"], name="last")]
    with pytest.raises(rg.GraphError, match=r"onnx: Hardmax \(last\) cannot be read; the operators that can"):
        rg.onnx.load(model_of(nodes, ("n", 3)))
    nodes = [helper.make_node("Relu", ["x"], ["y"], name="last", domain="com.example")]
    with pytest.raises(rg.GraphError, match=r"com\.example\.Relu \(last\)"):
        rg.onnx.load(model_of(nodes, ("n", 3)))


def test_settings_that_have_no_counterpart_are_named() -> None:
    x = ("n", 3, 4, 4)
    pool = helper.make_node("MaxPool", ["x"], ["y"], name="p", kernel_shape=[2, 2], dilations=[2, 2])
    with pytest.raises(rg.GraphError, match=r"onnx: MaxPool 'p': dilations are \[2, 2\]"):
        rg.onnx.load(model_of([pool], x))
    mean = helper.make_node("ReduceMean", ["x"], ["y"], name="m")
    with pytest.raises(rg.GraphError, match=r"onnx: ReduceMean 'm': it goes over the batch"):
        rg.onnx.load(model_of([mean], x))
    shape = helper.make_node("Reshape", ["x", "s"], ["y"], name="r")
    with pytest.raises(rg.GraphError, match="would cut the batch"):
        rg.onnx.load(model_of([shape], x, s=np.array([3, -1])))
    moved = helper.make_node("Reshape", ["x", "s"], ["y"], name="r")
    with pytest.raises(rg.GraphError, match="would cut the batch"):
        rg.onnx.load(model_of([moved], (2, "n", 6), s=np.array([4, -1, 3])))
    with pytest.raises(rg.ShapeError, match="several axes without a size"):
        rg.onnx.load(model_of([helper.make_node("Relu", ["x"], ["y"])], ("n", 3, "h", "w")))


def test_what_contradicts_itself_is_named() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "nine"], ["n"], name="g"),
        helper.make_node("Reshape", ["x", "n"], ["y"]),
    ]
    with pytest.raises(rg.FileFormatError, match="onnx: Gather 'g': it contradicts itself: IndexError"):
        rg.onnx.load(model_of(nodes, ("n", 3), nine=np.array([9])))


def test_a_constant_of_a_few_bytes_may_not_fill_the_memory() -> None:
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["c"], name="bomb"),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    with pytest.raises(rg.GraphError, match=r"ConstantOfShape 'bomb': a constant of shape .* is too large"):
        rg.onnx.load(model_of(nodes, ("n", 3), s=np.array([1 << 20, 1 << 20])))


# ---------------------------------------------------------------------------------- weights in other files


def with_external(folder: Path, **place: Any) -> Path:
    """x + w in a file whose w lies elsewhere."""
    model = model_of([helper.make_node("Add", ["x", "w"], ["y"])], ("n", 3), w=np.ones(3, np.float32))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in place.items():
        tensor.external_data.add(key=key, value=str(value))
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"1234" + np.array([1, 2, 3], np.float32).tobytes())
    net = rg.onnx.load(with_external(tmp_path, location="w.bin", offset=4, length=12))
    np.testing.assert_array_equal(net.parameters["w"], [1, 2, 3])
    with pytest.raises(rg.FileFormatError, match="load the model by its path"):
        rg.onnx.load((tmp_path / "net.onnx").read_bytes())


def test_weights_elsewhere_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(12))
    for location in ("../secret", str(tmp_path / "secret"), "", "."):
        with pytest.raises(rg.FileFormatError, match=r"outside of the folder|not there"):
            rg.onnx.load(with_external(folder, location=location))
    if hasattr(os, "symlink"):
        os.symlink(tmp_path / "secret", folder / "link")
        with pytest.raises(rg.FileFormatError, match="outside of the folder"):
            rg.onnx.load(with_external(folder, location="link"))
    with pytest.raises(rg.FileFormatError, match="which is not there"):
        rg.onnx.load(with_external(folder, location="w.bin"))


def test_places_beyond_the_end_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(12))
    for place in ({"offset": 4, "length": 12}, {"offset": -4, "length": 4}, {"offset": 99}):
        with pytest.raises(rg.FileFormatError, match=r"at bytes .* of a file of 12"):
            rg.onnx.load(with_external(tmp_path, location="w.bin", **place))
    with pytest.raises(rg.FileFormatError, match="offset and length are no numbers"):
        rg.onnx.load(with_external(tmp_path, location="w.bin", offset="x"))
    with pytest.raises(rg.FileFormatError, match=r"raw_data size|cannot be read"):
        rg.onnx.load(with_external(tmp_path, location="w.bin", length=8))
