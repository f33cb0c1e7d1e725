"""The public headers, as C++ programs use them, against the same models made in Python: bytes are equal.

``tests/cpp/face`` makes a model with every builder of layers, and trains one with every optimizer, schedule
and loss; ``examples/cpp`` are the programs of the documentation.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg

Maker = Callable[[], rg.Model]


def of(layer: Any, *shape: int, dtype: str | None = None) -> Maker:
    @cache  # a second call of the layer has another number
    def make() -> rg.Model:
        x = rg.Input(shape, dtype=dtype)
        return rg.Model([x], [layer(x)], seed=3)

    return make


def joined(layer: Any, *sizes: int) -> Maker:
    @cache
    def make() -> rg.Model:
        inputs = [rg.Input(size) for size in sizes]
        return rg.Model(inputs, [layer(*inputs)], seed=3)

    return make


def square_plus_one(z: rg.Node) -> rg.Node:
    return z * z + 1.0


LAYERS: dict[str, Maker] = {
    "dense": of(rg.Dense(3), 4),
    "dense_more": of(rg.Dense(2, "relu", use_bias=False, weight_init="normal(0.5)", name="first"), 4),
    "dense_values": of(
        rg.Dense(
            2, square_plus_one, weight_init=np.array([[1.0, 2], [3, 4]]), bias_init=rg.init.uniform(-1, 1)
        ),
        2,
    ),
    "activation": of(rg.Activation("tanh"), 4),
    "flatten": of(rg.Flatten(), 2, 3),
    "reshape": of(rg.Reshape((2, -1)), 6),
    "rescale": of(rg.Rescale(0.5, 2), 3),
    "standardize": of(rg.Standardize().adapt(np.array([[0.5, -1.0], [1.5, 5.0]])), 2),
    "dropout": of(rg.Dropout(0.25), 4),
    "batch_norm": of(rg.BatchNorm(eps=1e-3, momentum=0.2), 4),
    "batch_norm_plain": of(rg.BatchNorm(affine=False), 4),
    "layer_norm": of(rg.LayerNorm(), 4),
    "rms_norm": of(rg.RMSNorm(1e-4), 4),
    "conv2d": of(rg.Conv2D(4, 3, padding="same", activation="relu"), 5, 6, 2),
    "conv2d_more": of(rg.Conv2D(4, (3, 2), stride=(2, 1), padding=1, dilation=(1, 2), groups=2), 7, 9, 4),
    "conv1d": of(rg.Conv1D(3, 3, stride=2, padding=1), 9, 2),
    "conv_transpose2d": of(rg.ConvTranspose2D(3, (2, 3), stride=2, output_padding=(1, 0)), 3, 4, 2),
    "max_pool2d": of(rg.MaxPool2D(2), 4, 6, 2),
    "avg_pool2d": of(rg.AvgPool2D((3, 2), stride=1, padding=1), 5, 6, 2),
    "global_avg_pool2d": of(rg.GlobalAvgPool2D(), 4, 4, 3),
    "up_sample2d": of(rg.UpSample2D((2, 3), "bilinear"), 2, 3, 1),
    "embedding": of(rg.Embedding(10, 4), 5, dtype="int64"),
    "simple_rnn": of(rg.SimpleRNN(4, "relu", reverse=True), 5, 3),
    "lstm": of(rg.LSTM(4, return_sequences=True), 5, 3),
    "gru": of(rg.GRU(4, recurrent_init="normal(0.1)"), 5, 3),
    "positional_embedding": of(rg.PositionalEmbedding(8), 5, 4),
    "multi_head_attention": of(rg.MultiHeadAttention(2, causal=True, dropout=0.1), 5, 4),
    "add": joined(rg.Add(), 3, 3),
    "multiply": joined(rg.Multiply(), 3, 3),
    "concatenate": joined(rg.Concatenate(), 3, 2),
    "sequential": lambda: rg.Sequential(
        [rg.Input(4), rg.Dense(5, "tanh"), rg.Dense(2)], seed=7, dtype="float64"
    ),
}

OPTIMIZERS: dict[str, Any] = {
    "sgd": rg.optim.SGD(),
    "sgd_more": rg.optim.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "rmsprop": rg.optim.RMSprop(),
    "rmsprop_more": rg.optim.RMSprop(momentum=0.5, centered=True),
    "adagrad": rg.optim.Adagrad(),
    "adam": rg.optim.Adam(),
    "adam_more": rg.optim.Adam(0.01, betas=(0.8, 0.999), amsgrad=True),
    "adamw": rg.optim.AdamW(),
    "adadelta": rg.optim.Adadelta(),
    "nadam": rg.optim.NAdam(),
    "radam": rg.optim.RAdam(0.01, decoupled_weight_decay=True),
    "adamax": rg.optim.Adamax(),
    "lion": rg.optim.Lion(),
    "rprop": rg.optim.Rprop(),
}

SCHEDULES: dict[str, Any] = {
    "constant": rg.schedules.Constant(0.1),
    "step": rg.schedules.Step(0.1, 2),
    "exponential": rg.schedules.Exponential(0.1, 0.9, unit="epoch"),
    "cosine": rg.schedules.Cosine(0.1, 4, 0.01),
    "warmup_cosine": rg.schedules.WarmupCosine(0.1, 2, 5),
    "one_cycle": rg.schedules.OneCycle(0.1, 5, pct_start=0.4),
    "piecewise": rg.schedules.Piecewise([2, 4], [0.1, 0.05, 0.01]),
    "plateau": rg.schedules.ReduceOnPlateau(0.1, patience=0),
}

LOSSES: dict[str, Any] = {
    "half_squared_error": rg.losses.HalfSquaredError(),
    "mean_squared_error": rg.losses.MeanSquaredError(),
    "mean_absolute_error": rg.losses.MeanAbsoluteError(),
    "huber": rg.losses.Huber(0.3),
    "binary_cross_entropy": rg.losses.BinaryCrossEntropy(),
    "cross_entropy": rg.losses.CrossEntropy(label_smoothing=0.1),
    "poisson": rg.losses.Poisson(),
    "hinge": rg.losses.Hinge(),
    "kl_divergence": rg.losses.KLDivergence(),
    "cosine_similarity": rg.losses.CosineSimilarity(),
    "own": lambda y, t: rg.ops.sum((y - t) * (y - t) * 0.5),
}


@pytest.fixture(scope="session")
def made(built_cpp: Path) -> Path:
    """The folder where the program has run."""
    folder = built_cpp / "face"
    done = subprocess.run([folder / "face", folder], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    return folder


def saved(model: rg.Model, folder: Path) -> bytes:
    path = folder / "python.safetensors"
    model.save(path)
    return path.read_bytes()


@pytest.mark.parametrize("name", LAYERS)
def test_layers_have_the_same_bytes(name: str, made: Path, tmp_path: Path) -> None:
    assert saved(LAYERS[name](), tmp_path) == (made / f"{name}.safetensors").read_bytes()


def test_every_layer_has_a_builder() -> None:
    used = {info.kind.replace("_", "") for make in LAYERS.values() for info in make()._core.layers()}
    assert used == {name.lower() for name in rg.layers.__all__} - {"layer"}


def numbers(count: int, step: int, modulus: int) -> np.ndarray[Any, Any]:
    return ((step * np.arange(count) % modulus - 5) / 8).astype(np.float32)


def trained(loss: Any, optimizer: Any, targets: np.ndarray[Any, Any]) -> rg.Model:
    net = rg.Sequential([rg.Input(3), rg.Dense(4, "tanh"), rg.Dense(2)], seed=1)
    trainer = rg.Trainer(net, loss=loss, optimizer=optimizer)
    x = numbers(36, 7, 11).reshape(12, 3)
    for i in range(5):
        trainer.step(x, targets)
        if i % 2 == 1:
            trainer._core.end_epoch()
            if isinstance(getattr(optimizer, "lr", None), rg.schedules.ReduceOnPlateau):
                trainer._core.observe(1.0)
    return net


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_have_the_same_bytes(name: str, made: Path, tmp_path: Path) -> None:
    net = trained("mean_squared_error", OPTIMIZERS[name], numbers(24, 5, 13).reshape(12, 2))
    assert saved(net, tmp_path) == (made / f"optimizer_{name}.safetensors").read_bytes()


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_have_the_same_bytes(name: str, made: Path, tmp_path: Path) -> None:
    net = trained("mean_squared_error", rg.optim.SGD(SCHEDULES[name]), numbers(24, 5, 13).reshape(12, 2))
    assert saved(net, tmp_path) == (made / f"schedule_{name}.safetensors").read_bytes()


@pytest.mark.parametrize("name", LOSSES)
def test_losses_have_the_same_bytes(name: str, made: Path) -> None:
    shares = np.abs(numbers(24, 5, 13)).reshape(12, 2)
    sums = shares[:, 0] + shares[:, 1] + np.float32(1)
    first = (shares[:, 0] + np.float32(0.5)) / sums
    net = trained(LOSSES[name], rg.optim.SGD(0.1), np.stack([first, 1 - first], axis=1))
    theirs = rg.load(made / f"loss_{name}.safetensors")
    for parameter, value in net.parameters.items():
        assert value.tobytes() == theirs.parameters[parameter].tobytes(), parameter


def test_every_member_has_a_builder() -> None:
    assert {type(one) for one in OPTIMIZERS.values()} == set(rg.optim.OPTIMIZERS.values())
    public = {name for name in rg.schedules.__all__ if name != "Schedule"}
    assert {type(one).__name__ for one in SCHEDULES.values()} == public
    assert set(LOSSES) - {"own"} == set(rg.losses.LOSSES)


def test_labels_and_epochs(made: Path, tmp_path: Path) -> None:
    net = rg.Sequential([rg.Input(3), rg.Dense(4, "tanh"), rg.Dense(2)], seed=1)
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=rg.optim.SGD(0.1))
    x = numbers(36, 7, 11).reshape(12, 3)
    labels = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 1])
    trainer.step(x, labels)
    trainer.fit(x, labels, epochs=1, batch_size=5)
    assert saved(net, tmp_path) == (made / "labels.safetensors").read_bytes()


# -------------------------------------------------------------------------------------------- the examples


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """X.f32, LABELS.i64 and what they hold, as the examples want them."""
    folder = tmp_path_factory.mktemp("digits")
    x, y = rg.datasets.digits()[:2]
    np.asarray(x, np.float32).reshape(len(x), -1).tofile(folder / "X.f32")
    np.asarray(y, np.int64).tofile(folder / "LABELS.i64")
    return folder


def arrays(folder: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    labels = np.fromfile(folder / "LABELS.i64", np.int64)
    return np.fromfile(folder / "X.f32", np.float32).reshape(len(labels), -1), labels


def run(built: Path, example: str, *arguments: Path) -> str:
    done = subprocess.run(
        [built / "examples" / example, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def network(seed: int = 0) -> rg.Model:
    return rg.Sequential([rg.Input(64), rg.Dense(64, "relu"), rg.Dropout(0.2), rg.Dense(10)], seed=seed)


def test_training_from_scratch_has_the_bytes_of_python(built_cpp: Path, digits: Path, tmp_path: Path) -> None:
    shown = run(built_cpp, "train", digits / "X.f32", digits / "LABELS.i64", tmp_path / "cpp.safetensors")
    net = network()
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=rg.optim.Adam(3e-3), seed=0)
    history = trainer.fit(*arrays(digits), epochs=10, batch_size=32)
    assert saved(net, tmp_path) == (tmp_path / "cpp.safetensors").read_bytes()
    assert f"epoch 10: loss {history.history['loss'][-1]:.6g}"[:22] in shown


def test_prediction_has_the_bytes_of_python(built_cpp: Path, digits: Path, tmp_path: Path) -> None:
    net = network(5)
    net.save(tmp_path / "net.safetensors")
    run(built_cpp, "predict", tmp_path / "net.safetensors", digits / "X.f32", tmp_path / "out.f32")
    assert net.predict(arrays(digits)[0]).tobytes() == (tmp_path / "out.f32").read_bytes()


def test_a_model_of_python_learns_on(built_cpp: Path, digits: Path, tmp_path: Path) -> None:
    x, labels = arrays(digits)
    net = network()
    rg.Trainer(net, loss="cross_entropy", optimizer="adam").fit(x, labels, epochs=1)
    net.save(tmp_path / "net.safetensors")
    run(
        built_cpp,
        "continue",
        *(
            tmp_path / "net.safetensors",
            digits / "X.f32",
            digits / "LABELS.i64",
            tmp_path / "cpp.safetensors",
        ),
    )
    net.freeze("dense_0")
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=rg.optim.Adam(1e-4), seed=0, threads=1)
    for first in range(0, len(x), 32):
        trainer.step(x[first : first + 32], labels[first : first + 32])
    net.unfreeze()
    assert saved(net, tmp_path) == (tmp_path / "cpp.safetensors").read_bytes()


def test_the_example_in_c(built_cpp: Path, tmp_path: Path) -> None:
    net = network(5)
    net.save(tmp_path / "net.safetensors")
    lines = run(built_cpp, "predict_c", tmp_path / "net.safetensors").splitlines()
    x = np.zeros((1, 64), np.float32)
    assert np.array([float(line) for line in lines[:10]], np.float32).tobytes() == net.predict(x).tobytes()
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=rg.optim.SGD(0.1))
    assert lines[10].startswith("loss ")
    assert np.float32(lines[10].split()[1]) == np.float32(trainer.step(x, np.array([0])))


@pytest.mark.parametrize("example", ["train", "predict", "continue", "predict_c"])
def test_examples_say_how_they_are_called_and_what_is_wrong(
    example: str, built_cpp: Path, tmp_path: Path
) -> None:
    program = built_cpp / "examples" / example
    alone = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)
    assert (alone.returncode, alone.stdout) == (2, "")
    assert alone.stderr.startswith(f"usage: {example} ")
    count = alone.stderr.count(".f32") + alone.stderr.count(".i64") + alone.stderr.count(".safetensors")
    missing = [str(tmp_path / "missing")] * count
    wrong = subprocess.run([program, *missing], capture_output=True, text=True, timeout=60, check=False)
    assert wrong.returncode == 1
    assert "missing" in wrong.stderr


# -------------------------------------------------------------------------------------------- the document

# Fragments of docs/cpp.md in their order, and what each needs around it.
AROUND = [
    "void epoch(rg::Trainer<float>& trainer, const std::vector<float>& x, "
    "const std::vector<std::int64_t>& labels) {",
    "void go_on(const char* path, const char* checkpoint, const std::vector<float>& x, "
    "const std::vector<std::int64_t>& labels, std::vector<float>& out) {",
    "void own_expressions() {",
]


def test_the_code_of_the_document(built_cpp: Path, tmp_path: Path) -> None:
    """Its program is run; its fragments compile."""
    document = (Path(__file__).parents[1] / "docs" / "cpp.md").read_text(encoding="utf-8")
    program, *fragments = re.findall(r"^```cpp\n(.*?)^```$", document, re.DOTALL | re.MULTILINE)
    source = program + "".join(f"\n{head}\n{body}}}\n" for head, body in zip(AROUND, fragments, strict=True))
    (tmp_path / "program.cpp").write_text(source)
    c = re.findall(r"^```c\n(.*?)^```$", document, re.DOTALL | re.MULTILINE)
    around = "#include <stdio.h>\n#include <retrograd/retrograd.h>\n"
    arguments = "const float* x, const int64_t* labels, int64_t rows, float* out"
    (tmp_path / "program.c").write_text(f"{around}void f({arguments}) {{\n{''.join(c)}}}\n")
    include = f"-I{Path(__file__).parents[1] / 'cpp' / 'include'}"
    warned = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", include]
    cxx, cc = os.environ.get("CXX", "c++").split(), os.environ.get("CC", "cc").split()
    library = built_cpp / "retrograd" / "libretrograd.a"
    built = tmp_path / "program"
    linked = ["-Wno-unused-variable", tmp_path / "program.cpp", library, "-fopenmp", "-pthread", "-o", built]
    for command in (
        [*cc, "-std=c11", "-fsyntax-only", *warned, tmp_path / "program.c"],
        [*cxx, "-std=c++20", *warned, *linked],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
    done = subprocess.run([built], capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path)
    assert done.stdout == "0 1 1 0 "
    net = rg.Sequential([rg.Input(2), rg.Dense(8, "tanh"), rg.Dense(1)], seed=0)
    trainer = rg.Trainer(net, loss="binary_cross_entropy", optimizer=rg.optim.Adam(0.05))
    x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array([[0], [1], [1], [0]], np.float32)
    for _ in range(400):
        trainer.step(x, y)
    assert saved(net, tmp_path) == (tmp_path / "xor.safetensors").read_bytes()


# -------------------------------------------------------------------------------------------- the C library


def test_the_shared_c_library_from_another_language(built_cpp: Path, digits: Path, tmp_path: Path) -> None:
    """ctypes stands for any language: nothing but the C interface is exported."""
    library = built_cpp / "retrograd" / "libretrograd_c.so"
    names = subprocess.run(
        ["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True
    ).stdout
    exported = {line.split()[-1] for line in names.splitlines()}
    header = (Path(__file__).parents[1] / "cpp/include/retrograd/retrograd.h").read_text()
    declared = {
        word.split("(")[0]
        for word in header.replace("*", " ").split()
        if word.startswith("rg_") and "(" in word
    }
    assert exported == declared
    c = ctypes.CDLL(str(library))
    c.rg_model_load.restype = c.rg_trainer_new.restype = ctypes.c_void_p
    c.rg_last_error.restype = ctypes.c_char_p
    net = network(5)
    net.save(tmp_path / "net.safetensors")
    model = ctypes.c_void_p(c.rg_model_load(str(tmp_path / "net.safetensors").encode()))
    x = arrays(digits)[0][:7].copy()
    out = np.empty((7, 10), np.float32)
    assert (
        c.rg_model_predict(
            model, x.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(7), out.ctypes.data_as(ctypes.c_void_p)
        )
        == 0
    )
    assert out.tobytes() == net.predict(x).tobytes()
    assert c.rg_model_predict(model, None, ctypes.c_int64(7), out.ctypes.data_as(ctypes.c_void_p)) == -1
    assert c.rg_last_error() == b"x: it is NULL"
    c.rg_model_free(model)
