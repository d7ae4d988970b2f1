//! What NATS says of itself, for who looks whether it is fit. Nothing is
//! changed.

use std::time::Duration;

use async_nats::jetstream::{ErrorCode, context::GetStreamErrorKind};
use serde::Deserialize;
use tokio::time::timeout;

use crate::{
    nats::{Connection, Nats, NatsError, NatsOptions},
    streams::{STREAM, StreamOptions, differences},
    wire,
};

/// What NATS says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// The server's version.
    pub version: String,
    /// What JetStream says, or why it says nothing.
    pub jetstream: Result<Storage, String>,
    /// The stream; nothing if it cannot be asked for.
    pub stream: Result<StreamState, String>,
    /// Whether this login may publish the ledger; nothing if the server does
    /// not tell.
    pub may_publish: Option<bool>,
    /// The server's clock, RFC 3339, if it told.
    pub time: Option<String>,
}

/// How much this login's account keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage {
    /// Bytes on disk.
    pub used: u64,
    /// How many it may; nothing if as many as there is room for.
    pub limit: Option<u64>,
}

/// The stream, against what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamState {
    /// There is none: a relay makes it.
    Missing,
    /// It is as it is configured, and holds so many messages.
    AsConfigured(u64),
    /// It differs in this.
    Differs(Vec<String>),
}

/// Why nothing was heard.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CheckupError {
    /// The settings make no sense.
    #[error(transparent)]
    Setup(#[from] NatsError),
    /// Nobody let us in.
    #[error("{0}")]
    Away(String),
}

/// Asks for as long as patience lasts, for each question anew.
pub async fn look(
    options: &NatsOptions,
    stream: &StreamOptions,
    patience: Duration,
) -> Result<Broker, CheckupError> {
    let nats = Nats::connect(options).await?;
    let mut connection = nats.connection();
    let connected = connection.wait_for(|state| *state == Connection::Connected);
    if !matches!(timeout(patience, connected).await, Ok(Ok(_))) {
        let reason = nats.complaint().unwrap_or_else(|| "nobody answers".to_owned());
        return Err(CheckupError::Away(reason));
    }
    let broker = Broker {
        version: nats.client().server_info().version,
        jetstream: storage(&nats, patience).await,
        stream: stream_state(&nats, stream, patience).await,
        may_publish: may_publish(&nats, patience).await,
        time: time(&nats, patience).await,
    };
    nats.close().await;
    Ok(broker)
}

async fn storage(nats: &Nats, patience: Duration) -> Result<Storage, String> {
    match timeout(patience, nats.jetstream().query_account()).await {
        Ok(Ok(account)) => Ok(Storage {
            used: account.storage,
            limit: account.limits.max_storage.and_then(|limit| u64::try_from(limit).ok()),
        }),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it does not answer".to_owned()),
    }
}

async fn stream_state(
    nats: &Nats,
    options: &StreamOptions,
    patience: Duration,
) -> Result<StreamState, String> {
    let stream = match timeout(patience, nats.jetstream().get_stream(STREAM)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            return match error.kind() {
                GetStreamErrorKind::JetStream(reason)
                    if reason.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    Ok(StreamState::Missing)
                }
                GetStreamErrorKind::JetStream(_)
                | GetStreamErrorKind::Request
                | GetStreamErrorKind::EmptyName
                | GetStreamErrorKind::InvalidStreamName => Err(error.to_string()),
            };
        }
        Err(_) => return Err("it does not answer, or this login may not ask".to_owned()),
    };
    let found = stream.cached_info();
    let differences = differences(&found.config, options);
    Ok(if differences.is_empty() {
        StreamState::AsConfigured(found.state.messages)
    } else {
        StreamState::Differs(differences)
    })
}

/// What a login may do, as the server tells it.
#[derive(Debug, Deserialize)]
struct UserInfo {
    data: UserData,
}

#[derive(Debug, Deserialize)]
struct UserData {
    /// None is everything.
    permissions: Option<Permissions>,
}

#[derive(Debug, Deserialize)]
struct Permissions {
    publish: Option<Permission>,
}

#[derive(Debug, Default, Deserialize)]
struct Permission {
    #[serde(default)]
    allow: Option<Vec<String>>,
    #[serde(default)]
    deny: Option<Vec<String>>,
}

async fn may_publish(nats: &Nats, patience: Duration) -> Option<bool> {
    let asked = nats.client().request("$SYS.REQ.USER.INFO", "".into());
    let answer = timeout(patience, asked).await.ok()?.ok()?;
    let info: UserInfo = serde_json::from_slice(&answer.payload).ok()?;
    Some(allows(info.data.permissions.as_ref(), wire::EVERYTHING))
}

/// Whether all of a subject may be published on.
fn allows(permissions: Option<&Permissions>, subject: &str) -> bool {
    let Some(publish) = permissions.and_then(|permissions| permissions.publish.as_ref()) else {
        return true;
    };
    let allowed = publish
        .allow
        .as_ref()
        .is_none_or(|allowed| allowed.iter().any(|pattern| covers(pattern, subject)));
    let denied = publish.deny.iter().flatten().any(|pattern| overlaps(pattern, subject));
    allowed && !denied
}

/// Whether a pattern takes in all that a subject with wildcards stands for.
fn covers(pattern: &str, subject: &str) -> bool {
    let mut parts = subject.split('.');
    for wanted in pattern.split('.') {
        match (wanted, parts.next()) {
            (">", Some(_)) => return true,
            ("*", Some(part)) if part != ">" => {}
            (wanted, Some(part)) if wanted == part => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}

/// Whether there is a subject that both stand for.
fn overlaps(one: &str, other: &str) -> bool {
    let (mut ones, mut others) = (one.split('.'), other.split('.'));
    loop {
        match (ones.next(), others.next()) {
            (Some(">"), Some(_)) | (Some(_), Some(">")) | (None, None) => return true,
            (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
            _ => return false,
        }
    }
}

/// The server's clock: it stands beside what it tells of a stream.
async fn time(nats: &Nats, patience: Duration) -> Option<String> {
    #[derive(Deserialize)]
    struct Told {
        ts: Option<String>,
    }
    let asked = nats.client().request(format!("$JS.API.STREAM.INFO.{STREAM}"), "".into());
    let answer = timeout(patience, asked).await.ok()?.ok()?;
    serde_json::from_slice::<Told>(&answer.payload).ok()?.ts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(json: &serde_json::Value) -> bool {
        let info: UserInfo = serde_json::from_value(serde_json::json!({ "data": json })).unwrap();
        allows(info.data.permissions.as_ref(), "mall.>")
    }

    #[test]
    fn what_a_login_may_publish_is_read_as_the_server_means_it() {
        use serde_json::json;
        assert!(allowed(&json!({})));
        assert!(allowed(&json!({ "permissions": { "publish": {} } })));
        let publish = |permission| json!({ "permissions": { "publish": permission } });
        assert!(allowed(&publish(json!({ "allow": ["$JS.>", "mall.>"] }))));
        assert!(allowed(&publish(json!({ "allow": [">"] }))));
        assert!(!allowed(&publish(json!({ "allow": ["mall.changes.>"] }))));
        assert!(!allowed(&publish(json!({ "allow": ["mall.*"] }))));
        assert!(!allowed(&publish(json!({ "deny": ["mall.>"] }))));
        assert!(!allowed(&publish(json!({ "deny": ["mall.event.>"] }))));
        assert!(allowed(&publish(json!({ "deny": ["other.>"] }))));
    }
}
