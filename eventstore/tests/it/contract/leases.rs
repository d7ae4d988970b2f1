//! Who does what only one may do, and who shares the work.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use mallbots_eventstore::leases::Lease;
use mallbots_testing::ledgers::TestLedger;

/// Longer than any test.
const LONG: Duration = Duration::from_hours(1);

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What somebody holds.
fn held<'l>(leases: &'l [Lease], holder: &str) -> Vec<(&'l str, i64)> {
    let held = leases.iter().filter(|it| it.holder == holder && !it.left.is_zero());
    held.map(|it| (&*it.name, it.fence)).collect()
}

pub(super) async fn a_lease_has_one_holder(test: TestLedger) {
    let ledger = &test.ledger;
    let leases = ledger.hold_leases("anna", &names(&["a", "b"]), LONG).await.unwrap();
    assert_eq!(held(&leases, "anna"), [("a", 1), ("b", 1)]);
    let leases = ledger.hold_leases("bert", &names(&["b", "c"]), LONG).await.unwrap();
    assert_eq!(held(&leases, "anna"), [("a", 1), ("b", 1)]);
    assert_eq!(held(&leases, "bert"), [("c", 1)]);
    assert!(leases.iter().all(|it| it.left > LONG / 2 && it.left <= LONG));
}

pub(super) async fn a_lease_is_prolonged_under_its_fence(test: TestLedger) {
    let ledger = &test.ledger;
    let short = Duration::from_mins(1);
    ledger.hold_leases("anna", &names(&["a"]), short).await.unwrap();
    let leases = ledger.hold_leases("anna", &names(&["a"]), LONG).await.unwrap();
    assert_eq!(held(&leases, "anna"), [("a", 1)]);
    assert!(leases[0].left > short);
}

pub(super) async fn an_expired_lease_can_be_taken_and_has_a_new_fence(test: TestLedger) {
    let ledger = &test.ledger;
    let leases = ledger.hold_leases("anna", &names(&["a"]), Duration::ZERO).await.unwrap();
    assert_eq!(held(&leases, "anna"), [], "it has expired at once");
    let leases = ledger.hold_leases("bert", &names(&["a"]), LONG).await.unwrap();
    assert_eq!(held(&leases, "bert"), [("a", 2)]);
    let leases = ledger.hold_leases("anna", &names(&["a"]), LONG).await.unwrap();
    assert_eq!(held(&leases, "anna"), []);
}

pub(super) async fn a_lease_that_is_given_back_is_free(test: TestLedger) {
    let ledger = &test.ledger;
    ledger.hold_leases("anna", &names(&["a", "b"]), LONG).await.unwrap();
    ledger.release_leases("bert", &names(&["a"])).await.unwrap();
    ledger.release_leases("anna", &names(&["b"])).await.unwrap();
    let leases = ledger.hold_leases("bert", &names(&["a", "b"]), LONG).await.unwrap();
    assert_eq!(held(&leases, "anna"), [("a", 1)]);
    assert_eq!(held(&leases, "bert"), [("b", 2)]);
    ledger.release_leases("anna", &names(&["a"])).await.unwrap();
    let leases = ledger.hold_leases("anna", &names(&["a"]), LONG).await.unwrap();
    assert_eq!(held(&leases, "anna"), [("a", 2)], "whoever comes back comes anew");
}

pub(super) async fn a_race_for_a_lease_has_one_winner(test: TestLedger) {
    let wanted = names(&["a", "b", "c"]);
    let done = join_all((0..16).map(|number| {
        let (ledger, mut wanted) = (test.ledger.clone(), wanted.clone());
        if number % 2 == 0 {
            wanted.reverse();
        }
        test.tasks.tracker.spawn(async move {
            ledger.hold_leases(&format!("process {number}"), &wanted, LONG).await.unwrap()
        })
    }))
    .await;
    assert!(done.into_iter().all(|leases| leases.unwrap().len() == 3));
    let leases = test.ledger.leases().await.unwrap();
    assert!(leases.iter().all(|it| it.fence == 1));
}

pub(super) async fn members_see_each_other_until_they_leave(test: TestLedger) {
    let ledger = &test.ledger;
    let there = |members: &[&str]| members.iter().map(|it| (*it).to_owned()).collect();
    ledger.attend("anna", &names(&["depot", "sagas"]), LONG).await.unwrap();
    let groups = ledger.attend("bert", &names(&["sagas"]), LONG).await.unwrap();
    let (depot, sagas): (BTreeSet<_>, BTreeSet<_>) = (there(&["anna"]), there(&["anna", "bert"]));
    assert_eq!((&groups["depot"], &groups["sagas"]), (&depot, &sagas));
    // One goes without a word, one says so.
    ledger.attend("bert", &names(&["sagas"]), Duration::ZERO).await.unwrap();
    let groups = ledger.attend("anna", &[], LONG).await.unwrap();
    assert_eq!(groups["sagas"], depot);
    ledger.leave("anna").await.unwrap();
    assert!(ledger.attend("carl", &[], LONG).await.unwrap().is_empty());
}
