"""The retransmission timer against RFC 6298, worked by hand."""

import pytest

from hwzo.wire.timer import RetransmissionTimer


def test_round_trips_by_the_formulas():
    timer = RetransmissionTimer(least=0.01, first=0.5, longest=60.0)
    assert timer.wait_s == 0.5
    timer.saw(1.0)  # smoothed 1, deviation 1/2
    assert timer.wait_s == pytest.approx(3.0)
    timer.saw(2.0)  # deviation 3/4 1/2 + 1/4 |1 - 2| = 0.625, smoothed 7/8 + 2/8 = 1.125
    assert timer.wait_s == pytest.approx(1.125 + 4 * 0.625)


def test_it_stays_between_its_limits():
    timer = RetransmissionTimer(least=0.1, first=0.5, longest=2.0)
    for _ in range(100):
        timer.saw(1e-4)
    assert timer.wait_s == 0.1
    for expected in (0.2, 0.4, 0.8, 1.6, 2.0, 2.0):
        timer.expired()
        assert timer.wait_s == pytest.approx(expected)
    for expected in (1.6, 0.8, 0.4, 0.2, 0.1, 0.1):
        timer.answered()
        assert timer.wait_s == pytest.approx(expected)


def test_a_supposed_round_trip_counts_up_to_double_the_wait():
    timer = RetransmissionTimer(least=0.01, first=0.5, longest=60.0)
    timer.saw(0.02)  # smoothed 0.02, deviation 0.01: the estimate is 0.06
    timer.supposed(9.0)  # as 0.12: deviation 3/4 0.01 + 1/4 0.1 = 0.0325, smoothed 7/8 0.02 + 0.12 / 8 = 0.0325
    assert timer.wait_s == pytest.approx(0.0325 + 4 * 0.0325)
