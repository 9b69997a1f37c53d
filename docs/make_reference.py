"""Writes reference/options.md from the declarations of the settings: `python docs/make_reference.py`.

Relies on nothing but `flask_guard.config`. A test compares the page with what this would write.
Rule: a kind of value that has no words here is an error, so that no option is without an explanation.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from flask_guard.config.kinds import Kind
from flask_guard.config.options import Option, iterate_options
from flask_guard.config.settings import SECTIONS

PAGE = Path(__file__).parent / "reference" / "options.md"

# By the name of the function that reads the value.
_WORDS = {
    "attempts": "attempts in a duration: `5/15m`",
    "boolean": "`true` or `false`",
    "content_policy": "`auto`, `api`, `page`, `off`, or a policy",
    "duration_s": "duration",
    "exact_origins": "list of origins, without wildcards",
    "encryption_key": "32 bytes in hex or base64",
    "encryption_keys": "keys by version: `1:<key>,2:<key>`, or a JSON map",
    "header_map": "JSON object",
    "header_name": "name of a header",
    "header_names": "list of headers",
    "host_names": "list of hosts: `api.example.com,.example.org`",
    "hsts": "`true`, `false`, or a policy",
    "http_methods": "list of HTTP methods",
    "json_list": "JSON list of objects",
    "key_rotation": "JSON object",
    "mail_address": "mail address",
    "networks": "list of networks: `10.0.0.0/8,192.0.2.1`",
    "origins": "list of origins: `https://app.example.com`",
    "path_prefix": "path: `/api`",
    "paths": "list of paths",
    "pem_text": "PEM",
    "positive_duration_s": "duration above zero",
    "proxies": "list of networks, and `unix`: `10.0.0.0/8,unix`",
    "rate": "rate: `100/minute`, or `off`",
    "redirect_uris": "list of URLs",
    "secret_text": "text",
    "size_bytes": "size",
    "some_words": "list of one word at least",
    "status_of_denial": "`403` or `200`",
    "storage_uri": "`memory://`, or the URL of a server",
    "text": "text",
    "word_set": "list",
    "words": "list",
}

_TITLES = {
    "service": "Service",
    "jwt": "Tokens",
    "keys": "Keys",
    "browser": "Browser",
    "limits": "Limits",
    "health": "Health probes",
    "logs": "Logs",
    "database": "Database",
    "encryption": "Encryption",
    "audit": "Audit",
    "accounts": "Accounts and services",
    "graphql": "GraphQL",
}

_INTRODUCTION = """\
# Options

<!-- Written by `python docs/make_reference.py` from the declarations in flask_guard/config. -->

Each option can be set in three places. The first one that names it counts:

1. the environment: `GUARD_JWT_LEEWAY=5s`;
2. the application's configuration: `app.config["GUARD_JWT_LEEWAY"] = "5s"`;
3. an argument of `Guard(app, ...)` or `init_app(app, ...)`: `jwt_leeway="5s"`.

In development (`GUARD_ENV=development`) the file `.env` in the working directory stands between the first and
the second. Options are read once, when `init_app` is called. A name that begins with `GUARD_` and is no
option stops the start; `GUARD_IGNORE_VARIABLES` lists names that belong to something else.
`flask guard config` shows what is set, and where.

**Values.** A duration is a number with a unit, `ms`, `s`, `m`, `h`, `d` or `w`; without one it means seconds.
A size is a number of bytes, or one with `K`, `M` or `G`. A list is text with commas, or a list in Python.
JSON may also be given as a dict or a list in Python.

**Secrets.** An option with *yes* under *secret* is never printed. It can also come from a file, as
`NAME_FILE` with the path of the file, or by a reference in the value: `env:OTHER_NAME` or
`file:/run/secrets/name`. In `app.config` and in arguments it can be a function that returns the secret.

**In effect.** An option with *no* is known and its value is checked, but what it sets is not in this version.
Setting it is a warning at start.
"""

_DOMAIN_KEYS = (
    "`GUARD_ENCRYPTION_KEYS__<DOMAIN>`",
    "`encryption_keys__<domain>`",
    _WORDS["encryption_keys"],
    "",
    "yes",
    "no",
    "Keys of one domain, such as `GUARD_ENCRYPTION_KEYS__PII`.",
)
_HEADER = ("name", "argument", "kind", "default", "secret", "in effect", "meaning")


def describe_kind(kind: Kind) -> str:
    """Return the words for a kind of value. Raises KeyError for one that has none."""
    made_by = kind.__qualname__.partition(".")[0]
    given = inspect.getclosurevars(kind).nonlocals
    if made_by == "choice":
        return "one of " + ", ".join(f"`{word}`" for word in given["allowed"])
    if made_by == "integer":
        return "whole number" + (f", at least {given['least']}" if given["least"] else "")
    if made_by in ("url", "secret_url"):
        return "URL: " + " or ".join(f"`{scheme}://`" for scheme in given["schemes"])
    return _WORDS[made_by]


def make_row(declared: Option) -> tuple[str, ...]:
    """Return the cells of one option."""
    return (
        f"`{declared.name}`",
        f"`{declared.argument}`",
        describe_kind(declared.kind),
        f"`{declared.default}`" if declared.default else "",
        "yes" if declared.secret else "",
        "yes" if declared.effective else "no",
        declared.meaning,
    )


def make_page() -> str:
    """Return the text of the page."""
    parts = [_INTRODUCTION]
    for name, section in SECTIONS.items():
        rows = [make_row(declared) for _field, declared in iterate_options(section)]
        if name == "encryption":
            rows.append(_DOMAIN_KEYS)
        parts.append(f"## {_TITLES[name]}\n\n{_summary(section)}\n\n{_make_table([_HEADER, *rows])}")
    return "\n".join(parts)


def _summary(section: type[Any]) -> str:
    return (inspect.getdoc(section) or "").partition("\n")[0]


def _make_table(rows: list[tuple[str, ...]]) -> str:
    lines = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines.insert(1, ["---"] * len(rows[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(make_page(), "utf-8")
