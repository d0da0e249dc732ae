"""The bodies of streams: plain, or gzip whose texts are compressed once for all streams.

A text is a piece of raw deflate that refers to nothing before it (`Z_FULL_FLUSH`), so that each
stream may begin with any of them. Only the header, the checksum and the length are a stream's own.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

_LEVEL = 6
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK = b"\x03\x00"
_MODULUS = 1 << 32


class Piece(NamedTuple):
    """A text for the streams of one audience."""

    plain: bytes
    packed: bytes | None = None
    """The same compressed; None if no stream has asked for it."""


class PlainBody:
    """A body as the texts are."""

    encoded = False

    def of(self, piece: Piece) -> bytes:
        return piece.plain

    def end(self) -> bytes:
        return b""


class GzipBody:
    """A body in the gzip format, RFC 1952."""

    encoded = True

    def __init__(self) -> None:
        self._header = _HEADER
        self._checksum = self._length = 0

    def of(self, piece: Piece) -> bytes:
        header, self._header = self._header, b""
        self._checksum = zlib.crc32(piece.plain, self._checksum)
        self._length += len(piece.plain)
        packed = piece.packed
        return header + (packed if packed is not None else pack(piece.plain))

    def end(self) -> bytes:
        header, self._header = self._header, b""
        numbers = (self._checksum, self._length % _MODULUS)
        return header + _LAST_BLOCK + b"".join(number.to_bytes(4, "little") for number in numbers)


def pack(text: bytes) -> bytes:
    """Return a text as a piece of raw deflate."""
    compressor = _compressor()
    return compressor.compress(text) + compressor.flush(zlib.Z_FULL_FLUSH)


def make_piece(chunks: Iterable[str], *, packed: bool) -> Generator[None, None, Piece]:
    """Make a piece of chunks, one in each step, so that no step takes long."""
    compressor = _compressor() if packed else None
    plain: list[bytes] = []
    deflated: list[bytes] = []
    for chunk in chunks:
        text = chunk.encode()
        plain.append(text)
        if compressor is not None:
            deflated.append(compressor.compress(text))
        yield
    if compressor is None:
        return Piece(b"".join(plain))
    deflated.append(compressor.flush(zlib.Z_FULL_FLUSH))
    return Piece(b"".join(plain), b"".join(deflated))


def _compressor() -> zlib._Compress:
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
