//! The settings that are about callers: by what their tokens are checked, and
//! how fast they may ask.

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;

use super::{Reader, Secret, duration, values::from_str};
use crate::auth::{By, Keys, key_set::Source, rate::Rate, token::Terms};

/// The shortest secret that tokens are signed with, in bytes: as long as the
/// digest it goes into (RFC 7518, 3.2).
const SHORTEST_SECRET: usize = 32;
/// By how much clocks may differ at most.
const MOST_LEEWAY: Duration = Duration::from_mins(1);

impl Reader {
    /// By what tokens are checked: a secret, the same from a file, or a key set.
    pub(super) fn keys(&mut self) -> Option<Keys> {
        let secret = self.optional("auth_secret", secret);
        let secret_file = self.optional("auth_secret_file", secret_of_file);
        let set = self.optional("auth_jwks", source);
        let issuer = self.optional("auth_issuer", named);
        let audience = self.optional("auth_audience", named);
        let leeway = self.read("auth_leeway", leeway, Duration::from_secs(30));
        let given = [("auth_secret", secret), ("auth_secret_file", secret_file)];
        let secrets =
            given.into_iter().filter_map(|(key, secret)| Some((key, By::Secret(secret?))));
        let mut sources: Vec<_> =
            secrets.chain(set.map(|set| ("auth_jwks", By::Set(set)))).collect();
        if let [first, second, ..] = &sources[..] {
            let fault = format!("cannot be used together with {}", first.0);
            self.fault(second.0, &fault);
        }
        let Some((key, by)) = sources.pop() else {
            for (name, is_set) in
                [("auth_issuer", issuer.is_some()), ("auth_audience", audience.is_some())]
            {
                if is_set {
                    self.fault(name, "is of no use without auth_secret or auth_jwks");
                }
            }
            return None;
        };
        // A token for another service of the same issuer must not open this one.
        for (name, is_set) in
            [("auth_issuer", issuer.is_some()), ("auth_audience", audience.is_some())]
        {
            if !is_set {
                self.faults.push(format!("{name}: is missing, {key} is set"));
            }
        }
        Some(Keys { by, terms: Terms { issuer: issuer?, audience: audience?, leeway } })
    }

    /// How fast a caller may ask. Without keys all are one caller, and there is no limit.
    pub(super) fn rate(&mut self, has_keys: bool) -> Option<Rate> {
        let usual = has_keys.then_some(Rate::USUAL.per_second);
        let per_second = self.read("rate_limit", rate, usual);
        let burst = self.optional("rate_burst", from_str::<NonZeroU32>);
        let per_second = per_second?;
        let usual = per_second.saturating_mul(Rate::USUAL_BURST);
        Some(Rate { per_second, burst: burst.unwrap_or(usual) })
    }
}

/// The token that this program shows to a mall, from a file or else from the
/// environment.
pub fn token(file: Option<&Path>) -> anyhow::Result<Option<Secret>> {
    let text = match file {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            Some(text.with_context(|| format!("reading the token in {}", path.display()))?)
        }
        #[expect(clippy::disallowed_methods, reason = "it is this module that may")]
        None => std::env::var("MALLBOTS_TOKEN").ok(),
    };
    let text = text.as_deref().map(str::trim).filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(anyhow::Error::msg)).transpose()
}

fn secret(text: &str) -> Result<Secret, String> {
    if text.len() < SHORTEST_SECRET {
        return Err(format!("must have at least {SHORTEST_SECRET} characters"));
    }
    from_str(text)
}

fn secret_of_file(path: &str) -> Result<Secret, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    // Editors end a file with a line break; a secret does not.
    secret(text.trim_end_matches(['\r', '\n']))
}

/// An address, or else a file. Keys that come in the clear from another machine
/// would be anybody's.
fn source(text: &str) -> Result<Source, String> {
    if let Some(rest) = text.strip_prefix("http://") {
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        if !matches!(host, "localhost" | "127.0.0.1") {
            return Err("must begin with https://, or be a file".to_owned());
        }
    } else if !text.starts_with("https://") {
        return if text.contains("://") {
            Err("must begin with https://, or be a file".to_owned())
        } else {
            Ok(Source::File(PathBuf::from(text)))
        };
    }
    Ok(Source::Url(text.to_owned()))
}

