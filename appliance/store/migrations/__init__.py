"""Alembic scripts; run by `python -m appliance.store.migrations`, never imported by the appliance itself."""
