"""Counter-based draws."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hwzo_backends.crossbar.noise import _TAG, CounterNoise, Stream


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**64 - 1), st.sampled_from(Stream), st.integers(0, 2**63 - 1), st.integers(0, 7))
def test_a_draw_depends_on_seed_stream_and_event_only(seed, stream, event, used_before):
    noise = CounterNoise(seed)
    noise.at(Stream.NODES, 12).standard_normal(used_before)
    noise.at(Stream.NODES, 13).random(used_before, dtype=np.float32)  # leaves half a word behind, if odd
    fresh = np.random.Generator(
        np.random.Philox(key=np.array([seed, _TAG], dtype=np.uint64), counter=[0, event, int(stream), 0])
    )
    np.testing.assert_array_equal(noise.at(stream, event).standard_normal(9), fresh.standard_normal(9))


def test_streams_and_events_differ():
    noise = CounterNoise(3)
    draws = [tuple(noise.at(stream, event).random(4)) for stream in Stream for event in range(50)]
    assert len(set(draws)) == len(draws)
    assert len({stream.value for stream in Stream}) == len(Stream)
