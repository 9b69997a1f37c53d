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
RateStrategy = Literal["sliding-window", "fixed-window", "moving-window", "gcra"]
ForwardedHeader = Literal["auto", "x-forwarded", "forwarded"]
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
        "PUBLIC_URL", kinds.url("https", "http"), None,
        "Address under which clients reach the service; the only source of absolute links.",
    )  # fmt: skip
    allowed_hosts: tuple[str, ...] = option(
        "ALLOWED_HOSTS", kinds_web.host_names, "", "Host names that requests may name; empty for any."
    )
    require_https: bool = option(
        "REQUIRE_HTTPS", kinds.boolean, "false", "Redirect plain http where it reads, refuse it where it writes."
    )
    trusted_proxies: tuple[Network | Literal["unix"], ...] = option(
        "TRUSTED_PROXIES", kinds_web.proxies, "",
        "Proxies whose forwarded headers are believed, as CIDRs; unix for whoever connects through a UNIX socket.",
    )  # fmt: skip
    forwarded_header: ForwardedHeader = option(
        "FORWARDED_HEADER", kinds.choice("auto", "x-forwarded", "forwarded"), "auto",
        "Which headers trusted proxies write: X-Forwarded-*, or Forwarded (RFC 7239); auto reads Forwarded "
        "where no X-Forwarded-* is there.",
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
    csp_report_only: str | None = option(
        "CSP_REPORT_ONLY", kinds.content_policy, None,
        "A second policy that browsers report on and do not enforce: auto, api, page, off, or a policy.",
    )  # fmt: skip
    csp_reports: bool = option(
        "CSP_REPORTS", kinds.boolean, "false", "Collect reports of content policies at /csp-reports."
    )
    hsts: str | None = option(
        "HSTS", kinds_web.hsts, None, "Strict-Transport-Security, sent over https only; true for a year."
    )
    cors_origins: tuple[str, ...] = option(
        "CORS_ORIGINS", kinds_web.origins, "", "Origins whose pages may read answers; empty for none."
    )
    cors_credentials: bool = option("CORS_CREDENTIALS", kinds.boolean, "false", "Let them send cookies.")
    cors_methods: tuple[str, ...] = option(
        "CORS_METHODS", kinds_web.http_methods, "GET,HEAD,POST,PUT,PATCH,DELETE", "Methods they may use."
    )
    cors_headers: tuple[str, ...] = option(
        "CORS_HEADERS", kinds_web.header_names, "Authorization,Content-Type,X-API-Key,X-CSRF-Token,X-Request-Id",
        "Headers they may send.",
    )  # fmt: skip
    cors_expose: tuple[str, ...] = option(
        "CORS_EXPOSE", kinds_web.header_names, "X-Request-Id,RateLimit,RateLimit-Policy,Retry-After",
        "Headers of answers they may read.",
    )  # fmt: skip
    cors_max_age_s: float = option("CORS_MAX_AGE", kinds.duration_s, "10m", "How long a preflight is cached.")
    csrf_scope: Literal["ambient", "all"] = option(
        "CSRF_SCOPE", kinds.choice("ambient", "all"), "ambient",
        "Which unsafe requests are checked: those of browsers or with a cookie of ours, or all.",
    )  # fmt: skip
    csrf_trusted_origins: tuple[str, ...] = option(
        "CSRF_TRUSTED_ORIGINS", kinds_web.exact_origins, "",
        "Other origins whose pages may write; when it is not set, the exact ones of GUARD_CORS_ORIGINS.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """How much a request may carry, and how often it may come."""

    max_body_bytes: int = option("MAX_BODY", kinds.size_bytes, "4M", "Largest body of a request.")
    max_multipart_bytes: int = option(
        "MAX_MULTIPART", kinds.size_bytes, "32M", "Largest body of a multipart/form-data request."
    )
    max_json_depth: int = option("MAX_JSON_DEPTH", kinds.integer(least=1), "64", "Deepest nesting of a JSON body.")
    max_url_bytes: int = option("MAX_URL", kinds.size_bytes, "8K", "Longest path and query string together.")
    max_form_parts: int = option(
        "MAX_FORM_PARTS", kinds.integer(least=1), "1000", "Most fields and files of a form (Flask's MAX_FORM_PARTS)."
    )
    max_files: int = option("MAX_FILES", kinds.integer(), "20", "Most files of a multipart/form-data request.")
    decode_gzip: bool = option(
        "DECODE_GZIP", kinds.boolean, "false",
        "Decode bodies in gzip, counted as decoded; otherwise a body with a Content-Encoding is refused.",
    )  # fmt: skip
    storage_uri: Secret = option(
        "RATE_LIMIT_STORAGE_URI", kinds_web.storage_uri, "memory://",
        "Where limits are counted: memory:// for each worker alone, or a server that all of them share.", secret=True,
    )  # fmt: skip
    global_rate: str = option("RATE_LIMIT_GLOBAL", kinds.rate, "off", "All requests together.")
    anonymous_rate: str = option(
        "RATE_LIMIT_ANONYMOUS", kinds.rate, "100/minute", "Requests without a principal, by address."
    )
    authenticated_rate: str = option("RATE_LIMIT_AUTHENTICATED", kinds.rate, "1000/minute", "By principal.")
    service_rate: str = option(
        "RATE_LIMIT_SERVICE", kinds.rate, "10000/minute", "By principal, for service keys and the role service_role."
    )
    check_rate: str = option(
        "RATE_LIMIT_CHECK", kinds.rate, "1000/minute", "Policy checks over HTTP, by caller.", effective=False
    )
    address_rate: str = option("RATE_LIMIT_ADDRESS", kinds.rate, "off", "By address, before authentication.")
    strategy: RateStrategy = option(
        "RATE_LIMIT_STRATEGY", kinds.choice("sliding-window", "fixed-window", "moving-window", "gcra"),
        "sliding-window", "How requests are counted.",
    )  # fmt: skip
    fail_closed: bool = option(
        "RATE_LIMIT_FAIL_CLOSED", kinds.boolean, "false", "Refuse with 503 while the storage is down, at every limit."
    )
    exempt_networks: tuple[Network, ...] = option(
        "RATE_LIMIT_EXEMPT_NETWORKS", kinds.networks, "",
        "Networks whose requests count only where a route has a limit of its own.",
    )  # fmt: skip
    exempt_keys: tuple[str, ...] = option(
        "RATE_LIMIT_EXEMPT_KEYS", kinds.words, "", "Ids of API keys, or names of static ones, that are exempt likewise."
    )
    rate_message: str | None = option(
        "RATE_LIMIT_MESSAGE", kinds.text, None, "What a caller over a limit is told; default: a sentence of ours."
    )
    legacy_rate_headers: bool = option(
        "RATE_LIMIT_LEGACY_HEADERS", kinds.boolean, "false", "Send X-RateLimit-Limit, -Remaining and -Reset too."
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
