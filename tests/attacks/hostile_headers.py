"""Header texts that have broken a parser somewhere, or nearly. Names as the WSGI environment has them."""

from __future__ import annotations

HOSTILE: dict[str, list[str]] = {
    "HTTP_HOST": [
        "", "[", "[::1", "[::1]:", "a:b", "a:99999", "a:-1", "a b", "a@b", "a/b", "a\\b", "a,b", "..", ".", "xn--",
        "xn--a", "xn--strae-oqa.de", "xn--a" * 60, "\xe9", "[v1.a]", "[fe80::1%eth0]", "1.2.3.4.5", "a\x00b",
    ],
    "HTTP_ORIGIN": [
        "null", "https://", "https://[", "https://[::1", "http://a:b", "https://a b", "://", "https://\xe9",
    ],
    "HTTP_REFERER": ["http://[", "http://[::1", "//", "http://a:b/", "\xe9", "http://a\\b"],
    "HTTP_ACCESS_CONTROL_REQUEST_METHOD": ["", "GET, POST", "\xe9", "a b"],
    "HTTP_ACCESS_CONTROL_REQUEST_HEADERS": ["", ",", "a,,b", "*", "\xe9", "a b", "x" * 5000],
    "CONTENT_TYPE": [
        "", "/", ";", "a/b;", "a/b;c", 'a/b;c="', "multipart/form-data", "multipart/form-data;boundary=\xe9",
        'multipart/form-data; boundary="', "multipart/form-data; boundary*0*=utf-8''%ff", "text/plain;charset=",
        "application/json", "application/json; charset=utf-7", "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b", "multipart/form-data; boundary*=rot13''b",
    ],
    "CONTENT_LENGTH": ["", "-1", "+1", "1_0", "0x1", "1e1", "1,1", " 1", "9" * 20, "9" * 5000, "\xb2", "1\x00"],
    "HTTP_CONTENT_ENCODING": ["gzip", "x-gzip", "gzip, gzip", "br", "identity", ",", "\xe9"],
    "HTTP_TRANSFER_ENCODING": [
        "chunked", "Chunked", "identity", "gzip, chunked", "chunked, chunked", "\x0bchunked", "",
    ],
    "HTTP_RANGE": [
        "bytes=", "bytes=-", "bytes=0-", "bytes=-0", "bytes=5-1", "bytes=0-0,1-1", "bytes=0-0,", "bytes=a-b",
        "bytes=" + "9" * 5000 + "-", "bytes=-" + "9" * 5000, "bytes=0-" + "9" * 5000, "lines=0-1", "bytes=\xb2-",
        "bytes=" + "0-0," * 2000, "bytes=99-", "BYTES=0-1", "bytes 0-1",
    ],
    "HTTP_IF_RANGE": ['"x"', 'W/"x"', "x", '"', "Sat, 01 Jan 0000 00:00:00 GMT", "Sun, 09 Sep 2001 01:46:40 GMT"],
    "HTTP_IF_MATCH": ["*", '"x"', 'W/"', '"', ",", "\xe9"],
    "HTTP_IF_NONE_MATCH": ["*", '"x"', 'W/"x", "y', '"\x00"', '"' * 3000],
    "HTTP_IF_MODIFIED_SINCE": [
        "0", "Sat, 01 Jan 0000 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "1 Jan " + "9" * 5000,
        "Mon, 99 Foo 2000 99:99:99 +99999999", "Sun, 09 Sep 2001 01:46:40 GMT; length=1",
    ],
    "HTTP_IF_UNMODIFIED_SINCE": ["Sat, 01 Jan 0000 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "\xe9"],
    "HTTP_DATE": ["Sat, 01 Jan 0000 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "1 Jan 99999999999999999999"],
    "HTTP_COOKIE": [
        "=", ";", "a", "=a", "a=;", 'a="', 'a="\\400"', 'a="\\377"', "session=.", "session=a.b.c", "a=\xff",
        "session=" + "." * 3000, "a=1; a=2", "\x00=\x00", "__Host-session=x",
    ],
    "HTTP_AUTHORIZATION": [
        "Basic", "Basic ", "Basic \xe9", "Basic YQ", "Basic YTpi", "Basic ====", "Digest", "Digest a",
        'Digest username="', "Bearer", "Bearer ", "Bearer ..", "Bearer \xe9.\xe9.\xe9", "Bearer a b", "Negotiate a=b=c",
        ' , =", ', "Digest a*0*=utf-8''%ff", "Bearer " + "." * 5000,
    ],
    "HTTP_X_API_KEY": ["", " ", "\xa0", "a" * 5000, "\x00", "key_\xb2"],
    "HTTP_ACCEPT": [
        "*", "*/*", "a", "/", "a/b;q", "a/b;q=", "a/b;q=-1", "a/b;q=9" + "9" * 400, "a/b;q=0." + "0" * 400 + "1",
        "a/b;q=nan", "a/b;q=\xb2", ",", "a/b;c=\"", "*/b", "a/b/c", "a/b," * 1000,
    ],
    "HTTP_ACCEPT_LANGUAGE": ["*", "-", "en-", "en;q=x", "\xe9", "en_US-x", "en;q=1e9"],
    "HTTP_ACCEPT_ENCODING": ["*;q=0", "gzip;q=", "\xe9"],
    "HTTP_CACHE_CONTROL": ["max-age", "max-age=", "max-age=\xb2", "max-age=" + "9" * 5000, 'private="', "=", ","],
    "HTTP_X_FORWARDED_FOR": [
        "", ",", "unknown", "1.2.3.4:5", "[::1]:5", "[", "1.2.3.4, ", "1.2.3.4," * 500, "\xe9", "::ffff:1.2.3.4",
        "fe80::1%eth0", "01.02.03.04", "1" * 5000,
    ],
    "HTTP_X_FORWARDED_HOST": ["[", "a,b", "", "a:b", "\xe9"],
    "HTTP_X_FORWARDED_PROTO": ["", "https,http", "javascript", "\xe9"],
    "HTTP_X_FORWARDED_PORT": ["", "a", "99999", "-1", "443,80", "9" * 5000],
    "HTTP_X_FORWARDED_PREFIX": ["//evil", "..", "\xe9", "/a\r", "a"],
    "HTTP_FORWARDED": [
        "for=", "for=_x", 'for="[', 'for="[::1]:9', ";", ",", "for=1.2.3.4;for=5.6.7.8", 'for="\\"', "host=[",
        "proto=\xe9", "for=1.2.3.4," * 300, "=;=,=",
    ],
    "HTTP_TRACEPARENT": [
        "", "00", "00-", "00-" + "0" * 32 + "-" + "0" * 16 + "-00", "ff-" + "a" * 32 + "-" + "b" * 16 + "-01",
        "00-" + "\xb2" * 32 + "-" + "b" * 16 + "-01", "-" * 100,
    ],
    "HTTP_X_REQUEST_ID": ["", " ", "a\rb", "\xe9", "a" * 5000, "\x00", "../../x", "%0d%0a"],
    "HTTP_UPGRADE": ["websocket", "h2c", "\xe9"],
    "HTTP_CONNECTION": ["upgrade", "close, keep-alive", "\xe9"],
    "HTTP_EXPECT": ["100-continue", "\xe9"],
    "HTTP_X_HTTP_METHOD_OVERRIDE": ["DELETE", "\xe9"],
    "HTTP_SEC_FETCH_SITE": ["", "cross-site", "same-origin, cross-site", "\xe9"],
    "HTTP_SEC_FETCH_MODE": ["", "navigate", "\xe9"],
    "HTTP_PRAGMA": ["no-cache", '="', "\xe9"],
    "HTTP_USER_AGENT": ["", "\xe9", "a" * 5000],
}  # fmt: skip

# What a form, JSON and a file look like, for the headers that speak of them.
BODIES = (
    b"",
    b"{}",
    b"a=1&b=%ff",
    b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nx\r\n--b--\r\n',
)
