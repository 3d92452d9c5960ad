"""Serves moto as one AWS endpoint on loopback, counts its calls and fails them on demand.

moto's own server closes the connection after every answer, which hides what a client's connection reuse is worth, so
its WSGI application is served by cheroot, which keeps connections alive. CloudWatch speaks the CBOR protocol that
current AWS SDKs use and moto does not; `cbor_gateway` translates it. DynamoDB and Parameter Store decide about an item or
a version at once; moto looks first and writes then, so their calls are let in one at a time.

Prints one JSON line, {"endpoint": ...}, when it is ready, and ends when its standard input does.

    GET    /_latchkey/calls    {"ssm:GetParameter": 3, ...}
    DELETE /_latchkey/calls    starts counting anew
    POST   /_latchkey/faults   {"action": "ssm:GetParameter", "code": "ThrottlingException", "times": 2}
    DELETE /_latchkey/faults   clears them, and lets go of calls that hang
    GET    /_latchkey/hanging?action=ssm:GetParameter&seconds=10
                               answers when such a call hangs: {"hangs": true}, or false after this time
    POST   /_latchkey/parameter_age  {"seconds": 60}
                               dates the versions of parameters that are stored from now on this long before now
"""

import contextlib
import io
import json
import sys
import threading
import urllib.parse
from collections import Counter

from cheroot.wsgi import Server
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

import cbor_gateway
import cloudwatch_exact
import ssm_exact
from aws_faults import Faults

# The services whose calls are let in one at a time.
SERIAL = ("dynamodb", "ssm")
# A call that hangs holds one of these until the faults are cleared.
THREADS = 64
CONTROL = "/_latchkey/"


def service_of(environ):
    """The service that the request was signed for."""
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition(",")[0].split("/")
    return scope[3] if len(scope) == 5 else "unknown"


def action_of(environ, body):
    """The call's name in IAM's style, such as ssm:GetParameter, whichever protocol carries it."""
    service = service_of(environ)
    service = {"monitoring": "cloudwatch"}.get(service, service)
    operation = cbor_gateway.operation_of(environ)
    if operation is None:
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    if not operation:
        form = environ.get("QUERY_STRING", "") + "&" + body.decode("utf-8", "replace")
        operation = urllib.parse.parse_qs(form).get("Action", ["unknown"])[0]
    return f"{service}:{operation}"


class Emulator:
    """The WSGI application: control paths here, everything else to moto."""

    def __init__(self):
        self.moto = cbor_gateway.CborGateway(DomainDispatcherApplication(create_backend_app))
        self.faults = Faults()
        self.lock = threading.Lock()
        self.calls = Counter()
        self.turns = {service: threading.Lock() for service in SERIAL}

    def __call__(self, environ, start_response):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        if environ["PATH_INFO"].startswith(CONTROL):
            return self.control(environ, body, start_response)
        action = action_of(environ, body)
        with self.lock:
            self.calls[action] += 1
        fault = self.faults.take(action, body)
        if fault is None:
            return self.perform(action, environ, body, start_response)
        if fault.after:
            # On a copy: the translation to moto's protocol would change how the fault is worded.
            self.perform(action, environ.copy(), body, lambda *_: None)
        if fault.hangs:
            # Here no turn is held, so that others go on meanwhile.
            self.faults.hang(fault)
        return fault.answer(environ, start_response)

    def perform(self, action, environ, body, start_response):
        """The call at moto, which is over when this returns."""
        environ["wsgi.input"] = io.BytesIO(body)
        with self.turns.get(action.partition(":")[0], contextlib.nullcontext()):
            chunks = self.moto(environ, start_response)
            try:
                return list(chunks)
            finally:
                if hasattr(chunks, "close"):
                    chunks.close()

    def control(self, environ, body, start_response):
        route = (environ["REQUEST_METHOD"], environ["PATH_INFO"].removeprefix(CONTROL))
        status, answer = "200 OK", {}
        if route == ("GET", "calls"):
            with self.lock:
                answer = dict(self.calls)
        elif route == ("DELETE", "calls"):
            with self.lock:
                self.calls.clear()
        elif route == ("POST", "faults"):
            self.faults.add(json.loads(body))
        elif route == ("DELETE", "faults"):
            self.faults.clear()
        elif route == ("GET", "hanging"):
            query = dict(urllib.parse.parse_qsl(environ["QUERY_STRING"]))
            answer = {"hangs": self.faults.until_hanging(query["action"], float(query["seconds"]))}
        elif route == ("POST", "parameter_age"):
            ssm_exact.date_back(json.loads(body)["seconds"])
        else:
            status, answer = "404 Not Found", {"message": "no such control path"}
        content = json.dumps(answer).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
        return [content]


def main():
    cloudwatch_exact.install()
    ssm_exact.install()
    emulator = Emulator()
    server = Server(("127.0.0.1", 0), emulator, numthreads=THREADS, request_queue_size=256)
    server.prepare()
    host, port = server.bind_addr[:2]
    serving = threading.Thread(target=server.serve, daemon=True)
    serving.start()
    print(json.dumps({"endpoint": f"http://{host}:{port}"}), flush=True)
    sys.stdin.buffer.read()
    emulator.faults.close()
    server.stop()


if __name__ == "__main__":
    main()
