"""hwzo: train noisy neuromorphic hardware in place, with its own noise as the exploration."""
