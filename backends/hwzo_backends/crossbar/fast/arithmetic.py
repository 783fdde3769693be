"""Elementary functions in float32 that LLVM can vectorise: polynomials without branches.

The polynomials are our own minimax fits (Lawson's iteratively reweighted least squares); the error that each states is
checked by the tests. Not-a-number goes through every one of them.
"""

from __future__ import annotations

import numpy as np

from hwzo_backends.crossbar.fast.compiler import F, I, Number, compiled

_LN2 = F(np.log(2.0))
_LOG2E = F(1.0 / np.log(2.0))
_ONE = F(1.0)
_HALF_LOG2 = I(0x3F3504F3)  # the bits of sqrt(1/2)
_L0, _L1, _L2, _L3, _L4, _L5, _L6 = (
    F(c)
    for c in (
        -0.5000028610229492,
        0.33335089683532715,
        -0.2497338503599167,
        0.1989399790763855,
        -0.17201578617095947,
        0.16278967261314392,
        -0.10347893834114075,
    )
)
_E0, _E1, _E2, _E3, _E4, _E5 = (
    F(c)
    for c in (
        0.6931471824645996,
        0.24022650718688965,
        0.055503278970718384,
        0.009618005715310574,
        0.0013400283642113209,
        0.00015475897816941142,
    )
)

_P0, _P1, _P2, _P3, _P4 = (
    F(c)
    for c in (
        0.9999999063593823,
        0.13373198190716606,
        0.0034865824477277843,
        2.0471838190786663e-05,
        1.31842312778784e-08,
    )
)
_Q1, _Q2, _Q3, _Q4 = (
    F(c)
    for c in (
        0.4670649505549274,
        0.025841981387650995,
        0.0003271386232962337,
        7.702667224534701e-07,
    )
)


@compiled
def log(x: Number) -> Number:
    """Natural logarithm of a positive, normal float32; relative error below 4e-7."""
    bits = F(x).view(np.int32)
    exponent = I(I(bits - _HALF_LOG2) >> I(23))
    f = I(bits - I(exponent << I(23))).view(np.float32) - _ONE  # x = 2^exponent (1 + f), sqrt(1/2) <= 1 + f < sqrt(2)
    q = _L0 + f * (_L1 + f * (_L2 + f * (_L3 + f * (_L4 + f * (_L5 + f * _L6)))))
    return F(exponent) * _LN2 + (f + f * f * q)


@compiled
def exp(x: Number) -> Number:
    """Exponential of a float32, moved into [-87, 88] first; relative error below 3e-7 for |x| < 1, 4e-6 at the ends."""
    x = F(-87.0) if x < F(-87.0) else x
    x = F(88.0) if x > F(88.0) else x
    y = x * _LOG2E
    whole = np.rint(y)
    f = y - whole
    power = I(I(I(whole) + I(127)) << I(23)).view(np.float32)
    p = _E0 + f * (_E1 + f * (_E2 + f * (_E3 + f * (_E4 + f * _E5))))
    return power * (_ONE + f * p)


@compiled
def tanh(x: Number) -> Number:
    """Hyperbolic tangent, a quotient of polynomials in |x| <= 9, where it is 1 to 3e-8; absolute error below 4e-7."""
    x = F(-9.0) if x < F(-9.0) else x
    x = F(9.0) if x > F(9.0) else x
    t = x * x
    p = _P0 + t * (_P1 + t * (_P2 + t * (_P3 + t * _P4)))
    q = _ONE + t * (_Q1 + t * (_Q2 + t * (_Q3 + t * _Q4)))
    return x * p / q


@compiled
def sigmoid(x: Number) -> Number:
    """Logistic function; absolute error below 3e-7."""
    return F(0.5) + F(0.5) * tanh(F(0.5) * x)
