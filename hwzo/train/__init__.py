"""The training loop, its budget and its journal."""
