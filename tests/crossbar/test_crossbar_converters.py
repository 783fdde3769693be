"""Converters and tiles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwzo.network import Network
from hwzo_backends.crossbar.converters import Converter
from hwzo_backends.crossbar.tiles import map_layers

signals = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20).map(np.array)


@given(signals, st.integers(2, 16), st.floats(1e-3, 1e3))
def test_a_converter_rounds_to_the_nearest_of_its_levels_and_clips(signal, bits, full_scale):
    converted = Converter(bits, full_scale).convert(signal.copy())
    lsb = full_scale / (2 ** (bits - 1) - 1)
    steps = converted / lsb
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9)
    clipped = np.clip(signal, -full_scale, full_scale)
    assert (np.abs(converted - clipped) <= 0.5 * lsb * (1 + 1e-9)).all()
    np.testing.assert_array_equal(Converter(bits, full_scale).convert(-signal), -converted)


@given(signals)
def test_an_ideal_converter_does_nothing(signal):
    np.testing.assert_array_equal(Converter(0, 1.0).convert(signal.copy()), signal)


def test_eight_bits_are_255_levels():
    sweep = Converter(8, 1.0).convert(np.linspace(-1.5, 1.5, 100_001))
    assert len(np.unique(np.rint(sweep * 127))) == 255
    assert sweep.min() == pytest.approx(-1.0)
    assert sweep.max() == pytest.approx(1.0)


@given(
    st.lists(st.integers(1, 700), min_size=2, max_size=4),
    st.integers(2, 300),
    st.integers(2, 300),
)
def test_tiles_cover_every_row_once(units, rows, columns):
    network = Network(tuple(units))
    for layer, n_in, n_out in zip(map_layers(network, rows, columns), units[:-1], units[1:], strict=True):
        covered = [row for start, stop in layer.rows for row in range(start, stop)]
        assert covered == list(range(n_in + 1))  # the bias is a row
        assert layer.longest <= rows
        assert layer.n_tiles == -(-(n_in + 1) // rows) * -(-n_out // columns)
