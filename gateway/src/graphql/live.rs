//! Subscriptions: what is there now, then every change, without a gap.
//!
//! Each listens first, then reads, then goes on with what it hears. A row that
//! was read before its change was announced is not sent twice: rows carry the
//! position of their last change. Whoever hears too late reads again.

use std::{collections::HashMap, hash::Hash};

use async_stream::try_stream;
use futures_util::Stream;
use mallbots_projections::{
    changes::{Change, Changed, Heard},
    reads::{ReadError, Reads},
};

use crate::error::{ClientError, ForClient};

/// A row that says where it changed last.
pub trait Positioned {
    /// The ledger position of its last change.
    fn position(&self) -> i64;
}

/// Rows that have changed, latest value only: `snapshot` reads what is there
/// now, `changed` reads again those of the announced rows that are watched.
pub fn latest<R, K, S, C>(
    reads: Reads,
    key: impl Fn(&R) -> K + Send + 'static,
    watches: impl Fn(&Change) -> bool + Send + 'static,
    snapshot: impl Fn() -> S + Send + 'static,
    changed: impl Fn(Vec<Change>) -> C + Send + 'static,
) -> impl Stream<Item = Result<R, ClientError>> + Send
where
    R: Positioned + Send,
    K: Hash + Eq + Send,
    S: Future<Output = Result<Vec<R>, ReadError>> + Send,
    C: Future<Output = Result<Vec<R>, ReadError>> + Send,
{
    try_stream! {
        let mut changes = reads.changes();
        // Everything up to here has been sent; beyond it, what was read early.
        let mut done = reads.position().0;
        let mut early: HashMap<K, i64> = HashMap::new();
        for row in snapshot().await.for_client()? {
            if row.position() > done {
                early.insert(key(&row), row.position());
            }
            yield row;
        }
        while let Some(heard) = changes.next().await {
            let (rows, reached) = match heard {
                Heard::Changed(announced) => {
                    let watched = watched(&announced, &watches);
                    let rows = if watched.is_empty() {
                        Vec::new()
                    } else {
                        changed(watched).await.for_client()?
                    };
                    (rows, announced.position.0)
                }
                Heard::Missed => {
                    let reached = reads.position().0;
                    (snapshot().await.for_client()?, reached)
                }
            };
            for row in rows {
                let position = row.position();
                if position > done && early.get(&key(&row)) != Some(&position) {
                    early.insert(key(&row), position);
                    yield row;
                }
            }
            done = done.max(reached);
            early.retain(|_, position| *position > done);
        }
    }
}

fn watched(announced: &Changed, watches: &impl Fn(&Change) -> bool) -> Vec<Change> {
    announced.rows.iter().filter(|change| watches(change)).cloned().collect()
}

/// Items of a feed that only grows: all behind `after`, then each new one.
/// `since` reads what stands behind a place; a reader that falls behind reads
/// on from where it is.
pub fn feed<R, S>(
    reads: Reads,
    after: i64,
    watches: impl Fn(&Change) -> bool + Send + 'static,
    since: impl Fn(i64) -> S + Send + 'static,
) -> impl Stream<Item = Result<R, ClientError>> + Send
where
    R: Positioned + Send,
    S: Future<Output = Result<Vec<R>, ReadError>> + Send,
{
    try_stream! {
        let mut changes = reads.changes();
        let mut after = after;
        loop {
            loop {
                let items = since(after).await.for_client()?;
                if items.is_empty() {
                    break;
                }
                for item in items {
                    after = item.position();
                    yield item;
                }
            }
            loop {
                match changes.next().await {
                    None => return,
                    Some(Heard::Missed) => break,
                    Some(Heard::Changed(announced)) => {
                        if announced.rows.iter().any(&watches) {
                            break;
                        }
                    }
                }
            }
        }
    }
}
