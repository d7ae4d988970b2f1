//! The mall as many processes, each of which is killed and each of which stands
//! still for a while, with their servers too, while people go on: nothing that
//! was acknowledged is lost, nothing happens twice, and nobody has to help.

use std::{
    collections::BTreeMap,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use mallbots_eventstore::{
    clock::Clock,
    connect,
    ledger::{Ledger, LedgerOptions},
    message::Position,
};
use mallbots_gateway::{
    busywork::{self, Options, Summary},
    client::Backoff,
};
use mallbots_messaging::{
    nats::{Connection, Nats, NatsOptions},
    ranges::{self, RANGES},
    wire,
};
use mallbots_testing::shapes::{self, Process, Shape};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use tokio::{process::Command, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::support::within;

/// The least that must have been acknowledged for the rest to mean anything.
const ENOUGH: u64 = 500;
/// How long the read models may take to catch up when everything is well again.
const HEALING: Duration = Duration::from_secs(10);
/// How many messages the courier that has gone mad brings, ten times each.
const MADNESS: usize = 300;
/// How long one waits for something that has to come.
const PATIENCE: Duration = Duration::from_mins(1);

/// A shape under load, and what was done to it.
struct Trial {
    shape: Shape,
    database: DatabaseConnection,
    over: CancellationToken,
    crews: JoinSet<Summary>,
    faults: Vec<String>,
    _folder: tempfile::TempDir,
}

impl Trial {
    /// The microservices of the compose file, with a gateway more.
    async fn begin() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker-compose.yml");
        let mut services = shapes::read(&file, "microservices", &BTreeMap::new()).unwrap();
        let mut third = services.mall.iter().find(|one| one.service == "gateway").unwrap().clone();
        third.number = 3;
        services.mall.push(third);
        let folder = tempfile::tempdir().unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_mallbots"));
        let shape = Shape::start(&services, program, folder.path()).await.unwrap();
        assert_eq!(shape.of("gateway").count(), 3);
        assert_eq!((shape.of("projector").count(), shape.of("relay").count()), (2, 2));

        let database = Database::connect(shape.database_url()).await.unwrap();
        let over = CancellationToken::new();
        let mut crews = JoinSet::new();
        for gateway in shape.of("gateway") {
            let options = Options {
                url: format!("http://{}/graphql", gateway.address().unwrap()),
                clients: 3,
                seed: gateway.number().into(),
                pace: 5.0,
                ..Options::default()
            };
            let over = over.clone();
            crews.spawn(async move { busywork::run(options, over).await.unwrap() });
        }
        let faults = Vec::new();
        Self { shape, database, over, crews, faults, _folder: folder }
    }

    /// A number that the database knows, as long as it answers.
    async fn number(&self, question: &str) -> Option<i64> {
        let statement = Statement::from_string(self.database.get_database_backend(), question);
        let row = timeout(Duration::from_secs(3), self.database.query_one_raw(statement)).await;
        row.ok()?.ok()??.try_get_by_index(0).ok()
    }

    async fn head(&self) -> Option<i64> {
        self.number("SELECT position FROM ledger_head").await
    }

    /// How many messages the read models are behind.
    async fn lag(&self) -> Option<i64> {
        self.number(
            "SELECT (SELECT position FROM ledger_head)
                - (SELECT max(position) FROM projection_checkpoints)",
        )
        .await
    }

    /// Waits until something is so.
    async fn until(&self, what: &str, mut is_so: impl AsyncFnMut(&Self) -> bool) {
        let mut backoff = Backoff::lasting(PATIENCE);
        while !is_so(self).await {
            assert!(backoff.wait().await, "waited in vain until {what}");
        }
    }

    /// Waits until the mall has gone on by so many messages.
    async fn goes_on(&self, by: i64) {
        let mut from = None;
        self.until("the mall goes on", async |it| {
            let Some(head) = it.head().await else { return false };
            head >= *from.get_or_insert(head) + by
        })
        .await;
    }

    fn happened(&mut self, fault: impl Into<String>) {
        self.faults.push(fault.into());
    }

    /// Kills some processes, which come back, while others stand still for so
    /// long that their leases pass on.
    async fn strike(&mut self, frozen: &[usize], killed: &[usize]) {
        let processes = &mut self.shape.processes;
        for number in frozen {
            processes[*number].freeze().unwrap();
        }
        for number in killed {
            processes[*number].kill().unwrap();
        }
        let mut faults = Vec::new();
        for number in killed {
            let process = &mut processes[*number];
            process.restart().await.unwrap_or_else(|error| panic!("{process}: {error:#}"));
            faults.push(format!("kill {process}"));
        }
        // Whoever asks them waits in vain, and longer than a lease lasts.
        let asked = frozen.iter().map(|number| processes[*number].health());
        for (answer, number) in join_all(asked).await.iter().zip(frozen) {
            let process = &processes[*number];
            assert!(answer.is_err(), "{process} answers while it stands still: {answer:?}");
        }
        for number in frozen {
            let process = &mut processes[*number];
            process.runs().unwrap();
            process.thaw().unwrap();
            faults.push(format!("freeze {process}"));
        }
        self.faults.extend(faults);
    }

    /// Takes the place of both relays, and brings each message ten times and
    /// in any order.
    async fn bring_all_ten_times_in_any_order(&mut self) {
        for number in [1, 2] {
            self.shape.one("relay", number).unwrap().freeze().unwrap();
        }
        let url = self.shape.database_url();
        let database = connect::Database::postgres_read_only(&url).await.unwrap();
        let ledger =
            Ledger::read_only(database.clone(), Clock::System, LedgerOptions::default()).await;
        let ledger = ledger.unwrap();
        let nats =
            Nats::connect(&NatsOptions::at(self.shape.relay_nats_url().unwrap())).await.unwrap();
        let mut connection = nats.connection();
        let connected = connection.wait_for(|it| *it == Connection::Connected);
        within("nats to answer", connected).await.unwrap();

        let mut at = ledger.head();
        let mut last = [Position::default(); RANGES as usize];
        for (partition, position) in (0..).zip(ledger.last_in_partitions(at).await.unwrap()) {
            let last = &mut last[usize::from(ranges::of(partition))];
            *last = position.max(*last);
        }
        let mut chance = StdRng::seed_from_u64(7);
        let mut brought = 0;
        while brought < MADNESS {
            // So many that there is an order to be mixed up.
            self.goes_on(50).await;
            let messages = ledger.read(at, 256).await.unwrap();
            let mut copies = Vec::new();
            for message in &messages {
                at = message.position;
                let last = &mut last[usize::from(ranges::of(message.partition()))];
                let previous = std::mem::replace(last, at);
                copies.extend((0..10).map(|copy| {
                    let mut encoded = wire::encode(message, previous);
                    encoded.headers.insert("Nats-Msg-Id", format!("{}/{copy}", message.message_id));
                    encoded
                }));
            }
            copies.shuffle(&mut chance);
            let mut under_way = Vec::new();
            for wire::Encoded { subject, headers, payload } in copies {
                let publish = nats.jetstream().publish_with_headers(subject, headers, payload);
                under_way.push(publish.await.unwrap());
            }
            for answer in under_way {
                assert!(!answer.await.unwrap().duplicate);
            }
            brought += messages.len();
        }
        for number in [1, 2] {
            self.shape.one("relay", number).unwrap().thaw().unwrap();
        }
        nats.close().await;
        database.close().await.unwrap();
        self.happened("everything ten times in any order");
    }

    /// Lets both relays work at once: one stands still until the other has
    /// taken over, and goes on before it knows.
    async fn relay_twice_at_once(&mut self) {
        for number in [1, 2] {
            let other = 3 - number;
            let relayed_of = |shape: &Shape| {
                shape.of("relay").find(|it| it.number() == other).map(relayed).unwrap()
            };
            let before = relayed_of(&self.shape);
            self.shape.one("relay", number).unwrap().freeze().unwrap();
            // It only takes over if the one that stands still was at work.
            let mut backoff = Backoff::lasting(Duration::from_secs(8));
            while relayed_of(&self.shape) == before && backoff.wait().await {}
            let took_over = relayed_of(&self.shape) > before;
            self.shape.one("relay", number).unwrap().thaw().unwrap();
            if took_over {
                self.happened("two relays at once");
                return;
            }
        }
    }

    /// Ends the load and says what came of it.
    async fn end_of_work(&mut self) -> Vec<Summary> {
        self.over.cancel();
        let mut summaries = Vec::new();
        while let Some(ended) = within("the clients to end", self.crews.join_next()).await {
            summaries.push(ended.unwrap());
        }
        summaries
    }

    async fn verify(&self) {
        let output = Command::new(env!("CARGO_BIN_EXE_mallbots"))
            .args(["verify", "--log", "warn"])
            .env("DATABASE_URL", self.shape.database_url())
            .env("NATS_URL", self.shape.relay_nats_url().unwrap())
            .stdin(Stdio::null())
            .output();
        let output = within("the books to be gone through", output).await.unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// How often a relay says in its log that it has begun to relay.
fn relayed(relay: &Process) -> usize {
    let log = std::fs::read_to_string(relay.log()).unwrap();
    log.lines().filter(|line| line.contains("\"message\":\"relaying\"")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_dies_or_stands_still_nothing_is_lost_and_nothing_is_done_twice() {
    let mut trial = Trial::begin().await;
    trial.goes_on(50).await;

    // Every process of the mall, two at a time.
    let count = trial.shape.processes.len();
    let half = count.div_ceil(2);
    for number in 0..half {
        let pair = |number: usize| [number % count, (number + half) % count];
        trial.strike(&pair(number), &pair(number + 1)).await;
    }
    trial.shape.ready().await.unwrap();
    trial.relay_twice_at_once().await;
    trial.bring_all_ten_times_in_any_order().await;
    trial.goes_on(50).await;

    // NATS stands still, dies, and comes back with nothing.
    trial.shape.nats.freeze().unwrap();
    trial.goes_on(50).await;
    trial.shape.nats.thaw().unwrap();
    trial.happened("freeze nats");
    trial.shape.nats.kill().await.unwrap();
    trial.goes_on(50).await;
    trial
        .until("a gateway says that nats is away", async |it| {
            let gateway = it.shape.of("gateway").next().unwrap();
            let (status, report) = gateway.health().await.unwrap();
            assert_eq!(status, 200, "{report}");
            report.contains("degraded")
        })
        .await;
    trial.shape.nats.wipe().unwrap();
    trial.shape.nats.restart().await.unwrap();
    trial.happened("kill nats");
    trial.happened("wipe nats");
    trial.goes_on(50).await;

    // PostgreSQL stands still, and dies.
    trial.shape.postgres.freeze().unwrap();
    assert_eq!(trial.head().await, None, "the database answers while it stands still");
    trial.shape.postgres.thaw().unwrap();
    trial.happened("freeze postgres");
    trial.goes_on(50).await;
    trial.shape.postgres.kill().await.unwrap();
    assert_eq!(trial.head().await, None, "the database answers while it is dead");
    trial.shape.postgres.start_again().await.unwrap();
    trial.happened("kill postgres");
    trial.goes_on(50).await;

    // Both at once, and then all is to be well without anybody's help.
    trial.shape.nats.kill().await.unwrap();
    trial.shape.postgres.kill().await.unwrap();
    trial.shape.nats.restart().await.unwrap();
    trial.shape.postgres.start_again().await.unwrap();
    let healed = Instant::now();
    let summaries = trial.end_of_work().await;
    trial.shape.ready().await.unwrap();
    trial.until("the read models have everything", async |it| it.lag().await == Some(0)).await;
    let took = healed.elapsed();
    assert!(took <= HEALING, "it took {took:?} until the read models had everything");

    for process in &trial.shape.processes {
        for what in ["kill", "freeze"] {
            let fault = format!("{what} {process}");
            assert!(trial.faults.contains(&fault), "{fault} did not happen");
        }
    }
    for fault in [
        "two relays at once",
        "everything ten times in any order",
        "freeze nats",
        "kill nats",
        "wipe nats",
        "freeze postgres",
        "kill postgres",
    ] {
        assert!(trial.faults.iter().any(|it| it == fault), "{fault} did not happen");
    }
    let acknowledged: u64 = summaries.iter().map(|summary| summary.acknowledged).sum();
    assert!(acknowledged >= ENOUGH, "only {acknowledged} operations were acknowledged");
    for summary in &summaries {
        assert!(summary.is_clean(), "{summary}");
    }
    trial.verify().await;
    trial.shape.stop().await.unwrap();
}
