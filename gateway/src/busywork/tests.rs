use axum::{Json, Router, extract::State, routing::post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::client::url_of;

/// A mall that is open, and answers everything with one code.
async fn mall(code: &'static str) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url_of(listener.local_addr().unwrap());
    let router = Router::new().route("/graphql", post(answer)).with_state(code);
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, serving)
}

async fn answer(State(code): State<&'static str>, Json(request): Json<Value>) -> Json<Value> {
    if request["operationName"] == "orderStatusCounts" {
        return Json(json!({ "data": { "orderStatusCounts": [] } }));
    }
    let extensions = json!({ "code": code, "reason": "BECAUSE" });
    Json(json!({ "data": null, "errors": [{ "message": "no", "extensions": extensions }] }))
}

async fn work(code: &'static str) -> Summary {
    let (url, _serving) = mall(code).await;
    let options = Options {
        url,
        clients: 3,
        operations: Some(50),
        pace: 0.0,
        patience: Duration::from_millis(20),
        ..Options::default()
    };
    run(options, CancellationToken::new()).await.unwrap()
}

#[tokio::test]
async fn d82_every_error_that_is_not_expected_is_counted() {
    for code in ["INTERNAL_SERVER_ERROR", "UNAVAILABLE", "BAD_USER_INPUT", "NEVER_HEARD_OF"] {
        let summary = work(code).await;
        assert_eq!(summary.counts, Counts { ok: 0, refused: 0, failed: 50 }, "{code}");
        assert_eq!(summary.faults_of(code), 50);
        assert!(!summary.is_clean());
        let text = summary.to_string();
        assert!(text.contains(&format!("{code} in stores: no ({code}, BECAUSE)")), "{text}");
    }
}

#[tokio::test]
async fn what_is_refused_in_a_race_is_counted_and_no_fault() {
    for code in ["PRICE_CHANGED", "FAILED_PRECONDITION", "CONFLICT", "NOT_FOUND"] {
        let summary = work(code).await;
        assert_eq!(summary.counts, Counts { ok: 0, refused: 50, failed: 0 }, "{code}");
        assert!(summary.is_clean());
        assert!(summary.refusals.iter().all(|refusal| refusal.code == code));
        assert_eq!(summary.acknowledged, 0);
    }
}

#[tokio::test]
async fn a_mall_that_is_away_for_a_moment_is_waited_for() {
    let summary = work("TIMEOUT").await;
    assert_eq!(summary.retries[0].code, "TIMEOUT");
    assert!(summary.retries[0].count >= 50, "{summary}");
}

#[tokio::test]
async fn the_work_ends_when_it_is_canceled_or_its_time_is_up() {
    let (url, _serving) = mall("NOT_FOUND").await;
    let options = Options { url, ..Options::default() };
    let canceled = CancellationToken::new();
    canceled.cancel();
    let summary = run(options.clone(), canceled).await.unwrap();
    assert_eq!(summary.counts.total(), 0);

    let duration = Some(Duration::from_millis(50));
    let summary = run(Options { duration, ..options }, CancellationToken::new()).await.unwrap();
    assert!(summary.seconds < 10.0, "{summary}");
}

#[tokio::test]
async fn work_that_cannot_begin_is_told() {
    let options = Options { url: "localhost".to_owned(), ..Options::default() };
    let error = run(options, CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("is not an address"), "{error:#}");
}
