"""The query string of a view that lists: filters, sort, limit and offset, each known and bounded.

from flask_guard.queries import parse_list_query
"""

from __future__ import annotations

from .limits.query import ListQuery, parse_list_query

__all__ = ["ListQuery", "parse_list_query"]
