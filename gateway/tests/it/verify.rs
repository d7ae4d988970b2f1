//! `mallbots verify`: nothing to complain of after busy days, and each kind of
//! damage found and named.

use mallbots_domain::id::{AnyId, Kind, PARTITIONS};
use mallbots_eventstore::connect::{Backend, Database};
use mallbots_gateway::{
    busywork::{self, Options},
    verify::{Report, verify},
};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{Mall, on_both_backends, within};

async fn busy(mall: &Mall, operations: u64) {
    let options = Options {
        url: mall.client.url().to_string(),
        clients: 4,
        operations: Some(operations),
        seed: 7,
        pace: 0.0,
        ..Options::default()
    };
    let summary = busywork::run(options, CancellationToken::new()).await.unwrap();
    assert!(summary.is_clean(), "{summary}");
}

async fn check(mall: &Mall) -> Report {
    let (config, mut told) = (mall.config(), 0);
    let mut tell = |share, _: &str| {
        assert!((0.0..=1.0).contains(&share));
        told += 1;
    };
    let report = within("the report", Box::pin(verify(&config, false, &mut tell))).await.unwrap();
    assert!(told > 0);
    report
}

async fn a_busy_malls_books_are_in_order(mut mall: Mall) {
    busy(&mall, 300).await;
    // Also while it is open, and in the middle of things.
    let report = check(&mall).await;
    assert!(report.clean, "{report}");
    assert!(report.position.0 > 300, "{report}");

    let told = mall.command(&["verify"], "").await;
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.out.contains("Everything holds"), "{told:?}");
    assert!(mall.stop().await.success());
    let quick = mall.command(&["verify", "--quick", "--json"], "").await;
    assert_eq!((quick.code, &quick.json()["clean"]), (Some(0), &true.into()), "{quick:?}");
}

/// Where the books can be tampered with.
struct Books {
    ledger: Database,
    views: Database,
    head: i64,
}

impl Books {
    async fn of(mall: &Mall) -> Self {
        let (ledger, views) = mall.databases().await;
        let mut books = Self { ledger, views, head: 0 };
        books.head = books.number("SELECT position FROM ledger_head").await;
        books
    }

    async fn run(&self, sql: &str) {
        let done = self.ledger.write.execute_unprepared(sql).await;
        let changed = done.unwrap_or_else(|error| panic!("{sql}: {error}")).rows_affected();
        assert!(changed > 0 || sql.starts_with("DROP"), "{sql}");
    }

    async fn row<T: sea_orm::TryGetable>(&self, sql: &str) -> T {
        let connection = &self.ledger.write;
        let ask = Statement::from_string(connection.get_database_backend(), sql);
        let row = connection.query_one_raw(ask).await.unwrap();
        row.unwrap_or_else(|| panic!("{sql}: nothing")).try_get_by_index(0).unwrap()
    }

    async fn number(&self, sql: &str) -> i64 {
        self.row(sql).await
    }

    async fn text(&self, sql: &str) -> String {
        self.row(sql).await
    }

    /// Appends what another message says, about something else.
    async fn say_again(&mut self, name: &str, stream: &str, version: i64) {
        let of = format!("WHERE name = '{name}' ORDER BY position LIMIT 1");
        let payload = self.payload(&of).await;
        let kind = self.text(&format!("SELECT kind FROM messages {of}")).await;
        self.say(&kind, name, stream, version, &payload).await;
    }

    /// Appends a message.
    async fn say(&mut self, kind: &str, name: &str, stream: &str, version: i64, payload: &str) {
        self.head += 1;
        let partition = stream.parse::<AnyId>().unwrap().partition();
        let (head, id, payload) = (self.head, Uuid::now_v7(), payload.replace('\'', "''"));
        self.run(&format!(
            "INSERT INTO messages (position, kind, stream, version, name, schema_version,
                partition, message_id, payload, metadata, recorded_at)
             SELECT {head}, '{kind}', '{stream}', {version}, '{name}', 1, {partition},
                '{id}', '{payload}', metadata, recorded_at
             FROM messages WHERE causation_id IS NULL ORDER BY position LIMIT 1"
        ))
        .await;
        self.run(&format!("UPDATE ledger_head SET position = {head}")).await;
    }

    async fn payload(&self, of: &str) -> String {
        self.text(&format!("SELECT CAST(payload AS text) FROM messages {of}")).await
    }

    /// The first stream whose last event is of this type.
    async fn stream_at(&self, name: &str) -> String {
        self.text(&format!(
            "SELECT m.stream FROM messages AS m WHERE m.name = '{name}' AND m.version = (
                SELECT max(version) FROM messages AS l
                WHERE l.stream = m.stream AND l.kind = 'event')
             ORDER BY m.position LIMIT 1"
        ))
        .await
    }

    async fn version(&self, stream: &str) -> i64 {
        let sql = format!(
            "SELECT max(version) FROM messages WHERE kind = 'event' AND stream = '{stream}'"
        );
        self.number(&sql).await
    }

    async fn close(self) {
        self.ledger.close().await.unwrap();
        self.views.close().await.unwrap();
    }
}

