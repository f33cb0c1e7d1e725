"""Wrong input: a typed error that names the argument, what came and what was expected; nothing is changed.

Unusual but right input (any memory layout, any real type) gives the same bits as a clean float32 copy.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from networks import parameter_bytes

N, FEATURES, CLASSES = 40, 6, 3


@dataclass
class Setting:
    """A model that has begun to train, so that there is a state that could be damaged."""

    net: rg.Model
    trainer: rg.Trainer
    x: np.ndarray
    y: np.ndarray

    def state(self) -> tuple[Any, ...]:
        slots = [
            value.tobytes() for group in self.trainer.optimizer_state.values() for value in group.values()
        ]
        return parameter_bytes(self.net), slots, self.trainer.iteration, self.trainer.epoch


@pytest.fixture
def setting() -> Setting:
    rng = np.random.default_rng(0)
    net = rg.Sequential([rg.Input(FEATURES), rg.Dense(5, activation="relu"), rg.Dense(CLASSES)], seed=0)
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=rg.Adam(1e-2), metrics=["accuracy"])
    x = rng.normal(size=(N, FEATURES)).astype(np.float32)
    y = rng.integers(0, CLASSES, size=N)
    trainer.step(x, y)
    return Setting(net, trainer, x, y)


def masked() -> np.ma.MaskedArray:
    return np.ma.masked_array(np.zeros((N, FEATURES), np.float32), mask=np.eye(N, FEATURES, dtype=bool))


def structured() -> np.ndarray:
    return np.zeros(N, dtype=[("a", "f4"), ("b", "f4")])


def with_value(value: float, row: int = 17, dtype: str = "float32") -> np.ndarray:
    x = np.zeros((N, FEATURES), dtype)
    x[row, 2] = value
    return x


NONE = np.full((N, FEATURES), None)
# what stands in x, the error, what its text has to say
BAD_X: dict[str, tuple[Callable[[], Any], str, list[str]]] = {
    "too many features": (lambda: np.zeros((N, 7), np.float32), "ShapeError", ["x", "7", "6"]),
    "too many axes": (lambda: np.zeros((N, 6, 1), np.float32), "ShapeError", ["x", "(40, 6, 1)", "6"]),
    "one sample without its axis": (lambda: np.zeros(6, np.float32), "ShapeError", ["x", "(6,)"]),
    "a scalar": (lambda: np.float32(1.0), "ShapeError|DTypeError", ["x", "() or single number or scalar"]),
    "no samples": (
        lambda: np.zeros((0, 6), np.float32),
        "ArgumentError|ShapeError",
        ["x", "(0, 6) or no rows"],
    ),
    "strings": (lambda: np.full((N, 6), "1.5"), "DTypeError", ["x", "<U3 or str or str96"]),
    "bytes": (lambda: np.full((N, 6), b"1.5"), "DTypeError", ["x", "S3 or bytes or bytes24"]),
    "objects": (lambda: np.full((N, 6), 1.0, dtype=object), "DTypeError", ["x", "object"]),
    "None in an array": (lambda: NONE, "DTypeError", ["x", "object"]),
    "None": (lambda: None, "DTypeError|ArgumentError", ["x", "None"]),
    "a string": (lambda: "data", "DTypeError", ["x"]),
    "complex numbers": (lambda: np.zeros((N, 6), np.complex64), "DTypeError", ["x", "complex64"]),
    "dates": (lambda: np.zeros((N, 6), "datetime64[D]"), "DTypeError", ["x", "datetime64"]),
    "time differences": (lambda: np.zeros((N, 6), "timedelta64[s]"), "DTypeError", ["x", "timedelta64"]),
    "records": (structured, "DTypeError", ["x", "a", "f4"]),
    "a masked array": (masked, "DTypeError", ["x", "mask or masked"]),
    "lists of different length": (lambda: [[1.0, 2.0], [1.0]], "ShapeError|DTypeError", ["x"]),
    "NaN": (lambda: with_value(np.nan), "ArgumentError|NonFiniteError", ["x", "17", "nan"]),
    "infinity": (lambda: with_value(np.inf), "ArgumentError|NonFiniteError", ["x", "17", "inf or infinity"]),
    "minus infinity": (
        lambda: with_value(-np.inf, 3),
        "ArgumentError|NonFiniteError",
        ["x", "3", "inf or infinity"],
    ),
    "NaN in float64": (
        lambda: with_value(np.nan, 0, "f8"),
        "ArgumentError|NonFiniteError",
        ["x", "0", "nan"],
    ),
    "too large for float32": (
        lambda: with_value(1e300, 5, "f8"),
        "ArgumentError|NonFiniteError",
        ["x", "5", "1e+300"],
    ),
    "fewer rows than y": (lambda: np.zeros((N - 1, 6), np.float32), "ShapeError", ["x", "y", "39", "40"]),
}


def error_types(names: str) -> tuple[type[Exception], ...]:
    return tuple(getattr(rg, name) for name in names.split("|"))


def assert_refused(
    call: Callable[[], Any], names: str, words: list[str], setting: Setting | None = None
) -> None:
    """``names`` are joined by "|", alternatives for a word by " or "; words are matched as whole words."""
    before = setting.state() if setting else None
    with pytest.raises(error_types(names)) as error:
        call()
    assert isinstance(error.value, rg.RetrogradError)
    for word in words:
        pattern = "|".join(re.escape(alternative) for alternative in word.split(" or "))
        assert re.search(rf"(?<!\w)({pattern})(?!\w)", str(error.value), re.IGNORECASE), (
            word,
            str(error.value),
        )
    if setting:
        assert setting.state() == before
        # and it still works
        assert np.isfinite(setting.trainer.step(setting.x, setting.y))


@pytest.mark.parametrize("how", ["step", "fit", "evaluate", "gradients", "forward"])
@pytest.mark.parametrize("case", BAD_X)
def test_bad_x(setting: Setting, case: str, how: str) -> None:
    make, names, words = BAD_X[case]
    x = make()

    def call() -> Any:
        if how == "fit":
            return setting.trainer.fit(x, setting.y, epochs=1, batch_size=N, progress=False)
        return getattr(setting.trainer, how)(x, setting.y)

    assert_refused(call, names, words, setting)


@pytest.mark.parametrize("case", sorted(set(BAD_X) - {"fewer rows than y", "no samples"}))
def test_bad_x_in_predict(setting: Setting, case: str) -> None:
    make, names, words = BAD_X[case]
    x = make()
    assert_refused(lambda: setting.net.predict(x), names, words, setting)


def test_nan_in_a_late_batch_names_the_row_of_the_whole_array(setting: Setting) -> None:
    """Batches before it have been trained on; the parameters are those of the last one committed."""
    x = setting.x.copy()
    x[33, 1] = np.nan
    with pytest.raises((rg.ArgumentError, rg.NonFiniteError), match=r"\b33\b"):
        setting.trainer.fit(x, setting.y, epochs=1, batch_size=8, shuffle=True, progress=False)
    assert np.isfinite(setting.net.flat_parameters).all()
    setting.trainer.fit(setting.x, setting.y, epochs=1, batch_size=8, progress=False)


BAD_LABELS: dict[str, tuple[Callable[[], Any], str, list[str]]] = {
    "too large": (lambda: np.full(N, 3), "ArgumentError", ["y", "3", "0"]),
    "negative": (lambda: np.full(N, -1), "ArgumentError", ["y", "-1"]),
    "wraps in 32 bits": (lambda: np.full(N, 2**32), "ArgumentError", ["y", str(2**32)]),
    "too large for 64 bits": (
        lambda: np.full(N, 2**64 - 1, np.uint64),
        "ArgumentError|DTypeError",
        ["y", str(2**64 - 1)],
    ),
    "wrong count": (lambda: np.zeros(N + 1, np.int64), "ShapeError", ["y", "41", "40"]),
    "a column": (lambda: np.zeros((N, 1), np.int64), "ShapeError", ["y", "(40, 1)"]),
    "wrong width": (lambda: np.zeros((N, 4), np.float32), "ShapeError", ["y", "(40, 4)", "3"]),
    "strings": (lambda: np.full(N, "cat"), "DTypeError", ["y"]),
    "objects": (lambda: np.full(N, None), "DTypeError", ["y", "object"]),
    "complex": (lambda: np.zeros((N, 3), np.complex128), "DTypeError", ["y", "complex128"]),
    "NaN": (lambda: np.full((N, 3), np.nan, np.float32), "ArgumentError|NonFiniteError", ["y", "nan"]),
    "None": (lambda: None, "DTypeError|ArgumentError", ["y", "None"]),
}


@pytest.mark.parametrize("how", ["step", "fit", "evaluate"])
@pytest.mark.parametrize("case", BAD_LABELS)
def test_bad_y(setting: Setting, case: str, how: str) -> None:
    make, names, words = BAD_LABELS[case]
    y = make()

    def call() -> Any:
        if how == "fit":
            return setting.trainer.fit(setting.x, y, epochs=1, batch_size=N, progress=False)
        return getattr(setting.trainer, how)(setting.x, y)

    assert_refused(call, names, words, setting)


@pytest.mark.parametrize(
    ("weight", "names", "words"),
    [
        (np.ones(N - 1), "ShapeError", ["sample_weight", "39", "40"]),
        (np.ones((N, 2)), "ShapeError", ["sample_weight", "(40, 2)"]),
        (np.full(N, np.nan), "ArgumentError|NonFiniteError", ["sample_weight", "nan"]),
        (np.full(N, -1.0), "ArgumentError", ["sample_weight", "-1"]),
        (np.zeros(N), "ArgumentError", ["sample_weight"]),  # nothing is left to average
        (np.full(N, "1"), "DTypeError", ["sample_weight"]),
    ],
    ids=["short", "two axes", "nan", "negative", "all zero", "strings"],
)
def test_bad_sample_weight(setting: Setting, weight: np.ndarray, names: str, words: list[str]) -> None:
    assert_refused(
        lambda: setting.trainer.step(setting.x, setting.y, sample_weight=weight), names, words, setting
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, ["batch_size", "0"]),
        ({"batch_size": -3}, ["batch_size", "-3"]),
        ({"epochs": -1}, ["epochs", "-1"]),
        ({"validation_split": 1.0}, ["validation_split", "1"]),
        ({"validation_split": -0.1}, ["validation_split", "-0.1"]),
        ({"validation_split": float("nan")}, ["validation_split", "nan"]),
        ({"class_weight": {0: 1.0, 7: 2.0}}, ["class_weight", "7"]),
        ({"class_weight": "equal"}, ["class_weight", "equal", "balanced"]),
        ({"callbacks": [42]}, ["callbacks", "42"]),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_bad_arguments_of_fit(setting: Setting, options: dict[str, Any], words: list[str]) -> None:
    settings = {"epochs": 1, "progress": False, **options}
    assert_refused(
        lambda: setting.trainer.fit(setting.x, setting.y, **settings),
        "ArgumentError|DTypeError",
        words,
        setting,
    )


@pytest.mark.parametrize("value", ["8", 2.5, None, np.array([1, 2])])
def test_batch_size_of_another_type(setting: Setting, value: Any) -> None:
    assert_refused(
        lambda: setting.trainer.fit(setting.x, setting.y, epochs=1, batch_size=value, progress=False),
        "ArgumentError|DTypeError",
        ["batch_size"],
        setting,
    )


def trainer_of(**options: Any) -> rg.Trainer:
    net = rg.Sequential([rg.Input(2), rg.Dense(2)])
    return rg.Trainer(net, **{"loss": "mse", "optimizer": rg.SGD(0.1), **options})


BAD_TRAINERS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "unknown loss": ({"loss": "crossentropy"}, ["loss", "crossentropy", "cross_entropy", "huber"]),
    "unknown metric": ({"metrics": ["acuracy"]}, ["acuracy", "accuracy", "r2"]),
    "unknown optimizer": ({"optimizer": "adamm"}, ["optimizer", "adamm"]),
    "two losses for one output": ({"loss": ["mse", "mae"]}, ["loss or losses", "2", "1"]),
    "negative l2": ({"l2": -1.0}, ["l2", "-1"]),
    "negative l1": ({"l1": float("nan")}, ["l1", "nan"]),
    "clip_norm 0": ({"clip_norm": 0.0}, ["clip_norm", "0"]),
    "negative clip_value": ({"clip_value": -2.0}, ["clip_value", "-2"]),
    "no threads": ({"threads": 0}, ["threads", "0"]),
    "loss_weights too short": ({"loss_weights": [1.0, 2.0]}, ["loss_weights", "2", "1"]),
}


@pytest.mark.parametrize("case", BAD_TRAINERS)
def test_bad_trainer(case: str) -> None:
    options, words = BAD_TRAINERS[case]
    assert_refused(lambda: trainer_of(**options), "ArgumentError|DTypeError", words)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rg.SGD(-0.1), ["lr", "-0.1"]),
        (lambda: rg.SGD(float("nan")), ["lr", "nan"]),
        (lambda: rg.SGD(0.1, momentum=-1.0), ["momentum", "-1"]),
        (lambda: rg.SGD(0.1, nesterov=True), ["nesterov", "momentum"]),
        (lambda: rg.Adam(betas=(0.9, 1.0)), ["betas", "1.0"]),
        (lambda: rg.Adam(eps=-1e-8), ["eps", "-1e-08"]),
        (lambda: rg.AdamW(weight_decay=-0.1), ["weight_decay", "-0.1"]),
        (lambda: rg.schedules.Step(0.1, step_size=0), ["step_size", "0"]),
        (lambda: rg.schedules.Cosine(0.1, total=0), ["total", "0"]),
        (lambda: rg.losses.Huber(delta=0.0), ["delta", "0"]),
        (lambda: rg.losses.CrossEntropy(label_smoothing=1.5), ["label_smoothing", "1.5"]),
        (lambda: rg.stop.EarlyStopping(patience=-1), ["patience", "-1"]),
        (lambda: rg.stop.EarlyStopping(mode="smaller"), ["mode", "smaller"]),
    ],
)
def test_bad_hyper_parameters(make: Callable[[], Any], words: list[str]) -> None:
    """Refused where they are written, or at the latest when a Trainer is made of them."""

    def use() -> None:
        made = make()
        if hasattr(made, "patience"):
            trainer_of().fit(np.zeros((4, 2)), np.zeros((4, 2)), epochs=1, callbacks=[made], progress=False)
        elif hasattr(made, "delta") or hasattr(made, "label_smoothing"):
            trainer_of(loss=made)
        else:
            trainer_of(optimizer=made if hasattr(made, "weight_decay") else rg.SGD(made))

    assert_refused(use, "ArgumentError", words)


# ------------------------------------------------------------------------------------- building a model


@pytest.mark.parametrize(
    ("name", "nearest"), [("rellu", "relu"), ("Sigmoid", "sigmoid"), ("leakyrelu", "leaky_relu")]
)
def test_unknown_activation(name: str, nearest: str) -> None:
    """All names are listed and the nearest is suggested, before it is listed with the others."""
    with pytest.raises(rg.ArgumentError) as error:
        rg.Sequential([rg.Input(2), rg.Dense(2, activation=name)])
    text = str(error.value)
    assert name in text
    for known in "linear sigmoid tanh relu gelu log_softmax hard_swish".split():  # noqa: SIM905
        assert known in text
    assert f"did you mean '{nearest}'" in text.lower() or f'did you mean "{nearest}"' in text.lower()


def build(*layers: Any, **options: Any) -> rg.Model:
    return rg.Sequential([rg.Input(4), *layers], **options)


BAD_MODELS: dict[str, tuple[Callable[[], Any], str, list[str]]] = {
    "units 0": (lambda: build(rg.Dense(0)), "ArgumentError|ShapeError", ["units", "0"]),
    "units -2": (lambda: build(rg.Dense(-2)), "ArgumentError|ShapeError", ["units", "-2"]),
    "units 2.5": (lambda: build(rg.Dense(2.5)), "ArgumentError|DTypeError", ["units", "2.5"]),
    "weight of another shape": (
        lambda: build(rg.Dense(3, weight_init=np.zeros((4, 3)))),
        "ShapeError",
        ["weight_init", "(4, 3)", "(3, inputs) or (3, 4)"],
    ),
    "bias of another shape": (
        lambda: build(rg.Dense(3, bias_init=np.zeros(4))),
        "ShapeError",
        ["bias_init", "(4,)", "(3,)"],
    ),
    "unknown initialiser": (
        lambda: build(rg.Dense(3, weight_init="he_norml")),
        "ArgumentError",
        ["he_norml", "he_normal", "glorot_uniform"],
    ),
    "unknown dtype": (
        lambda: build(rg.Dense(3), dtype="float16"),
        "ArgumentError|DTypeError",
        ["float16", "float32"],
    ),
    "two layers of one name": (
        lambda: build(rg.Dense(3, name="same"), rg.Dense(3, name="same")),
        "GraphError|ArgumentError",
        ["same"],
    ),
    "two variables of one name": (
        lambda: two_variables(),
        "GraphError|ArgumentError",
        ["scale"],
    ),
    "sizes whose product overflows": (
        lambda: rg.Sequential([rg.Input((2**40, 2**40)), rg.Flatten(), rg.Dense(2)]),
        "ArgumentError|ShapeError",
        [str(2**40)],
    ),
    "a weight that overflows": (
        lambda: rg.Sequential([rg.Input(2**40), rg.Dense(2**40)]),
        "ArgumentError|ShapeError",
        [str(2**40)],
    ),
    "a size beyond 64 bits": (
        lambda: rg.Sequential([rg.Input(2**70), rg.Dense(2)]),
        "ArgumentError|ShapeError",
        [str(2**70)],
    ),
    "an input of size 0": (
        lambda: rg.Sequential([rg.Input(0), rg.Dense(2)]),
        "ArgumentError|ShapeError",
        ["0"],
    ),
    "adding different widths": (lambda: add_mismatch(), "ShapeError", ["3", "2"]),
    "an output that no input reaches": (lambda: unconnected(), "GraphError", ["input"]),
    "no layers": (lambda: rg.Sequential([]), "GraphError|ArgumentError", ["Input"]),
    "not a layer": (lambda: rg.Sequential([rg.Input(2), "dense"]), "GraphError|ArgumentError", ["dense"]),
    "reducing the batch": (
        lambda: rg.ops.sum(rg.Dense(3)(rg.Input(4)), axis=0),
        "GraphError",
        ["sum", "batch"],
    ),
}


def two_variables() -> rg.Model:
    x = rg.Input(4)
    h = x * rg.Variable(np.ones(4), "scale")
    return rg.Model(inputs=x, outputs=h * rg.Variable(np.ones(4), "scale"))


def add_mismatch() -> rg.Node:
    x = rg.Input(4)
    return rg.Add()(rg.Dense(3)(x), rg.Dense(2)(x))


def unconnected() -> rg.Model:
    x, other = rg.Input(4), rg.Input(4)
    return rg.Model(inputs=x, outputs=rg.Dense(3)(other))


@pytest.mark.parametrize("case", BAD_MODELS)
def test_bad_model(case: str) -> None:
    make, names, words = BAD_MODELS[case]
    assert_refused(make, names, words)


def test_unreachable_parameter() -> None:
    """A parameter that the loss does not reach would silently never learn: refused by name, unless frozen."""

    def loss_of_one(outputs: Any, targets: Any) -> Any:
        first, _ = outputs
        return rg.ops.mean(
            rg.ops.square(first - (targets[0] if isinstance(targets, list) else targets)), axis=-1
        )

    x = rg.Input(4)
    h = rg.Dense(3, name="trunk")(x)
    outputs = [rg.Dense(2, name="used")(h), rg.Dense(2, name="idle")(h)]
    net = rg.Model(inputs=x, outputs=outputs, seed=0)
    before = parameter_bytes(net)
    inputs, targets = np.zeros((4, 4), np.float32), np.zeros((4, 2), np.float32)

    def train() -> float:
        return rg.Trainer(net, loss=loss_of_one, optimizer=rg.SGD(0.1)).step(inputs, targets)

    assert_refused(train, "GraphError", ["idle.weight"])
    assert parameter_bytes(net) == before
    net.freeze("idle")
    assert np.isfinite(train())


# ------------------------------------------------------------------------- writing into arrays and models


@pytest.mark.parametrize(
    ("make", "names", "words"),
    [
        (lambda: np.zeros((N, 4), np.float32), "ShapeError", ["out", "(40, 4)", "(40, 3)"]),
        (lambda: np.zeros((N, 3), np.float64), "DTypeError", ["out", "float64", "float32"]),
        (lambda: np.zeros((N, 3), np.int32), "DTypeError", ["out", "int32", "float32"]),
        (lambda: read_only((N, 3)), "ArgumentError", ["out", "read-only or written or writeable"]),
        (lambda: [[0.0] * 3] * N, "DTypeError|ArgumentError|ShapeError", ["out"]),
    ],
    ids=["shape", "float64", "int32", "read-only", "a list"],
)
def test_bad_out(setting: Setting, make: Callable[[], Any], names: str, words: list[str]) -> None:
    out = make()
    before = np.array(out)
    assert_refused(lambda: setting.net.predict(setting.x, out=out), names, words, setting)
    np.testing.assert_array_equal(np.array(out), before)


def read_only(shape: tuple[int, ...]) -> np.ndarray:
    array = np.zeros(shape, np.float32)
    array.flags.writeable = False
    return array


def test_out_with_gaps(setting: Setting) -> None:
    """Filled in its own places or refused; never half, and nothing beside it is touched."""
    wide = np.zeros((2 * N, 2 * CLASSES), np.float32)
    expected = setting.net.predict(setting.x)
    try:
        setting.net.predict(setting.x, out=wide[::2, ::2])
    except rg.ArgumentError:
        expected = np.zeros_like(expected)
    np.testing.assert_array_equal(wide[::2, ::2], expected)
    assert not wide[1::2].any()
    assert not wide[:, 1::2].any()


def test_mappings_of_parameters_are_read_only(setting: Setting) -> None:
    """Their arrays are views and may be written; another array in their place would no longer be a view."""
    with pytest.raises(TypeError):
        setting.net.parameters["dense_0.weight"] = np.zeros((5, 6), np.float32)
    with pytest.raises((AttributeError, TypeError)):
        setting.net.flat_parameters = np.zeros(3, np.float32)


def changed(net: rg.Model, **changes: Any) -> dict[str, np.ndarray]:
    mapping = {name: value + 1.0 for name, value in net.parameters.items()}
    for name, value in changes.items():
        key = name.replace("__", ".")
        if value is None:
            del mapping[key]
        else:
            mapping[key] = value
    return mapping


@pytest.mark.parametrize(
    ("changes", "names", "words"),
    [
        ({"dense_1__bias": None}, "ArgumentError", ["dense_1.bias", "missing"]),
        ({"dense_7__bias": np.zeros(3)}, "ArgumentError", ["dense_7.bias", "unexpected"]),
        ({"dense_0__bias": np.zeros(7)}, "ShapeError|ArgumentError", ["dense_0.bias", "7", "5"]),
        ({"dense_0__bias": np.full(5, "a")}, "DTypeError|ArgumentError", ["dense_0.bias"]),
        (
            {"dense_0__bias": None, "dense_1__bias": None, "extra": np.zeros(1)},
            "ArgumentError",
            ["dense_0.bias", "dense_1.bias", "extra"],
        ),
    ],
    ids=["missing", "unexpected", "shape", "strings", "all listed at once"],
)
def test_bad_set_parameters(setting: Setting, changes: dict[str, Any], names: str, words: list[str]) -> None:
    """Never a partial load: the good entries of a bad mapping are not written either."""
    mapping = changed(setting.net, **changes)
    assert_refused(lambda: setting.net.set_parameters(mapping), names, words, setting)


# ------------------------------------------------------------------------------------------------- files


@pytest.fixture
def model_file(setting: Setting, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    setting.net.save(path)
    return path


def test_truncated_file(model_file: Path) -> None:
    """Cut anywhere: in the length, in the header, in the numbers."""
    data = model_file.read_bytes()
    for length in sorted({0, 1, 7, 8, 9, 40, len(data) // 2, len(data) - 4, len(data) - 1}):
        model_file.write_bytes(data[:length])
        with pytest.raises(rg.FileFormatError, match="model"):
            rg.load(model_file)
    model_file.write_bytes(data + b"\0")
    with pytest.raises(rg.FileFormatError, match="model"):
        rg.load(model_file)


def test_altered_file(model_file: Path) -> None:
    """A changed header is noticed by the parser, changed numbers by the file's own check."""
    data = bytearray(model_file.read_bytes())
    header = 8 + int.from_bytes(data[:8], "little")
    for position in (0, 7, 8, 9, header - 1):
        altered = bytearray(data)
        altered[position] ^= 0x15
        model_file.write_bytes(altered)
        with pytest.raises(rg.FileFormatError):
            rg.load(model_file)
    for position in range(header + 3, len(data), 4 * 7):  # the byte with sign and exponent of each 7th number
        altered = bytearray(data)
        altered[position] ^= 0x41
        model_file.write_bytes(altered)
        with pytest.raises(rg.FileFormatError):
            rg.load(model_file)


