"""Every row, by group."""

from bench.rows import contention, dense, networks, prediction, scaling, tiny, widths
from bench.work import Work

ALL: tuple[Work, ...] = (
    *tiny.ROWS,
    *dense.ROWS,
    *networks.ROWS,
    *prediction.ROWS,
    *widths.ROWS,
    *contention.ROWS,
    *scaling.ROWS,
)
