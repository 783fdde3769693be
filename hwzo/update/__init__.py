"""Turn a gradient into a step."""
