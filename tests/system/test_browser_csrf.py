"""A browser with a visitor's cookie in it, on pages of somebody else: none of them writes to the visitor's pad."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from selenium.webdriver import Remote
from selenium.webdriver.common.by import By

from .browser import put_back
from .hostile import ASKED, SANDBOXED, SIMPLE, address_of, make_hostile_site
from .nginx import Nginx
from .pads import notes_app, read_pad, write_by_form, write_by_script
from .processes import wait_until
from .sites import Exchange, Recorder, make_origins, published

pytestmark = pytest.mark.system

COOKIE_FOR_ALL = "another site, cookie for all"
SCENES = ["another site", COOKIE_FOR_ALL, "a subdomain", "another port"]


@dataclass(frozen=True, slots=True)
class Scene:
    """A pad and a hostile origin. is_same_site: the two are one site to a browser. same_site: of the pad's cookie."""

    pad: str
    app: Recorder
    hostile: str
    is_same_site: bool
    same_site: str = "Lax"

    def has_cookie(self, attack: str) -> bool:
        """Tell whether a browser adds the pad's cookie to what this attack sends."""
        return self.same_site == "None" or (self.is_same_site and attack != SANDBOXED)


@pytest.fixture(scope="module")
def scenes(nginx: Nginx, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Scene]]:
    """The ways in which a page can be foreign. The cookie is SameSite=Lax, as Guard sets it, or else None."""
    lax, none, evil, sibling, neighbour = make_origins("lax.test", "none.test", "evil.test", "sub.lax.test", "lax.test")
    with ExitStack() as stack:
        apps = [
            stack.enter_context(notes_app(tmp_path_factory.mktemp("notes"), **config))
            for config in ({}, {"SESSION_COOKIE_SAMESITE": "None"})
        ]
        lax_app, none_app = map(Recorder, apps)
        attackers = dict.fromkeys((evil, sibling, neighbour), make_hostile_site())
        stack.enter_context(published(nginx, {lax: lax_app, none: none_app, **attackers}))
        yield {
            "another site": Scene(lax, lax_app, evil, is_same_site=False),
            COOKIE_FOR_ALL: Scene(none, none_app, evil, is_same_site=False, same_site="None"),
            "a subdomain": Scene(lax, lax_app, sibling, is_same_site=True),
            "another port": Scene(lax, lax_app, neighbour, is_same_site=True),
        }


@pytest.fixture(scope="module")
def cookies(chromium: Remote, scenes: dict[str, Scene]) -> dict[str, list[dict[str, Any]]]:
    """By pad, what the browser keeps for a visitor who wrote a line there. Made once: it takes a while."""
    kept = {}
    for pad in {scene.pad for scene in scenes.values()}:
        read_pad(chromium, pad)
        write_by_form(chromium, "mine")
        kept[pad] = chromium.get_cookies()
    return kept


@pytest.fixture
def visit(
    request: pytest.FixtureRequest,
    scenes: dict[str, Scene],
    cookies: dict[str, list[dict[str, Any]]],
    browser: Remote,
) -> Scene:
    """A scene, and a browser with the visitor's cookie."""
    scene = scenes[request.param]
    put_back(browser, cookies[scene.pad], origin=scene.pad)
    scene.app.exchanges.clear()
    return scene


def attack(browser: Remote, scene: Scene, name: str, *, path: str = "/pad") -> list[Exchange]:
    """Open the page of an attack and return what arrived at its target when the page is over."""
    target = scene.pad + path
    browser.get(address_of(name, on=scene.hostile, target=target))
    wait_until(lambda: browser.title == "over" or browser.current_url.startswith(target), f"{name!r} is over")
    return scene.app.wait_for(path)


# Our own page -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("visit", ["another site", COOKIE_FOR_ALL], indirect=True)
def test_our_own_page_writes_by_form_and_by_script(browser: Remote, visit: Scene) -> None:
    before = read_pad(browser, visit.pad)
    write_by_script(browser)
    write_by_form(browser, "more")

    assert before == ["mine"]
    assert read_pad(browser, visit.pad) == ["mine", "from the script", "more"]


# Pages of others ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIMPLE)
@pytest.mark.parametrize("visit", SCENES, indirect=True)
def test_a_foreign_page_writes_nothing(browser: Remote, visit: Scene, name: str) -> None:
    [exchange] = attack(browser, visit, name)

    assert (exchange.method, exchange.status) == ("POST", 403)
    assert exchange.origin in (visit.hostile, "null")
    assert exchange.has_cookie is visit.has_cookie(name)
    assert read_pad(browser, visit.pad) == ["mine"]


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("visit", SCENES, indirect=True)
def test_what_needs_leave_is_never_sent(browser: Remote, visit: Scene, name: str) -> None:
    arrived = attack(browser, visit, name)

    assert [(exchange.method, exchange.status) for exchange in arrived] == [("OPTIONS", 403)]
    assert read_pad(browser, visit.pad) == ["mine"]


@pytest.mark.parametrize("name", SIMPLE)
@pytest.mark.parametrize("visit", [COOKIE_FOR_ALL], indirect=True)
def test_the_same_page_writes_where_there_is_no_protection(browser: Remote, visit: Scene, name: str) -> None:
    """The attacks are real: a browser carries each out, with the visitor's cookie."""
    [exchange] = attack(browser, visit, name, path="/unguarded")

    assert (exchange.status, exchange.has_cookie) == (200, True)
    wait_until(lambda: read_pad(browser, visit.pad) == ["mine", "stolen"], "the pad is written to")


# What only reads ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("visit", SCENES, indirect=True)
def test_a_foreign_link_opens_the_pad_and_changes_nothing(browser: Remote, visit: Scene) -> None:
    [exchange] = attack(browser, visit, "a link")

    assert (exchange.method, exchange.status, exchange.has_cookie) == ("GET", 200, True)
    assert read_pad(browser, visit.pad) == ["mine"]


@pytest.mark.parametrize("name", ["a script that reads", "a script that cannot read"])
@pytest.mark.parametrize("visit", SCENES, indirect=True)
def test_a_foreign_script_reads_nothing(browser: Remote, visit: Scene, name: str) -> None:
    browser.get(address_of(name, on=visit.hostile, target=f"{visit.pad}/pad"))
    wait_until(lambda: browser.title != "attack", "the script has an answer")

    [exchange] = visit.app.find("/pad")
    assert (exchange.status, exchange.has_cookie) == (200, visit.has_cookie(name))
    assert browser.title == "unread"


@pytest.mark.parametrize("visit", SCENES, indirect=True)
def test_the_pad_is_shown_in_no_frame(browser: Remote, visit: Scene) -> None:
    [exchange] = attack(browser, visit, "a frame")
    pads_forms = find_forms_in_frame(browser)
    browser.get(address_of("a frame", on=visit.hostile, target=f"{visit.hostile}/own-form"))
    own_forms = find_forms_in_frame(browser)

    assert exchange.status == 200
    assert (pads_forms, own_forms) == (0, 1)


def find_forms_in_frame(browser: Remote) -> int:
    """Return how many forms are in the page's frame, when it is loaded."""
    wait_until(lambda: browser.title == "over", "the frame is loaded")
    browser.switch_to.frame(browser.find_element(By.TAG_NAME, "iframe"))
    return len(browser.find_elements(By.ID, "form"))
