"""The idx reader: round trips, and every way a file can be damaged."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hwzo.data import idx
from hwzo.errors import FileError, HwzoError

ARRAYS = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6))


def written(array: np.ndarray) -> bytes:
    """The format as its authors describe it, written without the reader's help."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@given(ARRAYS)
def test_round_trip(array):
    assert np.array_equal(idx.parse(written(array)), array)
    assert idx.parse(written(array)).shape == array.shape


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_files_gzipped_or_not(tmp_path, pack):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    path = tmp_path / "some-idx3-ubyte"
    path.write_bytes(pack(written(array)))
    assert np.array_equal(idx.read(path), array)


@given(ARRAYS, st.data())
def test_any_cut_is_noticed(array, data):
    whole = written(array)
    with pytest.raises(FileError):
        idx.parse(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(st.binary(max_size=64))
def test_arbitrary_bytes_never_end_in_another_error(data):
    try:
        array = idx.parse(data)
    except HwzoError:
        return
    assert written(array) == data


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "nothing"),
        (b"\x89PNG1234", "not an idx file"),
        (b"\0\0\x0d\x01\0\0\0\0", "0x0d"),
        (b"\0\0\x08\0", "0 dimensions"),
        (b"\0\0\x08\x03\0\0", "header"),
        (written(np.zeros(3, np.uint8)) + b"!", "4 are there"),
        (b"\0\0\x08\x02\xff\xff\xff\xff\xff\xff\xff\xff1", "needs 18446744065119617025"),
    ],
)
def test_damage_is_told_apart(data, says):
    with pytest.raises(FileError, match=says):
        idx.parse(data)


def test_damaged_gzip(tmp_path):
    packed = gzip.compress(written(np.arange(200, dtype=np.uint8)))
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 0xFF
    path = tmp_path / "x.gz"
    for data in (packed[:-9], packed[:20], bytes(flipped)):
        path.write_bytes(data)
        with pytest.raises(FileError, match=r"x\.gz"):
            idx.read(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileError, match="doesn't exist"):
        idx.read(tmp_path / "none")
    with pytest.raises(FileError, match="can't be read"):
        idx.read(tmp_path)
