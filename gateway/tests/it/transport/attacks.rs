//! Clients that mean harm, over HTTP: each is told no, or dropped, and others
//! are served as if nothing was.

use mallbots_gateway::transport::connections::ConnectionSettings;

use sha2::Digest;

use super::*;

fn impatient(connections: ConnectionSettings) -> TransportSettings {
    TransportSettings { connections, ..TransportSettings::default() }
}

/// Reads until the server closes; a reset is a close too.
async fn read_to_the_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end in time");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Fragments that each spread the next one twice: 2^rounds fields.
fn bomb(rounds: usize) -> String {
    let fragments = (0..rounds)
        .map(|n| format!("fragment f{n} on Node {{ ...f{0} ...f{0} }}", n + 1))
        .collect::<Vec<_>>()
        .join(" ");
    format!("{{ node {{ ...f0 }} }} {fragments} fragment f{rounds} on Node {{ name }}")
}

#[tokio::test]
async fn bombs_go_out_whatever_way_they_come() {
    let server = server().await;
    let code_of = async |request: reqwest::RequestBuilder| {
        let body = request.send().await.unwrap().text().await.unwrap();
        // As an event or in one piece.
        let json = body
            .lines()
            .find_map(|line| line.strip_prefix("data: {"))
            .map_or(body.clone(), |data| format!("{{{data}"));
        code(&serde_json::from_str(&json).unwrap()).to_owned()
    };
    for rounds in [10, 20, 30] {
        let bomb = bomb(rounds);
        let body = json!({ "query": bomb }).to_string();
        assert_eq!(code_of(server.post(body.clone())).await, "QUERY_TOO_COMPLEX");
        let events = server.post(body.clone()).header("accept", "text/event-stream");
        assert_eq!(code_of(events).await, "QUERY_TOO_COMPLEX");
        let get = server.get(&[("query", &bomb)]);
        assert_eq!(code_of(get).await, "QUERY_TOO_COMPLEX");
        // Nor is it kept under its hash.
        let hash =
            sha2::Sha256::digest(&bomb).iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>();
        let hashed = json!({ "persistedQuery": { "version": 1, "sha256Hash": hash.concat() } });
        let registered = json!({ "query": bomb, "extensions": hashed }).to_string();
        assert_eq!(code_of(server.post(registered)).await, "QUERY_TOO_COMPLEX");
        let named = json!({ "extensions": hashed }).to_string();
        assert_eq!(code_of(server.post(named)).await, "PERSISTED_QUERY_NOT_FOUND");
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let settings = ConnectionSettings {
        head_timeout: Duration::from_millis(50),
        ..ConnectionSettings::default()
    };
    let server = server_with(impatient(settings), PipelineSettings::default()).await;
    for start in ["", "POST /graphql HTTP/1.1\r\n", "POST /graphql HTTP/1.1\r\nhost: a\r\nx: "] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let answer = read_to_the_end(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    // Nor is the next request, for ever.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let body = r#"{"query":"{ hello }"}"#;
    let request = format!(
        "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = read_to_the_end(&mut stream).await;
    assert!(answer.ends_with(r#"{"data":{"hello":"world"}}"#), "{answer}");
}

#[tokio::test]
async fn a_head_without_end_is_not_kept() {
    let server = server().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut head = b"POST /graphql HTTP/1.1\r\nhost: localhost\r\n".to_vec();
    for n in 0..4_000 {
        head.extend(format!("x-{n}: {}\r\n", "x".repeat(40)).into_bytes());
    }
    // The server may stop reading before all is written.
    let _ = stream.write_all(&head).await;
    let answer = read_to_the_end(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(server.query("{ hello }").await["data"]["hello"], "world");
}

#[tokio::test]
async fn more_connections_than_there_is_room_for_are_turned_away() {
    for settings in [
        ConnectionSettings { max: 3, ..ConnectionSettings::default() },
        ConnectionSettings { max_per_address: 3, ..ConnectionSettings::default() },
    ] {
        let server = server_with(impatient(settings), PipelineSettings::default()).await;
        let mut inside = Vec::new();
        for _ in 0..3 {
            inside.push(TcpStream::connect(server.address).await.unwrap());
        }
        let mut outside = TcpStream::connect(server.address).await.unwrap();
        let answer = read_to_the_end(&mut outside).await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after"), "{answer}");

        // Who is inside is served, and who leaves makes room, a socket too.
        let mut stream = inside.pop().unwrap();
        let asks =
            b"GET /graphql?query={hello} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(asks).await.unwrap();
        assert!(read_to_the_end(&mut stream).await.starts_with("HTTP/1.1 200"));
        let mut socket = loop {
            if let Ok(socket) = server.open(Some("graphql-transport-ws"), None).await {
                break socket;
            }
        };
        socket.send(json!({ "type": "connection_init" })).await;
        socket.expect(json!({ "type": "connection_ack" })).await;
        let mut outside = TcpStream::connect(server.address).await.unwrap();
        assert!(read_to_the_end(&mut outside).await.starts_with("HTTP/1.1 503"));
        drop(socket);
        while server.open(Some("graphql-transport-ws"), None).await.is_err() {}
    }
}

#[tokio::test]
async fn a_subscriber_over_http_that_does_not_read_is_dropped() {
    let settings = ConnectionSettings {
        write_timeout: Duration::from_millis(100),
        ..ConnectionSettings::default()
    };
    let server = server_with(impatient(settings), PipelineSettings::default()).await;
    for accept in ["text/event-stream", "multipart/mixed;subscriptionSpec=1.0"] {
        let mut stuck = TcpStream::connect(server.address).await.unwrap();
        let body = r#"{"query":"subscription { flood }"}"#;
        let request = format!(
            "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             accept: {accept}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stuck.write_all(request.as_bytes()).await.unwrap();
        // Others are served as if nothing was.
        assert_eq!(server.query("{ hello }").await["data"]["hello"], "world");
        server.dropped().await;
        assert_eq!(server.query("{ hello }").await["data"]["hello"], "world");
    }
}

#[tokio::test]
async fn a_foreign_page_gets_nothing_done() {
    let server = server().await;
    let foreign = "https://evil.example";
    let mutation = r#"{"query":"mutation { count }"}"#;
    // As a script would, and as a form would.
    for content_type in ["application/json", "text/plain"] {
        let request = server.client.post(server.url()).header("content-type", content_type);
        let response = request.header("origin", foreign).body(mutation).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert!(!response.headers().contains_key("access-control-allow-origin"));
    }
    // A browser that asks first is told the same.
    let asks = server.client.request(Method::OPTIONS, server.url()).header("origin", foreign);
    let response = asks.header("access-control-request-method", "POST").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(!response.headers().contains_key("access-control-allow-methods"));
    // An image of it asks without an origin; the browser says whose it is.
    for accept in ["*/*", "text/event-stream"] {
        let request = server.client.get(format!("{}?query={{hello}}", server.url()));
        let request = request.header("accept", accept).header("sec-fetch-site", "cross-site");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{accept}");
    }
    assert_eq!(server.mutations(), 0);
}

#[tokio::test]
async fn pages_within_pages_cost_too_much() {
    // By the schema's own lists, on the real mall.
    let mall = crate::support::Mall::open().await;
    let ask = async |query: &str, variables: Value| {
        let body = json!({ "query": query, "variables": variables });
        let response = reqwest::Client::new().post(mall.client.url().clone()).json(&body);
        response.send().await.unwrap().json::<Value>().await.unwrap()
    };
    let nested = "query($n: Int) { customers(first: $n) { edges { node { \
         orders(first: $n) { edges { node { id } } } } } } }";
    let cheap = ask(nested, json!({ "n": 10 })).await;
    assert!(cheap.get("errors").is_none(), "{cheap}");
    for n in [json!(100), json!(1_000_000)] {
        let costly = ask(nested, json!({ "n": n })).await;
        assert_eq!(code(&costly), "QUERY_TOO_COSTLY", "{costly}");
        assert!(costly["errors"][0]["extensions"]["details"]["actual"].as_u64() > Some(10_000));
    }
    // The same document, known by now.
    assert!(ask(nested, json!({ "n": 10 })).await.get("errors").is_none());
}
