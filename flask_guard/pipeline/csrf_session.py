"""CSRF tokens of Flask's session: made for a page, looked for in a request.

Relies on `browser.csrf_tokens` for what a token is. Works with any session interface: the session keeps one
text, the seed of its tokens.
Rule: looking for a token never changes the session, so that a refusal sets no cookie.
"""

from __future__ import annotations

import secrets
from typing import Final

from flask import Flask, Request, session

from ..browser.csrf import FORM_TYPES, TokenState
from ..browser.csrf_tokens import check_token, derive_key, make_token
from ..errors import ConfigError

SESSION_KEY: Final = "_guard_csrf"
FORM_FIELD: Final = "csrf_token"
_HEADER: Final = "HTTP_X_CSRF_TOKEN"


class CsrfTokens:
    """The tokens of one application. The keys come from its SECRET_KEY and SECRET_KEY_FALLBACKS, read each time.

    reads_forms: False leaves bodies to the views and takes a form's token for right, where nothing is refused.
    """

    def __init__(self, app: Flask, *, reads_forms: bool = True) -> None:
        self._app = app
        self._reads_forms = reads_forms

    def issue(self) -> str:
        """Return a token for the page of this request; another text each time, good as long as the session.

        The first of a session puts a seed into it, so that the answer sets the session cookie.
        Raises ConfigError without a SECRET_KEY.
        """
        secret = self._app.secret_key
        if not secret:
            raise ConfigError("A CSRF token cannot be made: set SECRET_KEY, which also signs Flask's session.")
        seed = _find_seed()
        if seed is None:
            seed = session[SESSION_KEY] = secrets.token_urlsafe(16)
        return make_token(derive_key(secret), seed)

    def rotate(self) -> None:
        """Make every token of this session worthless; the next one has a new seed. For login and logout."""
        if SESSION_KEY in session:
            del session[SESSION_KEY]

    def state(self, request: Request) -> TokenState:
        """Tell what the request has for a token: the header X-CSRF-Token, else the form's field `csrf_token`.

        The form is read only where the body is one and the session was given a token: a made-up cookie must not
        have bodies read. Then the view finds it in `request.form` and no longer in the stream.
        Raises what reading a form raises, an HTTPException.
        """
        raw = request.environ.get(_HEADER)
        is_form = not raw and request.mimetype in FORM_TYPES
        seed = _find_seed() if raw or is_form else None
        if is_form and seed is not None:
            if not self._reads_forms:
                return TokenState.VALID
            raw = request.form.get(FORM_FIELD)
        if not raw:
            return TokenState.ABSENT
        is_valid = seed is not None and check_token(self._keys(), seed, raw)
        return TokenState.VALID if is_valid else TokenState.WRONG

    def _keys(self) -> list[bytes]:
        """Return the keys whose tokens are accepted, the newest first."""
        older = self._app.config["SECRET_KEY_FALLBACKS"] or ()
        return [derive_key(secret) for secret in (self._app.secret_key, *older) if secret]


def _find_seed() -> str | None:
    seed = session.get(SESSION_KEY)
    return seed if isinstance(seed, str) and seed else None
