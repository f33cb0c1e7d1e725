"""Networks so small that arithmetic costs nothing, and everything around it is what is measured."""

from bench.work import Goal, Work

ROWS = (
    Work(
        "W1",
        "2-2-1 sigmoid, half squared error, SGD, batch 1 (XOR)",
        (2, 2, 1),
        "sigmoid",
        output="sigmoid",
        loss="half_squared_error",
        optimizer="sgd",
        # so low that no unit saturates within the check: FANN clips the slope of a saturated one
        lr=0.1,
        batch=1,
        batches=4000,
        data="xor",
        goal=Goal({1: 1.0}),
    ),
)
