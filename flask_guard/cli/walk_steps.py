"""The steps of `flask-guard demo`, in their order. To add one, add it to `STEPS` at its place.

The bad tokens are made here as an attacker would make them, with PyJWT and not with the kit.
"""

from __future__ import annotations

import importlib
import json
import os
import time

import jwt

from ..errors import ConfigError
from .transcript import Credential, Mismatch, Transcript
from .walk import APP_ORIGIN, SECURITY_HEADERS, Act, Ask, Example, Walk, expect, only_settings

# 4.4 MB: more than GUARD_MAX_BODY allows by default, less than the rule of the import.
_MANY_NOTES = json.dumps([{"title": f"note {number}", "body": "x" * 20_000} for number in range(220)])

_OPENED = """\
from flask_guard.policies import public
from notes import create_app
from notes.extensions import guard

guard.rules({"admin.*": public(reason="for the new dashboard")})
"""

# A well-known example, so that the step can show that it is refused.
_WEAK_SECRET = "changeme"  # noqa: S105
_WEAK_SETTINGS = {
    "GUARD_JWT_SECRET_KEY": _WEAK_SECRET,
    "GUARD_ADMIN_SECRET": _WEAK_SECRET,
    "GUARD_JWT_MAX_LIFETIME": "5m",
    "GUARD_CORS_ORIGINS": "*",
}
_MISSPELT_SETTINGS = {"GUARD_JWT_LEWAY": "5s", "GUARD_MAX_BODY": "lots", "GUARD_ENV": "prod"}


def take_walk(example: Example) -> int:
    """Walk through all steps and return how many there were. Raises Mismatch at the first that fails."""
    walk = Walk(example, Transcript(), make_credentials(example))
    for number, step in enumerate(STEPS, start=1):
        walk.transcript.begin(number, step.says)
        step.take(walk)
    return len(STEPS)


def make_credentials(example: Example) -> dict[str, Credential]:
    """Return who there is to ask as."""
    both = ["notes:read", "notes:write"]
    now = int(time.time())
    claims = {"sub": "ada", "tenant": "acme", "scope": " ".join(both), "roles": ["admin"], "iat": now - 3600}
    late, timely = claims | {"exp": now - 60}, claims | {"exp": now + 3600}
    with example.app.app_context():
        issue = example.guard.tokens.issue
        tokens = {
            "ada": (issue("ada", roles=["editor"], scopes=both, tenant="acme"), "ada of acme"),
            "grace": (issue("grace", scopes=both, tenant="globex"), "grace of globex"),
            "reader": (issue("reader", scopes=["notes:read"], tenant="acme"), "of acme, scope notes:read"),
            "admin": (issue("root", roles=["admin"], tenant="acme"), "of acme, role admin"),
            "expired": (jwt.encode(late, example.secret, "HS256"), "ran out a minute ago"),
            "forged": (jwt.encode(timely, os.urandom(32), "HS256"), "role admin, signed with another key"),
            "unsigned": (jwt.encode(timely, "", "none"), "role admin, not signed"),
        }
    return {name: Credential("Authorization", f"Bearer {token}", says) for name, (token, says) in tokens.items()}


# Steps that are more than a request ---------------------------------------------------------------------


def _write_note(walk: Walk) -> None:
    note = {"title": "Milk", "body": "Two bottles, please."}
    answer = walk.ask(
        Ask(method="POST", path="/notes", by="ada", body=note, status=201, members=note, shows=("Location",))
    )
    walk.learned["note"] = answer.find_header("Location") or ""


def _list_notes(walk: Walk, *, by: str, titles: list[str]) -> None:
    answer = walk.ask(Ask(path="/notes", by=by, status=200))
    expect("titles of the notes", [note["title"] for note in answer.members["notes"]], titles)


def _cross_by_relation(walk: Walk) -> None:
    note_id = walk.learned["note"].rpartition("/")[2]
    comment = {"note_id": note_id, "words": "Found you."}
    walk.ask(Ask(method="POST", path="/comments", by="ada", body={**comment, "words": "Done."}, status=201))
    fault = {"pointer": "/note_id", "message": "What this refers to is not there."}
    walk.ask(
        Ask(
            method="POST",
            path="/comments",
            by="grace",
            body=comment,
            status=422,
            code="validation_error",
            members={"errors": [fault]},
        )
    )
    walk.ask(Ask(path="{note}/comments", by="grace", status=404, code="not_found"))
    walk.ask(Ask(path="{note}/comments", by="ada", status=200, members={"comments": ["Done."]}))


def _cross_by_bulk(walk: Walk) -> None:
    body = {"ids": [walk.learned["note"].rpartition("/")[2]], "title": "Mine now"}
    walk.ask(Ask(method="PATCH", path="/notes", by="grace", body=body, status=200, members={"renamed": 0}))
    walk.ask(Ask(path="{note}", by="ada", status=200, members={"title": "Milk"}))


