"""Turn displacements and losses into a gradient."""
