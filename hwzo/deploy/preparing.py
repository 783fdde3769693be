"""What is settled before cells are verified: mapping, tolerance, and an order that keeps clear of stuck cells."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwzo.deploy.closed_loop import BEYOND_CHANCE, Written
from hwzo.deploy.columns import Columns
from hwzo.deploy.counted import Counted
from hwzo.deploy.mapped import MappedDevice
from hwzo.deploy.mapping import Bought, Mapping, choose_mapping
from hwzo.deploy.orders import choose_orders, importance, unreached
from hwzo.deploy.stuck import StuckCells
from hwzo.deploy.tolerance import ReadError, Tolerance, choose_tolerance, look, look_writes, residual_of, subset
from hwzo.deploy.work import Work
from hwzo.errors import ConfigError
from hwzo.noise.setup import on_grid, ranges
from hwzo.parameters import Array

SUSPICIOUS = 0.25
"""Of half the range: a cell that is missed by more after it was corrected may be stuck."""
END_WRITES = 2
MAPPING_WRITES = 2
"""That choosing a mapping takes of the cells of one column."""
SETTLING_WRITES = 2
"""That a cell needs after its target has moved: one to get there, and one to be corrected."""


def first_mapping(work: Work) -> Mapping:
    """The mapping, as far as it can be known before anything was seen of the cells.

    Gains are such that all weights fit. What choosing it wrote counts, and also what it may have written before it was
    cut off; where a column's cells would have too few writes left, its noise is assumed.
    """
    settings, guard, profile, cuts = work.settings, work.guard, work.profile, work.cuts
    network = guard.capabilities.network
    most = max(0, settings.most_writes - SETTLING_WRITES) // MAPPING_WRITES  # so often may it be measured
    counted = Counted(guard)
    work.show("choosing a mapping", 0.0)

    def act() -> dict[str, Any]:
        mapping, bought = choose_mapping(
            work.weights.theta,
            counted,
            profile,
            gains=settings.gains,
            orders=settings.orders and profile is not None,  # nobody else knows of stuck cells yet
            inputs=work.inputs,
            clip=False,
            measure=cuts < most,
            say=work.say,
        )
        writes = counted.writes
        if network is not None and settings.gains and guard.capabilities.output_gains:
            writes = writes + MAPPING_WRITES * min(cuts, most) * Columns.measured_cells(network)
        text = json.dumps([asdict(part) for part in bought])
        return {**mapping.arrays(), "_writes": writes, "_bought": np.frombuffer(text.encode(), dtype=np.uint8)}

    seen = dict(work.take("mapping", act).arrays)
    work.writes += seen.pop("_writes")
    work.bought = [Bought(**part) for part in json.loads(seen.pop("_bought").tobytes())]
    if profile is not None:
        known = StuckCells.of(profile, guard.parameters)
        work.suspect = None if known is None else known.stuck
    return Mapping.from_arrays(guard, seen)


def find_tolerance(work: Work, targets: Array) -> Tolerance:
    """The tolerance, by the profile's noise, or by a look at some cells, which are written for it.

    Args:
        work: the deployment under way.
        targets: (n,) what the cells shall hold, weight units of the device.

    Raises:
        ConfigError: it is tighter than the device can verify; or there are no writes left to look.
    """
    settings, profile, guard = work.settings, work.profile, work.guard
    read = None if profile is None else ReadError.of(profile)
    residual = None if profile is None else residual_of(profile)
    if read is None or residual is None:
        cuts = work.cuts
        taken = look_writes(guard) * (cuts + 1)
        where = subset(work.n, settings.seed) & (work.writes + taken < settings.most_writes)
        if not where.any():
            raise ConfigError(
                f"most_writes = {settings.most_writes} leaves no writes to see what a write leaves"
                + (f", after {cuts} attempts that were cut off" if cuts else "")
                + "; calibrate the device and name its profile with --profile, or allow more",
                key="most_writes",
            )
        work.show("looking at the noise", 0.0)

        def act() -> dict[str, Any]:
            found, left = look(guard, targets, where)
            writes = taken * where.astype(np.int64)
            return {"read": np.array([found.fresh, found.kept]), "residual": np.array(left), "writes": writes}

        seen = work.take("noise", act, cells=where)
        fresh, kept = (float(x) for x in seen.arrays["read"])
        read, residual = ReadError(fresh, kept), seen.number("residual")
        work.writes += seen.arrays["writes"]
        work.say(
            f"no profile: {int(where.sum())} cells were written {taken} times to see that a write leaves "
            f"{residual:.3g} and a reading {math.hypot(fresh, kept):.3g} (standard deviations, weight units)"
        )
    chosen = choose_tolerance(
        settings.tolerance, read, residual, guard.parameters, verified_writes=guard.capabilities.verified_writes
    )
    reads = "one read" if chosen.repeats == 1 else f"a mean of {chosen.repeats} reads"
    work.say(f"tolerance {chosen.value:.4g} weight units, by {reads} of each cell")
    return chosen


def reordered(
    work: Work, theta: Array, mapping: Mapping, once: Written, tolerance: Tolerance
) -> tuple[Mapping, NDArray[np.bool_] | None]:
    """A mapping whose orders keep clear of stuck cells, if some are found; and which cells can't reach their targets.

    Which cells are stuck is asked only if some are missed by far after they were corrected ``once``: it takes writing
    both ends of the range into all of them. Then ``work.held`` is another than before.

    Args:
        work: the deployment under way.
        theta: (n,) the network's weights.
        mapping: by which they were written.
        once: what became of the cells when they were corrected once.
        tolerance: how near they must come.

    Returns:
        The mapping, and (n,) True for the cells that can't reach their targets; None: nobody looked.
    """
    guard, spec, settings = work.guard, work.guard.parameters, work.settings
    low, high = ranges(spec)
    far = np.abs(once.reached - mapping.cells(theta)) > np.maximum(
        BEYOND_CHANCE * tolerance.noise, SUSPICIOUS * 0.5 * (high - low)
    )
    network = guard.capabilities.network
    if work.suspect is not None or network is None or not (far.any() and settings.orders):
        return mapping, None
    if (work.writes + SETTLING_WRITES > settings.most_writes).any():
        # Moving weights between cells of which some can't be written any more would lose them.
        work.say(
            f"{int(np.count_nonzero(far))} cells missed by far; which are stuck isn't looked at, and units keep their "
            f"order, since some cells have too few of their {settings.most_writes} writes left; a profile "
            "(--profile) tells without writing"
        )
        return mapping, None
    taken = END_WRITES * (work.cuts + 1)
    where: NDArray[np.bool_] = np.asarray(work.writes + taken < settings.most_writes)
    ends = np.stack([on_grid(spec, low), on_grid(spec, high)])

    def act() -> dict[str, Any]:
        reached: list[Array] = []
        for end in ends:
            if where.any():
                guard.program(end, mask=where)
            reached.append(guard.read(tolerance.repeats).mean(axis=0))
        return {"reached": np.stack(reached), "where": where, "taken": np.array(taken)}

    work.show("looking for stuck cells", 0.1, int(np.count_nonzero(far)))
    seen = work.take("ends", act, cells=where).arrays
    where = np.asarray(seen["where"], dtype=np.bool_)
    work.writes[where] += int(seen["taken"])
    work.held = np.where(where, ends[1], once.asked)
    # Cells that may not be written so often are taken to be fine.
    stuck = StuckCells.seen(spec, ends, np.where(where, np.asarray(seen["reached"], dtype=np.float64), ends))
    count = int(stuck.stuck.sum())
    if count:
        work.say(
            f"{int(np.count_nonzero(far))} cells missed by far, and {count} of {work.n} can't reach all of their "
            "range: stuck cells; hidden units are put in an order that keeps clear of them, as far as may be"
        )
        weight = importance(network, theta, work.inputs)
        before = unreached(mapping, theta, stuck, weight)
        mapping = replace(mapping, orders=choose_orders(mapping, theta, stuck, work.inputs))
        after = unreached(mapping, theta, stuck, weight)
        what = "expected rms error of the outputs from what pairs with stuck cells can't reach"
        work.bought.append(Bought("orders", what, math.sqrt(before), math.sqrt(after)))
        MappedDevice(guard, mapping)  # sets the gains, in the new order
    work.suspect = stuck.stuck
    # The ends that were written fall a tenth short of the range's: what lies there may still be reached.
    beyond_reach = stuck.misses(mapping.cells(theta)) > tolerance.value + 0.1 * (high - low)
    return mapping, beyond_reach & stuck.stuck
