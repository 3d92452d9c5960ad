"""Calls of a service that decides at once are let in one at a time, those of others are not, and a hang holds up nobody."""

import io
import threading
import time
import unittest

from aws_emulator import Emulator

CALLERS = 32
LOOKS = 200


class Overlaps:
    """In moto's place: notes whether another call came in while one was under way."""

    def __init__(self):
        self.inside = 0
        self.seen = False

    def __call__(self, environ, start_response):
        self.inside += 1
        for _ in range(LOOKS):
            # Lets every other thread run that can.
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

    def test_writes_of_items_take_turns(self):
        self.assertFalse(self.crowd("dynamodb", "UpdateItem"))

    def test_writes_of_parameters_take_turns(self):
        self.assertFalse(self.crowd("ssm", "PutParameter"))

    def test_other_calls_do_not(self):
        self.assertTrue(self.crowd("sts", "GetCallerIdentity"))

    def test_a_call_that_hangs_has_had_its_turn(self):
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
