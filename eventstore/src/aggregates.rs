//! Aggregates out of the ledger: loading, deciding, replaying.

use std::{any::Any, sync::Arc, time::Duration};

use mallbots_domain::{
    aggregate::Aggregate,
    id::{AnyId, EntityId},
};
use tokio::{sync::oneshot, time::sleep};
use tracing::{debug, warn};

use crate::{
    append::{Append, NewEvent, StreamWrite},
    appender::{Basis, NewState},
    codec,
    connect::Backend,
    error::{AppendError, CommandError, Refusal, StoreError},
    ledger::Ledger,
    loader::{self, History, Wanted},
    message::{Metadata, Position, Version},
    recent::AnyState,
    sql::{self, Arg},
    unit::claimed,
};

/// How often a decision is made again when others are faster.
pub(crate) const ATTEMPTS: u32 = 5;

/// An aggregate as it stands.
#[derive(Debug, Clone)]
pub struct Loaded<A> {
    /// Its state; the default when it has no history.
    pub state: A,
    /// How many events made it.
    pub version: Version,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Executed {
    /// The version the aggregate has now.
    pub version: Version,
    /// Where the last event stands; the head, when nothing happened.
    pub position: Position,
    /// How many events happened.
    pub events: usize,
}

impl Ledger {
    /// An aggregate as it stands.
    pub async fn load<A: Aggregate>(&self, id: A::Id) -> Result<Loaded<A>, StoreError> {
        let (state, version) = self.load_shared::<A>(id.any()).await?;
        Ok(Loaded { state: Arc::unwrap_or_clone(state), version })
    }

    /// The same, without a copy of what others look at too.
    ///
    /// A state in memory is as good as one from the database only on SQLite,
    /// where nobody else can have written. Elsewhere it is where to read on from.
    pub(crate) async fn load_shared<A: Aggregate>(
        &self,
        stream: AnyId,
    ) -> Result<(Arc<A>, Version), StoreError> {
        let read_at = self.head();
        let known = self.shared().aggregates.get::<A>(stream);
        let (mut state, mut version) = match known {
            Some(known) if self.database().kind == Backend::Sqlite => return Ok(known),
            Some(known) => known,
            None => (Arc::new(A::default()), Version(0)),
        };

        let base = version;
        let mut kept_at = base;
        let mut schema = i64::from(A::SNAPSHOT_SCHEMA);
        loop {
            let History { snapshot, events } =
                self.history(stream.to_string(), version, schema).await?;
            if let Some((at, json)) = snapshot {
                match serde_json::from_str(&json) {
                    Ok(kept) => {
                        state = Arc::new(kept);
                        version = Version(at);
                        kept_at = version;
                    }
                    Err(error) => {
                        let error: &dyn std::error::Error = &error;
                        warn!(error, aggregate.id = %stream, "a snapshot cannot be read");
                        // The events it came with begin behind it: read all of them.
                        schema = -1;
                        continue;
                    }
                }
            }
            let read = events.len();
            if read > 0 {
                let mut now = Arc::unwrap_or_clone(state);
                for entry in events {
                    if entry.version != version.0 + 1 {
                        return Err(StoreError::Hole { of: stream.to_string(), after: version.0 });
                    }
                    let event = codec::decode_parts::<A>(
                        &entry.name,
                        entry.schema_version,
                        &entry.payload,
                        self.upcasters(),
                    )
                    .map_err(|error| codec::undecodable(&entry.name, &stream.to_string(), error))?;
                    now = now.evolve(event);
                    version = Version(entry.version);
                }
                state = Arc::new(now);
            }
            if read < usize::try_from(loader::PAGE).unwrap_or(usize::MAX) {
                break;
            }
        }

        if version > base {
            let any: AnyState = state.clone();
            self.shared().aggregates.was_read(stream, version, any, read_at);
            // So long a way should not be gone twice.
            if version.0 - kept_at.0 >= self.options().snapshot_every {
                self.keep_snapshot(stream, version, state.clone());
            }
        }
        Ok((state, version))
    }

