"""From the settings of tokens to the profiles of their issuers, with every fault found on the way.

Pure: settings, an environment for references, and a factory for JWKS sources in; profiles and a signing key out.
Rule: nothing is half configured. One fault anywhere and no profile comes out; no fault quotes a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ..config.sections import JwtSettings
from ..crypto.signing import (
    ALGORITHMS,
    ASYMMETRIC_ALGORITHMS,
    SigningKey,
    VerificationKey,
    fits_some_key,
    load_hmac_key,
    load_private_key,
    load_public_keys,
)
from ..errors import ConfigError
from ..protocols import KeySource
from .claims import IssuerProfile
from .issuer_entries import read_entry
from .keyring import LocalKeys

MakeJwks = Callable[[str, Sequence[str]], KeySource]
_T = TypeVar("_T")
_K = TypeVar("_K")

# Each issuer with a JWKS address has a cache, and now and then a thread, of its own.
MAX_ISSUERS = 20
_KEY_MEMBERS = ("jwks_url", "public_key", "secret_key")


@dataclass(frozen=True, slots=True)
class _Keys:
    """The keys of one issuer: a source, and what of them is known now (nothing for a JWKS address)."""

    source: KeySource
    local: tuple[VerificationKey, ...] = ()
    signing: SigningKey | None = None


def build_profiles(
    jwt: JwtSettings, *, make_jwks: MakeJwks, is_production: bool, environ: Mapping[str, str]
) -> tuple[list[IssuerProfile], SigningKey | None]:
    """Return a profile for each configured issuer, and the key that signs our own tokens, if there is one.

    make_jwks: returns the source for a JWKS address and a list of algorithms; it is called only for
    addresses without a fault. environ: what `env:NAME` in an entry of GUARD_JWT_ISSUERS refers to.
    Without any key the answer is ([], None). Raises ConfigError with all faults.
    """
    builder = _Builder(jwt, make_jwks, is_production, environ)
    profiles, signing_key = builder.build()
    if builder.faults:
        raise ConfigError(*builder.faults)
    return profiles, signing_key


class _Builder:
    """Builds one profile after another and remembers what went wrong."""

    def __init__(self, jwt: JwtSettings, make_jwks: MakeJwks, is_production: bool, environ: Mapping[str, str]) -> None:
        self._jwt = jwt
        self._make_jwks = make_jwks
        self._is_production = is_production
        self._environ = environ
        # The keys to which GUARD_JWT_ALGORITHMS applies.
        self._inheriting: list[_Keys] = []
        self.faults: list[str] = []

    def build(self) -> tuple[list[IssuerProfile], SigningKey | None]:
        keys = self._global_keys()
        profiles = [] if keys is None else [self._global_profile(keys)]
        entries = self._jwt.issuers or []
        if len(entries) > MAX_ISSUERS:
            self.faults.append(f"GUARD_JWT_ISSUERS lists {len(entries)} issuers; {MAX_ISSUERS} at most are accepted.")
            entries = []
        for position, entry in enumerate(entries):
            profile = self._listed_profile(f"GUARD_JWT_ISSUERS[{position}]", entry)
            if profile is not None:
                profiles.append(profile)
        self._refuse_duplicates(profiles)
        self._check_algorithms("GUARD_JWT_ALGORITHMS", self._jwt.algorithms, self._inheriting)
        return profiles, None if keys is None else keys.signing

    def _global_keys(self) -> _Keys | None:
        jwt = self._jwt
        if jwt.jwks_url is not None:
            return self._fetched_keys("GUARD_JWT_JWKS_URL", jwt.jwks_url, jwt.algorithms)
        signing: SigningKey | None = None
        if jwt.secret_key is not None:
            signing = self._try("GUARD_JWT_SECRET_KEY", load_hmac_key, jwt.secret_key, jwt.algorithms)
        elif jwt.private_key is not None:
            signing = self._try("GUARD_JWT_PRIVATE_KEY", load_private_key, jwt.private_key, jwt.algorithms)
        local: tuple[VerificationKey, ...] = () if signing is None else (signing.verification,)
        if jwt.public_key is not None:
            local += self._try("GUARD_JWT_PUBLIC_KEY", load_public_keys, jwt.public_key, jwt.algorithms) or ()
        return _Keys(LocalKeys(local), local, signing) if local else None

    def _global_profile(self, keys: _Keys) -> IssuerProfile:
        self._inheriting.append(keys)
        if self._jwt.issuers and self._jwt.issuer is None:
            self.faults.append(
                "GUARD_JWT_ISSUER must be set beside GUARD_JWT_ISSUERS, so that `iss` says whose keys check a token."
            )
        return self._inherited(keys.source, self._jwt.issuer)

    def _listed_profile(self, name: str, entry: Mapping[str, Any]) -> IssuerProfile | None:
        values, faults = read_entry(name, entry, self._environ)
        self.faults += faults
        if "issuer" not in entry:
            self.faults.append(f"{name}.issuer is missing.")
        given = [member for member in _KEY_MEMBERS if entry.get(member) is not None]
        if len(given) != 1:
            self.faults.append(f"{name} needs one of {', '.join(_KEY_MEMBERS)}; it has {len(given)} of them.")
            return None
        if given[0] not in values or "issuer" not in values:
            return None
        keys = self._listed_keys(f"{name}.{given[0]}", given[0], values)
        if keys is None:
            return None
        if "algorithms" in values:
            self._check_algorithms(f"{name}.algorithms", values["algorithms"], [keys])
        else:
            self._inheriting.append(keys)
        return replace(self._inherited(keys.source, values["issuer"]), **_overrides(values))

    def _listed_keys(self, name: str, member: str, values: Mapping[str, Any]) -> _Keys | None:
        algorithms = values.get("algorithms", self._jwt.algorithms)
        if member == "jwks_url":
            return self._fetched_keys(name, values[member], algorithms)
        if member == "public_key":
            local = self._try(name, load_public_keys, values[member], algorithms)
        else:
            if self._jwt.asymmetric_only:
                self.faults.append(f"{name} is refused by GUARD_JWT_ASYMMETRIC_ONLY.")
            key = self._try(name, load_hmac_key, values[member], algorithms)
            local = None if key is None else (key.verification,)
        return None if local is None else _Keys(LocalKeys(local), local)

    def _fetched_keys(self, name: str, url: str, algorithms: Sequence[str]) -> _Keys | None:
        if self._is_production and not url.lower().startswith("https:"):
            self.faults.append(f"{name} must be https in production.")
            return None
        return _Keys(self._make_jwks(url, algorithms))

    def _check_algorithms(self, name: str, algorithms: Sequence[str], users: Iterable[_Keys]) -> None:
        """Refuse an algorithm that none of the keys could use; a key set that is fetched could use any but HMAC."""
        local = [key for keys in users for key in keys.local]
        is_fetched = any(not keys.local for keys in users)
        for algorithm in algorithms:
            if algorithm not in ALGORITHMS:
                known = ", ".join(sorted(ALGORITHMS))
                self.faults.append(f"{name} names {algorithm!r:.40}, which is none of {known}.")
            elif (local or is_fetched) and not (
                fits_some_key(algorithm, local) or (is_fetched and algorithm in ASYMMETRIC_ALGORITHMS)
            ):
                self.faults.append(f"{name} names {algorithm}, which fits none of the keys.")

    def _refuse_duplicates(self, profiles: Iterable[IssuerProfile]) -> None:
        seen: set[str | None] = set()
        for profile in profiles:
            if profile.issuer in seen:
                self.faults.append(
                    f"GUARD_JWT_ISSUERS has the issuer {profile.issuer} twice, or beside GUARD_JWT_ISSUER."
                )
            seen.add(profile.issuer)

    def _inherited(self, keys: KeySource, issuer: str | None) -> IssuerProfile:
        """Return the profile that the settings describe; an entry of the list says where it differs."""
        jwt = self._jwt
        return IssuerProfile(
            keys=keys,
            issuer=issuer,
            audience=None if jwt.audience is None else frozenset(jwt.audience),
            types=jwt.types,
            subject_claim=jwt.subject_claim,
            roles_claim=jwt.roles_claim,
            scopes_claim=jwt.scopes_claim,
            tenant_claim=jwt.tenant_claim,
            required_claims=jwt.required_claims,
            excluded_roles=jwt.excluded_roles,
            leeway_s=jwt.leeway_s,
            max_lifetime_s=jwt.max_lifetime_s,
            require_expiry=jwt.require_expiry,
        )

    def _try(
        self, name: str, load: Callable[[_T, Sequence[str]], _K], given: _T, algorithms: Sequence[str]
    ) -> _K | None:
        try:
            return load(given, algorithms)
        except ValueError as exc:
            self.faults.append(f"{name} {exc}.")
        return None


# Where the members of an entry go in a profile, if not under their own name.
_FIELDS = {"leeway": "leeway_s", "max_lifetime": "max_lifetime_s"}


def _overrides(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a profile that an entry sets."""
    taken = {_FIELDS.get(member, member): value for member, value in values.items()}
    if "audience" in taken:
        taken["audience"] = frozenset(taken["audience"])
    return {name: value for name, value in taken.items() if name not in (*_KEY_MEMBERS, "algorithms")}
