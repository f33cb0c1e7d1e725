"""``python -m bench``, from the root of the repository."""

from bench.cli import main

raise SystemExit(main())
