"""The programs that the tests of this room need: each is there, or the tests are skipped and say which is missing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver import Remote

from .browser import forget, running_chromium
from .certificates import Certificate, make_certificate
from .nginx import Nginx
from .processes import require_program


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Nginx:
    """Debian's nginx, not running yet."""
    return Nginx(require_program("nginx", package="nginx-light"), tmp_path_factory.mktemp("nginx"), certificate)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Remote]:
    """Debian's Chromium, one for all tests of a run: starting it takes a second."""
    program = require_program("chromium", package="chromium")
    driver = require_program("chromedriver", package="chromium-driver")
    folder = tmp_path_factory.mktemp("chromium")
    with running_chromium(program, driver, folder=folder, certificate=certificate) as browser:
        yield browser


@pytest.fixture
def browser(chromium: Remote) -> Remote:
    """The browser with no page and no cookie from before."""
    forget(chromium)
    return chromium
