"""Comparisons without regard to case. On MariaDB Django leaves them to the column's collation, and ours are binary."""

from __future__ import annotations

from typing import Any

from django.db.models import CharField, Field, TextField
from django.db.models.lookups import IContains, IExact, IStartsWith

Sql = tuple[str, list[Any]]


class CaseBlindExact(IExact[Any]):
    def as_mysql(self, compiler: Any, connection: Any) -> Sql:
        lhs, lhs_params = self.process_lhs(compiler, connection)
        # Not as for LIKE, where some characters of the value would be escaped.
        rhs, rhs_params = super(IExact, self).process_rhs(compiler, connection)
        return f"LOWER({lhs}) = LOWER({rhs})", [*lhs_params, *rhs_params]


class CaseBlindContains(IContains):
    def as_mysql(self, compiler: Any, connection: Any) -> Sql:
        return _like(self, compiler, connection)


class CaseBlindBeginning(IStartsWith):
    def as_mysql(self, compiler: Any, connection: Any) -> Sql:
        return _like(self, compiler, connection)


def _like(lookup: IContains | IStartsWith, compiler: Any, connection: Any) -> Sql:
    lhs, lhs_params = lookup.process_lhs(compiler, connection)
    rhs, rhs_params = lookup.process_rhs(compiler, connection)
    return f"LOWER({lhs}) LIKE LOWER({rhs})", [*lhs_params, *rhs_params]


def register() -> None:
    """Let all text columns compare so."""
    columns: tuple[type[Field[Any, Any]], ...] = (CharField, TextField)
    for column in columns:
        column.register_lookup(CaseBlindExact)
        column.register_lookup(CaseBlindContains)
        column.register_lookup(CaseBlindBeginning)
