"""The CORS headers of an answer, computed by Flask-CORS and remembered for each origin that is allowed.

Flask-CORS is asked for headers only: it is given one anchored expression, our own spelling of an origin and the
lists of the policy, never the request. What it makes of a wildcard string, of a path, of `app.config` and of a
private network has no say here.
Rule: nothing of the request reaches an answer but an origin that is listed; a foreign one is not remembered.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from flask_cors.core import get_cors_headers, serialize_options
from werkzeug.datastructures import Headers

from ..browser.cors import PREFLIGHT_VARY, VARY, CorsPolicy
from ..browser.headers import Pair

Pairs = tuple[Pair, ...]

# A subdomain wildcard has any number of origins: when there are more, remembering starts anew.
MAX_REMEMBERED: Final = 256


class _Answers(NamedTuple):
    ordinary: Pairs
    preflight: Pairs


def _for_foreign(policy: CorsPolicy) -> _Answers:
    """Return the headers for an origin that is not listed, and without one."""
    if not policy.origins:
        return _Answers((), ())
    return _Answers((("Vary", VARY),), (("Vary", PREFLIGHT_VARY),))


class CorsAnswers:
    """The CORS headers of the routes that one policy is for. May be shared between threads.

    Flask-CORS 6.0.5 takes some 30 us for a set of headers; a remembered one takes 0.2 us.
    """

    __slots__ = ("_known", "_options", "_others", "policy")

    def __init__(self, policy: CorsPolicy) -> None:
        self.policy = policy
        self._known: dict[str, _Answers] = {}
        self._options = serialize_options(
            {
                "origins": policy.expression,
                "methods": policy.methods,
                # Compiled, because it takes a text with one of `*^$` for an expression.
                "allow_headers": [re.compile(re.escape(name) + r"\Z", re.IGNORECASE) for name in policy.headers],
                "expose_headers": policy.expose,
                "supports_credentials": policy.credentials,
                # As text, because it leaves the number 0 out.
                "max_age": str(int(policy.max_age_s)),
                "send_wildcard": False,
                "always_send": False,
                "vary_header": False,
                "allow_private_network": False,
            }
        )
        self._others = self._remember("*") if policy.is_for_all else _for_foreign(policy)

    def for_answer(self, origin: str | None) -> Pairs:
        """Return the headers of an ordinary answer, refusals included. origin: the raw header, None without one.

        Vary is among them also for a foreign origin and without one, but for the policy `*`, whose answer is the
        same for everybody, and for an empty policy, which has no headers at all. It belongs to `merge_vary`,
        because an answer may have a Vary already.
        """
        answers = self._others if origin is None else self._find(origin)
        return answers.ordinary

    def for_preflight(self, origin: str, method: str, requested_headers: str | None) -> Pairs:
        """Return the headers of the answer to a preflight: all that the policy allows, whatever was asked for.

        The arguments are the raw values of its headers. Access to a private network is never granted.
        Raises CorsOriginDenied, CorsMethodDenied and CorsHeaderDenied as `CorsPolicy.require_preflight` does.
        """
        self.policy.require_preflight(origin, method, requested_headers)
        return self._find(origin).preflight

    def _find(self, raw_origin: str) -> _Answers:
        known = self._known.get(raw_origin)
        if known is not None:
            return known
        origin = self.policy.find_allowed(raw_origin)
        return self._others if origin is None else self._known.get(origin) or self._remember(origin)

    def _remember(self, origin: str) -> _Answers:
        preflight = Headers(
            {
                "Origin": origin,
                "Access-Control-Request-Method": self.policy.methods[0],
                "Access-Control-Request-Headers": ", ".join(self.policy.headers),
            }
        )
        vary = () if self.policy.is_for_all else (("Vary", VARY),)
        answers = _Answers(
            ordinary=(*self._ask(Headers({"Origin": origin}), "GET"), *vary),
            preflight=(*self._ask(preflight, "OPTIONS"), ("Vary", PREFLIGHT_VARY)),
        )
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[origin] = answers
        return answers

    def _ask(self, asked: Headers, method: str) -> Pairs:
        return tuple((name, str(value)) for name, value in get_cors_headers(self._options, asked, method).items())
