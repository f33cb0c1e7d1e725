"""Models from and to ONNX, the file format that most other programs read.

>>> rg.onnx.export(net, "net.onnx")
>>> again = rg.onnx.load("net.onnx")

What is written is opset 17: docs/onnx.md says which operators are written and read, and what cannot be
expressed. Needs the package onnx: ``pip install "retrograd[onnx]"``.
"""

from __future__ import annotations

from retrograd.onnx.export import export
from retrograd.onnx.load import load

__all__ = ["export", "load"]
