"""Handlers by noun: each takes a decoded Ask and returns a struct."""
