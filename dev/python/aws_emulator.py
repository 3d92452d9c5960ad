"""Serves moto as one AWS endpoint on loopback, counts its calls and fails them on demand.

cheroot serves moto's WSGI application, because moto's own server closes the connection after every answer and would
hide the effect of connection reuse. Current AWS SDKs use a CBOR protocol for CloudWatch, which moto does not support.
`cbor_gateway` translates it. In AWS, DynamoDB and Parameter Store check and write in one atomic step. moto first checks
and then writes, so the calls of these two services run one at a time.

Prints one JSON line, {"endpoint": ...}, when the server is ready. The server ends when its standard input ends.

    GET    /_latchkey/calls    {"ssm:GetParameter": 3, ...}
    DELETE /_latchkey/calls    resets the counters
    POST   /_latchkey/faults   {"action": "ssm:GetParameter", "code": "ThrottlingException", "times": 2}
    DELETE /_latchkey/faults   removes all faults and ends the calls that hang
    GET    /_latchkey/hanging?action=ssm:GetParameter&seconds=10
                               waits until such a call hangs: {"hangs": true}; {"hangs": false} after this time
    POST   /_latchkey/parameter_age  {"seconds": 60}
                               sets the age of all parameter versions that are stored from now on
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
import sqs_exact
import ssm_exact
from aws_faults import Faults

# The services whose calls run one at a time.
SERIAL = ("dynamodb", "ssm")
# The number of threads. Each hanging call occupies one until the faults are cleared.
THREADS = 64
CONTROL = "/_latchkey/"


def service_of(environ):
    """The service that the request was signed for."""
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition(",")[0].split("/")
    return scope[3] if len(scope) == 5 else "unknown"


def action_of(environ, body):
    """The IAM action of the call, such as ssm:GetParameter, for every protocol."""
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
    """The WSGI application. It handles the control paths and passes all other requests to moto."""

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
            # Uses a copy. The translation to moto's protocol changes `environ`, and the format of the fault depends on
            # it.
            self.perform(action, environ.copy(), body, lambda *_: None)
        if fault.hangs:
            # The lock of the service is not held here, so other calls continue.
            self.faults.hang(fault)
        return fault.answer(environ, start_response)

    def perform(self, action, environ, body, start_response):
        """Runs the call in moto and returns the complete answer."""
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
    sqs_exact.install()
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
