#!/usr/bin/env python3
"""Write the seed corpora: one file or more for each message type and each
kind of malformed message, and session objects good and bad. Run it in its own
directory; what fuzzing finds is added beside, not here."""
import os

ID = bytes(range(1, 9))
T = '"c":"2026-11-22T09:00:00Z","l":"2026-11-22T09:00:00.5+02:00"'

DECODE = {
    "reply-error": b"\x00" + ID + b"\x03BADoh",
    "reply-error-bare": b"\x00" + ID + b"\x01E",
    "reply-error-no-code": b"\x00" + ID + b"\x00mm",
    "reply-error-code-too-long": b"\x00" + ID + b"\xffCC",
    "reply-shutdown": b"\x01" + ID,
    "reply-shutdown-longer": b"\x01" + ID + b"xy",
    "reply-internal-error": b"\x02" + ID,
    "reply-session-not-found": b"\x03" + ID,
    "reply-max-session-connections": b"\x04" + ID,
    "reply-sessions-disabled": b"\x05" + ID,
    "notify-session-created": b"\x15{" + T.encode() + b"}",
    "notify-session-created-empty": b"\x15",
    "notify-session-closed": b"\x16",
    "notify-session-closed-longer": b"\x16x",
    "accept-conf": b"\x17\x02\x00\x60\xea\x00\x00\x00\x20\x00\x00",
    "accept-conf-named": b"\x17\x02\x00\x60\xea\x00\x00\x00\x20\x00\x00chat",
    "accept-conf-short": b"\x17\x02\x00\x60\xea\x00\x00\x00\x20\x00",
    "request-close-session": b"\x1f" + ID,
    "request-close-session-longer": b"\x1f" + ID + b"x",
    "request-restore-session": b"\x20" + ID + b"kQ9-_",
    "request-restore-session-no-key": b"\x20" + ID,
    "heartbeat": b"\x21",
    "heartbeat-longer": b"\x21\x21",
    "signal-binary": b"\x3f\x02hi\xff\x00",
    "signal-binary-name-only": b"\x3f\x01n",
    "signal-binary-nothing": b"\x3f\x00",
    "signal-binary-name-too-long": b"\x3f\xffn",
    "signal-binary-strange-name": b"\x3f\x02\xff\x00p",
    "signal-utf8": b"\x40\x03abc\xc3\xa4",
    "signal-utf8-invalid": b"\x40\x00\xed\xa0\x80\xc0\xaf\xf4\x90\x80\x80",
    "signal-utf16": b"\x41\x01n\x00a\x00\x3d\xd8\x00\xde",
    "signal-utf16-even-name": b"\x41\x02nma\x00",
    "signal-utf16-odd": b"\x41\x00abc",
    "signal-utf16-no-payload": b"\x41\x02nm",
    "signal-utf16-lone-surrogate": b"\x41\x00\x00\xd8\x00\xdc\x00\xdc",
    "request-binary": b"\x7f" + ID + b"\x04echo\x01\x02\x03",
    "request-binary-nothing": b"\x7f" + ID + b"\x00",
    "request-utf8": b"\x80" + ID + b"\x01etext",
    "request-utf8-name-only": b"\x80" + ID + b"\x01n",
    "request-utf16": b"\x81" + ID + b"\x03abc\x00z\x00",
    "request-utf16-name-only": b"\x81" + ID + b"\x01n\x00",
    "request-utf16-no-name": b"\x81" + ID + b"\x00a\x00",
    "request-utf16-no-pad": b"\x81" + ID + b"\x01n",
    "request-utf16-odd": b"\x81" + ID + b"\x00abc",
    "reply-binary": b"\xbf" + ID + b"\x00",
    "reply-utf8": b"\xc0" + ID + b"yes",
    "reply-utf16": b"\xc1" + ID + b"\x00y\x00",
    "reply-utf16-no-pad": b"\xc1" + ID,
    "longest-name": b"\x3f\xff" + b"n" * 255 + b"p",
    "unknown-type": b"\x06" + ID,
    "empty": b"",
}

