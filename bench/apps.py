"""The applications that are compared: one JSON route each, guarded by none, one or several libraries.

Every one answers the same request with the same body. Rule: an application is checked before it is timed:
it answers 200 as it should, and whatever is said to be on is seen to refuse, to count or to be sent.
"""

from __future__ import annotations

import json
import re
import secrets
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import jwt
from flask import Flask, request

from flask_guard import Guard, Secret
from flask_guard.crypto.signing import load_hmac_key

from .wsgi import Environ, fetch, make_environ, serve

NAME = "bench"
ISSUER = "https://issuer.example"
AUDIENCE = "documents"
ROLE = "editor"
SCOPE = "documents:read"
PATH = "/documents/7"
DOCUMENT = {"id": 7, "title": "A document", "tags": ["a", "b"], "ok": True}
POST_BODY = json.dumps({"title": "A document", "tags": ["a", "b"], "text": "x" * 64}).encode()

OWN_ORIGIN = "https://localhost"
LISTED_ORIGIN = "https://spa.example.com"
ORIGINS = (LISTED_ORIGIN, "https://admin.example.com")
# Requests are counted and never refused: a refusal would be timed in the place of an answer.
HIGH_RATE = "1000000000/minute"
_HIGH_RATES = {"rate_limit_anonymous": HIGH_RATE, "rate_limit_authenticated": HIGH_RATE}

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
    app = Flask(NAME)
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
    options = _HIGH_RATES | options
    guard.init_app(app, jwt_secret_key=secret, jwt_issuer=ISSUER, jwt_audience=AUDIENCE, **options)
    return app


def make_guarded_edge(secret: str, **options: Any) -> Flask:
    """Return an application under Guard with everything on that browsers and the network call for.

    CSRF protection judges every unsafe request, also one that carries a token.
    """
    everything = {"hsts": "true", "cors_origins": ORIGINS, "cors_credentials": True, "csrf_scope": "all"}
    return make_guarded(secret, **(everything | options))


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


def add_talisman(app: Flask) -> None:
    from flask_talisman import Talisman  # type: ignore[import-untyped]

    Talisman(app)


def add_cors(app: Flask) -> None:
    from flask_cors import CORS

    CORS(app, resources={r"/documents.*": {"origins": list(ORIGINS)}}, supports_credentials=True)


def add_seasurf(app: Flask) -> None:
    from flask_seasurf import SeaSurf  # type: ignore[import-untyped]

    SeaSurf(app)


def add_limiter(
    app: Flask, *, rate: str = HIGH_RATE, storage_uri: str = "memory://", sends_headers: bool = True
) -> None:
    from flask_limiter import Limiter
    from flask_limiter.util import get_remote_address

    Limiter(
        get_remote_address,
        app=app,
        default_limits=[rate],
        storage_uri=storage_uri,
        strategy="fixed-window",
        headers_enabled=sends_headers,
        key_prefix=secrets.token_hex(4),
    )


def make_with(*additions: Callable[[Flask], None]) -> Flask:
    """Return an application whose route is open, with these extensions."""
    app = make_app()
    for add in additions:
        add(app)
    return app


def make_assembled(secret: str, *, storage_uri: str = "memory://") -> Flask:
    """Return what one puts together without Guard: five extensions, each with the defaults of its documentation."""
    app = make_jwt_extended(secret)
    add_talisman(app)
    add_cors(app)
    add_seasurf(app)
    add_limiter(app, storage_uri=storage_uri)
    return app


def make_session_cookie(app: Flask) -> str:
    """Return the cookie of a session that the application itself could have begun."""
    interface: Any = app.session_interface
    value = interface.get_signing_serializer(app).dumps({"user": 7})
    return f"{interface.get_cookie_name(app)}={value}"


def visit(app: Flask, environ: Environ, *, origin: str) -> dict[str, str]:
    """Make a first request, as a browser does, and return the headers that SeaSurf wants on the next one."""
    return seasurf_headers(serve(app.wsgi_app, environ).headers, origin=origin)


def seasurf_headers(answered: Iterable[tuple[str, str]], *, origin: str) -> dict[str, str]:
    """Return the headers of a request that brings SeaSurf's cookies back, by their names in the environment."""
    cookies = [value.partition(";")[0] for name, value in answered if name.lower() == "set-cookie"]
    token = next(cookie.partition("=")[2] for cookie in cookies if cookie.startswith("_csrf_token="))
    return {"HTTP_COOKIE": "; ".join(cookies), "HTTP_X_CSRFTOKEN": token, "HTTP_REFERER": f"{origin}/app"}


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


def require_listed_origin(app: Flask, environ: Environ) -> None:
    """Stop unless the page of a listed origin may read the answer, and that of another one may not."""
    allowed = "access-control-allow-origin"
    assert require_document(app, environ)[allowed] == environ["HTTP_ORIGIN"]
    assert allowed not in require_document(app, environ | {"HTTP_ORIGIN": "https://evil.example"})


def require_counting(app: Flask, environ: Environ) -> None:
    """Stop unless each request leaves the caller one less."""
    first, second = (_find_remaining(require_document(app, environ)) for _ in range(2))
    assert second == first - 1, (first, second)


def _find_remaining(headers: dict[str, str]) -> int:
    if "x-ratelimit-remaining" in headers:
        return int(headers["x-ratelimit-remaining"])
    return min(int(each) for each in re.findall(r"r=(\d+)", headers["ratelimit"]))


def require_own_pages(app: Flask, environ: Environ) -> None:
    """Stop unless a POST is answered that a page of our own sent, and refused when that of another origin did."""
    status, _headers, body = fetch(app.wsgi_app, environ, POST_BODY)
    assert status == 200, (status, body)
    foreign = {name: value for name, value in environ.items() if name not in ("HTTP_X_CSRFTOKEN", "HTTP_REFERER")}
    status, _headers, body = fetch(app.wsgi_app, foreign | {"HTTP_ORIGIN": "https://evil.example"}, POST_BODY)
    assert status in (400, 403), (status, body)
