"""SQLAlchemy Core statements as SQL text and positional values, compiled once.

Compiling costs 0.1 to 0.3 ms, more than SQLite needs to run most statements; so what was compiled is kept by the
identity of the statement object. Statements that live as long as the program (module constants of repositories) are
compiled once; those built anew for each call still work and pay for it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase


class Prepared:
    """A compiled statement: its text and, in order, where its values come from."""

    __slots__ = ("compiled", "expands", "fixed", "names", "sql", "statement")

    def __init__(self, statement: Executable, compiled: SQLCompiler, given: tuple[str, ...]) -> None:
        self.statement = statement  # held, so that its id() cannot be given to another one
        self.compiled = compiled
        self.sql = str(compiled)
        self.names = tuple(compiled.positiontup or ())
        self.expands = bool(compiled.post_compile_params or compiled.literal_execute_params)
        self.fixed = _fixed(compiled, given)

    def bind(self, params: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
        if self.expands:
            return self._expand(params)
        if self.fixed:
            params = self.fixed | params
        return self.sql, tuple([params[name] for name in self.names])

    def _expand(self, params: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
        """`IN (…)` takes as many marks as there are values, known only now."""
        state = self.compiled.construct_expanded_state(self.fixed | params)
        values = {**self.fixed, **params, **state.parameters}
        return state.statement, tuple(values[name] for name in state.positiontup or ())


class Statements:
    """Compiled statements of one dialect; bounded, safe to use from several threads."""

    def __init__(self, dialect: Dialect, limit: int = 1000) -> None:
        self._dialect = dialect
        self._limit = limit
        self._prepared: dict[tuple[int, tuple[str, ...]], Prepared] = {}

    def bind(self, statement: Executable, params: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
        """SQL text and its positional values.

        Raises TypeError, naming it, for a parameter that is missing or not in the statement.
        """
        key = (id(statement), tuple(params))
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepare(statement, key)
        return prepared.bind(params)

    def _prepare(self, statement: Executable, key: tuple[int, tuple[str, ...]]) -> Prepared:
        given = key[1]
        columns = list(given) if given and isinstance(statement, UpdateBase) else None
        compiled = statement.compile(dialect=self._dialect, column_keys=columns)  # type: ignore[attr-defined]
        prepared = Prepared(statement, compiled, given)
        if len(self._prepared) >= self._limit:
            self._prepared.clear()
        self._prepared[key] = prepared
        return prepared


def _fixed(compiled: SQLCompiler, given: tuple[str, ...]) -> dict[str, Any]:
    """Values that come with the statement: literals in it and the columns' own defaults."""
    unknown = set(given) - set(compiled.binds)
    if unknown:
        raise TypeError(f"not in the statement: {', '.join(sorted(unknown))}; it is: {compiled}")
    defaults = {column.key: column.default for column in compiled.insert_prefetch or ()}
    fixed: dict[str, Any] = {}
    for name, bind in compiled.binds.items():
        if name in given:
            continue
        default = defaults.get(name)
        if default is not None and default.is_scalar:
            fixed[name] = default.arg  # type: ignore[attr-defined]
        elif bind.required:
            raise TypeError(f"parameter '{name}' is missing for: {compiled}")
        else:
            fixed[name] = bind.effective_value
    return fixed
