"""``repack.py FOLDER``: packs each wheel of a folder anew, the same files in fewer bytes.

Zopfli looks longer for what deflate can say in fewer bytes; whatever unpacks zip files unpacks them as
before. A wheel becomes about 3 percent smaller.
"""

from __future__ import annotations

import struct
import sys
import zipfile
import zlib
from pathlib import Path

import zopfli.zlib

ROUNDS = 15  # of Zopfli's search; 5 for what is long
LONG = 1_000_000  # bytes
HEADER = struct.Struct("<IHHHHHIIIHH")  # before each file of an archive


def deflated(content: bytes) -> bytes:
    """A raw deflate stream of the content, the smaller one of zlib's and Zopfli's."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    usual: bytes = packer.compress(content) + packer.flush()
    rounds = ROUNDS if len(content) < LONG else 5
    thorough: bytes = zopfli.zlib.compress(content, numiterations=rounds)[2:-4]  # no head, no checksum
    return min(usual, thorough, key=len)


def repacked(wheel: Path) -> bytes:
    """The archive anew; names, times, permissions and their order stay."""
    parts: list[bytes] = []
    entries: list[bytes] = []
    place = 0
    with zipfile.ZipFile(wheel) as old:
        for info in old.infolist():
            content = old.read(info)
            packed, name = deflated(content), info.filename.encode()
            year, month, day, hour, minute, second = info.date_time
            time, date = hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day
            utf8 = 0x800 if len(name) != len(info.filename) else 0
            shared = (20, utf8, zipfile.ZIP_DEFLATED, time, date, info.CRC, len(packed), len(content))
            parts += [HEADER.pack(0x04034B50, *shared, len(name), 0), name, packed]
            made_by = info.create_system << 8 | 20
            entries += [
                struct.pack("<IH", 0x02014B50, made_by),
                struct.pack("<HHHHHIIIHHHHHII", *shared, len(name), 0, 0, 0, 0, info.external_attr, place),
                name,
            ]
            place += HEADER.size + len(name) + len(packed)
        count = len(old.infolist())
    directory = b"".join(entries)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(directory), place, 0)
    return b"".join(parts) + directory + end


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def main() -> None:
    for wheel in sorted(Path(sys.argv[1]).glob("*.whl")):
        before, old = contents(wheel), wheel.stat().st_size
        wheel.write_bytes(repacked(wheel))
        assert contents(wheel) == before
        print(f"{wheel.name}: {old:,} -> {wheel.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
