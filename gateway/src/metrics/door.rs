//! What the door counts: requests, sockets, subscriptions, refusals.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Instant,
};

use async_graphql::parser::types::OperationType;
use mallbots_eventstore::metrics::{Kind, Metric, Presence, SHORT};
use metrics::{Counter, Gauge, Histogram};

use crate::{
    error::ErrorCode,
    transport::{pipeline::Transport, websocket::CloseCode},
};

/// How long requests take.
pub const DURATION: Metric = Metric {
    name: "mallbots_graphql_request_duration_seconds",
    kind: SHORT,
    labels: &["type", "operation", "code"],
    help: "How long do queries and mutations take, by operation and code? The names of trusted \
           documents and the first hundred others have their own series, the rest are (other).",
};
/// Requests being answered.
pub const IN_FLIGHT: Metric = Metric {
    name: "mallbots_graphql_requests_in_flight",
    kind: Kind::Gauge,
    labels: &[],
    help: "How many queries and mutations are being answered?",
};
/// What was not executed.
pub const REFUSED: Metric = Metric {
    name: "mallbots_graphql_refused_total",
    kind: Kind::Counter,
    labels: &["code"],
    help: "How many operations were not executed, by the reason: RATE_LIMITED, QUERY_TOO_COSTLY, …?",
};
/// Documents that were known.
pub const DOCUMENTS: Metric = Metric {
    name: "mallbots_graphql_document_lookups_total",
    kind: Kind::Counter,
    labels: &["result"],
    help: "How often was a document known (hit), new (miss), or named and not known (unknown)?",
};
/// What they take.
pub const DOCUMENT_BYTES: Metric = Metric {
    name: "mallbots_graphql_document_cache_bytes",
    kind: Kind::Gauge,
    labels: &[],
    help: "About how much memory do known documents take?",
};
/// Subscriptions under way.
pub const SUBSCRIPTIONS: Metric = Metric {
    name: "mallbots_graphql_subscriptions",
    kind: Kind::Gauge,
    labels: &["transport"],
    help: "How many subscriptions are under way, by transport: websocket, event-stream, multipart, callback?",
};
/// What subscribers were told.
pub const PAYLOADS: Metric = Metric {
    name: "mallbots_graphql_subscription_payloads_total",
    kind: Kind::Counter,
    labels: &["transport"],
    help: "How many payloads were subscribers sent?",
};
/// Executions that several share.
pub const SHARED: Metric = Metric {
    name: "mallbots_graphql_shared_executions",
    kind: Kind::Gauge,
    labels: &[],
    help: "How many executions of subscriptions are shared?",
};
/// Who shares them.
pub const SHARERS: Metric = Metric {
    name: "mallbots_graphql_shared_subscribers",
    kind: Kind::Gauge,
    labels: &[],
    help: "By how many subscribers?",
};
/// Who lagged.
pub const BEHIND: Metric = Metric {
    name: "mallbots_graphql_subscribers_behind_total",
    kind: Kind::Counter,
    labels: &[],
    help: "How often did a subscriber lag so far that it began again with a snapshot?",
};
/// Who was let go.
pub const SLOW: Metric = Metric {
    name: "mallbots_slow_consumers_dropped_total",
    kind: Kind::Counter,
    labels: &["transport"],
    help: "How many connections (http) and sockets (websocket) were closed because their client \
           did not read?",
};
/// Sockets.
pub const SOCKETS: Metric = Metric {
    name: "mallbots_websockets",
    kind: Kind::Gauge,
    labels: &[],
    help: "How many sockets are open?",
};
/// How sockets end.
pub const CLOSED: Metric = Metric {
    name: "mallbots_websockets_closed_total",
    kind: Kind::Counter,
    labels: &["code"],
    help: "How many sockets ended, by the code they were closed with; 0 if the client went?",
};
/// Connections.
pub const CONNECTIONS: Metric = Metric {
    name: "mallbots_http_connections",
    kind: Kind::Gauge,
    labels: &["listener"],
    help: "How many connections are open, to the main listener and to this one (admin)?",
};
/// Who found no room.
pub const TURNED_AWAY: Metric = Metric {
    name: "mallbots_http_connections_turned_away_total",
    kind: Kind::Counter,
    labels: &["listener"],
    help: "How many connections were turned away because there was no room for them?",
};

