"""PyTorch: a module, autograd, an optimizer; batches are slices of a tensor, gradients are set to None.

The variants are the optimizer's: one fused kernel, "foreach" lists, one tensor after the other; and those of
the networks (``torch_networks.build``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench.work import BETAS, EPS, WEIGHT_DECAY, weights_of

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
    further = ("fused, channels last",) if work.network == "lenet" else ()
    return ("fused", "foreach", "one by one", *further)


class Module:
    """The network with the given weights; also for the compiled peer."""

    def __init__(self, work: Work, arrays: dict[str, Array], threads: int, variant: str) -> None:
        import torch

        from bench.peers import torch_networks

        if threads:
            torch.set_num_threads(threads)
        self.torch, self.networks = torch, torch_networks
        self.work = work
        self.net = torch_networks.build(work, variant)
        self.tensors = torch_networks.tensors(self.net)
        self.given = torch_networks.to_torch(work, weights_of(arrays))
        self.x = torch_networks.inputs(work, arrays["x"], variant)
        self.y = torch.from_numpy(arrays["y"])
        self._load()

    def _load(self) -> None:
        with self.torch.no_grad():
            for p, w in zip(self.tensors, self.given, strict=True):
                p.copy_(w)

    def weights(self) -> list[Array]:
        return self.networks.from_torch(self.work, self.tensors)


class TorchTraining(Module):
    """Training; ``compiled`` puts forward, loss and backward through the compiler."""

    def __init__(
        self, work: Work, arrays: dict[str, Array], threads: int, variant: str, compiled: bool = False
    ) -> None:
        super().__init__(work, arrays, threads, variant)
        self.variant = variant
        targets = [self.networks.targets(y) for y in self.y.split(work.batch)]
        self.batches = list(zip(self.x.split(work.batch), targets, strict=True))
        self.total = self.torch.zeros(())
        self.objective: Any = self._objective
        if compiled:
            # shapes never change here; but the compiler saw those of another network before, and would make
            # slower code for any shape
            self.objective = self.torch.compile(self._objective, dynamic=False)
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
        kind = self.variant.partition(",")[0]
        how = {"fused": {"fused": True}, "foreach": {"foreach": True}}.get(kind, {"foreach": False})
        if work.optimizer == "sgd":
            self.optimizer = torch.optim.SGD(self.net.parameters(), work.lr, **how)
        elif work.optimizer == "adamw":
            self.optimizer = torch.optim.AdamW(
                self.net.parameters(), work.lr, BETAS, EPS, WEIGHT_DECAY, **how
            )
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
        super().__init__(work, arrays, threads, variant)
        self.rows = list(self.x.reshape(work.rows, 1, -1))
        self.net.eval()
        self.layers = [(self.given[k], self.given[k + 1]) for k in range(0, len(self.given), 2)]
        self.predict: Any = self._functions if variant == "functions" else self.net
        if compiled:
            self.predict = self.torch.compile(self.net, dynamic=False)

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
