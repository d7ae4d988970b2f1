//! The keys of an issuer that rotates them: a JSON Web Key Set, from a file or
//! a URL, read again from time to time, and sooner for a key it does not have.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, bail, ensure};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::refused;
use crate::error::{ClientError, ErrorCode};

/// The longest key set that is read, in bytes.
const LONGEST_SET: usize = 256 * 1024;
/// The most keys that are kept.
const MOST_KEYS: usize = 100;
/// How long a URL may take to answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The smallest modulus of an RSA key, in bytes.
const RSA_BYTES: usize = 2048 / 8;

/// Where the keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// An address.
    Url(String),
}

/// How often they are read.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    /// Again after so long, when all goes well.
    pub refresh: Duration,
    /// Not again before so long, whatever tokens come; after each failure twice
    /// as long, up to `refresh`.
    pub pause: Duration,
    /// They count no longer when they could not be read for so long.
    pub kept: Duration,
    /// How long a token waits for a key that may just have been made.
    pub patience: Duration,
}

impl Rhythm {
    /// For a source: a file is cheap to read.
    fn of(source: &Source) -> Self {
        let (refresh, pause) = match source {
            Source::File(_) => (Duration::from_secs(30), Duration::from_secs(1)),
            Source::Url(_) => (Duration::from_mins(5), Duration::from_secs(10)),
        };
        Self { refresh, pause, kept: Duration::from_hours(24), patience: Duration::from_secs(3) }
    }
}

/// The keys as they were read last. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct KeySet(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    source: Source,
    rhythm: Rhythm,
    state: watch::Sender<State>,
    wanted: Notify,
}

#[derive(Debug, Default)]
struct State {
    keys: Vec<Key>,
    /// When they were read last.
    read: Option<Instant>,
    /// They are not read again before, whatever tokens come.
    rests_until: Option<Instant>,
}

/// A key that may check a signature, and by which algorithm alone.
#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    public: DecodingKey,
}

impl KeySet {
    /// A set that is empty until [`run`](Self::run) has read it.
    pub(super) fn new(source: Source) -> Self {
        let rhythm = Rhythm::of(&source);
        Self::with_rhythm(source, rhythm)
    }

    /// The same, read as often as told.
    pub(super) fn with_rhythm(source: Source, rhythm: Rhythm) -> Self {
        let state = watch::Sender::new(State::default());
        Self(Arc::new(Shared { source, rhythm, state, wanted: Notify::new() }))
    }

    /// The key a token names, for the algorithm it names; without a name the
    /// only one there is for that algorithm.
    pub(super) async fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<DecodingKey, ClientError> {
        let Shared { rhythm, state, wanted, .. } = &*self.0;
        let deadline = Instant::now() + rhythm.patience;
        let mut told = state.subscribe();
        loop {
            {
                let state = told.borrow_and_update();
                if let Some(key) = state.find(id, algorithm) {
                    return match state.read {
                        Some(read) if read.elapsed() < rhythm.kept => Ok(key),
                        Some(_) | None => Err(away()),
                    };
                }
                if state.rests_until.is_some_and(|until| Instant::now() < until) {
                    return Err(match state.read {
                        None => away(),
                        Some(_) => refused("nobody has the key it is signed with"),
                    });
                }
            }
            wanted.notify_one();
            match timeout_at(deadline, told.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(away()),
            }
        }
    }

    /// Reads the keys, and again and again, until it is canceled.
    pub(super) async fn run(&self, stop: CancellationToken) {
        let running = async {
            let Shared { source, rhythm, state, wanted } = &*self.0;
            let mut seen = None;
            let mut failures = 0;
            loop {
                let read = read(source, seen).await;
                failures = if read.is_ok() { 0 } else { failures + 1 };
                let pause = rhythm.pause * 2_u32.pow(failures.clamp(1, 10) - 1);
                let now = Instant::now();
                let rests_until = now + pause.min(rhythm.refresh);
                let next = if read.is_ok() { now + rhythm.refresh } else { rests_until };
                state.send_modify(|state| {
                    state.rests_until = Some(rests_until);
                    match read {
                        Ok(Read::Same) => state.read = Some(now),
                        Ok(Read::Keys(keys, changed)) => {
                            debug!(keys = keys.len(), "the keys of tokens were read");
                            (state.keys, state.read) = (keys, Some(now));
                            seen = changed;
                        }
                        Err(error) => {
                            let error = format!("{error:#}");
                            warn!(error, "the keys of tokens cannot be read");
                        }
                    }
                });
                sleep_until(rests_until).await;
                tokio::select! {
                    () = sleep_until(next) => {}
                    () = wanted.notified() => debug!("a key is wanted that is not there"),
                }
            }
        };
        stop.run_until_cancelled(running).await;
    }
}