SESSION = {
    "plain": '{"k":"kQ9-_",%s}' % T,
    "info": '{"k":"k",%s,"i":{"a":"x","n":1}}' % T,
    "spaces": ' { "k" : "k" ,\n%s ,\t"i" : { "a" : [ 1 , { } ] } } ' % T,
    "numbers": '{"k":"k",%s,"i":{"a":9223372036854775808,"b":0.10,'
               '"c":-1E+2}}' % T,
    "escapes": '{"k":"\\u0041\\\\",%s,"i":{"\\u0061":"\\"}{",'
               '"":"\\ud83d\\ude00"}}' % T,
    "nested": '{"k":"k",%s,"i":{"nested":{"a":[[{"a":"]"}]]},'
              '"a":null}}' % T,
    "twice": '{"k":"k","k":"l",%s,"i":{},"\\u0069":{"a":1,"a":"2"}}' % T,
    "nul": '{"k":"k",%s,"i":{"a":"\\u0000"}}' % T,
    "nul-behind-number": '{"k":"k",%s,"i":{"a":1\0}}' % T,
    "nul-in-key": '{"k":"a\\u0000",%s}' % T,
    "no-look-up": '{"k":"k","c":"2017-10-21T18:50:13.123456789+02:00"}',
    "earliest": '{"k":"k","c":"1677-09-21T00:12:43.145224192Z"}',
    "bad-time": '{"k":"k","c":"2017-02-29T00:00:00Z"}',
    "null-info": '{"k":"k",%s,"i":null}' % T,
    "bad-info": '{"k":"k",%s,"i":[]}' % T,
    "no-key": '{%s}' % T,
    "array": '[%s]' % '{}',
    "cut": '{"k":"k",%s,"i":{"a' % T,
    "not-utf8": '{"k":"\udcff",%s}' % T,
    "deep": '{"k":"k",%s,"i":%s1%s}' % (T, '{"a":' * 40, '}' * 40),
    "empty": '',
}

HEAD = b"\x01\x01" + b"\x88\x77\x66\x55\x44\x33\x22\x11"
ENVELOPE = {
    "utf8": HEAD + b"\x04namehello",
    "empty-name": HEAD + b"\x00hello",
    "nothing": HEAD + b"\x00",
    "name-only": HEAD + b"\x03abc",
    "longest-name": HEAD + b"\xff" + b"n" * 255 + b"p",
    "name-too-long": HEAD + b"\x05abc",
    "internal": b"\x01\x04" + bytes(8) + b"\x01nx",
    "utf16": b"\x01\x02" + bytes(8) + b"\x01na\x00",
    "utf16-odd": b"\x01\x02" + bytes(8) + b"\x01na\x00b",
    "bad-encoding": b"\x01\x03" + bytes(8) + b"\x00",
    "sender": b"\x01\x09" + bytes(8) + b"\x01" + ID + ID + b"nx",
    "sender-of-zeros": b"\x01\x09" + bytes(8) + b"\x01" + bytes(16) + b"nx",
    "sender-cut": b"\x01\x09" + bytes(8) + b"\x01" + ID + b"nx",
    "bad-flag": b"\x01\x10" + bytes(8) + b"\x00",
    "version-0": b"\x00\x01" + bytes(8) + b"\x00",
    "version-2": b"\x02\x01" + bytes(8) + b"\x00",
    "short": HEAD,
    "empty": b"",
}

