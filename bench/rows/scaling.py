"""Curves: one size grows, the others stay."""

from bench.work import Work

_PEERS = ("numpy", "torch", "jax")


def _powers(first: int, last: int) -> list[int]:
    return [1 << k for k in range(first.bit_length() - 1, last.bit_length())]


ROWS = (
    *(
        Work(
            "S-width",
            "64-w-w-10 ReLU, cross-entropy, Adam, batch 64: time against w",
            (64, width, width, 10),
            "relu",
            loss="cross_entropy",
            lr=1e-4,
            batch=64,
            batches=32 if width <= 512 else 4,
            data="classes",
            threads=(1,),
            peers=_PEERS,
            point=width,
        )
        for width in _powers(32, 4096)
    ),
    *(
        Work(
            "S-batch",
            "64-256-256-10 ReLU, cross-entropy, Adam: time against the batch",
            (64, 256, 256, 10),
            "relu",
            loss="cross_entropy",
            batch=batch,
            batches=max(2, min(64, 4096 // batch)),
            data="classes",
            threads=(1,),
            peers=_PEERS,
            point=batch,
        )
        for batch in _powers(1, 4096)
    ),
    *(
        Work(
            "S-depth",
            "d layers 64x64 tanh, MSE, Adam, batch 16: time against d",
            (64,) * (depth + 1),
            "tanh",
            batch=16,
            batches=32,
            threads=(1,),
            peers=_PEERS,
            point=depth,
        )
        for depth in _powers(1, 64)
    ),
    *(
        Work(
            "S-threads",
            "784-512-512-10 ReLU, cross-entropy, Adam, batch 128 (like MNIST): time against threads",
            (784, 512, 512, 10),
            "relu",
            loss="cross_entropy",
            batch=128,
            batches=16,
            data="mnist",
            threads=(threads,),
            peers=_PEERS,
            point=threads,
        )
        for threads in _powers(1, 16)
    ),
)
