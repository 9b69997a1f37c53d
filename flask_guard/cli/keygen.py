"""`keygen`: new secrets, printed as lines ready for an environment file. Needs no application.

Rule: standard output has the secret and nothing else; what is said beside it goes to standard error.
"""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import click
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from .support import echo_json, format_option

# 48 random bytes are 64 characters: past the 32 bytes of HS256 and every advice on top of it.
_SECRET_BYTES = 48

_ENV_FILE_HINT = r"The line is for an env file: its line ends are written as \n, and the quotes belong to it."
_CLIENT_HINT = (
    "Nobody knows this key yet: it opens a tenant only where GUARD_CLIENT_KEYS_REGISTERED_ONLY is false. "
    "`flask guard keys create --kind client` makes one that is registered."
)


@dataclass(frozen=True, slots=True)
class _Made:
    """A new secret. name: the setting that it is for, None for one that is no setting. hint: for people."""

    name: str | None
    value: str
    hint: str | None = None

    @property
    def line(self) -> str:
        if self.name is None:
            return self.value
        has_lines = "\n" in self.value
        return f"{self.name}=" + ('"' + self.value.replace("\n", "\\n") + '"' if has_lines else self.value)


def _text_secret(name: str) -> Callable[[], _Made]:
    return lambda: _Made(name, secrets.token_urlsafe(_SECRET_BYTES))


def _private_key(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> _Made:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return _Made("GUARD_JWT_PRIVATE_KEY", pem.strip(), _ENV_FILE_HINT)


_JWT_KEYS: dict[str, Callable[[], _Made]] = {
    "HS256": _text_secret("GUARD_JWT_SECRET_KEY"),
    "RS256": lambda: _private_key(rsa.generate_private_key(public_exponent=65537, key_size=3072)),
    "ES256": lambda: _private_key(ec.generate_private_key(ec.SECP256R1())),
    "EdDSA": lambda: _private_key(ed25519.Ed25519PrivateKey.generate()),
}
_OTHERS: dict[str, Callable[[], _Made]] = {
    "encryption": lambda: _Made("GUARD_ENCRYPTION_KEY", base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()),
    "admin": _text_secret("GUARD_ADMIN_SECRET"),
    "client": lambda: _Made(None, str(uuid.uuid4()), _CLIENT_HINT),
}


@click.command()
@click.argument("purpose", type=click.Choice(["jwt", *_OTHERS]))
@click.option("--alg", type=click.Choice(list(_JWT_KEYS)), help="Algorithm of a jwt key; HS256 by default.")
@format_option("text", "json")
def keygen(purpose: str, alg: str | None, output: str) -> None:
    """Print a new secret as a line for an environment file."""
    if purpose != "jwt" and alg is not None:
        raise click.UsageError("--alg belongs to keygen jwt.")
    made = (_JWT_KEYS[alg or "HS256"] if purpose == "jwt" else _OTHERS[purpose])()
    if output == "json":
        echo_json({"name": made.name, "value": made.value})
        return
    click.echo(made.line)
    if made.hint is not None:
        click.echo(made.hint, err=True)
