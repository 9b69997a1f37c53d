"""A regular expression that a text has to match, and that no text can keep busy."""

from __future__ import annotations

import re
from typing import Any, Final

from marshmallow import ValidationError, validate

from ..errors import ConfigError
from .regex_cost import EXPONENTIAL, CannotTell, find_degree

MAX_LENGTH: Final = 1024
# Steps that the worst text may take: some 20 ms. Measured on one core of 2.5 GHz, 40 to 80 million a second.
MAX_STEPS: Final = 1_100_000


class Pattern(validate.Regexp):
    """Validator: a text has to match a regular expression. Null, and a value that is no text, is not its matter.

    full: the whole text, line ends included (`\\A…\\Z`); otherwise the expression is searched for.
    max_length: characters that are looked at; a longer text is refused.
    Raises ConfigError for an expression that some text of that length would keep busy: one in which a repetition
    can be read in several ways, or whose repetitions can pass characters to each other.
    """

    default_message = "Has an invalid format."

    def __init__(
        self,
        regex: str | re.Pattern[str],
        *,
        full: bool = False,
        max_length: int = MAX_LENGTH,
        flags: int = 0,
        error: str | None = None,
    ) -> None:
        source = regex.pattern if isinstance(regex, re.Pattern) else regex
        flags |= regex.flags & ~re.UNICODE if isinstance(regex, re.Pattern) else 0
        if not isinstance(source, str):
            raise ConfigError("Pattern() takes a regular expression of text.")
        try:
            compiled = re.compile(rf"\A(?:{source})\Z" if full else source, flags)
        except (re.error, OverflowError) as exc:
            raise ConfigError(f"Pattern(): {source!r} is not a regular expression: {exc}.") from exc
        _check_cost(compiled, source, max_length=max_length, is_searched=not full)
        # What is shown, by the OpenAPI export, is in words that JSON Schema has too; what is asked is stricter.
        super().__init__(rf"^(?:{source})$" if full else source, flags, error=error or self.default_message)
        self.max_length = max_length
        self._search = compiled.search

    def __call__(self, value: Any) -> Any:
        if isinstance(value, str) and (len(value) > self.max_length or self._search(value) is None):
            raise ValidationError(self.error)
        return value


def _check_cost(compiled: re.Pattern[str], source: str, *, max_length: int, is_searched: bool) -> None:
    try:
        degree = find_degree(compiled, is_searched=is_searched)
    except CannotTell as exc:
        raise ConfigError(f"Pattern(): how long {source!r} takes cannot be told: {exc}.") from exc
    if degree >= EXPONENTIAL:
        raise ConfigError(f"Pattern(): a repetition in {source!r} can be read in several ways; it could take for ever.")
    if max_length**degree > MAX_STEPS:
        most = int(MAX_STEPS ** (1 / degree))
        raise ConfigError(f"Pattern(): {source!r} takes too long on a long text; give it max_length={most} or less.")
