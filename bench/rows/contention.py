"""Training on two CPUs beside processes that keep these CPUs busy: who leaves the number of threads to
retrograd must not lose by it."""

from bench.work import Work

LIMIT = 1.3  # the time with threads chosen by retrograd over that of one thread, beside the same processes
BUSY = (0, 1, 2)  # processes, each on a CPU of its own

ROWS = tuple(
    Work(
        row,
        f"{'-'.join(map(str, sizes))} ReLU, cross-entropy, Adam, batch {batch} ({of})",
        sizes,
        "relu",
        loss="cross_entropy",
        batch=batch,
        batches=batches,
        data=data,
        threads=(2,),
        peers=("retrograd-one",),
        point=busy,
        busy=busy,
    )
    for row, sizes, batch, batches, data, of in (
        ("C-W3", (64, 100, 10), 64, 28, "digits", "as W3"),
        ("C-W4a", (784, 128, 10), 128, 32, "mnist", "as W4a"),
    )
    for busy in BUSY
)
