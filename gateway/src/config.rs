//! Every setting there is: read once, in layers, judged as a whole before
//! anything is opened.
//!
//! Flags go over the environment (`MALLBOTS_LISTEN`), that over the file named
//! by `--config` or `MALLBOTS_CONFIG` (TOML: `listen = "127.0.0.1:8080"`), that
//! over the defaults. Secrets come from the environment or the file only: flags
//! show in process lists.

mod callers;
pub mod duties;
mod layers;
pub mod nats;
mod reader;
pub mod settings;
mod traces;
mod values;

use std::{
    collections::BTreeSet, fmt, net::SocketAddr, num::NonZeroU32, path::PathBuf, str::FromStr,
    time::Duration,
};

use mallbots_eventstore::connect::PoolLimits;

pub(crate) use self::values::{duration, listen, one_of};
pub use self::{callers::token, layers::Origin, traces::Traces};
use self::{
    duties::{Duties, Role},
    layers::{Layers, of_environment, of_file, of_texts, option},
    nats::Nats,
    reader::{Reader, shown},
    settings::{SETTINGS, Setting, Usual},
    values::{
        count, cursor_secret, database_url, filter, from_str, host, http_url, origin, read_url,
    },
};
use crate::{
    auth::{Keys, rate::Rate},
    cli::SettingsArgs,
    transport::preflight::Preflight,
};

/// The settings, judged.
#[derive(Debug, Clone)]
pub struct Config {
    /// What this process does.
    pub duties: Duties,
    /// Where to listen. For a gateway loopback only, as long as no keys are
    /// configured, or the network is said to be trusted.
    pub listen: SocketAddr,
    /// Where to listen for those who watch over the process: metrics and
    /// health. Without, only health can be asked for, at the main address.
    pub admin_listen: Option<SocketAddr>,
    /// By what tokens are checked. Without, it is in development mode: whoever
    /// comes without a token is an admin.
    pub keys: Option<Keys>,
    /// How fast a caller may ask; as fast as they can without.
    pub rate: Option<Rate>,
    /// By which names of hosts it is called, besides those of this machine.
    pub allowed_hosts: Vec<String>,
    /// Origins of other hosts whose pages may call.
    pub allowed_origins: Vec<String>,
    /// Which GETs must show that no foreign page sent them.
    pub preflight: Preflight,
    /// Origins of routers that may be called back; nobody is without.
    pub callback_origins: Vec<String>,
    /// How many subscriptions by callback there may be.
    pub max_callbacks: usize,
    /// Whether everybody may ask for the schema itself, and is told what a
    /// misspelt name may have meant.
    pub introspection: bool,
    /// Whether clients may register documents by their hash.
    pub persisted_queries: bool,
    /// A manifest of the documents that are trusted.
    pub trusted_documents: Option<PathBuf>,
    /// Whether no others are executed.
    pub trusted_documents_only: bool,
    /// How long a query or a mutation may take.
    pub operation_timeout: Option<Duration>,
    /// How long the head of a request may take, and how long a connection may
    /// lie idle between two.
    pub head_timeout: Option<Duration>,
    /// How long the body of a request may take.
    pub body_timeout: Option<Duration>,
    /// How long a client may take nothing of what is written to it.
    pub write_timeout: Option<Duration>,
    /// How many connections there may be.
    pub max_connections: Option<usize>,
    /// How many of them one address may have.
    pub max_connections_per_address: Option<usize>,
    /// Where the databases live, unless `database_url` names one.
    pub data: PathBuf,
    /// A PostgreSQL database to use instead of files in `data`.
    pub database_url: Option<Secret>,
    /// A replica of it that queries may read.
    pub database_read_url: Option<Secret>,
    /// What the server's own work is given of PostgreSQL: commands, consumers,
    /// the projector.
    pub database_work: PoolLimits,
    /// What queries are given of it.
    pub database_reads: PoolLimits,
    /// The NATS that carries messages; the ledger itself does without.
    pub nats: Option<Nats>,
    /// What is logged, and how.
    pub log: Log,
    /// Where traces are sent; nowhere without.
    pub traces: Option<Traces>,
    /// The mall's one currency.
    pub currency: Currency,
    /// How long a basket may lie untouched before it is cleared away.
    pub basket_abandoned_after: Duration,
    /// How sagas wait and try again.
    pub sagas: Sagas,
    /// Where customers' notifications are sent; only logged without.
    pub webhook: Option<Webhook>,
    /// After how many events of an aggregate a snapshot is taken.
    pub snapshot_interval: NonZeroU32,
    /// What cursors are signed with; a key kept in the database without.
    pub cursor_secret: Option<Secret>,
    /// How long a shutdown may take before what is left is cut off.
    pub shutdown_timeout: Duration,
    /// When to die, for tests of crashes.
    #[cfg(feature = "test-support")]
    pub die_at: Option<crate::failpoint::Failpoint>,
    /// How often consumers save how far they are, for tests of crashes.
    #[cfg(feature = "test-support")]
    pub checkpoint_every: Option<Duration>,
    /// Variables that look like settings but are none.
    pub ignored: Vec<String>,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct Log {
    /// Which records, as `tracing` filters are written (`info,mallbots_gateway=debug`).
    pub filter: String,
    /// In which form.
    pub format: LogFormat,
}

/// The forms of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people at a terminal.
    Pretty,
    /// One JSON object a line, for machines.
    Json,
}