HINT = b"1795354543000123-42 00112233445566778899aabbccddeeff 7 1795354543000 "
HINTS = {
    "logged": HINT + ENVELOPE["utf8"],
    "empty": HINT,
    "not-logged": b"0-0" + HINT[19:] + ENVELOPE["sender"],
    "largest": b"18446744073709551615-18446744073709551615 " + b"f" * 32 +
               b" 18446744073709551615 18446744073709551615 x",
    "too-large": HINT.replace(b" 7 ", b" 18446744073709551616 ") + b"x",
    "offset-0": HINT.replace(b"-42", b"-0") + b"x",
    "epoch-0": b"0-42" + HINT[19:] + b"x",
    "boot-short": HINT.replace(b"00", b"", 1) + b"x",
    "boot-upper": HINT.replace(b"aa", b"AA") + b"x",
    "cut": HINT[:-1],
    "nothing": b"",
}


def resp(value):
    if isinstance(value, int):
        return b":%d\r\n" % value
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, str):
        return b"$%d\r\n%s\r\n" % (len(value), value.encode())
    return b"*%d\r\n" % len(value) + b"".join(resp(each) for each in value)


def node(host, port=6379, *more):
    return [host, port, "0123456789abcdef0123456789abcdef01234567", *more]


SLOTS = {
    "usual": resp([[0, 5460, node("10.0.0.1", 6379, []), node("10.0.0.4")],
                   [5461, 10922, node("10.0.0.2")],
                   [10923, 16383, node("10.0.0.3"), node("10.0.0.6")]]),
    "names": resp([[0, 16383, node("redis.example", 7000,
                                   ["ip", "10.0.0.1"])]]),
    "no-name": resp([[0, 100, node("?", 7000, ["ip", "10.0.0.1"])],
                     [101, 101, node("?", 7000, ["hostname", "h"])],
                     [102, 102, node("?", 7000)]]),
    "own": resp([[0, 0, node("", 1)], [16383, 16383, node(None, 65535)]]),
    "ipv6": resp([[0, 16383, node("2001:db8::1")]]),
    "twice": resp([[0, 10, node("a")], [10, 11, node("b")]]),
    "backwards": resp([[10, 0, node("a")]]),
    "beyond": resp([[0, 16384, node("a")]]),
    "port-0": resp([[0, 1, node("a", 0)]]),
    "port-65536": resp([[0, 1, node("a", 65536)]]),
    "long-name": resp([[0, 1, node("a" * 300)]]),
    "nul": resp([[0, 1, node("a\0b")]]),
    "no-master": resp([[0, 1]]),
    "not-a-row": resp([1, "a", None, []]),
    "empty": resp([]),
    "nil": b"*-1\r\n",
    "error": b"-CLUSTERDOWN The cluster is down\r\n",
    "moved": b"MOVED 3999 127.0.0.1:6381",
    "moved-to-ipv6": b"MOVED 16383 2001:db8::1:65535",
    "moved-to-own": b"MOVED 0 :6381",
    "moved-slot": b"MOVED 16384 a:1",
    "moved-port": b"MOVED 1 a:65536",
    "moved-long": b"MOVED 1 " + b"a" * 300 + b":1",
    "moved-nowhere": b"MOVED 1 ",
    "ask": b"ASK 3999 127.0.0.1:6381",
    "nothing": b"",
}


def frame(first, payload=b"", length_bytes=0, mask=b"\x11\xa2\x73\xf4"):
    size = len(payload)
    if not length_bytes and size > 125:
        length_bytes = 2 if size < 65536 else 8
    code = {0: size, 2: 126, 8: 127}[length_bytes]
    length = size.to_bytes(length_bytes, "big") if length_bytes else b""
    body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return bytes([first, 0x80 | code]) + length + mask + body


