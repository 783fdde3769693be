# pyright: basic, reportMissingImports=false
# Lava carries no types, and isn't installed where hwzo is checked.
"""Graph mode: Lava's own Dense and LIFReset, compiled once, run call after call; several networks side by side.

This is the form that could go to a chip: nothing but the run configuration would have to be swapped. It has not been
run on one.
"""

from __future__ import annotations

import multiprocessing
from typing import Any

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2HwCfg, Loihi2SimCfg
from lava.proc.dense.process import Dense
from lava.proc.lif.process import LIFReset
from lava.utils.weightutils import SignMode

from hwzo_backends.lava.frames import pack, unpack
from hwzo_backends.lava.inside.failures import failures_of
from hwzo_backends.lava.plan import Plan
from hwzo_backends.lava.processes.chunks import receive, send
from hwzo_backends.lava.processes.graph_io import MOST_LAYERS, Count, Feed, first_step, shape_of, windows
from hwzo_backends.lava.processes.noisy_lif import PARAMETER, PyNoisyLifResetFixed, PyNoisyLifResetFloat

EXTENSION = "lava.magma.core.model.nc.model"
"""A module that only Intel's extension of Lava has."""


class HardwareError(RuntimeError):
    """A chip's run configuration can't be used; says what is missing."""


class Shared:
    """Numbers that all processes of a graph see, as registers of a chip: set before a run, read in it."""

    def __init__(self) -> None:
        self._numbers = multiprocessing.RawArray("Q", 2)

    @property
    def evaluation(self) -> int:
        """Number of the first copy's evaluation."""
        return int(self._numbers[0])

    @property
    def samples(self) -> int:
        """In this call."""
        return int(self._numbers[1])

    def set(self, evaluation: int, samples: int) -> None:
        """Before a run."""
        self._numbers[0], self._numbers[1] = evaluation, samples


class RunningStock:
    """A graph that was started.

    Args:
        words: of the plan.
        copies: networks side by side.
        hardware: ``none``, or ``loihi2`` for the run configuration of a chip.
        raster: whether calls may ask for every spike of every layer.
    """

    def __init__(self, words: dict[str, Any], copies: int, hardware: str, *, raster: bool = False) -> None:
        self._plan = plan = Plan.of_words(words)
        self._copies, self._shared = copies, Shared()
        if len(plan.layers) > MOST_LAYERS:
            raise ValueError(f"{len(plan.layers)} layers; graph mode takes up to {MOST_LAYERS}")
        number = int if plan.fixed else float
        extra = {"sign_mode": SignMode.MIXED} if plan.fixed else {}
        self._feed = Feed(words, copies, self._shared)
        self._count = Count(words, copies, self._shared, raster)
        port = self._feed.spikes
        for layer, neurons in enumerate(plan.layers):
            n, m = shape_of(plan.units, copies, layer)
            # Input spikes may be negative, which takes graded ones.
            exponent = {"weight_exp": neurons.weight_exp} if plan.fixed else {}
            dense = Dense(
                weights=np.zeros((m, n), dtype=number), num_message_bits=8 * (layer == 0), **extra, **exponent
            )
            lif = LIFReset(
                shape=(m,),
                du=number(neurons.du),
                dv=number(neurons.dv),
                vth=number(neurons.vth),
                bias_mant=np.zeros(m, dtype=number),
                bias_exp=np.full(m, neurons.bias_exp),
                reset_interval=plan.steps,
                reset_offset=first_step(layer) % plan.steps,
            )
            lif.proc_params[PARAMETER] = {"plan": words, "layer": layer, "copies": copies, "shared": self._shared}
            port.connect(dense.s_in)
            dense.a_out.connect(lif.a_in)
            getattr(self._feed, f"weights{layer}").connect_var(dense.weights)
            getattr(self._feed, f"bias{layer}").connect_var(lif.bias_mant)
            port = lif.s_out
            if raster and layer < len(plan.layers) - 1:
                port.connect(getattr(self._count, f"hidden{layer}"))
        port.connect(self._count.spikes)
        self._count.membrane.connect_var(lif.v)
        self._configuration = _configuration(plan, hardware)
        self._feed.create_runtime(run_cfg=self._configuration)
        self.about: dict[str, Any] = {}
        self.failures = failures_of(self._feed)

    def ask(self, message: bytearray) -> bytearray:
        """Answer a call, as many parameter sets at a time as there are copies."""
        words, arrays = unpack(message)
        parameters = arrays["parameters"]
        spikes = self._plan.spikes(arrays["inputs"])
        told: list[dict[str, np.ndarray]] = []
        for start in range(0, len(parameters), self._copies):
            part = parameters[start : start + self._copies]
            told.append(self._run(part, spikes, words["evaluation"] + start))
        wanted = {"counts", "membrane"} & set(words["outputs"])
        if "raster" in words["outputs"]:
            wanted |= {f"raster{layer}" for layer in range(len(self._plan.layers))}
        joined = {name: np.concatenate([each[name] for each in told]) for name in wanted}
        if self._plan.noise is not None and self._plan.noise.target == "weights":  # as `Feed` wrote them
            joined["realised"] = self._plan.with_noise(parameters[-1:], words["evaluation"] + len(parameters) - 1)
        return pack({}, joined)

    def _run(self, parameters: np.ndarray, spikes: np.ndarray, evaluation: int) -> dict[str, np.ndarray]:
        used = len(parameters)
        padded = np.zeros((self._copies, parameters.shape[1]), dtype=parameters.dtype)
        padded[:used] = parameters
        self._shared.set(evaluation, len(spikes))
        steps = windows(len(self._plan.layers), self._plan.steps, len(spikes)) * self._plan.steps
        self._feed.run(condition=RunSteps(num_steps=steps, blocking=False), run_cfg=self._configuration)
        told = pack({}, {"parameters": padded, "spikes": spikes})
        send(self._feed.questions.external_pipe_csp_send_port, told)
        _, counted = unpack(receive(self._count.answers.external_pipe_csp_recv_port))
        self._feed.wait()
        return {name: array[:used] for name, array in counted.items()}


def _configuration(plan: Plan, hardware: str) -> Any:  # noqa: ANN401
    """Which model of each process runs, and on what."""
    if hardware == "loihi2":
        try:
            __import__(EXTENSION)
        except ImportError:
            raise HardwareError(
                "hardware=loihi2 takes Loihi2HwCfg, and that takes Intel's own extension of Lava (lava-loihi, for "
                "members of the Intel Neuromorphic Research Community), which is not installed here"
            ) from None
        return _OnlyHardware()
    tag = "fixed_pt" if plan.fixed else "floating_pt"
    models = {}
    if plan.noise is not None and plan.noise.target != "weights":
        models[LIFReset] = PyNoisyLifResetFixed if plan.fixed else PyNoisyLifResetFloat
    return Loihi2SimCfg(select_tag=tag, exception_proc_model_map=models)


class _OnlyHardware(Loihi2HwCfg):
    """Loihi2HwCfg runs on the CPU what it has no model for, and tells nobody; this one refuses."""

    def select(self, process: Any, proc_models: Any) -> Any:  # noqa: ANN401
        model = super().select(process, proc_models)
        if isinstance(process, Dense | LIFReset) and model.__name__.startswith("Py"):
            raise HardwareError(f"Loihi2HwCfg has no hardware model of {type(process).__name__}, only {model.__name__}")
        return model
