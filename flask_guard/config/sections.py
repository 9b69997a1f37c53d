"""The settings of what a request meets: service, tokens, keys, browser, limits, logs.

One frozen class per concern, one `option` per field; see `options`. Data settings are in `sections_data`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from . import kinds, kinds_web
from .kinds import Network
from .options import option
from .secrets import Secret

Environment = Literal["production", "staging", "development"]
DefaultAccess = Literal["authenticated", "public-read", "public", "report-only"]


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What this service is and where it runs."""

    env: Environment = option(
        "ENV", kinds.choice("production", "staging", "development"), "production",
        "Where the service runs. Production refuses what the others warn about.",
    )  # fmt: skip
    default_access: DefaultAccess = option(
        "DEFAULT_ACCESS",
        kinds.choice("authenticated", "public-read", "public", "report-only"),
        "authenticated",
        "What a route without a rule asks for. public-read opens GET and HEAD, public opens everything, "
        "report-only decides and logs for every route but refuses nothing.",
    )  # fmt: skip
    name: str | None = option("SERVICE_NAME", kinds.text, None, "Name on log lines and in the header X-Service-Name.")
    path_prefix: str = option(
        "PATH_PREFIX", kinds.path_prefix, "", "Path under which the bundled endpoints and probes are mounted."
    )
    public_url: str | None = option(
        "PUBLIC_URL", kinds.url("https", "http"), None, "The only source of absolute links.", effective=False
    )
    allowed_hosts: tuple[str, ...] = option(
        "ALLOWED_HOSTS", kinds_web.host_names, "", "Host names that requests may name; empty for any.", effective=False
    )
    require_https: bool = option(
        "REQUIRE_HTTPS", kinds.boolean, "false", "Redirect or refuse plain http.", effective=False
    )
    trusted_proxies: tuple[Network, ...] = option(
        "TRUSTED_PROXIES", kinds.networks, "", "Proxies whose forwarded headers are believed, as CIDRs.",
        effective=False,
    )  # fmt: skip
    ignore_variables: tuple[str, ...] = option(
        "IGNORE_VARIABLES", kinds.words, "", "Names that begin with GUARD_ but belong to someone else."
    )


