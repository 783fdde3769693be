"""The papers' methods, as compositions of explore, estimate and update."""
