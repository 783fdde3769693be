"""Choose displacements: commanded, by the device's own noise, or both."""
