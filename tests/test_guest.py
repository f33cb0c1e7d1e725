"""A library is a guest in somebody's process: interruptible, forkable, silent, and never left half-changed.

What could hang or kill a process runs in one of its own, with a time limit.
"""

from __future__ import annotations

import copy
import gc
import json
import os
import platform
import shutil
import subprocess
import sys
import textwrap
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from networks import parameter_bytes


def run_script(script: str, seconds: float = 60.0, **environment: str) -> Any:
    """Runs Python source in a process of its own and returns the JSON it prints last."""
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env={**os.environ, **environment},
    )
    assert result.returncode == 0, f"exit status {result.returncode}\n{result.stdout}{result.stderr}"
    return json.loads(result.stdout.splitlines()[-1])


# ------------------------------------------------------------------------------------------- interruption

INTERRUPT = """
import json, os, signal, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job ignores
import numpy as np
import retrograd as rg

HIDDEN, ROWS, BATCH, THREADS = {hidden}, {rows}, {batch}, {threads}
rng = np.random.default_rng(0)
x = rng.normal(size=(ROWS, 64)).astype(np.float32)
y = rng.integers(0, 10, size=ROWS)

def trainer():
    hidden = [rg.Dense(HIDDEN, activation="relu") for _ in range(2)]
    net = rg.Sequential([rg.Input(64), *hidden, rg.Dense(10)], seed=0)
    return rg.Trainer(net, loss="cross_entropy", optimizer=rg.Adam(1e-3), threads=THREADS)

sent = []
def kill():
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)

results = []
for number in range({trials}):
    t = trainer()
    before = t.model.flat_parameters.copy()
    timer = threading.Timer(0.3 + 0.037 * number, kill)
    timer.start()
    try:
        t.fit(x, y, epochs=100_000, batch_size=BATCH, progress=False)
        raise SystemExit("fit was not interrupted")
    except KeyboardInterrupt:
        latency = time.perf_counter() - sent[-1]
    timer.join()

    # the same iterations by hand: an interrupted step is either done or not begun
    replay = trainer()
    done, epoch = t.iteration, 0
    while replay.iteration < done:
        for xb, yb in rg.data.batches(x, y, batch_size=BATCH, seed=0, epoch=epoch):
            if replay.iteration == done:
                break
            replay.step(xb, yb)
        epoch += 1
    same = replay.model.flat_parameters.tobytes() == t.model.flat_parameters.tobytes()

    finite = bool(np.isfinite(t.model.predict(x[:5])).all())
    t.fit(x[:256], y[:256], epochs=1, batch_size=128, progress=False)
    results.append(dict(latency=latency, iterations=done, same=same, finite=finite, more=t.iteration - done))
print(json.dumps(results))
"""


@pytest.mark.skipif(os.name == "nt", reason="a signal sent with os.kill ends a Windows process")
@pytest.mark.parametrize(
    ("hidden", "rows", "batch", "threads"),
    [(32, 20_000, 64, 1), (32, 20_000, 64, 2), (2048, 8_192, 8_192, 1), (2048, 8_192, 8_192, 2)],
    ids=["short steps", "short steps, 2 threads", "steps of a second", "steps of a second, 2 threads"],
)
def test_interrupted_within_100_ms(hidden: int, rows: int, batch: int, threads: int) -> None:
    """However long a step is: a step that cannot end in time is dropped."""
    script = INTERRUPT.format(hidden=hidden, rows=rows, batch=batch, threads=threads, trials=3)
    for trial in run_script(script, seconds=120):
        assert trial["latency"] < 0.1
        assert trial["same"], "the state after the interrupt is not that of any whole number of steps"
        assert trial["finite"]
        assert trial["more"] == 2
        assert trial["iterations"] > 0 or hidden == 2048


