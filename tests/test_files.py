"""What is saved is what comes back, bit for bit, and a file is either whole or not there."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import reference as ref
import retrograd as rg
from networks import parameter_bytes


def plain(dtype: str) -> rg.Model:
    return rg.Sequential(
        [rg.Input(5), rg.Rescale(0.5, 1.0), rg.Dense(7, activation="gelu"), rg.Dense(3)], seed=3, dtype=dtype
    )


def every_activation(dtype: str) -> rg.Model:
    x = h = rg.Input(5)
    for name in ref.ACTIVATIONS:
        h = rg.Add()(x, rg.Dense(5, activation=name, name=f"with_{name}")(h * 0.3))
    return rg.Model(inputs=x, outputs=h, seed=3, dtype=dtype)


def branched(dtype: str) -> rg.Model:
    """Shared layer, names of one's own, several inputs and outputs, a layer without bias."""
    left, right = rg.Input(5, name="left"), rg.Input(3, name="right")
    shared = rg.Dense(4, activation="tanh", name="shared", use_bias=False)
    front = rg.Dense(5, name="front")
    h = rg.Concatenate()(shared(left), shared(front(right)))
    h = rg.Multiply()(h, rg.Dense(8, activation="sigmoid")(h))
    return rg.Model(inputs=[left, right], outputs=[rg.Dense(2)(h), rg.Dense(3)(h)], seed=3, dtype=dtype)


def custom(dtype: str) -> rg.Model:
    """An activation that exists only as a Python function: what is saved is the graph that it made."""

    def swish(z: rg.Node) -> rg.Node:
        return z * rg.ops.sigmoid(1.7 * z) + rg.constant(np.array([0.1, -0.2, 0.3, 0.4]))

    x = rg.Input(5)
    h = rg.Dense(4, activation=swish)(x) * rg.Variable(np.array([1.0, 2.0, 3.0, 4.0]), "scale")
    return rg.Model(inputs=x, outputs=rg.Dense(2)(rg.ops.sqrt(1.0 + h**2)), seed=3, dtype=dtype)


MODELS = [plain, every_activation, branched, custom]
Make = Callable[[str], rg.Model]


def inputs_of(net: rg.Model) -> np.ndarray | list[np.ndarray]:
    rng = np.random.default_rng(0)
    if len(net.inputs) == 2:
        return [rng.normal(size=(6, 5)), rng.normal(size=(6, 3))]
    return rng.normal(size=(6, 5))


def outputs(net: rg.Model) -> list[bytes]:
    predicted = net.predict(inputs_of(net))
    return [array.tobytes() for array in (predicted if isinstance(predicted, list) else [predicted])]


def assert_same(loaded: rg.Model, net: rg.Model) -> None:
    assert np.dtype(loaded.dtype) == np.dtype(net.dtype)
    assert list(loaded.parameters) == list(net.parameters)
    assert [p.shape for p in loaded.parameters.values()] == [p.shape for p in net.parameters.values()]
    assert parameter_bytes(loaded) == parameter_bytes(net)
    assert outputs(loaded) == outputs(net)
    assert not np.shares_memory(loaded.flat_parameters, net.flat_parameters)


ROUND_TRIPS: dict[str, Callable[[rg.Model, Path], rg.Model]] = {
    "pickle": lambda net, _: pickle.loads(pickle.dumps(net)),
    "deepcopy": lambda net, _: copy.deepcopy(net),
    "copy": lambda net, _: net.copy(),
    "bytes": lambda net, _: rg.Model.from_bytes(net.to_bytes()),
}


def through_a_file(net: rg.Model, folder: Path) -> rg.Model:
    net.save(folder / "m.safetensors")
    return rg.load(folder / "m.safetensors")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("way", ["file", *ROUND_TRIPS])
def test_round_trip(make: Make, way: str, dtype: str, tmp_path: Path) -> None:
    net = make(dtype)
    net.flat_parameters[...] += np.linspace(
        -0.1, 0.1, net.flat_parameters.size
    )  # no longer what a seed gives
    assert_same({"file": through_a_file, **ROUND_TRIPS}[way](net, tmp_path), net)


@pytest.mark.parametrize("make", [plain, custom], ids=lambda make: make.__name__)
def test_a_loaded_model_trains_on(make: Make, tmp_path: Path) -> None:
    """Bit for bit as the original would, so everything that matters came through the file."""
    net = make("float32")
    loaded = through_a_file(net, tmp_path)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 5)).astype(np.float32)
    y = rng.normal(size=(64, net.predict(x).shape[1])).astype(np.float32)
    for model in (net, loaded):
        trainer = rg.Trainer(model, loss="mse", optimizer=rg.Adam(1e-2))
        trainer.fit(x, y, epochs=2, batch_size=16, progress=False)
    assert parameter_bytes(loaded) == parameter_bytes(net)


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_the_same_model_makes_the_same_bytes(make: Make, tmp_path: Path) -> None:
    net = make("float32")
    net.save(tmp_path / "a.safetensors")
    net.save(tmp_path / "b.safetensors")
    through_a_file(net, tmp_path).save(tmp_path / "c.safetensors")
    files = {(tmp_path / f"{name}.safetensors").read_bytes() for name in "abc"}
    assert len(files) == 1
    assert files == {net.to_bytes()}


