"""The routes under /test that these tests use. /test/openapi.json has all of them."""

import json
import os
import urllib.request


class Namespace:
    """A Ratchet for these tests alone."""

    def __init__(self, name):
        self.base = f"{os.environ['RATCHET_TEST_URL']}/{name}"
        made = self.call("PUT", "", {})
        self.url, self.issuer, self.audience = made["url"], made["issuer"], made["audience"]

    def call(self, method, path, body=None):
        headers = {"content-type": "application/json", "x-ratchet-test": "1"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def reset(self):
        self.call("POST", "/reset")

    def token(self, **options):
        return self.call("POST", "/tokens", options)

    def session(self, **options):
        return self.call("POST", "/sessions", options)

    def advance(self, seconds):
        self.call("PUT", "/clock", {"advance_seconds": seconds})

    def fault(self, **options):
        return self.call("POST", "/faults", options)