@pytest.mark.skipif(os.name == "nt", reason="a signal sent with os.kill ends a Windows process")
def test_history_so_far_survives_an_interrupt() -> None:
    script = """
    import json, os, signal
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as above
    import numpy as np
    import retrograd as rg

    class Interrupt:
        def on_epoch_begin(self, trainer, logs=None):
            if trainer.epoch == 3:
                os.kill(os.getpid(), signal.SIGINT)

    net = rg.Sequential([rg.Input(4), rg.Dense(1)], seed=0)
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.01))
    x, y = np.ones((100, 4), np.float32), np.ones((100, 1), np.float32)
    try:
        trainer.fit(x, y, epochs=10, batch_size=10, callbacks=[Interrupt()], progress=False)
    except KeyboardInterrupt:
        pass
    losses = list(trainer.history.history["loss"])
    trainer.fit(x, y, epochs=1, batch_size=10, progress=False)
    print(json.dumps([losses, list(trainer.history.history["loss"])]))
    """
    before, after = run_script(script)
    assert len(before) == 3
    assert after[:3] == before
    assert len(after) == 4


# ---------------------------------------------------------------------------------------------------- fork

FORK_HEAD = """
import json, multiprocessing, os, signal, sys, threading, time, warnings
import numpy as np
import retrograd as rg

warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns about any fork beside threads
rng = np.random.default_rng(0)
x = rng.normal(size=(4096, 128)).astype(np.float32)
y = rng.integers(0, 10, size=4096)

def trainer(threads=4):
    net = rg.Sequential([rg.Input(128), rg.Dense(256, activation="relu"), rg.Dense(10)], seed=0)
    return rg.Trainer(net, loss="cross_entropy", optimizer=rg.Adam(1e-3), threads=threads)

def train(t, epochs=2):
    t.fit(x, y, epochs=epochs, batch_size=1024, progress=False)
    return t.model.flat_parameters.tobytes()

def wait(pid, seconds=5.0):
    '''The exit status of a child, or "hangs" if it has none in time.'''
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hangs"

def in_child(f):
    pid = os.fork()
    if pid == 0:
        try:
            ok = f()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            ok = False
        os._exit(0 if ok else 1)
    return wait(pid)
"""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


@needs_fork
def test_fork_after_training() -> None:
    """The child trains the parent's model on, a fresh one, and its own child does so too; same bits."""
    script = (
        FORK_HEAD
        + """
t = trainer()
first = train(t)
copy = t.model.copy()
def child():
    return train(trainer()) == first and np.isfinite(t.model.predict(x[:10])).all() and len(train(t, 1)) > 0
statuses = [in_child(child), in_child(lambda: in_child(child) == 0)]
again = train(trainer()) == first  # the parent still works, with all its threads
t2 = trainer()
train(t2)
print(json.dumps([statuses, again, t2.threads_used, copy.flat_parameters.tobytes() == first]))
"""
    )
    statuses, again, threads, untouched = run_script(script)
    assert statuses == [0, 0]
    assert again
    assert threads == 4
    assert untouched


@needs_fork
def test_fork_while_another_thread_trains() -> None:
    script = (
        FORK_HEAD
        + """
expected = train(trainer())
busy = trainer()
stop = False
def work():
    while not stop:
        busy.fit(x, y, epochs=1, batch_size=1024, progress=False)
thread = threading.Thread(target=work)
thread.start()
statuses = []
for _ in range(10):
    time.sleep(0.03)
    statuses.append(in_child(lambda: train(trainer()) == expected))
stop = True
thread.join()
print(json.dumps([statuses, bool(np.isfinite(busy.model.flat_parameters).all())]))
"""
    )
    statuses, finite = run_script(script)
    assert statuses == [0] * 10
    assert finite


@needs_fork
def test_a_pool_of_forked_processes() -> None:
    script = (
        FORK_HEAD
        + """
def work(seed):
    return train(trainer(threads=2))

expected = train(trainer())
with multiprocessing.get_context("fork").Pool(3) as pool:
    results = pool.map_async(work, range(6)).get(timeout=30)
print(json.dumps([result == expected for result in results]))
"""
    )
    assert run_script(script) == [True] * 6


# --------------------------------------------------------------------------------------------------- views


def small_net(dtype: str = "float32") -> rg.Model:
    return rg.Sequential([rg.Input(3), rg.Dense(4, activation="tanh"), rg.Dense(2)], seed=0, dtype=dtype)


