"""Writes what is made from the schema, the C header and the document's tables: ``python -m hwzo.wire.generate``."""

from __future__ import annotations

import sys
from pathlib import Path

from hwzo.wire.document import rewritten
from hwzo.wire.header import header

REPOSITORY = Path(__file__).parents[2]
HEADER = REPOSITORY / "firmware" / "core" / "hz1_messages.h"
DOCUMENT = REPOSITORY / "docs" / "hz1.md"


def main() -> int:
    """Write both files of the repository."""
    try:
        HEADER.write_text(header(), encoding="ascii")
        DOCUMENT.write_text(rewritten(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    except OSError as error:
        print(f"{error}; this is to be run in a clone of the repository", file=sys.stderr)
        return 2
    print(HEADER, DOCUMENT, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
