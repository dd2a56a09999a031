//! Verifies Ratchet's access tokens in a backend, without a request per token. One `Verifier` per process.

use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet};
use jsonwebtoken::{decode, decode_header, Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// No access token lives longer than an hour; two minutes more for clocks.
const KEPT: Duration = Duration::from_secs(3_720);
const MAX_STALENESS: Duration = Duration::from_secs(10);
const REFRESH_KEYS: Duration = Duration::from_secs(300);
const KEEP_KEYS: Duration = Duration::from_secs(86_400);
const UNKNOWN_KEY_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug, PartialEq)]
pub enum Refusal {
    /// Answer 401.
    Invalid,
    /// Answer 503, and never 401, on which clients sign out.
    Unavailable,
}

#[derive(Deserialize)]
pub struct Claims {
    pub sub: String,
    pub sid: String,
    #[serde(default)]
    pub roles: Vec<String>,
}

#[derive(Default)]
struct Sessions {
    told_at: HashMap<String, Instant>,
    /// Every session that ended before is known.
    current_as_of: Option<Instant>,
}

#[derive(Deserialize)]
struct News {
    revoked: Vec<String>,
    cursor: String,
    age_seconds: f64,
    waited_seconds: f64,
}

#[derive(Default)]
struct Keys {
    set: Option<(JwkSet, Instant)>,
    /// When the set was asked for and did not come.
    tried_at: Option<Instant>,
    looked_up_at: Option<Instant>,
}

pub struct Verifier {
    issuer: String,
    audience: String,
    base: String,
    sessions: Arc<Mutex<Sessions>>,
    keys: Mutex<Keys>,
}

fn is_older(instant: Option<Instant>, than: Duration) -> bool {
    instant.map_or(true, |at| at.elapsed() > than)
}

impl Verifier {
    /// `base` is where this backend reaches Ratchet.
    pub fn new(issuer: &str, audience: &str, base: &str) -> Self {
        let sessions = Arc::new(Mutex::new(Sessions::default()));
        let (url, shared) = (format!("{base}/auth/revocations"), sessions.clone());
        std::thread::spawn(move || follow(&url, &shared));
        let (issuer, audience, base) = (issuer.into(), audience.into(), base.into());
        Verifier {
            issuer,
            audience,
            base,
            sessions,
            keys: Mutex::default(),
        }
    }

    pub fn verify(&self, token: &str) -> Result<Claims, Refusal> {
        let header = decode_header(token).map_err(|_| Refusal::Invalid)?;
        if header.typ.as_deref() != Some("at+jwt") {
            return Err(Refusal::Invalid);
        }
        let (algorithm, key) = self.key(&header.kid.ok_or(Refusal::Invalid)?)?;
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = 0;
        let claims = decode::<Claims>(token, &key, &validation)
            .map_err(|_| Refusal::Invalid)?
            .claims;
        let sessions = self.sessions.lock().unwrap();
        if sessions.told_at.contains_key(&claims.sid) {
            return Err(Refusal::Invalid);
        }
        if is_older(sessions.current_as_of, MAX_STALENESS) {
            return Err(Refusal::Unavailable);
        }
        Ok(claims)
    }

    fn key(&self, kid: &str) -> Result<(Algorithm, DecodingKey), Refusal> {
        if self.is_fetch_due(kid)? {
            let answer = get::<JwkSet>(&format!("{}/.well-known/jwks.json", self.base), 3);
            let mut keys = self.keys.lock().unwrap();
            if let Ok(set) = answer {
                if set.find(kid).is_none() {
                    keys.looked_up_at = Some(Instant::now());
                }
                keys.set = Some((set, Instant::now()));
                keys.tried_at = None;
            } else if !keys.has(kid) {
                return Err(Refusal::Unavailable);
            }
        }
        let keys = self.keys.lock().unwrap();
        let (set, fetched_at) = keys.set.as_ref().ok_or(Refusal::Unavailable)?;
        let jwk = set.find(kid).ok_or(Refusal::Invalid)?;
        let algorithm = match jwk.algorithm {
            AlgorithmParameters::EllipticCurve(_) => Algorithm::ES256,
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            _ => return Err(Refusal::Invalid),
        };
        if fetched_at.elapsed() > KEEP_KEYS {
            return Err(Refusal::Unavailable);
        }
        Ok((algorithm, DecodingKey::from_jwk(jwk).map_err(|_| Refusal::Invalid)?))
    }