def test_strange_values_survive(tmp_path: Path) -> None:
    net = plain("float32")
    values = np.array([-0.0, 1e-45, np.finfo(np.float32).max, np.finfo(np.float32).tiny, 1 / 3], np.float32)
    net.parameters["dense_0.bias"][:5] = values
    net.parameters["dense_0.weight"][...] = 0.0  # keeps the outputs finite
    net.parameters["dense_1.weight"][...] = 0.0
    assert_same(through_a_file(net, tmp_path), net)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_safetensors_reader_reads_it(dtype: str, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    net = branched(dtype)
    net.save(tmp_path / "m.safetensors")
    tensors = safetensors.load_file(tmp_path / "m.safetensors")
    assert set(tensors) == set(net.parameters)
    for name, value in net.parameters.items():
        assert tensors[name].dtype == value.dtype
        np.testing.assert_array_equal(tensors[name], value)


def test_set_parameters(tmp_path: Path) -> None:
    """From a mapping, from our own file and from another program's; in place."""
    safetensors = pytest.importorskip("safetensors.numpy")
    net, other = plain("float32"), plain("float32")
    other.flat_parameters[...] += 1.0
    view = net.parameters["dense_0.weight"]

    net.set_parameters(other.parameters)
    assert parameter_bytes(net) == parameter_bytes(other)
    np.testing.assert_array_equal(view, other.parameters["dense_0.weight"])

    net.flat_parameters[...] = 0.0
    other.save(tmp_path / "ours.safetensors")
    net.set_parameters(tmp_path / "ours.safetensors")
    assert parameter_bytes(net) == parameter_bytes(other)

    net.flat_parameters[...] = 0.0
    safetensors.save_file({k: v.copy() for k, v in other.parameters.items()}, tmp_path / "theirs.safetensors")
    net.set_parameters(str(tmp_path / "theirs.safetensors"))
    assert parameter_bytes(net) == parameter_bytes(other)


def test_set_parameters_not_strict() -> None:
    """What has no counterpart stays; what has another shape is still an error."""
    net = plain("float32")
    bias = net.parameters["dense_1.bias"].copy()
    weight = np.full((3, 7), 0.5, np.float32)
    net.set_parameters({"dense_1.weight": weight, "elsewhere": np.zeros(2)}, strict=False)
    np.testing.assert_array_equal(net.parameters["dense_1.weight"], weight)
    np.testing.assert_array_equal(net.parameters["dense_1.bias"], bias)
    with pytest.raises((rg.ShapeError, rg.ArgumentError), match=r"dense_1\.weight"):
        net.set_parameters({"dense_1.weight": weight.T}, strict=False)


def test_parameters_of_another_model_are_refused(tmp_path: Path) -> None:
    """All differences in one message, and nothing written."""
    net, other = plain("float32"), branched("float32")
    other.save(tmp_path / "m.safetensors")
    before = parameter_bytes(net)
    with pytest.raises(rg.ArgumentError) as error:
        net.set_parameters(tmp_path / "m.safetensors")
    for name in ("shared.weight", "front.bias", "dense_0.bias"):
        assert name in str(error.value)
    assert parameter_bytes(net) == before


# -------------------------------------------------------------------------------------------- atomic files


def test_saving_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"x" * 1_000_000)
    net = plain("float32")
    net.save(path)
    assert path.stat().st_size < 100_000
    assert_same(rg.load(path), net)
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.safetensors"]  # no temporary file is left


def test_a_failing_write_leaves_the_old_file(tmp_path: Path) -> None:
    """A limit on the size of files makes write fail half-way, as a full disk would."""
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    path = tmp_path / "m.safetensors"
    old = plain("float32")
    old.save(path)
    before = path.read_bytes()
    large = rg.Sequential([rg.Input(300), rg.Dense(300)], seed=0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # else the signal would end the process
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"m\.safetensors"):
            large.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.safetensors"]
    assert_same(rg.load(path), old)
    large.save(path)
    assert parameter_bytes(rg.load(path)) == parameter_bytes(large)


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        plain("float32").save(tmp_path / "nowhere" / "m.safetensors")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions work differently here")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    folder = tmp_path / "locked"
    folder.mkdir()
    net = plain("float32")
    net.save(folder / "m.safetensors")
    before = (folder / "m.safetensors").read_bytes()
    folder.chmod(0o500)
    try:
        with pytest.raises(OSError, match="locked"):
            net.save(folder / "m.safetensors")
    finally:
        folder.chmod(0o700)
    assert (folder / "m.safetensors").read_bytes() == before


def test_paths_may_be_strings_and_unusual(tmp_path: Path) -> None:
    net = plain("float32")
    for name in ("m.safetensors", "with space", "größe-模型.safetensors"):
        net.save(str(tmp_path / name))
        assert_same(rg.load(str(tmp_path / name)), net)