impl State {
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        let mut fitting = self.keys.iter().filter(|key| {
            key.algorithm == algorithm && id.is_none_or(|id| key.id.as_deref() == Some(id))
        });
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Some(key.public.clone()),
            _ => None,
        }
    }
}

/// The keys are not at hand: that is not the token's fault.
fn away() -> ClientError {
    let message = "tokens cannot be checked now: their keys are not at hand";
    ClientError::new(ErrorCode::Unavailable, message)
}

enum Read {
    /// Nothing has changed since it was read last.
    Same,
    /// The keys, and when they changed, if that can be told.
    Keys(Vec<Key>, Option<SystemTime>),
}

async fn read(source: &Source, seen: Option<SystemTime>) -> anyhow::Result<Read> {
    match source {
        Source::File(path) => {
            // Small and near: it is not worth a thread of its own.
            let changed = std::fs::metadata(path).and_then(|data| data.modified());
            let changed = changed.with_context(|| format!("looking at {}", path.display()))?;
            if seen == Some(changed) {
                return Ok(Read::Same);
            }
            let text =
                std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            ensure!(text.len() <= LONGEST_SET, "{} is too long", path.display());
            // A file that changed a moment ago may change again within the same tick.
            let settled = changed.elapsed().is_ok_and(|age| age > Duration::from_secs(2));
            Ok(Read::Keys(keys(&text)?, settled.then_some(changed)))
        }
        Source::Url(url) => {
            // A client for each time: it is rare, and nothing is kept open.
            let client = reqwest::Client::builder()
                .timeout(FETCH_TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .context("preparing HTTP")?;
            let mut answer = client.get(url).send().await.context("asking for them")?;
            ensure!(answer.status().is_success(), "the answer was {}", answer.status());
            let mut text = Vec::new();
            while let Some(chunk) = answer.chunk().await.context("hearing them")? {
                text.extend_from_slice(&chunk);
                ensure!(text.len() <= LONGEST_SET, "the answer is too long");
            }
            Ok(Read::Keys(keys(&text)?, None))
        }
    }
}

/// The keys of a set that are of use here. Others are passed over: an issuer
/// may have them for other purposes.
fn keys(text: &[u8]) -> anyhow::Result<Vec<Key>> {
    // One by one: a key of a kind that is not known must not hide the others.
    #[derive(serde::Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let Set { keys } = serde_json::from_slice(text).context("they are no key set")?;
    if keys.len() > MOST_KEYS {
        bail!("there are {} keys, {MOST_KEYS} are read at most", keys.len());
    }
    let keys: Vec<_> = keys
        .into_iter()
        .filter_map(|key| serde_json::from_value::<Jwk>(key).ok())
        .filter_map(|key| usable(&key))
        .collect();
    ensure!(!keys.is_empty(), "none of the keys is for RS256, ES256 or EdDSA");
    Ok(keys)
}

/// A public key for one of the three algorithms. A symmetric key in a set that
/// others can read is no secret, and is never one.
fn usable(jwk: &Jwk) -> Option<Key> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "other kinds of keys may come to be")]
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    let signs =
        !matches!(jwk.common.public_key_use, Some(ref use_) if *use_ != PublicKeyUse::Signature);
    let fits = jwk.common.key_algorithm.is_none_or(|algorithm| algorithm == named);
    let public = DecodingKey::from_jwk(jwk).ok().filter(|_| signs && fits)?;
    if let jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, .. } = public.kind()
        && n.len() < RSA_BYTES
    {
        return None;
    }
    Some(Key { id: jwk.common.key_id.clone(), algorithm, public })
}
