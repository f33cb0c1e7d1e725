"""SymPy beside the engine: graphs as expressions, gradients against derivatives.

An independent path to the same numbers: ``rules`` and the modules of its families copy what operations
compute and hand back; ``passes`` walks a graph with them; ``exactness`` and ``digits`` compare expressions;
``verify`` puts it together, and ``check_symbolic`` does so for a network and its loss.
"""

from __future__ import annotations

from retrograd._symbolic.network import check_symbolic
from retrograd._symbolic.passes import to_sympy
from retrograd._symbolic.report import SymbolicReport
from retrograd._symbolic.verification import verify

__all__ = ["SymbolicReport", "check_symbolic", "to_sympy", "verify"]
