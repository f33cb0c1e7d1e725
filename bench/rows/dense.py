"""Training of dense networks, from small to as large as the matrix product alone."""

from bench.work import Goal, Work

ROWS = (
    Work(
        "W2",
        "10-64-64-1 ReLU, MSE, Adam, batch 32",
        (10, 64, 64, 1),
        "relu",
        batch=32,
        batches=64,
        goal=Goal({1: 1 / 2.2}),
    ),
    Work(
        "W3",
        "64-100-10 ReLU, cross-entropy, Adam, batch 64 (digits)",
        (64, 100, 10),
        "relu",
        loss="cross_entropy",
        batch=64,
        batches=28,  # 1792 of the 1797 digits: a last batch of 5 would be another shape to compile
        data="digits",
        goal=Goal({1: 1 / 2.4}),
    ),
    *(
        Work(
            f"{name}-{batch}",
            f"{'-'.join(map(str, sizes))} ReLU, cross-entropy, Adam, batch {batch} (like MNIST)",
            sizes,
            "relu",
            loss="cross_entropy",
            batch=batch,
            batches=batches,
            data="mnist",
            goal=goal,
        )
        for name, sizes, batch, batches, goal in (
            ("W4a", (784, 128, 10), 128, 32, Goal({1: 1 / 1.4, 2: 1 / 1.9})),
            ("W4a", (784, 128, 10), 32, 64, Goal({1: 1 / 1.4})),
            ("W4b", (784, 512, 512, 10), 128, 16, Goal({1: 1 / 1.4, 2: 1 / 2})),
            ("W4b", (784, 512, 512, 10), 32, 32, Goal({1: 1 / 1.75})),
        )
    ),
    Work(
        "W5",
        "4 layers 2048x2048 ReLU, MSE, Adam, batch 1024",
        (2048,) * 5,
        "relu",
        lr=1e-4,  # at 1e-3 the second step overshoots so far that rounding decides the loss
        batch=1024,
        batches=1,
        check_epochs=2,
        goal=Goal({1: 1 / 1.08}, peak=0.88),
    ),
    Work(
        "W6",
        "20 layers 64x64 tanh, MSE, Adam, batch 16",
        (64,) * 21,
        "tanh",
        batch=16,
        batches=32,
        goal=Goal({1: 1 / 1.9}),
    ),
    Work(
        "W10",
        "exp of 2x2 matrices: 4-32-16-4 tanh, MSE, Adam, full batch of 10,000",
        (4, 32, 16, 4),
        "tanh",
        batch=10_000,
        batches=1,
        check_epochs=20,
        data="expm",
        unit="epoch",
        goal=Goal(seconds={2: 0.8e-3}),
    ),
)
