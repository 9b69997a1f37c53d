"""What every error has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar


class GuardError(Exception):
    """Base of every error that the kit raises on purpose. Never raised itself."""


class ConfigError(GuardError):
    """The configuration cannot be run safely. `faults` holds one sentence for each thing that is wrong."""

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        super().__init__("\n".join(faults) if len(faults) == 1 else _numbered(faults))


def _numbered(faults: Sequence[str]) -> str:
    lines = (f"  {number}. {fault}" for number, fault in enumerate(faults, start=1))
    return f"{len(faults)} faults in the configuration:\n" + "\n".join(lines)


class StoreUnavailable(GuardError):
    """A store (database, cache) did not answer. The step that asked decides what that means."""


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One faulty member of a request body. pointer: RFC 6901, for example "/title"."""

    pointer: str
    message: str


class Refusal(GuardError):
    """A request is not served. `public` goes to the caller, `detail` to the log under the same request id."""

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]
    public: ClassVar[str]

    def __init__(self, public: str | None = None, *, detail: str = "", errors: Iterable[FieldFault] = ()) -> None:
        self.text = public or self.public
        self.detail = detail
        self.errors = tuple(errors)
        super().__init__(detail or self.text)

    def headers(self) -> list[tuple[str, str]]:
        """Headers that belong to this refusal, beside those of every answer."""
        return []
