"""Measure a device's noise."""
