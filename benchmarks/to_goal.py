"""Training in this process, without a run's folder, until a goal is reached on validation data."""

from __future__ import annotations

import itertools

import numpy as np

from hwzo import Device
from hwzo.data import Sampler, Task
from hwzo.methods.method import Start
from hwzo.methods.registry import method_named
from hwzo.methods.settings import Settings
from hwzo.network import accuracy

LOOK = 50
"""Evaluations between two looks, which cost none: they are taken on the noiseless network."""


def evaluations_to_goal(
    task: Task,
    device: Device,
    method: str,
    settings: Settings,
    seed: int,
    *,
    goal: float,
    budget: float,
    most: float,
    batch: int = 128,
) -> int:
    """How many evaluations it takes; ``most`` if the goal isn't reached by then.

    Args:
        task: what is learnt.
        device: programmed with a fresh draw first.
        method, settings: how.
        seed: of that draw, of the order of the samples and of directions.
        goal: accuracy on validation data.
        budget: evaluations by which a rate that falls has fallen.
        most: at which it is given up.
        batch: samples a minibatch.
    """
    theta = device.parameters.initial(np.random.default_rng([seed, 3]))
    device.program(theta)
    sampler, validation = Sampler(task.batch("train"), batch, seed), task.batch("validation")
    learner = method_named(method).build(settings, Start(device, theta, sampler.at(0), key=seed))
    state = learner.begin(theta.size)
    spent = looked = 0
    for t in itertools.count():
        outcome = learner.step(device, theta, state, sampler.at(t), t, spent / budget)
        theta, state = outcome.theta, outcome.state
        spent += len(outcome.evidence.losses)
        if spent // LOOK > looked:
            looked = spent // LOOK
            outputs = task.network.forward(theta, validation.inputs)[-1]
            if accuracy(outputs, validation.targets, validation.loss) >= goal:
                return spent
        if spent >= most:
            return int(most)
    raise AssertionError