/// The currencies a mall may run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Currency {
    /// US dollar.
    Usd,
    /// Euro.
    Eur,
    /// Pound sterling.
    Gbp,
}

/// How sagas wait and try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sagas {
    /// How long a step may take before it is tried again.
    pub step_timeout: Duration,
    /// How often a step is tried again before the saga is stuck.
    pub retries: u32,
}

/// Where customers' notifications are sent.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Where to.
    pub url: String,
    /// What they are signed with.
    pub secret: Secret,
}

/// Text that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text, for its use only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl FromStr for Secret {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() { Err("must not be empty") } else { Ok(Self(text.to_owned())) }
    }
}

/// All that is wrong with the settings, each fault with the setting's name.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings are wrong")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for ConfigError {}

/// Names of variables that are not settings of their own.
const NOT_SETTINGS: [&str; 3] = ["config", "token", "token_file"];

/// What was read, whether it is good or not.
#[derive(Debug)]
pub struct Reading {
    /// The settings; those that are wrong are as they usually are.
    pub config: Config,
    /// Each setting, and where it comes from.
    pub made: Vec<Made>,
    /// All that is wrong, each with the setting's name.
    pub faults: Vec<String>,
}

/// A setting as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Which.
    pub setting: &'static Setting,
    /// What it is, as it would be written, without secrets; nothing if it is not set.
    pub value: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
}

impl Config {
    /// Reads the settings: flags, the given environment, and the file that one
    /// of both names.
    pub fn load(
        flags: &SettingsArgs,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::load_over(&[], flags, environment)
    }

    /// The same over other defaults.
    pub fn load_over(
        defaults: &[(&str, &str)],
        flags: &SettingsArgs,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let Reading { config, faults, .. } = Self::read(defaults, flags, environment)?;
        if faults.is_empty() { Ok(config) } else { Err(ConfigError(faults)) }
    }

