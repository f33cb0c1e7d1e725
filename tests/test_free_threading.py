"""From many threads at once, with the GIL or without: the same bits, a refusal in words, never a crash."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import pytest
import retrograd as rg
from networks import parameter_bytes

R = TypeVar("R")

THREADS = 6


@pytest.fixture(autouse=True)
def _threads_that_take_turns_often() -> Any:
    """With the GIL a thread would otherwise keep it for 5 ms, longer than most calls here take."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def together(function: Callable[[int], R], threads: int = THREADS) -> list[R]:
    """``function(0)``, ``function(1)``, ... each in a thread of its own, begun at the same moment."""
    barrier = threading.Barrier(threads)

    def begin(number: int) -> R:
        barrier.wait(30.0)
        return function(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(begin, range(threads)))


def data(rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 5)).astype(np.float32)
    return x, np.argmax(x[:, :3], axis=1)


def network(seed: int = 0) -> rg.Model:
    return rg.Sequential([rg.Input(5), rg.Dense(16, activation="tanh"), rg.Dense(3)], seed=seed)


def trained(seed: int) -> bytes:
    """Everything that a network goes through, from its making to its file."""
    x, y = data()
    net = network(seed)
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=rg.Adam(0.01), seed=seed)
    trainer.fit(x, y, epochs=2, batch_size=16, progress=False)
    trainer.evaluate(x, y)
    trainer.gradients(x[:20], y[:20])
    return parameter_bytes(net) + net.predict(x).tobytes() + net.to_bytes()


def test_networks_are_made_trained_and_saved_side_by_side() -> None:
    alone = [trained(seed) for seed in range(THREADS)]
    assert len(set(alone)) == THREADS
    for _ in range(3):
        assert together(trained) == alone


def test_graphs_are_built_side_by_side() -> None:
    """Default names and the order of parameters are those of one graph, whatever others are being built."""

    def build(_: int) -> tuple[list[str], bytes]:
        x = rg.Input(4, name="x")
        h = rg.Dense(6, activation="relu")(x)
        for _ in range(4):
            h = rg.Add()(h, rg.Dense(6, activation=rg.ops.tanh)(h) * 0.5 + 1)
        net = rg.Model(inputs=x, outputs=rg.Dense(2)(h), seed=3)
        return list(net.parameters), parameter_bytes(net)

    alone = build(0)
    for _ in range(5):
        assert together(build) == [alone] * THREADS


def test_one_layer_is_called_by_many_threads() -> None:
    """Its parameters are made once: in one network of all the calls there is one weight."""
    for _ in range(10):
        shared = rg.Dense(4, activation=rg.ops.tanh, name="shared")
        ends = together(lambda number, shared=shared: shared(rg.Input(3, name=f"x{number}")))
        inputs = [next(node for node in _leaves(end) if node.kind == "input") for end in ends]
        net = rg.Model(inputs=inputs, outputs=rg.Add()(*ends))
        assert list(net.parameters) == ["shared.weight", "shared.bias"]
        assert net._core.layers()[0].calls == THREADS


def _leaves(node: rg.Node) -> list[rg.Node]:
    return [node] if not node.inputs else [leaf for part in node.inputs for leaf in _leaves(part)]


def test_one_network_predicts_in_many_threads_while_its_views_are_read() -> None:
    x, _ = data(600)
    net = network()
    wide = rg.Sequential([rg.Input(5), rg.Dense(16, activation="tanh"), rg.Dense(3)], dtype="float64")
    sizes = [1, 7, 64, 300, 600]
    expected = {n: (net.predict(x[:n]).tobytes(), wide.predict(x[:n]).tobytes()) for n in sizes}
    weights = parameter_bytes(net)

    def use(number: int) -> None:
        out = np.empty((7, 3), np.float32)
        for turn in range(60):
            n = sizes[(number + turn) % len(sizes)]
            assert net.predict(x[:n]).tobytes() == expected[n][0]
            assert wide.predict(x[:n]).tobytes() == expected[n][1]
            net.predict(x[:7], out=out)
            assert out.tobytes() == expected[7][0]
            assert parameter_bytes(net) == weights
            assert net["dense_1"].weight.shape == (3, 16)
            assert net.frozen == []
            assert net.gradients["dense_0.bias"].shape == (16,)
            if turn % 20 == 0:
                assert parameter_bytes(net.copy()) == weights

    together(use)


