//! The connection to a NATS server that lets not everybody in, and is not
//! always there.

use std::{fs, path::Path, process::Command};

use mallbots_messaging::nats::{Connection, Login, Nats, NatsOptions};
use mallbots_testing::nats::{NatsServer, NatsSettings};

use crate::{
    exchange::{connect, reach},
    mall::in_time,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_says_when_it_is_lost_and_found() {
    let mut server = NatsServer::start().await.unwrap();
    let nats = connect(&server).await;
    assert!(nats.is_connected());
    for _ in 0..3 {
        server.kill().await.unwrap();
        reach(&nats, Connection::Disconnected).await;
        server.restart().await.unwrap();
        reach(&nats, Connection::Connected).await;
        let answer = in_time("an answer", nats.jetstream().query_account()).await;
        answer.unwrap();
    }
    // Said last, and still sent.
    let listener = connect(&server).await;
    let mut heard = listener.client().subscribe("goodbye").await.unwrap();
    listener.client().flush().await.unwrap();
    nats.client().publish("goodbye", "all".into()).await.unwrap();
    nats.close().await;
    let message = in_time("the goodbye", futures_util::StreamExt::next(&mut heard)).await;
    assert_eq!(message.unwrap().payload, "all");
    reach(&nats, Connection::Disconnected).await;
}

/// A server with more lines in its configuration.
async fn server_with(further: String) -> NatsServer {
    let settings = NatsSettings { further, ..NatsSettings::default() };
    NatsServer::start_with(&settings).await.unwrap()
}

/// Whether somebody with this login gets in.
async fn gets_in(server: &NatsServer, login: Login) -> bool {
    let options = NatsOptions { login, ..NatsOptions::at(server.url()) };
    let nats = Nats::connect(&options).await.unwrap();
    // Who is refused tries on and on: what counts is who gets in first.
    let known = Login::Token("right".to_owned());
    let known = NatsOptions { login: known, ..NatsOptions::at(server.url()) };
    let known = Nats::connect(&known).await.unwrap();
    reach(&known, Connection::Connected).await;
    known.client().flush().await.unwrap();
    nats.is_connected()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_the_token_or_the_password_gets_in() {
    let further = "authorization { token: \"right\" }".to_owned();
    let server = server_with(further).await;
    assert!(!gets_in(&server, Login::Token("wrong".to_owned())).await);
    assert!(!gets_in(&server, Login::Nobody).await);
    let options = NatsOptions::at(server.url().replace("nats://", "nats://right@"));
    reach(&Nats::connect(&options).await.unwrap(), Connection::Connected).await;

    let further = "authorization { user: mall, password: right }".to_owned();
    let server = server_with(further).await;
    let login = Login::User { name: "mall".to_owned(), password: "right".to_owned() };
    let options = NatsOptions { login, ..NatsOptions::at(server.url()) };
    reach(&Nats::connect(&options).await.unwrap(), Connection::Connected).await;
    let options = NatsOptions::at(server.url().replace("nats://", "nats://mall:right@"));
    reach(&Nats::connect(&options).await.unwrap(), Connection::Connected).await;
}

/// A certificate for 127.0.0.1, signed by itself.
fn certify(folder: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args([
            "-nodes", "-days", "2", "-subj", "/CN=mall", "-keyout", "key.pem", "-out", "cert.pem",
        ])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .current_dir(folder)
        .output()
        .expect("openssl makes the certificate of this test: apt-get install openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(fs::exists(folder.join("cert.pem")).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_a_certificate_of_our_own_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let place = folder.path().display();
    let further =
        format!("tls {{ cert_file: \"{place}/cert.pem\", key_file: \"{place}/key.pem\" }}");
    let server = server_with(further).await;
    let options = NatsOptions {
        root_certificates: Some(folder.path().join("cert.pem")),
        require_tls: true,
        ..NatsOptions::at(server.url())
    };
    let nats = Nats::connect(&options).await.unwrap();
    reach(&nats, Connection::Connected).await;
    in_time("an answer", nats.jetstream().query_account()).await.unwrap();
}
