"""``hwzo devices``."""

from __future__ import annotations

from hwzo.cli.options import Json
from hwzo.cli.streams import emit
from hwzo.cli.terminal import table
from hwzo.registry import listings

NAME = "devices"


def command(json: Json = False) -> int:
    """List what is plugged in or can be emulated."""
    lines = listings()
    if json:
        rows = [
            {"url": d.url, "backend": b, "emulated": d.emulated, "available": d.available, "reason": d.reason}
            for b, d in lines
        ]
        emit({"devices": rows})
        return 0
    kinds = [
        (d.url, b, "emulated" if d.emulated else "hardware", "yes" if d.available else "no", d.reason) for b, d in lines
    ]
    table("devices", ("url", "backend", "kind", "available", "what it is"), kinds)
    return 0
