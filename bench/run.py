"""``python bench/run.py``: the same as ``python -m bench``, from any directory."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from bench.cli import main

    raise SystemExit(main())
