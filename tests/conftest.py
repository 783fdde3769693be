"""Settings that all tests share."""

from hypothesis import settings

# The same examples every time, and no deadline: machines differ, and a slow one is no defect.
settings.register_profile("hwzo", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("hwzo")
