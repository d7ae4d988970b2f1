//! All settings by name, for people: what each means, what it is when nobody
//! says, and whether it may be shown.
//!
//! The help and `mallbots config show` are made of this table. A test holds
//! that each setting that is read stands here, and that the defaults are those
//! that are told.

use std::fmt::Write as _;

use super::layers::PREFIX;

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// What it is called in the file. In the environment the same in capitals,
    /// behind `MALLBOTS_`.
    pub key: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What it is when nobody says.
    pub usual: Usual,
    /// How much of it may be shown.
    pub shown: Shown,
    /// A variable by which other programs know it too.
    pub common: Option<&'static str>,
    /// Whether it is also an option, which the help tells of elsewhere.
    pub is_flag: bool,
}

/// What a setting is when nobody says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usual {
    /// Nothing.
    Unset,
    /// This, as it would be written.
    Is(&'static str),
    /// It depends on others; in words.
    Depends(&'static str),
}

/// How much of a setting may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All of it.
    Whole,
    /// An address, without the password in it.
    Address,
    /// Only whether it is there.
    Hidden,
}

impl Setting {
    const fn new(key: &'static str, meaning: &'static str) -> Self {
        Self {
            key,
            meaning,
            usual: Usual::Unset,
            shown: Shown::Whole,
            common: None,
            is_flag: false,
        }
    }

    const fn flag(key: &'static str, meaning: &'static str) -> Self {
        Self { is_flag: true, ..Self::new(key, meaning) }
    }

    const fn usually(self, text: &'static str) -> Self {
        Self { usual: Usual::Is(text), ..self }
    }

    const fn depends(self, words: &'static str) -> Self {
        Self { usual: Usual::Depends(words), ..self }
    }

    const fn address(self) -> Self {
        Self { shown: Shown::Address, ..self }
    }

    const fn secret(self) -> Self {
        Self { shown: Shown::Hidden, ..self }
    }

    const fn also(self, variable: &'static str) -> Self {
        Self { common: Some(variable), ..self }
    }

    /// The variable of its own.
    pub fn variable(&self) -> String {
        variable(self.key)
    }

    /// As much of its text as may be shown.
    pub fn show(&self, text: &str) -> String {
        match self.shown {
            Shown::Whole => text.to_owned(),
            Shown::Address => {
                let addresses: Vec<_> = text.split(',').map(|url| masked(url.trim())).collect();
                addresses.join(", ")
            }
            Shown::Hidden => MASK.to_owned(),
        }
    }
}

/// The variable of a setting's own.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase())
}

