"""Lets moto answer Smithy's RPC v2 CBOR protocol, by translating it to and from AWS JSON.

Both protocols carry the same shapes. CBOR distinguishes timestamps, floats and integers, and JSON has only numbers. The
service's model (from botocore) shows which numbers of an answer are timestamps or floats.
"""

import base64
import gzip
import io
import json
from datetime import datetime, timezone
from functools import cache

import cbor2
from botocore.loaders import Loader
from botocore.model import ServiceModel

HEADERS = [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")]


def path_of(environ):
    """(service, operation) of a path such as /service/GraniteServiceVersion20100801/operation/PutMetricData."""
    parts = environ["PATH_INFO"].strip("/").split("/")
    if len(parts) == 4 and parts[0] == "service" and parts[2] == "operation":
        return parts[1], parts[3]
    return None


def operation_of(environ):
    path = path_of(environ)
    return path[1] if path else None


def error(code, message):
    """Headers and body of an error. The header x-amzn-query-error is the error code of the older query protocol."""
    body = cbor2.dumps({"__type": code, "message": message})
    return [*HEADERS, ("x-amzn-query-error", f"{code};Sender")], body


@cache
def cloudwatch():
    return ServiceModel(Loader().load_service_model("cloudwatch", "service-2"))


def to_json(value):
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"no JSON for {type(value).__name__}")


def typed(value, shape):
    """Returns `value`, read from JSON, with the types of `shape`."""
    if value is None or shape is None:
        return value
    match shape.type_name:
        case "structure":
            members = shape.members
            return {name: typed(item, members.get(name)) for name, item in value.items() if item is not None}
        case "list":
            return [typed(item, shape.member) for item in value]
        case "map":
            return {name: typed(item, shape.value) for name, item in value.items()}
        case "timestamp" if isinstance(value, str):
            return datetime.fromisoformat(value)
        case "timestamp":
            return datetime.fromtimestamp(value, timezone.utc)
        case "double" | "float":
            return float(value)
        case "blob":
            return base64.b64decode(value)
    return value


class CborGateway:
    """A WSGI application that translates CBOR for an inner application, which uses AWS JSON."""

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, environ, start_response):
        path = path_of(environ)
        if path is None:
            return self.inner(environ, start_response)
        target, operation = path
        body = environ["wsgi.input"].read()
        # SDKs compress large bodies. moto gets the uncompressed body.
        if environ.pop("HTTP_CONTENT_ENCODING", "") == "gzip":
            body = gzip.decompress(body)
        request = json.dumps(cbor2.loads(body) if body else {}, default=to_json).encode()
        environ |= {
            "PATH_INFO": "/",
            "REQUEST_URI": "/",
            "RAW_URI": "/",
            "CONTENT_TYPE": "application/x-amz-json-1.0",
            "CONTENT_LENGTH": str(len(request)),
            "HTTP_X_AMZ_TARGET": f"{target}.{operation}",
            "wsgi.input": io.BytesIO(request),
        }
        answered = {}

        def remember(status, headers, exc_info=None):
            answered["status"] = status

        chunks = self.inner(environ, remember)
        try:
            content = b"".join(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        status = answered["status"]
        answer = json.loads(content) if content else {}
        if status.startswith("200"):
            shape = cloudwatch().operation_model(operation).output_shape
            headers, body = HEADERS, cbor2.dumps(typed(answer, shape), datetime_as_timestamp=True)
        else:
            code = answer.get("__type", "InternalFailure").rpartition("#")[2]
            headers, body = error(code, answer.get("message", answer.get("Message", "")))
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return [body]
