"""The benchmarks: every implementation does the same work on every network; the judge would notice if not.

Times are not tested. Libraries that are not installed are skipped.
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import cli, networks, peers, rows
from bench.networks import lenet, transformer
from bench.work import Work, loss_of, make_data, output_of, restore, store, weights_of

ROOT = Path(__file__).resolve().parents[1]

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the harness reads /proc")

# a row of each network
ROWS = {
    name: next(work for work in rows.ALL if work.network == name and work.loss == "cross_entropy")
    for name in networks.NAMES
}
# with next to no units; the batch is of another number than anything else, and the decay of weights is felt
SMALL = {name: replace(networks.of(w).small(w), batch=6, batches=5, lr=0.02) for name, w in ROWS.items()}


def row(name: str) -> Work:
    return next(work for work in rows.ALL if work.id == name)


def build(peer: str, work: Work, variant: str | None = None) -> Any:
    """An implementation, or the test is skipped: not installed, or not made for such a network."""
    if reason := peers.missing(peer) or peers.module(peer).refuses(work):
        pytest.skip(reason)
    if peer == "retrograd":
        _needs_layers(work)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what other libraries warn of when they are imported is theirs
        return peers.module(peer).build(
            work, make_data(work), 1, variant or peers.module(peer).variants(work)[0]
        )


def _needs_layers(work: Work) -> None:
    import retrograd as rg

    needed = {
        "batch_norm": ("BatchNorm",),
        "lenet": ("Conv2D", "MaxPool2D"),
        "transformer": ("Embedding", "PositionalEmbedding", "MultiHeadAttention", "LayerNorm"),
    }
    absent = [name for name in needed.get(work.network, ()) if not hasattr(rg, name)]
    if absent:
        pytest.skip(f"retrograd has no {', '.join(absent)}")


def run(made: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.run(1)


@cache
def reference(name: str) -> list[Any]:
    """The weights of a small network after an epoch."""
    work = SMALL[name]
    made = build("torch" if peers.module("numpy").refuses(work) else "numpy", work)
    run(made)
    weights: list[Any] = made.weights()
    return weights


def every_variant() -> list[Any]:
    """Network, implementation and variant of all that trains in this process."""
    cases = []
    for name, work in ROWS.items():
        for peer in ("retrograd", "numpy", "torch", "jax"):
            module = peers.module(peer)
            if not module.refuses(work):
                cases += [pytest.param(name, peer, v, id=f"{name}-{peer}-{v}") for v in module.variants(work)]
    return cases


# ---------------------------------------------------------------------------------------------- the same work


@pytest.mark.parametrize(("name", "peer", "variant"), every_variant())
def test_all_variants_do_the_same_from_the_same_weights(name: str, peer: str, variant: str) -> None:
    """As NumPy written by hand where it is, else as PyTorch; and a second time as the first."""
    work = SMALL[name]
    arrays = make_data(work)
    given = weights_of(arrays)
    made = build(peer, work, variant)
    losses = []
    for _ in range(2):
        for got, expected in zip(made.weights(), given, strict=True):
            np.testing.assert_array_equal(got, expected)
        run(made)
        losses.append(loss_of(work, made.weights(), arrays))
        made.reset()
    assert losses[0] == losses[1]
    assert abs(losses[0] / loss_of(work, given, arrays) - 1) > 1e-3
    assert losses[0] == pytest.approx(loss_of(work, reference(name), arrays), rel=1e-5)


@pytest.mark.parametrize("name", networks.NAMES)
def test_the_judge_computes_what_pytorch_does(name: str) -> None:
    work = SMALL[name]
    made = build("torch", work)
    made.net.eval()
    with made.torch.no_grad():
        got = made.net(made.x).numpy()
    arrays = make_data(work)
    expected = output_of(work, weights_of(arrays), arrays["x"])
    np.testing.assert_allclose(got, expected.reshape(got.shape), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", networks.NAMES)
def test_the_judge_computes_what_retrograd_does(name: str) -> None:
    work = SMALL[name]
    arrays = make_data(work)
    got = build("retrograd", work).net.predict(arrays["x"])
    np.testing.assert_allclose(got, output_of(work, weights_of(arrays), arrays["x"]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", networks.NAMES)
def test_the_judge_sees_every_parameter(name: str) -> None:
    """But for the bias of attention's keys, which no output depends on."""
    work = SMALL[name]
    arrays = make_data(work)
    before = loss_of(work, weights_of(arrays), arrays)
    for key in arrays:
        if key in ("x", "y"):
            continue
        changed = arrays[key] + np.linspace(0.1, 0.3, arrays[key].size).reshape(arrays[key].shape)
        assert loss_of(work, weights_of(arrays | {key: changed}), arrays) != before, key


