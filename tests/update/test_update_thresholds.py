"""Sign, AMSGrad, diffGrad and CLASSP-like steps against their papers' formulas, written out a number at a time."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwzo.errors import ConfigError
from hwzo.update import UPDATES, adam, adamm, classp, diffgrad, sign

gradients = st.lists(
    st.lists(st.floats(-1e2, 1e2).filter(lambda x: x == 0 or abs(x) > 1e-3), min_size=3, max_size=3),
    min_size=1,
    max_size=10,
)


def run(rule, sequence, rate):
    state, steps = rule.init(len(sequence[0])), []
    for gradient in sequence:
        state, step = rule.step(state, np.array(gradient), rate)
        steps.append(step)
    return np.array(steps)


@given(gradients, st.floats(0, 0.99), st.floats(0, 0.999))
def test_adamm_is_zo_adamms_algorithm_1(sequence, beta1, beta2):
    steps = run(adamm(beta1, beta2, 1e-8), sequence, 0.01)
    for i in range(3):
        m = v = largest = 0.0
        for t, gradient in enumerate(sequence):
            g = gradient[i]
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g * g
            largest = max(largest, v)
            assert steps[t, i] == pytest.approx(-0.01 * m / (math.sqrt(largest) + 1e-8), rel=1e-9, abs=1e-15)


def test_adamm_does_not_grow_bold_again_after_a_large_gradient():
    """Adam forgets it within 1 / (1 - beta2) steps, AMSGrad never: the ratio of their last steps tells."""
    sequence = [[100.0]] + [[1.0]] * 400
    bold, careful = (run(rule, sequence, 0.1)[-1, 0] for rule in (adam(0.9, 0.9), adamm(0.9, 0.9)))
    assert bold == pytest.approx(-0.1, rel=1e-3)
    assert careful == pytest.approx(-0.1 / (100 * math.sqrt(0.1)), rel=1e-3)


@given(gradients)
def test_diffgrad_is_dubeys_algorithm(sequence):
    steps = run(diffgrad(0.9, 0.99, 1e-8), sequence, 0.1)
    for i in range(3):
        m = v = before = 0.0
        for t, gradient in enumerate(sequence, start=1):
            g = gradient[i]
            m = 0.9 * m + 0.1 * g
            v = 0.99 * v + 0.01 * g * g
            friction = 1 / (1 + math.exp(-abs(before - g)))
            expected = -0.1 * friction * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.99**t)) + 1e-8)
            assert steps[t - 1, i] == pytest.approx(expected, rel=1e-9, abs=1e-15)
            before = g


def test_diffgrad_goes_half_as_far_as_adam_under_a_constant_gradient():
    sequence = [[2.0, -0.5]] * 20
    assert np.allclose(run(diffgrad(), sequence, 0.1)[1:], 0.5 * run(adam(), sequence, 0.1)[1:], rtol=1e-6)


@given(gradients, st.sampled_from([1e-3, 1.0, 1e3]))
def test_sign_steps_are_all_of_one_size(sequence, factor):
    steps = run(sign(), [[factor * g for g in gradient] for gradient in sequence], 0.25)
    expected = [[0.0 if g == 0 else -math.copysign(0.25, g) for g in gradient] for gradient in sequence]
    assert np.array_equal(steps, np.array(expected))


@given(gradients, st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([1.0, 2.0]))
def test_classp_moves_what_stands_out_and_remembers_it(sequence, threshold, power):
    steps = run(classp(threshold, power, 1e-8), sequence, 0.1)
    remembered = [0.0] * 3
    for t, gradient in enumerate(sequence):
        least = threshold * math.sqrt(sum(g * g for g in gradient) / 3)
        for i, g in enumerate(gradient):
            expected = 0.0
            if abs(g) > least * (1 + 1e-12) or (threshold == 0 and g != 0):
                remembered[i] += abs(g) ** power
                expected = -0.1 * g / (remembered[i] + 1e-8) ** (1 / power)
            elif abs(g) > least * (1 - 1e-12):  # on the threshold: rounding decides
                return
            assert steps[t, i] == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_classp_without_a_threshold_is_adagrad():
    rng = np.random.default_rng(0)
    sequence = rng.standard_normal((30, 4))
    expected = -0.1 * sequence / np.sqrt(np.cumsum(sequence**2, axis=0) + 1e-8)
    assert np.allclose(run(classp(0.0), sequence, 0.1), expected, rtol=1e-12)


def test_classp_leaves_most_normal_gradients_alone():
    """P(|z| > 1) = 0.3173 for normal z: 10,000 draws within 5 binomial sd, a false alarm in 1.7 million."""
    _, step = classp(1.0).step(classp().init(10_000), np.random.default_rng(3).standard_normal(10_000), 0.1)
    assert abs((step != 0).mean() - 0.3173) < 5 * math.sqrt(0.3173 * 0.6827 / 10_000)


@pytest.mark.parametrize("name", ["sign", "adamm", "diffgrad", "classp"])
def test_new_rules_are_there_by_name(name):
    assert UPDATES[name].name == name


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: adamm(1.0), "beta1"),
        (lambda: adamm(epsilon=0), "epsilon"),
        (lambda: diffgrad(beta2=-0.1), "beta2"),
        (lambda: diffgrad(epsilon=math.nan), "epsilon"),
        (lambda: classp(-1.0), "threshold"),
        (lambda: classp(power=0), "power"),
        (lambda: classp(epsilon=0), "epsilon"),
    ],
)
def test_settings_out_of_range_are_named(make, key):
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.key == key
    assert key in str(caught.value)