    /// An unknown key may be a new one, but anyone can make up key ids. Known keys are refreshed by one request, while the
    /// others go on with them.
    fn is_fetch_due(&self, kid: &str) -> Result<bool, Refusal> {
        let mut keys = self.keys.lock().unwrap();
        let is_due = if keys.has(kid) {
            is_older(keys.set.as_ref().map(|(_, at)| *at), REFRESH_KEYS)
                && is_older(keys.tried_at, Duration::from_secs(10))
        } else if is_older(keys.looked_up_at, UNKNOWN_KEY_PAUSE) && is_older(keys.tried_at, Duration::from_secs(1)) {
            true
        } else {
            return Err(Refusal::Unavailable);
        };
        if is_due {
            keys.tried_at = Some(Instant::now());
        }
        Ok(is_due)
    }
}

impl Keys {
    fn has(&self, kid: &str) -> bool {
        self.set.as_ref().map_or(false, |(set, _)| set.find(kid).is_some())
    }
}

fn get<T: serde::de::DeserializeOwned>(url: &str, timeout_seconds: u64) -> Result<T, Option<u16>> {
    match ureq::get(url).timeout(Duration::from_secs(timeout_seconds)).call() {
        Ok(answer) => answer.into_json().map_err(|_| None),
        Err(ureq::Error::Status(status, _)) => Err(Some(status)),
        Err(_) => Err(None),
    }
}

fn follow(url: &str, sessions: &Mutex<Sessions>) {
    let (mut cursor, mut pause) = (None::<String>, Duration::from_millis(100));
    loop {
        let asked = Instant::now();
        // A cursor has no character that a query would need to escape.
        let address = cursor
            .as_ref()
            .map_or(url.to_string(), |cursor| format!("{url}?after={cursor}"));
        let outcome = get::<News>(&address, 10);
        let learned = match &outcome {
            Ok(news) => learn(&mut sessions.lock().unwrap(), news, asked),
            Err(_) => false,
        };
        if let (true, Ok(news)) = (learned, &outcome) {
            cursor = Some(news.cursor.clone());
            pause = Duration::from_millis(100);
            sleep(Duration::from_millis(300).saturating_sub(asked.elapsed()));
        } else {
            if let Err(Some(400)) = outcome {
                cursor = None; // not one of this service: ask for the whole list
            }
            sleep(pause);
            pause = (2 * pause).min(Duration::from_secs(2));
        }
    }
}

/// Returns false for what is not an answer of Ratchet.
fn learn(sessions: &mut Sessions, news: &News, asked: Instant) -> bool {
    // The age is subtracted: the news is older than the answer, which left no earlier than it was asked for and waited.
    let offset = news.waited_seconds - news.age_seconds;
    if !(-1e9..1e9).contains(&offset) {
        return false;
    }
    let distance = Duration::from_secs_f64(offset.abs());
    let as_of = if offset < 0.0 {
        asked.checked_sub(distance)
    } else {
        asked.checked_add(distance)
    };
    let now = Instant::now();
    if as_of.map_or(false, |at| at > now) {
        return false;
    }
    sessions.told_at.retain(|_, at| now.duration_since(*at) <= KEPT);
    for sid in &news.revoked {
        sessions.told_at.entry(sid.clone()).or_insert(now);
    }
    sessions.current_as_of = sessions.current_as_of.max(as_of);
    true
}