/// All that the door measures.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    static ALL: [Metric; 15] = [
        DURATION,
        IN_FLIGHT,
        REFUSED,
        DOCUMENTS,
        DOCUMENT_BYTES,
        SUBSCRIPTIONS,
        PAYLOADS,
        SHARED,
        SHARERS,
        BEHIND,
        SLOW,
        SOCKETS,
        CLOSED,
        CONNECTIONS,
        TURNED_AWAY,
    ];
    ALL.iter()
}

/// How many operations have series of their own, besides those of trusted
/// documents: names are the clients' to choose.
const MOST_NAMES: usize = 100;
/// All other operations. No name of GraphQL can look like that.
const OTHER: &str = "(other)";
/// Operations without a name.
const ANONYMOUS: &str = "(anonymous)";

/// What the pipeline counts.
pub(crate) struct Tally {
    in_flight: Gauge,
    refused: Box<[Counter]>,
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) unknown: Counter,
    pub(crate) document_bytes: Gauge,
    streams: [Stream; 4],
    pub(crate) sockets: Gauge,
    pub(crate) slow_sockets: Counter,
    closed: Vec<(Option<CloseCode>, Counter)>,
    operations: RwLock<Operations>,
}

impl std::fmt::Debug for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tally")
    }
}

#[derive(Default)]
struct Operations {
    /// Whoever may have a series whatever happens.
    reserved: Vec<String>,
    /// By type, then by name.
    named: [HashMap<String, Arc<Operation>>; 3],
    /// How many of them are not reserved.
    taken: usize,
}

/// The series of an operation.
struct Operation {
    kind: &'static str,
    name: String,
    /// By code; the first is of those without. Most never come.
    durations: Box<[OnceLock<Histogram>]>,
}

/// How sockets end.
fn closings() -> Vec<(Option<CloseCode>, Counter)> {
    let codes = CloseCode::ALL.into_iter().map(Some).chain([None]);
    let number = |code: Option<CloseCode>| code.map_or(0, CloseCode::number).to_string();
    codes.map(|code| (code, CLOSED.counter(&[&number(code)]))).collect()
}

#[derive(Clone)]
struct Stream {
    open: Gauge,
    payloads: Counter,
}

impl Tally {
    /// `trusted` are the names of operations that have series of their own in
    /// any case.
    pub(crate) fn new(trusted: Vec<String>) -> Self {
        let lookup = |result| DOCUMENTS.counter(&[result]);
        let stream = |transport| Stream {
            open: SUBSCRIPTIONS.gauge(&[transport]),
            payloads: PAYLOADS.counter(&[transport]),
        };
        Self {
            in_flight: IN_FLIGHT.gauge(&[]),
            refused: ErrorCode::ALL.iter().map(|code| REFUSED.counter(&[code.as_str()])).collect(),
            hits: lookup("hit"),
            misses: lookup("miss"),
            unknown: lookup("unknown"),
            document_bytes: DOCUMENT_BYTES.gauge(&[]),
            streams: ["websocket", "event-stream", "multipart", "callback"].map(stream),
            sockets: SOCKETS.gauge(&[]),
            slow_sockets: SLOW.counter(&["websocket"]),
            closed: closings(),
            operations: RwLock::new(Operations { reserved: trusted, ..Operations::default() }),
        }
    }

