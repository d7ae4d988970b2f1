//! Subscriptions by callback, with a router that really listens.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};
use tokio_util::task::TaskTracker;

use crate::support::{Mall, within};

/// A router that is called back: what it is told, and how it answers.
struct Receiver {
    address: SocketAddr,
    told: mpsc::UnboundedReceiver<Value>,
    answer: watch::Sender<StatusCode>,
}

#[derive(Clone)]
struct Hears {
    told: mpsc::UnboundedSender<Value>,
    answer: watch::Receiver<StatusCode>,
}

async fn hear(State(hears): State<Arc<Hears>>, headers: HeaderMap, body: String) -> Response {
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["subscription-protocol"], "callback/1.0");
    let _ = hears.told.send(serde_json::from_str(&body).unwrap());
    let status = *hears.answer.borrow();
    (status, [("location", "/elsewhere")]).into_response()
}

async fn elsewhere(State(hears): State<Arc<Hears>>) -> StatusCode {
    let _ = hears.told.send(json!("elsewhere"));
    StatusCode::NO_CONTENT
}

impl Receiver {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, told) = mpsc::unbounded_channel();
        let (answer, answers) = watch::channel(StatusCode::NO_CONTENT);
        let hears = Arc::new(Hears { told: sender, answer: answers });
        let router = Router::new()
            .route("/callback/{id}", post(hear))
            .route("/elsewhere", post(elsewhere).get(elsewhere))
            .with_state(hears);
        TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
        Self { address, told, answer }
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next message of this kind; checks come whenever they are due.
    async fn next(&mut self, action: &str) -> Value {
        loop {
            let told = within("a message", self.told.recv()).await.unwrap();
            if told["action"] == action {
                return told;
            }
            assert_eq!(told["action"], "check", "{told}");
        }
    }
}

const BOTS: &str = "subscription { botsChanged { name } }";

/// Subscribes, to be called at this address.
async fn subscribe(mall: &Mall, url: &str, query: &str) -> (u16, HeaderMap, Value) {
    let body = json!({ "query": query, "extensions": { "subscription": {
        "callbackUrl": url, "subscriptionId": "one", "verifier": "secret",
        "heartbeatIntervalMs": 500,
    } } });
    let request = reqwest::Client::new()
        .post(mall.client.url().clone())
        .header("content-type", "application/json")
        .header("accept", "application/json;callbackSpec=1.0")
        .body(body.to_string());
    let response = within("an answer", request.send()).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_router_is_asked_first_then_told_everything_and_then_that_it_is_over() {
    let mut router = Receiver::open().await;
    let mut mall = Mall::open_with(&[("MALLBOTS_CALLBACK_ORIGINS", &router.origin())]).await;
    mall.given_an_idle_bot("Robby").await;
    let url = format!("{}/callback/one", router.origin());
    let (status, headers, answer) = subscribe(&mall, &url, BOTS).await;
    assert_eq!((status, &answer), (200, &json!({ "data": null })), "{answer}");
    assert_eq!(headers["subscription-protocol"], "callback/1.0");

    let check = json!({
        "kind": "subscription", "action": "check", "id": "one", "verifier": "secret",
    });
    assert_eq!(within("a message", router.told.recv()).await.unwrap(), check);
    let now = router.next("next").await;
    assert_eq!(now["payload"]["data"]["botsChanged"]["name"], "Robby");
    assert!(now["payload"]["extensions"]["cursor"].is_string());
    assert_eq!((&now["id"], &now["verifier"]), (&json!("one"), &json!("secret")));

    // While nothing happens it is asked whether it still listens.
    assert_eq!(router.next("check").await, check);
    mall.given_an_idle_bot("Marvin").await;
    let told = router.next("next").await;
    assert_eq!(told["payload"]["data"]["botsChanged"]["name"], "Marvin");

    mall.stop().await;
    loop {
        let told = within("the end", router.told.recv()).await.unwrap();
        if told["action"] == "complete" {
            assert_eq!(told["errors"][0]["extensions"]["code"], "UNAVAILABLE");
            break;
        }
    }
}

#[tokio::test]
async fn a_router_that_does_not_know_its_subscription_any_more_ends_it() {
    let router = Receiver::open().await;
    let origin = router.origin();
    let settings = [("MALLBOTS_CALLBACK_ORIGINS", &*origin), ("MALLBOTS_MAX_CALLBACKS", "1")];
    let mall = Mall::open_with(&settings).await;
    let url = format!("{origin}/callback/one");
    assert_eq!(subscribe(&mall, &url, BOTS).await.0, 200);
    // There is one place, and it is taken.
    let (status, headers, answer) = subscribe(&mall, &url, BOTS).await;
    assert_eq!((status, code(&answer)), (503, "UNAVAILABLE"));
    assert!(headers.contains_key("retry-after"));

    router.answer.send(StatusCode::NOT_FOUND).unwrap();
    mall.given_an_idle_bot("Robby").await;
    // Whoever asks now finds a place once that subscription is over, and does not confirm.
    let free = async {
        loop {
            let (_, _, answer) = subscribe(&mall, &url, BOTS).await;
            if code(&answer) == "BAD_REQUEST" {
                break;
            }
            assert_eq!(code(&answer), "UNAVAILABLE");
        }
    };
    tokio::time::timeout(Duration::from_secs(30), free).await.unwrap();
    router.answer.send(StatusCode::NO_CONTENT).unwrap();
    assert_eq!(subscribe(&mall, &url, BOTS).await.0, 200);
}

#[tokio::test]
async fn nobody_is_called_who_does_not_want_to_be_or_is_not_listed() {
    let mut router = Receiver::open().await;
    let mut stranger = Receiver::open().await;
    let mall = Mall::open_with(&[("MALLBOTS_CALLBACK_ORIGINS", &router.origin())]).await;
    let url = format!("{}/callback/one", router.origin());

    // An address that is not listed is not even asked.
    let (status, _, answer) =
        subscribe(&mall, &format!("{}/callback/one", stranger.origin()), BOTS).await;
    assert_eq!((status, code(&answer)), (400, "BAD_REQUEST"));
    assert!(stranger.told.try_recv().is_err());

    for status in [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::TEMPORARY_REDIRECT] {
        router.answer.send(status).unwrap();
        let (refused, _, answer) = subscribe(&mall, &url, BOTS).await;
        assert_eq!((refused, code(&answer)), (400, "BAD_REQUEST"), "{status}");
        assert_eq!(router.told.recv().await.unwrap()["action"], "check");
        // Nor is it followed to where it sends us.
        assert!(router.told.try_recv().is_err(), "{status}");
    }

    // Without a list nobody is called.
    let mall = Mall::open().await;
    let (status, _, answer) = subscribe(&mall, &url, BOTS).await;
    assert_eq!((status, code(&answer)), (400, "BAD_REQUEST"));
    assert!(router.told.try_recv().is_err());
}