def _use_api_key(walk: Walk) -> None:
    walk.transcript.show_code('guard.api_keys.create("nightly export", scopes=["notes:read"], tenant="acme")')
    with walk.example.app.app_context():
        record, key = walk.example.guard.api_keys.create("nightly export", scopes=["notes:read"], tenant="acme")
    walk.learned["key_id"] = record.id
    walk.credentials["key"] = Credential("X-API-Key", key, "of acme, scope notes:read")
    walk.ask(Ask(path="/whoami", by="key", status=200, members={"id": record.id, "tenant": "acme"}))


def _revoke_api_key(walk: Walk) -> None:
    key_id = walk.learned["key_id"]
    walk.transcript.show_code(f'guard.api_keys.revoke("{key_id}")')
    with walk.example.app.app_context():
        expect("answer of revoke", walk.example.guard.api_keys.revoke(key_id), True)
    walk.ask(Ask(path="/whoami", by="key", status=401, code="invalid_api_key"))


def _use_up_the_limit(walk: Walk) -> None:
    """Send what the limit has room for and one more; the first import was another step's."""
    sent = Ask(method="POST", path="/import", by="grace", body=[], status=201, shows=("RateLimit-Policy", "RateLimit"))
    walk.ask(sent)
    walk.transcript.show_code("... and eight times more")
    for _ in range(8):
        sent.check(walk.send(sent))
    walk.ask(
        Ask(method="POST", path="/import", by="grace", body=[], status=429, code="rate_limited", shows=("Retry-After",))
    )


def _tell_clients_apart(walk: Walk) -> None:
    with only_settings(**walk.example.settings, GUARD_TRUSTED_PROXIES="10.0.0.0/8"):
        chain = "X-Forwarded-For:192.0.2.1,192.0.2.7"
        output = walk.run_flask("notes", "guard", "whoami", "--peer", "10.0.0.9", "--header", chain)
    if "address: 192.0.2.7" not in output:
        raise Mismatch("The client should be the right-most address that is no proxy's.")


def _show_access_map(walk: Walk) -> None:
    room = walk.transcript.room
    walk.transcript.show_code(f"$ flask --app notes guard routes | grep -v -e HEAD -e OPTIONS | cut -c -{room}")
    output = walk.read_flask("notes", "guard", "routes")
    for words in ("front page", "role(admin)", "scope(notes:write)"):
        if words not in output:
            raise Mismatch(f"The map should say {words!r}.")
    rows = [row for row in output.splitlines() if not row.startswith(("HEAD", "OPTIONS"))]
    walk.transcript.show_output("\n".join(row[:room] for row in rows))


def _catch_an_opening(walk: Walk) -> None:
    walk.run_flask("notes", "guard", "routes", "--lock", "access.lock")
    walk.run_flask("notes", "guard", "routes", "--check", "access.lock")
    walk.transcript.show_code("$ cat opened.py")
    walk.transcript.show_output(_OPENED)
    (walk.example.folder / "opened.py").write_text(_OPENED, "utf-8")
    output = walk.run_flask("opened", "guard", "routes", "--check", "access.lock", exit_code=1)
    if "GET /admin/notes/count" not in output:
        raise Mismatch("The check should name the route that was opened.")


def _refuse_to_start(walk: Walk) -> None:
    create_app = importlib.import_module("notes").create_app
    for settings in (_MISSPELT_SETTINGS, _WEAK_SETTINGS):
        walk.transcript.show_code(*(f"{name}={value}" for name, value in settings.items()))
        with only_settings(NOTES_DATABASE_URL="sqlite://", **settings):
            try:
                create_app()
            except ConfigError as refusal:
                faults = str(refusal)
            else:
                raise Mismatch("The application should not start with these settings.")
        walk.transcript.show_output(f"ConfigError: {faults}")
        for name in settings:
            if name not in faults:
                raise Mismatch(f"The faults should name {name}.")
        if _WEAK_SECRET in faults:
            raise Mismatch("The faults should not quote a secret.")


