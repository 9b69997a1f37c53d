"""Loading keys from settings: what is read, and what is refused by a sentence that quotes no key."""

from __future__ import annotations

import functools
import json
import secrets

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from flask_guard.config.secrets import Secret
from flask_guard.crypto.signing import load_hmac_key, load_private_key, load_public_keys
from tests.auth.forge import base64url, private_key, private_pem, public_jwk, public_pem, secret_bytes


def test_line_ends_may_be_written_out() -> None:
    pem = private_pem(private_key("rsa")).replace("\n", "\\n")
    public = public_pem(private_key("rsa")).replace("\n", "\\n")

    assert load_private_key(Secret(pem)).kid == load_public_keys(public)[0].kid


def test_traditional_forms_are_read() -> None:
    key = private_key("rsa")
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()

    assert "RSA PRIVATE KEY" in private
    assert "RSA PUBLIC KEY" in public
    assert load_private_key(Secret(private)).kid == load_public_keys(public)[0].kid


def test_parameters_before_an_ec_key_do_not_matter() -> None:
    key = private_key("p256").private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"

    assert load_private_key(Secret(parameters + key)).algorithm == "ES256"


def test_several_public_keys_are_read_once_each() -> None:
    first, second = public_pem(private_key("rsa")), public_pem(private_key("p256"))

    keys = load_public_keys(f"# old\n{first}\n# new\n{second}{first}")

    assert [key.algorithm for key in keys] == ["RS256", "ES256"]


@functools.cache
def small_rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)  # noqa: S505 - too short on purpose


