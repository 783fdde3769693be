"""Networks written in a line, such as ``"784-64-10"``, ``"28x28x1-16c3-p2-10"`` or ``"28x28-64r-10"``."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import cast

from hwzo.errors import ConfigError
from hwzo.stages.convolution import Convolution, Pooling
from hwzo.stages.dense import Dense
from hwzo.stages.recurrent import Recurrent
from hwzo.stages.stage import Stage

_N = "([0-9]{1,9})"
_INPUT = re.compile(rf"{_N}(?:x{_N}(?:x{_N})?)?")
_DENSE = re.compile(_N)
_CONVOLUTION = re.compile(rf"{_N}c{_N}(?:s{_N})?(?:p{_N})?")
_POOL = re.compile(rf"([pa]){_N}")
_RECURRENT = re.compile(rf"{_N}r")
_FORMS = "64-32-10, 28x28x1-16c3-p2-10 or 28x28-64r-10"
_KINDS = "64 (dense), 16c3 or 16c3s2p1 (convolution), p2 or a2 (largest or mean of a square), 64r (recurrent)"
_TOO_SMALL = "needs at least one unit, pixel or step"


def parse_stages(label: str) -> tuple[Stage, ...]:
    """The stages of a network: tokens joined by '-', first the input's shape, last a dense layer.

    =========================  =======================================================================
    token                      is
    =========================  =======================================================================
    first: N, TxF or HxWxC     N inputs; T time steps of F features; height, width and channels
    M                          dense, M units
    McK, McKsS, McKpP, McKsSpP convolution, M channels, K x K kernels; stride S, zero padding P
    pK, aK                     largest, mean of K x K activations: the pool of the convolution before it
    Mr                         recurrent, M units; its input is TxF
    =========================  =======================================================================

    Sizes that don't divide are rounded down, as most libraries do: positions and pools that stick out are left out.

    Raises:
        ConfigError: a token that is none of these, or that doesn't fit what comes before it; names it.
    """
    first, *tokens = label.split("-")
    match = _INPUT.fullmatch(first)
    if not match or not tokens:
        raise ConfigError(f"layers={_short(label)} is not of the form {_FORMS}", key="layers")
    # What reaches the next layer: (n,), (steps, features) or (height, width, channels).
    shape = tuple(int(n) for n in match.groups() if n is not None)
    if min(shape) < 1:
        raise _refusal(label, first, _TOO_SMALL)
    stages: list[Stage] = []
    for index, token in enumerate(tokens):
        previous = stages[-1] if stages else None
        if match := _POOL.fullmatch(token):
            stages[-1:] = [stage := _pooled(label, token, match, previous, [first, *tokens][index])]
            shape = stage.output
        elif match := _CONVOLUTION.fullmatch(token):
            stages.append(stage := _convolution(label, token, match, shape))
            shape = stage.output
        elif match := _RECURRENT.fullmatch(token):
            if len(shape) != 2:
                raise _refusal(label, token, "a recurrent layer comes first, after an input of steps x features")
            stages.append(Recurrent(*shape, _size(label, token, match[1])))
            shape = (stages[-1].columns,)
        elif match := _DENSE.fullmatch(token):
            stages.append(Dense(math.prod(shape), _size(label, token, match[1])))
            shape = (stages[-1].columns,)
        else:
            raise _refusal(label, token, f"is not of the form {_FORMS}; a layer is {_KINDS}")
    if not isinstance(stages[-1], Dense):
        raise _refusal(label, tokens[-1], "the last layer gives the outputs and must be dense, such as -10")
    return tuple(stages)


def _refusal(label: str, token: str, why: str) -> ConfigError:
    return ConfigError(f"layers={_short(label)}, {_short(token)}: {why}", key="layers")


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:60]}...")


def _size(label: str, token: str, digits: str) -> int:
    if int(digits) < 1:
        raise _refusal(label, token, _TOO_SMALL)
    return int(digits)


def _convolution(label: str, token: str, match: re.Match[str], shape: tuple[int, ...]) -> Convolution:
    if len(shape) != 3:
        of = "x".join(str(n) for n in shape)
        raise _refusal(label, token, f"a convolution needs an image of height x width x channels, and is given {of}")
    channels, kernel, stride = (_size(label, token, match[group] or "1") for group in (1, 2, 3))
    padding = int(match[4] or 0)
    height, width, depth = shape
    if padding >= kernel:
        raise _refusal(label, token, f"padding {padding} must be less than the kernel's side, {kernel}")
    if kernel > min(height, width) + 2 * padding:
        raise _refusal(
            label,
            token,
            f"a {kernel}x{kernel} kernel is larger than its {height}x{width} image"
            + (f" with padding {padding}" if padding else "")
            + f"; at most {min(height, width) + 2 * padding} fits",
        )
    return Convolution((height, width, depth), channels, kernel, stride, padding)


def _pooled(label: str, token: str, match: re.Match[str], stage: Stage | None, before: str) -> Convolution:
    if not isinstance(stage, Convolution) or stage.pool > 1:
        raise _refusal(label, token, f"a pool follows a convolution, not {before!r}")
    side, (height, width) = int(match[2]), stage.positions
    if not 2 <= side <= min(height, width):
        raise _refusal(label, token, f"a pool of {height}x{width} must be 2 to {min(height, width)}")
    return replace(stage, pool=side, pooling=cast(Pooling, match[1]))
