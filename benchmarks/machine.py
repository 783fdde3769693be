"""What figures were measured on, as benchmarks name it."""

import os
import platform

MACHINE = f"{platform.machine()}, {os.cpu_count()} cores"
