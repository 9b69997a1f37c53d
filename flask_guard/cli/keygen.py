"""`keygen`: new secrets, printed as lines ready for an environment file. Needs no application."""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Callable

import click
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

# 48 random bytes are 64 characters: past the 32 bytes of HS256 and every advice on top of it.
_SECRET_BYTES = 48


def _jwt_secret() -> str:
    return f"GUARD_JWT_SECRET_KEY={secrets.token_urlsafe(_SECRET_BYTES)}"


def _private_key(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return 'GUARD_JWT_PRIVATE_KEY="' + pem.strip().replace("\n", "\\n") + '"'


_JWT_KEYS: dict[str, Callable[[], str]] = {
    "HS256": _jwt_secret,
    "RS256": lambda: _private_key(rsa.generate_private_key(public_exponent=65537, key_size=3072)),
    "ES256": lambda: _private_key(ec.generate_private_key(ec.SECP256R1())),
    "EdDSA": lambda: _private_key(ed25519.Ed25519PrivateKey.generate()),
}
_OTHERS: dict[str, Callable[[], str]] = {
    "encryption": lambda: f"GUARD_ENCRYPTION_KEY={base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()}",
    "admin": lambda: f"GUARD_ADMIN_SECRET={secrets.token_urlsafe(_SECRET_BYTES)}",
    "client": lambda: str(uuid.uuid4()),
}


@click.command()
@click.argument("purpose", type=click.Choice(["jwt", *_OTHERS]))
@click.option("--alg", type=click.Choice(list(_JWT_KEYS)), help="Algorithm of a jwt key; HS256 by default.")
def keygen(purpose: str, alg: str | None) -> None:
    """Print a new secret as a line for an environment file."""
    if purpose != "jwt" and alg is not None:
        raise click.UsageError("--alg belongs to keygen jwt.")
    make = _JWT_KEYS[alg or "HS256"] if purpose == "jwt" else _OTHERS[purpose]
    click.echo(make())
