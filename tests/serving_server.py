"""A small server with TensorFlow Serving's REST interface around a SavedModel, as strict as that one is.

What is accepted and answered is after its api_rest.md and json_tensor.cc.
"""

import contextlib
import http.server
import json
import threading

import numpy as np
import tensorflow as tf


class RefusedError(Exception):
    """The request is not as it has to be."""


def tensor(values, spec):
    """A tensor of JSON values: strings are strings, numbers are numbers, null and true are neither."""

    def check(value):
        if isinstance(value, list):
            for one in value:
                check(one)
        elif isinstance(value, bool) or not isinstance(
            value, str if spec.dtype == tf.string else (int, float)
        ):
            raise RefusedError(f"{value!r} is no {spec.dtype.name}")

    check(values)
    return tf.constant(values, spec.dtype)


def plain(values):
    """Bytes as text, for JSON."""
    if isinstance(values, list):
        return [plain(one) for one in values]
    return values.decode() if isinstance(values, bytes) else values


def predict(signatures, request):
    signature = signatures[request.get("signature_name", "serving_default")]
    specs = signature.structured_input_signature[1]
    if ("instances" in request) == ("inputs" in request):
        raise RefusedError("one of 'instances' and 'inputs'")
    if "inputs" in request:
        missing = specs.keys() - request["inputs"].keys()
        if missing:
            raise RefusedError(f"Missing named input: {sorted(missing)[0]} in 'inputs' object.")
        given = {name: tensor(request["inputs"][name], spec) for name, spec in specs.items()}
        found = {name: plain(values.numpy().tolist()) for name, values in signature(**given).items()}
        return {"outputs": found}
    rows = request["instances"]
    if any(row.keys() != specs.keys() for row in rows):
        raise RefusedError("keys must be equal to those of the inputs")
    given = {name: tensor([row[name] for row in rows], spec) for name, spec in specs.items()}
    found = {name: plain(values.numpy().tolist()) for name, values in signature(**given).items()}
    return {"predictions": [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]}


def feature(value):
    if isinstance(value, str):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
    if isinstance(value, int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    if np.float32(value) != value:
        raise RefusedError(f"{value!r} has more digits than float has")
    return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))


def classify(signatures, request):
    signature = signatures[request["signature_name"]]
    assert set(signature.structured_input_signature[1]) == {"inputs"}
    examples = [
        tf.train.Example(
            features=tf.train.Features(feature={name: feature(value) for name, value in row.items()})
        ).SerializeToString()
        for row in request["examples"]
    ]
    found = signature(inputs=tf.constant(examples))
    assert set(found) == {"classes", "scores"}
    assert found["scores"].dtype == tf.float32
    both = plain(found["classes"].numpy().tolist()), found["scores"].numpy().tolist()
    return {"results": [list(zip(*row, strict=True)) for row in zip(*both, strict=True)]}


@contextlib.contextmanager
def serving(folder, name):
    """The address of a server of a SavedModel, as long as it runs."""
    signatures = tf.saved_model.load(folder).signatures

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            path, _, verb = self.path.rpartition(":")
            try:
                if path != f"/v1/models/{name}":
                    raise RefusedError(f"Servable not found for request: Latest({path.rpartition('/')[2]})")
                code, answer = 200, {"predict": predict, "classify": classify}[verb](signatures, request)
            except (RefusedError, tf.errors.InvalidArgumentError) as error:
                code, answer = 400, {"error": str(error)}
            body = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/models/{name}"
    finally:
        server.shutdown()
        server.server_close()
