"""The applications that are compared: one JSON route each, guarded by one library or by none.

Every one answers the same request with the same body. Rule: an application is checked before it is timed:
it answers 200 as it should, and those that ask for a token refuse a request without one.
"""

from __future__ import annotations

import json
import secrets
import time
import uuid
from collections.abc import Callable
from typing import Any

import jwt
from flask import Flask, request

from flask_guard import Guard, Secret
from flask_guard.crypto.signing import load_hmac_key

from .wsgi import Environ, fetch, make_environ

ISSUER = "https://issuer.example"
AUDIENCE = "documents"
ROLE = "editor"
SCOPE = "documents:read"
PATH = "/documents/7"
DOCUMENT = {"id": 7, "title": "A document", "tags": ["a", "b"], "ok": True}
POST_BODY = json.dumps({"title": "A document", "tags": ["a", "b"], "text": "x" * 64}).encode()

View = Callable[..., Any]
Decorator = Callable[[View], View]


def make_claims(now: float | None = None) -> dict[str, Any]:
    """Return the claims of an access token (RFC 9068, section 2.2) that every library here accepts."""
    issued = int(time.time() if now is None else now)
    return {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "user-000042",
        "client_id": "web",
        "iat": issued,
        "nbf": issued,
        "exp": issued + 24 * 3600,
        "jti": uuid.uuid4().hex,
        "tenant": "tenant-0007",
        "scope": f"{SCOPE} documents:write",
        "roles": [ROLE, "viewer"],
    }


class TokenMint:
    """Makes HS256 tokens by PyJWT, so that Guard is measured on tokens it did not make."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._headers = {"typ": "at+jwt", "kid": load_hmac_key(Secret(secret)).kid}

    def make(self, **changes: Any) -> str:
        """Return a token that was never there before. changes: to its claims."""
        return self.sign_with(self._secret, **changes)

    def sign_with(self, secret: str, **changes: Any) -> str:
        """Return a token that names our key and is signed by this one."""
        return jwt.encode(make_claims() | changes, secret, "HS256", headers=self._headers)

    def request(self, **changes: Any) -> Environ:
        """Return a request for the document with a new token."""
        return make_environ(PATH, authorization=f"Bearer {self.make(**changes)}")


def make_app(decorate: Decorator | None = None, **config: Any) -> Flask:
    """Return an application with the routes. It has a SECRET_KEY, because applications with cookies have one."""
    app = Flask("bench")
    app.config.update(SECRET_KEY=secrets.token_hex(32), **config)
    add_routes(app, decorate or (lambda view: view))
    return app


def add_routes(app: Flask, decorate: Decorator) -> None:
    def show(number: int) -> Any:
        return {**DOCUMENT, "id": number}

    def create() -> Any:
        return {**DOCUMENT, "title": request.get_json()["title"]}

    app.get("/documents/<int:number>")(decorate(show))
    app.post("/documents")(decorate(create))


def make_guarded(secret: str, *, is_public: bool = False, **options: Any) -> Flask:
    """Return an application under Guard whose route asks for a role, or for nothing."""
    guard = Guard()
    rule = guard.public(reason="bench") if is_public else guard.require_role(ROLE)
    app = make_app(rule)
    guard.init_app(app, jwt_secret_key=secret, jwt_issuer=ISSUER, jwt_audience=AUDIENCE, **options)
    return app


def make_jwt_extended(secret: str) -> Flask:
    from flask_jwt_extended import JWTManager, jwt_required

    app = make_app(
        jwt_required(),
        JWT_SECRET_KEY=secret,
        JWT_ALGORITHM="HS256",
        JWT_DECODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_ISSUER=ISSUER,
    )
    JWTManager(app)
    return app


def make_authlib(secret: str) -> Flask:
    from authlib.integrations.flask_oauth2 import ResourceProtector  # type: ignore[import-untyped]
    from authlib.oauth2.rfc9068 import JWTBearerTokenValidator  # type: ignore[import-untyped]
    from joserfc.jwk import KeySet, OctKey

    keys = KeySet([OctKey.import_key(secret, {"kid": load_hmac_key(Secret(secret)).kid})])

    class Validator(JWTBearerTokenValidator):  # type: ignore[misc]  # the peer has no types
        def get_jwks(self) -> KeySet:
            return keys

    protector = ResourceProtector()
    protector.register_token_validator(Validator(issuer=ISSUER, resource_server=AUDIENCE))
    return make_app(protector(SCOPE, roles=ROLE))


def make_talisman() -> Flask:
    from flask_talisman import Talisman  # type: ignore[import-untyped]

    app = make_app()
    Talisman(app)
    return app


# Checks before the clock -------------------------------------------------------------------------------


def require_document(app: Flask, environ: Environ) -> dict[str, str]:
    """Make one request, stop unless the answer is the document, and return the answer's headers."""
    status, headers, body = fetch(app.wsgi_app, environ)
    assert status == 200, (status, body)
    assert json.loads(body) == DOCUMENT, body
    return headers


def require_refusal(app: Flask, *, secret: str) -> None:
    """Stop unless a request without a token is 401, and one with a token that somebody else signed is refused."""
    assert fetch(app.wsgi_app, make_environ(PATH))[0] == 401
    forged = TokenMint(secret).sign_with(secrets.token_hex(32))
    status = fetch(app.wsgi_app, make_environ(PATH, authorization=f"Bearer {forged}"))[0]
    assert status in (401, 422), status  # Flask-JWT-Extended answers 422 to a token that cannot be verified
