"""Multiplexed gradient descent. McCaughan et al., APL Mach. Learn. 1, 026118 (2023), https://doi.org/10.1063/5.0157645.

``G += (C - C0) theta_ac / |theta_ac|^2`` over tau_theta / tau_p perturbations (``probes``) of one sample set, after one
undisplaced reading C0; then ``theta -= eta G``, with G averaged over them. Multiplexing is what the perturbations are:

=============  ==============================================================  ================
multiplexing   perturbation                                                    made by
=============  ==============================================================  ================
``code``       random signs, the default (law ``rademacher``)                  the device
``walsh``      orthogonal signs (law ``walsh``)                                the device
``time``       one parameter after the other (law ``coordinate``)              the device
``frequency``  a sinusoid for each parameter                                   the host, in writes
=============  ==============================================================  ================

With its time constants, ``mgd?tau_p=1&tau_theta=16&tau_x=4``, it is `hwzo.methods.multiplexed`; its analogue form,
``mgd?analogue=true``, is `hwzo.methods.mgd_analogue`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hwzo.directions import Directions, second_moment
from hwzo.errors import ConfigError
from hwzo.explore.programmed import ProgrammedExploration
from hwzo.explore.sinusoids import Sinusoids
from hwzo.methods.grid_steps import UNITS, resolution_of
from hwzo.methods.method import Method, Start
from hwzo.methods.mgd_analogue import Analogue, Source
from hwzo.methods.multiplexed import Commanded, Multiplexed, Perturbations, Sinusoidal
from hwzo.methods.options import Options
from hwzo.methods.programmed import Programmed
from hwzo.methods.settings import Settings, known
from hwzo.methods.weight_perturbation import check_law, compose, rate_of, scale_along, scale_of, update_of
from hwzo.parameters import Array
from hwzo.probes import Law

DEFAULTS = Settings(probes=16, law="rademacher", estimator="forward", update="sgd", rate=0.3, schedule="linear")
TAKES = ("probes", "scale", "law", "update", "rate", "schedule")
LAWS: dict[str, Law] = {"code": "rademacher", "walsh": "walsh", "time": "coordinate"}

Readings = Annotated[int, Field(ge=1, le=1_000_000)]


class MgdOptions(Options):
    """Of multiplexed gradient descent; times in readings.

    Args:
        multiplexing: see the module; None: by the setting ``law``.
        tau_p: that a perturbation is held for.
        tau_theta: between two moves of the parameters, a multiple of tau_p; None: ``probes`` perturbations. In the
            analogue form, the time constant of the low-pass filter.
        tau_x: that samples are held for, a multiple of tau_p; None: as long as tau_theta.
        analogue: the form with filters.
        tau_hp: time constant of its high-pass filter.
    """

    multiplexing: Literal["code", "walsh", "time", "frequency"] | None = None
    tau_p: Readings = 1
    tau_theta: Readings | None = None
    tau_x: Readings | None = None
    analogue: bool = False
    tau_hp: Annotated[float, Field(gt=0)] | None = None


def build(settings: Settings, start: Start, options: MgdOptions | None = None) -> Method:
    """The method, on a device that can be commanded; for sinusoids and the analogue form, any will do."""
    options = options or MgdOptions()
    settings.only("mgd", TAKES)
    if options.multiplexing in LAWS:
        law = LAWS[options.multiplexing]
        if settings.law not in (None, law):
            raise ConfigError(
                f"law = {settings.law!r} and multiplexing = {options.multiplexing!r}, which is law {law!r}: set one",
                key="law",
            )
        settings = replace(settings, law=law)
    elif options.multiplexing == "frequency" and settings.law is not None:
        raise ConfigError(f"law = {settings.law!r}: multiplexing = 'frequency' has sinusoids, and no law", key="law")
    if options.tau_theta is not None and settings.probes is not None and not options.analogue:
        raise ConfigError(
            f"probes = {settings.probes} and tau_theta = {options.tau_theta}: probes is tau_theta / tau_p; set one",
            key="probes",
        )
    if options.tau_hp is not None and not options.analogue:
        raise ConfigError("tau_hp is a time constant of the analogue form; add analogue=true", key="tau_hp")
    if options.analogue:
        return _analogue(settings, start, options)
    if options.multiplexing != "frequency" and (options.tau_theta, options.tau_x, options.tau_p) == (None, None, 1):
        reason = "commanded perturbations against an undisplaced reading"
        return compose(settings, DEFAULTS, start, "commanded", reason, method="mgd", takes=TAKES)
    return _discrete(settings, start, options)


def _discrete(settings: Settings, start: Start, options: MgdOptions) -> Multiplexed:
    chosen, parameters, held = settings.over(DEFAULTS), start.device.parameters, options.tau_p
    tau_theta = options.tau_theta or held * known(chosen.probes)
    tau_x = options.tau_x or tau_theta
    for name, tau in (("tau_theta", tau_theta), ("tau_x", tau_x)):
        if tau % held:
            raise ConfigError(f"{name} = {tau} must be a multiple of tau_p = {held}", key=name)
    law: Law = known(chosen.law)
    window, sinusoids = tau_theta // held, options.multiplexing == "frequency"
    perturbations: Perturbations
    if sinusoids:
        scale = scale_of(chosen, start, central=False)
        explore = ProgrammedExploration(parameters)
        perturbations = Sinusoidal(Sinusoids(parameters.size, start.key), explore, window, scale)
    else:
        check_law(start.device, law)
        scale = scale_along(law, chosen, start, central=False)
        grid = resolution_of(parameters) if law in UNITS else 0.0
        if grid:
            scale = max(1.0, round(scale / grid)) * grid
        variance = second_moment(law, parameters) * scale**2
        perturbations = Commanded(Directions(law, parameters, start.key), scale, variance)
    keep = [name for name in TAKES if name != "probes" and not (sinusoids and name == "law")]
    start.settings = replace(chosen, scale=scale).keep(keep)
    return Multiplexed(
        perturbations,
        held,
        window,
        tau_x // held,
        law == "coordinate" and not sinusoids,
        update_of(chosen),
        rate_of(chosen),
        parameters.clip,
        f"perturbations held for {held}, parameters moved every {tau_theta}, samples changed every {tau_x} readings",
    )


@dataclass(frozen=True)
class _Codes:
    """A direction of its own for each reading, as a `Source`."""

    directions: Directions

    def at(self, readings: NDArray[np.int64]) -> Array:
        """See `Source`."""
        return self.directions.at(int(readings[0]), np.zeros(1, dtype=np.int64)) * self._size

    @cached_property
    def _size(self) -> float:
        """Brings the mean square to 1."""
        return second_moment(self.directions.law, self.directions.spec) ** -0.5


def _analogue(settings: Settings, start: Start, options: MgdOptions) -> Programmed:
    for name in ("probes", "update"):
        if getattr(settings, name) is not None:
            raise ConfigError(
                f"{name}: the analogue form of 'mgd' has no such setting; it has time constants", key=name
            )
    chosen, parameters = settings.over(replace(DEFAULTS, rate=0.003)), start.device.parameters
    law: Law = known(chosen.law)
    if law in ("coordinate", "walsh"):
        raise ConfigError(
            f"law = {law!r}: the analogue form perturbs all parameters all the time, by codes or sinusoids; "
            "set multiplexing=code or multiplexing=frequency",
            key="law",
        )
    scale = scale_of(chosen, start, central=False)
    source: Source = (
        Sinusoids(parameters.size, start.key)
        if options.multiplexing == "frequency"
        else _Codes(Directions(law, parameters, start.key))
    )
    tau_x = options.tau_x or 16
    search = Analogue(parameters, source, scale, options.tau_p, options.tau_theta or 16, options.tau_hp or 1.0)
    keep = [name for name in TAKES if name not in ("probes", "update", "law" if settings.law is None else "")]
    start.settings = replace(chosen, scale=scale).keep(keep)
    reason = "perturbed all the time; a high-pass and a low-pass filter make the gradient"
    return Programmed(search, ProgrammedExploration(parameters), rate_of(chosen), reason, rounds=tau_x)
