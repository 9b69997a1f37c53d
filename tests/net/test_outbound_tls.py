"""Whose certificates are believed, and which versions of TLS are spoken."""

from __future__ import annotations

import socket
import ssl
import warnings
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from flask_guard.net.outbound import fetch_document
from tests.net.servers import BODY, OK, failure_of, serving, url_of


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        **dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False),
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(usage, critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an authority's certificate and a server's certificate and key."""
    folder = tmp_path_factory.mktemp("tls")
    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate("root", root, "root", root, is_authority=True)
    served = _certificate("localhost", leaf, "root", root, is_authority=False)
    key = leaf.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "root.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "server.pem").write_bytes(key + served.public_bytes(Encoding.PEM))
    return folder


def server_context(authority: Path, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem")
    context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_of_an_authority_that_the_system_trusts_is_accepted(
    authority: Path, version: ssl.TLSVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "root.pem"))

    with serving(OK, server_context(authority, version)) as server:
        assert fetch_document(url_of(server, scheme="https", host="localhost")) == BODY
        assert fetch_document(url_of(server, scheme="https")) == BODY


def test_a_certificate_of_a_stranger_is_refused(authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)

    with serving(OK, server_context(authority)) as server:
        failure = failure_of(url_of(server, scheme="https"))

    assert "CERTIFICATE_VERIFY_FAILED" in str(failure)
    assert server.requests == []


def test_a_certificate_for_another_name_is_refused(authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "root.pem"))
    addresses = socket.getaddrinfo("localhost", 443, socket.AF_INET, socket.SOCK_STREAM)
    lookups: list[str] = []

    def resolve(host: str, port: int, **_options: object) -> list[object]:
        lookups.append(host)
        return [(*address[:4], ("127.0.0.1", port)) for address in addresses]

    with serving(OK, server_context(authority)) as server, monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolve)
        failure = failure_of(url_of(server, scheme="https", host="keys.example"))

    assert lookups == ["keys.example"]
    assert "CERTIFICATE_VERIFY_FAILED" in str(failure)


def test_old_tls_is_refused(authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server speaks nothing newer than TLS 1.1."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "root.pem"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = server_context(authority, ssl.TLSVersion.TLSv1_1)
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")

    with serving(OK, context) as server:
        failure_of(url_of(server, scheme="https"))
        assert server.requests == []
