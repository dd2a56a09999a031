"""A service that asks Ratchet about each request, as a gateway does. It needs nothing but Python."""

import json
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def make_server(issuer, port=0):
    """Makes the orders API over the Ratchet at this address."""

    class Orders(BaseHTTPRequestHandler):
        def do_GET(self):
            headers = {"accept": "application/json"}
            if "authorization" in self.headers:
                headers["authorization"] = self.headers["authorization"]
            question = urllib.request.Request(f"{issuer}/auth/verify", headers=headers)
            try:
                with urllib.request.urlopen(question, timeout=5) as answer:
                    self.answer(200, {"orders_of": answer.headers["x-user-id"]})
            except urllib.error.HTTPError as refusal:
                self.answer(refusal.code, json.load(refusal))
            except OSError:
                self.answer(503, {"code": "temporarily_unavailable"})

        def answer(self, status, body):
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_):
            pass

    return ThreadingHTTPServer(("127.0.0.1", port), Orders)
