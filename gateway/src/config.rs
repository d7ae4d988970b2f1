//! Every setting there is: read once, in layers, judged as a whole before
//! anything is opened.
//!
//! Flags go over the environment (`MALLBOTS_LISTEN`), that over the file named
//! by `--config` or `MALLBOTS_CONFIG` (TOML: `listen = "127.0.0.1:8080"`), that
//! over the defaults. Secrets come from the environment or the file only: flags
//! show in process lists.

mod callers;
pub mod duties;
pub mod nats;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Format, Toml},
    value::{Dict, Map, Num, Value},
};
use mallbots_eventstore::connect::PoolLimits;
use tracing_subscriber::EnvFilter;

pub use self::callers::token;
use self::{
    duties::{Duties, Role},
    nats::Nats,
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

/// What the environment's variables begin with.
const PREFIX: &str = "MALLBOTS_";

/// Settings that go by a name that other programs know too.
const COMMON: [&str; 3] = ["DATABASE_URL", "DATABASE_READ_URL", "NATS_URL"];

/// Names of variables that are not settings of their own.
const NOT_SETTINGS: [&str; 3] = ["config", "token", "token_file"];

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
        let defaults = defaults.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let environment = settings_of(environment);
        let file = flags.config.clone().or_else(|| environment.get("config").map(PathBuf::from));

        let mut figment = Figment::from(Layer::of(Place::Defaults, defaults.collect()));
        let mut in_file = BTreeSet::new();
        if let Some(file) = &file {
            let toml = read(file)?;
            in_file.extend(toml.keys().cloned());
            figment = figment.merge(Layer { place: Place::File(file.clone()), values: toml });
        }
        let names: BTreeSet<_> = environment.keys().cloned().collect();
        figment = figment
            .merge(Layer::of(Place::Environment, environment))
            .merge(Layer::of(Place::Flags, flags.as_settings()));

        let mut reader = Reader { figment, known: NOT_SETTINGS.into(), faults: Vec::new() };
        let mut config = reader.read_all();
        for key in in_file.difference(&reader.known.iter().map(|key| (*key).to_owned()).collect()) {
            reader.faults.push(format!("{key}: there is no such setting"));
        }
        config.ignored = names
            .iter()
            .filter(|name| !reader.known.contains(name.as_str()))
            .map(|name| format!("{PREFIX}{}", name.to_ascii_uppercase()))
            .collect();
        if reader.faults.is_empty() { Ok(config) } else { Err(ConfigError(reader.faults)) }
    }
}

/// The variables that are settings, by the settings' names.
fn settings_of(
    environment: impl IntoIterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    let mut common = BTreeMap::new();
    for (name, value) in environment {
        if let Some(setting) = name.strip_prefix(PREFIX) {
            settings.insert(setting.to_ascii_lowercase(), value);
        } else if COMMON.contains(&&*name) {
            common.insert(name.to_ascii_lowercase(), value);
        }
    }
    for (name, value) in common {
        settings.entry(name).or_insert(value);
    }
    settings
}

fn read(file: &Path) -> Result<Dict, ConfigError> {
    let fault =
        |error: &dyn fmt::Display| ConfigError(vec![format!("{}: {error}", file.display())]);
    let text = std::fs::read_to_string(file).map_err(|error| fault(&error))?;
    Toml::from_str(&text).map_err(|error| fault(&error))
}

/// Where a setting was made.
#[derive(Debug, Clone)]
enum Place {
    Flags,
    Environment,
    File(PathBuf),
    Defaults,
}

impl Place {
    /// What the setting is called there.
    fn name_of(&self, key: &str) -> String {
        match self {
            Self::Flags => format!("--{}", key.replace('_', "-")),
            Self::Environment => format!("{PREFIX}{}", key.to_ascii_uppercase()),
            Self::File(file) => format!("{key} in {}", file.display()),
            Self::Defaults => key.to_owned(),
        }
    }
}

/// The settings made in one place.
struct Layer {
    place: Place,
    values: Dict,
}

