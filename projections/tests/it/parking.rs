//! What cannot be taken in is put aside, with all that comes after it in its
//! stream and nothing else.

use std::sync::Arc;

use mallbots_domain::id::{AnyId, BasketId, EntityId};
use mallbots_eventstore::{
    connect::Backend,
    message::{MessageKind, Recorded, Version},
};
use mallbots_projections::{
    baskets,
    changes::Heard,
    orders,
    page::PageRequest,
    parked::{self, ParkedRow},
    projector::{ProjectError, Projector},
    sagas, timeline,
};
use sea_orm::ConnectionTrait;

use crate::{
    library::Library,
    mall::{Mall, busy, id},
};

on_each_database!(
    an_event_that_cannot_be_decoded_parks_its_stream_only,
    an_event_that_does_not_fit_parks_its_stream_only,
    parked_streams_stay_parked_after_a_restart,
    a_parked_stream_is_taken_in_once_it_is_mended,
    a_parked_event_that_is_still_wrong_stays,
    a_discarded_event_is_passed_over,
    of_two_projectors_one_takes_a_batch_in,
);

/// The places of a stream's events in a history.
fn places(mall: &Mall, stream: AnyId) -> Vec<usize> {
    let of_stream =
        |message: &Recorded| message.kind == MessageKind::Event && message.stream == stream;
    (0..mall.messages.len()).filter(|&at| of_stream(&mall.messages[at])).collect()
}

fn change(mall: &mut Mall, at: usize, change: impl FnOnce(&mut Recorded)) {
    let mut message = Recorded::clone(&mall.messages[at]);
    change(&mut message);
    mall.messages[at] = Arc::new(message);
}

fn spoil(mall: &mut Mall, at: usize) {
    change(mall, at, |message| message.payload = "{\"item\":\"nonsense\"}".into());
}

async fn letters(library: &Library) -> Vec<ParkedRow> {
    let page = parked::list(&library.reads, &PageRequest::first(1000)).await.unwrap();
    page.rows.into_iter().map(|(_, letter)| letter).collect()
}

/// What an operator says about a letter, as the ledger brings it.
fn say(mall: &mut Mall, name: &str, letter: &ParkedRow) {
    let name = format!("operations.{name}DeadLetter");
    mall.record(MessageKind::Command, letter.id.any(), 0, &name, "{}");
}

async fn an_event_that_cannot_be_decoded_parks_its_stream_only(backend: Backend) {
    let mut mall = busy(10, 4);
    let mut clean = Library::new(backend).await;
    clean.take_in(&mall.messages, 100).await;

    let order = id::<BasketId>(5).order();
    let of_order = places(&mall, order.any());
    spoil(&mut mall, of_order[1]);
    let mut library = Library::new(backend).await;
    library.take_in(&mall.messages, 100).await;

    // All of the order's events from there on, the first with the reason.
    let letters = letters(&library).await;
    assert_eq!(letters.len(), of_order.len() - 1);
    assert!(letters.iter().all(|letter| *letter.key == order.any()));
    assert_eq!(letters[0].attempts, 1);
    assert!(letters[0].reason.contains("missing field"), "{}", letters[0].reason);
    assert!(letters[1..].iter().all(|letter| letter.attempts == 0));
    assert_eq!(letters[0].position, mall.messages[of_order[1]].position.0);

    // The order stands where it stood; everything else went on.
    let row = orders::by_id(&library.reads, order).await.unwrap().unwrap();
    assert_eq!(row.version, 1);
    for n in (0..10).filter(|n| *n != 5) {
        let other = id::<BasketId>(n).order();
        let row = orders::by_id(&library.reads, other).await.unwrap();
        assert_eq!(row, orders::by_id(&clean.reads, other).await.unwrap());
    }
    let saga = sagas::by_id(&library.reads, order.create_saga()).await.unwrap();
    assert_eq!(saga, sagas::by_id(&clean.reads, order.create_saga()).await.unwrap());
    let items = timeline::since(&library.reads, order, None, 0, 100).await.unwrap();
    let all = timeline::since(&clean.reads, order, None, 0, 100).await.unwrap();
    assert_eq!(items.len(), all.len() - letters.len());

    let statuses = library.reads.projections().await.unwrap();
    for status in statuses {
        assert_eq!(status.position, mall.end());
        let parked = if status.name == "orders" { letters.len() } else { 0 };
        assert_eq!(status.parked, parked as u64, "{}", status.name);
    }
    let keys = [order.any(), id::<BasketId>(1).any()];
    let counts = parked::counts(&library.reads, Some(&keys)).await.unwrap();
    assert_eq!(counts, [(order.any(), letters.len() as u64)].into());
    let first = *letters[0].id;
    let by_id = parked::by_ids(&library.reads, &[first]).await.unwrap();
    assert_eq!(by_id.get(&first), letters.first());
}

