"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")]
DeviceOption = Annotated[str, typer.Option("--device", help="Device URL, such as crossbar:pcm?seed=1.")]
