//! Writing, and reading it again.

use std::{collections::HashMap, pin::pin, time::Duration};

use futures_util::{future::join_all, poll};
use mallbots_domain::id::{AnyId, BasketId, DeadLetterId, EntityId};
use mallbots_eventstore::{
    append::{
        Append, Claim, IdempotencyEntry, InboxEntry, NewEvent, NewMessage, StreamWrite, Take,
        Timer, TimerChange,
    },
    dead_letters::DeadLetter,
    error::{AppendError, StoreError},
    ledger::LedgerOptions,
    message::{MessageKind, Metadata, Position, Version},
};
use mallbots_testing::ledgers::{BEGINNING, TestLedger};
use uuid::Uuid;

use crate::tally::{Gate, Tally, command, count, everything, metadata, new_id, notes, open, write};

pub(super) async fn an_append_returns_where_it_stands(test: TestLedger) {
    let ledger = &test.ledger;
    let first = ledger.append(write(new_id(), 0, &["a", "b"])).await.unwrap();
    assert_eq!((first.first, first.last), (Position(1), Position(2)));
    let second = ledger.append(write(new_id(), 0, &["c"])).await.unwrap();
    assert_eq!((second.first, second.last), (Position(3), Position(3)));
    assert_eq!(ledger.head(), Position(3));
}

pub(super) async fn what_is_written_is_what_is_read(test: TestLedger) {
    let id = new_id();
    let metadata = Metadata {
        actor: "a \"tester\"".to_owned(),
        command_id: Uuid::now_v7(),
        correlation_id: Uuid::now_v7(),
        causation_id: Some(Uuid::now_v7()),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        tracestate: Some("rojo=00f067aa0ba902b7".to_owned()),
    };
    // Order of fields, spaces, escapes and big numbers are nobody's business.
    let payload = r#"{"z": 1, "a":"\u00fc'\"\\,{}[]", "big":12345678901234567890.5}"#;
    let append = Append {
        streams: vec![StreamWrite {
            stream: id.any(),
            expected: Version(0),
            events: vec![NewEvent {
                name: "testing.Counted".to_owned(),
                schema_version: 3,
                payload: payload.to_owned(),
            }],
        }],
        ..Append::new(metadata.clone())
    };
    test.clock.advance(Duration::from_micros(7));
    test.ledger.append(append).await.unwrap();

    // Once from memory, once from the database.
    let remembered = test.ledger.tail(Position(0)).next(10).await.unwrap().remove(0);
    let stored = test.ledger.read(Position(0), 10).await.unwrap().remove(0);
    for message in [remembered, stored] {
        assert_eq!(message.position, Position(1));
        assert_eq!(message.kind, MessageKind::Event);
        assert_eq!(message.stream, id.any());
        assert_eq!(message.version, Version(1));
        assert_eq!(message.name, "testing.Counted");
        assert_eq!(message.context(), "testing");
        assert_eq!(message.schema_version, 3);
        assert_eq!(message.partition(), id.any().partition());
        assert_eq!(&*message.payload, payload);
        assert_eq!(message.metadata().unwrap(), metadata);
        assert_eq!(message.recorded_at, BEGINNING + 7);
        assert_eq!(message.message_id.get_version_num(), 7);
    }
}

pub(super) async fn events_come_before_what_else_is_said(test: TestLedger) {
    let (one, two) = (new_id(), new_id());
    let said = command(two);
    let append = Append {
        messages: vec![said.clone(), NewMessage { kind: MessageKind::Reply, ..command(one) }],
        ..write(one, 0, &["a", "b"])
    };
    let append =
        Append { streams: [append.streams, write(two, 0, &["c"]).streams].concat(), ..append };
    let appended = test.ledger.append(append).await.unwrap();
    assert_eq!(appended.last, Position(5));

    let all = everything(&test.ledger).await;
    let found: Vec<_> = all.iter().map(|it| (it.kind, it.stream, it.version.0)).collect();
    assert_eq!(
        found,
        [
            (MessageKind::Event, one.any(), 1),
            (MessageKind::Event, one.any(), 2),
            (MessageKind::Event, two.any(), 1),
            (MessageKind::Command, two.any(), 0),
            (MessageKind::Reply, one.any(), 0),
        ]
    );
    assert_eq!(all[3].message_id, said.message_id);
}

pub(super) async fn an_append_without_messages_returns_the_head(test: TestLedger) {
    test.ledger.append(write(new_id(), 0, &["a", "b"])).await.unwrap();
    let appended = test.ledger.append(Append::new(metadata())).await.unwrap();
    assert_eq!((appended.first, appended.last), (Position(2), Position(2)));
}

