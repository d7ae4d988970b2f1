//! What is on the stream and does not belong there is named.

use mallbots_eventstore::{
    connect::Backend,
    message::{Position, Recorded},
};
use mallbots_messaging::{
    audit::{StreamAudit, audit},
    streams::STREAM,
    wire,
};

use crate::{
    exchange::{Exchange, busy},
    mall::on_each_database,
};

on_each_database! {
    what_is_not_the_ledgers_is_named,
}

async fn what_is_not_the_ledgers_is_named(backend: Backend) {
    let exchange = Exchange::open(backend).await;
    assert_eq!(audit(&exchange.nats, exchange.ledger()).await.unwrap(), None);
    let relaying = exchange.relay();
    busy(exchange.ledger(), 100).await;
    exchange.expect_all_relayed(&relaying).await;
    relaying.end().await;

    let head = exchange.ledger().head();
    let looked_at = u64::try_from(head.0).unwrap();
    let clean = StreamAudit { looked_at, last: head, ..StreamAudit::default() };
    assert_eq!(look(&exchange).await, clean);

    // One that is there already, one that says something else, one that says
    // nothing, and one that the ledger does not have.
    let found = exchange.ledger().read(Position(head.0 - 1), 1).await.unwrap().remove(0);
    let previous = Position(head.0 - 1);
    let other = Recorded { payload: "{}".into(), ..(*found).clone() };
    let ahead = Recorded { position: Position(head.0 + 7), ..(*found).clone() };
    for (number, message) in [&*found, &other, &ahead].into_iter().enumerate() {
        let wire::Encoded { subject, mut headers, payload } = wire::encode(message, previous);
        headers.insert("Nats-Msg-Id", format!("{}/{number}", message.message_id));
        let answer = exchange.nats.jetstream().publish_with_headers(subject, headers, payload);
        answer.await.unwrap().await.unwrap();
    }
    let nothing = exchange.nats.jetstream().publish("mall.event.depot.1.Nothing", "".into());
    nothing.await.unwrap().await.unwrap();
    // And one is missing.
    let stream = exchange.nats.jetstream().get_stream(STREAM).await.unwrap();
    assert!(stream.delete_message(5).await.unwrap());

    let StreamAudit { looked_at: now, wrong, repeated, missing, last, .. } = look(&exchange).await;
    assert_eq!((now, repeated, missing, last), (looked_at + 3, 1, 1, head));
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    assert!(
        wrong[0].ends_with(&format!("not what the ledger has at position {head}")),
        "{wrong:?}"
    );
    assert!(wrong[1].ends_with(&format!("at position {}", head.0 + 7)), "{wrong:?}");
    assert!(wrong[2].contains("mall.event.depot.1.Nothing"), "{wrong:?}");
}

async fn look(exchange: &Exchange) -> StreamAudit {
    audit(&exchange.nats, exchange.ledger()).await.unwrap().unwrap()
}