@pytest.mark.parametrize("mapping", ["parameters", "gradients"])
def test_views_share_memory_with_the_flat_array(mapping: str) -> None:
    net = small_net()
    flat = getattr(net, f"flat_{mapping}")
    views = getattr(net, mapping)
    assert list(views) == ["dense_0.weight", "dense_0.bias", "dense_1.weight", "dense_1.bias"]
    assert flat.size == sum(view.size for view in views.values()) == 3 * 4 + 4 + 4 * 2 + 2
    for view in views.values():
        assert np.shares_memory(view, flat)
        assert view.flags.writeable
        assert view.flags.c_contiguous
    assert [view.shape for view in views.values()] == [(4, 3), (4,), (2, 4), (2,)]
    np.testing.assert_array_equal(np.concatenate([view.ravel() for view in views.values()]), flat)
    assert getattr(net, f"flat_{mapping}").ctypes.data == flat.ctypes.data  # storage never moves


def test_writing_to_a_view_changes_the_model() -> None:
    net = small_net()
    x = np.ones((1, 3), np.float32)
    weight = net.parameters["dense_1.weight"]
    weight[...] = 0.0
    net.parameters["dense_1.bias"][...] = [3.0, -1.0]
    np.testing.assert_array_equal(net.predict(x), [[3.0, -1.0]])
    net["dense_1"].weight[0, 0] = 5.0
    assert weight[0, 0] == 5.0
    net.flat_parameters[...] = 0.0
    assert weight[0, 0] == 0.0


def test_views_outlive_the_model() -> None:
    net = small_net()
    view, flat = net.parameters["dense_0.weight"], net.flat_gradients
    row = net.parameters["dense_1.weight"][1]  # a view of a view
    expected = view.copy(), row.copy()
    gone = weakref.ref(net)
    del net
    gc.collect()
    assert gone() is None
    rubbish = [np.full(1000, 1e30, np.float32) for _ in range(200)]  # what would reuse freed memory
    np.testing.assert_array_equal(view, expected[0])
    np.testing.assert_array_equal(row, expected[1])
    view += 1.0
    flat[...] = 2.0
    np.testing.assert_array_equal(view, expected[0] + 1.0)
    assert len(rubbish) == 200


def test_views_survive_training_saving_and_copying(tmp_path: Path) -> None:
    net = small_net()
    view = net.parameters["dense_0.weight"]
    address = view.ctypes.data
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.1))
    rng = np.random.default_rng(0)
    for batch_size in (5, 100, 7):  # a larger batch needs a larger workspace, not other parameters
        trainer.fit(rng.normal(size=(200, 3)), rng.normal(size=(200, 2)), 1, batch_size, progress=False)
    net.save(tmp_path / "m.safetensors")
    twin, clone = net.copy(), copy.deepcopy(net)
    net.set_parameters({name: value * 2 for name, value in net.parameters.items()})
    assert net.parameters["dense_0.weight"].ctypes.data == address
    np.testing.assert_array_equal(view, net.parameters["dense_0.weight"])
    for other in (twin, clone):
        assert not np.shares_memory(other.flat_parameters, net.flat_parameters)
        np.testing.assert_array_equal(2 * other.parameters["dense_0.weight"], view)


def test_optimizer_state_is_a_view() -> None:
    trainer = rg.Trainer(small_net(), loss="mse", optimizer=rg.Adam(0.1))
    trainer.step(np.ones((2, 3)), np.ones((2, 2)))
    slot = trainer.optimizer_state["dense_0.weight"]["exp_avg"]
    assert slot.shape == (4, 3)
    before = slot.copy()
    trainer.step(np.ones((2, 3)), np.zeros((2, 2)))
    assert not np.array_equal(slot, before)
    del trainer
    gc.collect()
    assert np.isfinite(slot).all()


# ------------------------------------------------------------------------------------- a step that fails


def state_of(trainer: rg.Trainer) -> tuple[Any, ...]:
    slots = [value.tobytes() for group in trainer.optimizer_state.values() for value in group.values()]
    return parameter_bytes(trainer.model), slots, trainer.iteration


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("how", ["step", "fit"])
def test_overflow_in_forward_names_the_layer(dtype: str, how: str) -> None:
    net = small_net(dtype)
    x, y = np.ones((8, 3), dtype), np.ones((8, 2), dtype)
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.Adam(0.1))
    trainer.step(x, y)
    net.parameters["dense_0.weight"][...] = 1.0
    net.parameters["dense_1.weight"][...] = np.finfo(dtype).max  # finite, but twice of it is not
    before = state_of(trainer)
    options = {"epochs": 1, "batch_size": 8, "progress": False} if how == "fit" else {}
    with pytest.raises(rg.NonFiniteError, match="dense_1"):
        getattr(trainer, how)(x, y, **options)
    assert state_of(trainer) == before