def test_one_trainer_evaluates_in_many_threads() -> None:
    x, y = data()
    trainer = rg.Trainer(network(), loss="cross_entropy", optimizer=rg.Adam(0.01))
    trainer.fit(x, y, epochs=1, batch_size=16, progress=False)
    expected = [trainer.evaluate(x[:n], y[:n]) for n in range(20, 20 + THREADS)]
    for _ in range(5):
        assert together(lambda k: trainer.evaluate(x[: 20 + k], y[: 20 + k])) == expected


def test_networks_that_share_nodes_are_made_in_many_threads() -> None:
    """Each begins with what the first has learned, and the first keeps it."""
    net = network(4)
    weights = [value.tobytes() for value in net.parameters.values()]

    def grow(number: int) -> list[bytes]:
        grown = rg.Model(net.inputs, rg.Dense(2 + number)(net["dense_0"].output), seed=number)
        return [value.tobytes() for value in list(grown.parameters.values())[:2]]

    for _ in range(5):
        assert together(grow) == [weights[:2]] * THREADS
    assert [value.tobytes() for value in net.parameters.values()] == weights


def test_a_network_is_saved_and_frozen_in_many_threads(tmp_path: Any) -> None:
    net = network(1)

    def use(number: int) -> bool:
        name = f"dense_{number % 2}.weight"
        for turn in range(10):
            path = net.save(tmp_path / f"{number}.safetensors", {"who": f"{number}"})
            assert set(net.metadata) == {"who"}
            found = rg.load(path)
            assert found.metadata == {"who": f"{number}"}
            assert parameter_bytes(found) == parameter_bytes(net)
            (net.freeze if turn % 2 else net.unfreeze)(name)
            assert set(net.frozen) <= {"dense_0.weight", "dense_1.weight"}
        return True

    assert all(together(use, 4))
    assert set(net.frozen) == {"dense_0.weight", "dense_1.weight"}


def expression() -> tuple[rg.Node, rg.Node, rg.Node]:
    rng = np.random.default_rng(2)
    x = rg.Input(40, name="x")
    w = rg.Variable(rng.normal(size=(40, 40)) / 6, name="w")
    h = x
    for _ in range(6):
        h = rg.ops.tanh(h @ w) + 0.1 * h
    return rg.ops.mean(h * h), x, w


def test_graphs_of_one_expression_run_side_by_side() -> None:
    result, x, w = expression()
    values = np.random.default_rng(3).normal(size=(THREADS, 8, 40))

    def run(number: int) -> bytes:
        graph = rg.Graph(result)
        graph.forward({x: values[number]})
        graph.backward(np.ones(8))
        parts = (graph.value(result), graph.gradient(x), graph.gradient(w))
        return b"".join(np.asarray(part).tobytes() for part in parts)

    alone = [run(number) for number in range(THREADS)]
    assert len(set(alone)) == THREADS
    for _ in range(5):
        assert together(run) == alone


def attempts(call: Callable[[], R], times: int, outcomes: list[str], results: set[R]) -> None:
    for _ in range(times):
        try:
            results.add(call())
            outcomes.append("done")
        except (rg.StateError, rg.ShapeError):  # or the seed is of the batch before
            outcomes.append("refused")


