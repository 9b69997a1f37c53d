"""The control of the leak table: every path is tried where nothing guards it, and those that leak are printed.

`python -m tests.tenancy.unguarded <URL of an empty database>`, in a process of its own that never installs the guard.
"""

from __future__ import annotations

import json
import sys
import warnings

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from flask_guard.testing import LeakFound, tenant_leak_cases

from .leak_models import ARCHIVE, declare, prepare_sqlite


class NotTried(BaseException):
    """Stands for pytest's own exception of a skipped test."""


def main(url: str) -> dict[str, dict[str, str]]:
    """Return what came of each path of each model: "leak", "none", "skipped", or the name of an error."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        prepare_sqlite(engine)
    else:
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {ARCHIVE}"))
    models = declare(guarded=False)
    models.metadata.create_all(engine)
    found = {
        name: {
            case.values[0].name: _outcome(case.values[0]) for case in tenant_leak_cases(lambda: Session(engine), model)
        }
        for name, model in models.classes.items()
    }
    engine.dispose()
    return found


def _outcome(case: object) -> str:
    try:
        case.run()  # type: ignore[attr-defined]
    except LeakFound:
        return "leak"
    except BaseException as error:
        return "skipped" if type(error).__name__ == "Skipped" else f"{type(error).__name__}: {error}"
    return "none"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    json.dump(main(sys.argv[1]), sys.stdout, indent=1)