/// Every setting, in the order in which they are told.
pub const SETTINGS: &[Setting] = &[
    Setting::flag("roles", "what this process does").depends("everything"),
    Setting::flag("contexts", "the contexts whose commands it handles").depends("all"),
    Setting::flag("listen", "where to listen").usually("127.0.0.1:8080"),
    Setting::flag("admin_listen", "where to listen for who asks for metrics and health"),
    Setting::flag("data", "where the databases live").usually("mallbots-data"),
    Setting::flag("log", "what is logged").usually("info"),
    Setting::flag("log_format", "how the log is written").usually("pretty"),
    // ---- where it is kept
    Setting::new("database_url", "PostgreSQL to use instead of files")
        .address()
        .also("DATABASE_URL"),
    Setting::new("database_read_url", "one replica of it for queries")
        .address()
        .also("DATABASE_READ_URL"),
    Setting::new("database_connections", "connections for commands, consumers and the projector")
        .usually("8"),
    Setting::new("database_timeout", "how long one of their statements may take").usually("30s"),
    Setting::new("database_wait", "how long they wait for a connection").usually("10s"),
    Setting::new("database_read_connections", "connections for queries").usually("8"),
    Setting::new("database_read_timeout", "how long one of their statements may take")
        .usually("5s"),
    Setting::new("database_read_wait", "how long they wait for a connection").usually("3s"),
    // ---- what carries messages
    Setting::new("nats_url", "NATS servers that carry messages, with commas between them")
        .address()
        .also("NATS_URL"),
    Setting::new("nats_credentials", "the file to log in there with"),
    Setting::new("nats_user", "a name to log in there with, instead"),
    Setting::new("nats_password", "its password").secret(),
    Setting::new("nats_token", "a token to log in there with, instead").secret(),
    Setting::new("nats_root_certificates", "a file of certificates to trust there"),
    Setting::new("nats_tls", "true to speak over TLS only").usually("false"),
    Setting::new("stream_replicas", "servers that keep the stream: 1, 3 or 5").usually("1"),
    Setting::new("stream_max_age", "how long it keeps a message, or forever").usually("7d"),
    Setting::new("stream_max_bytes", "how much it keeps, such as 10GiB"),
    Setting::new("stream_duplicate_window", "how long it knows what it was given before")
        .usually("30s"),
    // ---- who comes in
    Setting::new("auth_secret", "what tokens are signed with (HS256), 32 characters or more")
        .secret(),
    Setting::new("auth_secret_file", "the file it is in"),
    Setting::new(
        "auth_jwks",
        "instead, the file or https:// address of the issuer's public keys (RS256, ES256, EdDSA)",
    )
    .address(),
    Setting::new("auth_issuer", "what a token's iss must be"),
    Setting::new("auth_audience", "what a token's aud must be"),
    Setting::new("auth_leeway", "by how much clocks may differ, up to 60s").usually("30s"),
    Setting::new("rate_limit", "operations a second of each caller, or off")
        .depends("100 with keys, else off"),
    Setting::new("rate_burst", "so many at once after a while without").depends("4 seconds' worth"),
    Setting::new("trusted_network", "true to listen where others reach it, without keys")
        .usually("false"),
    Setting::new("allowed_hosts", "host names it is called by, besides this machine's"),
    // ---- who looks on
    Setting::new("otel_exporter_otlp_endpoint", "the collector that traces are sent to, by HTTP")
        .address()
        .also("OTEL_EXPORTER_OTLP_ENDPOINT"),
    Setting::new("otel_service_name", "as what this mall is known there")
        .usually("mallbots")
        .also("OTEL_SERVICE_NAME"),
    Setting::new(
        "otel_traces_sampler",
        "where traces begin: parentbased_traceidratio, parentbased_always_on or \
         parentbased_always_off",
    )
    .usually("parentbased_traceidratio")
    .also("OTEL_TRACES_SAMPLER"),
    Setting::new(
        "otel_traces_sampler_arg",
        "in what share of the requests that bring no trace along, from 0 to 1",
    )
    .usually("1")
    .also("OTEL_TRACES_SAMPLER_ARG"),
    // ---- how the mall is run
    Setting::new("currency", "USD, EUR or GBP").usually("USD"),
    Setting::new("basket_abandoned_after", "when an untouched basket is cleared away")
        .usually("24h"),
    Setting::new("saga_step_timeout", "when a saga's step is tried again").usually("30s"),
    Setting::new("saga_retries", "how often, before the saga is stuck").usually("10"),
    Setting::new("snapshot_interval", "events of an aggregate between snapshots").usually("100"),
    Setting::new("webhook_url", "where notifications are sent; they are only logged without")
        .address(),
    Setting::new("webhook_secret", "what they are signed with").secret(),
    Setting::new("cursor_secret", "what cursors are signed with; kept in the database without")
        .secret(),
    // ---- the door
    Setting::new("allowed_origins", "origins of other hosts whose pages may call"),
    Setting::new(
        "preflight",
        "which GETs must show that no foreign page sent them: foreign (those that a browser says \
         are another site's) or always",
    )
    .usually("foreign"),
    Setting::new("introspection", "whether everybody may ask for the schema itself")
        .usually("true"),
    Setting::new("persisted_queries", "whether clients may register documents by their hash")
        .usually("true"),
    Setting::new(
        "trusted_documents",
        "a manifest of documents that requests may name, Apollo's or Relay's",
    ),
    Setting::new("trusted_documents_only", "true to execute no others").usually("false"),
    Setting::new(
        "callback_origins",
        "origins of routers whose subscriptions are told by callback; none are without",
    ),
    Setting::new("max_callbacks", "how many subscriptions by callback there may be")
        .usually("1000"),
    Setting::new("operation_timeout", "how long a query or a mutation may take").usually("30s"),
    Setting::new(
        "head_timeout",
        "how long a request's head may take, and how long a connection may lie idle",
    )
    .usually("30s"),
    Setting::new("body_timeout", "how long a request's body may take").usually("15s"),
    Setting::new("write_timeout", "how long a client may take nothing of what it is sent")
        .usually("30s"),
    Setting::new("max_connections", "how many connections there may be").usually("20000"),
    Setting::new("max_connections_per_address", "how many of them one address may have")
        .depends("1000, where only this machine is served as many as there may be"),
    Setting::new("shutdown_timeout", "how long a shutdown may take").usually("30s"),
];

