//! Reads settings one by one and goes on after a fault, to tell them all.

use std::{collections::BTreeSet, num::NonZeroU32};

use mallbots_eventstore::connect::PoolLimits;
use toml::Value;

use super::{
    layers::Layers,
    values::{duration, from_str},
};

/// The settings as they were made, and what was wrong with them so far.
pub(super) struct Reader {
    pub(super) layers: Layers,
    /// What was asked for.
    pub(super) known: BTreeSet<&'static str>,
    pub(super) faults: Vec<String>,
}

impl Reader {
    pub(super) fn limits(
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

    pub(super) fn read<T>(
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

    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.read(key, |text| parse(text).map(Some), None)
    }

    /// A list of which each is named once, and one at least; none if it was not set.
    pub(super) fn set<T: Ord>(
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
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(value) = self.find(key) else { return Vec::new() };
        let items = texts_of(&value);
        let read = items.ok_or_else(|| "must be a list of texts".to_owned()).and_then(|items| {
            let items = items.iter().map(|item| item.trim()).filter(|item| !item.is_empty());
            items.map(parse).collect()
        });
        read.unwrap_or_else(|fault| {
            self.fault(key, &fault);
            Vec::new()
        })
    }

    pub(super) fn find(&mut self, key: &'static str) -> Option<Value> {
        self.known.insert(key);
        self.layers.value(key).cloned()
    }

    /// Remembers a fault, under the name the setting has where it was made.
    pub(super) fn fault(&mut self, key: &str, fault: &str) {
        let name = self.layers.origin(key).name_of(key);
        self.faults.push(format!("{name}: {fault}"));
    }
}

/// One value as text; nothing if it is several.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Boolean(truth) => Some(truth.to_string()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Datetime(_) | Value::Table(_) | Value::Array(_) => None,
    }
}

/// A value as it would be written in the environment.
pub(super) fn shown(value: &Value) -> String {
    match text_of(value) {
        Some(text) => text,
        None => texts_of(value).map_or_else(|| value.to_string(), |texts| texts.join(",")),
    }
}

/// The texts in a list, or in text with commas.
fn texts_of(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => items.iter().map(text_of).collect(),
        Value::String(text) => Some(text.split(',').map(str::to_owned).collect()),
        Value::Boolean(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Datetime(_)
        | Value::Table(_) => None,
    }
}
