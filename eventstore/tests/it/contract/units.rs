//! Decisions over several aggregates, written together.

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::{FutureExt, future::join_all};
use mallbots_domain::{aggregate::ErrorKind, id::EntityId};
use mallbots_eventstore::{
    append::InboxEntry,
    error::CommandError,
    ledger::LedgerOptions,
    message::{Position, Version},
    unit::Creation,
};
use mallbots_testing::ledgers::TestLedger;
use uuid::Uuid;

use crate::tally::{
    Tally, TallyCommand, command, count, everything, metadata, new_id, notes, open, write,
};

pub(super) async fn a_unit_sees_what_it_has_decided(test: TestLedger) {
    let id = new_id();
    let done = test
        .ledger
        .transact(&metadata(), |unit| {
            async move {
                assert_eq!(unit.load::<Tally>(id).await?, Tally::default());
                assert_eq!(unit.decide::<Tally>(id, open(2)).await?.len(), 1);
                unit.decide::<Tally>(id, count()).await?;
                unit.decide::<Tally>(id, count()).await?;
                assert_eq!(unit.version::<Tally>(id).await?, Version(3));
                let full = unit.decide::<Tally>(id, count()).await;
                assert!(matches!(full, Err(CommandError::Refused(_))));
                Ok(unit.load::<Tally>(id).await?.count)
            }
            .boxed()
        })
        .await
        .unwrap();
    assert_eq!((done.value, done.first, done.last), (2, Some(Position(1)), Some(Position(3))));
    assert_eq!(notes(&test.ledger, id).await.len(), 3);
    assert_eq!(test.ledger.load::<Tally>(id).await.unwrap().state.count, 2);
}

pub(super) async fn a_unit_is_written_whole_or_not_at_all(test: TestLedger) {
    let (one, two) = (new_id(), new_id());
    let refused = test
        .ledger
        .transact(&metadata(), |unit| {
            async move {
                unit.decide::<Tally>(one, open(2)).await?;
                unit.send(command(one));
                unit.decide::<Tally>(two, count()).await?;
                Ok(())
            }
            .boxed()
        })
        .await;
    assert!(matches!(refused, Err(CommandError::Refused(_))));
    assert!(everything(&test.ledger).await.is_empty());

    // In the order in which they first decided.
    test.ledger
        .transact(&metadata(), |unit| {
            async move {
                unit.load::<Tally>(one).await?;
                unit.decide::<Tally>(two, open(2)).await?;
                unit.decide::<Tally>(one, open(2)).await?;
                unit.decide::<Tally>(two, count()).await?;
                Ok(())
            }
            .boxed()
        })
        .await
        .unwrap();
    let streams: Vec<_> = everything(&test.ledger).await.iter().map(|it| it.stream).collect();
    assert_eq!(streams, [two.any(), two.any(), one.any()]);
}

pub(super) async fn an_empty_unit_writes_nothing(test: TestLedger) {
    let id = new_id();
    let done = test
        .ledger
        .transact(&metadata(), |unit| {
            async move {
                unit.load::<Tally>(id).await?;
                unit.decide::<Tally>(id, TallyCommand::Nothing).await?;
                assert!(unit.is_empty());
                Ok("nothing")
            }
            .boxed()
        })
        .await
        .unwrap();
    assert_eq!((done.value, done.first, done.last, done.replayed), ("nothing", None, None, false));
    assert_eq!(test.ledger.head(), Position(0));
}

pub(super) async fn a_unit_decides_again_when_it_loses_a_race(test: TestLedger) {
    let id = new_id();
    test.ledger.execute::<Tally>(id, open(9), &metadata()).await.unwrap();
    let runs = AtomicU32::new(0);
    let (ledger, runs) = (&test.ledger, &runs);
    let done = ledger
        .transact(&metadata(), |unit| {
            async move {
                let before = unit.version::<Tally>(id).await?.0;
                unit.decide::<Tally>(id, count()).await?;
                if runs.fetch_add(1, Ordering::SeqCst) < 2 {
                    // Somebody is faster, twice.
                    ledger.append(write(id, before, &["faster"])).await.unwrap();
                }
                Ok(unit.load::<Tally>(id).await?.count)
            }
            .boxed()
        })
        .await
        .unwrap();
    assert_eq!((done.value, runs.load(Ordering::SeqCst)), (3, 3));
    assert_eq!(notes(ledger, id).await, ["opened", "faster", "faster", "one"]);
}

pub(super) async fn a_unit_that_always_loses_gives_up(test: TestLedger) {
    let id = new_id();
    test.ledger.execute::<Tally>(id, open(99), &metadata()).await.unwrap();
    let runs = AtomicU32::new(0);
    let (ledger, runs) = (&test.ledger, &runs);
    let refused = ledger
        .transact(&metadata(), |unit| {
            async move {
                let before = unit.version::<Tally>(id).await?.0;
                unit.decide::<Tally>(id, count()).await?;
                runs.fetch_add(1, Ordering::SeqCst);
                ledger.append(write(id, before, &["faster"])).await.unwrap();
                Ok(())
            }
            .boxed()
        })
        .await;
    assert!(matches!(refused, Err(CommandError::Contended)));
    assert_eq!(runs.load(Ordering::SeqCst), 5);
    assert_eq!(notes(ledger, id).await.len(), 6);
}

