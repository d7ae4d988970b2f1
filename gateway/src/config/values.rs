//! How settings are written: lengths of time, addresses, names.

use std::{fmt, net::SocketAddr, num::NonZeroUsize, str::FromStr, time::Duration};

use tracing_subscriber::EnvFilter;

use super::Secret;

/// A number of things, one at least.
pub(super) fn count(text: &str) -> Result<usize, String> {
    from_str::<NonZeroUsize>(text).map(NonZeroUsize::get)
}

pub(super) fn from_str<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// An address to listen on, such as `127.0.0.1:8080`, `[::1]:0` or `localhost:8080`.
pub(crate) fn listen(text: &str) -> Result<SocketAddr, String> {
    let address = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    address.parse().map_err(|_| format!("{text:?} is not an address such as 127.0.0.1:8080"))
}

pub(super) fn filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

pub(super) fn http_url(text: &str) -> Result<String, String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        Ok(text.to_owned())
    } else {
        Err("must begin with http:// or https://".to_owned())
    }
}

pub(super) fn database_url(text: &str) -> Result<Secret, String> {
    // The text itself may hold a password: it is not repeated.
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        from_str(text)
    } else {
        Err("must begin with postgres://; without it the mall keeps files in `data`".to_owned())
    }
}

pub(super) fn origin(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@']) => {
            Ok(text.to_owned())
        }
        _ => Err(format!("{text:?} is not an origin such as https://console.example")),
    }
}

pub(super) fn read_url(text: &str) -> Result<Secret, String> {
    database_url(text).map_err(|_| "must begin with postgres://".to_owned())
}

pub(super) fn host(text: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if !text.is_empty() && text.chars().all(is_name) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!("{text:?} is not the name of a host such as mall.example"))
    }
}

pub(super) fn cursor_secret(text: &str) -> Result<Secret, String> {
    if text.len() < 16 {
        return Err("must have at least 16 characters".to_owned());
    }
    from_str(text)
}

/// A length of time such as `250ms`, `30s`, `5m`, `24h` or `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let fault = || format!("{text:?} is not a length of time such as 250ms, 30s, 5m, 24h or 7d");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(fault)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| fault())?;
    let milliseconds = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    match milliseconds.and_then(|unit| number.checked_mul(unit)) {
        Some(0) => Err("must be longer than nothing".to_owned()),
        Some(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        None => Err(fault()),
    }
}

/// One of several things that have names, by its name. `what` it is, such as
/// `a role`, is said to who names none of them.
pub(crate) fn one_of<T: Copy>(
    all: &[T],
    name: impl Fn(T) -> &'static str,
    what: &str,
    text: &str,
) -> Result<T, String> {
    all.iter().copied().find(|one| name(*one) == text).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|one| name(*one)).collect();
        format!("{text:?} is not {what}; there are {}", names.join(", "))
    })
}
