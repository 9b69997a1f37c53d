"""The nonce of a request's content policy, made when a template first asks for it."""

from __future__ import annotations

from ..browser.csp import make_nonce
from .context import find_request_context


def find_nonce() -> str:
    """Return the nonce of the current request. Raises RuntimeError outside of one: no policy would name it."""
    context = find_request_context()
    if context is None:
        raise RuntimeError("csp_nonce() needs a request that a Guard has seen.")
    if context.nonce is None:
        if context.status:
            raise RuntimeError("csp_nonce() came after the headers were sent: ask for it before the page is streamed.")
        context.nonce = make_nonce()
    return context.nonce
