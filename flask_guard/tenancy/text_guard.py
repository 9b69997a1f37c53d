"""SQL that is given as text: which tables it names, and whether a piece of it stays where it is put.

Text cannot be filtered, so text that names a protected table is refused. A name counts wherever the database would
read one: as a word in any case, quoted in each of the ways that the database knows, with or without a schema.
Inside of strings and comments nothing counts. Statements that change the schema, or ask for it, may name any table.
Rule: what cannot be read as the database reads it is refused.
Sources: PostgreSQL, "Lexical Structure" and scan.l; SQLite, tokenize.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from .faults import TenancyFault
from .rules import is_protected_name

# Letters, digits and every character beyond ASCII, whatever Unicode has to say about it.
_WORD = r"(?P<word>[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*)"
_PLACEHOLDER = r"(?<![:\\]):[A-Za-z_]\w*(?!\w*\()"

_SCANNERS = {
    "postgresql": re.compile(
        r"(?P<comment>--[^\r\n]*(?:[\r\n]|(?P<open>\Z)))"
        r"|(?P<nested>/\*)"
        r"|(?P<refused>[uU]&\"|\x00)"
        r"|[eE]'(?:[^'\\]|\\.|'')*'"
        r"|'(?P<string>(?:[^']|'')*)'"
        r'|"(?P<name>(?:[^"]|"")*)"'
        r"|(?P<dollar>\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$)"
        rf"|{_PLACEHOLDER}|{_WORD}"
        r"|(?P<symbol>[^'\"])",
        re.ASCII | re.DOTALL,
    ),
    "sqlite": re.compile(
        r"(?P<comment>--[^\n]*(?:\n|(?P<open>\Z))|/\*.*?\*/)"
        r"|(?P<refused>/\*|\x00|[$@#:](?:[\w$\x80-\U0010ffff]|::)+\()"
        r"|'(?P<string>(?:[^']|'')*)'"
        r'|"(?P<name>(?:[^"]|"")*)"|`(?P<backtick>(?:[^`]|``)*)`|\[(?P<bracket>[^\]]*)\]'
        # A byte order mark is a blank where a word might begin.
        rf"|{_PLACEHOLDER}|(?!\ufeff){_WORD}"
        r"|(?P<symbol>[^'\"`\[])",
        re.ASCII | re.DOTALL,
    ),
}

# The statements that change the schema. CREATE is looked at closely: some of its forms copy rows.
_SCHEMA_WORDS = frozenset({"alter", "analyze", "cluster", "comment", "drop", "grant", "reindex", "revoke", "vacuum"})
_CREATED = frozenset({"index", "policy", "sequence", "statistics", "table", "trigger"})
_CREATE_OPTIONS = frozenset({"constraint", "global", "local", "or", "replace", "temp", "temporary", "unique"}) | {
    "unlogged"
}
_CATALOGUE_PRAGMAS = frozenset(
    {"foreign_key_list", "index_info", "index_list", "index_xinfo", "table_info", "table_list", "table_xinfo"}
)
# What runs SQL that is given to it as a string, or reads a table whose name is.
_RUNS_STRINGS = re.compile(
    r"(?:query|table|schema|database|cursor)_to_xml(?:schema|_and_xmlschema)?|dblink\w*|crosstab\w*|connectby"
    r"|ts_stat|ts_rewrite|xpath_table|query_export_to_s3|currtid2"
)
# Words that are no table's name unless they are quoted, or stand behind a dot (PostgreSQL documentation, appendix C;
# sqlite.org/lang_keywords.html), and that people name tables by all the same.
_RESERVED = frozenset({"case", "check", "group", "limit", "order"})
_SET_OPERATORS = frozenset({"except", "intersect", "union"})
_MOST_NAME_BYTES = 63  # PostgreSQL cuts longer names off (NAMEDATALEN).

_UNREADABLE = "A piece of SQL text cannot be read for sure, so it is not executed: {}."
_NAMES_TABLE = (
    "SQL text names the table {!r}, whose rows are told apart by tenant or owner; text cannot be filtered. "
    "Write it with select() and the like, or run it on a connection that is opened in an unscoped block."
)


@dataclass(slots=True)
class Statement:
    """One statement of a text, casefolded.

    words: those that are not quoted, in order. names: the quoted ones too. has_query: it is followed by AS and a query.
    """

    words: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    has_query: bool = False

    @property
    def is_about_schema(self) -> bool:
        first, rest = self.words[:1], self.words[1:]
        if first == ["create"]:
            created = next((word for word in rest if word not in _CREATE_OPTIONS), "")
            return created in _CREATED and not (created == "table" and self.has_query)
        if first == ["pragma"]:
            return not _CATALOGUE_PRAGMAS.isdisjoint(rest[:2])
        return not _SCHEMA_WORDS.isdisjoint(first)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says. names: everything that may be the name of a table; asked: those of statements that touch rows.

    escapes: why the text would not stay where it is put; "" if it does. combines: it is more than one SELECT.
    lists: it is several expressions, with commas between them.
    """

    names: frozenset[str]
    asked: frozenset[str]
    escapes: str = ""
    combines: bool = False
    lists: bool = False


def require_harmless(text: str, dialect: str) -> None:
    """Refuse statements that are executed as they are, if they name a protected table. dialect: its name.

    Raises TenancyError.
    """
    require_unprotected(read_text(text, dialect).asked)


def read_fragment(text: str, dialect: str, *, is_select: bool = False) -> frozenset[str]:
    """Return what may be the name of a table in a piece of a statement. is_select: it is all of a SELECT.

    Raises TenancyError for a piece that would reach out of its place.
    """
    reading = read_text(text, dialect)
    escapes = reading.escapes or ("a set operator" if reading.combines and not is_select else "")
    if escapes:
        raise TenancyFault(_UNREADABLE.format(f"as a part of a statement it must not have {escapes}"))
    return reading.names