    /// A query or a mutation begins.
    pub(crate) fn begin(&self) -> Timed<'_> {
        Timed { tally: self, began: Instant::now(), _here: Presence::of(&self.in_flight) }
    }

    /// A subscription begins.
    pub(crate) fn subscribe(&self, transport: Transport) -> Subscribed {
        let [websocket, event_stream, multipart, callback] = &self.streams;
        let stream = match transport {
            Transport::WebSocket => websocket,
            Transport::EventStream => event_stream,
            Transport::Multipart | Transport::Http => multipart,
            Transport::Callback => callback,
        };
        Subscribed { payloads: stream.payloads.clone(), _here: Presence::of(&stream.open) }
    }

    /// An operation is not executed.
    pub(crate) fn refused(&self, code: ErrorCode) {
        let place = ErrorCode::ALL.iter().position(|known| *known == code);
        if let Some(counter) = place.and_then(|place| self.refused.get(place)) {
            counter.increment(1);
        }
    }

    /// A socket has ended, closed with a code or left by its client.
    pub(crate) fn closed(&self, code: Option<CloseCode>) {
        if let Some((_, counter)) = self.closed.iter().find(|(known, _)| *known == code) {
            counter.increment(1);
        }
    }

    fn record(
        &self,
        kind: OperationType,
        name: Option<&str>,
        code: Option<ErrorCode>,
        at: Instant,
    ) {
        let operation = self.operation(kind, name.unwrap_or(ANONYMOUS), code.is_none());
        let place = match code {
            None => 0,
            Some(code) => {
                1 + ErrorCode::ALL.iter().position(|known| *known == code).unwrap_or_default()
            }
        };
        if let Some(duration) = operation.durations.get(place) {
            let code = code.map_or("OK", ErrorCode::as_str);
            let labels = [operation.kind, &operation.name, code];
            duration.get_or_init(|| DURATION.histogram(&labels)).record(at.elapsed());
        }
    }

    /// The series of an operation: its own if it has some or, having worked,
    /// gets some.
    fn operation(&self, kind: OperationType, name: &str, worked: bool) -> Arc<Operation> {
        let (place, kind) = match kind {
            OperationType::Query => (0, "query"),
            OperationType::Mutation => (1, "mutation"),
            OperationType::Subscription => (2, "subscription"),
        };
        let found = {
            let known = self.operations.read().unwrap_or_else(PoisonError::into_inner);
            known.named[place].get(name).cloned()
        };
        if let Some(operation) = found {
            return operation;
        }
        let mut known = self.operations.write().unwrap_or_else(PoisonError::into_inner);
        let is_reserved = name == ANONYMOUS || known.reserved.iter().any(|trusted| trusted == name);
        // Somebody may have been faster.
        let is_known = known.named[place].contains_key(name);
        let name = if is_reserved || is_known {
            name
        } else if worked && known.taken < MOST_NAMES {
            known.taken += 1;
            name
        } else {
            OTHER
        };
        let operation = known.named[place].entry(name.to_owned()).or_insert_with_key(|name| {
            let durations = (0..=ErrorCode::ALL.len()).map(|_| OnceLock::new()).collect();
            Arc::new(Operation { kind, name: name.clone(), durations })
        });
        Arc::clone(operation)
    }
}

/// A query or a mutation under way.
pub(crate) struct Timed<'a> {
    tally: &'a Tally,
    began: Instant,
    _here: Presence,
}

impl Timed<'_> {
    /// It was answered.
    pub(crate) fn finished(self, kind: OperationType, name: Option<&str>, code: Option<ErrorCode>) {
        self.tally.record(kind, name, code, self.began);
    }
}

/// A subscription under way.
pub(crate) struct Subscribed {
    payloads: Counter,
    _here: Presence,
}

impl Subscribed {
    /// Something was sent.
    pub(crate) fn sent(&self) {
        self.payloads.increment(1);
    }
}

/// What is counted of shared executions. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sharing {
    pub(crate) executions: Gauge,
    pub(crate) subscribers: Gauge,
    pub(crate) behind: Counter,
}

impl Default for Sharing {
    fn default() -> Self {
        Self {
            executions: SHARED.gauge(&[]),
            subscribers: SHARERS.gauge(&[]),
            behind: BEHIND.counter(&[]),
        }
    }
}

impl std::fmt::Debug for Sharing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sharing")
    }
}

/// What a listener counts.
pub(crate) struct Listening {
    pub(crate) connections: Gauge,
    pub(crate) turned_away: Counter,
    pub(crate) slow: Counter,
}

impl Listening {
    /// Of the listener of this name.
    pub(crate) fn of(listener: &'static str) -> Self {
        Self {
            connections: CONNECTIONS.gauge(&[listener]),
            turned_away: TURNED_AWAY.counter(&[listener]),
            slow: SLOW.counter(&["http"]),
        }
    }
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listening")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_clients_call_their_operations_there_are_so_many_series() {
        let tally = Tally::new(vec!["Trusted".to_owned()]);
        // What never worked gets none.
        for n in 0..1_000 {
            assert_eq!(
                tally.operation(OperationType::Query, &format!("Junk{n}"), false).name,
                OTHER
            );
        }
        for n in 0..1_000 {
            let name = format!("Good{n}");
            let own = tally.operation(OperationType::Query, &name, true).name == name;
            assert_eq!(own, n < MOST_NAMES, "{name}");
        }
        for name in ["Trusted", "Good7", ANONYMOUS] {
            assert_eq!(tally.operation(OperationType::Query, name, false).name, name);
        }
        let operations = tally.operations.read().unwrap();
        assert_eq!(operations.named[0].len(), MOST_NAMES + 3);
    }
}
