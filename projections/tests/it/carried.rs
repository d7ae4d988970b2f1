//! Tables that JetStream feeds: whatever happens to it, they are what the
//! ledger says.

use std::sync::Arc;

use mallbots_eventstore::{
    ledger::{Ledger, LedgerOptions},
    message::Recorded,
};
use mallbots_messaging::{
    intake::{JetStream, Origins},
    nats::Nats,
    relay::{self, RelayOptions, RelayStatus},
    streams::{STREAM, StreamOptions},
};
use mallbots_testing::{ledgers::Tasks, nats::NatsServer};
use tokio::sync::watch;

use crate::{
    mall::busy,
    processes::{PATIENCE, Process, Site, nats, until},
};

/// What publishes the ledger.
struct Relay {
    nats: Nats,
    ledger: Ledger,
    tasks: Tasks,
    _active: watch::Sender<bool>,
}

impl Relay {
    async fn start(site: &Site, server: &NatsServer) -> Self {
        let nats = nats(server).await;
        let (ledger, tasks) = site.ledger.another(LedgerOptions::default()).await.unwrap();
        let (sender, active) = watch::channel(true);
        let (status, _) = watch::channel(RelayStatus::new(&ledger));
        let (options, stop) = (RelayOptions::default(), tasks.shutdown.clone());
        tasks.tracker.spawn(relay::run(
            ledger.clone(),
            nats.clone(),
            options,
            active,
            status,
            stop,
        ));
        Self { nats, ledger, tasks, _active: sender }
    }

    async fn end(self) {
        self.tasks.end().await;
        drop(self.ledger);
    }
}

/// A process whose projector JetStream feeds, and where its messages come from.
async fn fed(site: &Site, server: &NatsServer) -> (Process, Arc<Origins>) {
    fed_by(site, JetStream::new(nats(server).await, StreamOptions::default())).await
}

async fn fed_by(site: &Site, carrier: JetStream) -> (Process, Arc<Origins>) {
    let mut process = site.process().await;
    let projector = process.projector.take().unwrap().fed_by(carrier.into());
    let origins = projector.origins();
    process.projector = Some(projector);
    process.hear(None);
    process.project();
    (process, origins)
}

/// Records messages until JetStream has brought one of them in time.
async fn until_carried(
    site: &Site,
    writer: &Process,
    origins: &Origins,
    rest: &mut &[Arc<Recorded>],
) {
    let before = origins.delivered();
    until("JetStream brings what happens", async || {
        let (some, others) = rest.split_at(2);
        *rest = others;
        writer.reaches(site.record(some).await).await;
        origins.delivered() > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jetstream_brings_what_the_tables_show() {
    let server = NatsServer::start().await.unwrap();
    let site = Site::new().await;
    let mall = busy(40, 10);
    let relay = Relay::start(&site, &server).await;
    // However slow the machine is.
    let patient = JetStream {
        patience: PATIENCE,
        ..JetStream::new(nats(&server).await, StreamOptions::default())
    };
    let (writer, origins) = fed_by(&site, patient).await;
    writer.may_write(true);
    let mut rest = &*mall.messages;
    until_carried(&site, &writer, &origins, &mut rest).await;

    // From then on it brings everything, and nobody asks the ledger.
    let (read, delivered) = (origins.read(), origins.delivered());
    let count = rest.len() as u64;
    writer.reaches(site.record(rest).await).await;
    assert_eq!((origins.read(), origins.delivered()), (read, delivered + count));
    site.assert_as_history_has_it().await;

    // What is in the tables is acknowledged.
    until("everything is acknowledged", async || {
        let stream = relay.nats.jetstream().get_stream(STREAM).await.unwrap();
        let consumer = stream.consumer_info("views").await.unwrap();
        consumer.num_ack_pending == 0 && consumer.num_pending == 0
    })
    .await;
    writer.end().await;
    relay.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_nats_the_tables_go_on() {
    let mut server = NatsServer::start().await.unwrap();
    let site = Site::new().await;
    let mall = busy(60, 10);
    let relay = Relay::start(&site, &server).await;
    let (writer, origins) = fed(&site, &server).await;
    writer.may_write(true);
    let mut rest = &*mall.messages;
    let take = |rest: &mut &[Arc<Recorded>]| {
        let (some, others) = rest.split_at(100);
        *rest = others;
        some.to_vec()
    };
    until_carried(&site, &writer, &origins, &mut rest).await;

    // Dead, and back with what it had.
    server.kill().await.unwrap();
    writer.reaches(site.record(&take(&mut rest)).await).await;
    server.restart().await.unwrap();
    until_carried(&site, &writer, &origins, &mut rest).await;

    // Dead, and back with nothing.
    let copy = {
        server.stop().await.unwrap();
        server.copy().unwrap()
    };
    writer.reaches(site.record(&take(&mut rest)).await).await;
    server.wipe().unwrap();
    server.restart().await.unwrap();
    until_carried(&site, &writer, &origins, &mut rest).await;

    // Back with what it had some time ago.
    server.stop().await.unwrap();
    server.restore(&copy).unwrap();
    writer.reaches(site.record(&take(&mut rest)).await).await;
    server.restart().await.unwrap();
    until_carried(&site, &writer, &origins, &mut rest).await;

    // Without the consumer, without what is on the stream, without the stream.
    let jetstream = relay.nats.jetstream();
    jetstream.get_stream(STREAM).await.unwrap().delete_consumer("views").await.unwrap();
    writer.reaches(site.record(&take(&mut rest)).await).await;
    until_carried(&site, &writer, &origins, &mut rest).await;
    jetstream.get_stream(STREAM).await.unwrap().purge().await.unwrap();
    writer.reaches(site.record(&take(&mut rest)).await).await;
    until_carried(&site, &writer, &origins, &mut rest).await;
    jetstream.delete_stream(STREAM).await.unwrap();
    writer.reaches(site.record(&take(&mut rest)).await).await;
    until_carried(&site, &writer, &origins, &mut rest).await;

    site.assert_as_history_has_it().await;
    assert_eq!(writer.reads.halted(), None);
    writer.end().await;
    relay.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projectors_that_share_a_consumer_make_the_tables_of_one() {
    let server = NatsServer::start().await.unwrap();
    let site = Site::new().await;
    let mall = busy(60, 10);
    let relay = Relay::start(&site, &server).await;
    let [(first, _), (second, _)] = [fed(&site, &server).await, fed(&site, &server).await];
    // Both at once, whatever a lease would say; then one, then the other.
    first.may_write(true);
    second.may_write(true);
    let mut end = site.ledger.ledger.head();
    for (turn, part) in mall.messages.chunks(mall.messages.len().div_ceil(6)).enumerate() {
        end = site.record(part).await;
        if turn > 1 {
            first.may_write(turn % 2 == 0);
            second.may_write(turn % 2 == 1);
        }
        first.reaches(end).await;
        second.reaches(end).await;
    }
    assert_eq!(end, site.ledger.ledger.head());
    site.assert_as_history_has_it().await;
    first.end().await;
    second.end().await;
    relay.end().await;
}
