"""When to send a frame again."""

from __future__ import annotations


class RetransmissionTimer:
    """How long to wait for an answer, in seconds, from the round trips that there were: RFC 6298, with a lower floor.

    Each wait in vain doubles it and each answer halves that again: RFC 6298 keeps it doubled until a frame gets through
    unrepeated, which on a bad line may be never.

    Args:
        least, first, longest: least time, that of a fresh start, and longest time.
    """

    def __init__(self, least: float = 0.02, first: float = 0.5, longest: float = 2.0) -> None:
        self._least = least
        self._longest = longest
        self._smoothed: float | None = None
        self._deviation = 0.0
        self._estimate = first
        self._factor = 1.0

    @property
    def wait_s(self) -> float:
        """Send again after this many seconds."""
        return min(self._estimate * self._factor, self._longest)

    def saw(self, round_trip_s: float) -> None:
        """Account for a round trip; of a frame that was sent once."""
        if self._smoothed is None:
            self._smoothed, self._deviation = round_trip_s, 0.5 * round_trip_s
        else:
            self._deviation += 0.25 * (abs(round_trip_s - self._smoothed) - self._deviation)
            self._smoothed += 0.125 * (round_trip_s - self._smoothed)
        self._estimate = max(self._smoothed + 4.0 * self._deviation, self._least)

    def supposed(self, round_trip_s: float) -> None:
        """Account for a round trip of a frame that was sent twice, and seems to have been answered twice.

        If it was, its first answer was that to the first frame. But a line may repeat an answer too, so this counts up
        to double the wait only: a line that is that slow will say so again.
        """
        self.saw(min(round_trip_s, 2.0 * self._estimate))

    def answered(self) -> None:
        """Account for an answer, of whichever frame."""
        self._factor = max(1.0, 0.5 * self._factor)

    def expired(self) -> None:
        """Account for a wait in vain."""
        if self.wait_s < self._longest:
            self._factor *= 2.0
