"""Which credentials a request presents, and whose principal counts when there are several.

Pure: header values in, a principal out. Rule: a presented credential that is bad is final; it is never
ignored in favour of a weaker one or of nobody.
"""

from __future__ import annotations

import re

from ..errors import CredentialInQuery, InvalidApiKey, InvalidToken, Unauthorized
from ..protocols import Authenticator
from ..values import Principal

_SCHEME = "bearer "
# How nearly every token begins: `{"` in base64. No key begins so, and what a key looks like need not be asked.
_COMMON_START = "Bearer eyJ"
# A service key or a UUID in any spelling; everything else after "Bearer" is judged as a token.
_KEY = re.compile(
    r"fgk_|(?:urn:uuid:|\{)?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\}?\Z",
    re.IGNORECASE,
)
_IN_QUERY = re.compile(r"(?:\A|&)(?:access_token|api_key|apikey|x-api-key)=", re.IGNORECASE)

# The strongest first: service key, token, client key.
_RANK = {"service_key": 0, "api_key": 0, "jwt": 1, "client_key": 2}


class CredentialReader:
    """Reads the header values of a request.

    tokens and keys: None when nothing of that kind is configured; then any such credential is refused.
    bare_token: the token's header is not Authorization and may lack the scheme.
    """

    def __init__(self, tokens: Authenticator | None, keys: Authenticator | None, *, bare_token: bool = False) -> None:
        self._tokens = tokens
        self._keys = keys
        self._bare_token = bare_token

    def read(self, authorization: str | None, api_key: str | None, query: str) -> Principal | None:
        """Return the principal, None when no credential is presented.

        Raises CredentialRefused or KeysUnavailable for one that is bad or cannot be judged, and
        CredentialInQuery when the only one is in the query string (RFC 6750, section 5.3).
        """
        if api_key is None:
            if authorization is not None:
                return self._read_bearer(authorization)
            if query and _IN_QUERY.search(query):
                raise CredentialInQuery()
            return None
        by_key = self._read_key(api_key)
        if authorization is None:
            return by_key
        return min(by_key, self._read_bearer(authorization), key=lambda principal: _RANK[principal.method])

    def _read_bearer(self, header: str) -> Principal:
        if header[:10] == _COMMON_START and self._tokens is not None:
            principal = self._tokens.authenticate(header[7:])
            if principal is not None:
                return principal
        if header[:7].lower() == _SCHEME:
            credential = header[7:]
        elif self._bare_token:
            credential = header
        else:
            raise Unauthorized(detail="the Authorization header has no Bearer scheme")
        if not credential.strip():
            raise Unauthorized(detail="the Authorization header has no credential")
        if _KEY.match(credential):
            return self._read_key(credential)
        return self._read_token(credential)

    def _read_token(self, token: str) -> Principal:
        principal = self._tokens.authenticate(token) if self._tokens else None
        if principal is None:
            raise InvalidToken(detail="no key for tokens is configured")
        return principal

    def _read_key(self, key: str) -> Principal:
        principal = self._keys.authenticate(key) if self._keys else None
        if principal is None:
            raise InvalidApiKey(detail="no API keys are configured" if self._keys is None else "unknown API key")
        return principal