fn named(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
}

fn leeway(text: &str) -> Result<Duration, String> {
    if text == "0" || text == "0s" {
        return Ok(Duration::ZERO);
    }
    match duration(text)? {
        leeway if leeway <= MOST_LEEWAY => Ok(leeway),
        _ => Err("must be at most 60s".to_owned()),
    }
}

fn rate(text: &str) -> Result<Option<NonZeroU32>, String> {
    match text {
        "off" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| "must be off, or requests a second".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::{
        cli::SettingsArgs,
        config::{Config, ConfigError},
    };

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn load(environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment = environment
            .iter()
            .map(|(name, value)| (format!("MALLBOTS_{name}"), (*value).to_owned()));
        Config::load(&SettingsArgs::default(), environment)
            .map_err(|ConfigError(faults)| faults.join("\n"))
    }

    #[test]
    fn keys_come_with_issuer_and_audience_and_open_the_door_to_others() {
        let all = [
            ("AUTH_SECRET", SECRET),
            ("AUTH_ISSUER", "https://id.example"),
            ("AUTH_AUDIENCE", "mall"),
            ("LISTEN", "0.0.0.0:80"),
        ];
        let keys = load(&all).unwrap().keys.unwrap();
        assert_eq!(keys.by, By::Secret(SECRET.parse().unwrap()));
        assert_eq!((&*keys.terms.issuer, &*keys.terms.audience), ("https://id.example", "mall"));
        for missing in 0..3 {
            let mut some = all.to_vec();
            some.remove(missing);
            assert!(load(&some).is_err(), "{some:?}");
        }
        assert!(load(&[("AUTH_SECRET", "short"), all[1], all[2]]).unwrap_err().contains("32"));
    }

    #[test]
    fn a_secret_may_be_in_a_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "{SECRET}").unwrap();
        let path = file.path().to_str().unwrap();
        let terms = [("AUTH_ISSUER", "i"), ("AUTH_AUDIENCE", "a")];
        let keys = load(&[("AUTH_SECRET_FILE", path), terms[0], terms[1]]).unwrap().keys.unwrap();
        assert_eq!(keys.by, By::Secret(SECRET.parse().unwrap()));
        let both = load(&[("AUTH_SECRET_FILE", path), ("AUTH_SECRET", SECRET), terms[0], terms[1]]);
        assert!(both.unwrap_err().contains("together"));
        assert!(load(&[("AUTH_SECRET_FILE", "/nowhere"), terms[0], terms[1]]).is_err());
    }

    #[test]
    fn key_sets_come_from_files_and_over_tls() {
        for (text, is_url) in [
            ("/etc/keys.json", Some(false)),
            ("https://id.example/keys", Some(true)),
            ("http://127.0.0.1:8080/keys", Some(true)),
            ("http://id.example/keys", None),
            ("http://127.0.0.1.evil.example/keys", None),
            ("ftp://id.example/keys", None),
        ] {
            let read = source(text).ok().map(|source| matches!(source, Source::Url(_)));
            assert_eq!(read, is_url, "{text}");
        }
    }

    #[test]
    fn clocks_may_differ_by_a_minute_at_most() {
        assert_eq!(leeway("0s"), Ok(Duration::ZERO));
        assert_eq!(leeway("1m"), Ok(Duration::from_mins(1)));
        assert!(leeway("61s").is_err());
    }

    #[test]
    fn callers_are_limited_where_they_are_told_apart() {
        let keys = [
            ("AUTH_SECRET", SECRET),
            ("AUTH_ISSUER", "https://id.example"),
            ("AUTH_AUDIENCE", "mall"),
        ];
        assert_eq!(load(&[]).unwrap().rate, None);
        assert_eq!(load(&keys).unwrap().rate, Some(Rate::USUAL));
        let with = |more: &[(&'static str, &'static str)]| load(&[&keys, more].concat());
        assert_eq!(with(&[("RATE_LIMIT", "off")]).unwrap().rate, None);
        let rate = with(&[("RATE_LIMIT", "5"), ("RATE_BURST", "7")]).unwrap().rate.unwrap();
        assert_eq!((rate.per_second.get(), rate.burst.get()), (5, 7));
        assert!(with(&[("RATE_LIMIT", "0")]).is_err());
    }
}
