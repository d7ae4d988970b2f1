//! Three servers that keep three copies.

use std::{net::TcpListener, time::Duration};

use mallbots_eventstore::{connect::Backend, message::Position};
use mallbots_messaging::{
    nats::{Connection, Nats, NatsOptions},
    relay::RelayOptions,
    streams::{STREAM, StreamOptions},
};
use mallbots_testing::{
    ledgers::TestLedger,
    nats::{NatsServer, NatsSettings},
};
use tokio::time::sleep;

use crate::{
    exchange::{Relaying, busy, expect_exact, hasty, reach},
    mall::in_time,
};

/// Servers that know each other.
async fn cluster() -> Vec<NatsServer> {
    let taken: Vec<_> = (0..3).map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
    let ports: Vec<_> = taken.iter().map(|it| it.local_addr().unwrap().port()).collect();
    drop(taken);
    let routes: Vec<_> = ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
    let routes = routes.join(", ");
    let mut servers = Vec::new();
    for port in ports {
        let further =
            format!("cluster {{ name: mall, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}");
        let settings = NatsSettings { further, ..NatsSettings::default() };
        servers.push(NatsServer::start_with(&settings).await.unwrap());
    }
    servers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_in_three_copies_survives_each_of_its_servers() {
    let mut servers = cluster().await;
    let urls = servers.iter().map(NatsServer::url).collect();
    let nats = Nats::connect(&NatsOptions { urls, ..NatsOptions::at("") }).await.unwrap();
    reach(&nats, Connection::Connected).await;
    let test = TestLedger::open(Backend::Sqlite).await.unwrap();
    let stream = StreamOptions { replicas: 3, ..StreamOptions::default() };
    let options = RelayOptions { stream, ..hasty() };
    let relaying = Relaying::start(&test.ledger, &nats, options, true);
    busy(&test.ledger, 200).await;
    relaying.caught_up(&test.ledger).await;
    expect_exact(&test.ledger, &nats, Position(0)).await;

    for server in &mut servers {
        let (killed, ()) = tokio::join!(server.kill(), busy(&test.ledger, 200));
        killed.unwrap();
        relaying.caught_up(&test.ledger).await;
        server.restart().await.unwrap();
        // All three again, before the next one goes.
        in_time("the third copy", async {
            while copies(&nats).await < 3 {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        expect_exact(&test.ledger, &nats, Position(0)).await;
    }
}

/// How many servers have all there is.
async fn copies(nats: &Nats) -> usize {
    let stream = nats.jetstream().get_stream(STREAM).await;
    let cluster = stream.ok().and_then(|stream| stream.cached_info().cluster.clone());
    cluster.map_or(0, |cluster| 1 + cluster.replicas.iter().filter(|it| it.current).count())
}