def test_header_of_absurd_size(model_file: Path) -> None:
    data = model_file.read_bytes()
    for length in (2**63, 2**64 - 1, 2**40, len(data)):
        model_file.write_bytes(length.to_bytes(8, "little") + data[8:])
        with pytest.raises(rg.FileFormatError):
            rg.load(model_file)


def test_file_that_is_none_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(2000))
    with pytest.raises(rg.FileFormatError, match="photo"):
        rg.load(path)
    with pytest.raises((rg.FileFormatError, FileNotFoundError), match="absent"):
        rg.load(tmp_path / "absent.safetensors")
    with pytest.raises(OSError, match=str(tmp_path.name)):
        rg.load(tmp_path)


def test_set_parameters_from_a_bad_file(setting: Setting, model_file: Path) -> None:
    data = model_file.read_bytes()
    model_file.write_bytes(data[:-4])
    assert_refused(
        lambda: setting.net.set_parameters(model_file), "FileFormatError", ["model.safetensors"], setting
    )


# ------------------------------------------------------------------------- what is accepted, bit for bit


def misaligned(x: np.ndarray) -> np.ndarray:
    raw = np.zeros(x.nbytes + 1, np.uint8)
    view = np.frombuffer(raw.data, x.dtype, x.size, offset=1).reshape(x.shape)
    view[...] = x
    assert not view.flags.aligned
    return view


