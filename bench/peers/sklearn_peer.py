"""scikit-learn's MLP. Its squared loss is half of ours, which Adam forgives (but for its epsilon) and SGD
would not; it has no output activation but those that belong to its losses."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from bench.work import BETAS, EPS, weights_of

if TYPE_CHECKING:
    from bench.work import Array, Work

NEEDS = ("sklearn",)
_NAMES = {"relu": "relu", "tanh": "tanh", "sigmoid": "logistic", "linear": "identity"}


def versions() -> dict[str, str]:
    import sklearn

    return {"scikit-learn": sklearn.__version__}


def refuses(work: Work) -> str:
    if work.network != "dense":
        return "dense layers only"
    if work.output != "linear":
        return "no squared error on a sigmoid output"
    if work.optimizer == "sgd":
        return "its squared error is half of the mean squared error"
    return ""


def variants(work: Work) -> tuple[str, ...]:
    return ("fit",)


class _Estimator:
    def __init__(self, work: Work, arrays: dict[str, Array]) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        warnings.simplefilter("ignore", ConvergenceWarning)
        self.x = arrays["x"]
        self.given = weights_of(arrays)
        labels = work.loss == "cross_entropy" and work.kind == "train"
        self.y = arrays["y"] if labels or work.sizes[-1] > 1 else arrays["y"].ravel()
        self.net = (MLPClassifier if labels else MLPRegressor)(
            hidden_layer_sizes=work.sizes[1:-1],
            activation=_NAMES[work.hidden],
            solver="adam",
            alpha=0.0,
            batch_size=work.batch,
            learning_rate_init=work.lr,
            shuffle=False,
            max_iter=1,
            tol=0.0,
            n_iter_no_change=1_000_000_000,
            warm_start=True,  # the only way to begin from weights of one's own
            beta_1=BETAS[0],
            beta_2=BETAS[1],
            epsilon=EPS,
        )
        self.net.fit(self.x, self.y)
        self.reset()

    def reset(self) -> None:
        self.net.coefs_ = [w.T.copy() for w in self.given[0::2]]
        self.net.intercepts_ = [b.copy() for b in self.given[1::2]]

    def weights(self) -> list[Array]:
        pairs = zip(self.net.coefs_, self.net.intercepts_, strict=True)
        return [w for coef, intercept in pairs for w in (coef.T, intercept)]


class _Training(_Estimator):
    def run(self, epochs: int) -> None:
        self.net.max_iter = epochs
        self.net.fit(self.x, self.y)


class _Prediction(_Estimator):
    def __init__(self, work: Work, arrays: dict[str, Array]) -> None:
        super().__init__(work, arrays)
        self.outputs_shape = (work.rows, work.sizes[-1])

    def run(self, epochs: int) -> None:
        rows = list(self.x.reshape(len(self.x), 1, -1))
        predict = self.net.predict
        for _ in range(epochs):
            for row in rows:
                predict(row)

    def outputs(self) -> Array:
        out: Array = self.net.predict(self.x)
        return out.reshape(self.outputs_shape)


def build(work: Work, arrays: dict[str, Array], threads: int, variant: str) -> _Training | _Prediction:
    return _Prediction(work, arrays) if work.kind == "predict" else _Training(work, arrays)