def test_overflow_in_backward_names_the_layer() -> None:
    """Outputs and loss are finite; the error that travels back through dense_2 is not."""
    net = rg.Sequential([rg.Input(1), rg.Dense(1), rg.Dense(1), rg.Dense(1)], seed=0)
    for number, weight in enumerate((1e-38, 1e-38, 1e38)):
        net.parameters[f"dense_{number}.weight"][...] = weight
    x, y = np.full((2, 1), 1e3, np.float32), np.full((2, 1), 1e5, np.float32)
    trainer = rg.Trainer(net, loss="half_squared_error", optimizer=rg.SGD(0.1))
    before = state_of(trainer)
    with pytest.raises(rg.NonFiniteError, match=r"dense_[12]"):
        trainer.step(x, y)
    assert state_of(trainer) == before


def test_overflow_in_the_update() -> None:
    """Every gradient is finite, and yet the new weight would not be."""
    net = small_net()
    x, y = np.ones((8, 3), np.float32), np.full((8, 2), 1e3, np.float32)
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(1e38, momentum=0.9))
    before = state_of(trainer)
    with pytest.raises(rg.NonFiniteError, match="dense_"):
        trainer.step(x, y)
    assert state_of(trainer) == before


def test_overflow_of_the_second_moment() -> None:
    """The square of a finite gradient of 1e20 overflows float32."""
    net = small_net()
    x, y = np.ones((8, 3), np.float32), np.full((8, 2), 1e20, np.float32)
    trainer = rg.Trainer(net, loss="mean_absolute_error", optimizer=rg.Adam(0.1))
    net.parameters["dense_1.weight"][...] = 1e25
    before = state_of(trainer)
    with pytest.raises(rg.NonFiniteError, match="dense_"):
        trainer.step(x, y)
    assert state_of(trainer) == before


def test_overflow_by_the_settings_of_a_group() -> None:
    """The second step comes from parameters that the first one has looked at."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3)).astype(np.float32), rng.normal(size=(8, 2)).astype(np.float32)
    groups = [rg.ParamGroup("dense_0", weight_decay=1e38, lr_scale=1e3)]
    trainer = rg.Trainer(small_net(), loss="mse", optimizer=rg.SGD(0.1), param_groups=groups)
    before = state_of(trainer)
    for _ in range(2):
        with pytest.raises(rg.NonFiniteError, match="dense_0"):
            trainer.step(x, y)
    trainer = rg.Trainer(small_net(), loss="mse", optimizer=rg.SGD(1e-3), param_groups=groups)
    with pytest.raises(rg.NonFiniteError, match="dense_0"):
        trainer.fit(x, y, epochs=20, batch_size=8, progress=False)
    assert np.isfinite(trainer.model.flat_parameters).all()
    assert state_of(rg.Trainer(small_net(), loss="mse", optimizer=rg.SGD(0.1))) == before


def test_training_goes_on_after_a_failed_step() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 3)).astype(np.float32), rng.normal(size=(32, 2)).astype(np.float32)
    runs = []
    for fails in (False, True):
        trainer = rg.Trainer(small_net(), loss="mse", optimizer=rg.Adam(0.01))
        for number in range(5):
            if fails and number == 2:
                with pytest.raises(rg.NonFiniteError):
                    trainer.step(x * np.float32(1e30), y * np.float32(1e30))
            trainer.step(x, y)
        runs.append(state_of(trainer))
    assert runs[0] == runs[1]


# ------------------------------------------------------------------------------------------ a quiet guest


def test_import_prints_nothing_and_imports_little() -> None:
    script = """
    import json, sys
    import numpy
    before = set(sys.modules)
    import retrograd
    heavy = "matplotlib sklearn onnx torch mpi4py sympy pandas polars scipy safetensors tqdm rich".split()
    print(json.dumps([name for name in heavy if name in sys.modules and name not in before]))
    """
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import retrograd"], capture_output=True, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert run_script(script) == []


def test_training_prints_nothing_where_there_is_no_terminal() -> None:
    script = """
    import numpy as np
    import retrograd as rg
    net = rg.Sequential([rg.Input(3), rg.Dense(1)])
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.1))
    trainer.fit(np.ones((50, 3)), np.ones((50, 1)), epochs=2)
    net.predict(np.ones((50, 3)))
    """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_nothing_global_changes() -> None:
    """Random state, floating-point errors, denormal numbers, signal handlers, threads of other libraries."""
    script = """
    import json, os, signal, threading
    import numpy as np
    np.random.seed(0)
    before = (np.random.get_state()[1].tolist(), np.geterr(), str(signal.getsignal(signal.SIGINT)),
              dict(os.environ), os.getcwd(), signal.pthread_sigmask(signal.SIG_BLOCK, []))
    import retrograd as rg
    net = rg.Sequential([rg.Input(64), rg.Dense(256, activation="relu"), rg.Dense(1)])
    trainer = rg.Trainer(net, loss="mse", optimizer=rg.SGD(0.01), threads=2)
    trainer.fit(np.ones((4096, 64)), np.ones((4096, 1)), epochs=1, batch_size=1024, progress=False)
    after = (np.random.get_state()[1].tolist(), np.geterr(), str(signal.getsignal(signal.SIGINT)),
             dict(os.environ), os.getcwd(), signal.pthread_sigmask(signal.SIG_BLOCK, []))
    denormal = float(np.float64(1e-310) * 0.5)
    print(json.dumps([before == after, denormal, threading.active_count()]))
    """
    same, denormal, threads = run_script(script)
    assert same
    assert denormal == 5e-311
    assert threads == 1


# ------------------------------------------------------------------------------------------- allocations

ALLOCATIONS = """
import ctypes, gc, json, os
import numpy as np
import retrograd as rg

