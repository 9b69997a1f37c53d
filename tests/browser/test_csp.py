"""Content policies: what is read and built, what is refused, and that nothing breaks out of its place."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flask_guard.browser.csp import (
    API_POLICY,
    NONCE,
    NONE,
    PAGE_POLICY,
    SELF,
    STRICT_DYNAMIC,
    UNSAFE_INLINE,
    ContentPolicy,
    as_policy,
    csp,
    find_policy,
    make_nonce,
    parse_policy,
)
from flask_guard.errors import ConfigError

HASH = "'sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc='"

# Reading -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "directives"),
    [
        ("default-src 'self'", {"default-src": [SELF]}),
        ("  default-src   'self' ;; img-src *;", {"default-src": [SELF], "img-src": ["*"]}),
        ("Default-Src 'SELF' 'Nonce' HTTPS:", {"default-src": [SELF, NONCE, "HTTPS:"]}),
        ("sandbox; upgrade-insecure-requests", {"sandbox": [], "upgrade-insecure-requests": []}),
        ("sandbox allow-forms allow-scripts", {"sandbox": ["allow-forms", "allow-scripts"]}),
        (f"script-src {HASH} 'nonce-Ab_-+/09='", {"script-src": [HASH, "'nonce-Ab_-+/09='"]}),
        ("require-trusted-types-for 'script'", {"require-trusted-types-for": ["'script'"]}),
        ("trusted-types a 'allow-duplicates'", {"trusted-types": ["a", "'allow-duplicates'"]}),
        ("report-uri /a?b=c&d=%2C https://x/y", {"report-uri": ["/a?b=c&d=%2C", "https://x/y"]}),
        ("frame-src http://*.x.org:*/p/ wss: [::1]:80", {"frame-src": ["http://*.x.org:*/p/", "wss:", "[::1]:80"]}),
        (PAGE_POLICY, {
            "default-src": [SELF],
            "script-src": [SELF],
            "style-src": [SELF, UNSAFE_INLINE],
            "img-src": [SELF, "data:", "https:"],
            "font-src": [SELF, "data:"],
            "connect-src": [SELF],
            "frame-ancestors": [NONE],
            "base-uri": [SELF],
            "form-action": [SELF],
        }),
    ],
)  # fmt: skip
def test_a_text_is_read_into_its_directives(text: str, directives: dict[str, list[str]]) -> None:
    policy = parse_policy(text)

    assert policy.directives == tuple((name, tuple(sources)) for name, sources in directives.items())
    assert parse_policy(str(policy)) == policy


KEYWORDS = [SELF, NONCE, STRICT_DYNAMIC, UNSAFE_INLINE, "'unsafe-eval'", "'report-sample'", HASH, "'nonce-abc'"]
names = st.sampled_from(["default-src", "script-src", "img-src", "base-uri", "report-to", "new-src", "x-9"])
plain = st.text("abcXYZ019-._~:/?#[]@!$&()*+=%<>\\|^`{}", min_size=1, max_size=12)
sources = st.just((NONE,)) | st.lists(plain | st.sampled_from(KEYWORDS), max_size=4).map(tuple)
policies = st.lists(st.tuples(names, sources), min_size=1, max_size=5, unique_by=lambda pair: pair[0]).map(
    lambda directives: ContentPolicy(tuple(directives))
)


@given(policies, st.data())
def test_a_policy_survives_its_own_text_in_any_spacing_and_case(policy: ContentPolicy, data: st.DataObject) -> None:
    spaced = str(policy).replace("; ", data.draw(st.sampled_from(["; ", ";", " ; ", ";;  "])))
    loud = "; ".join(" ".join((name.upper(), *given)) for name, given in policy.directives)

    assert parse_policy(spaced) == parse_policy(f" {loud};") == parse_policy(str(policy)) == policy
    assert "".join(policy.pieces) == str(policy).replace(NONCE, "")


@given(policies)
def test_a_policy_without_its_nonce_is_a_policy_and_no_looser(policy: ContentPolicy) -> None:
    bare = policy.without_nonce()

    assert parse_policy(str(bare)) == bare
    for (name, before), (same, after) in zip(policy.directives, bare.directives, strict=True):
        assert name == same
        assert NONCE not in after
        assert set(after) <= {*before, NONE}
        assert NONCE not in before or (UNSAFE_INLINE not in after and after)


@given(st.text(max_size=40) | st.text("'\"ad; ,-\r\n\t\x00é:*", max_size=40))
@example("default-src 'self'\r\nSet-Cookie: a=b")
@example("default-src 'self'\u2028")
def test_whatever_the_text_it_is_refused_or_fits_into_one_header(text: str) -> None:
    try:
        policy = str(parse_policy(text))
    except ConfigError:
        return

    assert policy.isascii()
    assert policy.isprintable()
    assert "," not in policy
    assert '"' not in policy


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("default-src 'self'\r\nx: y", "one line of ASCII", id="line end"),
        pytest.param("default-src\t'self'", "one line of ASCII", id="tab"),
        pytest.param("default-src 'self'\x00", "one line of ASCII", id="NUL"),
        pytest.param("default-src k\xe4se.example", "one line of ASCII", id="latin-1"),
        pytest.param("default-src \u4e2d", "one line of ASCII", id="beyond latin-1"),
        pytest.param("", "needs a directive", id="empty"),
        pytest.param(" ; ", "needs a directive", id="blank"),
        pytest.param("img-src a; IMG-src b", "'img-src' is there twice", id="twice"),
        pytest.param("img_src a", "'img_src' is not the name of a directive", id="underscore"),
        pytest.param("img-src: a", "'img-src:' is not the name of a directive", id="colon"),
        pytest.param("'self'", "is not the name of a directive", id="source first"),
        pytest.param("img-src a, script-src b", "'a,', which is not a source", id="comma"),
        pytest.param("img-src 'slef'", "which is not a source", id="misspelt keyword"),
        pytest.param('img-src "self"', "which is not a source", id="double quotes"),
        pytest.param("img-src 'self", "which is not a source", id="open quote"),
        pytest.param("img-src a'b", "which is not a source", id="quote within"),
        pytest.param("script-src 'nonce-'", "which is not a source", id="empty nonce"),
        pytest.param("script-src 'nonce-a b'", "which is not a source", id="nonce with a space"),
        pytest.param("script-src 'sha1-abc'", "which is not a source", id="unknown hash"),
        pytest.param("script-src 'script'", "which is not a source", id="keyword of another directive"),
        pytest.param("require-trusted-types-for 'self'", "which is not a source", id="source for trusted types"),
        pytest.param("img-src 'none' a", "'img-src' has 'none' beside other sources", id="none beside others"),
        pytest.param("script-src 'none' 'nonce'", "'none' beside other sources", id="none beside a nonce"),
    ],
)
def test_a_faulty_text_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_policy(text)


def test_all_faults_of_a_text_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_policy("img-src 'x'; img-src 'none' 'self'; a_b")

    assert len(caught.value.faults) == 4


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("default-src 'self'", []),
        (API_POLICY, []),
        (PAGE_POLICY, []),
        ("report-uri /x; report-to y; sandbox allow-scripts; webrtc 'block'", []),
        ("plugin-types a/b", ["The directive 'plugin-types' is unknown: browsers ignore it."]),
        ("defualt-src 'self'", ["The directive 'defualt-src' is unknown: browsers ignore it."]),
        (
            "script-src 'nonce-abc'",
            ["The directive 'script-src' has a nonce that never changes, so it protects nothing; write 'nonce'."],
        ),
        ("script-src none", ["The directive 'script-src' has 'none' without quotes, which is a host."]),
        ("script-src nonce-abc", ["The directive 'script-src' has 'nonce-abc' without quotes, which is a host."]),
        (
            "img-src a script-src b",
            ["The directive 'img-src' has 'script-src' as a source; a semicolon is missing before it."],
        ),
    ],
)
def test_what_browsers_read_otherwise_is_a_warning(text: str, warned: list[str]) -> None:
    assert list(parse_policy(text).warnings) == warned


# Building ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "text"),
    [
        pytest.param({"default_src": [SELF]}, "default-src 'self'", id="one"),
        pytest.param({"default_src": "'SELF'"}, "default-src 'self'", id="alone"),
        pytest.param({"img_src": []}, "img-src", id="nothing allowed"),
        pytest.param({"img_src": ("a", "b"), "font_src": iter("c")}, "img-src a b; font-src c", id="any iterable"),
        pytest.param({"upgrade_insecure_requests": True}, "upgrade-insecure-requests", id="standing alone"),
        pytest.param({"sandbox": ["allow-forms"], "img_src": False}, "sandbox allow-forms", id="left out"),
        pytest.param(
            {"script_src": [SELF, NONCE, "https://cdn.example.com"]},
            "script-src 'self' 'nonce' https://cdn.example.com",
            id="a nonce",
        ),
    ],
)
def test_keywords_build_a_policy(given: dict[str, Any], text: str) -> None:
    built = csp(**given)

    assert str(built) == text
    assert built == parse_policy(text)


INJECTIONS = [
    "",
    " ",
    "a b",
    "a;script-src *",
    "a,b",
    "a\r\nb",
    "a\n",
    "a\x00",
    "a\x7f",
    "\xe4",
    "\u2028",
    "'self",
    "self'",
]
INJECTIONS += ["'slef'", '"self"', "'nonce-a'b'", "'self' *", "'nonce' 'unsafe-inline'"]


@pytest.mark.parametrize("source", [*INJECTIONS, None, 1, b"a", ["a"], True], ids=ascii)
@pytest.mark.parametrize("name", ["script_src", "report_uri", "sandbox", "new_directive"])
def test_no_source_breaks_out_of_its_place(name: str, source: Any) -> None:
    with pytest.raises(ConfigError):
        csp(**{name: [source]})
    with pytest.raises(ConfigError):
        csp(**{name: ["a", source, "b"]})
    with pytest.raises(ConfigError):
        ContentPolicy(((name.replace("_", "-"), (source,)),))


@given(st.text(max_size=30))
@example("x' 'unsafe-inline")
def test_whatever_the_source_the_policy_keeps_its_shape(source: str) -> None:
    try:
        policy = csp(default_src=[SELF], script_src=[SELF, source], base_uri=[NONE])
    except ConfigError:
        return

    written = [part.split(" ") for part in str(policy).split("; ")]
    assert [part[0] for part in written] == ["default-src", "script-src", "base-uri"]
    assert len(written[1]) == 3


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({}, id="no directive"),
        pytest.param({"img_src": False}, id="none left"),
        pytest.param({"img_src": True}, id="True for a list"),
        pytest.param({"img_src": None}, id="None"),
        pytest.param({"img_src": 1}, id="a number"),
        pytest.param({"img_src": [SELF], "IMG_SRC": [SELF]}, id="twice"),
        pytest.param({"img_src": [NONE, SELF]}, id="none beside others"),
        pytest.param({"img src": [SELF]}, id="name with a space"),
        pytest.param({"img_src;script_src": [SELF]}, id="name with a semicolon"),
        pytest.param({"img_src\n": [SELF]}, id="name with a line end"),
    ],
)
def test_a_faulty_directive_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        csp(**given)


# Choosing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("api", "api"),
        (" PAGE", "page"),
        ("Off ", "off"),
        ("sandbox", "sandbox"),
        ("Img-Src  *;", "img-src *"),
        pytest.param(csp(img_src=["*"]), "img-src *", id="built"),
    ],
)
def test_a_choice_has_one_form(value: Any, form: str) -> None:
    assert as_policy(value) == form
    assert as_policy(form) == form


@pytest.mark.parametrize(
    "value", ["auto", "AUTO", "pgae", "none", "self", None, True, 1, b"page", ["page"], {}], ids=ascii
)
def test_what_is_no_choice_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match='"api", "page", "off"'):
        as_policy(value)


def test_the_presets_are_what_they_are_documented_to_be() -> None:
    api, page = find_policy("api"), find_policy("page")

    assert str(api) == API_POLICY
    assert page is not None
    assert str(page.without_nonce()) == PAGE_POLICY
    assert page.pieces == tuple(PAGE_POLICY.replace("script-src 'self'", "script-src 'self' |").split("|"))
    assert find_policy("off") is None
    assert str(find_policy("img-src *")) == "img-src *"


def test_a_nonce_is_128_random_bits_that_need_no_escaping() -> None:
    nonces = [make_nonce() for _each in range(1000)]

    assert len(set(nonces)) == 1000
    assert {len(base64.urlsafe_b64decode(f"{nonce}==")) for nonce in nonces} == {16}
    assert parse_policy(f"script-src 'nonce-{nonces[0]}'").warnings
