"""What a deployment came to, in plain numbers."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Result(BaseModel):
    """What ``hwzo deploy --json`` prints.

    Args:
        device: URL.
        emulated: True if no hardware was involved.
        cells: how many there are, one a weight: a differential pair is one.
        cells_within_tolerance: how many were read within the tolerance of their targets, in a last reading of all.
        cell_writes: programming operations on single memory cells, as the device counts them, of the whole deployment.
        verified: at least 99% of the cells that aren't stuck are within the tolerance, and the outputs agree.
        accuracy_before: on the test split, right after the first plain write; None without a task, or without outputs.
        accuracy: on the test split, in the end; both are means over ``passes`` and decide nothing.
        accuracy_standard_error: of ``accuracy``, over the passes.
        passes: over the split, of each accuracy.
        task: whose split that is; None for none.
        tolerance: weight units of the device.
        ok, compensated, stuck, unreachable, over_budget: how many cells, see `hwzo.deploy.closed_loop.State`; the last
            are those whose writes, or rounds, are used up.
        touch_up_writes: those of ``cell_writes`` that the touch-up took; the others are of program and verify.
        clipped: weights that were moved into what the device can hold.
        outputs_agree: whether the device's outputs on the probe set agree with the network's; None if it has none.
        outputs_difference, outputs_noise, outputs_allowed: rms of their difference; what noise makes of it; and the
            limit, three times that and a share for converters; units of the outputs.
        outputs_judged_by: ``"outputs"``, or ``"accuracy"`` where the network only comes near to what the device
            computes, see `hwzo.deploy.worth.outputs_on_probes`; None if nothing was compared.
        device_seconds, joules: of the whole deployment.
        wall_seconds: of this session.
        most_writes_of_a_cell: that any cell was written, by program and verify.
        touch_up: folder of the run that touched it up; None for none.
        deployment: the file.
        page: the picture; None if matplotlib is missing.
        bundle: the bundle; None if none was asked for, or none could be written.
    """

    model_config = ConfigDict(frozen=True)

    device: str
    emulated: bool
    cells: int
    cells_within_tolerance: int
    cell_writes: int
    verified: bool
    accuracy_before: float | None
    accuracy: float | None
    accuracy_standard_error: float | None
    passes: int
    task: str | None
    tolerance: float
    ok: int
    compensated: int
    stuck: int
    unreachable: int
    over_budget: int
    clipped: int
    outputs_agree: bool | None
    outputs_difference: float | None
    outputs_allowed: float | None
    device_seconds: float
    joules: float
    wall_seconds: float
    most_writes_of_a_cell: int
    touch_up: str | None
    deployment: str
    page: str | None = None
    bundle: str | None = None
    touch_up_writes: int = 0
    outputs_noise: float | None = None
    outputs_judged_by: str | None = None
