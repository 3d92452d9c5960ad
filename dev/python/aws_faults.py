"""Faults of an AWS service, waiting for the calls that they are to fail."""

import json
import threading
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
    """How calls of one action fail, and how many more of them do (None: all)."""

    code: str
    message: str
    status: int
    times: int | None
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
            code,
            request.get("message") or message,
            request.get("status") or status,
            request.get("times"),
        )

    def answer(self, environ, start_response):
        code, status = self.code, self.status
        if code == "hang":
            self.released.wait()
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
    """The faults waiting, by action; the first added to an action is used up first."""

    def __init__(self):
        self.lock = threading.Lock()
        self.waiting = {}
        self.hanging = []

    def add(self, request):
        with self.lock:
            self.waiting.setdefault(request["action"], []).append(Fault.parse(request))

    def take(self, action):
        with self.lock:
            queue = self.waiting.get(action)
            if not queue:
                return None
            fault = queue[0]
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    queue.pop(0)
            if fault.code == "hang":
                self.hanging.append(fault)
            return fault

    def clear(self):
        with self.lock:
            for fault in self.hanging:
                fault.released.set()
            self.hanging.clear()
            self.waiting.clear()