def memory_map(x: np.ndarray, folder: Path) -> np.ndarray:
    mapped = np.memmap(folder / "x.dat", x.dtype, "w+", shape=x.shape)
    mapped[...] = x
    mapped.flush()
    return np.memmap(folder / "x.dat", x.dtype, "r", shape=x.shape)


def write_protected(x: np.ndarray) -> np.ndarray:
    x.flags.writeable = False
    return x


def frame(x: np.ndarray) -> Any:
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(x, columns=[f"column {number}" for number in range(x.shape[1])])


def whole(x: np.ndarray) -> np.ndarray:
    """Values that every type holds exactly."""
    return np.round(np.abs(x) * 20)


Convert = Callable[[np.ndarray, Path], Any]
ACCEPTED: dict[str, Convert] = {
    "float32": lambda x, _: x,
    "float64": lambda x, _: x.astype(np.float64) + 1e-9,
    "float16": lambda x, _: x.astype(np.float16),
    "uint8": lambda x, _: whole(x).astype(np.uint8),
    "int8": lambda x, _: whole(x).astype(np.int8),
    "int16": lambda x, _: whole(x).astype(np.int16),
    "int32": lambda x, _: whole(x).astype(np.int32),
    "int64": lambda x, _: whole(x).astype(np.int64),
    "uint64": lambda x, _: whole(x).astype(np.uint64),
    "bool": lambda x, _: x > 0,
    "big-endian float32": lambda x, _: x.astype(">f4"),
    "big-endian float64": lambda x, _: x.astype(">f8"),
    "big-endian int16": lambda x, _: whole(x).astype(">i2"),
    "rows with a stride": lambda x, _: np.repeat(x, 3, axis=0)[::3],
    "columns with a stride": lambda x, _: np.repeat(x, 2, axis=1)[:, ::2],
    "float64 with strides": lambda x, _: np.repeat(x, 2, axis=1)[:, ::2].astype(np.float64, order="K"),
    "negative strides": lambda x, _: x[::-1, ::-1],
    "broadcast, stride 0": lambda x, _: np.broadcast_to(x[:1], x.shape),
    "Fortran order": lambda x, _: np.asfortranarray(x),
    "read-only": lambda x, _: write_protected(x.copy()),
    "memory map": memory_map,
    "memory map of bytes": lambda x, folder: memory_map(whole(x).astype(np.uint8), folder),
    "misaligned float32": lambda x, _: misaligned(x),
    "misaligned float64": lambda x, _: misaligned(x.astype(np.float64)),
    "lists": lambda x, _: x.tolist(),
    "tuple of arrays": lambda x, _: tuple(x),
    "DataFrame": lambda x, _: frame(x),
    "DataFrame of mixed numbers": lambda x, _: frame(whole(x)).astype(
        {"column 0": "int64", "column 1": "float32"}
    ),
}


