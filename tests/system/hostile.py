"""What pages of somebody else try, and the site that serves them.

A page finds its target in its own query. It sets its title to "over" when there is nothing more to wait for, unless
it is left for the target.
"""

from __future__ import annotations

from flask import Flask, abort, redirect, request
from flask.typing import ResponseReturnValue

# Its form is sent by a page of no origin, which is another site to all.
SANDBOXED = "a form in a sandbox"

_PAGE = """<!doctype html>
<title>attack</title>
<script>
const target = location.search.slice(1);
const over = () => { document.title = "over"; };
const ask = (init) => fetch(target, { method: "POST", credentials: "include", ...init }).then(over, over);
const submit = (fields, { enctype = "", action = target } = {}) => {
  const form = Object.assign(document.createElement("form"), { method: "post", action, enctype });
  for (const [name, value] of Object.entries(fields)) {
    form.append(Object.assign(document.createElement("input"), { name, value }));
  }
  document.documentElement.append(form);
  form.submit();
};
const openFrame = (sandbox, html) => {
  const frame = document.createElement("iframe");
  frame.onload = over;
  frame.sandbox = sandbox;
  frame.srcdoc = html;
  document.documentElement.append(frame);
};
%s
</script>
"""

# What a browser sends without asking before. Where the cookie comes along, only the server can refuse it.
SIMPLE = {
    "a form": 'submit({ line: "stolen" });',
    "a form with files": 'submit({ line: "stolen" }, { enctype: "multipart/form-data" });',
    "a form in plain text, that is JSON": """
        submit({ '{"line": "stolen", "rest": "': '"}' }, { enctype: "text/plain" });
    """,
    "a form that names another method": 'submit({ _method: "DELETE", line: "stolen" });',
    "a form with a token": 'submit({ csrf_token: "A".repeat(64), line: "stolen" });',
    "a form by way of a redirect": """
        submit({ line: "stolen" }, { action: "/redirect?" + target });
    """,
    "a form of a page that hides": """
        const meta = Object.assign(document.createElement("meta"), { name: "referrer", content: "no-referrer" });
        document.head.append(meta);
        submit({ line: "stolen" });
    """,
    SANDBOXED: """
        openFrame("allow-forms allow-scripts", `<form method="post" action="${target}">
          <input name="line" value="stolen"></form><script>document.forms[0].submit()<` + "/script>");
    """,
    "a script that sends a form": 'ask({ body: new URLSearchParams({ line: "stolen" }) });',
    "a script that sends JSON as text": """
        ask({ mode: "no-cors", headers: { "Content-Type": "text/plain" }, body: '{"line": "stolen"}' });
    """,
    "a script that sends nothing": 'ask({ mode: "no-cors" });',
    "a script whose headers are dropped": """
        const dropped = { "X-Requested-With": "fetch", "X-HTTP-Method-Override": "DELETE" };
        const headers = { "Content-Type": "application/json", ...dropped };
        ask({ mode: "no-cors", headers, body: '{"line": "stolen"}' });
    """,
    "a beacon": """navigator.sendBeacon(target, '{"line": "stolen"}'); over();""",
}
# What it asks about first, by a preflight.
ASKED = {
    "JSON": """
        ask({ headers: { "Content-Type": "application/json" }, body: '{"line": "stolen"}' });
    """,
    "JSON in a beacon": """
        const json = new Blob(['{"line": "stolen"}'], { type: "application/json" });
        navigator.sendBeacon(target, json);
        over();
    """,
    "a script's mark": """
        ask({ headers: { "X-Requested-With": "XMLHttpRequest" }, body: new URLSearchParams({ line: "stolen" }) });
    """,
    "another method in a header": 'ask({ headers: { "X-HTTP-Method-Override": "DELETE" } });',
    "another method": 'ask({ method: "DELETE" });',
}
# What reads.
READING = {
    "a link": "location.assign(`${target}?line=stolen`);",
    "a script that reads": """
        fetch(target, { credentials: "include" }).then((answer) => answer.text()).then(
          (text) => { document.title = "read " + text; }, () => { document.title = "unread"; });
    """,
    "a script that cannot read": """
        fetch(target, { credentials: "include", mode: "no-cors" }).then((answer) => answer.text()).then(
          (text) => { document.title = "read " + text; }, () => { document.title = "unread"; });
    """,
    "a frame": """
        const frame = Object.assign(document.createElement("iframe"), { onload: over, src: target });
        document.documentElement.append(frame);
    """,
}
_SCRIPTS = {name.replace(" ", "-"): script for name, script in (SIMPLE | ASKED | READING).items()}


def make_hostile_site() -> Flask:
    """Return a site whose pages are the attacks, and which redirects a form to what its query says."""
    app = Flask("hostile")

    @app.get("/own-form")
    def own_form() -> ResponseReturnValue:
        return "<!doctype html><form id='form'></form>"

    @app.get("/<name>")
    def attack(name: str) -> ResponseReturnValue:
        return _PAGE % _SCRIPTS[name] if name in _SCRIPTS else abort(404)

    @app.post("/redirect")
    def pass_on() -> ResponseReturnValue:
        return redirect(request.query_string.decode(), 307)

    return app


def address_of(attack: str, *, on: str, target: str) -> str:
    """Return the address of an attack's page on a hostile origin."""
    return f"{on}/{attack.replace(' ', '-')}?{target}"
