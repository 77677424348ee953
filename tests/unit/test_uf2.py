"""UF2 files and the RP2040's boot checksum."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebit.errors import ToolchainError
from edgebit.toolchain.uf2 import boot2_is_sealed, crc32_mpeg2, read_uf2, seal_boot2, write_uf2

FAMILY = 0xE48BFF56


@given(st.binary(min_size=1, max_size=2000), st.integers(0, 2**20).map(lambda n: 0x10000000 + 256 * n))
def test_an_image_survives_the_format(image: bytes, origin: int) -> None:
    raw = write_uf2(image, origin, FAMILY)
    assert len(raw) % 512 == 0
    got_origin, got = read_uf2(raw, FAMILY)
    assert got_origin == origin
    assert got.startswith(image)
    assert set(got[len(image) :]) <= {0}
    assert len(got) - len(image) < 256


def test_block_layout_is_that_of_the_specification() -> None:
    raw = write_uf2(bytes(range(256)) + b"tail", 0x10000000, FAMILY)
    second = raw[512:]
    assert struct.unpack_from("<8I", second) == (
        0x0A324655,
        0x9E5D5157,
        0x00002000,
        0x10000100,
        256,
        1,
        2,
        FAMILY,
    )
    assert second[32:36] == b"tail"
    assert struct.unpack_from("<I", second, 508) == (0x0AB16F30,)


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 0), (4, 0), (508, 0), (8, 1), (16, 0), (16, 500), (20, 5), (24, 9), (28, 1), (512 + 12, 0x10000200)],
)
def test_damage_is_noticed(at: int, value: int) -> None:
    raw = bytearray(write_uf2(bytes(512), 0x10000000, FAMILY))
    struct.pack_into("<I", raw, at, value)
    with pytest.raises(ToolchainError, match="UF2: block"):
        read_uf2(bytes(raw), FAMILY)


@pytest.mark.parametrize("size", [0, 1, 511, 513])
def test_a_partial_file_is_refused(size: int) -> None:
    with pytest.raises(ToolchainError, match="whole number"):
        read_uf2(bytes(size))


def test_the_flash_address_must_be_a_page() -> None:
    with pytest.raises(ToolchainError, match="multiple of 256"):
        write_uf2(b"x", 0x10000010, FAMILY)


def test_crc_has_the_catalogued_check_value() -> None:
    assert crc32_mpeg2(b"123456789") == 0x0376E6E7


@given(st.binary(max_size=300))
def test_crc_is_the_reflected_one_mirrored(data: bytes) -> None:
    def mirror(value: int, bits: int) -> int:
        return int(f"{value:0{bits}b}"[::-1], 2)

    usual = zlib.crc32(bytes(mirror(b, 8) for b in data)) ^ 0xFFFFFFFF
    assert crc32_mpeg2(data) == mirror(usual, 32)


def test_sealing_changes_only_the_last_word() -> None:
    block = bytes(range(252)) + bytes(4)
    sealed = seal_boot2(block)
    assert sealed[:252] == block[:252]
    assert boot2_is_sealed(sealed)
    assert not boot2_is_sealed(block)
    assert not boot2_is_sealed(sealed[:-1])
    with pytest.raises(ToolchainError, match="255 bytes"):
        seal_boot2(block[:-1])