/// A field of a JSON object.
fn field(json: &str, name: &str) -> Value {
    serde_json::from_str::<Value>(json).unwrap()[name].clone()
}

/// The check found this.
#[track_caller]
fn found(report: &Report, check: &str, fragment: &str) {
    let check = report.checks.iter().find(|it| it.name == check);
    let check = check.unwrap_or_else(|| panic!("no such check\n{report}"));
    assert!(check.differences > 0, "{}: nothing found\n{report}", check.name);
    let is_told = check.first.iter().any(|told| told.contains(fragment));
    assert!(is_told, "{}: {fragment} is not told\n{report}", check.name);
}

async fn each_kind_of_damage_is_found_and_named(mut mall: Mall) {
    busy(&mall, 400).await;
    assert!(mall.stop().await.success());

    // First the read models: history is whole, so they can be compared.
    let books = Books::of(&mall).await;
    let views = &books.views.write;
    let spoil = async |sql: &str| {
        let done = views.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{error}"));
        assert!(done.rows_affected() > 0, "{sql}");
    };
    spoil("DELETE FROM customers WHERE id = (SELECT min(id) FROM customers)").await;
    spoil("UPDATE stores SET name = 'Nobody''s' WHERE id = (SELECT min(id) FROM stores)").await;
    spoil(
        "INSERT INTO projection_checkpoints (name, partition, position)
         VALUES ('nobody', 0, 1000000000)",
    )
    .await;
    books.close().await;
    let report = check(&mall).await;
    let rebuilt = "live tables equal tables rebuilt from the ledger";
    found(&report, rebuilt, "is missing");
    found(&report, rebuilt, "Nobody's");
    found(&report, "events - projected - parked = 0", "customers:");
    found(&report, "no read model is ahead of the ledger", "nobody is at 1000000000");
    let told = mall.command(&["verify", "--json"], "").await;
    assert_eq!((told.code, &told.json()["clean"]), (Some(1), &false.into()), "{told:?}");

    // Then history.
    let mut books = Books::of(&mall).await;
    let captured = books.stream_at("payments.PaymentConfirmed").await;
    let confirmed = format!("WHERE name = 'payments.PaymentConfirmed' AND stream = '{captured}'");
    let order = field(&books.payload(&confirmed).await, "order_id");
    let version = books.version(&captured).await;
    for more in 1..=2 {
        let payload = json!({ "order_id": order }).to_string();
        let name = "payments.PaymentCaptured";
        books.say("event", name, &captured, version + more, &payload).await;
    }
    let canceled = books.stream_at("ordering.OrderApproved").await;
    let created = books.payload(&format!("WHERE stream = '{canceled}' AND version = 1")).await;
    let version = books.version(&canceled).await;
    let payload = json!({
        "customer_id": field(&created, "customer_id"),
        "payment_id": field(&created, "payment_id"),
        "reason": "no",
        "by": "test",
    });
    let name = "ordering.OrderCanceled";
    books.say("event", name, &canceled, version + 1, &payload.to_string()).await;
    books.say_again("ordering.OrderApproved", &canceled, version + 2).await;
    let nobodys = Uuid::now_v7();
    let id = |kind| AnyId { kind, uuid: nobodys }.to_string();
    let saga = id(Kind::Saga);
    books.say_again("sagas.SagaStarted", &saga, 1).await;
    let customer = id(Kind::Customer);
    books.say_again("customers.AuthorizeCustomer", &customer, 0).await;
    let other = AnyId { kind: Kind::Order, uuid: Uuid::now_v7() }.to_string();
    books.say_again("ordering.OrderCreated", &other, 1).await;

    let skipped = "SELECT stream FROM messages WHERE name = 'stores.StoreCreated'
        ORDER BY position LIMIT 1";
    let skipped = books.text(skipped).await;
    books
        .run(&format!(
            "UPDATE messages SET version = version + 1000 WHERE kind = 'event'
         AND stream = '{skipped}' AND version = (SELECT max(version) FROM messages
            WHERE kind = 'event' AND stream = '{skipped}')"
        ))
        .await;
    let lost = books
        .number("SELECT max(position) FROM messages WHERE name = 'customers.CustomerRegistered'")
        .await;
    books.run(&format!("DELETE FROM messages WHERE position = {lost}")).await;
    let garbled =
        books.number("SELECT min(position) FROM messages WHERE name = 'depot.BotRegistered'").await;
    books.run(&format!("UPDATE messages SET payload = '{{}}' WHERE position = {garbled}")).await;
    books.run("UPDATE messages SET partition = (partition + 1) % 64 WHERE position = 1").await;
    books.run("DROP INDEX messages_message_id").await;
    let doubled = books.text(match books.ledger.kind {
        Backend::Postgres => "SELECT message_id::text FROM messages WHERE position = 2",
        Backend::Sqlite => "SELECT message_id FROM messages WHERE position = 2",
    });
    let doubled = doubled.await;
    books.run(&format!("UPDATE messages SET message_id = '{doubled}' WHERE position = 3")).await;
    let product = books.text("SELECT owner FROM claims ORDER BY key LIMIT 1").await;
    books.run(&format!("DELETE FROM claims WHERE owner = '{product}'")).await;
    books.run("INSERT INTO claims (scope, key, owner) VALUES ('sku', 'k', 'nobody')").await;
    books.run("UPDATE idempotency SET last_position = 1000000000").await;
    let nobody = Uuid::now_v7();
    books.run(&format!("INSERT INTO inbox VALUES ('depot', '{nobody}', 1)")).await;
    books
        .run(&format!(
            "INSERT INTO dead_letters (id, consumer, key, position, message_id, reason, attempts,
            first_failed_at) VALUES ('deadletter_1', 'depot', 'k', 1, '{nobody}', '', 1, 0)"
        ))
        .await;
    // All consumers have come to the end, and one beyond.
    let (head, consumers) = (books.head, ["sagas", "customers"]);
    let all = consumers.iter().flat_map(|consumer| {
        (0..PARTITIONS).map(move |partition| format!("('{consumer}', {partition}, {head})"))
    });
    books
        .run(&format!(
            "INSERT INTO checkpoints (consumer, partition, position) VALUES {}
             ON CONFLICT (consumer, partition) DO UPDATE SET position = excluded.position",
            all.collect::<Vec<_>>().join(", ")
        ))
        .await;
    books.run("INSERT INTO checkpoints VALUES ('nobody', 0, 1000000000)").await;
    books.close().await;

    let report = check(&mall).await;
    found(&report, "positions have no gaps and end at the head", &format!("{lost} is missing"));
    found(&report, "the versions of each stream are 1 to n", &skipped);
    found(&report, "message ids are unique", &doubled);
    let content = "every message can be read";
    found(&report, content, &format!("position {garbled}"));
    found(&report, content, "belongs into");
    let names = "names are held by those who took them";
    found(&report, names, "nobody holds the SKU k");
    found(&report, names, &format!("{product} is on sale and does not hold"));
    found(&report, "answers that are kept speak of messages that are there", "1000000000");
    found(&report, "authorized = held + captured + released + refunded", "authorized");
    let steps = "each payment goes from step to step as it may";
    found(&report, steps, &format!("{captured} is CAPTURED and becomes CAPTURED"));
    found(&report, "an order is paid and captured at most once", &captured);
    let orders = "each order goes from step to step as it may";
    found(&report, orders, &format!("{canceled} is CANCELED and becomes APPROVED"));
    found(&report, "a canceled order is never approved", &canceled);
    let sagas = "every saga has ended, is stuck or is under way";
    found(&report, sagas, &format!("{saga} is RUNNING, and nothing will wake it"));
    found(&report, "every order has its saga", &format!("{other} has no saga"));
    let commands = "every command is answered once, waits or is parked";
    found(&report, commands, &format!("for {customer}"));
    found(&report, "what consumers remember is in the ledger", &nobody.to_string());
    found(&report, "no consumer is ahead of the ledger", "nobody is at 1000000000");
    found(&report, "parked messages are in the ledger", "deadletter_1 of depot");
}

on_both_backends!(a_busy_malls_books_are_in_order, each_kind_of_damage_is_found_and_named);

#[tokio::test]
async fn books_that_are_not_there_cannot_be_checked() {
    let mut mall = Mall::open().await;
    assert!(mall.stop().await.success());
    let nowhere = mall.command(&["--data", "/no/such/folder", "verify"], "").await;
    assert_eq!(nowhere.code, Some(2), "{nowhere:?}");
    assert!(nowhere.err.contains("/no/such/folder/ledger.db"), "{nowhere:?}");
}