pub(super) async fn positions_are_gapless_under_32_tasks(test: TestLedger) {
    let tasks = (0..32).map(|_| {
        let ledger = test.ledger.clone();
        test.tasks.tracker.spawn(async move {
            let id = new_id();
            ledger.execute::<Tally>(id, open(100), &metadata()).await.unwrap();
            for number in 0..10 {
                ledger.execute::<Tally>(id, count(), &metadata()).await.unwrap();
                if number % 3 == 0 {
                    let said = vec![command(id)];
                    let append = Append { messages: said, ..Append::new(metadata()) };
                    ledger.append(append).await.unwrap();
                }
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }

    let all = everything(&test.ledger).await;
    assert_eq!(all.len(), 32 * (1 + 10 + 4));
    let mut versions: HashMap<AnyId, i64> = HashMap::new();
    for message in all.iter().filter(|message| message.kind == MessageKind::Event) {
        let version = versions.entry(message.stream).or_default();
        *version += 1;
        assert_eq!(message.version.0, *version, "versions are gapless too");
    }
    assert!(versions.values().all(|version| *version == 11));
}

pub(super) async fn d41_several_events_in_one_append_keep_their_own_values(test: TestLedger) {
    let id = new_id();
    let written: Vec<String> = (0..50).map(|number| format!("note {number}")).collect();
    let written: Vec<&str> = written.iter().map(String::as_str).collect();
    test.ledger.append(write(id, 0, &written)).await.unwrap();
    assert_eq!(notes(&test.ledger, id).await, written);
    let mut ids: Vec<_> =
        everything(&test.ledger).await.iter().map(|message| message.message_id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 50);
}

pub(super) async fn a_message_is_said_once_under_its_id(test: TestLedger) {
    let id = new_id();
    let said = command(id);
    let append = |expected, note| Append {
        messages: vec![said.clone(), said.clone()],
        ..write(id, expected, &[note])
    };
    let first = test.ledger.append(append(0, "a")).await.unwrap();
    assert_eq!(first.last, Position(2));
    // The rest is written all the same.
    let again = test.ledger.append(append(1, "b")).await.unwrap();
    assert_eq!((again.first, again.last), (Position(3), Position(3)));
    assert_eq!(notes(&test.ledger, id).await, ["a", "b"]);
    assert_eq!(everything(&test.ledger).await.len(), 3);
}

/// What an append may touch.
#[derive(Debug, Clone, Copy)]
enum Part {
    Stream,
    Message,
    Inbox,
    Answer,
    Claim,
    Timer,
    Letter,
}

const PARTS: [Part; 7] = [
    Part::Stream,
    Part::Message,
    Part::Inbox,
    Part::Answer,
    Part::Claim,
    Part::Timer,
    Part::Letter,
];

/// Adds what an append does to one part, under a name of its own.
fn touch(append: &mut Append, part: Part, id: BasketId) {
    let name = id.to_string();
    match part {
        Part::Stream => append.streams.extend(write(id, 0, &["a"]).streams),
        Part::Message => append.messages.push(NewMessage { message_id: id.uuid(), ..command(id) }),
        Part::Inbox => {
            let entry =
                InboxEntry { consumer: "one", message_id: id.uuid(), position: Position(1) };
            append.inbox = Some(entry);
        }
        Part::Answer => {
            append.idempotency = Some(IdempotencyEntry {
                caller: "anna".to_owned(),
                key: name,
                fingerprint: "f".to_owned(),
                result: "null".to_owned(),
            });
        }
        Part::Claim => append.claims.push(Claim { scope: "sku", key: name, owner: new_id().any() }),
        Part::Timer => append.timers.push(TimerChange::Set(Timer {
            owner: id.any(),
            name: "alarm",
            due_at: 1,
            message: command(id),
        })),
        Part::Letter => {
            append.takes.push(Take::DeadLetter { id: DeadLetterId::from_uuid(id.uuid()) });
        }
    }
}

/// Every combination of parts, because a statement that is put together from
/// some of them may go wrong where another does not.
pub(super) async fn whatever_an_append_touches_all_of_it_counts(test: TestLedger) {
    let ledger = &test.ledger;
    for combination in 1_u32..1 << PARTS.len() {
        let chosen: Vec<_> = PARTS
            .into_iter()
            .enumerate()
            .filter(|(number, _)| combination & (1 << number) != 0)
            .map(|(_, part)| part)
            .collect();
        let id = new_id();
        let letter = DeadLetter {
            id: DeadLetterId::from_uuid(id.uuid()),
            consumer: "one".to_owned(),
            key: "key".to_owned(),
            position: Position(i64::from(combination)),
            message_id: id.uuid(),
            reason: "it does not compute".to_owned(),
            attempts: 1,
            first_failed_at: BEGINNING,
            payload_override: None,
        };
        ledger.park(&letter).await.unwrap();
        let mut append = Append::new(metadata());
        for part in &chosen {
            touch(&mut append, *part, id);
        }
        ledger.append(append).await.unwrap();

        for part in &chosen {
            // Is it there? And does it stand in the way of all the rest, done anew?
            let mut again = Append::new(metadata());
            for other in &chosen {
                let is_it = std::mem::discriminant(other) == std::mem::discriminant(part);
                // A letter that is not there stands in the way by itself.
                if is_it || !matches!(other, Part::Letter) {
                    touch(&mut again, *other, if is_it { id } else { new_id() });
                }
            }
            let again = ledger.append(again).await;
            match part {
                Part::Stream => {
                    assert_eq!(notes(ledger, id).await, ["a"]);
                    assert!(matches!(again, Err(AppendError::Conflict { .. })), "{again:?}");
                }
                Part::Message => {
                    assert!(ledger.message(id.uuid()).await.unwrap().is_some());
                    assert!(again.is_ok(), "{again:?}");
                }
                Part::Inbox => assert!(matches!(again, Err(AppendError::Handled)), "{again:?}"),
                Part::Answer => {
                    let answer = ledger.recall("anna", &id.to_string()).await.unwrap();
                    assert_eq!(answer.unwrap().result, "null");
                    assert!(matches!(again, Err(AppendError::Answered)), "{again:?}");
                }
                Part::Claim => {
                    assert!(matches!(again, Err(AppendError::Claimed { .. })), "{again:?}");
                }
                Part::Timer => {
                    let due = ledger.due_timers(1, 1_000).await.unwrap();
                    assert!(due.iter().any(|timer| timer.owner == id.any()), "{chosen:?}");
                }
                Part::Letter => {
                    assert_eq!(ledger.dead_letter(letter.id).await.unwrap(), None);
                    assert!(matches!(again, Err(AppendError::Gone)), "{again:?}");
                }
            }
        }
    }
}

pub(super) async fn time_does_not_go_back(test: TestLedger) {
    let id = new_id();
    test.clock.advance(Duration::from_secs(10));
    test.ledger.append(write(id, 0, &["a"])).await.unwrap();
    if let mallbots_eventstore::clock::Clock::Manual(hand) = &test.clock {
        hand.store(BEGINNING, std::sync::atomic::Ordering::SeqCst);
    }
    test.ledger.append(write(id, 1, &["b"])).await.unwrap();
    let test = test.reopen(LedgerOptions::default()).await.unwrap();
    test.ledger.append(write(id, 2, &["c"])).await.unwrap();
    let times: Vec<_> =
        everything(&test.ledger).await.iter().map(|message| message.recorded_at).collect();
    assert_eq!(times, [BEGINNING + 10_000_000; 3]);
}

pub(super) async fn a_caller_that_goes_away_leaves_all_or_nothing(test: TestLedger) {
    let id = new_id();
    for expected in [0, 3, 6] {
        // Gone as soon as it has asked; it may be written by then or not.
        let mut asked = Box::pin(test.ledger.append(write(id, expected, &["a", "b", "c"])));
        let _ = poll!(&mut asked);
        drop(asked);
    }
    let test = test.reopen(LedgerOptions::default()).await.unwrap();
    assert_eq!(notes(&test.ledger, id).await, ["a", "b", "c"].repeat(3));
    everything(&test.ledger).await;
}

pub(super) async fn a_payload_that_is_not_json_is_refused_alone(test: TestLedger) {
    let gate = Gate::default();
    let options = LedgerOptions { probe: Some(gate.probe()), ..LedgerOptions::default() };
    let test = test.reopen(options).await.unwrap();
    let ledger = &test.ledger;

    gate.close();
    let mut first = pin!(ledger.append(write(new_id(), 0, &["first"])));
    assert!(poll!(&mut first).is_pending());
    gate.wait_for_appender();
    let (good, bad, also_good) = (new_id(), new_id(), new_id());
    let mut broken = write(bad, 0, &["x"]);
    broken.streams[0].events[0].payload = String::from("{\"note\":\"x\"}, [");
    let mut one = pin!(ledger.append(write(good, 0, &["one"])));
    let mut two = pin!(ledger.append(broken));
    let mut three = pin!(ledger.append(write(also_good, 0, &["three"])));
    assert!(poll!(&mut one).is_pending());
    assert!(poll!(&mut two).is_pending());
    assert!(poll!(&mut three).is_pending());
    gate.open();

    first.await.unwrap();
    one.await.unwrap();
    assert!(matches!(two.await, Err(AppendError::Store(StoreError::Database(_)))));
    three.await.unwrap();
    assert_eq!(everything(ledger).await.len(), 3);
    assert_eq!(notes(ledger, bad).await, [""; 0]);
}

pub(super) async fn what_is_queued_is_written_before_the_ledger_closes(test: TestLedger) {
    let gate = Gate::default();
    let options = LedgerOptions { probe: Some(gate.probe()), ..LedgerOptions::default() };
    let test = test.reopen(options).await.unwrap();
    let ledger = test.ledger.clone();

    gate.close();
    let mut waiting: Vec<_> =
        (0..5).map(|_| Box::pin(ledger.append(write(new_id(), 0, &["a"])))).collect();
    for asked in &mut waiting {
        assert!(poll!(asked).is_pending());
    }
    test.tasks.shutdown.cancel();
    gate.open();
    for asked in waiting {
        asked.await.unwrap();
    }
    assert_eq!(ledger.head(), Position(5));
}

pub(super) async fn a_closed_ledger_says_so(test: TestLedger) {
    test.tasks.end().await;
    let refused = test.ledger.append(write(new_id(), 0, &["a"])).await;
    assert!(matches!(refused, Err(AppendError::Store(StoreError::Closed))));
    let refused = test.ledger.load::<Tally>(new_id()).await;
    assert!(matches!(refused, Err(StoreError::Closed)));
}
