#!/usr/bin/env python3
"""Sends one message from standard input, by ctypes and nothing else.

    ./send.py '[relay.example.net]:25' a@example.org b@example.net < message

Prints a line for each recipient. Ends with 0 when all were delivered, else with 75.
"""

import ctypes
import os
import sys
from ctypes import POINTER, byref, c_char_p, c_int32, c_size_t, c_uint64, c_void_p

LINES_LF = 1
OUTCOMES = ["none", "delivered", "deferred", "failed", "in doubt"]

lib = ctypes.CDLL(os.environ.get("PIPELANE_LIBRARY", "libpipelane.so.0"))


def declare(name, result, *arguments):
    """Tells ctypes what a function takes. Handles are pointers, so c_int, the default, would cut them."""
    function = getattr(lib, "pipelane_" + name)
    function.restype = result
    function.argtypes = arguments
    return function


last_error = declare("last_error", c_size_t, c_char_p, c_size_t)
engine_new = declare("engine_new", c_int32, c_void_p, POINTER(c_void_p))
engine_submit = declare("engine_submit", c_int32, c_void_p, c_void_p, c_void_p, c_int32, POINTER(c_uint64))
engine_poll = declare("engine_poll", c_int32, c_void_p, c_int32, POINTER(c_void_p))
engine_free = declare("engine_free", None, c_void_p)
message_new = declare("message_new", c_int32, POINTER(c_void_p))
set_next_hop = declare("message_set_next_hop", c_int32, c_void_p, c_char_p)
set_sender = declare("message_set_sender", c_int32, c_void_p, c_char_p)
add_recipient = declare("message_add_recipient", c_int32, c_void_p, c_char_p, c_char_p, c_char_p)
set_content = declare("message_set_content_buffer", c_int32, c_void_p, c_char_p, c_size_t, c_int32)
report_recipients = declare("report_recipients", c_size_t, c_void_p)
report_address = declare("report_address", c_char_p, c_void_p, c_size_t)
report_outcome = declare("report_outcome", c_int32, c_void_p, c_size_t)
report_code = declare("report_code", c_int32, c_void_p, c_size_t)
report_status = declare("report_status", c_char_p, c_void_p, c_size_t)
report_text = declare("report_text", c_char_p, c_void_p, c_size_t)
report_free = declare("report_free", None, c_void_p)


def check(result):
    """Raises what went wrong in the last call."""
    if result != 0:
        text = ctypes.create_string_buffer(500)
        last_error(text, len(text))
        raise RuntimeError(f"{result}: {text.value.decode()}")


def send(next_hop, sender, recipients, content):
    """Delivers one message and yields (recipient, outcome, code, status, text)."""
    engine, message, report = c_void_p(), c_void_p(), c_void_p()
    check(engine_new(None, byref(engine)))
    check(message_new(byref(message)))
    check(set_next_hop(message, next_hop.encode()))
    check(set_sender(message, sender.encode()))
    for recipient in recipients:
        check(add_recipient(message, recipient.encode(), None, None))
    check(set_content(message, content, len(content), LINES_LF))
    check(engine_submit(engine, message, None, 0, None))
    check(engine_poll(engine, 600_000, byref(report)))
    for n in range(report_recipients(report)):
        outcome = OUTCOMES[report_outcome(report, n)]
        status, text = report_status(report, n).decode(), report_text(report, n).decode()
        yield report_address(report, n).decode(), outcome, report_code(report, n), status, text
    report_free(report)
    engine_free(engine)


def main():
    if len(sys.argv) < 4:
        print(__doc__, file=sys.stderr)
        return 64
    ending = 0
    for recipient, outcome, code, status, text in send(sys.argv[1], sys.argv[2], sys.argv[3:], sys.stdin.buffer.read()):
        print(f"{recipient}: {outcome}, {code} {status} {text}")
        if outcome != "delivered":
            ending = 75
    return ending


if __name__ == "__main__":
    sys.exit(main())
