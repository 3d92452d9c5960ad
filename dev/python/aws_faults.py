"""Faults of an AWS service, waiting for the calls that they are to fail."""

import json
import threading
from collections import Counter
from dataclasses import dataclass, field

import cbor_gateway

# What Parameter Store says when it is KMS that refuses: there is no error code of its own for it.
KMS_ACCESS_DENIED = (
    "AccessDeniedException",
    "The ciphertext refers to a customer master key that does not exist, does not exist in this region, "
    "or you are not allowed to access.",
)
INTERNAL = ("InternalServerError", "An internal error occurred.")
REASONS = {400: "Bad Request", 403: "Forbidden", 429: "Too Many Requests", 503: "Service Unavailable"}


@dataclass
class Fault:
    """How calls of one action fail, and which of them do."""

    action: str
    code: str
    message: str
    status: int
    # How many more calls fail; None: all.
    times: int | None
    # How many calls go through before.
    skip: int
    # The call takes effect before it fails.
    after: bool
    # Only calls with this in their body are meant.
    containing: bytes
    released: threading.Event = field(default_factory=threading.Event)

    @staticmethod
    def parse(request):
        code, status = request["code"], 400
        message = f"{code}, injected"
        if code == "KMSAccessDenied":
            code, message = KMS_ACCESS_DENIED
        elif code == "500":
            (code, message), status = INTERNAL, 500
        return Fault(
            request["action"],
            code,
            request.get("message") or message,
            request.get("status") or status,
            request.get("times"),
            request.get("skip", 0),
            request.get("after", False),
            request.get("containing", "").encode(),
        )

    @property
    def hangs(self):
        return self.code == "hang"

    def answer(self, environ, start_response):
        code, status = self.code, self.status
        if self.hangs:
            code, status = INTERNAL[0], 500
        if cbor_gateway.operation_of(environ) is not None:
            headers, content = cbor_gateway.error(code, self.message)
        else:
            content = json.dumps({"__type": code, "message": self.message}).encode()
            headers = [("Content-Type", "application/x-amz-json-1.1")]
        reason = REASONS.get(status, "Internal Server Error")
        start_response(f"{status} {reason}", [*headers, ("Content-Length", str(len(content)))])
        return [content]


class Faults:
    """The faults waiting, by action; of those that mean a call, the first added is used up first."""

    def __init__(self):
        self.lock = threading.Lock()
        self.waiting = {}
        # The faults that calls may be hanging in.
        self.taken = []
        # Calls that hang, by action, and that no one who waits has been told of.
        self.untold = Counter()
        self.changed = threading.Condition(self.lock)
        self.closed = False

    def add(self, request):
        with self.lock:
            self.waiting.setdefault(request["action"], []).append(Fault.parse(request))

    def take(self, action, body):
        """The fault that this call meets, if it meets one."""
        with self.lock:
            queue = self.waiting.get(action, [])
            fault = next((fault for fault in queue if fault.containing in body), None)
            if fault is None:
                return None
            if fault.skip > 0:
                fault.skip -= 1
                return None
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    queue.remove(fault)
            if fault.hangs:
                self.taken.append(fault)
            return fault

    def hang(self, fault):
        """Tells who waits for it, and returns when the faults are cleared."""
        with self.changed:
            if not fault.released.is_set():
                self.untold[fault.action] += 1
                self.changed.notify_all()
        fault.released.wait()

    def until_hanging(self, action, seconds):
        """Waits for a call of `action` to hang; each call that does is told to one who waits. False: there was none."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed or self.untold[action] > 0, seconds)
            if self.closed or self.untold[action] == 0:
                return False
            self.untold[action] -= 1
            return True

    def clear(self):
        with self.lock:
            for fault in self.taken:
                fault.released.set()
            self.taken.clear()
            self.waiting.clear()
            self.untold.clear()

    def close(self):
        """Clears them, and has nobody wait any more."""
        self.clear()
        with self.changed:
            self.closed = True
            self.changed.notify_all()