/// Where the meanings begin in the help.
const COLUMN: usize = 30;
/// How wide the help is.
const WIDTH: usize = 98;

/// The settings without an option, as the help tells them.
pub(crate) fn help() -> String {
    let mut text = String::new();
    for Setting { key, meaning, usual, common, .. } in SETTINGS.iter().filter(|one| !one.is_flag) {
        let mut words = String::from(*meaning);
        if let Some(common) = common {
            let _ = write!(words, " (also {common})");
        }
        match usual {
            Usual::Unset => {}
            Usual::Is(usual) | Usual::Depends(usual) => {
                let _ = write!(words, " [default: {usual}]");
            }
        }
        let mut line = format!("  {key:<width$}", width = COLUMN - 3);
        for word in words.split(' ') {
            if line.chars().count() + 1 + word.chars().count() > WIDTH {
                text.push_str(line.trim_end());
                text.push('\n');
                line = " ".repeat(COLUMN - 1);
            }
            line.push(' ');
            line.push_str(word);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What stands for a secret.
const MASK: &str = "****";

/// An address without what may be a password in it: behind the name of a user,
/// or in the place of one, and in what follows the question mark.
fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        // No address at all, or a file: what looks like a login is none to show.
        return match url.rsplit_once('@') {
            Some((_, rest)) => format!("{MASK}@{rest}"),
            None => url.to_owned(),
        };
    };
    // A password may hold anything, if somebody forgot to escape it: the last @ counts.
    let (login, rest) = match rest.rsplit_once('@') {
        Some((login, rest)) => (Some(login), rest),
        None => (None, rest),
    };
    let login = login.map(|login| match login.split_once(':') {
        Some((user, _)) => format!("{user}:{MASK}@"),
        None if scheme.starts_with("postgres") => format!("{login}@"),
        // Elsewhere a name alone is a token.
        None => format!("{MASK}@"),
    });
    let rest = match rest.split_once('?') {
        Some((path, query)) => {
            let pairs: Vec<_> = query.split('&').map(masked_pair).collect();
            format!("{path}?{}", pairs.join("&"))
        }
        None => rest.to_owned(),
    };
    format!("{scheme}://{}{rest}", login.unwrap_or_default())
}

fn masked_pair(pair: &str) -> String {
    let Some((name, _)) = pair.split_once('=') else { return pair.to_owned() };
    let lower = name.to_ascii_lowercase();
    let is_secret =
        ["pass", "token", "secret", "key", "sig"].iter().any(|word| lower.contains(word));
    if is_secret { format!("{name}={MASK}") } else { pair.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_passwords() {
        for (url, shown) in [
            ("postgres://mall:hunter2@db:5432/mall", "postgres://mall:****@db:5432/mall"),
            ("postgres://mall@db/mall", "postgres://mall@db/mall"),
            ("postgres://mall:hun@ter:2/@db/mall", "postgres://mall:****@db/mall"),
            (
                "postgres://db/mall?user=a&password=hunter2",
                "postgres://db/mall?user=a&password=****",
            ),
            ("nats://hunter2@nats:4222", "nats://****@nats:4222"),
            ("nats://one:1, tls://me:hunter2@two:2", "nats://one:1, tls://me:****@two:2"),
            ("mall:hunter2@db", "****@db"),
            ("/etc/keys.json", "/etc/keys.json"),
        ] {
            let setting = Setting::new("any", "any").address();
            assert_eq!(setting.show(url), shown);
            assert_eq!(Setting::new("any", "any").secret().show(url), "****");
        }
    }

    #[test]
    fn the_help_is_as_wide_as_a_terminal_and_names_each_once() {
        let help = help();
        assert!(help.lines().all(|line| line.chars().count() <= WIDTH), "{help}");
        for setting in SETTINGS {
            let start = format!("  {} ", setting.key);
            let lines = help.lines().filter(|line| line.starts_with(&start)).count();
            assert_eq!(lines, usize::from(!setting.is_flag), "{}", setting.key);
        }
    }
}
