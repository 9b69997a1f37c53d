"""A page for browsers: a scratchpad in the visitor's own session, written by a form and by a script.

It is open to everybody, so what keeps it from being written by a page of somebody else is CSRF protection:
Guard looks at where a request comes from, and asks a form for its token.
"""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from .extensions import guard

MAX_LINES = 20
MAX_LENGTH = 80  # the session is a cookie of 4 KB

pages = Blueprint("pages", __name__, template_folder="templates")
guard.public(reason="a scratchpad in the visitor's own session")(pages)


def add_line(text: object) -> list[str]:
    """Keep a line in the session and return them all, the oldest first."""
    line = str(text).strip()[:MAX_LENGTH]
    lines = [*session.get("lines", []), *([line] if line else [])][-MAX_LINES:]
    session["lines"] = lines
    return lines


@pages.get("/pad")
def show_pad() -> ResponseReturnValue:
    return render_template("pad.html", lines=session.get("lines", []), csrf_token=guard.csrf_token())


@pages.post("/pad")
def write_pad() -> ResponseReturnValue:
    """Take a line from the form, or as JSON from the page's script."""
    if request.is_json:
        return {"lines": add_line(request.get_json().get("line", ""))}
    add_line(request.form.get("line", ""))
    return redirect(url_for(".show_pad"), 303)


@pages.delete("/pad")
def clear_pad() -> ResponseReturnValue:
    """Forget everything, in the session and in the browser."""
    session.clear()
    guard.clear_site_data()
    return "", 204
