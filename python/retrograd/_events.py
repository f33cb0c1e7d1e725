"""TensorBoard's event files: records that each hold one message of numbers under names.

A record is its length (8 bytes), the masked CRC-32C of that, the message, and the masked CRC-32C of the
message, little-endian: the framing of TFRecord. A message is an ``Event`` of TensorFlow's ``event.proto`` in
the wire format of protocol buffers, of which three kinds of fields are needed: 8-byte floats, 4-byte floats
and integers by themselves, and texts, arrays and messages after their length.

Sources: TensorFlow, ``util/event.proto``, ``framework/summary.proto`` and ``lib/io/record_writer.h`` in
``tensorflow/core``; CRC-32C (Castagnoli): RFC 3720, section 12.1.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["histogram", "record", "summary", "version"]

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # wire types


# ------------------------------------------------------------------------------------- records


@cache
def _table() -> list[int]:
    """The checksum of each byte by itself; 0x82F63B78 is the polynomial, least bit first."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


def crc32c(data: bytes) -> int:
    """CRC-32C: of b"123456789" it is 0xE3069283."""
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    """The checksum as it is stored: rotated and moved, since data may hold checksums itself."""
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def record(message: bytes) -> bytes:
    """The message as one record of a file."""
    length = struct.pack("<Q", len(message))
    return length + _masked(length) + message + _masked(message)


# ------------------------------------------------------------------------------------- messages


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | _EIGHT) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    with np.errstate(over="ignore"):  # what is too large for 4 bytes is infinite
        return _varint(field << 3 | _FOUR) + struct.pack("<f", float(np.float32(value)))


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value


def version(time: float) -> bytes:
    """The message a file begins with."""
    return _double(1, time) + _bytes(3, b"brain.Event:2")


def summary(time: float, step: int, values: Mapping[str, float | bytes]) -> bytes:
    """Values under their names at one step: numbers, or what ``histogram`` made."""
    found = b""
    for name, value in values.items():
        content = _bytes(5, value) if isinstance(value, bytes) else _float(2, value)
        found += _bytes(1, _bytes(1, name.encode()) + content)
    return _double(1, time) + _integer(2, step) + _bytes(5, found)


def histogram(values: NDArray[np.floating], bins: int = 30) -> bytes:
    """How many values lie in each of ``bins`` equal intervals between the smallest and the largest."""
    array = np.asarray(values, dtype=np.float64).ravel()
    counts, edges = np.histogram(array, bins)
    # HistogramProto: min, max, num, sum, sum_squares, upper edges, counts
    numbers = (array.min(), array.max(), array.size, array.sum(), np.square(array).sum())
    return b"".join(_double(field, float(value)) for field, value in enumerate(numbers, 1)) + (
        _bytes(6, edges[1:].astype("<f8").tobytes()) + _bytes(7, counts.astype("<f8").tobytes())
    )
