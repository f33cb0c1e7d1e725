"""The C++ programs of tests/cpp that need no Python: built and run as they stand.

The operations are checked there with what Python cannot reach: teams of every size, buffers of the exact
size that begin as NaN, gradients that are added. ``bits`` trains with every instruction set that the machine
has, whose parameters must have the bytes of ``bits/expected.txt``. The longer programs (kernels, vector_math)
are for ``nox -s cpp``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "cpp"


@pytest.mark.parametrize("folder", ["base", "io", "train", "."], ids=["base", "io", "train", "ops and bits"])
def test_programs(folder: str, tmp_path: Path) -> None:
    cmake = shutil.which("cmake")
    if cmake is None or shutil.which(os.environ.get("CXX", "c++")) is None:
        pytest.skip("needs cmake and a C++ compiler")
    build = tmp_path / "build"
    for command in (
        [cmake, "-S", str(FOLDER / folder), "-B", str(build)],
        [cmake, "--build", str(build), "--parallel", "2"],
        [shutil.which("ctest") or "ctest", "--test-dir", str(build), "--output-on-failure"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