def require_unprotected(names: Iterable[str]) -> None:
    """Raise TenancyError if one of these is the name of a protected table."""
    for name in names:
        if is_protected_name(name):
            raise TenancyFault(_NAMES_TABLE.format(name))


def require_no_interpreter(name: str) -> None:
    """Raise TenancyError for the name of a function that runs SQL, which is given to it as a string."""
    if _RUNS_STRINGS.fullmatch(name.casefold()):
        raise TenancyFault(f"The function {name!r} reads tables that are named in a string, where no filter reaches.")


@lru_cache(maxsize=1024)
def read_text(text: str, dialect: str) -> Reading:
    """Read a text as the database does. Raises TenancyError if that cannot be done."""
    if dialect not in _SCANNERS:  # No protected table is read there, so more names than there are do no harm.
        words = frozenset(word.casefold() for word in re.findall(r"\w+", text))
        return Reading(words, words)
    reader = _Reader(text, dialect)
    for statement in reader.statements:
        # PostgreSQL finds a function by its quoted name too; in SQLite there are strings among the names.
        for name in statement.names if dialect == "postgresql" else statement.words:
            require_no_interpreter(name)
        if statement.words[:1] == ["do"]:
            raise TenancyFault(_UNREADABLE.format("DO runs a program that is given to it as a string"))
    names = frozenset().union(*(statement.names for statement in reader.statements))
    asked = frozenset().union(*(each.names for each in reader.statements if not each.is_about_schema))
    return Reading(names, asked, reader.escapes, reader.combines, reader.lists)


class _Reader:
    """Goes through a text token by token."""

    def __init__(self, text: str, dialect: str) -> None:
        self._text = text
        self._dialect = dialect
        self._depth = 0
        self._follows_dot = False
        self.escapes = ""
        self.combines = False
        self.lists = False
        self.statements = [Statement()]
        for kind, value in self._scan():
            self._take(kind, value)
        if self._depth:
            self.escapes = "a parenthesis too many"

    def _take(self, kind: str, value: str) -> None:
        match kind:
            case "word":
                self._take_word(value.casefold())
            case "name":
                self._name(value)
            case "symbol" if value in "();":
                self._take_symbol(value)
            case "symbol" if value == "," and self._depth == 0:
                self.lists = True
            case "open":
                self.escapes = "a comment that has no end"
        if not value.isspace():
            self._follows_dot = value == "."

    def _take_word(self, word: str) -> None:
        statement = self.statements[-1]
        statement.words.append(word)
        if self._follows_dot or word not in _RESERVED:
            self._name(word)
        if self._depth == 0:
            self.combines = self.combines or word in _SET_OPERATORS
            # The AS of a generated column stands in the parentheses of the columns.
            statement.has_query = statement.has_query or word == "as"

    def _take_symbol(self, symbol: str) -> None:
        if symbol != ";":
            self._depth += 1 if symbol == "(" else -1
            if self._depth < 0:
                self.escapes = "a parenthesis too many"
            return
        self.escapes = "a semicolon"
        # In SQLite there is one statement to an execution, and a trigger has semicolons in it.
        if self._dialect != "sqlite":
            self.statements.append(Statement())

    def _name(self, name: str) -> None:
        folded = name.casefold()
        self.statements[-1].names.add(folded)
        if len(encoded := name.encode()) > _MOST_NAME_BYTES:
            self.statements[-1].names.add(encoded[:_MOST_NAME_BYTES].decode(errors="ignore").casefold())

    def _scan(self) -> Iterator[tuple[str, str]]:
        scanner, position = _SCANNERS[self._dialect], 0
        while position < len(self._text):
            match = scanner.match(self._text, position)
            if match is None:
                raise TenancyFault(_UNREADABLE.format("a quotation has no end"))
            position = match.end()
            found = {kind: value for kind, value in match.groupdict().items() if value is not None}
            if "nested" in found:
                position = self._skip_comment(position)
            elif "dollar" in found:
                position = self._skip_quotation(position, found["dollar"])
            else:
                yield from self._interpret(found)

    def _interpret(self, found: dict[str, str]) -> Iterator[tuple[str, str]]:
        for kind, value in found.items():
            match kind:
                case "refused":
                    raise TenancyFault(_UNREADABLE.format(f"it has {value!r} in it"))
                case "name":
                    yield "name", value.replace('""', '"')
                case "backtick":
                    yield "name", value.replace("``", "`")
                case "bracket":
                    yield "name", value
                case "string":
                    yield from self._interpret_string(value)
                case "word" | "symbol" | "open":
                    yield kind, value

    def _interpret_string(self, value: str) -> Iterator[tuple[str, str]]:
        if self._dialect == "sqlite":  # It takes a string for a name where only a name makes sense.
            yield "name", value.replace("''", "'")
        elif value.endswith("\\") or "\\'" in value:  # It ends elsewhere if standard_conforming_strings is off.
            raise TenancyFault(_UNREADABLE.format("a quotation mark follows a backslash"))

    def _skip_comment(self, position: int) -> int:
        depth = 1
        for mark in re.finditer(r"/\*|\*/", self._text[position:]):
            depth += 1 if mark.group() == "/*" else -1
            if depth == 0:
                return position + mark.end()
        raise TenancyFault(_UNREADABLE.format("a comment has no end"))

    def _skip_quotation(self, position: int, mark: str) -> int:
        end = self._text.find(mark, position)
        if end < 0:
            raise TenancyFault(_UNREADABLE.format("a quotation has no end"))
        return end + len(mark)
