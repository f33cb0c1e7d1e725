"""PyTorch: a module, autograd, an optimizer; batches are slices of a tensor, gradients are set to None.

The variants are the optimizer's: one fused kernel, "foreach" lists, one tensor after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench.work import BETAS, EPS, weights_of

if TYPE_CHECKING:
    from bench.work import Array, Work

NEEDS = ("torch",)


def versions() -> dict[str, str]:
    import torch

    mkl = "yes" if torch.backends.mkl.is_available() else "no"
    return {"PyTorch": torch.__version__, "MKL in PyTorch": mkl}


def refuses(work: Work) -> str:
    return ""


def variants(work: Work) -> tuple[str, ...]:
    if work.kind == "predict":
        return ("module", "functions")
    return ("fused", "foreach", "one by one")


class Module:
    """The network with the given weights; also for the compiled peer."""

    def __init__(self, work: Work, arrays: dict[str, Array], threads: int) -> None:
        import torch

        if threads:
            torch.set_num_threads(threads)
        self.torch = torch
        self.work = work
        acts = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}
        last = len(work.sizes) - 2
        layers: list[Any] = []
        for k, (a, b) in enumerate(zip(work.sizes, work.sizes[1:], strict=False)):
            layers.append(torch.nn.Linear(a, b))
            name = work.output if k == last else work.hidden
            if name != "linear":
                layers.append(acts[name]())
        self.net = torch.nn.Sequential(*layers)
        self.given = [torch.from_numpy(w) for w in weights_of(arrays)]
        self.x = torch.from_numpy(arrays["x"])
        self.y = torch.from_numpy(arrays["y"])
        self._load()

    def _load(self) -> None:
        with self.torch.no_grad():
            for p, w in zip(self.net.parameters(), self.given, strict=True):
                p.copy_(w)

    def weights(self) -> list[Array]:
        return [p.detach().numpy().copy() for p in self.net.parameters()]


class TorchTraining(Module):
    """Training; ``compiled`` puts forward, loss and backward through the compiler."""

    def __init__(
        self, work: Work, arrays: dict[str, Array], threads: int, variant: str, compiled: bool = False
    ) -> None:
        super().__init__(work, arrays, threads)
        self.variant = variant
        self.batches = list(zip(self.x.split(work.batch), self.y.split(work.batch), strict=True))
        self.total = self.torch.zeros(())
        self.objective = self.torch.compile(self._objective) if compiled else self._objective
        self.reset()

    def _objective(self, x: Any, y: Any) -> Any:
        functional = self.torch.nn.functional
        out = self.net(x)
        if self.work.loss == "cross_entropy":
            return functional.cross_entropy(out, y)
        if self.work.loss == "half_squared_error":
            return 0.5 * (out - y).square().sum(1).mean()
        return functional.mse_loss(out, y)

    def reset(self) -> None:
        torch, work = self.torch, self.work
        self._load()
        how = {"fused": {"fused": True}, "foreach": {"foreach": True}}.get(self.variant, {"foreach": False})
        if work.optimizer == "sgd":
            self.optimizer = torch.optim.SGD(self.net.parameters(), work.lr, **how)
        else:
            self.optimizer = torch.optim.Adam(self.net.parameters(), work.lr, BETAS, EPS, **how)

    def run(self, epochs: int) -> None:
        optimizer, objective, total = self.optimizer, self.objective, self.total
        for _ in range(epochs):
            total.zero_()
            for x, y in self.batches:
                optimizer.zero_grad(set_to_none=True)
                loss = objective(x, y)
                loss.backward()
                optimizer.step()
                total.add_(loss.detach())


class TorchPrediction(Module):
    """Prediction, of tensors into tensors: the way to NumPy and back is not counted."""

    def __init__(
        self, work: Work, arrays: dict[str, Array], threads: int, variant: str, compiled: bool = False
    ) -> None:
        super().__init__(work, arrays, threads)
        self.rows = list(self.x.reshape(work.rows, 1, -1))
        self.net.eval()
        self.layers = [(self.given[k], self.given[k + 1]) for k in range(0, len(self.given), 2)]
        self.predict: Any = self._functions if variant == "functions" else self.net
        if compiled:
            self.predict = self.torch.compile(self.net)

    def _functions(self, row: Any) -> Any:
        linear = self.torch.nn.functional.linear
        a = row
        for w, b in self.layers[:-1]:
            a = linear(a, w, b).relu_()
        return linear(a, *self.layers[-1])

    def reset(self) -> None:
        pass

    def run(self, epochs: int) -> None:
        predict = self.predict
        with self.torch.inference_mode():
            for _ in range(epochs):
                for row in self.rows:
                    predict(row)

    def outputs(self) -> Array:
        with self.torch.inference_mode():
            return np.concatenate([self.predict(row).numpy() for row in self.rows])


def build(work: Work, arrays: dict[str, Array], threads: int, variant: str) -> Module:
    made = TorchPrediction if work.kind == "predict" else TorchTraining
    return made(work, arrays, threads, variant)
