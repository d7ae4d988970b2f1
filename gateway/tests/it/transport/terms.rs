//! On which terms requests are answered: documents by name, the schema itself,
//! other pages, names of requests, and what was written before.

use std::sync::atomic::AtomicI64;

use futures_util::future::BoxFuture;
use mallbots_gateway::transport::{
    consistency::{Freshness, Token},
    guard::Limits,
    origin::Origins,
    persisted::{PersistedDocuments, TrustedDocuments},
    preflight::Preflight,
};
use sha2::{Digest, Sha256};

use super::*;

fn persisted(hash: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } })
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

// ---- documents by name

#[tokio::test]
async fn a_document_is_registered_by_its_hash_and_known_from_then_on() {
    let server = server().await;
    let query = "query($t: String!) { echo(text: $t) }";
    let hash = sha256(query);
    let variables = json!({ "t": "x" });
    let named = json!({ "extensions": persisted(&hash), "variables": variables });
    let unknown = server.ask(named.clone()).await;
    assert_eq!(code(&unknown), "PERSISTED_QUERY_NOT_FOUND");
    // Older clients compare the words.
    assert_eq!(unknown["errors"][0]["message"], "PersistedQueryNotFound");
    assert!(unknown.get("data").is_none());

    let both = json!({ "query": query, "extensions": persisted(&hash), "variables": variables });
    assert_eq!(server.ask(both).await["data"]["echo"], "x");
    assert_eq!(server.ask(named.clone()).await["data"]["echo"], "x");

    // By GET, which is what hashes are for, and on a socket.
    let extensions = persisted(&hash).to_string();
    let parameters = [("extensions", extensions.as_str()), ("variables", r#"{"t":"y"}"#)];
    let get = server.get(&parameters).send().await.unwrap();
    assert_eq!(get.json::<Value>().await.unwrap()["data"]["echo"], "y");
    let mut socket = server.socket().await;
    socket.send(json!({ "type": "subscribe", "id": "1", "payload": named })).await;
    assert_eq!(socket.next().await["payload"]["data"]["echo"], "x");
}

#[tokio::test]
async fn nobody_can_register_a_document_under_anothers_hash() {
    let server = server().await;
    let hash = sha256("{ hello }");
    let lie = json!({ "query": "{ node { name } }", "extensions": persisted(&hash) });
    let response = server.post(lie.to_string()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let known = server.ask(json!({ "extensions": persisted(&hash) })).await;
    assert_eq!(code(&known), "PERSISTED_QUERY_NOT_FOUND");
    // Nor one that is not valid.
    let query = "{ goodbye }";
    let invalid = json!({ "query": query, "extensions": persisted(&sha256(query)) });
    assert_eq!(code(&server.ask(invalid).await), "GRAPHQL_VALIDATION_FAILED");
    let known = server.ask(json!({ "extensions": persisted(&sha256(query)) })).await;
    assert_eq!(code(&known), "PERSISTED_QUERY_NOT_FOUND");
}

#[tokio::test]
async fn a_mutation_by_hash_is_still_no_get() {
    let server = server().await;
    let query = "mutation { count }";
    let extensions = persisted(&sha256(query));
    server.ask(json!({ "query": query, "extensions": extensions })).await;
    assert_eq!(server.mutations(), 1);
    let request = server.get(&[("extensions", &extensions.to_string())]);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(server.mutations(), 1);
}

#[tokio::test]
async fn what_clients_register_leaves_when_it_takes_too_much_room() {
    let settings = PipelineSettings { document_cache: 64 * 1024, ..PipelineSettings::default() };
    let server = server_with(TransportSettings::default(), settings).await;
    let query = |n: usize| format!("{{ hello }} # {n} {}", "x".repeat(500));
    for n in 0..50 {
        let extensions = persisted(&sha256(&query(n)));
        let both = json!({ "query": query(n), "extensions": extensions });
        assert_eq!(server.ask(both).await["data"]["hello"], "world");
    }
    let mut known = 0;
    for n in 0..50 {
        let answer = server.ask(json!({ "extensions": persisted(&sha256(&query(n))) })).await;
        known += usize::from(answer["data"]["hello"] == "world");
    }
    assert!(known <= 5, "{known} of 50 are still known");
}

#[tokio::test]
async fn if_only_trusted_documents_are_served_others_are_refused_everywhere() {
    let manifest = json!({
        "format": "apollo-persisted-query-manifest", "version": 1, "operations": [
            { "id": "greeting", "name": "G", "type": "query", "body": "query G { hello }" },
            { "id": "counting", "name": "C", "type": "subscription",
              "body": "subscription C { count(to: 1) }" },
        ],
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), manifest.to_string()).unwrap();
    let trusted = TrustedDocuments::read(file.path(), &Limits::default()).unwrap();
    let persisted_documents = PersistedDocuments {
        trusted: Arc::new(trusted),
        only_trusted: true,
        ..PersistedDocuments::default()
    };
    let settings =
        PipelineSettings { persisted: persisted_documents, ..PipelineSettings::default() };
    let server = server_with(TransportSettings::default(), settings).await;
    for request in [
        json!({ "documentId": "greeting" }),
        json!({ "extensions": persisted("greeting") }),
        json!({ "query": "query G { hello }" }),
    ] {
        assert_eq!(server.ask(request).await["data"]["hello"], "world");
    }
    for request in [
        json!({ "query": "{ hello }" }),
        json!({ "query": "{ hello }", "extensions": persisted(&sha256("{ hello }")) }),
        json!({ "query": "{ hello }", "extensions": persisted("greeting") }),
    ] {
        let response = server.post(request.to_string()).send().await.unwrap();
        let code = code(&response.json().await.unwrap()).to_owned();
        assert!(["DOCUMENT_NOT_TRUSTED", "BAD_REQUEST"].contains(&code.as_str()), "{code}");
    }
    let mut socket = server.socket().await;
    socket.subscribe("1", "subscription { count(to: 1) }").await;
    let refused = socket.next().await;
    assert_eq!(refused["payload"][0]["extensions"]["code"], "DOCUMENT_NOT_TRUSTED");
    let payload = json!({ "documentId": "counting" });
    socket.send(json!({ "type": "subscribe", "id": "2", "payload": payload })).await;
    assert_eq!(socket.next().await["payload"]["data"]["count"], 1);
}

// ---- the schema itself

#[tokio::test]
async fn a_server_that_does_not_tell_its_schema_does_not() {
    let settings = PipelineSettings { introspection: false, ..PipelineSettings::default() };
    let server = server_with(TransportSettings::default(), settings).await;
    for query in [
        "{ __schema { types { name } } }",
        "{ hello __type(name: \"Query\") { name } }",
        "{ ...f } fragment f on Query { ... { a: __schema { types { name } } } }",
    ] {
        let body = server.query(query).await;
        assert_eq!(code(&body), "FORBIDDEN", "{body}");
        assert!(body.get("data").is_none());
        let mut socket = server.socket().await;
        socket.subscribe("1", query).await;
        assert_eq!(socket.next().await["payload"][0]["extensions"]["code"], "FORBIDDEN");
    }
    assert_eq!(server.query("{ __typename }").await["data"]["__typename"], "Query");
}

#[tokio::test]
async fn the_real_one_does_not_tell_names_one_by_one_either() {
    for (setting, told) in [("true", true), ("false", false)] {
        let mall = crate::support::Mall::open_with(&[("MALLBOTS_INTROSPECTION", setting)]).await;
        let ask = async |query: &str| {
            let request = reqwest::Client::new().post(mall.client.url().clone());
            let response = request.json(&json!({ "query": query })).send().await.unwrap();
            response.json::<Value>().await.unwrap()
        };
        let body = ask("{ storess { edges { node { id } } } }").await;
        let message = body["errors"][0]["message"].as_str().unwrap();
        assert_eq!(message.contains("stores\""), told, "{message}");
        let body = ask("{ __schema { queryType { name } } }").await;
        assert_eq!(body["data"]["__schema"].is_object(), told, "{body}");
    }
}

// ---- other pages

#[tokio::test]
async fn a_page_that_may_call_is_told_so_and_may_read() {
    let origins = Origins { allowed: vec!["https://a.example".to_owned()], ..Origins::default() };
    let settings = TransportSettings { origins, ..TransportSettings::default() };
    let server = server_with(settings, PipelineSettings::default()).await;
    let asks = server.client.request(Method::OPTIONS, server.url());
    let asks = asks
        .header("origin", "https://a.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,authorization");
    let response = asks.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("access-control-allow-origin"), "https://a.example");
    assert_eq!(header("access-control-allow-methods"), "GET, POST");
    for name in ["content-type", "authorization", "consistency-token", "idempotency-key"] {
        assert!(header("access-control-allow-headers").contains(name), "{name}");
    }
    assert!(!response.headers().contains_key("access-control-allow-credentials"));

    for (body, status) in [(r#"{"query":"{ hello }"}"#, 200), ("{", 400)] {
        let request = server.post(body).header("origin", "https://a.example");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["access-control-allow-origin"], "https://a.example");
        let exposed = response.headers()["access-control-expose-headers"].to_str().unwrap();
        assert!(exposed.contains("x-request-id") && exposed.contains("consistency-token"));
    }
    let response = server.post(r#"{"query":"{ hello }"}"#).send().await.unwrap();
    assert!(!response.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_server_may_ask_every_get_for_a_header() {
    let settings =
        TransportSettings { preflight: Preflight::Always, ..TransportSettings::default() };
    let server = server_with(settings, PipelineSettings::default()).await;
    let get = || server.client.get(format!("{}?query={{hello}}", server.url()));
    let refused = get().send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    for header in
        ["apollo-require-preflight", "graphql-require-preflight", "x-apollo-operation-name"]
    {
        assert_eq!(get().header(header, "1").send().await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(server.query("{ hello }").await["data"]["hello"], "world");
}

// ---- names of requests

#[tokio::test]
async fn a_request_that_has_a_name_keeps_it() {
    let server = server().await;
    let name = "0190a7b1-5f6e-7000-8000-00000000002a";
    for (query, path) in
        [("{ request }", "/data/request/0"), ("{ missing }", "/errors/0/extensions/requestId")]
    {
        let request = server.post(json!({ "query": query }).to_string());
        let response = request.header("x-request-id", name).send().await.unwrap();
        assert_eq!(response.headers()["x-request-id"], name);
        let body: Value = response.json().await.unwrap();
        assert_eq!(body.pointer(path), Some(&json!(name)), "{body}");
    }
    for other in ["1", "x\u{7f}", &"a".repeat(8_000), "' OR 1=1 --"] {
        let request = server.post(r#"{"query":"{ hello }"}"#);
        let Ok(other) = reqwest::header::HeaderValue::from_bytes(other.as_bytes()) else {
            continue;
        };
        let response = request.header("x-request-id", other).send().await.unwrap();
        let id: Uuid = response.headers()["x-request-id"].to_str().unwrap().parse().unwrap();
        assert_eq!(id.get_version_num(), 7);
    }
}

// ---- what was written before

/// A library that is as far as somebody says.
#[derive(Debug, Clone, Default)]
struct Shelf(Arc<AtomicI64>);

impl Freshness for Shelf {
    fn reached(&self, want: Token) -> BoxFuture<'_, Result<(), ClientError>> {
        Box::pin(async move {
            if self.0.load(Ordering::Relaxed) >= want.0 {
                return Ok(());
            }
            Err(ClientError::new(ErrorCode::StaleRead, "not there yet"))
        })
    }
}

#[tokio::test]
async fn a_query_sees_what_its_caller_has_written_or_says_that_it_cannot() {
    let shelf = Shelf::default();
    shelf.0.store(17, Ordering::Relaxed);
    let on_shelf = shelf.clone();
    let server = server_of(TransportSettings::default(), PipelineSettings::default(), |pipeline| {
        pipeline.waiting_for(on_shelf)
    })
    .await;
    let ask = async |query: &str, header: Option<&str>, extension: Value| {
        let extensions = json!({ "consistency": extension });
        let mut request =
            server.post(json!({ "query": query, "extensions": extensions }).to_string());
        if let Some(header) = header {
            request = request.header("consistency-token", header);
        }
        let body: Value = request.send().await.unwrap().json().await.unwrap();
        code(&body).to_owned()
    };
    assert_eq!(ask("{ hello }", None, json!(null)).await, "none");
    for (token, expected) in [("17", "none"), ("18", "STALE_READ"), ("x", "BAD_USER_INPUT")] {
        assert_eq!(ask("{ hello }", Some(token), json!(null)).await, expected);
        assert_eq!(ask("{ hello }", None, json!(token)).await, expected);
    }
    // The document's own word goes before the header's.
    assert_eq!(ask("{ hello }", Some("18"), json!("16")).await, "none");
    // Who writes does not wait.
    assert_eq!(ask("mutation { count }", Some("18"), json!(null)).await, "none");
    // On a socket as well.
    let mut socket = server.socket().await;
    for (token, kind) in [("17", "next"), ("18", "error")] {
        let payload = json!({ "query": "{ hello }", "extensions": { "consistency": token } });
        socket.send(json!({ "type": "subscribe", "id": token, "payload": payload })).await;
        assert_eq!(socket.next().await["type"], kind);
        if kind == "next" {
            socket.expect(json!({ "type": "complete", "id": token })).await;
        }
    }
}

#[tokio::test]
async fn a_mutation_tells_up_to_where_it_wrote() {
    let mall = crate::support::Mall::open().await;
    let ask = async |query: &str, token: Option<&str>| {
        let mut request = reqwest::Client::new().post(mall.client.url().clone());
        if let Some(token) = token {
            request = request.header("consistency-token", token);
        }
        let response = request.json(&json!({ "query": query })).send().await.unwrap();
        let token = response.headers().get("consistency-token").cloned();
        (token, response.json::<Value>().await.unwrap())
    };
    let mutation = "mutation { a: createStore(input: { name: \"A\", location: \"1\" }) { position } \
         b: createStore(input: { name: \"B\", location: \"2\" }) { position } }";
    let (token, body) = ask(mutation, None).await;
    let token = token.expect("a token").to_str().unwrap().to_owned();
    assert_eq!(body["extensions"]["consistency"], json!(token), "{body}");
    assert_eq!(body["data"]["b"]["position"], json!(token));
    let query = "{ stores(first: 10) { edges { node { name } } } projections { position lag } }";
    let (none, body) = ask(query, Some(&token)).await;
    assert_eq!(none, None);
    assert_eq!(body["data"]["stores"]["edges"].as_array().unwrap().len(), 2, "{body}");

    let (_, body) = ask("{ __typename }", Some("1000000")).await;
    assert_eq!(code(&body), "STALE_READ", "{body}");
    let details = &body["errors"][0]["extensions"]["details"];
    assert_eq!(details["want"], "0000000001000000");
    assert!(details["have"].as_str().unwrap().parse::<i64>().unwrap() >= token.parse().unwrap());
}
