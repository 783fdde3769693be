"""The c* rule against functions whose derivatives are known in closed form."""

import numpy as np
import pytest

from hwzo.errors import MeasurementError
from hwzo.noise.probe_size import EVALUATIONS, FLOOR, probe_size
from hwzo.probes import Batch, Readings
from hwzo.testing.quadratic import QuadraticDevice

BATCH = Batch(np.zeros((4, 1)), np.zeros(4, dtype=np.int64))


class Cubic(QuadraticDevice):
    """Loss a w^3 / 6 of one parameter, whose third derivative is a everywhere; readout noise of sd ``loss_sd``."""

    def __init__(self, a, loss_sd, seed):
        super().__init__(1, seed=seed, loss_sd=loss_sd, optimum=np.zeros(1), curvature=np.zeros(1))
        self.a = a

    def measure(self, probes, batch):
        noise = super().measure(probes, batch).losses
        signs = self.direction_signs(probes)
        return Readings(noise + self.a * (probes.scales * signs) ** 3 / 6)

    def direction_signs(self, probes):
        from hwzo.directions import directions

        rows = directions(
            probes.law, self.parameters, key=probes.key, step=probes.step, counters=np.asarray(probes.counters)
        )
        return rows[:, 0]


def found(make, n, *, central):
    return np.array([probe_size(make(i), BATCH, law="rademacher", key=i, central=central).scale for i in range(n)])


def test_one_sided_size_on_a_quadratic():
    # Along Rademacher z the second derivative of 1/2 sum h_i w_i^2 is sum h_i, whatever z.
    h, loss_sd = np.linspace(0.5, 2.0, 8), 4e-3
    expected = (8 * loss_sd**2) ** 0.25 / np.sqrt(h.sum())
    sizes = found(lambda i: QuadraticDevice(8, seed=i, loss_sd=loss_sd, curvature=h), 64, central=False)
    # log c* = log(s)/2 - log(D2)/2. The estimate of s from 8 readings has sd 1/sqrt(14) of it and a bias of -1/28 in
    # its logarithm; D2's error adds less. So the mean of 64 logarithms has a standard error below .02; 5 of them and
    # the bias, false alarm below 1e-6.
    assert abs(np.log(sizes / expected).mean()) < 0.12


def test_central_size_on_a_cubic():
    a, loss_sd = 200.0, 4e-4
    expected = (3 * loss_sd / a) ** (1 / 3)
    sizes = found(lambda i: Cubic(a, loss_sd, i), 64, central=True)
    assert 0.01 < expected < 0.2  # inside the range that the rule keeps to
    assert abs(np.log(sizes / expected).mean()) < 0.12


def test_four_times_the_noise_doubles_the_size():
    def sizes(loss_sd):
        h = np.linspace(0.5, 2.0, 8)
        return found(lambda i: QuadraticDevice(8, seed=i, loss_sd=loss_sd, curvature=h), 64, central=False)

    assert np.median(sizes(8e-3)) / np.median(sizes(2e-3)) == pytest.approx(2.0, rel=0.15)


def test_without_noise_it_is_the_floor_and_where_noise_hides_curvature_no_less_than_the_trial():
    h = np.ones(8)
    still = probe_size(QuadraticDevice(8, curvature=h), BATCH, law="rademacher", key=1, central=False)
    assert still.scale == FLOOR
    assert still.loss_sd < 1e-12  # rounding of equal losses
    loud = QuadraticDevice(8, curvature=h, loss_sd=10.0)
    assert 0.05 <= probe_size(loud, BATCH, law="rademacher", key=1, central=False, trial=0.05).scale <= 0.2


def test_along_coordinates_it_is_of_parameters_from_everywhere():
    """Of 400 parameters the first 40 don't matter: c* is that of the others (chance of 8 among the 40: 1e-8 a key)."""
    h, loss_sd = np.where(np.arange(400) < 40, 0.0, 2.0), 1e-3
    sizes = [
        probe_size(
            QuadraticDevice(400, seed=i, loss_sd=loss_sd, curvature=h), BATCH, law="coordinate", key=i, central=False
        ).scale
        for i in range(64)
    ]
    expected = (8 * loss_sd**2) ** 0.25 / np.sqrt(2.0)
    # Of the 8 some 0.8 are among the 40, which takes about a tenth off D2's square: 2.6% more, beside what the size's
    # logarithm is off anyway.
    assert abs(np.log(np.array(sizes) / expected).mean()) < 0.16


def test_it_takes_the_readings_it_says():
    class Counting(QuadraticDevice):
        count = 0

        def measure(self, probes, batch):
            self.count += len(probes)
            return super().measure(probes, batch)

    device = Counting(8, loss_sd=0.01)
    probe_size(device, BATCH, law="rademacher", key=1, central=True)
    assert device.count == EVALUATIONS


def test_a_loss_that_is_no_number_is_told():
    class Broken(QuadraticDevice):
        def measure(self, probes, batch):
            return Readings(np.full(len(probes), np.nan))

    with pytest.raises(MeasurementError, match="probe size"):
        probe_size(Broken(8), BATCH, law="rademacher", key=1, central=False)
