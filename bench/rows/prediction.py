"""One prediction for one example, called from Python."""

from bench.work import Goal, Work

ROWS = tuple(
    Work(
        row,
        f"{'-'.join(map(str, sizes))} ReLU, predict, batch 1",
        sizes,
        "relu",
        batch=1,
        batches=256,
        kind="predict",
        threads=(1,),
        unit="call",
        goal=Goal({1: ratio}),
    )
    for row, sizes, ratio in (
        ("W8a", (10, 64, 64, 1), 1 / 8),
        ("W8b", (784, 512, 512, 10), 1 / 1.4),
    )
)
