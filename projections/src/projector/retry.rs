//! What operators say about parked events: try again, or throw away.
//!
//! They say it through the ledger, so it reaches the projector wherever it
//! runs and takes effect once: its checkpoint moves in the same transaction.

use mallbots_domain::id::{AnyId, DeadLetterId};
use mallbots_eventstore::{
    message::{MessageKind, Recorded},
    upcast::Upcasters,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};

use super::batch;
use crate::{
    column::Text,
    parked::{self, ParkedRow},
    row::Occurred,
    tables::Tables,
};

const RETRY: &str = "operations.RetryDeadLetter";
const DISCARD: &str = "operations.DiscardDeadLetter";

/// What is to be done with a parked event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Try it and those behind it again.
    Retry,
    /// Go on without it. While others are before it, they are tried again.
    Discard,
}

impl Order {
    /// What a message says about a parked event; `None` for any other message.
    pub(crate) fn of(message: &Recorded) -> Option<(Self, DeadLetterId)> {
        if message.kind != MessageKind::Command {
            return None;
        }
        let order = if message.name == RETRY {
            Self::Retry
        } else if message.name == DISCARD {
            Self::Discard
        } else {
            return None;
        };
        Some((order, message.stream.expect().ok()?))
    }
}

/// How it came out.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The stream whose events were tried.
    pub(super) key: AnyId,
    /// Those that need not be kept any longer.
    pub(super) settled: Vec<DeadLetterId>,
    /// The first that still does not fit, with its reason.
    pub(super) stuck: Option<ParkedRow>,
}

/// Takes the parked events of a stream into the tables' rows, in order, until
/// one does not fit. `None` if the event is not parked here, or no longer.
pub(super) async fn try_again(
    db: &impl ConnectionTrait,
    tables: &mut Tables,
    upcasters: &Upcasters,
    order: Order,
    about: DeadLetterId,
) -> Result<Option<Outcome>, DbErr> {
    let Some(letter) = parked::Entity::find_by_id(Text(about)).one(db).await? else {
        return Ok(None);
    };
    let letters = parked::Entity::find()
        .filter(parked::Column::Key.eq(letter.key))
        .order_by_asc(parked::Column::Position)
        .all(db)
        .await?;

    let mut outcome = Outcome { key: *letter.key, settled: Vec::new(), stuck: None };
    for letter in letters {
        let of = batch::occurred_then(&letter);
        let result = if order == Order::Discard && *letter.id == about {
            tables.pass_over(db, &of).await?;
            Ok(())
        } else {
            take_in(db, tables, upcasters, &letter, of).await?
        };
        match result {
            Ok(()) => outcome.settled.push(*letter.id),
            Err(reason) => {
                let attempts = letter.attempts + 1;
                outcome.stuck = Some(ParkedRow { reason, attempts, ..letter });
                break;
            }
        }
    }
    Ok(Some(outcome))
}

/// The outer error is the database's, the inner says why the event does not fit.
async fn take_in(
    db: &impl ConnectionTrait,
    tables: &mut Tables,
    upcasters: &Upcasters,
    letter: &ParkedRow,
    of: Occurred,
) -> Result<Result<(), String>, DbErr> {
    let event = match batch::decode(&batch::message_of(letter), upcasters) {
        Ok(Some(event)) => event,
        Ok(None) => return Ok(Ok(())),
        Err(cause) => return Ok(Err(batch::chain(&cause))),
    };
    let events = [(of, event)];
    tables.load(db, &events).await?;
    let [(of, event)] = events;
    Ok(tables.fold(event, &of).map_err(|cause| batch::chain(&cause)))
}
