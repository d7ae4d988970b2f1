//! The places where settings are made, one over the other.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{ConfigError, settings::SETTINGS};

/// What the environment's variables begin with.
pub(super) const PREFIX: &str = "MALLBOTS_";

/// Where a setting was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is what it usually is.
    Default,
    /// In this file.
    File(PathBuf),
    /// By the environment's variable of this name.
    Variable(String),
    /// By this option.
    Flag(String),
}

impl Origin {
    /// What the setting is called there.
    pub(super) fn name_of(&self, key: &str) -> String {
        match self {
            Self::Default => key.to_owned(),
            Self::File(file) => format!("{key} in {}", file.display()),
            Self::Variable(name) | Self::Flag(name) => name.clone(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// The settings that were made, each with the last place that made it.
#[derive(Debug, Default)]
pub(super) struct Layers(BTreeMap<String, (Value, Origin)>);

impl Layers {
    /// Puts a place over those before it.
    pub(super) fn put(&mut self, made: impl IntoIterator<Item = (String, Value, Origin)>) {
        let made = made.into_iter().map(|(key, value, origin)| (key, (value, origin)));
        self.0.extend(made);
    }

    /// What a setting is, if it was made anywhere.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.0.get(key).map(|(value, _)| value)
    }

    /// Where a setting was made.
    pub(super) fn origin(&self, key: &str) -> Origin {
        self.0.get(key).map_or(Origin::Default, |(_, origin)| origin.clone())
    }
}

/// The settings in the environment: name, value, and the variable. One of our
/// own goes over one that other programs know too.
pub(super) fn of_environment(
    environment: impl IntoIterator<Item = (String, String)>,
) -> Vec<(String, Value, Origin)> {
    let mut common = Vec::new();
    let mut own = Vec::new();
    for (name, value) in environment {
        if let Some(key) = name.strip_prefix(PREFIX) {
            own.push((key.to_ascii_lowercase(), Value::String(value), Origin::Variable(name)));
        } else if let Some(setting) = SETTINGS.iter().find(|one| one.common == Some(&*name)) {
            common.push((setting.key.to_owned(), Value::String(value), Origin::Variable(name)));
        }
    }
    common.append(&mut own);
    common
}

/// The settings in a file.
pub(super) fn of_file(file: &Path) -> Result<Table, ConfigError> {
    let fault =
        |error: &dyn fmt::Display| ConfigError(vec![format!("{}: {error}", file.display())]);
    let text = std::fs::read_to_string(file).map_err(|error| fault(&error))?;
    text.parse().map_err(|error| fault(&error))
}

/// Settings that are made by option or by a command, as text.
pub(super) fn of_texts(
    texts: impl IntoIterator<Item = (String, String)>,
    origin: impl Fn(&str) -> Origin,
) -> Vec<(String, Value, Origin)> {
    let texts = texts.into_iter();
    texts.map(|(key, text)| (key.clone(), Value::String(text), origin(&key))).collect()
}

/// The option of a setting.
pub(super) fn option(key: &str) -> Origin {
    Origin::Flag(format!("--{}", key.replace('_', "-")))
}
