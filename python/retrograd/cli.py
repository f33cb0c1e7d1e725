"""The command line: ``retrograd train | predict | explain | play | doctor``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from retrograd._tabular.training import Settings

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 1 for an error, 2 for a misuse, 130 after Ctrl-C."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.cmake_dir:
        return _cmake_dir()
    if options.command is None:
        parser.print_help()
        return 2
    from retrograd.errors import RetrogradError

    try:
        status: int = options.run(options)
        return status
    except BrokenPipeError:  # `retrograd predict ... | head` has seen enough
        sys.stdout = None  # or the interpreter would try to write the rest
        return 1
    except (RetrogradError, OSError) as error:
        print(f"retrograd: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("retrograd: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    import argparse

    from retrograd import __version__
    from retrograd._explain import command as explain
    from retrograd._play import command as play
    from retrograd._tabular import command as tabular

    parser = argparse.ArgumentParser(prog="retrograd", description="Neural-network training on the CPU.")
    parser.add_argument("--version", action="version", version=f"retrograd {__version__}")
    parser.add_argument(
        "--cmake-dir",
        action="store_true",
        help="print where CMake finds the C++ library",
    )
    commands = parser.add_subparsers(dest="command", metavar="command")

    train = commands.add_parser("train", help="train a network on a .csv file, or on handwritten digits")
    tabular.add_train_arguments(train)
    train.set_defaults(run=_train)

    predict = commands.add_parser("predict", help="the outputs of a saved model for the rows of a file")
    predict.add_argument("model", help="a file that net.save or `retrograd train` wrote")
    predict.add_argument(
        "data",
        help="a .csv file like the one trained on; otherwise an .npy file, or a .csv file of numbers with or "
        "without a line of names",
    )
    predict.add_argument(
        "--as",
        dest="kind",
        choices=("outputs", "probabilities", "labels"),
        default="outputs",
        help="what is printed (default: outputs; where the classes have names, the names)",
    )
    predict.add_argument(
        "--delimiter", metavar="CHARACTER", help="of a .csv file (default: as in training, else ',')"
    )
    predict.add_argument("--out", default=None, help="an .npy or .csv file to write in place of printing")
    predict.set_defaults(run=_predict)

    explain.add_arguments(
        commands.add_parser("explain", help="one training step of a small network, written out")
    )
    play.add_arguments(
        commands.add_parser("play", help="the interactive page: see a network learn, step by step")
    )

    doctor = commands.add_parser(
        "doctor", help="versions, processor, threads, speed, and a check of gradients and of equal bits"
    )
    doctor.set_defaults(run=_doctor)
    return parser


def _cmake_dir() -> int:
    """Print the folder of retrograd-config.cmake, which an installed package has."""
    import os

    import retrograd

    for place in retrograd.__path__:
        folder = os.path.join(place, "cmake")
        if os.path.isfile(os.path.join(folder, "retrograd-config.cmake")):
            print(folder)
            return 0
    print(
        "retrograd: this package was imported from a source folder, which has no retrograd-config.cmake; "
        "install it with pip, or add the source folder to the CMake project with add_subdirectory",
        file=sys.stderr,
    )
    return 1


def _train(options: argparse.Namespace) -> int:
    from retrograd._tabular import command as tabular

    settings = tabular.settings_of(options)
    if options.data is not None:
        return tabular.train(options, settings)
    tabular.refuse_without_file(options)
    tabular.check_out(options.out)
    return _train_on_digits(settings, options.out)


def _train_on_digits(settings: Settings, out: str) -> int:
    import numpy as np

    import retrograd as rg

    x, y = rg.datasets.digits()
    training, test = rg.data.split_rows(len(x), 0.2, seed=0, labels=y)  # the same split for every seed
    print(f"handwritten digits: {len(training):,} images to train on, {len(test):,} to test, 8x8 pixels each")
    net = rg.Sequential(
        [
            rg.Input(64),
            rg.Rescale(1 / 16),
            *[rg.Dense(units, activation="relu") for units in settings.hidden],
            rg.Dense(10),
        ],
        seed=settings.seed,
    )
    trainer = rg.Trainer(
        net,
        loss="cross_entropy",
        optimizer=rg.Adam(settings.lr),
        metrics=["accuracy"],
        threads=settings.threads,
        seed=settings.seed,
    )
    interrupted = False
    try:
        history = trainer.fit(
            x[training],
            y[training],
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            progress=settings.progress,
        )
    except KeyboardInterrupt:
        history, interrupted = trainer.history, True
        print("interrupted; the model is as the last complete step left it", file=sys.stderr)
    seconds = sum(history.history.get("seconds", []))
    print(f"{history.epochs} epochs, {history.iterations:,} iterations in {seconds:.1f} s")
    result = trainer.evaluate(x[test], y[test])
    wrong = int(np.sum(net.predict(x[test]).argmax(axis=1) != y[test]))
    print(f"test accuracy {result['accuracy']:.2%} ({wrong} of {len(test)} wrong), loss {result['loss']:.4f}")
    print(f"saved to {net.save(out)}")
    return 130 if interrupted else 0


def _predict(options: argparse.Namespace) -> int:
    import numpy as np

    import retrograd as rg
    from retrograd._tabular import command as tabular
    from retrograd._tabular.preparation import preparation_of

    net = rg.load(options.model)
    preparation = preparation_of(options.model, net.metadata)
    if preparation is not None and not options.data.endswith(".npy"):
        return tabular.predict(options, net, preparation)
    x = _read(options.data)
    node = net.inputs[0]
    if len(net.inputs) == 1 and x.ndim == 2 and len(node.shape) != 2:
        size = int(np.prod(node.sample_shape))
        if x.shape[1] == size:  # a table has one row for each image
            x = x.reshape(len(x), *node.sample_shape)
    if options.kind == "outputs":
        result = net.predict(x)
    else:
        result = net.predict_proba(x)
        if options.kind == "labels":
            result = (result.argmax(axis=-1) if result.shape[-1] > 1 else (result[..., 0] > 0.5)).astype(
                np.int64
            )
    if options.out is not None and options.out.endswith(".npy"):
        np.save(options.out, result)
        return 0
    rows = result.reshape(len(result), -1)
    style = "%d" if rows.dtype.kind == "i" else "%.9g"
    np.savetxt(sys.stdout if options.out is None else options.out, rows, delimiter=",", fmt=style)
    return 0


def _read(path: str) -> NDArray[Any]:
    import numpy as np

    from retrograd.errors import FileFormatError

    if path.endswith(".npy"):
        try:
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise FileFormatError(f"{path}: not an .npy file of numbers ({error})") from None
        return array
    try:
        with open(path, encoding="utf-8") as file:
            skip = 0 if _is_numbers(file.readline()) else 1
        return np.loadtxt(path, delimiter=",", skiprows=skip, ndmin=2, dtype=np.float64)
    except ValueError as error:
        raise FileFormatError(f"{path}: expected numbers separated by commas ({error})") from None


def _is_numbers(line: str) -> bool:
    try:
        [float(part) for part in line.split(",")]
    except ValueError:
        return False
    return True


def _doctor(options: argparse.Namespace) -> int:
    import platform
    from importlib.util import find_spec

    import numpy as np

    import retrograd as rg
    from retrograd import _core
    from retrograd._machine import machine

    found = ", ".join(
        name
        for name in (
            *("tqdm", "pandas", "polars", "matplotlib", "sympy", "sklearn", "torch", "onnx", "onnxruntime"),
            *("IPython", "anywidget", "websockets"),
        )
        if find_spec(name)
    )
    facts = {
        "retrograd": rg.__version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "NumPy": np.__version__,
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "instruction set": f"{_core.isa()} (this processor runs {', '.join(_core.runnable_isas())})",
        "threads": f"{_core.available_threads()} available, by {_core.parallel_backend()}",
        "speed": f"{machine()}",
        "found besides": found or "nothing",
    }
    for name, fact in facts.items():
        print(f"{name:16} {fact}")
    if _core.isa_warning():
        print(f"warning: {_core.isa_warning()}")
    net = rg.Sequential([rg.Input(3), rg.Dense(5, activation="tanh"), rg.Dense(2)], seed=1)
    rng = np.random.default_rng(0)
    report = rg.check_gradients(net, rng.normal(size=(7, 3)), rng.integers(0, 2, 7), "cross_entropy")
    print(report)
    same = _same_bytes()
    print(f"same bytes with 1 and 2 threads after 20 steps: {same}")
    return 0 if report.passed and same != "FAILED" else 1


def _same_bytes() -> str:
    """Whether one thread and two train the same parameters, by steps large enough to be shared."""
    import numpy as np

    import retrograd as rg

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(256, 64)).astype(np.float32), rng.integers(0, 10, 256)
    found = []
    for threads in (1, 2):
        net = rg.Sequential([rg.Input(64), rg.Dense(64, activation="tanh"), rg.Dense(10)], seed=1)
        trainer = rg.Trainer(net, "cross_entropy", rg.Adam(1e-2), threads=threads)
        for _ in range(20):
            trainer.step(x, y)
        if trainer.threads_used != threads:
            return f"not tested, this process was lent {trainer.threads_used}"
        found.append(net.flat_parameters.tobytes())
    return "passed" if found[0] == found[1] else "FAILED"


if __name__ == "__main__":
    sys.exit(main())
