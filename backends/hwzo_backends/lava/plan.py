"""What a worker is asked to evaluate: a network of LIF layers, and one call's parameters and spikes.

Read on both sides of the pipe: needs NumPy alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwzo_backends.lava.coding import Coding, encode
from hwzo_backends.lava.lif import Neurons, Precision, Trial, simulate
from hwzo_backends.lava.loihi_noise import Noise, drawn, noisy_weights

Array = NDArray[Any]
Output = Literal["counts", "membrane", "raster"]


def coded(inputs: Array, steps: int, coding: Coding, seed: int) -> NDArray[np.int8]:
    """Input spikes (batch, steps, n_inputs) of inputs (batch, n_inputs) in [-1, 1].

    Coding at random is a function of the inputs: all probes of a minibatch see the same spikes, another sees others.
    """
    return encode(inputs, steps, coding, seed=seed, draw=zlib.crc32(np.ascontiguousarray(inputs).tobytes()))


@dataclass(frozen=True)
class Plan:
    """A network of LIF layers and its noise.

    Args:
        units: neurons a layer, the inputs first, such as (64, 32, 10).
        layers: constants, one for each of units[1:].
        steps: T, time steps that a sample is shown for.
        precision: ``fixed`` or ``float``.
        coding: how inputs become spikes.
        noise: None for none.
        seed: of the noise, and of coding at random.
    """

    units: tuple[int, ...]
    layers: tuple[Neurons, ...]
    steps: int
    precision: Precision = "fixed"
    coding: Coding = "rate"
    noise: Noise | None = None
    seed: int = 0

    @property
    def fixed(self) -> bool:
        """Whether all numbers are whole."""
        return self.precision == "fixed"

    def as_words(self) -> dict[str, Any]:
        """As JSON can carry it."""
        return asdict(self)

    @classmethod
    def of_words(cls, words: Mapping[str, Any]) -> Plan:
        """What `as_words` gave."""
        noise = words["noise"]
        return cls(
            units=tuple(words["units"]),
            layers=tuple(Neurons(**each) for each in words["layers"]),
            steps=words["steps"],
            precision=words["precision"],
            coding=words["coding"],
            noise=Noise(**noise) if noise else None,
            seed=words["seed"],
        )

    def spikes(self, inputs: Array) -> NDArray[np.int8]:
        """Input spikes (batch, T, n_inputs) of inputs (batch, n_inputs) in [-1, 1]; see `coded`."""
        return coded(inputs, self.steps, self.coding, self.seed)

    def run(
        self, parameters: Array, inputs: Array, *, evaluation: int, record: bool = False, raster: bool = False
    ) -> Trial:
        """The kernel's answer for parameters (K, n_params), as registers, and inputs (batch, n_inputs)."""
        return simulate(
            parameters,
            self.spikes(inputs),
            self.units,
            self.layers,
            precision=self.precision,
            noise=self.noise,
            seed=self.seed,
            evaluation=evaluation,
            record=record,
            raster=raster,
        )

    def with_noise(self, parameters: Array, evaluation: int) -> Array:
        """Parameters (K, n_params) as evaluations from ``evaluation`` on realise them, where noise is on weights."""
        if self.noise is None or self.noise.target != "weights":
            return parameters
        return noisy_weights(parameters, self.units, self.noise, self.seed, evaluation, fixed=self.fixed)

    def layer_noise(self, evaluation: int, k: int, layer: int, batch: int) -> Array:
        """What is added to u or v of a layer in k evaluations, (k, T, batch, units), in units of fixed precision."""
        if self.noise is None:
            raise ValueError("this plan has no noise")
        shape = (self.steps, batch, self.units[layer + 1])
        return drawn(self.noise, self.seed, evaluation, k, layer, shape, np.float64)

    def answer(self, words: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[dict[str, Any], dict[str, Array]]:
        """One call's question to its answer, as messages carry them (see `question` and `answered`)."""
        trial = self.run(
            arrays["parameters"],
            arrays["inputs"],
            evaluation=words["evaluation"],
            record=words["nodes"],
            raster="raster" in words["outputs"],
        )
        told: dict[str, Array] = {}
        if "counts" in words["outputs"]:
            told["counts"] = trial.counts.astype(np.uint16)
        if "membrane" in words["outputs"]:  # a whole number of 24 bits, in fixed precision
            told["membrane"] = trial.membrane.astype(np.float32) if self.fixed else trial.membrane
        told |= {f"raster{index}": spiked for index, spiked in enumerate(trial.raster)}
        for index, drive in enumerate(trial.drives[:-1]):
            told[f"heard{index}"] = drive + trial.draws[index] if trial.draws else drive
        if trial.realised is not None:
            told["realised"] = trial.realised if words["nodes"] else trial.realised[-1:]
        return {}, told


def question(
    parameters: Array,
    inputs: Array,
    *,
    evaluation: int,
    nodes: bool = False,
    outputs: Sequence[Output] = ("counts",),
) -> tuple[dict[str, Any], dict[str, Array]]:
    """One call as a message carries it.

    Args:
        parameters: (K, n_params), as registers.
        inputs: (batch, n_inputs), in [-1, 1].
        evaluation: number of the first one.
        nodes: whether nodes, and noisy parameters of all K, are wanted; else of the last one only.
        outputs: what is wanted: counts of the last layer's spikes, its v at the end, the raster of all layers.
    """
    words = {"evaluation": evaluation, "nodes": nodes, "outputs": list(outputs)}
    return words, {"parameters": parameters, "inputs": inputs}


@dataclass(frozen=True)
class Answer:
    """What came back; what wasn't asked for is empty.

    Args:
        counts: (K, batch, n_outputs) float64, spikes of the last layer.
        membrane: (K, batch, n_outputs) float64, its v at the end.
        heard: a hidden layer each, (K, batch, units) float64: mean over the steps of what came in, bias and noise
            included, in units of u and v.
        realised: (K or 1, n_params) float64, noisy registers.
    """

    counts: Array
    membrane: Array
    heard: tuple[Array, ...]
    realised: Array | None


def answered(told: Mapping[str, Array]) -> Answer:
    """A worker's answer to a `question`."""
    heard = sum(key.startswith("heard") for key in told)
    return Answer(
        counts=told.get("counts", np.empty(0)).astype(np.float64),
        membrane=told.get("membrane", np.empty(0)).astype(np.float64),
        heard=tuple(told[f"heard{index}"] for index in range(heard)),
        realised=told.get("realised"),
    )