impl Layer {
    fn of(place: Place, values: BTreeMap<String, String>) -> Self {
        Self { place, values: values.into_iter().map(|(key, value)| (key, value.into())).collect() }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        let place = self.place.clone();
        Metadata::named("settings").interpolater(move |_, keys| place.name_of(&keys.join(".")))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// Reads settings one by one and goes on after a fault, to tell them all.
struct Reader {
    figment: Figment,
    known: BTreeSet<&'static str>,
    faults: Vec<String>,
}

impl Reader {
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
            keys,
            rate,
            allowed_hosts: self.list("allowed_hosts", host),
            allowed_origins: self.list("allowed_origins", origin),
            preflight: self.read("preflight", from_str, Preflight::default()),
            introspection: self.read("introspection", from_str, true),
            persisted_queries: self.read("persisted_queries", from_str, true),
            trusted_documents,
            trusted_documents_only,
            operation_timeout: self.optional("operation_timeout", duration),
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

    fn limits(
        &mut self,
        [connections, timeout, wait]: [&'static str; 3],
        usual: PoolLimits,
    ) -> PoolLimits {
        let count = NonZeroU32::new(usual.connections).unwrap_or(NonZeroU32::MIN);
        PoolLimits {
            connections: self.read(connections, from_str, count).get(),
            statement_timeout: self.read(timeout, duration, usual.statement_timeout),
            acquire_timeout: self.read(wait, duration, usual.acquire_timeout),
        }
    }

    fn read<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
        default: T,
    ) -> T {
        let Some(value) = self.find(key) else { return default };
        let read = text_of(&value).ok_or_else(|| "must be text".to_owned());
        read.and_then(|text| parse(text.trim())).unwrap_or_else(|fault| {
            self.fault(key, &fault);
            default
        })
    }

    fn optional<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.read(key, |text| parse(text).map(Some), None)
    }

    /// A list of which each is named once, and one at least; none if it was not set.
    fn set<T: Ord>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<BTreeSet<T>> {
        self.find(key)?;
        let faults = self.faults.len();
        let set: BTreeSet<_> = self.list(key, parse).into_iter().collect();
        if set.is_empty() {
            if self.faults.len() == faults {
                self.fault(key, "must name one at least");
            }
            return None;
        }
        Some(set)
    }

    /// A list, or text with commas.
    fn list<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let Some(value) = self.find(key) else { return Vec::new() };
        let items = match &value {
            Value::Array(_, items) => items.iter().map(text_of).collect::<Option<Vec<_>>>(),
            Value::String(..) | Value::Char(..) => {
                text_of(&value).map(|text| text.split(',').map(str::to_owned).collect())
            }
            Value::Bool(..) | Value::Num(..) | Value::Empty(..) | Value::Dict(..) => None,
        };
        let read = items.ok_or_else(|| "must be a list of texts".to_owned()).and_then(|items| {
            let items = items.iter().map(|item| item.trim()).filter(|item| !item.is_empty());
            items.map(parse).collect()
        });
        read.unwrap_or_else(|fault| {
            self.fault(key, &fault);
            Vec::new()
        })
    }

    fn find(&mut self, key: &'static str) -> Option<Value> {
        self.known.insert(key);
        self.figment.find_value(key).ok()
    }

    /// Remembers a fault, under the name the setting has where it was made.
    fn fault(&mut self, key: &str, fault: &str) {
        let name = self.figment.find_metadata(key).map_or_else(
            || key.to_owned(),
            |metadata| metadata.interpolate(&Profile::Default, &[key]),
        );
        self.faults.push(format!("{name}: {fault}"));
    }
}

const SNAPSHOT_INTERVAL: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Char(_, c) => Some(c.to_string()),
        Value::Bool(_, truth) => Some(truth.to_string()),
        Value::Num(_, Num::F32(number)) => Some(number.to_string()),
        Value::Num(_, Num::F64(number)) => Some(number.to_string()),
        Value::Num(_, number) => number
            .to_i128()
            .map(|number| number.to_string())
            .or_else(|| number.to_u128().map(|number| number.to_string())),
        Value::Empty(..) | Value::Dict(..) | Value::Array(..) => None,
    }
}