    /// The same, with all that can be said of it. Fails if there is no reading
    /// the file.
    pub fn read(
        defaults: &[(&str, &str)],
        flags: &SettingsArgs,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Reading, ConfigError> {
        let defaults = defaults.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let environment = of_environment(environment);
        let named = environment.iter().rfind(|(key, ..)| key == "config");
        let file = named.and_then(|(_, value, _)| value.as_str().map(PathBuf::from));
        let file = flags.config.clone().or(file);

        let mut layers = Layers::default();
        layers.put(of_texts(defaults, |_| Origin::Default));
        let mut in_file = Vec::new();
        if let Some(file) = file {
            let table = of_file(&file)?;
            in_file.extend(table.keys().cloned());
            let origin = Origin::File(file);
            layers.put(table.into_iter().map(|(key, value)| (key, value, origin.clone())));
        }
        let names: BTreeSet<_> = environment.iter().map(|(key, ..)| key.clone()).collect();
        layers.put(environment);
        layers.put(of_texts(flags.as_settings(), option));

        let mut reader = Reader { layers, known: NOT_SETTINGS.into(), faults: Vec::new() };
        let mut config = reader.read_all();
        for key in in_file.iter().filter(|key| !reader.known.contains(key.as_str())) {
            reader.faults.push(format!("{key}: there is no such setting"));
        }
        let unknown = names.iter().filter(|key| !reader.known.contains(key.as_str()));
        config.ignored = unknown.map(|key| settings::variable(key)).collect();
        let made = SETTINGS.iter().map(|setting| reader.made(setting, &config)).collect();
        Ok(Reading { config, made, faults: reader.faults })
    }

    /// What a setting is that depends on others.
    fn effective(&self, key: &str) -> Option<String> {
        match key {
            "roles" => Some(self.duties.to_string()),
            "contexts" => {
                let contexts: Vec<_> = self.duties.contexts.iter().copied().collect();
                self.duties.has(Role::Commands).then(|| contexts.join(","))
            }
            "rate_limit" => {
                Some(self.rate.map_or_else(|| "off".to_owned(), |rate| rate.per_second.to_string()))
            }
            "rate_burst" => self.rate.map(|rate| rate.burst.to_string()),
            _ => None,
        }
    }
}

impl Reader {
    fn made(&self, setting: &'static Setting, config: &Config) -> Made {
        let value = match self.layers.value(setting.key) {
            Some(value) => Some(setting.show(&shown(value))),
            None => match setting.usual {
                Usual::Unset => None,
                Usual::Is(text) => Some(text.to_owned()),
                Usual::Depends(_) => config.effective(setting.key),
            },
        };
        Made { setting, value, origin: self.layers.origin(setting.key) }
    }

