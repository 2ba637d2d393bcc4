"""Backups: one encrypted file that a blank box becomes the same box from.

Runs in processes of its own (`python -m appliance.backup`, and `python -m appliance restore` while the box is down):
what it imports and takes in memory is given back, and ending the process ends the work.
"""
