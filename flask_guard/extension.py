"""Guard: what users hold. Decorators, `init_app`, and the services of the current application.

    guard = Guard()

    @app.get("/notes")
    @guard.require_scope("notes:read")
    def notes(): ...

    guard.init_app(app)

One Guard may serve several applications; it keeps no application, each keeps its own runtime.
"""

from __future__ import annotations

import importlib
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, cast

import click
from flask import Flask, current_app, has_app_context, url_for
from flask.cli import AppGroup

from .authz.policies import Policy
from .config.settings import Settings
from .errors import ConfigError
from .pipeline.context import NOT_LOADED, find_request_context
from .pipeline.decorators import RuleDecorators, Target
from .pipeline.definitions import Definitions
from .pipeline.desks import ApiKeyDesk, TokenDesk
from .pipeline.nonces import find_nonce
from .pipeline.objects import Checked, require_object
from .pipeline.rules import Rule
from .pipeline.runtime import EXTENSION_KEY, Runtime
from .pipeline.steps import Position
from .protocols import Clock, ErrorFormatter
from .wiring.install import install, read_settings
from .wiring.services import Site, Supplied

if TYPE_CHECKING:
    from flask_limiter import Limiter


class Guard(RuleDecorators):
    """The extension. `Guard(app, **options)` or `Guard()` and `init_app(app, **options)` later.

    db: a Flask-SQLAlchemy or Flask-SQLAlchemy-Lite object; engine: a plain SQLAlchemy engine; with
    neither, the application's own is found when there is one.
    error_formatter: gives refusals another shape than RFC 9457 (`protocols.ErrorFormatter`).
    clock: seconds since the epoch, for tests.
    options: settings, in lower case without their prefix: `jwt_leeway="5s"` is GUARD_JWT_LEEWAY.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        db: Any = None,
        engine: Any = None,
        error_formatter: ErrorFormatter | None = None,
        clock: Clock = time.time,
        **options: Any,
    ) -> None:
        _require_database(db, engine)
        self._definitions = Definitions()
        self._apps: weakref.WeakSet[Flask] = weakref.WeakSet()
        self._supplied = Supplied(db=db, engine=engine, error_formatter=error_formatter, clock=clock)
        self._options = options
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, *, db: Any = None, engine: Any = None, **options: Any) -> None:
        """Guard an application. What is given here stands above what the constructor was given.

        Sets `app.extensions["guard"]`, hooks into requests, mounts the probes, adds `flask guard`.
        Raises ConfigError with every fault of the settings; then nothing has been hooked in.
        """
        try:
            self._guard(app, db, engine, options)
        except ConfigError as exc:
            if click.get_current_context(silent=True) is not None:
                raise RefusedStart(*exc.faults) from exc
            raise

    def _guard(self, app: Flask, db: Any, engine: Any, options: Mapping[str, Any]) -> None:
        if "guard" in app.extensions:
            raise ConfigError("This application has a Guard already; init_app is called once.")
        if app._got_first_request:
            raise ConfigError("This application has served requests already; init_app comes before the first one.")
        _require_database(db, engine)
        settings = read_settings(app, {**self._options, **options})
        supplied = self._supplied
        if db is not None or engine is not None:
            supplied = replace(supplied, db=db, engine=engine)
        runtime = install(Site(app, settings, self._definitions, supplied, lambda: list(self._apps)))
        self._apps.add(app)
        app.extensions["guard"] = self
        app.extensions[EXTENSION_KEY] = runtime
        app.cli.add_command(GuardCommands("guard", help="Look after the security of this application."))
        if self._definitions.limiter is not None or "flask_limiter" in sys.modules:
            self._attach_limiter(app)

    # Rules ---------------------------------------------------------------------------------------------

    def _rule(self, rule: Rule) -> Callable[[Target], Target]:
        write = self._definitions.annotations.decorator(rule)

        def write_in_time(target: Target) -> Target:
            for app in self._compiled_apps():
                if target in (*app.view_functions.values(), *app.blueprints.values()):
                    raise ConfigError(f"{rule.text} came after the rules were compiled: it would not be seen.")
            return write(target)

        return write_in_time

    def _compiled_apps(self) -> list[Flask]:
        return [app for app in self._apps if app.extensions[EXTENSION_KEY].plans is not None]

    def rules(self, patterns: Mapping[str, Any]) -> None:
        """Rule on endpoints that cannot be annotated: `{"static": public(reason="assets")}`.

        A pattern that matches no endpoint is an error when the rules are compiled.
        """
        self._require_open("guard.rules()")
        self._definitions.add_rules(patterns)

    # Definitions ---------------------------------------------------------------------------------------

    def register(
        self,
        step: str,
        fn: Callable[..., Any],
        position: Position = "before",
        *,
        endpoints: Iterable[str] = (),
        blueprints: Iterable[str] = (),
        methods: Iterable[str] = (),
        name: str | None = None,
    ) -> None:
        """Put a function of your own at a named step (`pipeline.steps`).

        It takes the RequestContext and returns None to go on or a response to end the chain; at the step
        "respond" it takes context and response and may return another response.
        """
        self._require_open("guard.register()")
        self._definitions.add_step(
            step,
            fn,
            position=position,
            endpoints=endpoints,
            blueprints=blueprints,
            methods=methods,
            name=name,
        )

    def add_header(
        self,
        name: str,
        value: str,
        *,
        mode: Literal["set", "append", "if-missing"] = "set",
        endpoints: Iterable[str] = (),
    ) -> None:
        """Send a header with every answer, or with those of some endpoints (patterns)."""
        self._require_open("guard.add_header()")
        self._definitions.add_header(name, value, mode=mode, endpoints=endpoints)

    def health_check(self, name: str, check: Callable[[], Any]) -> None:
        """Add a check to the ready probe: well unless it raises, returns False or is late."""
        self._definitions.add_health_check(name, check)

    def _require_open(self, what: str) -> None:
        if self._compiled_apps():
            raise ConfigError(
                f"{what} came after the rules were compiled: call it before the first request, and beside "
                "Guard() rather than inside a factory that makes several applications."
            )

    # The running application ---------------------------------------------------------------------------

    def compile(self, app: Flask) -> None:
        """Compile the rules of an application now. Raises ConfigError with every fault."""
        if app not in self._apps:
            raise ConfigError("This Guard does not guard this application; call guard.init_app(app) first.")
        cast(Runtime, app.extensions[EXTENSION_KEY]).compile()

    @property
    def runtime(self) -> Runtime:
        """The runtime of the current application if this Guard guards it, else of the only one that it does."""
        apps = list(self._apps)
        if not apps:
            raise ConfigError("This Guard guards no application yet; call guard.init_app(app) first.")
        current = current_app._get_current_object() if has_app_context() else None  # type: ignore[attr-defined]
        if current not in apps and len(apps) > 1:
            raise RuntimeError("This needs the context of an application: the Guard guards several of them.")
        app = current if current in apps else apps[0]
        return cast(Runtime, app.extensions[EXTENSION_KEY])

    @property
    def settings(self) -> Settings:
        """What was configured, typed, with secrets that do not print."""
        return self.runtime.settings

    @property
    def body(self) -> Any:
        """What the view takes, as the schema of its `accepts` loaded it. Raises RuntimeError where there is none."""
        context = find_request_context()
        if context is None or context.loaded is NOT_LOADED:
            raise RuntimeError(
                "guard.body is for views with guard.accepts(...), and for methods that have a body; "
                'for GET say location="query".'
            )
        return context.loaded

    def check(self, policy: Policy, obj: Checked | None) -> Checked:
        """Return the object if the policy says yes of it to whoever asks.

        Raises NotFound (404) for None and for an object of another tenant, so that nobody learns that it is there,
        Unauthorized (401) without a credential, and the policy's own refusal (403) for every other no.
        """
        return require_object(policy, obj)

    def csrf_token(self) -> str:
        """Return a token for a form of this session: `<input type="hidden" name="csrf_token" value="...">`.

        It differs at every call and holds as long as the session; the header X-CSRF-Token may carry it too.
        Raises ConfigError without a SECRET_KEY.
        """
        return self.runtime.csrf_tokens.issue()

    def rotate_csrf_token(self) -> None:
        """End the validity of every token that this session was given: after a login and a logout of your own."""
        self.runtime.csrf_tokens.rotate()

    def csp_nonce(self) -> str:
        """Return the nonce that this answer's content policy lets scripts have; templates call `csp_nonce()`."""
        return find_nonce()

    def clear_site_data(self) -> None:
        """Have the browser forget cookies and storage of this site with this answer, as after a logout."""
        context = find_request_context()
        if context is None:
            raise RuntimeError("guard.clear_site_data() needs a request that a Guard has seen.")
        context.clears_browser = True

    def external_url(self, endpoint: str, **values: Any) -> str:
        """Return the absolute address of an endpoint: GUARD_PUBLIC_URL and its path, never the Host of a request."""
        public_url = self.settings.service.public_url
        if public_url is None:
            raise ConfigError("guard.external_url() needs GUARD_PUBLIC_URL: the address by which clients reach you.")
        with self.runtime.app.test_request_context(base_url=public_url):
            return url_for(endpoint, _external=True, **values)

    @property
    def limiter(self) -> Limiter:
        """Flask-Limiter's Limiter: what its decorators say counts as `limit()` does."""
        if self._definitions.limiter is None:
            self._require_open("guard.limiter")
            self._definitions.limiter = importlib.import_module("flask_guard.pipeline.limiter").make_limiter(self._rule)
            for app in self._apps:
                self._attach_limiter(app)
        return cast("Limiter", self._definitions.limiter)

    def _attach_limiter(self, app: Flask) -> None:
        """Let `flask limiter` see what is enforced; the command has loaded Flask-Limiter before the application."""
        decorators = importlib.import_module("flask_guard.pipeline.limiter")
        if self._definitions.limiter is None:
            self._definitions.limiter = decorators.make_limiter(self._rule)
        decorators.attach_runtime(self._definitions.limiter, app, app.extensions[EXTENSION_KEY])

    @property
    def tokens(self) -> TokenDesk:
        """Issues access tokens: `guard.tokens.issue("user-1", roles=["editor"], tenant="acme")`."""
        return TokenDesk(self.runtime)

    @property
    def api_keys(self) -> ApiKeyDesk:
        """Creates, lists and revokes API keys: `guard.api_keys.create(name="ci", scopes=["notes:read"])`."""
        return ApiKeyDesk(self.runtime)


def _require_database(db: Any, engine: Any) -> None:
    """Refuse what is no database before the first key finds out."""
    if engine is not None and not hasattr(engine, "connect"):
        raise ConfigError(f"engine= takes a SQLAlchemy engine, not {type(engine).__name__}; a URL is database_url=.")
    if db is not None and not hasattr(type(db), "engine"):
        raise ConfigError(f"db= takes an extension with an engine, such as Flask-SQLAlchemy, not {type(db).__name__}.")


class RefusedStart(ConfigError, click.ClickException):
    """A ConfigError under a command such as `flask guard check`: told as sentences, exit 2, no traceback."""

    exit_code = 2

    def format_message(self) -> str:
        return str(self)


class GuardCommands(AppGroup):
    """`flask guard`: the commands are loaded when one of them is asked for."""

    def _load(self) -> AppGroup:
        return cast(AppGroup, importlib.import_module("flask_guard.cli.main").guard)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return self._load().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self._load().get_command(ctx, cmd_name)
