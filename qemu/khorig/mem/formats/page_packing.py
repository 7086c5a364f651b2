# SPDX-License-Identifier: BSD-3-Clause
"""How pages of a kdump file are packed: the flags of makedumpfile's page descriptors."""

from __future__ import annotations

import ctypes
import functools
import zlib

import zstandard

_ZLIB, _LZO, _SNAPPY, _ZSTD = 1, 2, 4, 0x20
PACKED = _ZLIB | _LZO | _SNAPPY | _ZSTD
_LZO_LIBRARY = "liblzo2.so.2"


class PageUnpacker:
    """Unpacks pages of one size."""

    def __init__(self, page_size: int) -> None:
        """`page_size` in bytes."""
        self._size = page_size
        self._zstd = zstandard.ZstdDecompressor()

    def unpack(self, packed: memoryview, flags: int) -> bytes:
        """A whole page. Raises ValueError when it is damaged or cannot be unpacked here."""
        try:
            content = self._unpack(packed, flags)
        except (zlib.error, zstandard.ZstdError) as error:
            raise ValueError(str(error)) from error
        if len(content) != self._size:
            raise ValueError(f"{len(content)} bytes unpacked")
        return content

    def _unpack(self, packed: memoryview, flags: int) -> bytes:
        if flags & _ZLIB:
            return zlib.decompressobj().decompress(packed, self._size)
        if flags & _ZSTD:
            # The library allocates what a frame states, whatever it is told to stop at.
            stated = zstandard.get_frame_parameters(packed).content_size
            if stated not in (self._size, zstandard.CONTENTSIZE_UNKNOWN):
                raise ValueError(f"zstd frame of {stated:#x} bytes")
            return self._zstd.decompress(packed, max_output_size=self._size)
        if flags & _LZO:
            return _unpack_lzo(bytes(packed), self._size)
        if flags & _SNAPPY:
            raise ValueError(
                "compressed with snappy: recompress the dump with `makedumpfile -c` (zlib)"
            )
        return bytes(packed)


@functools.cache
def _lzo() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LZO_LIBRARY)
    except OSError as error:
        raise ValueError(f"compressed with LZO: install liblzo2-2 ({_LZO_LIBRARY})") from error
    function = library.lzo1x_decompress_safe
    size = ctypes.POINTER(ctypes.c_ulong)
    function.argtypes = [*(ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p, size, ctypes.c_void_p)]
    function.restype = ctypes.c_int
    return library


def _unpack_lzo(packed: bytes, limit: int) -> bytes:
    """The library's safe variant stays inside both buffers whatever the bytes are."""
    content = ctypes.create_string_buffer(limit)
    size = ctypes.c_ulong(limit)
    status = _lzo().lzo1x_decompress_safe(packed, len(packed), content, ctypes.byref(size), None)
    if status:
        raise ValueError(f"LZO error {status}")
    return content.raw[: size.value]