STEPS: tuple[Ask | Act, ...] = (
    Ask(
        "A route is closed until a rule opens it. The answer is a problem document (RFC 9457). The security "
        "headers are on every answer; they are printed this once.",
        path="/notes",
        status=401,
        code="unauthorized",
        headers={"WWW-Authenticate": "Bearer", "Content-Type": "application/problem+json"},
        shows=SECURITY_HEADERS,
    ),
    Ask(
        "The front page has a rule that opens it: guard.public(reason=...).",
        path="/",
        status=200,
        members={"service": "notes"},
    ),
    Act("A user of the tenant acme, with the scope notes:write, writes a note.", _write_note),
    Act("The list of acme has it.", lambda walk: _list_notes(walk, by="ada", titles=["Milk"])),
    Ask(
        "For a user of the tenant globex this note does not exist: the answer says nothing else.",
        path="{note}",
        by="grace",
        status=404,
        code="not_found",
        members={"detail": "There is no such note."},
    ),
    Act("The list of globex has nothing.", lambda walk: _list_notes(walk, by="grace", titles=[])),
    Ask(
        "No filter widens it: the view adds the caller's conditions to the tenant's, which is in every statement.",
        path="/notes?owner_id=ada",
        by="grace",
        status=200,
        members={"notes": []},
    ),
    Ask(
        "By the tenant itself nobody can filter.",
        path="/notes?tenant_id=acme",
        by="grace",
        status=400,
        code="invalid_query",
    ),
    Act("No relation leads there: what a comment refers to must be there for the tenant.", _cross_by_relation),
    Act("A bulk update passes over the note of acme as if it were not there.", _cross_by_bulk),
    Ask(
        "A tenant cannot be had by asking for it: members that the schema does not know are refused.",
        method="POST",
        path="/notes",
        by="grace",
        body={"title": "Mine", "tenant_id": "acme"},
        status=422,
        code="validation_error",
        members={"errors": [{"pointer": "/tenant_id", "message": "Unknown field."}]},
    ),
    Ask(
        "A whole blueprint asks for the role admin. Without it the answer is 403.",
        path="/admin/notes/count",
        by="ada",
        status=403,
        code="forbidden",
    ),
    Ask(
        "With it the count is that of the tenant.",
        path="/admin/notes/count",
        by="admin",
        status=200,
        members={"notes": 1},
    ),
    Ask(
        "A token without the scope that a method asks for is told which one (RFC 6750).",
        method="DELETE",
        path="{note}",
        by="reader",
        status=403,
        code="insufficient_scope",
        headers={"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="notes:write"'},
    ),
    Ask(
        "A token that has run out is refused, and the answer says so.",
        path="/notes",
        by="expired",
        status=401,
        code="token_expired",
        shows=("WWW-Authenticate",),
    ),
    Ask(
        "A token that somebody else has signed is refused, and the answer does not say why; the log does.",
        path="/admin/notes/count",
        by="forged",
        status=401,
        code="invalid_token",
        shows=("WWW-Authenticate",),
    ),
    Ask(
        'So is one that is not signed at all, with "alg": "none" in its header.',
        path="/admin/notes/count",
        by="unsigned",
        status=401,
        code="invalid_token",
    ),
    Ask(
        "JSON has one meaning or none: a key that is given twice is refused.",
        method="POST",
        path="/notes",
        by="ada",
        body='{"title": "Milk", "title": "Beer"}',
        status=400,
        code="invalid_json",
    ),
    Ask(
        "A body larger than 4 MiB is refused before it is parsed, unless a rule says otherwise.",
        method="POST",
        path="/notes",
        by="ada",
        body=_MANY_NOTES,
        status=413,
        code="body_too_large",
    ),
    Ask(
        'The import has such a rule, guard.max_body("16M"), and guard.json_body("array").',
        method="POST",
        path="/import",
        by="grace",
        body=_MANY_NOTES,
        status=201,
        members={"imported": 220},
    ),
    Act("It takes ten imports a minute from a tenant, and says what is left.", _use_up_the_limit),
    Ask(
        "A page of another site cannot write, whatever credential the browser brings along.",
        method="POST",
        path="/notes",
        by="ada",
        sends={"Origin": "https://evil.example"},
        body={"title": "Milk"},
        status=403,
        code="csrf_validation_failed",
    ),
    Ask(
        "Nor may it ask whether it could.",
        method="OPTIONS",
        path="/notes",
        sends={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
        status=403,
        code="cors_origin_denied",
    ),
    Ask(
        "A page of a site that GUARD_CORS_ORIGINS names may.",
        method="OPTIONS",
        path="/notes",
        sends={"Origin": APP_ORIGIN, "Access-Control-Request-Method": "POST"},
        status=204,
        headers={"Access-Control-Allow-Origin": APP_ORIGIN},
        shows=("Access-Control-Allow-Methods", "Vary"),
    ),
    Act("Behind proxies the client is the last address that one of them vouches for:", _tell_clients_apart),
    Ask(
        "An address that leads nowhere is told in the same shape.",
        path="/nowhere",
        status=404,
        code="not_found",
    ),
    Act("A program gets an API key, which is shown once and kept as a digest.", _use_api_key),
    Act("From the moment it is revoked, it is refused.", _revoke_api_key),
    Ask(
        "The probes are there without being asked for.",
        path="/healthz/ready",
        status=200,
        members={"status": "ok"},
    ),
    Act("Who may call what, from the plans that requests use:", _show_access_map),
    Act(
        "The map can be kept in a file. When a line in another module opens a route later, the check fails.",
        _catch_an_opening,
    ),
    Act(
        "A configuration that is misspelt or weak does not start, and all of its faults are told at once.",
        _refuse_to_start,
    ),
)