@linux_only
def test_other_weights_are_not_the_same_work(tmp_path: Path) -> None:
    """The first whose weights can be had is the reference: retrograd, unless it fails."""
    from bench.measure import Options, PeerError, Row

    work = SMALL["batch_norm"]
    arrays = make_data(work)
    good = reference("batch_norm")
    bad = [w.copy() for w in good]
    bad[3] += 0.5  # a running mean: of no consequence for training

    class Child:
        def __init__(self, name: str, weights: list[Any] | None) -> None:
            self.name, self.given = name, weights

        def ask(self, limit: float, do: str, path: str) -> None:
            if self.given is None:
                raise PeerError("no weights")
            np.savez(path, *self.given)

        def stop(self) -> None:
            pass

    measured = Row(work, 1, [], Options(), None, lambda text: None)  # type: ignore[arg-type]
    given = {"none": None, "good": good, "bad": bad, "idle": weights_of(arrays)}
    children = [Child(name, weights) for name, weights in given.items()]
    measured.results = {child.name: {} for child in children}
    measured._check(children, arrays, tmp_path)  # type: ignore[arg-type]
    assert measured.results["none"]["failed"]
    found = {name: measured.results[name]["check"]["same_work"] for name in ("good", "bad", "idle")}
    assert found == {"good": True, "bad": False, "idle": False}
    assert measured.results["good"]["check"]["apart"] == 0


# ---------------------------------------------------------------------------------------------- rows and data


def test_every_row_survives_a_file() -> None:
    for work in rows.ALL:
        assert Work.from_dict(json.loads(json.dumps(work.to_dict()))) == replace(work, sizes=(*work.sizes,))
    assert len({work.id for work in rows.ALL}) == len(rows.ALL)


def test_rows_of_an_earlier_file_are_dense() -> None:
    given = row("W3").to_dict()
    del given["network"]
    assert Work.from_dict(given) == row("W3")


def test_multiply_adds_by_hand() -> None:
    convolutions = 24 * 24 * 6 * 25, 8 * 8 * 16 * 150
    dense = 256 * 120 + 120 * 84 + 84 * 10
    assert row("W7").multiply_adds == 128 * (3 * (sum(convolutions) + dense) - convolutions[0])
    block = 128 * (3 + 1 + 4 + 4) * 128 + 129 * 128  # attention: 64.5 positions on average, twice
    assert row("W9").multiply_adds == 16 * 128 * 3 * (4 * block + 128 * 65)
    assert row("W12").multiply_adds == 128 * (3 * (784 * 512 + 512 * 512 + 512 * 10) - 784 * 512)
    assert row("W3").multiply_adds == 64 * (3 * (64 * 100 + 100 * 10) - 64 * 100)
    assert row("W8a").multiply_adds == 10 * 64 + 64 * 64 + 64


def test_sizes_are_those_of_the_rows() -> None:
    shapes = {key: array.shape for key, array in make_data(replace(row("W7"), batches=1)).items()}
    assert shapes["x"] == (128, 28, 28, 1)
    assert [shapes[f"conv2d_{k}.weight"] for k in range(2)] == [(6, 5, 5, 1), (16, 5, 5, 6)]
    assert [shapes[f"dense_{k}.weight"] for k in range(3)] == [(120, 256), (84, 120), (10, 84)]
    shapes = {key: array.shape for key, array in make_data(replace(row("W9"), batches=1)).items()}
    assert shapes["x"] == shapes["y"] == (16, 128)
    assert shapes["embedding_0.weight"] == (65, 128)
    assert shapes["positional_embedding_0.weight"] == (128, 128)
    assert [key for key in shapes if "in_proj_weight" in key] == [
        f"multi_head_attention_{n}.in_proj_weight" for n in range(4)
    ]
    assert shapes["dense_0.weight"] == (512, 128)
    assert shapes["dense_8.weight"] == (65, 128)
    assert sum(key.startswith("layer_norm") for key in shapes) == 2 * 9
    assert sum(key.startswith("batch_norm") for key in make_data(SMALL["batch_norm"])) == 2 * 4


