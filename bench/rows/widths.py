"""CPU time per multiply-add while a layer grows: it must not jump where a library starts threads."""

from bench.work import Work

# 45 and 46 are the two sides of a known jump of another library (PyTorch issue 144633)
WIDTHS = (32, 40, 45, 46, 48, 56, 64, 72, 80, 96, 112, 128, 160, 192, 224, 256)
LIMIT = 1.25

ROWS = tuple(
    Work(
        "W11",
        "10-w-w-10 linear, MSE, SGD, batch 128, default threads",
        (10, width, width, 10),
        "linear",
        optimizer="sgd",
        lr=1e-3,
        batch=128,
        batches=64,
        threads=(0,),
        peers=("numpy", "torch", "jax"),
        point=width,
    )
    for width in WIDTHS
)