async fn an_event_that_does_not_fit_parks_its_stream_only(backend: Backend) {
    let mut mall = busy(6, 3);
    let basket: BasketId = id(2);
    let of_basket = places(&mall, basket.any());
    change(&mut mall, of_basket[2], |message| message.version = Version(9));
    let mut library = Library::new(backend).await;
    library.take_in(&mall.messages, 500).await;

    let letters = letters(&library).await;
    assert_eq!(letters.len(), of_basket.len() - 2);
    assert!(letters.iter().all(|letter| *letter.key == basket.any()));
    assert!(letters[0].reason.contains("the row knows only 2"), "{}", letters[0].reason);
    let row = baskets::by_id(&library.reads, basket).await.unwrap().unwrap();
    assert_eq!(row.version, 2);
}

async fn parked_streams_stay_parked_after_a_restart(backend: Backend) {
    let mut mall = busy(6, 3);
    let basket: BasketId = id(2);
    let of_basket = places(&mall, basket.any());
    spoil(&mut mall, of_basket[1]);
    let mut library = Library::new(backend).await;
    let (before, after) = mall.messages.split_at(of_basket[1] + 1);
    library.take_in(before, 500).await;
    let parked = letters(&library).await;
    assert_eq!(parked.len(), 1, "{parked:#?}");

    let opened = Projector::open(&library.views.database, &library.ledger.ledger).await;
    (library.projector, library.reads) = opened.unwrap();
    library.take_in(after, 500).await;
    assert_eq!(letters(&library).await.len(), of_basket.len() - 1);
}

async fn a_parked_stream_is_taken_in_once_it_is_mended(backend: Backend) {
    let mut mall = busy(6, 3);
    let mut clean = Library::new(backend).await;
    clean.take_in(&mall.messages, 100).await;

    let basket: BasketId = id(2);
    let at = places(&mall, basket.any())[1];
    let payload = mall.messages[at].payload.replace('\'', "''");
    spoil(&mut mall, at);
    let mut library = Library::new(backend).await;
    library.take_in(&mall.messages, 100).await;
    let parked = letters(&library).await;
    assert!(library.dump().await != clean.dump().await);

    let mend = format!(
        "UPDATE projection_dead_letters SET payload = '{payload}' WHERE id = '{}'",
        *parked[0].id
    );
    library.views.database.write.execute_unprepared(&mend).await.unwrap();
    let heard = mall.messages.len();
    say(&mut mall, "Retry", &parked[0]);
    let mut feed = library.reads.changes();
    library.take_in(&mall.messages[heard..], 100).await;

    library.assert_equals(&clean).await;
    let heard = feed.next().await.unwrap();
    let Heard::Changed(changed) = heard else { panic!() };
    assert_eq!(changed.rows.len(), 1);
    assert!(changed.rows[0].concerns(basket.any()));

    // Said twice, it changes nothing more.
    let heard = mall.messages.len();
    say(&mut mall, "Retry", &parked[0]);
    library.take_in(&mall.messages[heard..], 100).await;
    library.assert_equals(&clean).await;
}

async fn a_parked_event_that_is_still_wrong_stays(backend: Backend) {
    let mut mall = busy(6, 3);
    let basket: BasketId = id(2);
    let at = places(&mall, basket.any())[1];
    spoil(&mut mall, at);
    let mut library = Library::new(backend).await;
    library.take_in(&mall.messages, 100).await;
    let before = letters(&library).await;

    let heard = mall.messages.len();
    say(&mut mall, "Retry", &before[0]);
    library.take_in(&mall.messages[heard..], 100).await;
    let after = letters(&library).await;
    assert_eq!(after.len(), before.len());
    assert_eq!(after[0].attempts, 2);
    assert_eq!(after[1..], before[1..]);
}

async fn a_discarded_event_is_passed_over(backend: Backend) {
    let mut mall = busy(6, 3);
    let basket: BasketId = id(2);
    let of_basket = places(&mall, basket.any());
    spoil(&mut mall, of_basket[1]);
    let mut library = Library::new(backend).await;
    library.take_in(&mall.messages, 100).await;
    let parked = letters(&library).await;

    // One that waits behind another has to wait for its turn.
    let heard = mall.messages.len();
    say(&mut mall, "Discard", &parked[1]);
    library.take_in(&mall.messages[heard..], 100).await;
    assert_eq!(letters(&library).await.len(), parked.len());

    let heard = mall.messages.len();
    say(&mut mall, "Discard", &parked[0]);
    library.take_in(&mall.messages[heard..], 100).await;
    assert_eq!(letters(&library).await, []);
    let row = baskets::by_id(&library.reads, basket).await.unwrap().unwrap();
    assert_eq!(usize::try_from(row.version), Ok(of_basket.len()));
}

async fn of_two_projectors_one_takes_a_batch_in(backend: Backend) {
    let mall = busy(8, 4);
    let mut clean = Library::new(backend).await;
    clean.take_in(&mall.messages, 50).await;

    let mut library = Library::new(backend).await;
    let opened = Projector::open(&library.views.database, &library.ledger.ledger).await;
    let (mut other, _) = opened.unwrap();
    for batch in mall.messages.chunks(50) {
        library.projector.project(batch).await.unwrap();
        // The other comes late, finds out, and goes on from what is there.
        let late = other.project(batch).await;
        assert!(matches!(late, Err(ProjectError::Overtaken)), "{late:?}");
        other.resume().await.unwrap();
        other.project(batch).await.unwrap();
        std::mem::swap(&mut library.projector, &mut other);
    }
    library.assert_equals(&clean).await;
}
