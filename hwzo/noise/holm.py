"""Many tests at once: S. Holm's procedure, Scand. J. Stat. 6, 65 (1979)."""

from __future__ import annotations

from collections.abc import Mapping


def rejected(p: Mapping[str, float], alpha: float) -> set[str]:
    """Names whose hypotheses are rejected, so that any false rejection among all of them has probability ``alpha``.

    However many there are, and however they depend on each other.
    """
    names: set[str] = set()
    for rank, name in enumerate(sorted(p, key=lambda name: p[name])):
        if p[name] >= alpha / (len(p) - rank):
            break
        names.add(name)
    return names
