"""Requests of tests, made as a principal: through every step of the application, with no credential to mint.

Each request carries a random bearer credential that this process made for it, and that is forgotten when the request
is over. No setting, header or variable switches this on: who can call these functions runs code in the
process. A request without that credential is judged as ever.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from ..config.kinds import environ_key
from ..errors import ConfigError
from ..pipeline.runtime import EXTENSION_KEY, Runtime
from ..protocols import Authenticator
from ..values import Principal

_acting: ContextVar[Principal | None] = ContextVar("flask_guard_acting", default=None)
_CREDENTIAL_BYTES = 32


class TestTokens:
    """An Authenticator in front of the application's: knows the credentials of requests that are under way."""

    __test__ = False  # no test class, whatever its name

    def __init__(self, behind: Authenticator | None) -> None:
        self._behind = behind
        self._known: dict[str, Principal] = {}

    def authenticate(self, credential: str) -> Principal | None:
        known = self._known.get(credential)
        if known is not None:
            return known
        return None if self._behind is None else self._behind.authenticate(credential)

    @contextmanager
    def credential_of(self, principal: Principal) -> Iterator[str]:
        """Make a credential that is good until the block ends."""
        credential = f"test.{secrets.token_urlsafe(_CREDENTIAL_BYTES)}"
        self._known[credential] = principal
        try:
            yield credential
        finally:
            del self._known[credential]


class GuardClient(FlaskClient):
    """Flask's test client, whose requests are those of a principal. A header that a request brings itself stands.

    principal: whose they are outside of `as_principal` blocks; None for nobody's.
    """

    principal: Principal | None = None

    def open(self, *args: Any, **kwargs: Any) -> Any:
        principal = _acting.get() or self.principal
        if principal is None or not principal.is_authenticated:
            return super().open(*args, **kwargs)
        runtime: Runtime = self.application.extensions[EXTENSION_KEY]
        key = environ_key(runtime.settings.jwt.header)
        with _tokens_of(runtime).credential_of(principal) as credential:
            base, self.environ_base = self.environ_base, {**self.environ_base, key: f"Bearer {credential}"}
            try:
                return super().open(*args, **kwargs)
            finally:
                self.environ_base = base


def guard_client(app: Flask, who: Principal | str | None = None, **members: Any) -> GuardClient:
    """Return a test client of a guarded application.

    who, members: as in `as_principal`; without them its requests are anonymous.
    Raises ConfigError for an application that no Guard guards.
    """
    if EXTENSION_KEY not in app.extensions:
        raise ConfigError("This application has no Guard; call guard.init_app(app) first.")
    client = GuardClient(app, app.response_class, use_cookies=True)
    client.principal = None if who is None else make_principal(who, **members)
    return client


@contextmanager
def as_principal(
    who: Principal | str,
    *,
    tenant: str | None = None,
    roles: Iterable[str] = (),
    scopes: Iterable[str] = (),
    **members: Any,
) -> Iterator[Principal]:
    """Make the requests of every `guard_client` those of this principal until the block ends.

    who: a Principal, or the id of one; the rest are its members (`values.Principal`), for an id only.
    Rules, limits, CSRF and tenancy decide as they would for a verified token; nothing else changes, so code
    that is called without a request needs `tenant_scope`.
    """
    principal = make_principal(who, tenant=tenant, roles=roles, scopes=scopes, **members)
    token = _acting.set(principal)
    try:
        yield principal
    finally:
        _acting.reset(token)


def make_principal(
    who: Principal | str,
    *,
    tenant: str | None = None,
    roles: Iterable[str] = (),
    scopes: Iterable[str] = (),
    **members: Any,
) -> Principal:
    """Return a principal as a token would name it. Raises TypeError for members beside a whole Principal."""
    if isinstance(who, Principal):
        if tenant or roles or scopes or members:
            raise TypeError("a Principal is given whole; dataclasses.replace() makes another one of it")
        return who
    members.setdefault("method", "jwt")
    return Principal(id=who, tenant=tenant, roles=frozenset(roles), scopes=frozenset(scopes), **members)


def _tokens_of(runtime: Runtime) -> TestTokens:
    """Return what knows the credentials of tests, put in front of the application's tokens at its first use."""
    reader = runtime.reader
    if not isinstance(reader._tokens, TestTokens):
        reader._tokens = TestTokens(reader._tokens)
    return reader._tokens
