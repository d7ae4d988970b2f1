//! NATS for a test, and who carries the ledger's messages to it.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::message::PublishMessage;
use futures_util::future::join_all;
use mallbots_eventstore::{
    ledger::Ledger,
    message::{Position, Recorded},
};
use mallbots_messaging::{
    intake::{Carrier, JetStream},
    nats::{Nats, NatsOptions},
    ranges::{self, RANGES},
    relay::{self, RelayOptions, RelayStatus},
    streams::{StreamOptions, ensure_stream},
    wire,
};
use mallbots_testing::{ledgers::Tasks, nats::NatsServer};
use tokio::{select, sync::watch};

use crate::mall::in_time;

/// A NATS server, a connection to it, and a courier.
pub(crate) struct Streaming {
    pub(crate) server: NatsServer,
    pub(crate) nats: Nats,
    pub(crate) patience: Duration,
    courier: Tasks,
}

/// What a courier does with what he carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manners {
    /// Is the mall's own relay.
    Good,
    /// Publishes each message ten times.
    TenTimes,
    /// Publishes each handful back to front.
    Scrambled,
    /// Leaves out every third message.
    Forgetful,
    /// Every third message is not what it was.
    Clumsy,
    /// Does not come.
    Absent,
}

impl Streaming {
    /// A server with nobody who publishes anything on it.
    pub(crate) async fn start() -> Self {
        let server = NatsServer::start().await.unwrap();
        let nats = Nats::connect(&NatsOptions::at(server.url())).await.unwrap();
        let patience = Duration::from_secs(1);
        Self { server, nats, patience, courier: Tasks::default() }
    }

    pub(crate) fn carrier(&self) -> Carrier {
        let (nats, stream) = (self.nats.clone(), StreamOptions::default());
        JetStream { patience: self.patience, ..JetStream::new(nats, stream) }.into()
    }

    /// Somebody begins to carry this ledger's messages.
    pub(crate) fn employ(&mut self, ledger: &Ledger, manners: Manners) {
        self.courier = Tasks::default();
        let (nats, ledger) = (self.nats.clone(), ledger.clone());
        let stop = self.courier.shutdown.clone();
        if manners == Manners::Good {
            let (active, turn) = watch::channel(true);
            let status = watch::Sender::new(RelayStatus::new(&ledger));
            self.courier.tracker.spawn(async move {
                relay::run(ledger, nats, RelayOptions::default(), turn, status, stop)
                    .await
                    .unwrap();
                drop(active);
            });
            return;
        }
        self.courier.tracker.spawn(async move {
            select! {
                () = stop.cancelled() => {}
                () = carry(&nats, &ledger, manners) => {}
            }
        });
    }

    /// He goes home.
    pub(crate) async fn dismiss(&self) {
        in_time("the courier", self.courier.end()).await;
    }
}

async fn carry(nats: &Nats, ledger: &Ledger, manners: Manners) {
    if manners == Manners::Absent {
        return std::future::pending().await;
    }
    let mut connection = nats.connection();
    connection.wait_for(|it| *it == mallbots_messaging::nats::Connection::Connected).await.unwrap();
    let mut stream = ensure_stream(nats, &StreamOptions::default()).await.unwrap();
    // Where he, or who was here before him, stopped.
    let last = stream.info().await.unwrap().state.last_sequence;
    let behind = if last == 0 {
        Position(0)
    } else {
        let message = stream.get_raw_message(last).await.unwrap();
        wire::claimed_position(&message).unwrap()
    };
    let mut previous = [Position(0); RANGES as usize];
    let mut tail = ledger.tail(Position(0));
    loop {
        let Ok(messages) = tail.next(64).await else { return };
        let mut pages = Vec::new();
        for message in messages {
            let before = &mut previous[usize::from(ranges::of(message.partition()))];
            let was = std::mem::replace(before, message.position);
            if message.position > behind {
                pages.extend(page(&message, was, manners));
            }
        }
        if manners == Manners::Scrambled {
            pages.reverse();
        }
        let mut acks = Vec::new();
        for (subject, page) in pages {
            acks.push(nats.jetstream().send_publish(subject, page).await.unwrap());
        }
        for ack in join_all(acks.into_iter().map(IntoFuture::into_future)).await {
            ack.unwrap();
        }
    }
}

/// What becomes of a message.
fn page(
    message: &Arc<Recorded>,
    previous: Position,
    manners: Manners,
) -> Vec<(String, PublishMessage)> {
    let times = if manners == Manners::TenTimes { 10 } else { 1 };
    let is_third = message.position.0 % 3 == 0;
    if manners == Manners::Forgetful && is_third {
        return Vec::new();
    }
    let mut encoded = wire::encode(message, previous);
    if manners == Manners::Clumsy && is_third {
        encoded.payload = "{}".into();
    }
    (0..times)
        .map(|time| {
            let mut encoded = encoded.clone();
            if time > 0 {
                // As the relay does, so that the server takes it.
                let id = format!("{}/{time}", message.message_id);
                encoded.headers.insert(async_nats::header::NATS_MESSAGE_ID, id);
            }
            let page = PublishMessage::build().headers(encoded.headers).payload(encoded.payload);
            (encoded.subject, page)
        })
        .collect()
}
