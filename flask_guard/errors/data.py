"""What may not be stored or asked of a database."""

from __future__ import annotations

from .access import AccessRefused
from .base import GuardError, Refusal, StoreUnavailable
from .requests import BadRequest, Internal, ValidationFailed


class CrossTenantWrite(AccessRefused):
    """A row was to be written for another tenant than the one that is bound, or to be moved to it."""

    code = "cross_tenant_write"


class PolicyViolation(AccessRefused):
    """A row was to be written that the `check` of a row policy does not let be."""

    code = "policy_violation"


class FieldForbidden(AccessRefused):
    """A member of the body may be written by some roles only. `errors` names it."""

    code = "field_forbidden"
    public = "You are not allowed to set this field."


class ForeignReference(ValidationFailed):
    """A row was to refer to one that is not there for this tenant. `errors` names the field."""

    public = "What this refers to is not there."


class InvalidInput(BadRequest):
    """An identifier has characters that its kind does not have. Names field and rule, never the value."""

    code = "invalid_input"
    public = "A value does not have the required form."


class DatabaseUnavailable(StoreUnavailable, Refusal):
    """A transaction could not be told for whom it is. No statement of it was run. Closed."""

    code = "database_unavailable"
    status = 503
    title = "Service Unavailable"
    public = "The service cannot reach its data right now."


class QueryTimeout(Refusal):
    """A statement took longer than GUARD_QUERY_TIMEOUT; its transaction was rolled back."""

    code = "timeout"
    status = 504
    title = "Gateway Timeout"
    public = "This took too long."


class HashFailed(Internal):
    """A value could not be hashed. Nothing was written."""

    code = "hash_error"


class UniqueCheckFailed(Internal):
    """It could not be found out whether a value is taken."""

    code = "unique_check_failed"


class TenancyError(GuardError):
    """Code asked the database for what no tenant may have: text that names a protected table, for example.

    A mistake in the program and no answer to a caller, who gets 500.
    """