count = ctypes.CDLL(os.environ["LD_PRELOAD"]).count_allocations
count.restype = ctypes.c_long

def trainer():
    net = rg.Sequential([rg.Input(16), rg.Dense(32, activation="{activation}"), rg.Dense(4)], seed=0)
    return rg.Trainer(net, loss="cross_entropy", optimizer=rg.{optimizer}(1e-3), threads={threads}, l2=1e-4,
                      clip_norm=1.0)

rng = np.random.default_rng(0)
data = {{n: (rng.normal(size=(n * 128, 16)).astype("{dtype}"), rng.integers(0, 4, size=n * 128))
        for n in (100, 1100)}}
found = {{100: [], 1100: []}}
for repeat in range(4):
    for iterations, (x, y) in data.items():
        t = trainer()
        t.fit(x, y, epochs=1, batch_size=128, progress=False)  # everything lazy has happened
        gc.collect()
        gc.disable()
        before = count()
        t.fit(x, y, epochs=1, batch_size=128, progress=False)
        found[iterations].append(count() - before)
        gc.enable()
        assert t.iteration == 2 * iterations
before = count()
bytes(100_000)
print(json.dumps([found[100], found[1100], count() - before]))
"""


@pytest.fixture(scope="session")
def allocation_counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler for the allocation counter")
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the allocation counter is written for glibc")
    library = tmp_path_factory.mktemp("allocations") / "count_allocations.so"
    source = Path(__file__).parent / "data" / "count_allocations.c"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", source, "-o", library], check=True)
    return library


@pytest.mark.parametrize(
    ("optimizer", "activation", "dtype", "threads"),
    [("Adam", "relu", "float32", 1), ("SGD", "gelu", "uint8", 1), ("RMSprop", "tanh", ">f8", 2)],
)
def test_no_allocation_per_training_step(
    allocation_counter: Path, optimizer: str, activation: str, dtype: str, threads: int
) -> None:
    """An epoch of 1,100 iterations allocates exactly as often as one of 100.

    The least of several repetitions is taken: Python itself allocates now and then, whoever runs.
    """
    script = ALLOCATIONS.format(optimizer=optimizer, activation=activation, dtype=dtype, threads=threads)
    few, many, seen = run_script(script, LD_PRELOAD=str(allocation_counter))
    assert seen > 0, "the counter does not count"
    assert min(many) == min(few)