    async fn history(
        &self,
        stream: String,
        after: Version,
        schema: i64,
    ) -> Result<History, StoreError> {
        let (reply, answer) = oneshot::channel();
        let wanted = Wanted { stream, after: after.0, schema, reply };
        self.loads().send(wanted).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Lets an aggregate decide on a command and records what it decided. A
    /// lost race is decided again, a few times.
    pub async fn execute<A: Aggregate>(
        &self,
        id: A::Id,
        command: A::Command,
        metadata: &Metadata,
    ) -> Result<Executed, CommandError> {
        let stream = id.any();
        let _turn = self.turns().take(stream).await;
        for attempt in 1..=ATTEMPTS {
            let begun = if attempt == 1 { self.begun::<A>(stream, &command) } else { None };
            let (state, expected, events) = if let Some(events) = begun {
                (Arc::new(A::default()), Version(0), events)
            } else {
                let (state, expected) = self.load_shared::<A>(stream).await?;
                let events = state.decide(command.clone()).map_err(Refusal::from)?;
                (state, expected, events)
            };
            if events.is_empty() {
                return Ok(Executed { version: expected, position: self.head(), events: 0 });
            }
            let (count, new_events, state) = evolved(state, events, self)?;
            let version = Version(expected.0 + count);
            let append = Append {
                streams: vec![StreamWrite { stream, expected, events: new_events }],
                ..Append::new(metadata.clone())
            };
            let new_state = NewState { stream, state: state.clone() };
            match self.append_with(append, vec![new_state], Basis::Loaded).await {
                Ok(appended) => {
                    self.keep_snapshot_if_due(stream, expected, version, state);
                    return Ok(Executed {
                        version,
                        position: appended.last,
                        events: usize::try_from(count).unwrap_or(0),
                    });
                }
                Err(error) => self.lost_race(error, attempt).await?,
            }
        }
        Err(CommandError::Contended)
    }

    /// What a command makes of something that is not known here, if it can
    /// begin it.
    ///
    /// Most of what is unknown does not exist yet, and is about to. To find
    /// that out first would cost as much as to write it; the version that the
    /// append asserts finds it out as well.
    pub(crate) fn begun<A: Aggregate>(
        &self,
        stream: AnyId,
        command: &A::Command,
    ) -> Option<Vec<A::Event>> {
        if self.shared().aggregates.version(stream).is_some() {
            return None;
        }
        A::default().decide(command.clone()).ok().filter(|events| !events.is_empty())
    }

    /// Waits a little before a decision is made again. An error unless it was
    /// another's being faster that undid it.
    pub(crate) async fn lost_race(
        &self,
        error: AppendError,
        attempt: u32,
    ) -> Result<(), CommandError> {
        match error {
            AppendError::Conflict { stream, expected, actual } => {
                debug!(
                    aggregate.id = %stream,
                    stream.version = actual.0,
                    expected = expected.0,
                    "lost a race, deciding again"
                );
                self.shared().aggregates.forget(stream);
                let most = 1_000 << attempt;
                sleep(Duration::from_micros(rand::random_range(most / 4..most))).await;
                Ok(())
            }
            AppendError::Claimed { scope, key: _ } => Err(claimed(scope).into()),
            AppendError::Handled => Err(CommandError::Handled),
            AppendError::Gone => Err(CommandError::Gone),
            AppendError::Store(error) => Err(error.into()),
            // Only asked for by who looks for the answer.
            AppendError::Answered => Err(CommandError::KeyReused),
        }
    }

    /// Folds an aggregate from its events alone, up to and with a moment.
    pub async fn replay<A: Aggregate>(
        &self,
        id: A::Id,
        as_of: Option<i64>,
    ) -> Result<Loaded<A>, StoreError> {
        let stream = id.any();
        let as_of = as_of.unwrap_or(i64::MAX);
        let mut loaded = Loaded { state: A::default(), version: Version(0) };
        loop {
            let page = self.read_stream(stream, loaded.version, REPLAY_PAGE).await?;
            for event in &page {
                if event.recorded_at > as_of {
                    return Ok(loaded);
                }
                loaded.state = loaded.state.evolve(codec::decode::<A>(event, self.upcasters())?);
                loaded.version = event.version;
            }
            if page.len() < REPLAY_PAGE as usize {
                return Ok(loaded);
            }
        }
    }

    /// Keeps a state beside its stream if the stream has grown past a
    /// multiple of the interval.
    pub(crate) fn keep_snapshot_if_due<A: Aggregate>(
        &self,
        stream: AnyId,
        before: Version,
        now: Version,
        state: Arc<A>,
    ) {
        let every = self.options().snapshot_every.max(1);
        if before.0 / every < now.0 / every {
            self.keep_snapshot(stream, now, state);
        }
    }

    /// Keeps a state beside its stream. Nobody waits for it, and nothing is
    /// lost if it fails.
    fn keep_snapshot<A: Aggregate>(&self, stream: AnyId, version: Version, state: Arc<A>) {
        let ledger = self.clone();
        self.in_background(async move {
            let json = match serde_json::to_string(&*state) {
                Ok(json) => json,
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    warn!(error, aggregate.id = %stream, "a snapshot cannot be written");
                    return;
                }
            };
            let args = vec![
                Arg::text(&stream),
                Arg::int(version.0),
                Arg::int(A::SNAPSHOT_SCHEMA),
                Arg::Text(Some(json)),
                Arg::int(ledger.clock().now()),
            ];
            match ledger.run(vec![(sql::SAVE_SNAPSHOT, args)]).await {
                Ok(_) | Err(StoreError::Closed) => {}
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    warn!(error, aggregate.id = %stream, "a snapshot was not kept");
                }
            }
        });
    }
}

/// How many events are read at once to fold them.
const REPLAY_PAGE: u32 = 1_000;

/// How many events there are, how they are stored, and the state after them.
pub(crate) fn evolved<A: Aggregate>(
    state: Arc<A>,
    events: Vec<A::Event>,
    ledger: &Ledger,
) -> Result<(i64, Vec<NewEvent>, Arc<A>), StoreError> {
    let new_events = events
        .iter()
        .map(|event| codec::encode::<A>(event, ledger.upcasters()))
        .collect::<Result<Vec<_>, _>>()?;
    let count = i64::try_from(new_events.len()).unwrap_or(i64::MAX);
    let state = events.into_iter().fold(Arc::unwrap_or_clone(state), A::evolve);
    Ok((count, new_events, Arc::new(state)))
}

/// A state of a known type, out of one of any.
pub(crate) fn known<A: Aggregate>(state: &AnyState) -> Option<Arc<A>> {
    let any: Arc<dyn Any + Send + Sync> = state.clone();
    any.downcast().ok()
}
