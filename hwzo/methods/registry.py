"""The methods by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from hwzo.errors import ConfigError
from hwzo.methods import (
    anp,
    backprop,
    block,
    cbo,
    cma_es,
    coordinate,
    danp,
    eggroll,
    forward_gradient,
    fzoo,
    gauss_newton,
    guided_es,
    hebbian,
    hizoo,
    intrinsic,
    learned_feedback,
    lozo,
    metropolis,
    mezo,
    mgd,
    node_perturbation,
    noisezo,
    nrl,
    openes,
    oua,
    reszo,
    selection,
    spsa,
    zo_adamm,
    zo_sgd,
    zo_signsgd,
)
from hwzo.methods.method import Builder, Method
from hwzo.methods.options import Options, parse_options


@dataclass(frozen=True)
class Entry:
    """One method.

    Args:
        build: makes it for a device.
        budget: what a run with it may spend if nothing else is said.
        batch: samples a minibatch if nothing else is said, as far as the task has them; None: all of them.
        about: a line for the user.
        options: what may stand behind its name, if anything may; then ``build`` takes one as ``options``.
    """

    build: Builder
    about: str
    budget: str = "20000 evaluations"
    batch: int | None = 128
    options: type[Options] | None = None


METHODS: Mapping[str, Entry] = {
    "intrinsic": Entry(
        intrinsic.build, "by the device's own noise, as far as it can be read back", budget="12000 evaluations"
    ),
    "block": Entry(block.build, "commanded displacements, centred on their block's mean"),
    "spsa": Entry(spsa.build, "commanded antithetic pairs (Spall 1992)"),
    "mgd": Entry(
        mgd.build,
        "multiplexed gradient descent (McCaughan et al. 2023)",
        options=mgd.MgdOptions,
    ),
    "selection": Entry(
        selection.build, "program a mutation, keep it if it is better", budget="40000 evaluations", batch=None
    ),
    "backprop": Entry(backprop.build, "host-side float reference, for comparison only", budget="2000 evaluations"),
    "node-perturbation": Entry(
        node_perturbation.build,
        "the nodes' own noise, less what is passed on (Werfel et al. 2005)",
        budget="12000 evaluations",
    ),
    "anp": Entry(anp.build, "activity differences between noisy passes (Dalm et al. 2023)", budget="12000 evaluations"),
    "danp": Entry(
        danp.build,
        "the same with decorrelated inputs (Dalm et al. 2023)",
        budget="12000 evaluations",
        options=danp.DanpOptions,
    ),
    "learned-feedback": Entry(
        learned_feedback.build,
        "node perturbation that learns what to expect (Lansdell et al. 2020)",
        budget="12000 evaluations",
        options=learned_feedback.FeedbackOptions,
    ),
    "nrl": Entry(
        nrl.build, "one noisy pass against past rewards (Garcia Fernandez et al. 2025)", budget="12000 evaluations"
    ),
    "hebbian": Entry(
        hebbian.build, "reward-modulated Hebbian learning (Hoerzer et al. 2014)", budget="12000 evaluations"
    ),
    "forward-gradient": Entry(forward_gradient.build, "host-side, derivatives along directions (Baydin et al. 2022)"),
    "gauss-newton": Entry(
        gauss_newton.build,
        "host-side, second order (Schraudolph 2002)",
        budget="100 evaluations",
        batch=None,
        options=gauss_newton.GaussNewtonOptions,
    ),
    "zo-sgd": Entry(zo_sgd.build, "Gaussian directions, plain steps (Ghadimi and Lan 2013)"),
    "zo-signsgd": Entry(zo_signsgd.build, "the sign of the estimate (Liu et al. 2019)"),
    "zo-adamm": Entry(zo_adamm.build, "adaptive momentum on estimates (Chen et al. 2019)"),
    "mezo": Entry(mezo.build, "pairs, steps kept as seeds and numbers (Malladi et al. 2023)"),
    "fzoo": Entry(fzoo.build, "steps divided by the losses' spread (Dang et al. 2025)"),
    "hizoo": Entry(
        hizoo.build,
        "pairs scaled by a diagonal of curvatures (Zhao et al. 2024)",
        options=hizoo.HizooOptions,
    ),
    "coordinate": Entry(
        coordinate.build,
        "one parameter at a time, sparse if wanted (Chen et al. 2024)",
        options=coordinate.CoordinateOptions,
    ),
    "lozo": Entry(
        lozo.build,
        "low-rank pairs in a subspace kept for a while (Chen et al. 2025)",
        options=lozo.LozoOptions,
    ),
    "eggroll": Entry(eggroll.build, "rank-one pairs of each matrix (Sarkar et al. 2025)"),
    "openes": Entry(openes.build, "mirrored samples, centred ranks (Salimans et al. 2017)"),
    "cma-es": Entry(cma_es.build, "a normal distribution, its covariance learnt (Hansen 2016)"),
    "sep-cma": Entry(cma_es.build_separable, "the same, diagonal (Ros and Hansen 2008)"),
    "cbo": Entry(
        cbo.build,
        "particles drift to their consensus (Carrillo et al. 2021)",
        options=cbo.CboOptions,
    ),
    "guided-es": Entry(
        guided_es.build,
        "pairs partly where past estimates or a twin point (Maheswaranathan et al. 2019)",
        options=guided_es.GuidedOptions,
    ),
    "reszo": Entry(
        reszo.build,
        "one reading a step, a regression on the last (Chen and Ren 2025)",
        options=reszo.ReszoOptions,
    ),
    "oua": Entry(
        oua.build,
        "Ornstein-Uhlenbeck adaptation (Garcia Fernandez et al. 2024)",
        options=oua.OuaOptions,
    ),
    "noisezo": Entry(noisezo.build, "the noise of two writes (Wang et al. 2025)"),
    "metropolis": Entry(
        metropolis.build,
        "mutations, worse kept now and then (Kirkpatrick et al. 1983)",
        budget="40000 evaluations",
        batch=None,
        options=metropolis.MetropolisOptions,
    ),
}


def method_named(text: str) -> Entry:
    """The method of this name, with the options that stand behind it, such as ``"mgd?tau_x=4&tau_theta=16"``.

    Raises:
        ConfigError: there is none; lists those there are. An option that it doesn't have, or a value of it.
    """
    name, mark, query = text.partition("?")
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"unknown method {name!r}; {hint}allowed are {', '.join(METHODS)}", key="method")
    entry = METHODS[name]
    if not mark:
        return entry
    if entry.options is None:
        raise ConfigError(f"method {text!r}: {name!r} has no options; its settings are keys of their own", key="method")
    build = cast("Callable[..., Method]", entry.build)
    return replace(entry, build=partial(build, options=parse_options(entry.options, name, query)))
