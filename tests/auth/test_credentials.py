"""Which credential of a request counts, and that a bad one is final."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from flask_guard.auth.credentials import CredentialReader
from flask_guard.errors import CredentialInQuery, InvalidApiKey, InvalidToken, Refusal, TokenExpired, Unauthorized
from flask_guard.values import Principal


class Knows:
    """Knows some credentials; refuses or does not know the rest, and remembers what it was asked."""

    def __init__(self, known: dict[str, Principal | Refusal]) -> None:
        self.known = known
        self.asked: list[str] = []

    def authenticate(self, credential: str) -> Principal | None:
        self.asked.append(credential)
        answer = self.known.get(credential)
        if isinstance(answer, Refusal):
            raise answer
        return answer


def principal(method: Any) -> Principal:
    return Principal(id=f"by-{method}", method=method)


CLIENT_KEY = str(uuid.uuid4())
SERVICE_KEY = "fgk_service"
TOKENS = {"good": principal("jwt"), "old": TokenExpired()}
KEYS: dict[str, Principal | Refusal] = {
    SERVICE_KEY: principal("service_key"),
    "static": principal("api_key"),
    CLIENT_KEY: principal("client_key"),
    "fgk_revoked": InvalidApiKey(detail="revoked"),
}


def read(
    authorization: str | None = None, api_key: str | None = None, query: str = "", **options: Any
) -> Principal | None:
    return CredentialReader(Knows(TOKENS), Knows(KEYS), **options).read(authorization, api_key, query)


def test_no_credential_is_nobody() -> None:
    assert read() is None
    assert read(query="page=2&token_type=x") is None


@pytest.mark.parametrize(
    ("authorization", "api_key", "method"),
    [
        pytest.param("Bearer good", None, "jwt", id="a token"),
        pytest.param("bearer good", None, "jwt", id="the scheme in lower case"),
        pytest.param("BEARER good", None, "jwt", id="the scheme in capitals"),
        pytest.param(None, SERVICE_KEY, "service_key", id="a service key"),
        pytest.param(None, "static", "api_key", id="a key of the configuration"),
        pytest.param(None, CLIENT_KEY, "client_key", id="a client key"),
        pytest.param(f"Bearer {SERVICE_KEY}", None, "service_key", id="a service key as bearer"),
        pytest.param(f"Bearer {CLIENT_KEY}", None, "client_key", id="a client key as bearer"),
        pytest.param("Bearer good", SERVICE_KEY, "service_key", id="service key before token"),
        pytest.param("Bearer good", "static", "api_key", id="static key before token"),
        pytest.param("Bearer good", CLIENT_KEY, "jwt", id="token before client key"),
        pytest.param(f"Bearer {SERVICE_KEY}", CLIENT_KEY, "service_key", id="service key before client key"),
        pytest.param(f"Bearer {CLIENT_KEY}", SERVICE_KEY, "service_key", id="in whichever header"),
    ],
)
def test_strongest_good_credential_counts(authorization: str | None, api_key: str | None, method: str) -> None:
    found = read(authorization, api_key)

    assert found is not None
    assert found.method == method


@pytest.mark.parametrize(
    ("authorization", "api_key", "error"),
    [
        pytest.param("Bearer bad", None, InvalidToken, id="a bad token"),
        pytest.param("Bearer old", None, TokenExpired, id="an expired token"),
        pytest.param(None, "bad", InvalidApiKey, id="a bad key"),
        pytest.param(None, "", InvalidApiKey, id="an empty key"),
        pytest.param(None, "fgk_revoked", InvalidApiKey, id="a revoked key"),
        pytest.param("Bearer fgk_unknown", None, InvalidApiKey, id="an unknown key as bearer"),
        pytest.param(f"Bearer {uuid.uuid4()}", None, InvalidApiKey, id="an unknown client key as bearer"),
        pytest.param("Bearer good", "bad", InvalidApiKey, id="a bad key beside a good token"),
        pytest.param("Bearer bad", SERVICE_KEY, InvalidToken, id="a bad token beside a good key"),
        pytest.param("Bearer old", CLIENT_KEY, TokenExpired, id="an expired token beside a good key"),
        pytest.param("Bearer good,Bearer good", None, InvalidToken, id="two headers, joined by the server"),
        pytest.param("Bearer good ", None, InvalidToken, id="a blank behind"),
        pytest.param("Bearer  good", None, InvalidToken, id="two blanks"),
        pytest.param("Bearer good\n", None, InvalidToken, id="a line end"),
        pytest.param("", None, Unauthorized, id="an empty header"),
        pytest.param("Bearer", None, Unauthorized, id="the scheme alone"),
        pytest.param("Bearer ", None, Unauthorized, id="the scheme and a blank"),
        pytest.param("Bearer  \t", None, Unauthorized, id="the scheme and blanks"),
        pytest.param("Bearer\tgood", None, Unauthorized, id="a tab after the scheme"),
        pytest.param("Basic good", None, Unauthorized, id="another scheme"),
        pytest.param("good", None, Unauthorized, id="no scheme"),
        pytest.param("Basic good", SERVICE_KEY, Unauthorized, id="another scheme beside a good key"),
        pytest.param("", SERVICE_KEY, Unauthorized, id="an empty header beside a good key"),
    ],
)
def test_bad_credential_is_final(authorization: str | None, api_key: str | None, error: type[Refusal]) -> None:
    with pytest.raises(error) as caught:
        read(authorization, api_key)

    assert caught.value.status == 401
    told = f"{caught.value.text} {caught.value.detail} {caught.value.headers()}"
    assert not any(word in told for word in ("good", SERVICE_KEY, CLIENT_KEY, "fgk_unknown", "fgk_revoked"))


@pytest.mark.parametrize(
    "spelled",
    [CLIENT_KEY.upper(), CLIENT_KEY.replace("-", ""), f"{{{CLIENT_KEY}}}"],
    ids=["capitals", "without hyphens", "in braces"],
)
def test_client_key_in_another_spelling_is_judged_as_a_key(spelled: str) -> None:
    """Only the canonical spelling may be accepted, and whoever keeps the keys says so."""
    keys = Knows({})

    with pytest.raises(InvalidApiKey):
        CredentialReader(None, keys).read(f"Bearer {spelled}", None, "")

    assert keys.asked == [spelled]


@pytest.mark.parametrize("name", ["access_token", "api_key", "apikey", "X-API-Key", "ACCESS_TOKEN"])
@pytest.mark.parametrize("query", ["{}=good", "page=2&{}=good", "{}="])
def test_credential_in_the_query_is_refused(name: str, query: str) -> None:
    with pytest.raises(CredentialInQuery) as caught:
        read(query=query.format(name))

    assert caught.value.status == 400
    assert "good" not in caught.value.text


@pytest.mark.parametrize("query", ["my_access_token=x", "page=access_token=x", "access_token", "a=&b=api_key"])
def test_query_without_a_credential_is_fine(query: str) -> None:
    assert read(query=query) is None


def test_query_is_not_looked_at_beside_a_credential_in_a_header() -> None:
    found = read("Bearer good", query="access_token=other")

    assert found is not None
    assert found.method == "jwt"


@pytest.mark.parametrize(("header", "method"), [("good", "jwt"), ("Bearer good", "jwt"), (SERVICE_KEY, "service_key")])
def test_token_may_lack_the_scheme_in_a_header_of_its_own(header: str, method: str) -> None:
    found = read(header, bare_token=True)

    assert found is not None
    assert found.method == method


@pytest.mark.parametrize("header", ["", " ", "Bearer "])
def test_header_of_its_own_must_not_be_empty(header: str) -> None:
    with pytest.raises(Unauthorized):
        read(header, bare_token=True)


@pytest.mark.parametrize(
    ("authorization", "api_key", "error"),
    [
        ("Bearer good", None, InvalidToken),
        (f"Bearer {SERVICE_KEY}", None, InvalidApiKey),
        (None, "static", InvalidApiKey),
        (None, CLIENT_KEY, InvalidApiKey),
    ],
    ids=["token", "service key", "static key", "client key"],
)
def test_every_credential_is_refused_where_none_is_configured(
    authorization: str | None, api_key: str | None, error: type[Refusal]
) -> None:
    with pytest.raises(error):
        CredentialReader(None, None).read(authorization, api_key, "")


def test_token_is_not_shown_to_whoever_keeps_keys_nor_a_key_to_the_verifier() -> None:
    tokens, keys = Knows(TOKENS), Knows(KEYS)

    CredentialReader(tokens, keys).read("Bearer good", SERVICE_KEY, "")

    assert tokens.asked == ["good"]
    assert keys.asked == [SERVICE_KEY]
