"""Where learned weights come from: a run, a file of hwzo's or of another tool, an object of Python."""

from hwzo.deploy.sources.load import load_source

__all__ = ["load_source"]