# The first byte is the size of the reads.
FRAMES = {
    "binary": b"\x00" + frame(0x82, b"hello") + frame(0x82),
    "text": b"\x02" + frame(0x81, b"hello"),
    "long": b"\x05" + frame(0x82, b"x" * 300) + frame(0x82, b"y"),
    "longer": b"\x1f" + frame(0x82, b"x" * 66000),
    "long-length": b"\x00" + frame(0x82, b"ab", 8) + frame(0x82, b"c", 2),
    "fragments": b"\x03" + frame(0x02, b"one") + frame(0x00) +
                 frame(0x89, b"ping") + frame(0x80, b"two") + frame(0x82),
    "control": b"\x06" + frame(0x89, b"p" * 125) + frame(0x8a) +
               frame(0x88, b"\x03\xe8bye"),
    "close-codes": b"\x00" + b"".join(
        frame(0x88, code.to_bytes(2, "big"))
        for code in (0, 999, 1000, 1004, 1005, 1015, 3000, 4999, 5000)) +
        frame(0x88, b"\x03") + frame(0x88, b"\x03\xe8\xff"),
    "unmasked": b"\x00" + frame(0x82, b"a") + b"\x82\x01a",
    "reserved": b"\x00" + frame(0xc2, b"a"),
    "bad-opcode": b"\x00" + frame(0x83, b"a"),
    "long-ping": b"\x00" + frame(0x89, b"p" * 126),
    "cut-ping": b"\x00" + frame(0x09, b"p"),
    "lonely": b"\x00" + frame(0x80, b"p"),
    "message-in-message": b"\x00" + frame(0x02, b"p") + frame(0x82),
    "huge": b"\x00\x82\xff" + b"\x7f" + b"\xff" * 7 + b"maskabc",
    "too-huge": b"\x00\x82\xff" + b"\xff" * 8 + b"maskabc",
    "cut": b"\x00" + frame(0x82, b"hello")[:-2],
    "nothing": b"",
}

UPGRADE = (b"Host: a.example:80\r\nConnection: keep-alive, Upgrade\r\n"
           b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
REQUESTS = {
    "usual": b"GET /chat?a=b&c=d HTTP/1.1\r\n" + UPGRADE + b"\r\n",
    "frames-behind": b"GET / HTTP/1.1\r\n" + UPGRADE + b"\r\n" +
                     frame(0x82, b"hello"),
    "browser": b"GET /ws HTTP/1.1\r\n" + UPGRADE +
               b"Origin: https://a.example\r\nCookie: a=b; c=d\r\n"
               b"Sec-WebSocket-Extensions: permessage-deflate; "
               b"client_max_window_bits\r\nEmpty:\r\n\r\n",
    "escape": b"GET /%20 HTTP/1.1\r\n" + UPGRADE + b"\r\n",
    "dots": b"GET /a/../b HTTP/1.1\r\n" + UPGRADE + b"\r\n",
    "nul": b"GET /a\0b HTTP/1.1\r\n" + UPGRADE + b"\r\n",
    "folded": b"GET / HTTP/1.1\r\n" + UPGRADE + b"X: a\r\n b\r\n\r\n",
    "twice": b"GET / HTTP/1.1\r\n" + UPGRADE + b"hOST: b\r\n\r\n",
    "body": b"GET / HTTP/1.1\r\n" + UPGRADE + b"Content-Length: 1\r\n\r\nx",
    "line-feeds": b"GET / HTTP/1.1\n" + UPGRADE + b"\n",
    "many": b"GET / HTTP/1.1\r\n" + UPGRADE +
            b"".join(b"X-%d: y\r\n" % i for i in range(50)) + b"\r\n",
    "no-upgrade": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "post": b"POST / HTTP/1.1\r\n" + UPGRADE + b"\r\n",
    "cut": b"GET / HTTP/1.1\r\n" + UPGRADE,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "nothing": b"",
}


def write(directory, name, content):
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, name), "wb") as file:
        file.write(content)


for name, content in DECODE.items():
    write("corpus/decode", name, content)
for name, content in ENVELOPE.items():
    write("corpus/envelope", name, content)
for name, content in HINTS.items():
    write("corpus/hint", name, content)
for name, content in SLOTS.items():
    write("corpus/slots", name, content)
for name, content in SESSION.items():
    write("corpus/session", name, content.encode("utf-8", "surrogateescape"))
for name, content in FRAMES.items():
    write("corpus/wsparser", name, content)
for name, content in REQUESTS.items():
    write("corpus/wshead", name, content)
