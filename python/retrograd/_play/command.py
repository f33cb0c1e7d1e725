"""``retrograd play``: the page from the command line."""

from __future__ import annotations

import webbrowser
from typing import TYPE_CHECKING, Any

from retrograd.errors import ArgumentError

if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("--port", type=int, default=0, help="default: a free one")
    add("--no-browser", action="store_true", help="print the address and open nothing")
    add("--model", metavar="FILE", help="a saved model to go on with; needs --data")
    add(
        "--data",
        metavar="FILE.csv",
        help="numbers with or without a line of names; the last column is the target",
    )
    add("--dataset", help="xor, circles, moons, spirals, gaussians, ...; default: xor")
    add("--lesson", help="begin with a lesson: vanishing, dying, symmetry, ...")
    add("--seed", type=int, help="of weights and data; default: 7")
    add("--host", default="127.0.0.1", help="default: 127.0.0.1, which only this machine can reach")
    add(
        "--allow-remote",
        action="store_true",
        help="with --host: yes, whoever has the address may control the session",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        Options that do not fit together.
    OSError, FileFormatError
        A file that cannot be read, or a port that is taken.
    """
    from retrograd._play import play

    found = play(
        **_begin(options),
        host=options.host,
        port=options.port,
        browser=False,
        allow_remote=options.allow_remote,
    )
    if options.lesson is not None:
        _lesson(found.session, options.lesson)
    if options.allow_remote:
        print(
            f"warning: other machines can reach {options.host}; whoever has this address controls the session"
        )
    # after listening: an address that is opened at once must answer
    print(f"{found.url}\nPress Ctrl-C to stop.", flush=True)
    if not options.no_browser:
        webbrowser.open(found.url)
    try:
        found.join()
    except KeyboardInterrupt:
        print("stopped")
    finally:
        found.stop()
    return 0


def _begin(options: argparse.Namespace) -> dict[str, Any]:
    """What ``play`` is called with."""
    given: dict[str, Any] = {}
    if options.seed is not None:
        given["seed"] = options.seed
    if options.dataset is not None:
        given["dataset"] = options.dataset
    if options.model is not None and options.data is None:
        raise ArgumentError("play: a model needs data to be trained with; add --data FILE.csv")
    if options.data is None:
        return given
    if options.dataset is not None:
        raise ArgumentError("play: --data and --dataset exclude each other; give one of them")
    from retrograd._play.own_data import read_csv

    with open(options.data, encoding="utf-8") as file:
        data = read_csv(file.read())
    if options.model is None:
        return given | {"dataset": "csv", "data": data}
    import numpy as np

    from retrograd.model import load

    y = np.asarray(data["y"])
    return given | {
        "net": load(options.model),
        "x": np.asarray(data["x"]),
        "y": y.astype(np.int64) if data["task"] == "classes" else y,
    }


def _lesson(session: Any, name: str) -> None:
    """Begin with a lesson.

    Raises
    ------
    ArgumentError
        There is no such lesson.
    """
    from retrograd._arguments import unknown
    from retrograd._play import commands
    from retrograd._play.lessons import LESSONS

    if name not in LESSONS:
        raise unknown("play: --lesson", name, LESSONS)
    commands.do_lesson(session, 0, name, None)
