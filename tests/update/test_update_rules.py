"""Update rules against the formulas of their papers, written out a number at a time, and against closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwzo.errors import ConfigError
from hwzo.update import (
    UPDATES,
    adam,
    adamm,
    classp,
    diffgrad,
    momentum,
    normalised_momentum,
    sgd,
    sign,
)

NAMES = tuple(UPDATES)
gradients = st.lists(
    st.lists(st.floats(-1e3, 1e3).filter(lambda x: x == 0 or abs(x) > 1e-3), min_size=3, max_size=3),
    min_size=1,
    max_size=12,
)

moderate = st.lists(
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
def test_adam_is_kingma_and_bas_algorithm_1(sequence, beta1, beta2):
    steps = run(adam(beta1, beta2, 1e-8), sequence, 0.01)
    for i in range(3):
        m = v = 0.0
        for t, gradient in enumerate(sequence, start=1):
            g = gradient[i]
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g * g
            expected = -0.01 * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + 1e-8)
            assert steps[t - 1, i] == pytest.approx(expected, rel=1e-9, abs=1e-15)


@given(gradients)
def test_normalised_momentum_is_adam_with_the_mean_square(sequence):
    steps = run(normalised_momentum(0.9, 0.99, 1e-8), sequence, 0.1)
    m, s = np.zeros(3), 0.0
    for t, gradient in enumerate(sequence, start=1):
        m = 0.9 * m + 0.1 * np.array(gradient)
        s = 0.99 * s + 0.01 * sum(g * g for g in gradient) / 3
        expected = -0.1 * m / (1 - 0.9**t) / (math.sqrt(s / (1 - 0.99**t)) + 1e-8)
        assert np.allclose(steps[t - 1], expected, rtol=1e-9, atol=1e-15)


def test_adams_first_step_is_the_rate_whatever_the_gradients_size():
    gradient = np.array([3.0, -1e-4, 1e5, 0.0])
    _, step = adam().step(adam().init(4), gradient, 0.25)
    assert np.allclose(step, [-0.25, 0.25, -0.25, 0.0], rtol=2e-4, atol=0)


def test_adam_under_a_constant_gradient_goes_on_at_the_rate():
    """Bias correction makes both moments exact from the first step on."""
    steps = run(adam(), [[2.0, -0.5]] * 50, 0.01)
    assert np.allclose(steps, [-0.01, 0.01], rtol=1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_momentum_is_a_geometric_sum(beta):
    steps = run(momentum(beta), [[1.0, -2.0]] * 20, 0.1)
    for t in range(20):
        total = sum(beta**i for i in range(t + 1))
        assert np.allclose(steps[t], [-0.1 * total, 0.2 * total], rtol=1e-12)


def test_momentum_remembers_one_gradient_by_powers_of_beta():
    steps = run(momentum(0.8), [[1.0], [0.0], [0.0], [0.0]], 1.0)
    assert np.allclose(steps[:, 0], [-1.0, -0.8, -0.64, -0.512], rtol=1e-12)


def test_sgd_on_a_quadratic_contracts_by_one_minus_rate_times_curvature():
    rule, theta = sgd(), np.array([1.0, -4.0])
    curvature = np.array([0.5, 2.0])
    state = rule.init(2)
    for _ in range(10):
        state, step = rule.step(state, curvature * theta, 0.3)
        theta = theta + step
    assert np.allclose(theta, np.array([1.0, -4.0]) * (1 - 0.3 * curvature) ** 10, rtol=1e-12)


@given(gradients.filter(lambda s: all(any(g) for g in s)), st.sampled_from([1e-3, 1e3]))
def test_the_gradients_scale_drops_out(sequence, factor):
    for rule in (adam(epsilon=1e-30), normalised_momentum(epsilon=1e-30)):
        scaled = [[factor * g for g in gradient] for gradient in sequence]
        assert np.allclose(run(rule, scaled, 0.1), run(rule, sequence, 0.1), rtol=1e-9, atol=1e-12)


def test_normalised_momentums_first_step_keeps_the_direction_and_has_rms_equal_to_the_rate():
    gradient = np.array([3.0, -4.0, 12.0])
    _, step = normalised_momentum().step(normalised_momentum().init(3), gradient, 0.2)
    assert np.sqrt(np.mean(step**2)) == pytest.approx(0.2, rel=1e-6)
    assert step @ gradient == pytest.approx(-np.linalg.norm(step) * np.linalg.norm(gradient), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_changes_nothing_that_the_caller_holds(name):
    rule, rng = UPDATES[name], np.random.default_rng(0)
    state = rule.init(5)
    for _ in range(3):
        gradient = rng.standard_normal(5)
        held = {key: array.copy() for key, array in state.items()}
        kept = gradient.copy()
        new, step = rule.step(state, gradient, 0.1)
        again, same = rule.step(state, gradient, 0.1)
        assert np.array_equal(step, same)
        step += 1.0  # the caller may do what it likes with its step
        assert all(np.array_equal(held[key], state[key]) for key in held)
        assert all(np.array_equal(new[key], again[key]) for key in new)
        assert np.array_equal(gradient, kept)
        state = new


@pytest.mark.parametrize("name", NAMES)
def test_state_is_arrays_and_resumes_exactly(name):
    rule, rng = UPDATES[name], np.random.default_rng(1)
    sequence = rng.standard_normal((8, 4))
    whole = run(rule, sequence, 0.1)
    state = rule.init(4)
    for gradient in sequence[:5]:
        state, _ = rule.step(state, gradient, 0.1)
    # As a checkpoint would: bytes out, bytes in.
    assert all(array.dtype == np.float64 and array.ndim == 1 for array in state.values())
    state = {key: np.frombuffer(array.tobytes()) for key, array in state.items()}
    for index in range(5, 8):
        state, step = rule.step(state, sequence[index], 0.1)
        assert np.array_equal(step, whole[index])


@pytest.mark.parametrize("name", NAMES)
def test_no_gradient_no_step(name):
    rule = UPDATES[name]
    _, step = rule.step(rule.init(3), np.zeros(3), 0.1)
    assert np.array_equal(step, np.zeros(3))
    assert rule.name == name


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: momentum(1.0), "beta"),
        (lambda: momentum(-0.1), "beta"),
        (lambda: adam(beta2=1.5), "beta2"),
        (lambda: adam(epsilon=0.0), "epsilon"),
        (lambda: normalised_momentum(beta1=math.nan), "beta1"),
    ],
)
def test_settings_out_of_range_are_named(make, key):
    with pytest.raises(ConfigError) as error:
        make()
    assert error.value.key == key
    assert key in str(error.value)


@pytest.mark.parametrize("name", UPDATES)
def test_what_else_is_in_the_state_is_not_looked_at_nor_given_back(name):
    rule, gradient = UPDATES[name], np.array([0.5, -1.0, 2.0])
    state = rule.init(3)
    for _ in range(3):
        alone, step = rule.step(state, gradient, 0.1)
        beside, same = rule.step(state | {"a method's own": np.full(7, np.nan)}, gradient, 0.1)
        assert set(beside) == set(alone) == set(state)
        np.testing.assert_array_equal(same, step)
        state = alone


@given(moderate, st.floats(0, 0.99), st.floats(0, 0.999))
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


@given(moderate)
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


@given(moderate, st.sampled_from([1e-3, 1.0, 1e3]))
def test_sign_steps_are_all_of_one_size(sequence, factor):
    steps = run(sign(), [[factor * g for g in gradient] for gradient in sequence], 0.25)
    expected = [[0.0 if g == 0 else -math.copysign(0.25, g) for g in gradient] for gradient in sequence]
    assert np.array_equal(steps, np.array(expected))


@given(moderate, st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([1.0, 2.0]))
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
def test_settings_of_sign_and_its_kin_out_of_range_are_named(make, key):
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.key == key
    assert key in str(caught.value)