def train_on(x: Any, y: Any) -> tuple[bytes, bytes]:
    net = rg.Sequential([rg.Input(FEATURES), rg.Dense(5, activation="tanh"), rg.Dense(CLASSES)], seed=0)
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=rg.Adam(1e-2))
    trainer.fit(x, y, epochs=2, batch_size=16, progress=False)
    return parameter_bytes(net), net.predict(x).tobytes()


@pytest.mark.parametrize("kind", ACCEPTED)
def test_accepted_x(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = np.round(8 * rng.normal(size=(N, FEATURES))).astype(np.float32) / 8
    y = rng.integers(0, CLASSES, size=N)
    given = ACCEPTED[kind](x, tmp_path)
    clean = np.ascontiguousarray(np.asarray(given), dtype=np.float32)
    untouched = np.array(given, copy=True)
    assert train_on(given, y) == train_on(clean, y)
    np.testing.assert_array_equal(np.asarray(given), untouched)


@pytest.mark.parametrize(
    "convert",
    [
        lambda y: y.astype(np.int8),
        lambda y: y.astype(np.uint8),
        lambda y: y.astype(np.int32),
        lambda y: y.astype(">i8"),
        lambda y: y.astype(np.uint64),
        lambda y: np.repeat(y, 2)[::2],
        lambda y: y[::-1][::-1],
        lambda y: misaligned(y),
        lambda y: y.tolist(),
        lambda y: pytest.importorskip("pandas").Series(y, index=np.arange(N)[::-1]),
    ],
    ids=[
        "int8",
        "uint8",
        "int32",
        "big-endian",
        "uint64",
        "strided",
        "reversed twice",
        "misaligned",
        "list",
        "Series",
    ],
)
def test_accepted_labels(convert: Callable[[np.ndarray], Any]) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(N, FEATURES)).astype(np.float32), rng.integers(0, CLASSES, size=N)
    assert train_on(x, convert(y)) == train_on(x, y)


