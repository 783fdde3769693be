"""What a link took and lost, as the host sees it."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass
class LinkStatistics:
    """What the link took and lost, counted by the host.

    Args:
        commands: answered.
        frames: sent, resent ones too.
        resent: frames sent again.
        timeouts: times that nothing came for too long.
        naks: times that the board missed a frame.
        dropped: pieces received that were no frames.
        stray: frames received that answered nothing: duplicates, and what belongs to another session.
        bytes_sent, bytes_received: everything.
    """

    commands: int = 0
    frames: int = 0
    resent: int = 0
    timeouts: int = 0
    naks: int = 0
    dropped: int = 0
    stray: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0

    def __sub__(self, other: LinkStatistics) -> LinkStatistics:
        return LinkStatistics(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))

    def silence(self) -> str:
        """Why nobody answered, as far as what did come tells."""
        if self.stray:
            return f"but {self.stray} frames came that are no answer: is the line looped back, or does it echo?"
        if self.bytes_received:
            return f"but {self.bytes_received} bytes came that are no frames: another baud rate, or no HZ1 firmware"
        return "and nothing came at all: is it powered, running hwzo's firmware, and wired (RX to TX)?"