    fn read_all(&mut self) -> Config {
        let listen = self.read("listen", listen, SocketAddr::from(([127, 0, 0, 1], 8080)));

        let filter = self.read("log", filter, "info".to_owned());
        let format = self.read("log_format", from_str, LogFormat::Pretty);

        let step_timeout = self.read("saga_step_timeout", duration, Duration::from_secs(30));
        let webhook_url = self.read("webhook_url", |text| http_url(text).map(Some), None);
        let webhook_secret = self.read("webhook_secret", |text| from_str(text).map(Some), None);
        let webhook = match (webhook_url, webhook_secret) {
            (Some(url), Some(secret)) => Some(Webhook { url, secret }),
            (None, None) => None,
            (Some(_), None) => {
                self.faults.push("webhook_secret: is missing, webhook_url is set".to_owned());
                None
            }
            (None, Some(_)) => {
                self.faults.push("webhook_url: is missing, webhook_secret is set".to_owned());
                None
            }
        };

        let database_url = self.read("database_url", |text| database_url(text).map(Some), None);
        let database_read_url =
            self.read("database_read_url", |text| read_url(text).map(Some), None);
        if database_read_url.is_some() && database_url.is_none() {
            self.fault("database_read_url", "is of no use without database_url");
        }

        let nats = self.nats();
        let duties = self.duties(database_url.is_some(), nats.is_some());
        let keys = self.keys();
        let rate = self.rate(keys.is_some());
        let trusted = self.read("trusted_network", from_str, false);
        // Without GraphQL there is nothing but its health to be seen.
        let is_open = keys.is_none() && !trusted && duties.has(Role::Gateway);
        if !listen.ip().is_loopback() && is_open {
            let fault = format!(
                "{listen} is not a loopback address: without keys to check tokens by, everyone \
                 who reaches the server is an admin, so it serves this machine only: set \
                 auth_secret or auth_jwks; or trusted_network, if nobody else can reach it"
            );
            self.fault("listen", &fault);
        }

        let trusted_documents = self.optional("trusted_documents", |text| Ok(PathBuf::from(text)));
        let trusted_documents_only = self.read("trusted_documents_only", from_str, false);
        if trusted_documents_only && trusted_documents.is_none() {
            self.fault("trusted_documents_only", "is of no use without trusted_documents");
        }

        Config {
            duties,
            listen,
            admin_listen: self.optional("admin_listen", self::listen),
            keys,
            rate,
            allowed_hosts: self.list("allowed_hosts", host),
            allowed_origins: self.list("allowed_origins", origin),
            preflight: self.read("preflight", from_str, Preflight::default()),
            callback_origins: self.list("callback_origins", origin),
            max_callbacks: self.read("max_callbacks", count, 1_000),
            introspection: self.read("introspection", from_str, true),
            persisted_queries: self.read("persisted_queries", from_str, true),
            trusted_documents,
            trusted_documents_only,
            operation_timeout: self.optional("operation_timeout", duration),
            head_timeout: self.optional("head_timeout", duration),
            body_timeout: self.optional("body_timeout", duration),
            write_timeout: self.optional("write_timeout", duration),
            max_connections: self.optional("max_connections", count),
            max_connections_per_address: self.optional("max_connections_per_address", count),
            data: self.read("data", |text| Ok(PathBuf::from(text)), "mallbots-data".into()),
            database_url,
            database_read_url,
            nats,
            database_work: self.limits(
                ["database_connections", "database_timeout", "database_wait"],
                PoolLimits::WORK,
            ),
            database_reads: self.limits(
                ["database_read_connections", "database_read_timeout", "database_read_wait"],
                PoolLimits::QUESTIONS,
            ),
            log: Log { filter, format },
            traces: self.traces(),
            currency: self.read("currency", from_str, Currency::Usd),
            basket_abandoned_after: self.read(
                "basket_abandoned_after",
                duration,
                Duration::from_hours(24),
            ),
            sagas: Sagas { step_timeout, retries: self.read("saga_retries", from_str, 10) },
            webhook,
            snapshot_interval: self.read("snapshot_interval", from_str, SNAPSHOT_INTERVAL),
            cursor_secret: self.read("cursor_secret", |text| cursor_secret(text).map(Some), None),
            shutdown_timeout: self.read("shutdown_timeout", duration, Duration::from_secs(30)),
            #[cfg(feature = "test-support")]
            die_at: self.read("die_at", |text| from_str(text).map(Some), None),
            #[cfg(feature = "test-support")]
            checkpoint_every: self.read("checkpoint_every", |text| duration(text).map(Some), None),
            ignored: Vec::new(),
        }
    }

    /// What the process does; `database` and `nats` are there or not.
    fn duties(&mut self, database: bool, nats: bool) -> Duties {
        let all = Duties::all(nats);
        let roles = self.set("roles", from_str::<Role>);
        let contexts = self.set("contexts", duties::context);
        let is_divided = roles.as_ref().is_some_and(|roles| *roles != all.roles)
            || contexts.as_ref().is_some_and(|contexts| *contexts != all.contexts);
        if is_divided && !database {
            let key = if roles.is_some() { "roles" } else { "contexts" };
            let fault = "files are one process's, which does everything: to divide the work \
                         among several, set database_url";
            self.fault(key, fault);
        }
        if !nats && roles.as_ref().is_some_and(|roles| roles.contains(&Role::Relay)) {
            self.fault("roles", "the relay publishes on NATS: set nats_url");
        }
        let duties = Duties {
            roles: roles.unwrap_or(all.roles),
            contexts: contexts.clone().unwrap_or(all.contexts),
        };
        if contexts.is_some() && !duties.has(Role::Commands) {
            self.fault("contexts", "is of no use without the role commands");
        }
        duties
    }
}

const SNAPSHOT_INTERVAL: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);
impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "pretty" => Ok(Self::Pretty),
            "json" => Ok(Self::Json),
            _ => Err("must be pretty or json"),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pretty => "pretty",
            Self::Json => "json",
        })
    }
}

impl FromStr for Currency {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "USD" => Ok(Self::Usd),
            "EUR" => Ok(Self::Eur),
            "GBP" => Ok(Self::Gbp),
            _ => Err("must be USD, EUR or GBP"),
        }
    }
}

#[cfg(test)]
mod tests;
