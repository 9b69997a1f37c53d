"""What is masked in texts and in members, what is not, and what masking may cost."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections import UserDict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_guard.logs.scrub import MASK, MAX_TEXT, is_secret_name, scrub_members, scrub_text


def encode(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


SECRET = secrets.token_urlsafe(32)
JWT = f"{encode({'alg': 'HS256'})}.{encode({'sub': 'u1'})}.{secrets.token_urlsafe(32)}"
JWE = ".".join([encode({"alg": "dir"}), "", *(secrets.token_urlsafe(length) for length in (12, 40, 16))])
SERVICE_KEY = f"fgk_{secrets.token_hex(8)}_{secrets.token_hex(20)}_{secrets.token_hex(3)}"
PEM = "\n".join(
    [
        "-----BEGIN RSA PRIVATE KEY-----",
        "Proc-Type: 4,ENCRYPTED",
        SECRET,
        SECRET,
        "-----END RSA PRIVATE KEY-----",
    ]
)


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        (f"Authorization: Bearer {SECRET}\nAccept: x", "Authorization: ***\nAccept: x"),
        (f"authorization: Basic {SECRET}", "authorization: ***"),
        (f"Proxy-Authorization: Digest a={SECRET}, b={SECRET}", "Proxy-Authorization: ***"),
        (
            f"{{'Authorization': 'Bearer {SECRET}', 'Accept': '*/*'}}",
            "{'Authorization': ***, 'Accept': '*/*'}",
        ),
        (f"{{'HTTP_COOKIE': 'a={SECRET}; b={SECRET}', 'X': 1}}", "{'HTTP_COOKIE': ***, 'X': 1}"),
        (f"Cookie: a={SECRET}; b={SECRET}", "Cookie: ***"),
        (f"Set-Cookie: session={SECRET}; Path=/\r\nVary: x", "Set-Cookie: ***\r\nVary: x"),
        (f"got Bearer {SECRET} from x", "got Bearer *** from x"),
        (f"got bEARER\t{SECRET}", "got bEARER ***"),
        (f"X-API-Key: {SECRET}", "X-API-Key: ***"),
        (f"x_api_key={SECRET}", "x_api_key=***"),
        (f"/login?password={SECRET}&next=/", "/login?password=***&next=/"),
        (f"/callback?code={SECRET}&state=1", "/callback?code=***&state=1"),
        (f"/callback?a=1&otp={SECRET}", "/callback?a=1&otp=***"),
        (f'{{"access_token": "{SECRET}", "n": 1}}', '{"access_token": ***, "n": 1}'),
        (f'{{"refreshToken":"{SECRET}","n":1}}', '{"refreshToken":***,"n":1}'),
        (f'{{"newPassword": "a\\"{SECRET}", "n": 1}}', '{"newPassword": ***, "n": 1}'),
        (f"{{'client_secret': '{SECRET}'}}", "{'client_secret': ***}"),
        (f"{{'secret': b'{SECRET}'}}", "{'secret': ***}"),
        (f"tokens: ['{SECRET}', '{SECRET}'] left", "tokens: *** left"),
        (f"password: {SECRET}", "password: ***"),
        (f"passwd => {SECRET}", "passwd => ***"),
        (f"PASSWORD = '{SECRET} {SECRET}'", "PASSWORD = ***"),
        (f"User(name='a', password='{SECRET}', n=1)", "User(name='a', password=***, n=1)"),
        (f"private_key: {SECRET}, n: 1", "private_key: ***, n: 1"),
        (f"session_id={SECRET}; n=1", "session_id=***; n=1"),
        (f"bad token {JWT} given", "bad token *** given"),
        (f"bad{JWT}", "bad***"),
        (f"({JWE})", "(***)"),
        (f"key {SERVICE_KEY} is gone", "key *** is gone"),
        (f"postgresql://user:{SECRET}@host/db", "postgresql://user:***@host/db"),
        (f"redis://:{SECRET}@host", "redis://:***@host"),
        (f"https://u:p@{SECRET}@host/", "https://u:***@host/"),
        (f"cannot load {PEM} here", "cannot load *** here"),
    ],
    ids=range(34),
)
def test_a_credential_in_a_text_is_masked_and_the_rest_stays(text: str, scrubbed: str) -> None:
    assert scrub_text(text) == scrubbed


@pytest.mark.parametrize(
    "text",
    [
        f'{{\\"password\\": \\"{SECRET}\\"}}',
        f'{{\\"password\\": \\"{SECRET} {SECRET}\\"}}',
        f'password="{SECRET} and no end',
        f"token=({SECRET})",
        f"token=[{SECRET}",
        f"token={{{SECRET}}}",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
        f"-----BEGIN EC PRIVATE KEY----- {SECRET} -----END",
        f"AUTHORIZATION={SECRET} {SECRET}",
        f"Bearer   {SECRET}",
        f"{JWT[:60]}",
        f"Cookie: a={SECRET}\x0b{SECRET}",
    ],
    ids=range(12),
)
def test_a_credential_in_odd_dress_is_masked_too(text: str) -> None:
    scrubbed = scrub_text(text)

    assert MASK in scrubbed
    assert SECRET not in scrubbed
    assert JWT[20:50] not in scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GET /notes/<int:id> 200",
        "exp 1700000000 is 3.5 s ago, leeway 0 s, kid 'main'",
        "the token has expired",
        "GUARD_JWT_SECRET_KEY has fewer than 64 characters.",
        "connection to server at 127.0.0.1, port 5432 failed",
        "https://example.com/a:b/c?d=e",
        "status=401 code=invalid_token",
        "KeyError: 'name'",
        "a session was opened; the key fgk_0123456789abcdef was used",
        "encode error code 7",
        "Grüße: ✓",
    ],
)
def test_a_text_without_credentials_stays_as_it_is(text: str) -> None:
    assert scrub_text(text) == text


SURROUNDINGS = st.lists(
    st.sampled_from(
        [
            "token=",
            "password",
            ":",
            '"',
            "'",
            "\\",
            " ",
            "\n",
            "Bearer ",
            "Cookie: ",
            "eyJ",
            "://a:",
            "@",
            "[",
            ")",
            "x",
        ]
    ),
    max_size=12,
).map("".join)


@settings(max_examples=400)
@given(before=SURROUNDINGS, after=SURROUNDINGS)
@pytest.mark.parametrize("form", ["password={}", "Authorization: Bearer {}", '"token": "{}"', "{{'api_key': '{}'}}"])
def test_no_surroundings_bring_a_credential_back(before: str, after: str, form: str) -> None:
    """Rules apply one after another: none may eat the word by which the next one knows a credential."""
    text = f"{before} {form.format(SECRET)} {after}"

    assert SECRET not in scrub_text(text)


def test_a_long_text_is_cut_and_its_length_is_told() -> None:
    scrubbed = scrub_text("a" * (MAX_TEXT + 100))

    assert scrubbed == "a" * MAX_TEXT + "... (100 characters more)"


@pytest.mark.parametrize("kept", range(4, 40, 3))
@pytest.mark.parametrize("head", ["Authorization: Basic ", "Bearer ", "password=", "https://u:p@x/?code="])
def test_a_credential_that_the_cut_goes_through_is_masked_to_the_cut(head: str, kept: int) -> None:
    text = "a" * (MAX_TEXT - len(head) - 1 - kept) + " " + head + SECRET

    scrubbed = scrub_text(text)

    assert MASK in scrubbed
    assert SECRET[:4] not in scrubbed.lstrip("a")


ENDLESS = {
    "letters": "a",
    "words": "token",
    "words apart": "token ",
    "signs": "token=",
    "quotes": '"',
    "open quotes": 'token="',
    "open brackets": "token=[",
    "escapes": "token\\",
    "backslashes": "\\",
    "jwt beginnings": "eyJ",
    "jwt pieces": "eyJaaaaaaaa.",
    "urls": "://",
    "urls with colons": "://a:",
    "urls with passwords": "://a:" + "b" * 250,
    "pem beginnings": "-----BEGIN ",
    "pem keys": "-----BEGIN PRIVATE KEY-----",
    "dashes": "-",
    "bearers": "bearer ",
    "spaces": "bearer" + " " * 50,
    "headers": "authorization:",
    "queries": "?code=",
    "key beginnings": "fgk_",
    "api": "api-",
}


@pytest.mark.parametrize("piece", ENDLESS.values(), ids=ENDLESS)
def test_no_text_takes_long(piece: str) -> None:
    text = piece * (MAX_TEXT // len(piece))
    started = time.process_time()

    scrub_text(text)

    assert time.process_time() - started < 0.25


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "Password",
        "new_password",
        "newPassword",
        "passwd",
        "pwd",
        "passphrase",
        "secret",
        "client_secret",
        "GUARD_ADMIN_SECRET",
        "token",
        "access_token",
        "refreshToken",
        "id-token",
        "Authorization",
        "proxy-authorization",
        "HTTP_AUTHORIZATION",
        "Cookie",
        "Set-Cookie",
        "X-API-Key",
        "x_api_key",
        "apiKey",
        "private_key",
        "code",
        "otp",
        "otp_code_verifier",
        "recovery_codes",
        "session_id",
        "client_assertion",
        "credentials",
        "pepper",
        "j.w.t",
    ],
)
def test_these_names_hold_credentials(name: str) -> None:
    assert is_secret_name(name)
    assert scrub_members({name: SECRET}) == {name: MASK}
    assert scrub_members({"outer": [{"inner": {name: {"deep": SECRET}}}]}) == {"outer": [{"inner": {name: MASK}}]}


@pytest.mark.parametrize(
    "name",
    ["status", "status_code", "country_code", "encoding", "author", "key_id", "kid", "session", "tenant", ""],
)
def test_these_names_do_not(name: str) -> None:
    assert not is_secret_name(name)
    assert scrub_members({name: "value"}) == {name: "value"}


def test_a_secret_that_is_a_number_is_masked_and_one_that_is_missing_is_seen_to_be() -> None:
    assert scrub_members({"otp": 123456, "pin": 0, "password": None}) == {
        "otp": MASK,
        "pin": MASK,
        "password": None,
    }


def test_a_plain_name_is_not_judged_but_its_text_is_scrubbed() -> None:
    assert scrub_members({"code": "invalid_token"}, plain={"code"}) == {"code": "invalid_token"}
    assert scrub_members({"code": JWT}, plain={"code"}) == {"code": MASK}
    assert scrub_members({"inner": {"code": "123456"}}, plain={"code"}) == {"inner": {"code": MASK}}


def test_texts_are_scrubbed_wherever_they_are() -> None:
    assert scrub_members({"a": [f"Bearer {SECRET}"], f"Bearer {SECRET}": 1}) == {
        "a": ["Bearer ***"],
        "Bearer ***": 1,
    }


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError(SECRET)


class Leaking:
    def __repr__(self) -> str:
        return f"<Leaking password={SECRET!r}>"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (1, 1),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (2**63, 2**63),
        (b"abc", "b'abc'"),
        ({"a"}, ["a"]),
        (("a", 1), ["a", 1]),
        (UserDict(a=1), {"a": 1}),
        ({1: {None: 2}}, {"1": {"None": 2}}),
        (Unprintable(), "<Unprintable without a repr>"),
        (Leaking(), "<Leaking password=***>"),
        ({Unprintable(): 1}, {"<Unprintable without a repr>": 1}),
    ],
    ids=range(15),
)
def test_values_become_what_json_can_hold(value: Any, shown: Any) -> None:
    scrubbed = scrub_members({"value": value})

    assert scrubbed == {"value": shown}
    json.dumps(scrubbed, allow_nan=False)


def test_a_number_too_long_to_print_is_shown_some_other_way() -> None:
    """Python refuses to turn an integer of more than 4300 digits into decimals."""
    json.dumps(scrub_members({"value": 10**5000}))


def test_a_value_that_contains_itself_ends() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    wide: list[Any] = []
    wide.extend([wide] * 10)

    assert len(json.dumps(scrub_members({"loop": loop, "wide": wide}))) < 20_000


def test_a_value_without_end_is_left_out_beyond_a_thousand() -> None:
    scrubbed = scrub_members({"many": list(range(10**6)), "later": "x"})

    assert scrubbed["many"][:3] == [0, 1, 2]
    assert scrubbed["many"][-1] == "..."
    assert len(scrubbed["many"]) <= 1001
