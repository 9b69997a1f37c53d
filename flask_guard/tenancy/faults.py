"""What goes wrong while SQLAlchemy compiles or executes a guarded statement.

The same errors as elsewhere, but of a kind that SQLAlchemy hands on as they are: any other would come out as a
StatementError, and no caller could tell it from a mistake in the SQL.
"""

from __future__ import annotations

from sqlalchemy.exc import DontWrapMixin

from ..errors import CrossTenantWrite, DatabaseUnavailable, ForeignReference, TenancyError, TenantRequired, Unauthorized


class TenancyFault(TenancyError, DontWrapMixin):
    """A statement asks for what no tenant may have, or for what cannot be shown to be harmless."""


class UnboundTenant(TenantRequired, DontWrapMixin):
    """A statement on rows of tenants is executed, and no tenant is bound."""


class UnboundPrincipal(Unauthorized, DontWrapMixin):
    """A statement on rows that have owners is executed, and nobody is logged in."""


class ForeignWrite(CrossTenantWrite, DontWrapMixin):
    """A row is written for another tenant than the one that is bound."""


class ForeignRow(ForeignReference, DontWrapMixin):
    """A row is written that refers to one that is not there for the tenant."""


class ContextUnavailable(DatabaseUnavailable, DontWrapMixin):
    """The database could not be told for whom a transaction is. Closed: nothing runs in it."""
