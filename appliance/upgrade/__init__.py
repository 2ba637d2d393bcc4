"""Bringing an installed box to another release and, when that one does not hold, back again. Runs as root."""
