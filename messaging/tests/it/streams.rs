//! Stream and consumers: made when they are missing, changed when they are to
//! be different, and an error that says why when that cannot be.

use std::{collections::HashSet, time::Duration};

use async_nats::jetstream::{
    consumer::{self, AckPolicy},
    stream::{Config, StorageType},
};
use futures_util::StreamExt;
use mallbots_eventstore::{connect::Backend, message::Position};
use mallbots_messaging::{
    ranges::Range,
    streams::{
        Durable, STREAM, StreamOptions, StreamsError, ensure_consumer, ensure_stream,
        sequence_behind,
    },
    wire,
};
use mallbots_testing::nats::{NatsServer, NatsSettings};

use crate::exchange::{Exchange, busy, connect, everything};

fn durable(behind: i64) -> Durable {
    Durable {
        name: "ordering-1".to_owned(),
        subjects: wire::subjects_of(&Range::number(1)),
        behind: Position(behind),
        forgotten_after: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_becomes_what_is_asked_for() {
    let server = NatsServer::start().await.unwrap();
    let nats = connect(&server).await;
    let options = StreamOptions::default();
    // Many processes start at once.
    let made = (0..8).map(|_| ensure_stream(&nats, &options));
    for made in futures_util::future::join_all(made).await {
        assert_eq!(made.unwrap().cached_info().config.subjects, ["mall.>"]);
    }
    let other = StreamOptions {
        max_age: Some(Duration::from_secs(20)),
        max_bytes: Some(10_000_000),
        ..options.clone()
    };
    let stream = ensure_stream(&nats, &other).await.unwrap();
    let config = stream.cached_info().config.clone();
    assert_eq!((config.max_age, config.max_bytes), (Duration::from_secs(20), 10_000_000));
    assert_eq!(config.duplicate_window, Duration::from_secs(20), "no longer than it keeps");
    let stream = ensure_stream(&nats, &StreamOptions { max_age: None, ..options }).await.unwrap();
    let config = stream.cached_info().config.clone();
    assert_eq!((config.max_age, config.max_bytes), (Duration::ZERO, -1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stream_cannot_become_is_said_clearly() {
    let settings = NatsSettings { max_store: Some(1_000_000), ..NatsSettings::default() };
    let server = NatsServer::start_with(&settings).await.unwrap();
    let nats = connect(&server).await;
    let options = StreamOptions::default();
    for too_much in [
        StreamOptions { replicas: 3, ..options.clone() },
        StreamOptions { max_bytes: Some(1_000_000_000), ..options.clone() },
    ] {
        let refused = ensure_stream(&nats, &too_much).await.unwrap_err();
        assert!(matches!(refused, StreamsError::Refused { .. }), "{refused:?}");
        assert!(!refused.is_passing());
    }

    let other = Config {
        name: "OTHER".to_owned(),
        subjects: vec!["mall.event.>".to_owned()],
        ..Config::default()
    };
    nats.jetstream().create_stream(other).await.unwrap();
    let refused = ensure_stream(&nats, &options).await.unwrap_err();
    assert!(refused.to_string().contains("overlap"), "{refused}");
    nats.jetstream().delete_stream("OTHER").await.unwrap();

    let in_memory = Config {
        name: STREAM.to_owned(),
        subjects: vec!["mall.>".to_owned()],
        storage: StorageType::Memory,
        ..Config::default()
    };
    nats.jetstream().create_stream(in_memory).await.unwrap();
    let refused = ensure_stream(&nats, &options).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the stream MALL has storage Memory and not File, which cannot be changed: \
         delete it, the relay fills it again"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_waited_for() {
    let mut server = NatsServer::start().await.unwrap();
    let nats = connect(&server).await;
    server.stop().await.unwrap();
    let failed = ensure_stream(&nats, &StreamOptions::default()).await.unwrap_err();
    assert!(failed.is_passing(), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_is_given_what_its_range_has_behind_a_position() {
    let exchange = Exchange::open(Backend::Sqlite).await;
    let relaying = exchange.relay();
    busy(exchange.ledger(), 200).await;
    relaying.caught_up(exchange.ledger()).await;
    let options = StreamOptions::default();
    let stream = ensure_stream(&exchange.nats, &options).await.unwrap();
    for behind in [0, 1, 100, exchange.ledger().head().0, 9_999] {
        let found = sequence_behind(&stream, Position(behind)).await.unwrap();
        let due = (behind + 1).min(exchange.ledger().head().0 + 1);
        assert_eq!(found, u64::try_from(due).unwrap());
    }

    let expected: Vec<_> = everything(exchange.ledger())
        .await
        .into_iter()
        .filter(|it| it.position > Position(150) && Range::number(1).has(it.partition()))
        .map(|it| it.position)
        .collect();
    for round in ["made", "there", "deleted", "stream deleted"] {
        match round {
            "deleted" => drop(stream.delete_consumer("ordering-1").await.unwrap()),
            "stream deleted" => {
                exchange.nats.jetstream().delete_stream(STREAM).await.unwrap();
                relaying.until("it again", |it| it.position < exchange.ledger().head()).await;
                relaying.caught_up(exchange.ledger()).await;
            }
            _ => {}
        }
        let consumer = ensure_consumer(&exchange.nats, &options, &durable(150)).await.unwrap();
        let mut batch = consumer.fetch().max_messages(expected.len()).messages().await.unwrap();
        let mut given = Vec::new();
        let mut last = None;
        while given.len() < expected.len() {
            let Some(message) = batch.next().await else { break };
            let message = message.unwrap();
            given.push(wire::decode(&message.message).unwrap().recorded.position);
            last = Some(message);
        }
        let due = if round == "there" { &[][..] } else { &expected };
        assert_eq!(given, due, "{round}");
        if let Some(last) = last {
            // All of them with one ack.
            last.double_ack().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_becomes_what_is_asked_for_or_says_why_not() {
    let server = NatsServer::start().await.unwrap();
    let nats = connect(&server).await;
    let options = StreamOptions::default();
    ensure_consumer(&nats, &options, &durable(0)).await.unwrap();
    let everything = Durable { subjects: vec![], ..durable(7) };
    let consumer = ensure_consumer(&nats, &options, &everything).await.unwrap();
    assert!(consumer.cached_info().config.filter_subjects.is_empty());
    let mut consumer = ensure_consumer(&nats, &options, &durable(0)).await.unwrap();
    let config = consumer.info().await.unwrap().config.clone();
    let subjects: HashSet<_> = config.filter_subjects.into_iter().collect();
    assert_eq!(subjects, durable(0).subjects.into_iter().collect());
    assert_eq!((config.ack_policy, config.max_deliver), (AckPolicy::All, -1));

    let stream = ensure_stream(&nats, &options).await.unwrap();
    let explicit = consumer::pull::Config {
        durable_name: Some("views".to_owned()),
        ack_policy: AckPolicy::Explicit,
        ..consumer::pull::Config::default()
    };
    stream.create_consumer(explicit).await.unwrap();
    let views = Durable { name: "views".to_owned(), ..durable(0) };
    let refused = ensure_consumer(&nats, &options, &views).await.unwrap_err();
    assert!(refused.to_string().contains("acknowledgment Explicit and not All"), "{refused}");
}
