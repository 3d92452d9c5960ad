"""Simulated faults of AWS calls."""

import json
import threading
from collections import Counter
from dataclasses import dataclass, field

import cbor_gateway

# Parameter Store's error if KMS denies access. Parameter Store has no separate error code for this case.
KMS_ACCESS_DENIED = (
    "AccessDeniedException",
    "The ciphertext refers to a customer master key that does not exist, does not exist in this region, "
    "or you are not allowed to access.",
)
INTERNAL = ("InternalServerError", "An internal error occurred.")
REASONS = {400: "Bad Request", 403: "Forbidden", 429: "Too Many Requests", 503: "Service Unavailable"}


@dataclass
class Fault:
    """A fault of the calls of one action."""

    action: str
    code: str
    message: str
    status: int
    # The number of calls that still fail. None means all.
    times: int | None
    # The number of calls that succeed before the first failure.
    skip: int
    # The call takes effect before it fails.
    after: bool
    # The fault affects only calls whose body contains these bytes.
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
    """The armed faults, by action. If several faults match a call, the oldest one takes effect."""

    def __init__(self):
        self.lock = threading.Lock()
        self.waiting = {}
        # The faults in which calls may hang.
        self.taken = []
        # The number of hanging calls, by action, that have not ended a wait yet.
        self.untold = Counter()
        self.changed = threading.Condition(self.lock)
        self.closed = False

    def add(self, request):
        with self.lock:
            self.waiting.setdefault(request["action"], []).append(Fault.parse(request))

    def take(self, action, body):
        """Returns the fault that affects this call, or None."""
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
        """Ends one wait for a hanging call, and returns when the faults are cleared."""
        with self.changed:
            if not fault.released.is_set():
                self.untold[fault.action] += 1
                self.changed.notify_all()
        fault.released.wait()

    def until_hanging(self, action, seconds):
        """Waits until a call of `action` hangs. Each hanging call ends one wait. Returns False after `seconds`."""
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
        """Removes all faults and ends all waits."""
        self.clear()
        with self.changed:
            self.closed = True
            self.changed.notify_all()
