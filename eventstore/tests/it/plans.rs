//! The statements that run all the time use indexes, however much there is.

use mallbots_domain::id::{DeadLetterId, EntityId, PARTITIONS};
use mallbots_eventstore::{
    append::{Append, Claim, IdempotencyEntry, InboxEntry, Take, Timer, TimerChange},
    connect::{Backend, Database},
    dead_letters::DeadLetter,
    ledger::{Ledger, LedgerOptions},
    message::{Position, Version},
    sql::{self, Sql},
};
use mallbots_testing::ledgers::TestLedger;
use sea_orm::{ConnectionTrait, Statement, TransactionTrait};
use uuid::Uuid;

use crate::tally::{Tally, command, count, meddle, metadata, new_id, open, write};

const STATEMENTS: &[(&str, Sql)] = &[
    ("END", sql::END),
    ("READ", sql::READ),
    ("READ_PARTITIONS", sql::READ_PARTITIONS),
    ("READ_STREAM", sql::READ_STREAM),
    ("READ_ABOUT", sql::READ_ABOUT),
    ("MESSAGE", sql::MESSAGE),
    ("MESSAGES", sql::MESSAGES),
    ("CAUSED_BY", sql::CAUSED_BY),
    ("RECALL", sql::RECALL),
    ("DUE_TIMERS", sql::DUE_TIMERS),
    ("NEXT_TIMER", sql::NEXT_TIMER),
    ("CHECKPOINTS", sql::CHECKPOINTS),
    ("LAST_IN_PARTITIONS", sql::LAST_IN_PARTITIONS),
    ("HANDLED", sql::HANDLED),
    ("PRUNE_INBOX", sql::PRUNE_INBOX),
    ("HEAD", sql::HEAD),
    ("LOOK", sql::LOOK),
    ("PARKED_POSITIONS", sql::PARKED_POSITIONS),
    ("PRUNE_RANGE", sql::PRUNE_RANGE),
    ("DEAD_LETTERS", sql::DEAD_LETTERS),
    ("DEAD_LETTERS_BEFORE", sql::DEAD_LETTERS_BEFORE),
    ("DEAD_LETTERS_BY_ID", sql::DEAD_LETTERS_BY_ID),
    ("STREAM_VERSION", sql::STREAM_VERSION),
    ("PARKED_KEYS", sql::PARKED_KEYS),
    ("LOAD", sql::LOAD),
];

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_never_scans_a_table_to_read() {
    let test = TestLedger::open(Backend::Sqlite).await.unwrap();
    let connection = &test.place.database.write;
    for (name, statement) in STATEMENTS {
        let explain = format!("EXPLAIN QUERY PLAN {}", statement.sqlite);
        let explain = Statement::from_string(connection.get_database_backend(), explain);
        for row in connection.query_all_raw(explain).await.unwrap() {
            let step: String = row.try_get("", "detail").unwrap();
            // What was asked for is a list, and looked through as one.
            let is_list = [
                "json_each",
                "SCAN r ",
                "SCAN a",
                "SCAN asked",
                "SCAN p",
                "SCAN CONSTANT",
                "(subquery",
            ]
            .iter()
            .any(|list| step.contains(list));
            let is_scan = step.starts_with("SCAN") && !step.contains("INDEX") && !is_list;
            // The end of a table is found by walking it backwards, one step.
            let is_end = *name == "END" && step == "SCAN messages";
            assert!(!is_scan || is_end, "{name}: {step}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_plans_no_scan_for_whatever_is_asked() {
    let test = TestLedger::open(Backend::Postgres).await.unwrap();
    daily_work(&test.ledger, 2).await;
    fill(&test.place.database).await;
    // One connection, because the settings and the statements belong to it.
    let connection = test.place.database.write.begin().await.unwrap();
    connection.execute_unprepared("SET LOCAL plan_cache_mode = force_generic_plan").await.unwrap();
    for (name, statement) in STATEMENTS {
        let sql = statement.postgres;
        let parameters = (1..=9).take_while(|number| sql.contains(&format!("${number}"))).count();
        let values = vec!["NULL"; parameters].join(", ");
        let call = if parameters == 0 { String::new() } else { format!("({values})") };
        connection.execute_unprepared(&format!("PREPARE plan_{name} AS {sql}")).await.unwrap();
        let explain = format!("EXPLAIN EXECUTE plan_{name}{call}");
        let explain = Statement::from_string(connection.get_database_backend(), explain);
        let rows = connection.query_all_raw(explain).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        let scan = plan.iter().find(|step| {
            step.contains("Seq Scan on ")
                && !["ledger_head", "checkpoints"].iter().any(|small| step.contains(small))
        });
        assert_eq!(scan, None, "{name}:\n{}", plan.join("\n"));
    }
}

/// Enough of everything that looking through it would be foolish.
async fn fill(database: &Database) {
    for sql in [
        "INSERT INTO messages SELECT n, 'event', 'basket_' || n, 1, 'testing.Counted', 1, n % 64,
            gen_random_uuid(), NULL, '{}', '{}', 0
         FROM ledger_head, generate_series(position + 1, position + 20000) AS n",
        "UPDATE ledger_head SET position = position + 20000",
        "INSERT INTO inbox SELECT 'other_' || n % 50, gen_random_uuid(), n
            FROM generate_series(1, 20000) AS n",
        "INSERT INTO idempotency SELECT 'other', n, '', '', 1, 1, 0
         FROM generate_series(1, 20000) AS n",
        "INSERT INTO claims SELECT 'other', n, '' FROM generate_series(1, 20000) AS n",
        "INSERT INTO timers SELECT n, 'alarm', 1000000 + n, 'command', '', '', gen_random_uuid(),
            '{}', '{}' FROM generate_series(1, 20000) AS n",
        "INSERT INTO snapshots SELECT n, 1, 1, '{}', 0 FROM generate_series(1, 20000) AS n",
        "INSERT INTO dead_letters SELECT n, 'other_' || n % 50, n, n, gen_random_uuid(), '', 1, 0, NULL
         FROM generate_series(1, 20000) AS n",
        "ANALYZE",
    ] {
        meddle(database, sql).await;
    }
}

/// Everything the ledger does in its daily work.
async fn daily_work(ledger: &Ledger, rounds: i64) {
    let consumer = "plans";
    for round in 1..=rounds {
        let id = new_id();
        ledger.execute::<Tally>(id, open(100), &metadata()).await.unwrap();
        ledger.execute::<Tally>(id, count(), &metadata()).await.unwrap();
        let timer = |due_at| {
            TimerChange::Set(Timer { owner: id.any(), name: "alarm", due_at, message: command(id) })
        };
        let letter = DeadLetter {
            id: DeadLetterId::from_uuid(Uuid::now_v7()),
            consumer: consumer.to_owned(),
            key: id.to_string(),
            position: Position(round),
            message_id: Uuid::now_v7(),
            reason: "none".to_owned(),
            attempts: 1,
            first_failed_at: 0,
            payload_override: None,
        };
        ledger.park(&letter).await.unwrap();
        let claim = Claim { scope: "sku", key: id.to_string(), owner: id.any() };
        let append = Append {
            messages: vec![command(id)],
            inbox: Some(InboxEntry {
                consumer: "plans",
                message_id: Uuid::now_v7(),
                position: Position(round),
            }),
            idempotency: Some(IdempotencyEntry {
                caller: "plans".to_owned(),
                key: id.to_string(),
                fingerprint: "f".to_owned(),
                result: "null".to_owned(),
            }),
            claims: vec![claim.clone()],
            timers: vec![timer(10)],
            takes: vec![Take::DeadLetter { id: letter.id }],
            ..write(id, 2, &["a", "b"])
        };
        let appended = ledger.append(append).await.unwrap();
        let take = Take::Timer { owner: id.any(), name: "alarm".to_owned(), due_at: 10 };
        let moved = Append { takes: vec![take], timers: vec![timer(20)], ..write(id, 4, &["c"]) };
        ledger.append(moved).await.unwrap();
        let other = Claim { owner: new_id().any(), ..claim.clone() };
        let handed_over =
            Append { releases: vec![claim], claims: vec![other.clone()], ..write(id, 5, &["d"]) };
        ledger.append(handed_over).await.unwrap();
        let clear = TimerChange::Clear { owner: id.any(), name: "alarm" };
        let cleared = Append { releases: vec![other], timers: vec![clear], ..write(id, 6, &["e"]) };
        ledger.append(cleared).await.unwrap();

        ledger.load::<Tally>(id).await.unwrap();
        ledger.read_stream(id.any(), Version(0), 10).await.unwrap();
        ledger.read_about(id.any(), Position(0), 10).await.unwrap();
        let messages = ledger.read(Position(appended.last.0 - 1), 10).await.unwrap();
        let to = Position(appended.last.0 + 10);
        ledger.read_partitions(0..=15, Position(appended.last.0 - 1), to, 10).await.unwrap();
        ledger.message(messages[0].message_id).await.unwrap();
        ledger.messages(&[messages[0].message_id]).await.unwrap();
        ledger.caused_by(&[messages[0].message_id]).await.unwrap();
        ledger.recall("plans", &id.to_string()).await.unwrap();
        ledger.due_timers(15, 10).await.unwrap();
        ledger.next_timer().await.unwrap();
        ledger.dead_letter(letter.id).await.unwrap();
        ledger.parked_positions(&[id.to_string()]).await.unwrap();
        let checkpoints: Vec<_> =
            (0..PARTITIONS).map(|partition| (partition, Position(round))).collect();
        ledger.save_checkpoints(consumer, &checkpoints).await.unwrap();
        ledger.save_checkpoint(consumer, &(16..=31), Position(round)).await.unwrap();
        ledger.checkpoints(consumer).await.unwrap();
        ledger.handled(consumer, &(0..=15)).await.unwrap();
        ledger.last_in_partitions(appended.last).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_never_scans_a_table_in_daily_work() {
    const SCANS: &str = "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname IN
        ('messages', 'snapshots', 'inbox', 'idempotency', 'claims', 'timers', 'dead_letters')
        ORDER BY relname";
    let scans = async |test: &TestLedger| {
        let connection = &test.place.database.write;
        let ask = Statement::from_string(connection.get_database_backend(), SCANS);
        let rows = connection.query_all_raw(ask).await.unwrap();
        rows.iter()
            .map(|row| {
                (
                    row.try_get_by_index::<String>(0).unwrap(),
                    row.try_get_by_index::<i64>(1).unwrap(),
                )
            })
            .collect::<Vec<_>>()
    };

    let test = TestLedger::open(Backend::Postgres).await.unwrap();
    daily_work(&test.ledger, 2).await;
    fill(&test.place.database).await;
    // Opened again, so that connections have told what they did.
    let test = test.reopen(LedgerOptions::default()).await.unwrap();
    let before = scans(&test).await;
    daily_work(&test.ledger, 20).await;
    let test = test.reopen(LedgerOptions::default()).await.unwrap();
    assert_eq!(scans(&test).await, before);
}
