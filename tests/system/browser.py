"""Chromium, driven by selenium: headless, with an empty profile, and with every name resolved to loopback.

chromedriver is started here and not by selenium, which would look for programs and fetch what it does not find.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import ChromeOptions, Remote
from selenium.webdriver.chrome.remote_connection import ChromeRemoteConnection
from selenium.webdriver.remote.client_config import ClientConfig

from tests.services.ports import find_free_ports

from .certificates import Certificate
from .processes import running

_WAIT_S = 20
_ANSWER_WAIT_S = 40  # for chromedriver, which itself waits for a page
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # it does not start as root
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-crash-reporter",
    "--host-resolver-rules=MAP * 127.0.0.1",
    "--short-reporting-delay",  # reports of content policies are sent at once instead of after a minute
)


@contextmanager
def running_chromium(program: str, driver: str, *, folder: Path, certificate: Certificate) -> Iterator[Remote]:
    """Run a browser for the time of the block. folder: empty; the browser's profile and home."""
    options = ChromeOptions()
    options.binary_location = program
    for argument in (
        *_ARGUMENTS,
        f"--user-data-dir={folder / 'profile'}",
        f"--ignore-certificate-errors-spki-list={certificate.key_hash}",
    ):
        options.add_argument(argument)
    # Chromium may keep cookies out of what one site sends to another. Not here: other browsers do not.
    options.add_experimental_option("prefs", {"profile.cookie_controls_mode": 0})
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8"}
    port = find_free_ports(1)[0]
    address = f"127.0.0.1:{port}"
    with running([driver, f"--port={port}"], folder=folder, ready=[address], environment=environment):
        url = f"http://{address}"
        connection = ChromeRemoteConnection(url, client_config=ClientConfig(url, timeout=_ANSWER_WAIT_S))
        try:
            browser = Remote(connection, options=options)
            browser.set_page_load_timeout(_WAIT_S)
            browser.set_script_timeout(_WAIT_S)
            yield browser
        finally:
            # The browser is ended with chromedriver's group. `quit` would wait for a page that hangs.
            connection.close()


def forget(browser: Remote) -> None:
    """Leave what a test opened, and forget all cookies."""
    browser.get("about:blank")
    _command(browser, "Network.clearBrowserCookies")


def put_back(browser: Remote, cookies: Iterable[Mapping[str, Any]], *, origin: str) -> None:
    """Give the browser cookies of an origin that it had before, as `get_cookies` returned them."""
    # By the origin and not by a domain, which would make them cookies for subdomains too.
    kept = ("name", "value", "path", "secure", "httpOnly", "sameSite")
    sent = [{**{name: cookie[name] for name in kept}, "url": origin} for cookie in cookies]
    _command(browser, "Network.setCookies", cookies=sent)


def _command(browser: Remote, name: str, **parameters: Any) -> None:
    """Say something in Chromium's own protocol."""
    browser.execute("executeCdpCommand", {"cmd": name, "params": parameters})
