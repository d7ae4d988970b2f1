//! Where each partition stands.

use mallbots_domain::id::{BasketId, EntityId, PARTITIONS};
use mallbots_eventstore::{checkpoints::Checkpoints, message::Position};
use mallbots_testing::ledgers::TestLedger;
use uuid::Uuid;

use crate::tally::{everything, write};

const NOWHERE: Checkpoints = [Position(0); PARTITIONS as usize];

pub(super) async fn the_last_message_of_each_partition_is_known_at_any_position(test: TestLedger) {
    let ledger = &test.ledger;
    assert_eq!(ledger.last_in_partitions(Position(9)).await.unwrap(), NOWHERE);
    for partition in [3_u8, 60, 17, 17, 0, 33, 63] {
        let id = BasketId::from_uuid(Uuid::from_u128(
            Uuid::now_v7().as_u128() & !0xff | u128::from(partition),
        ));
        ledger.append(write(id, 0, &["one", "two"])).await.unwrap();
    }
    let mut last = NOWHERE;
    for message in everything(ledger).await {
        last[usize::from(message.partition())] = message.position;
        assert_eq!(ledger.last_in_partitions(message.position).await.unwrap(), last);
    }
    assert_eq!(last.iter().filter(|position| **position > Position(0)).count(), 6);
}

pub(super) async fn the_least_checkpoint_is_that_of_whoever_is_furthest_behind(test: TestLedger) {
    let ledger = &test.ledger;
    assert_eq!(ledger.least_checkpoint().await.unwrap(), Position(0), "nobody has begun");
    let all = |at| (0..PARTITIONS).map(|it| (it, Position(at))).collect::<Vec<_>>();
    ledger.save_checkpoints("one", &all(7)).await.unwrap();
    assert_eq!(ledger.least_checkpoint().await.unwrap(), Position(7));
    ledger.save_checkpoints("two", &all(5)[1..]).await.unwrap();
    assert_eq!(ledger.least_checkpoint().await.unwrap(), Position(0), "a partition is missing");
    ledger.save_checkpoints("two", &all(5)).await.unwrap();
    assert_eq!(ledger.least_checkpoint().await.unwrap(), Position(5));
}
