"""How work under way tells its user what they should know."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
"""Is told one line, without an end of line, and shows it wherever its owner likes."""