@dataclass(frozen=True, slots=True)
class JwtSettings:
    """Bearer tokens: whose are accepted, and how ours are signed."""

    secret_key: Secret | None = option(
        "JWT_SECRET_KEY", kinds.secret_text, None,
        "HMAC secret that signs and checks tokens (HS256); at least 32 bytes in production.", secret=True,
    )  # fmt: skip
    private_key: Secret | None = option(
        "JWT_PRIVATE_KEY", kinds.secret_text, None,
        "Private key (PEM) that signs our tokens; its public half checks them.", secret=True,
    )  # fmt: skip
    public_key: str | None = option(
        "JWT_PUBLIC_KEY",
        kinds.pem_text,
        None,
        "Public key (PEM) that checks the issuer's tokens.",
        secret=True,
    )
    jwks_url: str | None = option(
        "JWT_JWKS_URL", kinds.url("https", "http"), None,
        "Address of the issuer's key set (RFC 7517); http only outside production.",
    )  # fmt: skip
    jwks_max_stale_s: float = option(
        "JWT_JWKS_MAX_STALE", kinds.duration_s, "24h",
        "How long the last good key set serves while its address does not answer.",
    )  # fmt: skip
    issuer: str | None = option("JWT_ISSUER", kinds.text, None, "Exact `iss` of accepted tokens, and of ours.")
    audience: tuple[str, ...] | None = option(
        "JWT_AUDIENCE", kinds.some_words, None, "Accepted `aud`, one of them; the first goes into our tokens."
    )
    issuers: list[dict[str, Any]] | None = option(
        "JWT_ISSUERS", kinds.json_list, None,
        "Several issuers side by side, as a JSON list; see the guide on tokens.", secret=True,
        hidden_member="secret_key",
    )  # fmt: skip
    algorithms: tuple[str, ...] = option(
        "JWT_ALGORITHMS", kinds.words, "",
        "Other algorithms than the default of a key: the first that fits a key is the only one it checks.",
    )  # fmt: skip
    header: str = option("JWT_HEADER", kinds.header_name, "Authorization", "Header that carries the token.")
    subject_claim: str = option("JWT_SUBJECT_CLAIM", kinds.text, "sub", "Claim, or dotted path, of the user's id.")
    tenant_claim: str = option("JWT_TENANT_CLAIM", kinds.text, "tenant", "Claim, or dotted path, of the tenant.")
    roles_claim: str = option("JWT_ROLES_CLAIM", kinds.text, "roles", "Claim, or dotted path, of the roles.")
    scopes_claim: str = option("JWT_SCOPES_CLAIM", kinds.text, "scope", "Claim, or dotted path, of the scopes.")
    required_claims: tuple[str, ...] = option(
        "JWT_REQUIRED_CLAIMS", kinds.words, "", "Further claims, or dotted paths, that a token must have."
    )
    types: tuple[str, ...] = option(
        "JWT_TYPES", kinds.words, "at+jwt,JWT,none", "Accepted `typ` of the token's header; none for no typ."
    )
    excluded_roles: frozenset[str] = option(
        "JWT_EXCLUDED_ROLES", kinds.word_set, "offline_access,uma_authorization",
        "Roles that are dropped before anything looks at them.",
    )  # fmt: skip
    leeway_s: float = option(
        "JWT_LEEWAY", kinds.duration_s, "0s", "Tolerance for `exp`; `nbf` and `iat` have 10s at least."
    )
    max_lifetime_s: float | None = option(
        "JWT_MAX_LIFETIME", kinds.positive_duration_s, None, "Longest accepted time from `iat` to `exp`."
    )
    require_expiry: bool = option("JWT_REQUIRE_EXPIRY", kinds.boolean, "true", "Refuse tokens without `exp`.")
    asymmetric_only: bool = option(
        "JWT_ASYMMETRIC_ONLY", kinds.boolean, "false", "Refuse to start with an HMAC secret."
    )
    access_ttl_s: float = option(
        "JWT_ACCESS_TTL", kinds.positive_duration_s, "15m", "Lifetime of the access tokens that we issue."
    )
    refresh_ttl_s: float = option(
        "JWT_REFRESH_TTL", kinds.positive_duration_s, "30d", "Lifetime of refresh tokens.", effective=False
    )
    refresh_retry_window_s: float = option(
        "REFRESH_RETRY_WINDOW", kinds.duration_s, "10s",
        "How long a repeated refresh gets the same successor.", effective=False,
    )  # fmt: skip
    revocation_max_stale_s: float = option(
        "REVOCATION_MAX_STALE", kinds.duration_s, "1s",
        "How old the answer of the credential store may be; 0 asks it each time.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class KeySettings:
    """API keys, client keys, and the administrator's secret."""

    header: str = option("API_KEY_HEADER", kinds.header_name, "X-API-Key", "Header that carries an API key.")
    static: list[dict[str, Any]] | None = option(
        "API_KEYS", kinds.json_list, None,
        'Keys that need no store, as a JSON list: [{"name", "key", "roles", "scopes", "tenant"}].',
        secret=True, hidden_member="key",
    )  # fmt: skip
    registered_only: bool = option(
        "CLIENT_KEYS_REGISTERED_ONLY", kinds.boolean, "true",
        "Accept only client keys that were created here; false lets any UUID4 open an empty tenant.",
    )  # fmt: skip
    admin_secret: Secret | None = option(
        "ADMIN_SECRET", kinds.secret_text, None, "Secret of the administration endpoints.", secret=True,
        effective=False,
    )  # fmt: skip
    admin_header_disabled: bool = option(
        "ADMIN_HEADER_DISABLED", kinds.boolean, "false", "Accept only the cookie session.", effective=False
    )
    admin_networks: tuple[Network, ...] = option(
        "ADMIN_NETWORKS", kinds.networks, "", "Networks that may reach administration.", effective=False
    )


@dataclass(frozen=True, slots=True)
class BrowserSettings:
    """What browsers are told and asked: sessions, headers, CORS, CSRF."""

    session_interface: Literal["lazy", "flask"] = option(
        "SESSION_INTERFACE", kinds.choice("lazy", "flask"), "lazy",
        "lazy opens Flask's session cookie only when a view uses the session; flask keeps Flask's own.",
    )  # fmt: skip
    csp: str = option(
        "CSP", kinds.content_policy, "auto",
        "Content-Security-Policy: auto (api, but page for HTML), api, page, off, or a policy.",
    )  # fmt: skip
    headers: Mapping[str, str | None] = option(
        "HEADERS", kinds.header_map, "{}", "JSON map of headers to send on every answer; null leaves one out."
    )
    hsts: str | None = option(
        "HSTS", kinds_web.hsts, None, "Strict-Transport-Security over https; true for a year.", effective=False
    )
    cors_origins: tuple[str, ...] = option(
        "CORS_ORIGINS", kinds_web.origins, "", "Origins that may read answers.", effective=False
    )
    cors_credentials: bool = option(
        "CORS_CREDENTIALS", kinds.boolean, "false", "Let them send cookies.", effective=False
    )
    cors_methods: tuple[str, ...] = option(
        "CORS_METHODS",
        kinds_web.http_methods,
        "GET,HEAD,POST,PUT,PATCH,DELETE",
        "Methods they may use.",
        effective=False,
    )
    cors_headers: tuple[str, ...] = option(
        "CORS_HEADERS", kinds_web.header_names, "Authorization,Content-Type", "Headers they may send.", effective=False
    )
    cors_max_age_s: float = option(
        "CORS_MAX_AGE", kinds.duration_s, "10m", "How long a preflight is cached.", effective=False
    )
    csrf_scope: Literal["ambient", "all"] = option(
        "CSRF_SCOPE",
        kinds.choice("ambient", "all"),
        "ambient",
        "Which requests are checked.",
        effective=False,
    )
    csrf_trusted_origins: tuple[str, ...] = option(
        "CSRF_TRUSTED_ORIGINS", kinds_web.origins, "", "Origins that may write.", effective=False
    )


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """How much a request may carry, and how often it may come."""

    max_body_bytes: int = option("MAX_BODY", kinds.size_bytes, "4M", "Largest body of a request.")
    max_multipart_bytes: int = option(
        "MAX_MULTIPART", kinds.size_bytes, "32M", "Largest body of a multipart/form-data request."
    )
    max_json_depth: int = option("MAX_JSON_DEPTH", kinds.integer(least=1), "64", "Deepest nesting of a JSON body.")
    storage_uri: Secret = option(
        "RATE_LIMIT_STORAGE_URI", kinds_web.storage_uri, "memory://", "Where limits are counted.", secret=True,
        effective=False,
    )  # fmt: skip
    global_rate: str = option("RATE_LIMIT_GLOBAL", kinds.rate, "off", "All requests together.", effective=False)
    anonymous_rate: str = option(
        "RATE_LIMIT_ANONYMOUS", kinds.rate, "100/minute", "Without a credential, by address.", effective=False
    )
    authenticated_rate: str = option(
        "RATE_LIMIT_AUTHENTICATED", kinds.rate, "1000/minute", "By principal.", effective=False
    )
    service_rate: str = option(
        "RATE_LIMIT_SERVICE", kinds.rate, "10000/minute", "By service principal.", effective=False
    )
    check_rate: str = option(
        "RATE_LIMIT_CHECK", kinds.rate, "1000/minute", "Policy checks over HTTP, by caller.", effective=False
    )
    address_rate: str = option(
        "RATE_LIMIT_ADDRESS", kinds.rate, "off", "By address, before authentication.", effective=False
    )
    strategy: str = option(
        "RATE_LIMIT_STRATEGY", kinds.choice("sliding-window", "fixed-window", "moving-window", "gcra"),
        "sliding-window", "How requests are counted.", effective=False,
    )  # fmt: skip
    fail_closed: bool = option(
        "RATE_LIMIT_FAIL_CLOSED", kinds.boolean, "false", "Refuse when the storage is down.", effective=False
    )


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """The probes."""

    check_db: bool = option("HEALTH_CHECK_DB", kinds.boolean, "false", "The live probe asks the database too.")
    live_paths: tuple[str, ...] = option(
        "HEALTH_LIVE_PATHS", kinds.paths, "/healthz/live", "Paths of the live probe, below the path prefix."
    )
    ready_paths: tuple[str, ...] = option(
        "HEALTH_READY_PATHS",
        kinds.paths,
        "/healthz/ready",
        "Paths of the ready probe, below the path prefix.",
    )
    timeout_s: float = option(
        "HEALTH_TIMEOUT", kinds.positive_duration_s, "3s", "Time that one check of a probe may take."
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Logs and metrics."""

    format: Literal["json", "text"] = option(
        "LOG_FORMAT", kinds.choice("json", "text"), "json", "Form of the lines that we write."
    )
    level: str | None = option(
        "LOG_LEVEL", kinds.choice("debug", "info", "warning", "error"), None,
        "Least level that is logged; default: debug in development, info in staging, warning in production.",
    )  # fmt: skip
    metrics: bool = option("METRICS_ENABLED", kinds.boolean, "false", "Serve Prometheus metrics.", effective=False)
