"""When to send a frame again."""

from __future__ import annotations


class RetransmissionTimer:
    """How long to wait for an answer, from the round trips that there were: RFC 6298, in seconds.

    Args:
        least, first, longest: least time, that of a fresh start, and longest time.
    """

    def __init__(self, least: float = 0.1, first: float = 0.5, longest: float = 2.0) -> None:
        self._least = least
        self._longest = longest
        self._smoothed: float | None = None
        self._deviation = 0.0
        self.wait_s = first
        """Send again after this many seconds."""

    def saw(self, round_trip_s: float) -> None:
        """Account for a round trip. Not for one with a frame sent twice: nobody knows which was answered (Karn)."""
        if self._smoothed is None:
            self._smoothed, self._deviation = round_trip_s, 0.5 * round_trip_s
        else:
            self._deviation += 0.25 * (abs(round_trip_s - self._smoothed) - self._deviation)
            self._smoothed += 0.125 * (round_trip_s - self._smoothed)
        self.wait_s = min(max(self._smoothed + 4.0 * self._deviation, self._least), self._longest)

    def expired(self) -> None:
        """Account for a wait in vain: the next one is twice as long."""
        self.wait_s = min(2.0 * self.wait_s, self._longest)
