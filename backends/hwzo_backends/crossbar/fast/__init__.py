"""The fast engine: kernels compiled by numba, which is imported here and nowhere else.

Optional: ``pip install hwzo[fast]``. `available` says whether it works on this machine; `FastEngine` and `FastNoise`
stand in `hwzo_backends.crossbar.fast.engine` and `hwzo_backends.crossbar.fast.noise`.
"""

from __future__ import annotations


def available() -> tuple[bool, str]:
    """Whether numba is there and compiles a kernel whose answer is right; and the reason if not. Never raises."""
    try:
        import numpy as np

        from hwzo_backends.crossbar.fast.random import philox

        words = np.empty((1, 4), dtype=np.uint32)
        philox(0, 0, 0, 0, 0, words)
    except (Exception, SystemExit) as error:  # whatever a broken compiler may do, there is another engine
        return False, f"{type(error).__name__}: {error}".splitlines()[0] + _kept()
    known = [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]  # published with Random123
    if words[0].tolist() != known:
        return False, "a compiled kernel gives a wrong answer"
    return True, ""


def _kept() -> str:
    """Where compiled kernels lie, which may be damaged; nothing if that isn't known."""
    import sys

    compiler = sys.modules.get("hwzo_backends.crossbar.fast.compiler")
    folder = getattr(compiler, "FOLDER", None)
    return f"; if compiled kernels were damaged, delete {folder}" if folder else ""