def test_examples_are_one_array_in_their_order(tmp_path: Path) -> None:
    """No library gets its data prepared otherwise, but for JAX's cut into batches."""
    for work in SMALL.values():
        arrays = make_data(work)
        assert len(arrays["x"]) == len(arrays["y"]) == work.rows
        assert all(array.flags.c_contiguous for array in arrays.values())
        folder = tmp_path / work.network
        folder.mkdir()
        store(arrays, folder)
        restored = restore(folder)
        assert list(restored) == list(arrays)
        for key, array in arrays.items():
            np.testing.assert_array_equal(restored[key], array)
            np.testing.assert_array_equal(make_data(work)[key], array)


def test_a_character_follows_from_the_one_before() -> None:
    arrays = make_data(replace(row("W9"), batches=4))
    x, y = arrays["x"], arrays["y"]
    np.testing.assert_array_equal(x[:, 1:], y[:, :-1])
    assert x.min() == 0
    assert x.max() == 64
    pairs = np.zeros((65, 65), int)
    np.add.at(pairs, (x.ravel(), y.ravel()), 1)
    assert pairs.max(axis=1).sum() / pairs.sum() == pytest.approx(0.75, abs=0.03)


def test_the_small_network_is_small() -> None:
    """What a library loads when it first trains is not counted as memory of the row's network."""
    for work in rows.ALL:
        if work.kind != "train":
            continue
        small = networks.of(work).small(work)
        size = sum(array.nbytes for array in make_data(small).values())
        assert size < 50_000, work.id
        assert replace(small, sizes=(), batch=0, batches=0, data="") == replace(
            work, sizes=(), batch=0, batches=0, data=""
        )


def test_edges_of_lenet() -> None:
    assert lenet.Sizes().edges == (24, 8, 4)
    assert transformer.Sizes() == (65, 128, 128, 4, 4)


# ------------------------------------------------------------------------------------------- the command line


@linux_only
def test_rows_and_threads_are_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--list", "--rows", "W12,W7,W9", "--threads", "1"]) == 0
    lines = [line.split(":")[0].split() for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if "threads" in line] == [[r, "threads", "1"] for r in ("W7", "W9", "W12")]


@linux_only
def test_a_name_stands_for_its_rows_only(capsys: pytest.CaptureFixture[str]) -> None:
    def listed(name: str) -> set[str]:
        cli.main(["--list", "--rows", name, "--threads", "1"])
        out = capsys.readouterr().out.splitlines()
        return {line.split()[0] for line in out if " threads " in line}

    assert listed("W1") == {"W1"}
    assert listed("W4b") == {"W4b-128", "W4b-32"}
    assert listed("W4") == {"W4a-128", "W4a-32", "W4b-128", "W4b-32"}
    assert {"W7", "W9", "W12"} < {work.id for work in rows.ALL}


def test_unknown_rows_and_peers_end_it() -> None:
    with pytest.raises(SystemExit, match="unknown row: W99"):
        cli.main(["--list", "--rows", "W7,W99"])
    with pytest.raises(SystemExit, match="unknown peer: caffe"):
        cli.main(["--list", "--peers", "caffe"])


@linux_only
def test_a_run_writes_a_table(tmp_path: Path) -> None:
    command = ["--quick", "--rows", "W2,W3", "--threads", "1", "--peers", "numpy", "--seconds", "0.01"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "run.py"), *command, "--repeats", "2", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (table,) = tmp_path.glob("*.md")
    text = table.read_text(encoding="utf-8")
    assert "All agreed." in text
    (found,) = tmp_path.glob("*.json")
    run = json.loads(found.read_text(encoding="utf-8"))
    assert [measured["id"] for measured in run["rows"]] == ["W2", "W3"]
    for measured in run["rows"]:
        for peer in ("retrograd", "numpy"):
            result = measured["results"][peer]
            assert result["check"]["same_work"]
            assert len(result["repeats"]) == 2
            assert result["least"] <= result["median"] <= result["most"]
