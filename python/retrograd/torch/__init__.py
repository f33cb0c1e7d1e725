"""Networks from and to PyTorch: modules, and state dicts in both directions.

>>> net = rg.torch.from_module(module, (3, 32, 32))
>>> module = rg.torch.to_module(net)
>>> module.load_state_dict(rg.torch.state_dict(net))

The same array gives the same numbers on both sides; docs/torch.md says which modules are known. Needs the
package torch: ``pip install "retrograd[torch]"``.
"""

from __future__ import annotations

from retrograd.torch._read import from_module
from retrograd.torch._state import load_state_dict, state_dict
from retrograd.torch._write import to_module

__all__ = ["from_module", "load_state_dict", "state_dict", "to_module"]
