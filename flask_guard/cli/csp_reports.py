"""`flask guard csp-reports`: what browsers reported against the content security policy, and what would allow it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from flask.cli import with_appcontext

from ..browser.csp_reports import propose_change
from ..config.kinds import positive_duration_s
from ..logs.format import neutralise
from ..protocols import CspReportStore
from ..values import CspReportRow
from .support import Checked, echo_json, find_runtime, format_option, tells_errors

_MAX_EXAMPLES = 3
_SWITCH_ON = "Reports are not collected. Set GUARD_CSP_REPORTS=true, and GUARD_CSP_REPORT_ONLY to try a policy out."
_FOOTNOTE = "A directive that the policy does not have yet must repeat the sources of default-src."


@dataclass(slots=True)
class _Summary:
    """All reports of one directive and one blocked source. rows: most often seen first."""

    directive: str
    blocked: str
    rows: list[CspReportRow] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(row.count for row in self.rows)

    def describe(self) -> dict[str, Any]:
        """Return what is shown, without characters that a terminal acts on."""
        places = (row.violation for row in self.rows if row.violation.source_file is not None)
        return {
            "directive": neutralise(self.directive),
            "blocked": neutralise(self.blocked),
            "count": self.count,
            "first_seen": min(row.first_seen for row in self.rows).isoformat(timespec="seconds"),
            "last_seen": max(row.last_seen for row in self.rows).isoformat(timespec="seconds"),
            "dispositions": sorted({row.violation.disposition for row in self.rows}),
            "documents": _examples(row.violation.document for row in self.rows),
            "places": _examples(f"{place.source_file}:{place.line or '?'}" for place in places),
            "change": neutralise(propose_change(self.directive, self.blocked)),
        }


@click.command("csp-reports")
@click.option("--since", type=Checked(positive_duration_s), help="Only what was seen within this time, such as 7d.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Most entries to show.")
@click.option("--clear", is_flag=True, help="Forget all reports instead, which makes room for new ones.")
@format_option("text", "json")
@with_appcontext
@tells_errors
def csp_reports(output: str, since: str | None, limit: int, clear: bool) -> None:
    """Show what browsers reported against the content security policy, and the change that would allow it."""
    if clear and since is not None:
        raise click.UsageError("--clear forgets all reports; it goes without --since.")
    runtime = find_runtime()
    if not runtime.settings.browser.csp_reports:
        click.echo(_SWITCH_ON, err=True)
    if clear:
        _clear(runtime.csp_reports, output)
        return
    earliest = None
    if since is not None:
        earliest = datetime.fromtimestamp(runtime.clock(), UTC) - timedelta(seconds=positive_duration_s(since))
    summaries = _summarise(runtime.csp_reports.list_reports(since=earliest))
    dropped = runtime.csp_reports.count_dropped()
    _show([summary.describe() for summary in summaries[:limit]], len(summaries), dropped, output)


def _clear(store: CspReportStore, output: str) -> None:
    cleared = store.clear()
    if output == "json":
        echo_json({"cleared": cleared})
    else:
        click.echo(f"Violations that were forgotten: {cleared}.")


def _summarise(rows: Iterable[CspReportRow]) -> list[_Summary]:
    """Return the rows by directive and blocked source, most often seen first."""
    summaries: dict[tuple[str, str], _Summary] = {}
    for row in rows:
        key = row.violation.directive, row.violation.blocked
        summaries.setdefault(key, _Summary(*key)).rows.append(row)
    return sorted(summaries.values(), key=lambda summary: -summary.count)


def _examples(texts: Iterable[str]) -> list[str]:
    return [neutralise(text) for text in dict.fromkeys(texts)][:_MAX_EXAMPLES]


def _show(entries: list[dict[str, Any]], found: int, dropped: int, output: str) -> None:
    if output == "json":
        echo_json({"reports": entries, "found": found, "dropped": dropped})
        return
    for entry in entries:
        click.echo(_make_text(entry))
    click.echo(_FOOTNOTE if entries else "No reports.")
    if found > len(entries):
        click.echo(f"Not shown: {found - len(entries)}; --limit shows more.")
    if dropped:
        click.echo(f"Dropped because the store was full: {dropped}; --clear makes room for new ones.")


def _make_text(entry: dict[str, Any]) -> str:
    dispositions = "/".join(entry["dispositions"])
    lines = [
        f"{entry['directive']}  {entry['blocked']}",
        f"    times: {entry['count']}, {entry['first_seen']} to {entry['last_seen']}, {dispositions}",
        f"    in {' '.join(entry['documents'])}",
    ]
    if entry["places"]:
        lines.append(f"    at {' '.join(entry['places'])}")
    return "\n".join([*lines, f"    {entry['change']}", ""])
