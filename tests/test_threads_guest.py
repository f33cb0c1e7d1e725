"""How many threads the library takes when the number is left to it: never more than it was lent.

Each case runs in a process of its own, because most of what limits threads is read when a process begins.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from retrograd import _core

CPUS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

needs_two_cpus = pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPUs that this process may use")
needs_openmp = pytest.mark.skipif(_core.parallel_backend() != "openmp", reason="OpenMP is not in this build")

# Work for many threads, in one long step, so that the number with which fit begins is seen.
HEAD = """
import json, os
import numpy as np
import retrograd as rg
from retrograd import _core

def fit(threads=None):
    '''How many threads train, and how many more the process has from then on.'''
    net = rg.Sequential([rg.Input(256), rg.Dense(512, activation="relu"), rg.Dense(10)], seed=0)
    trainer = rg.Trainer(net, loss="cross_entropy", optimizer=rg.SGD(0.1), threads=threads)
    before = len(os.listdir("/proc/self/task"))
    x = np.ones((2048, 256), np.float32)
    trainer.fit(x, np.zeros(2048, int), epochs=1, batch_size=2048, progress=False)
    net.predict(x, batch_size=2048, threads=threads)
    return [trainer.threads_used, len(os.listdir("/proc/self/task")) - before]
"""


def run(script: str, cpus: Sequence[int] = CPUS, **environment: str) -> Any:
    """The JSON that the script prints last, run on these CPUs, without what this process was told."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    result = subprocess.run(
        [sys.executable, "-c", HEAD + script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**kept, **environment},
        preexec_fn=lambda: os.sched_setaffinity(0, cpus) if cpus else None,
    )
    assert result.returncode == 0, f"exit status {result.returncode}\n{result.stdout}{result.stderr}"
    return json.loads(result.stdout.splitlines()[-1])


@needs_two_cpus
def test_as_many_threads_as_cpus() -> None:
    """What the other tests take away is there otherwise."""
    assert run("print(json.dumps([fit(), _core.available_threads()]))", CPUS[:2]) == [[2, 1], 2]


@needs_two_cpus
def test_one_cpu_in_the_affinity_mask() -> None:
    assert run("print(json.dumps([fit(), _core.available_threads()]))", CPUS[:1]) == [[1, 0], 1]


@needs_two_cpus
def test_the_affinity_mask_shrinks_after_import() -> None:
    """Before the first fit, or between two of them, and in a forked worker."""
    script = f"""
first, last = {CPUS[0]}, {CPUS[1]}
early = []
pid = os.fork()
if pid == 0:
    os.sched_setaffinity(0, [last])
    os._exit(fit() != [1, 0])
early.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
early.append(fit())
os.sched_setaffinity(0, [first])
early.append(fit())
os.sched_setaffinity(0, [first, last])
early.append(fit()[0])
print(json.dumps(early))
"""
    assert run(script, CPUS[:2]) == [0, [2, 1], [1, 0], 2]


@needs_two_cpus
@pytest.mark.parametrize(
    ("value", "threads"),
    [
        ("1", 1),
        ("2", 2),
        ("1000", 2),  # more than there are CPUs
        ("1,2", 1),  # the second number is for regions inside of regions
        ("2,1", 2),
        (" 1 ", 1),
        ("", 2),
        ("0", 2),
        ("-1", 2),
        ("many", 2),
        ("1x", 2),
        ("99999999999999999999999", 2),
    ],
)
def test_omp_num_threads(value: str, threads: int) -> None:
    """What is no number of threads is as if it were not there."""
    script = "print(json.dumps([fit(), _core.available_threads()]))"
    assert run(script, CPUS[:2], OMP_NUM_THREADS=value) == [[threads, threads - 1], threads]


@needs_two_cpus
@needs_openmp
def test_omp_thread_limit() -> None:
    """A limit for the whole process holds even against an explicit number."""
    script = "print(json.dumps([fit(), fit(4)[0]]))"
    assert run(script, CPUS[:2], OMP_THREAD_LIMIT="1") == [[1, 0], 1]


@needs_two_cpus
def test_an_explicit_number_is_the_callers_word() -> None:
    """Environment and mask are for whoever leaves the number open."""
    assert run("print(json.dumps(fit(3)))", CPUS[:1], OMP_NUM_THREADS="1") == [3, 2]


@needs_two_cpus
@needs_openmp
def test_threadpoolctl() -> None:
    """It finds the OpenMP that this library uses, and what it sets holds while it is set."""
    pytest.importorskip("threadpoolctl")
    script = """
from threadpoolctl import threadpool_info, threadpool_limits

counts = [fit()]
with threadpool_limits(1):
    counts.append(fit())
with threadpool_limits(1, user_api="openmp"):
    counts.append(fit())
with threadpool_limits(1, user_api="blas"):
    counts.append(fit()[0])
counts.append(fit()[0])
seen = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp"]
print(json.dumps([counts, seen]))
"""
    counts, seen = run(script, CPUS[:2])
    assert counts == [[2, 1], [1, 0], [1, 0], 2, 2]
    assert seen == [2]


@needs_two_cpus
@needs_openmp
def test_threadpoolctl_before_the_first_fit() -> None:
    pytest.importorskip("threadpoolctl")
    script = """
from threadpoolctl import threadpool_limits

threadpool_limits(1)
print(json.dumps(fit()))
"""
    assert run(script, CPUS[:2]) == [1, 0]