pub(super) async fn creating_the_same_again_adds_nothing(test: TestLedger) {
    let id = new_id();
    let create = async |limit| {
        test.ledger
            .transact(&metadata(), |unit| {
                async move { unit.create::<Tally>(id, open(limit)).await }.boxed()
            })
            .await
    };
    let first = create(5).await.unwrap();
    assert_eq!((first.value, first.replayed), (Creation::New, false));
    // It may have moved on since.
    test.ledger.execute::<Tally>(id, count(), &metadata()).await.unwrap();
    let again = create(5).await.unwrap();
    let before = Creation::Before { first: Position(1), last: Position(1) };
    assert_eq!((again.value, again.replayed), (before, true));
    assert_eq!((again.first, again.last), (Some(Position(1)), Some(Position(1))));
    assert_eq!(everything(&test.ledger).await.len(), 2);
}

pub(super) async fn creating_something_else_under_an_id_is_refused(test: TestLedger) {
    let id = new_id();
    test.ledger.execute::<Tally>(id, open(5), &metadata()).await.unwrap();
    let refused = test
        .ledger
        .transact(&metadata(), |unit| {
            async move { unit.create::<Tally>(id, open(6)).await }.boxed()
        })
        .await;
    let Err(CommandError::Refused(refusal)) = refused else { panic!("{refused:?}") };
    assert_eq!((refusal.kind, refusal.reason), (ErrorKind::Conflict, "TALLY_EXISTS"));
    assert_eq!(everything(&test.ledger).await.len(), 1);
}

pub(super) async fn a_discarded_unit_keeps_only_what_follows(test: TestLedger) {
    let (one, two) = (new_id(), new_id());
    let message_id = Uuid::now_v7();
    test.ledger
        .transact(&metadata(), |unit| {
            async move {
                unit.inbox(InboxEntry { consumer: "one", message_id, position: Position(1) });
                unit.decide::<Tally>(one, open(2)).await?;
                unit.send(command(one));
                unit.discard();
                assert_eq!(unit.load::<Tally>(one).await?, Tally::default());
                unit.send(command(two));
                Ok(())
            }
            .boxed()
        })
        .await
        .unwrap();
    let all = everything(&test.ledger).await;
    assert_eq!((all.len(), all[0].stream), (1, two.any()));
    let handled = test
        .ledger
        .transact(&metadata(), |unit| {
            async move {
                unit.inbox(InboxEntry { consumer: "one", message_id, position: Position(1) });
                Ok(())
            }
            .boxed()
        })
        .await;
    assert!(matches!(handled, Err(CommandError::Handled)));
}

pub(super) async fn the_version_of_what_decided_nothing_is_asserted_too(test: TestLedger) {
    let (one, two) = (new_id(), new_id());
    let runs = AtomicU32::new(0);
    let (ledger, runs) = (&test.ledger, &runs);
    ledger
        .transact(&metadata(), |unit| {
            async move {
                let before = unit.version::<Tally>(one).await?.0;
                unit.decide::<Tally>(one, TallyCommand::Nothing).await?;
                unit.decide::<Tally>(two, open(1)).await?;
                if runs.fetch_add(1, Ordering::SeqCst) == 0 {
                    ledger.append(write(one, before, &["faster"])).await.unwrap();
                }
                Ok(())
            }
            .boxed()
        })
        .await
        .unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

pub(super) async fn units_over_the_same_aggregates_all_get_through(test: TestLedger) {
    // Each takes from both, in either order; none may wait for another for ever.
    let (one, two) = (new_id(), new_id());
    for id in [one, two] {
        test.ledger.execute::<Tally>(id, open(100), &metadata()).await.unwrap();
    }
    let done = join_all((0..8).map(|number| {
        let ledger = test.ledger.clone();
        let (first, second) = if number % 2 == 0 { (one, two) } else { (two, one) };
        test.tasks.tracker.spawn(async move {
            for _ in 0..5 {
                // A unit that loses too often says so, and may be asked again.
                loop {
                    let metadata = metadata();
                    let work = ledger.transact(&metadata, |unit| {
                        async move {
                            unit.decide::<Tally>(first, count()).await?;
                            unit.decide::<Tally>(second, count()).await
                        }
                        .boxed()
                    });
                    match work.await {
                        Ok(_) => break,
                        Err(CommandError::Contended) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        })
    }));
    for done in done.await {
        done.unwrap();
    }
    let test = test.reopen(LedgerOptions::default()).await.unwrap();
    for id in [one, two] {
        assert_eq!(test.ledger.load::<Tally>(id).await.unwrap().state.count, 40);
    }
}

pub(super) async fn work_may_borrow_from_its_caller(test: TestLedger) {
    let name = String::from("borrowed");
    let name = &name;
    let id = new_id();
    let done = test
        .ledger
        .transact(&metadata(), |unit| {
            async move {
                unit.decide::<Tally>(id, open(1)).await?;
                unit.decide::<Tally>(id, TallyCommand::Count { note: name.clone() }).await?;
                Ok(name.len())
            }
            .boxed()
        })
        .await
        .unwrap();
    assert_eq!(done.value, 8);
    assert_eq!(test.ledger.load::<Tally>(id).await.unwrap().state.last_note, "borrowed");
}
