"""Which change of a policy is proposed: one that allows what was blocked, never one that undoes the policy."""

from __future__ import annotations

import re

import pytest

from flask_guard.browser.csp_reports import propose_change

SCRIPTS = ["script-src", "script-src-elem", "script-src-attr"]
STYLES = ["style-src", "style-src-elem", "style-src-attr"]


@pytest.mark.parametrize(
    ("directive", "blocked", "proposal"),
    [
        ("connect-src", "https://api.example", "Add https://api.example to connect-src if your pages are meant to use"),
        ("script-src-elem", "https://cdn.example", "Add https://cdn.example to script-src if you trust whatever that"),
        ("style-src-attr", "https://cdn.example", "Add https://cdn.example to style-src if your pages"),
        ("frame-ancestors", "https://portal.example", "if that site may show your pages in a frame."),
        ("form-action", "https://pay.example", "if that site may get what your users enter."),
        ("img-src", "self", "Add 'self' to img-src."),
        ("img-src", "data", "Add data: to img-src if the page makes such addresses; it then allows all of them"),
        ("font-src", "blob", "Add blob: to font-src if"),
        ("frame-src", "unknown", "The browser did not say what it blocked"),
        ("sandbox", "inline", "sandbox lists no sources"),
        ("require-trusted-types-for", "trusted-types-sink", "require-trusted-types-for lists no sources"),
        ("script-src", "wasm-eval", "Add 'wasm-unsafe-eval' to script-src"),
    ],
)
def test_what_would_allow_it(directive: str, blocked: str, proposal: str) -> None:
    assert proposal in propose_change(directive, blocked)


@pytest.mark.parametrize("directive", [*SCRIPTS, *STYLES])
def test_for_inline_code_a_nonce_or_a_file_is_proposed(directive: str) -> None:
    proposal = propose_change(directive, "inline")

    assert "into a file" in proposal
    assert ("give the element a nonce" in proposal) is not directive.endswith("-attr")
    assert re.search(r"(?i)never add 'unsafe-inline'", proposal)


@pytest.mark.parametrize("blocked", ["data", "blob", "filesystem"])
@pytest.mark.parametrize("directive", ["script-src-elem", "object-src", "frame-src", "default-src", "worker-src"])
def test_addresses_that_hold_code_are_warned_of(directive: str, blocked: str) -> None:
    proposal = propose_change(directive, blocked)

    assert f"never add {blocked}: to {directive.removesuffix('-elem')}" in proposal
    assert ("nonce" in proposal) is directive.startswith("script-")


@pytest.mark.parametrize("blocked", ["http://cdn.example", "ws://live.example"])
def test_a_source_that_is_not_encrypted_is_warned_of(blocked: str) -> None:
    assert propose_change("connect-src", blocked).endswith("anybody on the way can change it.")
    assert "anybody" not in propose_change("connect-src", blocked.replace("://", "s://"))


@pytest.mark.parametrize("blocked", ["inline", "eval", "wasm-eval", "self", "data", "https://cdn.example", "unknown"])
@pytest.mark.parametrize("directive", [*SCRIPTS, *STYLES, "default-src", "img-src"])
def test_no_proposal_adds_what_undoes_a_policy(directive: str, blocked: str) -> None:
    proposal = propose_change(directive, blocked)

    for _mention in re.finditer(r"'unsafe-(?:inline|eval)'", proposal):
        assert re.search(rf"(?i)never (?:add )?{re.escape(_mention[0])}", proposal)
    assert not re.search(r"(?:^|\s)[*]", proposal)
    assert proposal.endswith(".")
