"""People and teams as the platform API knows them: types of teams, invitations, notifications.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add three tables and two columns; teams that are there get the first type of teams."""
    _team_types()
    _invitations()
    _notifications()
    op.add_column("teams", sa.Column("type_id", sa.String(length=10), nullable=True))
    op.create_index("ix_teams_type_id", "teams", ["type_id"], unique=False)
    op.add_column("users", sa.Column("tcs_accepted_at", sa.BigInteger(), nullable=True))
    _first_type()


def _team_types() -> None:
    op.create_table(
        "team_types",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=10), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("active", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("properties", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_team_types")),
        sa.UniqueConstraint("id", name=op.f("uq_team_types_id")),
        sa.UniqueConstraint("name", name=op.f("uq_team_types_name")),
    )


def _invitations() -> None:
    op.create_table(
        "invitations",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=10), nullable=False),
        sa.Column("team_id", sa.String(length=10), nullable=False),
        sa.Column("invitor_id", sa.String(length=10), nullable=False),
        sa.Column("invitee_id", sa.String(length=10), nullable=False),
        sa.Column("role", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_invitations_team_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["invitor_id"], ["users.id"], name=op.f("fk_invitations_invitor_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["invitee_id"], ["users.id"], name=op.f("fk_invitations_invitee_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_invitations")),
        sa.UniqueConstraint("id", name=op.f("uq_invitations_id")),
        sa.UniqueConstraint("team_id", "invitee_id", name=op.f("uq_invitations_team_id_invitee_id")),
    )
    op.create_index("ix_invitations_invitee_id", "invitations", ["invitee_id"], unique=False)
    op.create_index("ix_invitations_invitor_id", "invitations", ["invitor_id"], unique=False)


def _notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=10), nullable=False),
        sa.Column("user_id", sa.String(length=10), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("reference", sa.String(length=128), nullable=False),
        sa.Column("read", sa.Integer(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_notifications_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_notifications")),
        sa.UniqueConstraint("id", name=op.f("uq_notifications_id")),
    )
    op.create_index("ix_notifications_user", "notifications", ["user_id", "seq"], unique=False)
    op.create_index("ix_notifications_reference", "notifications", ["user_id", "reference"], unique=False)


def _first_type() -> None:
    """A new database is furnished later, by the program; one with teams needs a type for them now."""
    connection = op.get_bind()
    oldest = connection.execute(sa.text("SELECT min(created_at) FROM teams")).scalar()
    if oldest is None:
        return
    connection.execute(
        sa.text(
            "INSERT INTO team_types (id, name, active, position, description, properties, created_at) "
            "VALUES ('starterTyp', 'starter', 1, 0, '', '{}', :at)"
        ),
        {"at": oldest},
    )
    connection.execute(sa.text("UPDATE teams SET type_id = 'starterTyp'"))
