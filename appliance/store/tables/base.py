"""What all tables share: their registry, and the columns that most of them have."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, String

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only for INTEGER PRIMARY KEY; elsewhere sixty-four bits are wanted.
_SEQ = BigInteger().with_variant(Integer, "sqlite")


def seq() -> Column[int]:
    """The order of the rows, and the cursor of their pages."""
    return Column("seq", _SEQ, primary_key=True, autoincrement=True)


def public_id(length: int = 10) -> Column[str]:
    """The name of a row for everybody outside; it says nothing."""
    return Column("id", String(length), nullable=False, unique=True)


def to(target: str, *, ondelete: str = "CASCADE") -> ForeignKey:
    """A reference: CASCADE ends a row with the one that it refers to, RESTRICT keeps that one, SET NULL forgets it."""
    return ForeignKey(target, ondelete=ondelete)