def test_one_graph_is_run_by_one_thread_at_a_time() -> None:
    """A second thread is refused in words; what is read is always of one whole run."""
    result, x, w = expression()
    graph = rg.Graph(result)
    batches = [np.full((n, 40), 0.1 * n) for n in (3, 5)]
    values, gradients = set(), set()
    for batch in batches:
        values.add(graph.forward({x: batch}).tobytes())
        graph.backward(np.ones(len(batch)))
        gradients.add(graph.gradient(w).tobytes())
    outcomes: list[str] = []
    seen: set[bytes] = set()
    seen_gradients: set[bytes] = set()
    shapes: set[tuple[int, ...]] = set()

    def use(number: int) -> None:
        if number < 2:
            attempts(lambda: graph.forward({x: batches[number]}).tobytes(), 60, outcomes, seen)
        elif number < 4:
            attempts(lambda: graph.backward(np.ones(2 * number - 1)), 60, outcomes, set())
        elif number == 4:
            attempts(lambda: graph.value(x).shape, 120, outcomes, shapes)
        else:
            attempts(lambda: graph.gradient(w).tobytes(), 120, outcomes, seen_gradients)

    together(use)
    assert "done" in outcomes
    assert seen <= values
    assert shapes <= {(3, 40), (5, 40)}
    assert seen_gradients <= gradients
    assert graph.forward({x: batches[0]}).tobytes() in values  # nothing is left behind


def test_the_core_refuses_two_runs_of_one_evaluation() -> None:
    """Below the graph's own lock: two threads in the core itself."""
    from retrograd import _core

    x = rg.Input(300)
    w = rg.Variable(np.full((300, 300), 1e-3))
    h = x
    for _ in range(4):
        h = rg.ops.tanh(h @ w)
    evaluation = _core.Evaluation(rg.ops.mean(h))
    fed = [(evaluation.nodes.index(x), np.ones((400, 300)))]
    outcomes: list[str] = []
    texts: set[str] = set()

    def use(_: int) -> None:
        for _ in range(8):
            try:
                evaluation.forward(fed)
                outcomes.append("done")
            except rg.StateError as refusal:
                outcomes.append("refused")
                texts.add(str(refusal))

    together(use, 4)
    assert set(outcomes) == {"done", "refused"}
    text = "this graph is in use in another thread; wait for that, or give each thread a graph of its own"
    assert texts == {f"forward: {text}"}


def test_a_trainer_is_watched_and_its_rate_set_while_it_trains() -> None:
    """Looking on changes nothing; a rate that is set from outside holds from one of the next steps on."""
    x, y = data(2000)

    def fit(watched: bool) -> bytes:
        trainer = rg.Trainer(network(), loss="cross_entropy", optimizer=rg.Adam(0.01))
        done = threading.Event()
        seen: set[float] = set()

        def watch() -> None:
            last = 0
            while not done.is_set():
                assert last <= trainer.iteration
                last = trainer.iteration
                seen.add(trainer.lr)
                trainer.lr = 0.01
                assert 0 <= trainer.epoch <= 4
                assert trainer.threads_used in (0, 1)

        watchers = [threading.Thread(target=watch) for _ in range(3 if watched else 0)]
        for watcher in watchers:
            watcher.start()
        trainer.fit(x, y, epochs=4, batch_size=8, progress=False)
        done.set()
        for watcher in watchers:
            watcher.join(30.0)
        assert seen <= {0.01}
        return parameter_bytes(trainer.model)

    assert fit(watched=True) == fit(watched=False)


def test_one_network_is_used_in_every_way_at_once() -> None:
    """Training, prediction, evaluation and saving: some are refused, and none breaks anything."""
    x, y = data()
    net = network()
    trainers = [rg.Trainer(net, loss="cross_entropy", optimizer=rg.SGD(0.01)) for _ in range(2)]
    outcomes: list[str] = []
    calls: list[Callable[[], Any]] = [
        lambda: trainers[0].fit(x, y, epochs=1, batch_size=32, progress=False) and None,
        lambda: trainers[1].step(x, y),
        lambda: net.predict(x).shape,
        lambda: net.predict(x[0:1]).shape,
        lambda: trainers[0].evaluate(x, y)["loss"],
        lambda: len(net.to_bytes()),
    ]
    together(lambda number: attempts(calls[number], 40, outcomes, set()))
    assert len(outcomes) == 40 * len(calls)
    assert "done" in outcomes
    for call in calls:
        call()  # free again
    assert all(np.isfinite(value).all() for value in net.parameters.values())
