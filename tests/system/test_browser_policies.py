"""A browser that obeys our headers: content policies and their reports, cookies, and what a logout has it forget."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask, render_template_string
from selenium.webdriver import Remote

from flask_guard import Guard
from tests.browser.csp_evaluator import Severity, evaluate
from tests.browser.observatory import judge

from .nginx import Nginx
from .pads import notes_app, read_pad, write_by_form
from .processes import wait_until
from .sites import Recorder, in_thread, make_origins, published

pytestmark = pytest.mark.system

# A page with a script of its own, and with what somebody has injected.
PAGE = """<!doctype html>
<title>page</title>
<script>document.title += " injected"</script>
<script nonce="guessed">document.title += " guessed"</script>
<img src="data:," onerror="document.title += ' attribute'">
<a href="javascript:void(document.title += ' link')">link</a>
<script nonce="{{ csp_nonce() }}">
  document.title += " own";
  addEventListener("load", () => {
    document.querySelector("a").click();
    setTimeout(() => { document.title += " over"; }, 100);
  });
</script>
"""
OWN = {"page", "own", "over"}
ALL = OWN | {"injected", "guessed", "attribute", "link"}
COOKIE = {"name": "__Host-session", "path": "/", "httpOnly": True, "secure": True, "sameSite": "Lax"}
Serve = Callable[..., tuple[Recorder, str]]


@pytest.fixture
def serve(nginx: Nginx, tmp_path: Path) -> Iterator[Serve]:
    """Return what serves PAGE with given settings of Guard; its answer is the application and the page's address."""
    with ExitStack() as stack:

        def start(**options: Any) -> tuple[Recorder, str]:
            app = Flask("page", instance_path=str(tmp_path / "instance"))
            guard = Guard()

            @app.get("/page")
            @guard.public(reason="test")
            def page() -> str:
                return render_template_string(PAGE)

            guard.init_app(app, trusted_proxies="127.0.0.1", **options)
            [origin] = make_origins("page.test")
            recorder = Recorder(app)
            stack.enter_context(published(nginx, {origin: recorder}))
            return recorder, f"{origin}/page"

        yield start


def open_page(browser: Remote, address: str) -> set[str]:
    """Return what ran in PAGE."""
    browser.get(address)
    wait_until(lambda: "over" in browser.title, "the page's own script runs")
    return set(browser.title.split())


def read_reports(app: Flask) -> dict[str, list[str]]:
    """Return what `flask guard csp-reports` tells: for each directive, whether it was enforced."""
    result = app.test_cli_runner().invoke(args=["guard", "csp-reports", "--format", "json"])
    assert result.exit_code == 0, result.output
    return {report["directive"]: report["dispositions"] for report in json.loads(result.output)["reports"]}


# Content policies ---------------------------------------------------------------------------------------


def test_only_scripts_with_the_nonce_run(browser: Remote, serve: Serve) -> None:
    _app, address = serve()

    assert open_page(browser, address) == OWN


def test_without_a_policy_all_of_them_run(browser: Remote, serve: Serve) -> None:
    _app, address = serve(csp="off")

    assert open_page(browser, address) == ALL


def test_what_was_stopped_is_reported(browser: Remote, serve: Serve) -> None:
    recorder, address = serve(csp_reports=True)

    ran = open_page(browser, address)
    wait_until(lambda: len(read_reports(recorder.app)) == 2, "the browser reports")

    assert ran == OWN
    assert read_reports(recorder.app) == {"script-src-elem": ["enforce"], "script-src-attr": ["enforce"]}
    assert {exchange.status for exchange in recorder.find("/csp-reports")} == {204}


def test_a_policy_on_trial_reports_and_stops_nothing(browser: Remote, serve: Serve) -> None:
    recorder, address = serve(csp="off", csp_report_only="page", csp_reports=True)

    ran = open_page(browser, address)
    wait_until(lambda: len(read_reports(recorder.app)) == 2, "the browser reports")

    assert ran == ALL
    assert read_reports(recorder.app) == {"script-src-elem": ["report"], "script-src-attr": ["report"]}


# Cookies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_chromium_keeps_the_hardened_cookie_of_a_page_on_this_machine_without_tls(
    browser: Remote, tmp_path: Path, host: str
) -> None:
    with notes_app(tmp_path) as app, in_thread(app) as address:
        origin = f"http://{host}:{address.partition(':')[2]}"
        read_pad(browser, origin)
        write_by_form(browser, "mine")

        [cookie] = browser.get_cookies()
        assert cookie.items() >= COOKIE.items()
        assert read_pad(browser, origin) == ["mine"]
        assert browser.execute_script("return document.cookie") == ""


def test_chromium_keeps_no_such_cookie_of_a_page_elsewhere_without_tls(browser: Remote, tmp_path: Path) -> None:
    with notes_app(tmp_path) as app, in_thread(app) as address:
        read_pad(browser, f"http://pad.test:{address.partition(':')[2]}")

        assert browser.get_cookies() == []


def test_a_cleared_pad_leaves_nothing_in_the_browser(browser: Remote, nginx: Nginx, tmp_path: Path) -> None:
    [origin] = make_origins("pad.test")
    clear = """
        const headers = { "X-Requested-With": "fetch" };
        fetch("/pad", { method: "DELETE", headers }).then((answer) => arguments[0](answer.status));
    """
    look = "return [document.cookie, localStorage.getItem('draft')]"

    with notes_app(tmp_path) as app, published(nginx, {origin: app}):
        read_pad(browser, origin)
        write_by_form(browser, "mine")
        browser.execute_script("document.cookie = 'theme=dark'; localStorage.setItem('draft', 'yours')")
        before = browser.execute_script(look)
        status = browser.execute_async_script(clear)
        after, cookies = browser.execute_script(look), browser.get_cookies()

    assert (before, status) == (["theme=dark", "yours"], 204)
    assert (after, cookies) == (["", None], [])


# Judges -------------------------------------------------------------------------------------------------


def test_the_pad_has_the_best_grade(nginx: Nginx, tmp_path: Path) -> None:
    [origin] = make_origins("pad.test")
    context = ssl.create_default_context(cafile=str(nginx.certificate.path))

    with notes_app(tmp_path, GUARD_HSTS="true") as app, published(nginx, {origin: app}):
        connection = HTTPSConnection("127.0.0.1", urlsplit(origin).port, context=context, timeout=20)
        connection.request("GET", "/pad", headers={"Host": urlsplit(origin).netloc})
        answer = connection.getresponse()
        headers = answer.getheaders()
        connection.close()

    report = judge(headers)
    assert answer.status == 200
    assert report.grade == "A+", report
    assert "cookies-secure-with-httponly-sessions-and-samesite" in report.results
    assert [each for each in evaluate(dict(headers)["Content-Security-Policy"]) if each.severity is Severity.HIGH] == []
