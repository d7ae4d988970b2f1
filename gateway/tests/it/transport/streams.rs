//! Subscriptions over plain HTTP: as server-sent events and as parts of one
//! answer.

use super::*;

const EVENTS: &str = "text/event-stream";
const PARTS: &str = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,\
     application/graphql-response+json,application/json;q=0.9";

impl Server {
    async fn subscribe(&self, query: &str, accept: &str) -> reqwest::Response {
        let body = json!({ "query": query }).to_string();
        self.post(body).header("accept", accept).send().await.unwrap()
    }
}

/// The events of a body, as (name, id, data).
fn events(body: &str) -> Vec<(String, Option<String>, Value)> {
    body.split("\n\n")
        .filter(|event| !event.is_empty() && *event != ":")
        .map(|event| {
            let field = |name: &str| {
                let lines = event.lines().filter_map(|line| line.split_once(':'));
                let mut found = lines.filter(|(field, _)| *field == name);
                let value = found.next().map(|(_, value)| value.trim_start().to_owned());
                assert!(found.next().is_none(), "{event}");
                value
            };
            let data = field("data").filter(|data| !data.is_empty());
            let data = data.map_or(Value::Null, |data| serde_json::from_str(&data).unwrap());
            (field("event").unwrap(), field("id"), data)
        })
        .collect()
}

/// The parts of a body, heartbeats left out.
fn parts(body: &str) -> Vec<Value> {
    let body = body.strip_prefix("--graphql").unwrap().strip_suffix("\r\n--graphql--\r\n").unwrap();
    body.split("\r\n--graphql")
        .map(|part| {
            let (head, body) = part.split_once("\r\n\r\n").unwrap();
            assert_eq!(head, "\r\ncontent-type: application/json");
            serde_json::from_str(body).unwrap()
        })
        .filter(|part| *part != json!({}))
        .collect()
}

#[tokio::test]
async fn a_subscription_comes_as_events() {
    let server = server().await;
    let response = server.subscribe("subscription { count(to: 2) }", EVENTS).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(response.headers().contains_key("x-request-id"));
    let item = |n: u32| {
        let data = json!({ "data": { "count": n }, "extensions": { "cursor": format!("c{n}") } });
        ("next".to_owned(), Some(format!("c{n}")), data)
    };
    let complete = ("complete".to_owned(), None, Value::Null);
    assert_eq!(events(&response.text().await.unwrap()), [item(1), item(2), complete]);
}

#[tokio::test]
async fn a_subscription_comes_as_parts() {
    let server = server().await;
    let response = server.subscribe("subscription { count(to: 2) }", PARTS).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        response.headers()["content-type"],
        "multipart/mixed; boundary=\"graphql\"; subscriptionSpec=1.0"
    );
    let item = |n: u32| {
        let payload =
            json!({ "data": { "count": n }, "extensions": { "cursor": format!("c{n}") } });
        json!({ "payload": payload })
    };
    assert_eq!(parts(&response.text().await.unwrap()), [item(1), item(2)]);
}

#[tokio::test]
async fn an_event_source_can_do_no_more_than_get_and_resumes_by_its_last_id() {
    let server = server().await;
    let get = async |query: &str, id: &str| {
        let url = format!("{}?query={query}", server.url());
        let request = server.client.get(url).header("accept", EVENTS).header("last-event-id", id);
        request.send().await.unwrap()
    };
    let response = get("subscription{told}", "c7").await;
    let body = response.text().await.unwrap();
    assert_eq!(events(&body)[0].2["data"]["told"], json!(["c7", null]));
    let body = get("subscription{told}", "").await.text().await.unwrap();
    assert_eq!(events(&body)[0].2["data"]["told"], json!([null, null]));
    // Changing something is another matter.
    let refused = get("mutation{count}", "").await;
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(server.mutations(), 0);
}

