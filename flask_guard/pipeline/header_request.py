"""The application's request class with headers that cannot make a view fail.

Rule: what Werkzeug 3.1.9 raises an error for, where its own rule is None or the text as it was sent, is that.
"""

from __future__ import annotations

from flask import Flask, Request
from werkzeug.datastructures import Authorization
from werkzeug.sansio.utils import get_current_url
from werkzeug.utils import cached_property

_NO_HOST = "host.invalid"  # RFC 2606, section 2


class ReadableHeadersMixin(Request):
    """Reads hostile headers without an error. Mixed into the class that the application uses."""

    @cached_property
    def authorization(self) -> Authorization | None:
        """See Flask; None for Basic credentials in no ASCII, as for any that cannot be read."""
        try:
            return super().authorization
        except ValueError:
            return None

    # A host such as xn--a is ASCII, so a valid name, and stands for no name in Unicode, which these are shown in.

    @cached_property
    def url(self) -> str:
        try:
            return super().url
        except UnicodeError:
            return self._locate(self.root_path, self.path, self.query_string)

    @cached_property
    def base_url(self) -> str:
        try:
            return super().base_url
        except UnicodeError:
            return self._locate(self.root_path, self.path)

    @cached_property
    def root_url(self) -> str:
        try:
            return super().root_url
        except UnicodeError:
            return self._locate(self.root_path)

    @cached_property
    def host_url(self) -> str:
        try:
            return super().host_url
        except UnicodeError:
            return self._locate()

    def _locate(self, *place: str | bytes) -> str:
        """Return an address with the host as it was sent."""
        return get_current_url(self.scheme, _NO_HOST, *place).replace(_NO_HOST, self.host, 1)  # type: ignore[arg-type]


def use_readable_headers(app: Flask) -> None:
    """Give the application's request class readable headers, whatever class it is."""
    if not issubclass(app.request_class, ReadableHeadersMixin):
        bases = (ReadableHeadersMixin, app.request_class)
        app.request_class = type("GuardedRequest", bases, {"__module__": __name__})
