"""What a form may carry, and that a form which cannot be read is no empty one."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import IO, Any

import pytest
from flask import Flask, Request, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.formparser import FormDataParser

from flask_guard import Guard
from flask_guard.errors import BodyTooLarge
from tests.requests.conftest import AppMaker, assert_problem

MULTIPART = "multipart/form-data; boundary=b"
URLENCODED = "application/x-www-form-urlencoded"
DISPOSITION = b'Content-Disposition: form-data; name="f"'


def add_readers(app: Flask, guard: Guard) -> None:
    @app.post("/form")
    @guard.public(reason="test")
    def form() -> Any:
        files = {name: file.read().decode() for name, file in request.files.items(multi=True)}
        return jsonify(form=request.form.to_dict(flat=False), files=files)

    @app.post("/parsed")
    @guard.public(reason="test")
    def parsed() -> Any:
        return request.get_data(parse_form_data=True)

    @app.post("/twice")
    @guard.public(reason="test")
    def twice() -> Any:
        try:
            return jsonify(request.form)
        except HTTPException:
            return jsonify(request.form)


def part(headers: bytes = DISPOSITION, content: bytes = b"x") -> bytes:
    return b"--b\r\n" + headers + b"\r\n\r\n" + content + b"\r\n"


def file_part(name: str = "f") -> bytes:
    return part(DISPOSITION + f'; filename="{name}"\r\nContent-Type: text/plain'.encode(), b"content")


def multipart(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b--\r\n"


def post(app: Flask, data: bytes, path: str = "/form", content_type: str = MULTIPART) -> Any:
    return app.test_client().post(path, data=data, content_type=content_type)


def test_a_form_is_read_as_werkzeug_reads_it(make_app: AppMaker) -> None:
    app, _ = make_app(add_readers)
    file = part(DISPOSITION.replace(b'"f"', b'"g"') + b'; filename="g"', b"1" * 100_000 + b"\r\n--c\r\n")
    latin = part(DISPOSITION + b"\r\nContent-Type: text/plain; charset=iso-8859-1", b"\xe9")
    data = b"preamble\r\n" + multipart(part(), file, part(content="é\r\n".encode()), latin) + b"epilogue"

    answer = post(app, data).get_json()

    assert answer == {"form": {"f": ["x", "é\r\n", "é"]}, "files": {"g": "1" * 100_000 + "\r\n--c\r\n"}}


def test_an_urlencoded_form_is_read_as_werkzeug_reads_it(make_app: AppMaker) -> None:
    app, _ = make_app(add_readers)

    answer = post(app, b"a=1&a=%C3%A9+%2b&b&=&c=%FF", content_type=URLENCODED).get_json()

    assert answer["form"] == {"a": ["1", "é +"], "b": [""], "": [""], "c": ["%FF"]}


def test_nothing_is_left_of_a_form_that_was_read(make_app: AppMaker) -> None:
    app, _ = make_app(add_readers)

    assert post(app, b"a=1", "/parsed", URLENCODED).data == b""
    assert post(app, multipart(part()), "/parsed").data == b""


def test_a_form_in_another_media_type_is_an_empty_one(make_app: AppMaker) -> None:
    app, _ = make_app(add_readers)

    assert post(app, b"a=1", content_type="text/plain").get_json() == {"form": {}, "files": {}}


def test_as_many_files_as_allowed_are_taken_and_not_one_more(
    make_app: AppMaker, caplog: pytest.LogCaptureFixture
) -> None:
    app, _ = make_app(add_readers, max_files=2)
    caplog.set_level(logging.INFO, "flask_guard.refused")

    fitting = post(app, multipart(file_part(), part(), file_part()))
    refused = post(app, multipart(file_part(), file_part(), file_part("s3cret.txt")))

    assert fitting.status_code == 200
    problem = assert_problem(refused, 413, "body_too_large")
    assert problem["detail"] == "The form has more files than this service accepts."
    assert "s3cret" not in refused.get_data(as_text=True) + caplog.text


def test_no_files_at_all_may_be_allowed(make_app: AppMaker) -> None:
    app, _ = make_app(add_readers, max_files=0)

    assert post(app, multipart(part())).status_code == 200
    assert_problem(post(app, multipart(file_part())), 413, "body_too_large")


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (multipart(*[part()] * 11), MULTIPART),
        (multipart(*[file_part()] * 11), MULTIPART),
        (b"&".join([b"a=1"] * 11), URLENCODED),
        (b"&" * 10, URLENCODED),
    ],
    ids=["fields", "files", "urlencoded", "empty fields"],
)
def test_one_part_more_than_allowed_is_refused(make_app: AppMaker, data: bytes, content_type: str) -> None:
    app, _ = make_app(add_readers, max_form_parts=10)

    assert_problem(post(app, data, content_type=content_type), 413, "body_too_large")


@pytest.mark.parametrize(
    ("data", "content_type"),
    [(multipart(*[part()] * 10), MULTIPART), (b"&".join([b"a=1"] * 10), URLENCODED)],
    ids=["fields", "urlencoded"],
)
def test_as_many_parts_as_allowed_are_taken(make_app: AppMaker, data: bytes, content_type: str) -> None:
    app, _ = make_app(add_readers, max_form_parts=10)

    assert post(app, data, content_type=content_type).status_code == 200


@pytest.mark.parametrize("configured", [5, None])
def test_parts_are_flasks_number_where_ours_is_not_set(make_app: AppMaker, configured: int | None) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        app.config["MAX_FORM_PARTS"] = configured
        add_readers(app, guard)

    app, _ = make_app(setup)

    status = post(app, multipart(*[part()] * 1001)).status_code

    assert status == (413 if configured else 200)


@pytest.mark.parametrize(
    ("data", "content_type"),
    [(multipart(part(content=b"x" * 1001)), MULTIPART), (b"a=" + b"x" * 999, URLENCODED)],
    ids=["multipart", "urlencoded"],
)
@pytest.mark.parametrize("memory", [1000, None])
def test_text_has_flasks_bound_for_forms_in_memory(
    make_app: AppMaker, data: bytes, content_type: str, memory: int | None
) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        app.config["MAX_FORM_MEMORY_SIZE"] = memory
        add_readers(app, guard)

    app, _ = make_app(setup)

    answer = post(app, data, content_type=content_type)

    if memory is None:
        assert answer.status_code == 200
    else:
        assert_problem(answer, 413, "body_too_large")


def test_a_field_that_comes_in_pieces_has_the_bound_too(make_app: AppMaker) -> None:
    app, _ = make_app(add_readers)

    assert_problem(post(app, multipart(part(content=b"\r\n" * 300_000))), 413, "body_too_large")


PADDING = b"\r\nX-Padding: "


@pytest.mark.parametrize(
    ("data", "is_taken"),
    [
        (multipart(part(DISPOSITION + PADDING + b"x" * 8000)), True),
        (multipart(part(DISPOSITION + PADDING + b"x" * 8200)), False),
        (multipart(part(DISPOSITION + b"\r\nA:b" * 3000)), False),
        (multipart(part(DISPOSITION), part(DISPOSITION + b"\r\nA:b" * 3000)), False),
        (multipart(*[part(DISPOSITION + PADDING + b"x" * 1000)] * 100), True),
        (multipart(*[part(DISPOSITION + PADDING + b"x" * 1000)] * 200), False),
        (multipart(*[part(DISPOSITION + PADDING + b"x" * 80)] * 1000), True),
    ],
    ids=["long", "too long", "too many", "too many in the second", "large together", "too large together", "usual"],
)
@pytest.mark.parametrize("ends", [b"\r\n", b"\n", b"\r"], ids=["CRLF", "LF", "CR"])
def test_the_headers_of_parts_are_bounded(make_app: AppMaker, data: bytes, is_taken: bool, ends: bytes) -> None:
    app, _ = make_app(add_readers)

    answer = post(app, data.replace(b"\r\n", ends))

    if is_taken:
        assert answer.status_code == 200
    else:
        assert_problem(answer, 413, "body_too_large")


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "no boundary": (multipart(part()).replace(b"--b", b"--"), "multipart/form-data"),
    "an empty boundary": (multipart(part()).replace(b"--b", b"--"), 'multipart/form-data; boundary=""'),
    "a boundary of 10 KB": (b"--" + b"b" * 10_000 + b"--", "multipart/form-data; boundary=" + "b" * 10_000),
    "a boundary in no ASCII": (multipart(part()), "multipart/form-data; boundary=\xe9"),
    "another boundary": (multipart(part()), "multipart/form-data; boundary=c"),
    "a line end": (b"\r\n", MULTIPART),
    "no final boundary": (part(), MULTIPART),
    "cut in a header": (b"--b\r\nContent-Disp", MULTIPART),
    "no disposition": (multipart(part(b"Content-Type: text/plain")), MULTIPART),
    "headers in no UTF-8": (multipart(part(b'Content-Disposition: form-data; name="\xff"')), MULTIPART),
    "no name": (multipart(part(b"Content-Disposition: form-data")), MULTIPART),
    "a file without a name": (multipart(part(b'Content-Disposition: form-data; filename="f"')), MULTIPART),
    "urlencoded in no UTF-8": (b"a=\xff", URLENCODED),
}


@pytest.mark.parametrize(("data", "content_type"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_form_that_cannot_be_read_is_refused(
    make_app: AppMaker, data: bytes, content_type: str, caplog: pytest.LogCaptureFixture
) -> None:
    app, _ = make_app(add_readers)
    caplog.set_level(logging.INFO, "flask_guard.refused")

    answer = post(app, data, content_type=content_type)

    problem = assert_problem(answer, 400, "bad_request")
    assert problem["detail"] in {"The form could not be read.", "A part of the form has no name."}
    assert "form" in caplog.records[0].message


def test_names_with_nul_reach_the_view_as_they_are(make_app: AppMaker) -> None:
    app, _ = make_app(add_readers)

    answer = post(app, multipart(part(b'Content-Disposition: form-data; name="a\0b"')))

    assert answer.get_json()["form"] == {"a\0b": ["x"]}


@pytest.mark.parametrize(
    ("data", "content_type", "status", "code"),
    [
        (part(), MULTIPART, 400, "bad_request"),
        (multipart(*[part()] * 11), MULTIPART, 413, "body_too_large"),
        (b"&" * 11, URLENCODED, 413, "body_too_large"),
    ],
    ids=["unreadable", "parts", "fields"],
)
def test_a_form_that_was_refused_is_no_empty_one_the_next_time(
    make_app: AppMaker, data: bytes, content_type: str, status: int, code: str
) -> None:
    app, _ = make_app(add_readers, max_form_parts=10)

    assert_problem(post(app, data, "/twice", content_type), status, code)


def test_a_handler_of_the_application_does_not_reshape_a_refusal(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        add_readers(app, guard)
        app.register_error_handler(413, lambda _error: "ours")

    app, _ = make_app(setup, max_form_parts=1)

    assert_problem(post(app, multipart(part(), part())), 413, "body_too_large")


def test_files_that_were_opened_are_closed_when_the_form_is_refused(make_app: AppMaker) -> None:
    opened: list[IO[bytes]] = []

    class OwnRequest(Request):
        def _get_file_stream(self, *_args: Any, **_named: Any) -> IO[bytes]:
            opened.append(io.BytesIO())
            return opened[-1]

    def setup(app: Flask, guard: Guard) -> None:
        app.request_class = OwnRequest
        add_readers(app, guard)

    app, _ = make_app(setup, max_files=2)

    answer = post(app, multipart(*[file_part()] * 3))

    assert_problem(answer, 413, "body_too_large")
    assert [file.closed for file in opened] == [True, True]


def test_a_parser_of_the_application_stays_and_its_files_are_counted(make_app: AppMaker) -> None:
    used: list[str] = []

    class OwnParser(FormDataParser):
        def parse(self, stream: Any, mimetype: str, *further: Any, **named: Any) -> Any:
            used.append(mimetype)
            return super().parse(stream, mimetype, *further, **named)

    class OwnRequest(Request):
        form_data_parser_class = OwnParser

    def setup(app: Flask, guard: Guard) -> None:
        app.request_class = OwnRequest
        add_readers(app, guard)

    app, _ = make_app(setup, max_files=0)

    assert post(app, multipart(part())).status_code == 200
    assert_problem(post(app, multipart(file_part())), 413, "body_too_large")
    assert used == ["multipart/form-data"] * 2


def test_report_only_leaves_forms_to_flask(make_app: AppMaker) -> None:
    app, _ = make_app(add_readers, default_access="report-only", max_files=0)

    assert post(app, multipart(file_part())).status_code == 200
    assert post(app, part()).get_json() == {"form": {}, "files": {}}


@pytest.mark.parametrize(
    "read",
    [lambda: request.form, lambda: request.files, lambda: request.values, lambda: request.data],
    ids=["form", "files", "values", "data"],
)
def test_no_way_to_a_form_gets_past_the_bounds(make_app: AppMaker, read: Callable[[], Any]) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        @app.post("/form")
        @guard.public(reason="test")
        def view() -> str:
            read()
            return "all of it"

    app, _ = make_app(setup, max_files=0)

    assert_problem(post(app, multipart(file_part())), 413, "body_too_large")


def test_a_request_that_no_guard_has_seen_has_the_bounds_as_plain_refusals(make_app: AppMaker) -> None:
    app, _ = make_app(max_form_parts=1)
    data = multipart(part(), part())

    with app.test_request_context("/", method="POST", data=data, content_type=MULTIPART), pytest.raises(BodyTooLarge):
        request.form  # noqa: B018


def test_middleware_that_works_while_its_answer_is_read_leaves_a_higher_limit_as_it_is(make_app: AppMaker) -> None:
    """Such middleware, a generator, asks the application when the server has its answer already."""

    def add_middleware(app: Flask, guard: Guard) -> None:
        add_readers(app, guard)
        inner = app.wsgi_app

        def forward(environ: Any, start_response: Any) -> Any:
            yield from inner(environ, start_response)

        app.wsgi_app = forward  # type: ignore[method-assign]

    app, _guard = make_app(add_middleware, max_body="1K")

    answer = app.test_client().post("/form", data={"f": "x" * 5000}, content_type="multipart/form-data")

    assert answer.get_json()["form"] == {"f": ["x" * 5000]}
