"""Simulated annealing: worse is kept now and then. Kirkpatrick et al. 1983, https://doi.org/10.1126/science.220.4598.671.

As in `selection`, a mutation is programmed and read beside the incumbent; one that raises the loss by d is kept with
probability exp(-d / T) (Metropolis et al. 1953, https://doi.org/10.1063/1.1699114). The temperature T falls linearly to
0 as the budget is spent. Unlike `selection` it doesn't ask for a clear difference: noise in the losses heats, too. The
mutation's size is steered to one acceptance in five, close to the 0.234 that is best for many parameters (Roberts,
Gelman and Gilks 1997, https://doi.org/10.1214/aoap/1034625254).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from hwzo.methods.method import Start
from hwzo.methods.options import Options
from hwzo.methods.selection import Selection, selection_of
from hwzo.methods.settings import Settings
from hwzo.parameters import Array
from hwzo.philox import philox4x32

STREAM = 34
"""Of Philox, for decisions."""


class MetropolisOptions(Options):
    """Of simulated annealing.

    Args:
        temperature: at the start, in units of the loss.
    """

    temperature: Annotated[float, Field(ge=0)] = 0.001


@dataclass(frozen=True, kw_only=True)
class Metropolis(Selection):
    """See the module.

    Args:
        temperature: see `MetropolisOptions`.
    """

    temperature: float
    reason: str = "mutations are programmed, and kept if the loss got better, or by chance if not by much"

    def _keeps(self, old: Array, new: Array, t: int, progress: float) -> bool:
        worse = float(new.mean() - old.mean())
        temperature = self.temperature * (1.0 - progress)
        if worse <= 0 or temperature <= 0:
            return worse < 0 or (worse == 0 and temperature > 0)
        word = philox4x32(np.array([[0, t, 0, STREAM]], dtype=np.uint32), self.directions.key)[0, 0]
        return (float(word) + 0.5) * 2.0**-32 < math.exp(-worse / temperature)


def build(settings: Settings, start: Start, options: MetropolisOptions | None = None) -> Metropolis:
    """The method; any device that can be programmed will do."""
    base = selection_of("metropolis", settings, start)
    temperature = (options or MetropolisOptions()).temperature
    return Metropolis(base.directions, base.scale, base.parameters, base.noisy, temperature=temperature)
