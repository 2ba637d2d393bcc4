"""The launcher: one small process beside every Node-RED. It imports nothing of the other packages."""

__version__ = "0.1.0"
