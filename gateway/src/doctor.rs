//! Looks whether all is there that a mall needs, and says how to mend what is
//! not. Nothing is changed, whether a mall runs or not.

mod database;
mod files;
mod nats;
mod ports;

use std::{future::Future, time::Duration};

use serde::Serialize;
use tokio::time::timeout;

use crate::config::{Config, ConfigError, Reading};

/// How long a question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long all about one thing may take.
const AREA: Duration = Duration::from_secs(25);

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Good,
    /// A mall runs with it, but somebody should look.
    Warning,
    /// A mall would not run, could lose something, or would do without what it is
    /// configured to use.
    Bad,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about: `settings`, `data`, `database`, `replica`, `clock`,
    /// `nats`, `port`.
    pub area: &'static str,
    /// How it is.
    pub level: Level,
    /// What was found, in words.
    pub found: String,
    /// How to mend it, if something should be done.
    pub mend: Option<String>,
}

impl Finding {
    fn good(area: &'static str, found: impl Into<String>) -> Self {
        Self { area, level: Level::Good, found: found.into(), mend: None }
    }

    fn warning(area: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { area, level: Level::Warning, found: found.into(), mend: Some(mend.into()) }
    }

    fn bad(area: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { area, level: Level::Bad, found: found.into(), mend: Some(mend.into()) }
    }
}

/// All that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Whether nothing is bad.
    pub healthy: bool,
    /// What was found, area by area.
    pub findings: Vec<Finding>,
}

/// Looks at everything that a server with these settings would need.
pub async fn examine(read: Result<Reading, ConfigError>) -> Diagnosis {
    let mut findings = Vec::new();
    let config = settings(read, &mut findings);
    // With wrong settings it would be something else that is looked at.
    if let Some(config) = config {
        let (stored, nats, port) = tokio::join!(
            within("database", stored(&config)),
            within("nats", nats::look(&config)),
            within("port", ports::look(&config)),
        );
        findings.extend(stored.into_iter().chain(nats).chain(port));
    }
    let healthy = findings.iter().all(|finding| finding.level != Level::Bad);
    Diagnosis { healthy, findings }
}

async fn stored(config: &Config) -> Vec<Finding> {
    match &config.database_url {
        Some(url) => database::look(config, url).await,
        None => files::look(config).await,
    }
}

async fn within(area: &'static str, look: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    timeout(AREA, look).await.unwrap_or_else(|_| {
        let found = format!("looking took longer than {AREA:?}");
        vec![Finding::bad(area, found, "see what keeps it from answering, and look again")]
    })
}

/// The settings, if they are good.
fn settings(read: Result<Reading, ConfigError>, findings: &mut Vec<Finding>) -> Option<Config> {
    let bad = |fault| {
        let mend = "mallbots config show --origin tells where each setting comes from";
        Finding::bad("settings", fault, mend)
    };
    let Reading { config, faults, .. } = match read {
        Ok(reading) => reading,
        Err(ConfigError(faults)) => {
            findings.extend(faults.into_iter().map(bad));
            return None;
        }
    };
    for name in &config.ignored {
        let found = format!("{name} is no setting and changes nothing");
        let mend = "mallbots help names the settings; unset it, or spell it as meant";
        findings.push(Finding::warning("settings", found, mend));
    }
    if !faults.is_empty() {
        findings.extend(faults.into_iter().map(bad));
        return None;
    }
    let keys = if config.keys.is_some() { "tokens are checked" } else { "development mode" };
    findings.push(Finding::good("settings", format!("good: {}, {keys}", config.duties)));
    Some(config)
}

/// How a clock stands that is ahead of ours by so many microseconds.
fn clock(whose: &str, ahead: i64) -> Finding {
    let seconds = Duration::from_micros(ahead.unsigned_abs());
    let way = if ahead < 0 { "behind" } else { "ahead of" };
    let found = format!("the clock of {whose} is {seconds:.1?} {way} this machine's");
    let mend = "let both follow a time server (NTP): tokens and timers go by the clock";
    if seconds >= Duration::from_secs(30) {
        Finding::bad("clock", found, mend)
    } else if seconds >= Duration::from_secs(2) {
        Finding::warning("clock", found, mend)
    } else {
        Finding::good("clock", format!("{whose} and this machine agree"))
    }
}

/// An error with its causes.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_judged_by_how_far_they_are_apart() {
        assert_eq!(clock("x", 300_000).level, Level::Good);
        assert_eq!(clock("x", -3_000_000).level, Level::Warning);
        let finding = clock("the server", -31_000_000);
        assert_eq!(finding.level, Level::Bad);
        assert!(finding.found.contains("31.0s behind"), "{finding:?}");
    }

    #[tokio::test]
    async fn wrong_settings_are_all_that_is_looked_at() {
        let environment = [("MALLBOTS_CURRENCY".to_owned(), "BTC".to_owned())];
        let flags = crate::cli::SettingsArgs::default();
        let diagnosis = Box::pin(examine(Config::read(&[], &flags, environment))).await;
        assert!(!diagnosis.healthy);
        let [finding] = &diagnosis.findings[..] else { panic!("{diagnosis:?}") };
        assert_eq!((finding.area, finding.level), ("settings", Level::Bad));
        assert!(finding.found.starts_with("MALLBOTS_CURRENCY: must be"), "{finding:?}");
        assert!(finding.mend.is_some());
    }
}
