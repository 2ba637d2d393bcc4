"""What an appliance that was away has to make up for: deploys it could not store, reports it may have had already,
boot tickets whose answer was lost.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add a table, two columns and an index; no row is changed."""
    op.add_column("audit", sa.Column("request_id", sa.String(length=64), nullable=True))
    op.create_index(
        "ix_audit_request",
        "audit",
        ["instance_id", "request_id"],
        unique=True,
        sqlite_where=sa.text("request_id IS NOT NULL"),
        postgresql_where=sa.text("request_id IS NOT NULL"),
    )
    op.add_column("tokens", sa.Column("spent_by", sa.String(length=64), nullable=True))
    op.create_table(
        "kept_deploys",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=10), nullable=False),
        sa.Column("instance_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("user_id", sa.String(length=10), nullable=True),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("credentials", sa.LargeBinary(), nullable=True),
        sa.Column("flows", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_kept_deploys_instance_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_kept_deploys")),
        sa.UniqueConstraint("id", name=op.f("uq_kept_deploys_id")),
        sa.UniqueConstraint("instance_id", "name", name=op.f("uq_kept_deploys_instance_id_name")),
    )
