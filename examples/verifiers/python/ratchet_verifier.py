"""Verifies Ratchet's access tokens in a backend, without a request per token.

Needs Python 3.9, PyJWT and cryptography; Ratchet's tests run it with PyJWT 2.6.0 on Python 3.11 (Debian 12).
One Verifier per process: after a fork, make it in the child.

- Only access tokens of this issuer for this audience pass, signed by a key that the service publishes.
- A session is refused within a second of its end.
- When the news of ended sessions is older than `max_staleness` seconds, nothing passes until it is current again.
- `Unavailable` says nothing of the token: answer 503, never 401, on which clients sign out.
"""
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import jwt

ALGORITHMS = ("ES256", "RS256")
KEEP_SESSIONS = 3720  # s; no access token lives longer than an hour, two minutes more for clocks
KEEP_KEYS = 86400  # s; how long to go on with the keys while the service is away
REFRESH_KEYS = 300  # s
UNKNOWN_KEY_PAUSE = 30  # s; anyone can make up key ids


class InvalidToken(Exception):
    """Answer 401 with `WWW-Authenticate: Bearer error="invalid_token"`."""


class Unavailable(Exception):
    """Answer 503 with `Retry-After: 1`."""


class Verifier:
    """`base_url` is where this backend reaches Ratchet, by default the issuer."""

    def __init__(self, issuer, audience, base_url=None, max_staleness=10.0):
        self._issuer, self._audience = issuer, audience
        base_url = (base_url or issuer).rstrip("/")
        self._keys = _Keys(base_url + "/.well-known/jwks.json")
        self._sessions = EndedSessions(base_url, max_staleness)

    def verify(self, token):
        """Returns the claims; `roles` is always a list. Raises InvalidToken or Unavailable, and nothing else."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("typ") != "at+jwt":
                raise InvalidToken("not an access token")
            algorithm, key = self._keys.get(header.get("kid"))
            claims = jwt.decode(token, key, algorithms=[algorithm], audience=self._audience, issuer=self._issuer,
                                options={"require": ["exp", "iat", "iss", "aud", "sub", "sid"]})
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise InvalidToken("not a token of this issuer for this audience") from error
        self._sessions.check(claims["sid"])
        return {**claims, "roles": claims.get("roles") or []}

    def verify_header(self, authorization):
        """Takes the value of the Authorization header, or None."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            raise InvalidToken("no bearer token")
        return self.verify(token.strip())


class EndedSessions:
    """Follows GET /auth/revocations in a thread of its own. Usable with any JWT library."""

    def __init__(self, base_url, max_staleness=10.0):
        self._url, self._max_staleness = base_url.rstrip("/") + "/auth/revocations", max_staleness
        self._told_at = {}  # in the order of their times
        self._current_as_of = float("-inf")  # every session that ended before is known
        threading.Thread(target=self._follow, daemon=True).start()

    def check(self, sid):
        """Raises InvalidToken for a session that has ended, and Unavailable when the news is too old."""
        if sid in self._told_at:
            raise InvalidToken("the session has ended")
        if not time.monotonic() - self._current_as_of <= self._max_staleness:
            raise Unavailable("the news of ended sessions is too old")

    def _follow(self):
        cursor, pause = None, 0.1
        while True:
            asked = time.monotonic()
            try:
                query = "" if cursor is None else "?after=" + urllib.parse.quote(cursor)
                cursor = self._learn(_get_json(self._url + query, timeout=10), asked)
                pause = 0.1
                time.sleep(max(0, asked + 0.3 - time.monotonic()))
            except Exception as error:  # whatever it is, the thread goes on, and the news grows old
                if isinstance(error, urllib.error.HTTPError) and error.code == 400:
                    cursor = None  # not one of this service: ask for the whole list
                time.sleep(pause)
                pause = min(2.0, 2 * pause)

    def _learn(self, answer, asked):
        # The age is subtracted: the news is older than the answer, which left no earlier than it was asked for and waited.
        current_as_of = asked + answer["waited_seconds"] - answer["age_seconds"]
        now = time.monotonic()
        if current_as_of > now:
            raise ValueError("not an answer of Ratchet")
        for sid in answer["revoked"]:
            self._told_at.setdefault(sid, now)
        for sid, told_at in list(self._told_at.items()):
            if now - told_at <= KEEP_SESSIONS:
                break
            del self._told_at[sid]
        self._current_as_of = max(self._current_as_of, current_as_of)
        return answer["cursor"]


class _Keys:
    def __init__(self, url):
        self._url, self._lock = url, threading.Lock()
        self._keys = {}  # kid -> (algorithm, key)
        self._fetched_at = self._next_refresh = self._next_lookup = float("-inf")

    def get(self, kid):
        """Returns algorithm and key. Known keys are refreshed by one request, while the others go on with them."""
        if not isinstance(kid, str):
            raise InvalidToken("no key id")
        if kid not in self._keys:
            with self._lock:
                self._look_up(kid)
        elif time.monotonic() > self._next_refresh and self._lock.acquire(blocking=False):
            try:
                self._fetch()
            finally:
                self._lock.release()
        if kid not in self._keys:
            raise InvalidToken("unknown key")
        if time.monotonic() - self._fetched_at > KEEP_KEYS:
            raise Unavailable("the keys are too old")
        return self._keys[kid]

    def _look_up(self, kid):
        if kid in self._keys:
            return
        if time.monotonic() < self._next_lookup:
            raise Unavailable("it may be a new key")
        is_fetched = self._fetch()
        if kid not in self._keys:
            self._next_lookup = time.monotonic() + (UNKNOWN_KEY_PAUSE if is_fetched else 1)
        if not is_fetched:
            raise Unavailable("the keys cannot be fetched")

    def _fetch(self):
        try:
            keys = _get_json(self._url, timeout=3)["keys"]
            self._keys = {key["kid"]: (key["alg"], jwt.PyJWK(key).key) for key in keys if key.get("alg") in ALGORITHMS}
            self._fetched_at = time.monotonic()
            self._next_refresh = self._fetched_at + REFRESH_KEYS
            return True
        except Exception:  # unreachable, or not an answer of Ratchet
            self._next_refresh = time.monotonic() + 10
            return False


def _get_json(url, timeout):
    with urllib.request.urlopen(url, timeout=timeout) as response:
        return json.load(response)
