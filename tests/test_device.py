"""What a device declares, and what may be asked of it."""

import numpy as np
import pytest

from hwzo.device import Capabilities
from hwzo.errors import CapabilityError, ConfigError
from hwzo.probes import Probes

DECLARED = Capabilities(readback="outputs", laws=frozenset({"rademacher"}), max_probes=3)


def probes(count=1, scale=0.1, **others):
    return Probes(np.arange(count), np.full(count, scale), **others)


def test_what_is_declared_may_be_asked_for():
    DECLARED.check(probes(3, want="outputs"))
    DECLARED.check(probes(3, -0.1, want="loss"))


def test_no_displacement_needs_no_law():
    DECLARED.check(probes(scale=0.0, law="walsh"))
    Capabilities().check(Probes.plain())


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        (probes(want="nodes"), CapabilityError, "reads back 'outputs', not 'nodes'"),
        (probes(4), CapabilityError, "4 probes in one call; at most 3 fit"),
        (probes(law="walsh"), CapabilityError, "'walsh'; it has: rademacher"),
        (probes(scale=np.nan), ConfigError, "not a finite number"),
        (probes(scale=np.inf, law="walsh"), ConfigError, "not a finite number"),
    ],
)
def test_more_is_refused(asked, kind, words):
    with pytest.raises(kind, match=words):
        DECLARED.check(asked)
