"""UF2, the format the boot ROMs of RP2040 and RP2350 take over USB, and the RP2040's boot checksum.

Format: https://github.com/microsoft/uf2. Checksum: RP2040 Datasheet 2.8.1.3.1.
"""

from __future__ import annotations

import struct

from edgebit.errors import ToolchainError

BLOCK = 512
PAYLOAD = 256
_HEADER = struct.Struct("<8I")
_MAGIC_START = (0x0A324655, 0x9E5D5157)
_MAGIC_END = 0x0AB16F30
_FLAG_FAMILY = 0x00002000
_FLAG_NOT_MAIN_FLASH = 0x00000001
BOOT2_BYTES = 256


def write_uf2(image: bytes, origin: int, family: int) -> bytes:
    """`image` for flash address `origin` (a multiple of 256), in 256-byte blocks, the last zero-padded."""
    if origin % PAYLOAD:
        raise ToolchainError(f"UF2: the flash address {origin:#x} is not a multiple of {PAYLOAD}")
    count = -(-len(image) // PAYLOAD)
    blocks = []
    for n in range(count):
        part = image[n * PAYLOAD : (n + 1) * PAYLOAD]
        header = _HEADER.pack(*_MAGIC_START, _FLAG_FAMILY, origin + n * PAYLOAD, PAYLOAD, n, count, family)
        blocks.append(header + part.ljust(BLOCK - _HEADER.size - 4, b"\0") + struct.pack("<I", _MAGIC_END))
    return b"".join(blocks)


def read_uf2(raw: bytes, family: int | None = None) -> tuple[int, bytes]:
    """The flash address and the contiguous image in a UF2 file; ToolchainError when it is not well formed."""
    if not raw or len(raw) % BLOCK:
        raise ToolchainError(f"UF2: {len(raw)} bytes is not a whole number of {BLOCK}-byte blocks")
    total = len(raw) // BLOCK
    origin = 0
    image = bytearray()
    for n in range(total):
        block = raw[n * BLOCK : (n + 1) * BLOCK]
        m0, m1, flags, address, size, number, count, tag = _HEADER.unpack_from(block)
        if (m0, m1) != _MAGIC_START or struct.unpack_from("<I", block, BLOCK - 4)[0] != _MAGIC_END:
            raise ToolchainError(f"UF2: block {n} has a wrong magic number")
        if flags & _FLAG_NOT_MAIN_FLASH or not 0 < size <= BLOCK - _HEADER.size - 4:
            raise ToolchainError(f"UF2: block {n} has flags {flags:#x} and {size} bytes")
        if (number, count) != (n, total):
            raise ToolchainError(f"UF2: block {n} calls itself {number} of {count}, not of {total}")
        if family is not None and (not flags & _FLAG_FAMILY or tag != family):
            raise ToolchainError(f"UF2: block {n} is for family {tag:#010x}, not {family:#010x}")
        if n == 0:
            origin = address
        elif address != origin + len(image):
            raise ToolchainError(f"UF2: block {n} is for {address:#x}, not {origin + len(image):#x}")
        image += block[_HEADER.size : _HEADER.size + size]
    return origin, bytes(image)


def crc32_mpeg2(data: bytes) -> int:
    """CRC-32/MPEG-2: polynomial 0x04C11DB7, most significant bit first, from 0xFFFFFFFF, not inverted."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc


def seal_boot2(block: bytes) -> bytes:
    """The RP2040's second boot stage with its checksum in the last four bytes."""
    if len(block) != BOOT2_BYTES:
        raise ToolchainError(f"the second boot stage takes {len(block)} bytes, it must take {BOOT2_BYTES}")
    return block[:-4] + struct.pack("<I", crc32_mpeg2(block[:-4]))


def boot2_is_sealed(block: bytes) -> bool:
    """Whether the boot ROM would accept this second boot stage."""
    return len(block) == BOOT2_BYTES and seal_boot2(block) == block
