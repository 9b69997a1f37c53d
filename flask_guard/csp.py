"""Content security policies, for `guard.csp(...)` and GUARD_CSP.

from flask_guard.csp import NONCE, SELF, csp

@guard.csp(csp(default_src=[SELF], script_src=[NONCE], object_src=["'none'"]))
"""

from __future__ import annotations

from .browser.csp import NONCE, NONE, SELF, STRICT_DYNAMIC, UNSAFE_INLINE, ContentPolicy, csp, parse_policy

__all__ = ["NONCE", "NONE", "SELF", "STRICT_DYNAMIC", "UNSAFE_INLINE", "ContentPolicy", "csp", "parse_policy"]
