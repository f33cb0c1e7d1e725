"""retrograd through its public interface, as a user would write it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.work import BETAS, EPS, WEIGHT_DECAY

if TYPE_CHECKING:
    from bench.work import Array, Work

NEEDS = ("retrograd",)


def versions() -> dict[str, str]:
    import retrograd as rg
    from retrograd import _core

    return {
        "retrograd": rg.__version__,
        "instruction set": _core.isa(),
        "threads by": _core.parallel_backend(),
    }


def refuses(work: Work) -> str:
    return ""


def variants(work: Work) -> tuple[str, ...]:
    return ("net.predict(x)", "net.predict(x, out=out)") if work.kind == "predict" else ("fit",)


class _Net:
    def __init__(self, work: Work, arrays: dict[str, Array]) -> None:
        import retrograd as rg

        from bench.peers import retrograd_networks

        self.rg = rg
        self.work = work
        self.x, self.y = arrays["x"], arrays["y"]
        self.net = retrograd_networks.build(work)
        weights = [name for name in arrays if name not in ("x", "y")]
        self.given = {retrograd_networks.name_of(name): arrays[name] for name in weights}
        self.net.set_parameters(self.given)

    def weights(self) -> list[Array]:
        views = {**self.net.parameters, **self.net.buffers}
        return [np.array(views[name]) for name in self.given]


class _Training(_Net):
    def __init__(self, work: Work, arrays: dict[str, Array], threads: int) -> None:
        super().__init__(work, arrays)
        self.threads = threads or None
        self.reset()

    def reset(self) -> None:
        work, rg = self.work, self.rg
        self.net.set_parameters(self.given)
        if work.optimizer == "sgd":
            optimizer = rg.SGD(work.lr)
        elif work.optimizer == "adamw":
            optimizer = rg.AdamW(work.lr, BETAS, EPS, WEIGHT_DECAY)
        else:
            optimizer = rg.Adam(work.lr, BETAS, EPS)
        self.trainer = rg.Trainer(self.net, work.loss, optimizer, threads=self.threads)

    def run(self, epochs: int) -> None:
        self.trainer.fit(
            self.x, self.y, epochs=epochs, batch_size=self.work.batch, shuffle=False, progress=False
        )

    def notes(self) -> dict[str, int]:
        """What was planned in bytes, to be compared with what was used."""
        planned = sum(self.trainer.summary(self.work.batch).memory.values())
        return {"planned_bytes": planned, "threads_used": self.trainer.threads_used}


class _Prediction(_Net):
    def __init__(self, work: Work, arrays: dict[str, Array], variant: str) -> None:
        super().__init__(work, arrays)
        self.rows = list(self.x.reshape(work.rows, 1, -1))
        self.out = np.empty((1, work.sizes[-1]), np.float32) if "out=" in variant else None

    def reset(self) -> None:
        pass

    def run(self, epochs: int) -> None:
        predict = self.net.predict
        if self.out is None:
            for _ in range(epochs):
                for row in self.rows:
                    predict(row)
        else:
            out = self.out
            for _ in range(epochs):
                for row in self.rows:
                    predict(row, out=out)

    def outputs(self) -> Array:
        return np.concatenate([self.net.predict(row) for row in self.rows])


def build(work: Work, arrays: dict[str, Array], threads: int, variant: str) -> _Training | _Prediction:
    return _Prediction(work, arrays, variant) if work.kind == "predict" else _Training(work, arrays, threads)