@pytest.mark.parametrize(
    "kind", ["float64", "uint8", "big-endian float32", "Fortran order", "memory map", "lists"]
)
def test_accepted_targets(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 4)).astype(np.float32)
    given = ACCEPTED[kind](np.round(8 * rng.normal(size=(N, 2))).astype(np.float32) / 8, tmp_path)
    trained = []
    for y in (given, np.ascontiguousarray(np.asarray(given), dtype=np.float32)):
        net = rg.Sequential([rg.Input(4), rg.Dense(5, activation="tanh"), rg.Dense(2)], seed=0)
        rg.Trainer(net, loss="mse", optimizer=rg.Adam(1e-2)).fit(
            x, y, epochs=2, batch_size=16, progress=False
        )
        trained.append(parameter_bytes(net))
    assert trained[0] == trained[1]


def test_a_frame_with_text_names_the_column(setting: Setting) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(setting.x, columns=list("abcdef")).assign(c="text")
    assert_refused(lambda: setting.trainer.step(table, setting.y), "DTypeError", ["x"], setting)


def own_kilobytes() -> int:
    """Memory of this process that belongs to no file."""
    path = Path("/proc/self/status")
    if not path.exists():
        pytest.skip("memory in use is read from /proc")
    line = next(line for line in path.read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1])


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4"])
def test_a_large_array_is_not_copied_whole(tmp_path: Path, dtype: str) -> None:
    """Up to 400 MB in a sparse file: read batch by batch, whatever has to be converted."""
    rows = 500_000
    x = np.memmap(tmp_path / "large.dat", dtype, "w+", shape=(rows, 100))
    y = np.zeros((rows, 1), np.float32)
    net = rg.Sequential([rg.Input(100), rg.Dense(1)], seed=0)
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.1))
    trainer.fit(x[:1000], y[:1000], epochs=1, batch_size=500, progress=False)
    before, most = own_kilobytes(), 0

    class Watch:
        def on_iteration_end(self, trainer: rg.Trainer, logs: Any = None) -> None:
            nonlocal most
            if trainer.iteration % 100 == 0:
                most = max(most, own_kilobytes())

    trainer.fit(x, y, epochs=1, batch_size=500, callbacks=[Watch()], progress=False)
    assert 0 < most < before + 60_000
