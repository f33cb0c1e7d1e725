"""Networks of other layers than dense ones."""

from bench.networks import lenet, transformer
from bench.work import Goal, Work

ROWS = (
    Work(
        "W7",
        "LeNet-5 on 28x28 ReLU, cross-entropy, Adam, batch 128 (like MNIST)",
        lenet.Sizes(),
        "relu",
        network="lenet",
        loss="cross_entropy",
        batch=128,
        batches=16,
        data="mnist",
        goal=Goal({1: 1 / 4}),
    ),
    Work(
        "W9",
        "character transformer: width 128, 4 blocks, 4 heads, 128 characters, AdamW, batch 16",
        transformer.Sizes(),
        "gelu",
        network="transformer",
        loss="cross_entropy",
        optimizer="adamw",
        batch=16,
        batches=4,
        check_epochs=2,
        data="text",
        goal=Goal({1: 1 / 1.7}),
    ),
    Work(
        "W12",
        "784-512-BN-512-BN-10 ReLU, cross-entropy, Adam, batch 128 (like MNIST)",
        (784, 512, 512, 10),
        "relu",
        network="batch_norm",
        loss="cross_entropy",
        batch=128,
        batches=16,
        data="mnist",
        goal=Goal({1: 1 / 1.45}),
    ),
)