@functools.cache
def bad_private_keys() -> dict[str, tuple[str, str]]:
    rsa_pem = private_pem(private_key("rsa"))
    encrypted = private_key("rsa").private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(secrets.token_bytes(16))
    )
    return {
        "a public key": (public_pem(private_key("rsa")), "holds a public key"),
        "two private keys": (rsa_pem + private_pem(private_key("p256")), "holds 2 private keys"),
        "encrypted": (encrypted.decode(), "holds an encrypted private key"),
        "short RSA": (private_pem(small_rsa()), "holds an RSA key of 1024 bits; at least 2048"),
        "unknown curve": (private_pem(ec.generate_private_key(ec.SECP256K1())), "on the curve secp256k1"),  # type: ignore[arg-type]
        "DSA": (private_pem(dsa.generate_private_key(2048)), "a kind that signs no tokens"),  # type: ignore[arg-type]
        "Ed448": (private_pem(ed448.Ed448PrivateKey.generate()), "a kind that signs no tokens"),  # type: ignore[arg-type]
        "X25519": (private_pem(x25519.X25519PrivateKey.generate()), "a kind that signs no tokens"),  # type: ignore[arg-type]
        "cut short": (rsa_pem[: len(rsa_pem) // 2], "is not a private key in PEM form"),
        "spoilt": (rsa_pem.replace("A", "!", 3), "is not a private key in PEM form"),
        "no PEM": ("nothing of the kind", "is not a private key in PEM form"),
        "empty": ("", "is not a private key in PEM form"),
        "lone surrogate": ("-----BEGIN PRIVATE KEY-----\ud800-----END PRIVATE KEY-----", "is not a private key"),
    }


@pytest.mark.parametrize("case", bad_private_keys())
def test_a_private_key_that_will_not_do_is_named_and_not_quoted(case: str) -> None:
    pem, reason = bad_private_keys()[case]

    with pytest.raises(ValueError, match=reason) as caught:
        load_private_key(Secret(pem))

    assert_fits_after_a_name(str(caught.value))
    assert_quotes_nothing(caught.value, pem)


@functools.cache
def bad_public_keys() -> dict[str, tuple[str, str]]:
    good = public_pem(private_key("rsa"))
    certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    return {
        "private": (private_pem(private_key("rsa")), "holds a private key where only public keys belong"),
        "one private of two": (good + private_pem(private_key("p256")), "holds a private key"),
        "half a private block": (good + "-----BEGIN EC PRIVATE KEY-----\nMHc", "holds a private key"),
        "certificate": (certificate, "holds a certificate"),
        "one certificate of two": (good + certificate, "holds a certificate"),
        "other block": ("-----BEGIN X509 CRL-----\nMII=\n-----END X509 CRL-----", "is not a public key in PEM form"),
        "short RSA": (public_pem(small_rsa()), "at least 2048"),
        "DSA": (public_pem(dsa.generate_private_key(2048)), "a kind that checks no tokens"),  # type: ignore[arg-type]
        "unknown curve": (public_pem(ec.generate_private_key(ec.SECP256K1())), "on the curve secp256k1"),  # type: ignore[arg-type]
        "spoilt": (good.replace("A", "!", 3), "is not a public key in PEM form"),
        "empty": ("", "is not a public key in PEM form"),
    }


@pytest.mark.parametrize("case", bad_public_keys())
def test_a_public_key_that_will_not_do_is_named(case: str) -> None:
    pem, reason = bad_public_keys()[case]

    with pytest.raises(ValueError, match=reason) as caught:
        load_public_keys(pem)

    assert_fits_after_a_name(str(caught.value))
    assert_quotes_nothing(caught.value, pem)


@functools.cache
def public_forms() -> dict[str, str]:
    """The spellings of a public key that an attacker can compute and a service might take for a secret."""
    key = private_key("rsa").public_key()
    ssh = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    ed_ssh = private_key("ed25519").public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return {
        "PEM": public_pem(private_key("rsa")),
        "PEM on one line": public_pem(private_key("rsa")).replace("\n", "\\n"),
        "PKCS1": key.public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode(),
        "private PEM": private_pem(private_key("rsa")),
        "half a PEM": "-----BEGIN PUBLIC KEY-----\nMIIB",
        "SSH": ssh,
        "SSH after space": f"\n {ssh}",
        "SSH Ed25519": ed_ssh,
        "JWK": json.dumps(public_jwk()),
        "JWK set": json.dumps({"keys": [public_jwk()]}),
        "oct JWK": json.dumps({"kty": "oct", "k": base64url(secret_bytes())}),
        "empty": "",
        "blank": "  ",
    }


@pytest.mark.parametrize("form", public_forms())
def test_a_key_of_another_kind_is_no_hmac_secret(form: str) -> None:
    text = public_forms()[form]

    with pytest.raises(ValueError, match="where an HMAC secret is expected") as caught:
        load_hmac_key(Secret(text))

    assert_fits_after_a_name(str(caught.value))
    assert_quotes_nothing(caught.value, text)


@pytest.mark.parametrize(
    ("length", "algorithms", "chosen"),
    [(8, (), "HS256"), (48, ("HS384",), "HS384"), (64, ("HS512", "HS256"), "HS512"), (8, ("RS256",), "HS256")],
)
def test_a_secret_of_the_right_length_is_taken(length: int, algorithms: tuple[str, ...], chosen: str) -> None:
    assert load_hmac_key(Secret("k" * length), algorithms).algorithm == chosen


@pytest.mark.parametrize(("length", "algorithm"), [(47, "HS384"), (63, "HS512"), (1, "HS512")])
def test_a_secret_shorter_than_the_hash_is_refused(length: int, algorithm: str) -> None:
    with pytest.raises(ValueError, match=rf"is shorter than the \d\d bytes that {algorithm} needs"):
        load_hmac_key(Secret("k" * length), [algorithm])


def assert_fits_after_a_name(reason: str) -> None:
    assert reason.split()[0] in {"is", "holds"}
    assert not reason.endswith(".")


def assert_quotes_nothing(error: BaseException, text: str) -> None:
    """No line of the text that is not a PEM label may be in the error or in its visible cause."""
    said = str(error) + ("" if error.__suppress_context__ else str(error.__cause__ or error.__context__ or ""))
    for line in text.replace("\\n", "\n").splitlines():
        assert len(line) < 8 or line.startswith("-----") or line not in said
