//! Where NATS is, and how the stream is kept there.

use std::{path::PathBuf, time::Duration};

use mallbots_messaging::{
    nats::{Login, NatsOptions},
    streams::StreamOptions,
};

use super::{Reader, Secret, duration, values::from_str};

/// NATS, as it is configured.
#[derive(Debug, Clone)]
pub struct Nats {
    /// Its servers. Their addresses may hold passwords.
    pub servers: Vec<Secret>,
    /// How to log in.
    pub login: Login,
    /// A file with the certificates to trust, besides the system's.
    pub root_certificates: Option<PathBuf>,
    /// Refuse to speak without TLS.
    pub tls: bool,
    /// What the stream is like.
    pub stream: StreamOptions,
}

impl Nats {
    /// How to connect, for a process that goes by a name.
    pub fn options(&self, name: String) -> NatsOptions {
        NatsOptions {
            urls: self.servers.iter().map(|url| url.expose().to_owned()).collect(),
            login: self.login.clone(),
            root_certificates: self.root_certificates.clone(),
            require_tls: self.tls,
            name,
        }
    }
}

/// The settings that say nothing without a server.
const DEPENDENT: [&str; 10] = [
    "nats_credentials",
    "nats_user",
    "nats_password",
    "nats_token",
    "nats_root_certificates",
    "nats_tls",
    "stream_replicas",
    "stream_max_age",
    "stream_max_bytes",
    "stream_duplicate_window",
];

impl Reader {
    pub(super) fn nats(&mut self) -> Option<Nats> {
        let servers = self.list("nats_url", server);
        let login = self.nats_login();
        let usual = StreamOptions::default();
        let nats = Nats {
            servers,
            login,
            root_certificates: self.optional("nats_root_certificates", |text| Ok(text.into())),
            tls: self.read("nats_tls", from_str, false),
            stream: StreamOptions {
                replicas: self.read("stream_replicas", replicas, usual.replicas),
                max_age: self.read("stream_max_age", max_age, usual.max_age),
                max_bytes: self.optional("stream_max_bytes", size),
                duplicate_window: self.read(
                    "stream_duplicate_window",
                    duration,
                    usual.duplicate_window,
                ),
            },
        };
        if !nats.servers.is_empty() {
            return Some(nats);
        }
        for key in DEPENDENT {
            if self.find("nats_url").is_none() && self.find(key).is_some() {
                self.fault(key, "is of no use without nats_url");
            }
        }
        None
    }

    fn nats_login(&mut self) -> Login {
        let credentials = self.optional("nats_credentials", |text| Ok(PathBuf::from(text)));
        let user = self.optional("nats_user", |text| Ok(text.to_owned()));
        let password = self.optional("nats_password", from_str::<Secret>);
        let token = self.optional("nats_token", from_str::<Secret>);
        match (credentials, user, password, token) {
            (None, None, None, None) => Login::Nobody,
            (Some(path), None, None, None) => Login::Credentials(path),
            (None, Some(name), Some(password), None) => {
                Login::User { name, password: password.expose().to_owned() }
            }
            (None, None, None, Some(token)) => Login::Token(token.expose().to_owned()),
            _ => {
                self.faults.push(
                    "nats_credentials, nats_user with nats_password, nats_token: one of these \
                     ways to log in can be chosen"
                        .to_owned(),
                );
                Login::Nobody
            }
        }
    }
}

fn server(text: &str) -> Result<Secret, String> {
    // The text itself may hold a password: it is not repeated.
    if text.starts_with("nats://") || text.starts_with("tls://") {
        from_str(text)
    } else {
        Err("must begin with nats:// or tls://".to_owned())
    }
}

fn replicas(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        "5" => Ok(5),
        _ => Err("must be 1, 3 or 5".to_owned()),
    }
}

fn max_age(text: &str) -> Result<Option<Duration>, String> {
    if text == "forever" { Ok(None) } else { duration(text).map(Some) }
}

/// A number of bytes such as `512MiB` or `10GiB`.
fn size(text: &str) -> Result<i64, String> {
    let fault = || format!("{text:?} is not a size such as 512MiB or 10GiB");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(fault)?;
    let (number, unit) = text.split_at(digits);
    let number: i64 = number.parse().map_err(|_| fault())?;
    let bytes = match unit {
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "TiB" => Some(1 << 40),
        _ => None,
    };
    match bytes.and_then(|unit| number.checked_mul(unit)) {
        Some(bytes) if bytes > 0 => Ok(bytes),
        _ => Err(fault()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        for (text, bytes) in [("1KiB", 1_024), ("512MiB", 536_870_912), ("10GiB", 10_737_418_240)] {
            assert_eq!(size(text), Ok(bytes));
        }
        for text in ["", "1", "GiB", "0MiB", "-1MiB", "1GB", "99999999999TiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
