import json
import os
import threading
import unittest
import urllib.error
import urllib.request

from orders import make_server
from ratchet_testing import Namespace
from session import refresh

DAY_SECONDS = 24 * 60 * 60


class TheOrdersApi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # One for each process, so that several can run side by side.
        cls.ns = Namespace(f"py-{os.getpid()}")
        cls.server = make_server(cls.ns.issuer)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()

    def setUp(self):
        self.ns.reset()

    def list(self, access_token):
        url = f"http://127.0.0.1:{self.server.server_port}/orders"
        request = urllib.request.Request(url, headers={"authorization": f"Bearer {access_token}"})
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.load(refusal)["code"]

    def test_lists_the_orders_of_the_user(self):
        token = self.ns.token()
        self.assertEqual(self.list(token["access_token"]), (200, {"orders_of": token["claims"]["sub"]}))

    def test_refuses_a_token_that_has_expired(self):
        token = self.ns.token(expired=True)
        self.assertEqual(self.list(token["access_token"]), (401, "access_token_expired"))

    def test_refuses_a_token_whose_session_has_ended(self):
        token = self.ns.token(session="ended")
        self.assertEqual(self.list(token["access_token"]), (401, "access_token_revoked"))

    def test_refuses_a_token_ten_minutes_later(self):
        token = self.ns.token()
        self.ns.advance(600)
        self.assertEqual(self.list(token["access_token"]), (401, "access_token_expired"))

    def test_stays_signed_in_when_the_answer_to_a_refresh_gets_lost(self):
        pair = self.ns.session()
        fault = self.ns.fault(method="POST", path="/auth/refresh", cut="after", times=1)
        status, renewed = refresh(self.ns.url, pair["refresh_token"])
        self.assertEqual(self.ns.call("GET", f"/faults/{fault['id']}")["hits"], 1)
        self.assertEqual(status, 200)
        self.assertEqual(self.list(renewed["access_token"])[0], 200)

    def test_asks_for_a_new_sign_in_after_a_month(self):
        pair = self.ns.session()
        self.ns.advance(31 * DAY_SECONDS)
        status, problem = refresh(self.ns.url, pair["refresh_token"])
        self.assertEqual((status, problem["code"]), (401, "session_expired"))


if __name__ == "__main__":
    unittest.main()
