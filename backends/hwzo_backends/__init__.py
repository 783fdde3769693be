"""Backends that come with hwzo."""
