"""Gains at the columns' outputs, of a device that declares them."""

from __future__ import annotations

from typing import cast

import numpy as np

from hwzo.device import EmulatedDevice, GainedDevice
from hwzo.errors import ConfigError
from hwzo.probes import Probes
from hwzo.testing.check import Bench, Check, check, needs, refuses, require


@check("gains at the outputs")
def output_gains(bench: Bench) -> str:
    """They begin at 1, are kept, refuse what is none, and multiply what the columns give, to the last digit."""
    device, batch = bench.device, bench.batch
    can = device.capabilities
    needs(can.output_gains, "it has none")
    require(can.network is not None, "gains belong to the columns of a network, and it declares no network")
    assert can.network is not None
    columns = [stage.columns for stage in can.network.stages]
    gained, n = cast(GainedDevice, device), sum(columns)
    require(np.array_equal(gained.gains, np.ones(n)), f"a device opens with all of its {n} gains at 1")
    for bad, what in (
        (np.ones(n + 1), "one gain too many"),
        (np.zeros(n), "gains of 0"),
        (np.full(n, np.nan), "gains that are no numbers"),
        (-np.ones(n), "negative gains"),
    ):
        refuses(lambda bad=bad: gained.set_gains(bad), ConfigError, what)
    require(np.array_equal(gained.gains, np.ones(n)), "gains that were refused changed those that were set")
    wanted = np.ones(n)
    wanted[-columns[-1] :] = 2.0 ** np.arange(-1, columns[-1] - 1)  # powers of 2: no digit is lost
    gained.set_gains(wanted)
    require(np.array_equal(gained.gains, wanted), f"gains {wanted} were set, {gained.gains} are kept")
    if not (can.snapshot and can.deterministic and can.reads_back("outputs")):
        return f"{n} gains kept; what they do can be seen on an emulated device only"
    emulated, probe = cast(EmulatedDevice, device), Probes.plain(want="outputs")
    gained.set_gains(np.ones(n))
    device.program(bench.points(1)[0])
    state = emulated.snapshot()
    plain = device.measure(probe, batch).outputs
    emulated.restore(state)
    gained.set_gains(wanted)
    raised = device.measure(probe, batch).outputs
    assert plain is not None
    assert raised is not None
    factors = wanted[-columns[-1] :]
    require(np.allclose(raised, plain * factors, rtol=1e-6, atol=0.0), "outputs aren't multiplied by their gains")
    return f"{n} gains; outputs multiplied"


CHECKS: tuple[Check, ...] = (output_gains,)
