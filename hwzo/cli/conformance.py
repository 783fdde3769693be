"""``hwzo conformance``."""

from __future__ import annotations

from hwzo.cli.options import DeviceOption, Json
from hwzo.cli.streams import emit
from hwzo.cli.terminal import table
from hwzo.errors import VerificationError
from hwzo.testing.conformance import run_conformance

NAME = "conformance"


def command(device: DeviceOption, seed: int = 0, json: Json = False) -> int:
    """Test a device against the contract, by what it declares."""
    report = run_conformance(device, seed=seed)
    if json:
        emit(report.as_dict())
    else:
        table(report.device, ("check", "result", "detail"), [(r.name, r.status, r.detail) for r in report.results])
    return VerificationError.exit_code if report.failed else 0
