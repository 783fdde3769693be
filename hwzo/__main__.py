"""``python -m hwzo`` is ``hwzo``."""

from hwzo.cli.main import main

main()