/// A number of things, one at least.
fn count(text: &str) -> Result<usize, String> {
    from_str::<NonZeroUsize>(text).map(NonZeroUsize::get)
}

fn from_str<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
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

fn filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn http_url(text: &str) -> Result<String, String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        Ok(text.to_owned())
    } else {
        Err("must begin with http:// or https://".to_owned())
    }
}

fn database_url(text: &str) -> Result<Secret, String> {
    // The text itself may hold a password: it is not repeated.
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        from_str(text)
    } else {
        Err("must begin with postgres://; without it the mall keeps files in `data`".to_owned())
    }
}

fn origin(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@']) => {
            Ok(text.to_owned())
        }
        _ => Err(format!("{text:?} is not an origin such as https://console.example")),
    }
}

fn read_url(text: &str) -> Result<Secret, String> {
    database_url(text).map_err(|_| "must begin with postgres://".to_owned())
}

fn host(text: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if !text.is_empty() && text.chars().all(is_name) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!("{text:?} is not the name of a host such as mall.example"))
    }
}

fn cursor_secret(text: &str) -> Result<Secret, String> {
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
mod tests {
    use std::io::Write;

    use super::*;

    fn load(flags: &SettingsArgs, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(flags, environment).map_err(|ConfigError(faults)| faults)
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn nothing_need_be_set() {
        let config = load(&SettingsArgs::default(), &[("HOME", "/root")]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.data, Path::new("mallbots-data"));
        assert_eq!(config.basket_abandoned_after, Duration::from_hours(24));
        assert_eq!(config.sagas.step_timeout, Duration::from_secs(30));
        assert_eq!(config.snapshot_interval.get(), 100);
        assert_eq!(config.currency, Currency::Usd);
        assert!(config.webhook.is_none() && config.database_url.is_none());
        assert!(config.ignored.is_empty());
    }

    #[test]
    fn flags_go_over_the_environment_and_that_over_the_file() {
        let file =
            file("listen = '127.0.0.1:1'\ndata = '/file'\ncurrency = 'EUR'\nsaga_retries = 3");
        let flags = SettingsArgs {
            config: Some(file.path().to_owned()),
            listen: Some("127.0.0.1:3".parse().unwrap()),
            ..SettingsArgs::default()
        };
        let environment = [("MALLBOTS_LISTEN", "127.0.0.1:2"), ("MALLBOTS_DATA", "/environment")];
        let config = load(&flags, &environment).unwrap();
        assert_eq!(config.listen.port(), 3);
        assert_eq!(config.data, Path::new("/environment"));
        assert_eq!(config.currency, Currency::Eur);
        assert_eq!(config.sagas.retries, 3);
    }

    #[test]
    fn a_command_may_have_defaults_of_its_own() {
        let defaults = [("data", "mallbots-demo"), ("log", "warn")];
        let load = |environment: &[(&str, &str)]| {
            let environment =
                environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Config::load_over(&defaults, &SettingsArgs::default(), environment).unwrap()
        };
        let config = load(&[]);
        assert_eq!(
            (config.data.as_path(), config.log.filter.as_str()),
            (Path::new("mallbots-demo"), "warn")
        );
        let config = load(&[("MALLBOTS_DATA", "/elsewhere")]);
        assert_eq!(config.data, Path::new("/elsewhere"));
    }

    #[test]
    fn the_environment_may_name_the_file() {
        let file = file("shutdown_timeout = '5m'\nallowed_origins = ['http://a', 'https://b:1']");
        let path = file.path().to_str().unwrap();
        let config = load(&SettingsArgs::default(), &[("MALLBOTS_CONFIG", path)]).unwrap();
        assert_eq!(config.shutdown_timeout, Duration::from_mins(5));
        assert_eq!(config.allowed_origins, ["http://a", "https://b:1"]);
        assert!(config.ignored.is_empty());
    }

    #[test]
    fn every_fault_is_told_at_once_under_the_name_it_was_made_by() {
        let file = file("currency = 'BTC'\nsaga_step_timeout = 30\nlisten_on = 'x'\nlog = 'a=b=c'");
        let flags = SettingsArgs {
            config: Some(file.path().to_owned()),
            listen: Some("0.0.0.0:80".parse().unwrap()),
            ..SettingsArgs::default()
        };
        let environment = [
            ("MALLBOTS_SNAPSHOT_INTERVAL", "0"),
            ("MALLBOTS_CURSOR_SECRET", "short"),
            ("MALLBOTS_WEBHOOK_URL", "https://hooks.example"),
            ("MALLBOTS_ALLOWED_ORIGINS", "https://a, b"),
            ("DATABASE_URL", "mysql://user:hunter2@host"),
        ];
        let faults = load(&flags, &environment).unwrap_err();
        let path = file.path().display();
        for start in [
            "--listen: 0.0.0.0:80 is not a loopback address",
            &format!("currency in {path}: must be USD"),
            &format!("saga_step_timeout in {path}: \"30\" is not a length of time"),
            &format!("log in {path}: "),
            "listen_on: there is no such setting",
            "MALLBOTS_SNAPSHOT_INTERVAL: ",
            "MALLBOTS_CURSOR_SECRET: must have at least 16",
            "webhook_secret: is missing",
            "MALLBOTS_ALLOWED_ORIGINS: \"b\" is not an origin",
            "MALLBOTS_DATABASE_URL: must begin with postgres://",
        ] {
            assert!(faults.iter().any(|fault| fault.starts_with(start)), "{start}\n{faults:#?}");
        }
        assert_eq!(faults.len(), 10);
        assert!(!faults.join("\n").contains("hunter2"));
    }

    #[test]
    fn numbers_in_the_environment_may_be_secrets() {
        let environment = [
            ("MALLBOTS_CURSOR_SECRET", "1234567890123456"),
            ("MALLBOTS_WEBHOOK_URL", "http://localhost:1/hook"),
            ("MALLBOTS_WEBHOOK_SECRET", "0042"),
        ];
        let config = load(&SettingsArgs::default(), &environment).unwrap();
        assert_eq!(config.cursor_secret.unwrap().expose(), "1234567890123456");
        assert_eq!(config.webhook.unwrap().secret.expose(), "0042");
    }

    #[test]
    fn secrets_do_not_show() {
        let environment = [("DATABASE_URL", "postgres://user:hunter2@host/mall")];
        let config = load(&SettingsArgs::default(), &environment).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(config.database_url.unwrap().expose(), environment[0].1);
    }

    #[test]
    fn queries_may_have_a_database_of_their_own() {
        let environment = [
            ("DATABASE_URL", "postgres://primary/mall"),
            ("DATABASE_READ_URL", "postgres://replica/mall"),
            ("MALLBOTS_DATABASE_READ_TIMEOUT", "2s"),
            ("MALLBOTS_DATABASE_CONNECTIONS", "3"),
        ];
        let config = load(&SettingsArgs::default(), &environment).unwrap();
        assert_eq!(config.database_read_url.unwrap().expose(), environment[1].1);
        assert_eq!(config.database_reads.statement_timeout, Duration::from_secs(2));
        assert_eq!(config.database_work, PoolLimits { connections: 3, ..PoolLimits::WORK });

        let faults = load(&SettingsArgs::default(), &environment[1..2]).unwrap_err();
        assert_eq!(faults, ["MALLBOTS_DATABASE_READ_URL: is of no use without database_url"]);
        let none = [("MALLBOTS_DATABASE_READ_CONNECTIONS", "0")];
        assert!(load(&SettingsArgs::default(), &none).is_err());
    }

    #[test]
    fn a_process_does_everything_that_makes_sense_if_nothing_is_said() {
        let config = load(&SettingsArgs::default(), &[]).unwrap();
        assert_eq!(config.duties.to_string(), "gateway,commands,sagas,projector,notifier");
        let nats = ("NATS_URL", "nats://127.0.0.1:4222");
        let config = load(&SettingsArgs::default(), &[nats]).unwrap();
        assert_eq!(config.duties.to_string(), "gateway,commands,sagas,projector,relay,notifier");
        assert_eq!(config.duties.contexts.len(), 6);
    }

    #[test]
    fn several_processes_divide_the_work() {
        let environment = [
            ("DATABASE_URL", "postgres://mall"),
            ("NATS_URL", "nats://one:4222, tls://user:hunter2@two:4222"),
            ("MALLBOTS_CONTEXTS", "depot,ordering"),
            ("MALLBOTS_STREAM_REPLICAS", "3"),
            ("MALLBOTS_STREAM_MAX_AGE", "forever"),
            ("MALLBOTS_STREAM_MAX_BYTES", "10GiB"),
            ("MALLBOTS_NATS_TOKEN", "hunter2"),
        ];
        let flags = SettingsArgs {
            roles: Some("relay, commands".to_owned()),
            listen: Some("0.0.0.0:8080".parse().unwrap()),
            ..SettingsArgs::default()
        };
        let config = load(&flags, &environment).unwrap();
        assert_eq!(config.duties.to_string(), "commands,relay");
        assert_eq!(config.duties.contexts, ["depot", "ordering"].into());
        assert!(!format!("{config:?}").contains("hunter2"));
        let nats = config.nats.unwrap();
        assert_eq!((nats.stream.replicas, nats.stream.max_age), (3, None));
        assert_eq!(nats.stream.max_bytes, Some(10 << 30));
        assert_eq!(nats.options("mall".to_owned()).urls[1], "tls://user:hunter2@two:4222");
    }

    #[test]
    fn work_that_cannot_be_done_is_refused() {
        let database = ("DATABASE_URL", "postgres://mall");
        let nats = ("NATS_URL", "nats://mall:4222");
        for (environment, start) in [
            (
                &[database, ("MALLBOTS_ROLES", "gatekeeper")][..],
                "MALLBOTS_ROLES: \"gatekeeper\" is not a role; there are gateway, commands,",
            ),
            (
                &[database, ("MALLBOTS_CONTEXTS", "stores")],
                "MALLBOTS_CONTEXTS: \"stores\" is not a context with work to do; there are baskets,",
            ),
            (&[database, ("MALLBOTS_ROLES", ",")], "MALLBOTS_ROLES: must name one at least"),
            (&[database, ("MALLBOTS_ROLES", "relay")], "MALLBOTS_ROLES: the relay publishes on"),
            (&[nats, ("MALLBOTS_ROLES", "relay")], "MALLBOTS_ROLES: files are one process's"),
            (&[("MALLBOTS_CONTEXTS", "depot")], "MALLBOTS_CONTEXTS: files are one process's"),
            (
                &[database, ("MALLBOTS_ROLES", "sagas"), ("MALLBOTS_CONTEXTS", "depot")],
                "MALLBOTS_CONTEXTS: is of no use without the role commands",
            ),
            (&[("NATS_URL", "http://hunter2")], "MALLBOTS_NATS_URL: must begin with nats://"),
            (
                &[("MALLBOTS_NATS_TOKEN", "hunter2")],
                "MALLBOTS_NATS_TOKEN: is of no use without nats_url",
            ),
            (
                &[nats, ("MALLBOTS_NATS_USER", "me")],
                "nats_credentials, nats_user with nats_password, nats_token: one of these",
            ),
            (&[nats, ("MALLBOTS_STREAM_REPLICAS", "2")], "MALLBOTS_STREAM_REPLICAS: must be 1"),
            (
                &[("MALLBOTS_ALLOWED_HOSTS", "mall:8080")],
                "MALLBOTS_ALLOWED_HOSTS: \"mall:8080\" is not the name of a host",
            ),
        ] {
            let faults = load(&SettingsArgs::default(), environment).unwrap_err();
            assert_eq!(faults.len(), 1, "{faults:#?}");
            assert!(faults[0].starts_with(start), "{start}\n{faults:#?}");
            assert!(!faults[0].contains("hunter2"));
        }
    }

    #[test]
    fn the_door_may_be_made_narrower() {
        let config = load(&SettingsArgs::default(), &[]).unwrap();
        assert_eq!(config.preflight, Preflight::Foreign);
        assert!(config.introspection && config.persisted_queries);
        let environment = [
            ("MALLBOTS_PREFLIGHT", "always"),
            ("MALLBOTS_INTROSPECTION", "false"),
            ("MALLBOTS_PERSISTED_QUERIES", "false"),
            ("MALLBOTS_TRUSTED_DOCUMENTS", "manifest.json"),
            ("MALLBOTS_TRUSTED_DOCUMENTS_ONLY", "true"),
            ("MALLBOTS_OPERATION_TIMEOUT", "5s"),
            ("MALLBOTS_MAX_CONNECTIONS", "100"),
            ("MALLBOTS_MAX_CONNECTIONS_PER_ADDRESS", "10"),
        ];
        let config = load(&SettingsArgs::default(), &environment).unwrap();
        assert_eq!(config.preflight, Preflight::Always);
        assert!(!config.introspection && !config.persisted_queries);
        assert!(config.trusted_documents_only);
        assert_eq!(config.operation_timeout, Some(Duration::from_secs(5)));
        assert_eq!(
            (config.max_connections, config.max_connections_per_address),
            (Some(100), Some(10))
        );

        for (name, value, fault) in [
            ("MALLBOTS_PREFLIGHT", "never", "must be foreign or always"),
            ("MALLBOTS_MAX_CONNECTIONS", "0", ""),
            ("MALLBOTS_TRUSTED_DOCUMENTS_ONLY", "true", "is of no use without trusted_documents"),
        ] {
            let faults = load(&SettingsArgs::default(), &[(name, value)]).unwrap_err();
            assert_eq!(faults.len(), 1);
            assert!(faults[0].starts_with(&format!("{name}: {fault}")), "{faults:?}");
        }
    }

    #[test]
    fn a_misspelt_variable_is_noticed() {
        let config = load(&SettingsArgs::default(), &[("MALLBOTS_LISTN", "x")]).unwrap();
        assert_eq!(config.ignored, ["MALLBOTS_LISTN"]);
    }

    #[test]
    fn a_file_that_is_not_there_is_a_fault() {
        let flags =
            SettingsArgs { config: Some("/no/such.toml".into()), ..SettingsArgs::default() };
        assert!(load(&flags, &[]).unwrap_err()[0].starts_with("/no/such.toml: "));
    }

    #[test]
    fn lengths_of_time_have_a_unit() {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)));
        }
        for text in
            ["", "30", "s", "-1s", "1.5s", "0s", "1 s", "99999999999999999999s", "213503982335d"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_loopback_addresses_are_served_to_everybody() {
        for address in ["127.0.0.1:0", "127.1.2.3:80", "[::1]:8080", "localhost:8080"] {
            assert!(load(&SettingsArgs::default(), &[("MALLBOTS_LISTEN", address)]).is_ok());
        }
        for address in ["0.0.0.0:80", "192.168.0.1:80", "[::]:80", "mall.example:80", "8080"] {
            assert!(load(&SettingsArgs::default(), &[("MALLBOTS_LISTEN", address)]).is_err());
        }
        let faults = load(&SettingsArgs::default(), &[("MALLBOTS_LISTEN", "0.0.0.0:80")]);
        let fault = faults.unwrap_err().join("\n");
        assert!(fault.contains("auth_secret") && fault.contains("an admin"), "{fault}");
        let everywhere = ("MALLBOTS_LISTEN", "0.0.0.0:80");
        // Unless the network is closed, or there is nothing to be had here.
        let trusted = ("MALLBOTS_TRUSTED_NETWORK", "true");
        assert!(load(&SettingsArgs::default(), &[everywhere, trusted]).is_ok());
        let worker = [("DATABASE_URL", "postgres://mall"), ("MALLBOTS_ROLES", "sagas")];
        assert!(load(&SettingsArgs::default(), &[everywhere, worker[0], worker[1]]).is_ok());
    }
}
