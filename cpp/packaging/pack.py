"""Pack the sources of the library into one archive, the same bytes for the same sources: ``pack.py OUT``."""

from __future__ import annotations

import bz2
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def members() -> list[Path]:
    """All that CMake or a compiler reads; files of one kind side by side."""
    endings = {".cpp", ".hpp", ".h", ".cmake", ".in", ".map"}
    sources = [path for path in (ROOT / "cpp").rglob("*") if path.suffix in endings]
    sources.sort(key=lambda path: (path.suffix, path.relative_to(ROOT).as_posix()))
    return [ROOT / "CMakeLists.txt", ROOT / "LICENSE", *sources]


def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without owner and permissions of this machine, and older than anything that is built of it."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    member.mtime = 946_684_800  # 2000
    return member


def main(out: Path) -> None:
    """Write the archive."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        bz2.open(out, "wb") as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for path in members():
            archive.add(path, path.relative_to(ROOT).as_posix(), filter=plain)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
