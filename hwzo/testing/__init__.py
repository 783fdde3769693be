"""The conformance kit for devices."""
