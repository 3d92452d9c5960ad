"""Tests of concurrent calls.

Calls of DynamoDB and Parameter Store run one at a time. Other calls run concurrently. A hanging call blocks no other.
"""

import io
import threading
import time
import unittest

from aws_emulator import Emulator

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


if __name__ == "__main__":
    unittest.main()
