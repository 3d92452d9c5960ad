"""Tests of concurrent calls.

Calls of DynamoDB and Parameter Store run one at a time. Other calls run concurrently. A hanging call blocks no other.
Queues keep messages that are sent during a delete, and deliver delayed messages on time.
"""

import io
import threading
import time
import unittest

import sqs_exact
from aws_emulator import Emulator
from moto.sqs.models import sqs_backends

CALLERS = 32
LOOKS = 200


class Overlaps:
    """Replaces moto. Records whether two calls run at the same time."""

    def __init__(self):
        self.inside = 0
        self.seen = False

    def __call__(self, environ, start_response):
        self.inside += 1
        for _ in range(LOOKS):
            # Lets the other threads run.
            time.sleep(0)
            self.seen |= self.inside > 1
        self.inside -= 1
        start_response("200 OK", [])
        return [b"{}"]


def call(emulator, service, operation, statuses):
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential=key/20260101/eu-central-1/{service}/aws4_request, Signature=",
        "HTTP_X_AMZ_TARGET": f"Service.{operation}",
        "wsgi.input": io.BytesIO(),
    }
    emulator(environ, lambda status, headers: statuses.append(status))


def started(emulator, service, operation, statuses, callers):
    threads = [
        threading.Thread(target=call, args=(emulator, service, operation, statuses), daemon=True)
        for _ in range(callers)
    ]
    for thread in threads:
        thread.start()
    return threads


class Turns(unittest.TestCase):
    def setUp(self):
        self.emulator = Emulator()
        self.overlaps = self.emulator.moto = Overlaps()
        self.statuses = []

    def crowd(self, service, operation):
        for thread in started(self.emulator, service, operation, self.statuses, CALLERS):
            thread.join()
        self.assertEqual(self.statuses, ["200 OK"] * CALLERS)
        return self.overlaps.seen

    def test_item_writes_run_one_at_a_time(self):
        self.assertFalse(self.crowd("dynamodb", "UpdateItem"))

    def test_parameter_writes_run_one_at_a_time(self):
        self.assertFalse(self.crowd("ssm", "PutParameter"))

    def test_calls_of_other_services_run_concurrently(self):
        self.assertTrue(self.crowd("sts", "GetCallerIdentity"))

    def test_hanging_call_does_not_block_other_calls(self):
        for after in (False, True):
            self.emulator.faults.add({"action": "dynamodb:PutItem", "code": "hang", "times": 1, "after": after})
            hanging = started(self.emulator, "dynamodb", "PutItem", [], 1)
            self.assertTrue(self.emulator.faults.until_hanging("dynamodb:PutItem", 60))
            self.assertFalse(self.crowd("dynamodb", "PutItem"))
            self.statuses.clear()
            self.emulator.faults.clear()
            hanging[0].join()


class SendingList(list):
    """The messages of a queue. After the first look at all of them, another thread calls `send`."""

    def __init__(self, messages, send):
        super().__init__(messages)
        self.sending = threading.Thread(target=send, daemon=True)

    def __iter__(self):
        yield from super().__iter__()
        if not self.sending.ident:
            self.sending.start()
            # The thread waits for the end of the delete if the queue is locked.
            self.sending.join(0.5)


class Queues(unittest.TestCase):
    def setUp(self):
        sqs_exact.install()
        self.backend = sqs_backends["123456789012"]["eu-central-1"]
        self.backend.reset()
        self.queue = self.backend.create_queue("queue", None)

    def send(self, body, delay=None):
        return self.backend.send_message("queue", body, delay_seconds=delay)

    def test_message_sent_during_a_delete_is_kept(self):
        self.send("first")
        first = self.backend.receive_message("queue", 1, 0, 30)[0]
        messages = SendingList(self.queue._messages, lambda: self.send("second"))
        self.queue._messages = messages
        self.queue.delete_message(first.receipt_handle)
        messages.sending.join(60)
        self.assertEqual([message.body for message in self.queue._messages], ["second"])

    def test_long_poll_returns_when_a_delay_ends(self):
        self.send("late", delay=1)
        started = time.monotonic()
        self.queue.wait_for_messages(60)
        self.assertLess(time.monotonic() - started, 30)
        self.assertEqual(len(self.queue.messages), 1)


if __name__ == "__main__":
    unittest.main()