#[tokio::test]
async fn queries_and_mutations_may_come_as_events_too() {
    let server = server().await;
    for (query, data) in
        [("{ hello }", json!({ "hello": "world" })), ("mutation { count }", json!({ "count": 1 }))]
    {
        let body = server.subscribe(query, EVENTS).await.text().await.unwrap();
        let events = events(&body);
        assert_eq!(events[0].2["data"], data);
        assert_eq!(events[1].0, "complete");
        assert_eq!(events.len(), 2);
    }
    // Whoever takes both gets a query's answer in one piece.
    let response = server.subscribe("{ hello }", PARTS).await;
    assert_eq!(
        response.headers()["content-type"],
        "application/graphql-response+json; charset=utf-8"
    );
    let response = server.subscribe("{ hello }", "multipart/mixed;subscriptionSpec=1.0").await;
    assert_eq!(response.status(), StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn what_is_refused_is_told_in_a_form_the_client_reads() {
    let server = server().await;
    for (query, code) in [
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { ...a } fragment a on S { ...a }", "FRAGMENT_CYCLE"),
        ("{ panic }", "INTERNAL_SERVER_ERROR"),
    ] {
        let response = server.subscribe(query, EVENTS).await;
        let body = response.text().await.unwrap();
        let events = events(&body);
        assert_eq!(events[0].2["errors"][0]["extensions"]["code"], code, "{body}");
        assert_eq!(events.len(), 2, "{body}");

        let response = server.subscribe(query, PARTS).await;
        let failed = code == "INTERNAL_SERVER_ERROR";
        assert_eq!(response.status(), if failed { 500 } else { 400 });
        let body: Value = response.json().await.unwrap();
        assert_eq!(super::code(&body), code, "{body}");
        assert!(body.get("data").is_none());
    }
}

#[tokio::test]
async fn items_that_fail_are_masked_and_a_panic_ends_it() {
    let server = server().await;
    let body = server.subscribe("subscription { leaking }", EVENTS).await.text().await.unwrap();
    let found = events(&body);
    assert_eq!(found[0].2["data"], json!({ "leaking": 1 }));
    assert_masked(&found[1].2["errors"][0]);
    let body = server.subscribe("subscription { panicking }", PARTS).await.text().await.unwrap();
    let found = parts(&body);
    assert_eq!(found[0]["payload"]["data"], json!({ "panicking": 1 }));
    assert_eq!(found[1]["payload"], Value::Null);
    assert_masked(&found[1]["errors"][0]);
    assert_eq!(found.len(), 2);
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_subscription() {
    let server = server().await;
    for accept in [EVENTS, PARTS] {
        let response = server.subscribe("subscription { silence }", accept).await;
        assert_eq!(response.status(), StatusCode::OK);
        drop(response);
        server.dropped().await;
    }
}

#[tokio::test]
async fn silence_is_broken_so_that_nobody_thinks_the_line_is_dead() {
    let settings =
        TransportSettings { heartbeat: Duration::from_millis(10), ..TransportSettings::default() };
    let server = server_with(settings, PipelineSettings::default()).await;
    for (accept, beat) in [(EVENTS, ":\n\n"), (PARTS, "{}\r\n--graphql")] {
        let mut response = server.subscribe("subscription { silence }", accept).await;
        let mut text = String::new();
        while text.matches(beat).count() < 5 {
            let chunk = timeout(PATIENCE, response.chunk()).await.unwrap().unwrap().unwrap();
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[tokio::test]
async fn a_drain_ends_streams_so_that_clients_go_elsewhere() {
    let server = server().await;
    let events = server.subscribe("subscription { silence }", EVENTS).await;
    let parts_of = server.subscribe("subscription { silence }", PARTS).await;
    server.signals.drain.cancel();
    // No `complete`: that would be the end for good.
    assert_eq!(timeout(PATIENCE, events.text()).await.unwrap().unwrap(), ":\n\n");
    let body = timeout(PATIENCE, parts_of.text()).await.unwrap().unwrap();
    let last = parts(&body);
    assert_eq!(last[0]["payload"], Value::Null);
    assert_eq!(last[0]["errors"][0]["extensions"]["code"], "UNAVAILABLE");
    assert_eq!(timeout(PATIENCE, server.running).await.unwrap().unwrap(), Stopped::Drained);
}
