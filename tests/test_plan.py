"""Plan passes change speed and memory, never a bit; instruction sets with fused multiply-add agree."""

import hashlib
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from retrograd import _core


def branched() -> tuple[Any, Any]:
    """A network in which something can be fused, something cannot, and a value is read twice."""
    x = rg.Input(12)
    a = rg.Dense(16, activation="gelu")(x)  # its derivative reads z
    b = rg.Dense(16, activation="tanh")(x)  # its derivative reads the output
    both = rg.Add()(a, b)
    h = rg.Dense(16, activation="relu")(both)
    joined = rg.Concatenate()(h, both)
    return x, rg.Dense(4)(joined)


def core_trainer(dtype: str, fuse: bool, reuse: bool) -> Any:
    x, y = branched()
    model = (_core.Model32 if dtype == "float32" else _core.Model64)([x], [y], 3)
    make = _core.Trainer32 if dtype == "float32" else _core.Trainer64
    return make(
        model, [("cross_entropy", {})], None, "adam", {}, ("constant", {"lr": 1e-2}), [],
        1e-4, 1e-3, 1.0, 0.0, 1, 0, fuse, reuse,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("fuse", "reuse"), [(False, True), (True, False), (False, False)])
def test_plan_passes_leave_every_bit(dtype: str, fuse: bool, reuse: bool) -> None:
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(300, 12)), rng.integers(0, 4, 300)
    plain, other = core_trainer(dtype, True, True), core_trainer(dtype, fuse, reuse)
    for trainer in (plain, other):
        for _ in range(3):
            trainer.run_epoch([x], [labels], None, 32, True, None, False, False, None, None)
    assert plain.model.flat_parameters.tobytes() == other.model.flat_parameters.tobytes()
    assert len(plain.plan()["fused"]) == 3
    assert plain.plan()["fused"][0] == "dense_0.z + dense_0.a"
    assert (len(other.plan()["fused"]) == 0) == (not fuse)
    if not reuse:
        assert other.plan()["arena_bytes"] > plain.plan()["arena_bytes"]


def test_softmax_and_cross_entropy_are_one_step() -> None:
    """The loss reads the logits, so the softmax itself is not even computed in training."""
    net = rg.Sequential([rg.Input(3), rg.Dense(4), rg.Activation("softmax")])
    trainer = rg.Trainer(net, loss="cross_entropy")
    trainer.step(np.ones((2, 3), np.float32), np.array([0, 3]))
    steps = trainer.plan()["steps"]
    assert any("cross_entropy(dense_0.z" in step for step in steps)
    assert not any("softmax(" in step for step in steps)


SCRIPT = """
import hashlib, numpy as np, retrograd as rg
from retrograd import _core
rng = np.random.default_rng(0)
digest = hashlib.sha256()
names = [n for n in _core.op_list("activation") if n not in ("exp", "softmax", "log_softmax")]
for dtype in ("float32", "float64"):
    x, y = rng.normal(size=(150, 9)), rng.normal(size=(150, 3))
    for name in names:
        net = rg.Sequential([rg.Input(9), rg.Dense(17, activation=name), rg.Dense(3)], dtype=dtype)
        trainer = rg.Trainer(net, loss="huber", optimizer=rg.AdamW(1e-2), l1=1e-4, clip_norm=1.0)
        trainer.fit(x, y, epochs=2, batch_size=40, progress=False)
        digest.update(net.flat_parameters.tobytes())
    net = rg.Sequential([rg.Input(9), rg.Dense(33, activation="tanh"), rg.Dense(5)], dtype=dtype)
    labels = rng.integers(0, 5, 150)
    rg.Trainer(net, loss="cross_entropy").fit(x, labels, epochs=2, batch_size=40, progress=False)
    digest.update(net.flat_parameters.tobytes())
print(_core.isa(), digest.hexdigest())
"""


def run_with(isa: str) -> list[str]:
    environment = {**os.environ, "RETROGRAD_ISA": isa}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
    ).stdout.split()


def test_instruction_sets_agree_to_the_bit() -> None:
    with_fma = [isa for isa in _core.runnable_isas() if isa != "baseline"]
    if len(with_fma) < 2:
        pytest.skip(f"this machine runs one instruction set with fused multiply-add at most: {with_fma}")
    results = {isa: run_with(isa) for isa in with_fma}
    assert [name for name, _ in results.values()] == with_fma
    assert len({digest for _, digest in results.values()}) == 1


def test_an_unknown_instruction_set_is_reported_not_fatal() -> None:
    environment = {**os.environ, "RETROGRAD_ISA": "mmx"}
    script = "from retrograd import _core; print(_core.isa()); print(_core.isa_warning())"
    isa, warning = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert isa in _core.runnable_isas()
    assert "mmx" in warning


def test_parameter_bytes_have_not_changed() -> None:
    """Initialisation and shuffling are counter-based: the same numbers on every machine with this version."""
    net = rg.Sequential([rg.Input(5), rg.Dense(7, activation="relu"), rg.Dense(2)], seed=11)
    digest = hashlib.sha256(net.flat_parameters.tobytes()).hexdigest()
    assert digest.startswith("87f82c4b5a32")
    assert _core.permutation(10, 0, 0).tolist() == [8, 6, 9, 7, 3, 0, 2, 1, 5, 4]
