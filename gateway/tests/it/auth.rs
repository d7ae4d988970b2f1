//! Who comes in with which token, on every way in.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use axum::{Router, routing::get};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::{SinkExt, StreamExt};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header, encode,
    jwk::{Jwk, JwkSet},
};
use mallbots_domain::id::CustomerId;
use mallbots_gateway::{
    auth::{
        Rights, Role, Roles,
        token::{Claims, Terms, mint},
    },
    client::CallError,
    config::Secret,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use crate::support::{Mall, new_id, within};

pub(crate) const SECRET: &str = "a secret of thirty-two characters or more";
pub(crate) const ISSUER: &str = "https://id.example";
pub(crate) const AUDIENCE: &str = "mall";

/// Settings of a mall with keys, which nobody is limited in.
pub(crate) const KEYS: [(&str, &str); 5] = [
    ("MALLBOTS_AUTH_SECRET", SECRET),
    ("MALLBOTS_AUTH_ISSUER", ISSUER),
    ("MALLBOTS_AUTH_AUDIENCE", AUDIENCE),
    ("MALLBOTS_AUTH_LEEWAY", "0s"),
    ("MALLBOTS_RATE_LIMIT", "off"),
];

/// A token that a mall with those settings takes.
pub(crate) fn token(subject: &str, rights: &Rights) -> Secret {
    token_for(subject, rights, Duration::from_hours(1))
}

fn token_for(subject: &str, rights: &Rights, lifetime: Duration) -> Secret {
    let terms =
        Terms { issuer: ISSUER.to_owned(), audience: AUDIENCE.to_owned(), leeway: Duration::ZERO };
    let secret = SECRET.parse().unwrap();
    mint(Claims::of(subject, rights), lifetime, &terms, &secret).unwrap().parse().unwrap()
}

pub(crate) fn rights(roles: &[Role]) -> Rights {
    Rights { roles: Roles::of(roles), ..Rights::default() }
}

/// Opens a mall with keys, in which the test itself is an administrator.
pub(crate) async fn guarded_mall() -> Mall {
    let mut mall = Mall::open_with(&KEYS).await;
    let admin = token("admin", &rights(&[Role::Admin]));
    mall.client = mall.client.clone().with_token(Some(admin));
    mall
}

/// Sends a query with whatever header, and returns status and first code.
async fn knock(mall: &Mall, authorization: Option<&str>) -> (u16, Value) {
    let client = reqwest::Client::new();
    let mut request = client
        .post(mall.client.url().clone())
        .header("content-type", "application/json")
        .body(r#"{"query":"{ stores { nodes { id } } }"}"#);
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    let response = within("an answer", request.send()).await.unwrap();
    let status = response.status().as_u16();
    assert_eq!(response.headers().contains_key("www-authenticate"), status == 401);
    let answer: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    (status, answer["errors"][0]["extensions"]["code"].clone())
}

fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// What a good token says, as a start for bad ones.
fn claims() -> Value {
    json!({
        "sub": "ada", "iss": ISSUER, "aud": AUDIENCE, "exp": now() + 600, "roles": ["admin"],
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let said = claims.as_object_mut().unwrap();
    if value.is_null() {
        said.remove(name)
    } else {
        said.insert(name.to_owned(), value)
    };
    claims
}

fn signed(algorithm: Algorithm, claims: &Value, key: &EncodingKey) -> String {
    encode(&Header::new(algorithm), claims, key).unwrap()
}

fn unsigned(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

#[tokio::test]
async fn tokens_of_every_broken_kind_are_refused() {
    let mall = guarded_mall().await;
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let good = signed(Algorithm::HS256, &claims(), &key);
    assert_eq!(knock(&mall, Some(&format!("Bearer {good}"))).await.0, 200);
    assert_eq!(knock(&mall, Some(&format!("bearer  {good}"))).await.0, 200);
    let several = with("aud", json!(["other", AUDIENCE]));
    let several = signed(Algorithm::HS256, &several, &key);
    assert_eq!(knock(&mall, Some(&format!("Bearer {several}"))).await.0, 200);

    let (head, rest) = good.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let hs256 = json!({ "alg": "HS256", "typ": "JWT" });
    let other_body = BASE64_URL_SAFE_NO_PAD.encode(with("sub", json!("eve")).to_string());
    let sign = |claims: &Value| signed(Algorithm::HS256, claims, &key);
    let critical = Header { crit: Some(vec!["b64".to_owned()]), ..Header::new(Algorithm::HS256) };
    let broken = BTreeMap::from([
        ("nothing", String::new()),
        ("words", "let me in".to_owned()),
        ("two parts", format!("{head}.{body}")),
        ("four parts", format!("{good}.{signature}")),
        ("no signature", format!("{head}.{body}.")),
        ("another signature", format!("{head}.{body}.{}", signature.repeat(2))),
        ("another body", format!("{head}.{other_body}.{signature}")),
        ("alg none", unsigned(&json!({ "alg": "none" }), &claims(), "")),
        ("alg None", unsigned(&json!({ "alg": "None" }), &claims(), signature)),
        ("no alg", unsigned(&json!({ "typ": "JWT" }), &claims(), signature)),
        ("alg of a public key", unsigned(&json!({ "alg": "RS256" }), &claims(), signature)),
        ("another secret", {
            let other = EncodingKey::from_secret(b"another secret of thirty-two characters");
            signed(Algorithm::HS256, &claims(), &other)
        }),
        ("another digest", signed(Algorithm::HS512, &claims(), &key)),
        ("not of its header", unsigned(&json!({ "alg": "HS384" }), &claims(), signature)),
        ("critical extensions", encode(&critical, &claims(), &key).unwrap()),
        ("no JSON", format!("{head}.{}.{signature}", BASE64_URL_SAFE_NO_PAD.encode("{"))),
        ("no object", unsigned(&hs256, &json!("ada"), signature)),
        ("expired", sign(&with("exp", json!(now() - 1)))),
        ("expired as a fraction", sign(&with("exp", json!(0.5)))),
        ("expiry as text", sign(&with("exp", json!((now() + 600).to_string())))),
        ("negative expiry", sign(&with("exp", json!(-1)))),
        ("no expiry", sign(&with("exp", Value::Null))),
        ("not yet", sign(&with("nbf", json!(now() + 300)))),
        ("another issuer", sign(&with("iss", json!("https://evil.example")))),
        ("no issuer", sign(&with("iss", Value::Null))),
        ("another audience", sign(&with("aud", json!("bank")))),
        ("no audience", sign(&with("aud", Value::Null))),
        ("nobody", sign(&with("sub", Value::Null))),
        ("an empty name", sign(&with("sub", json!("")))),
        ("a long name", sign(&with("sub", json!("a".repeat(300))))),
        ("a name with a line break", sign(&with("sub", json!("ada\nadmin")))),
        ("no customer", sign(&with("customer_id", json!("ada")))),
        (
            "another kind of id",
            sign(&with("customer_id", json!("store_01h455vb4pex5vsknk084sn02q"))),
        ),
        ("no store", sign(&with("store_ids", json!(["x"])))),
        ("too long", sign(&with("name", json!("x".repeat(10_000))))),
    ]);
    for (what, token) in broken {
        let answer = knock(&mall, Some(&format!("Bearer {token}"))).await;
        assert_eq!(answer, (401, json!("UNAUTHENTICATED")), "{what}");
    }
    for header in ["", "Bearer", &good, &format!("Basic {good}"), &format!("Bearer {good} {good}")]
    {
        assert_eq!(knock(&mall, Some(header)).await, (401, json!("UNAUTHENTICATED")), "{header}");
    }
    assert_eq!(knock(&mall, None).await, (401, json!("UNAUTHENTICATED")));
    // What is refused is not repeated in the log.
    assert!(!mall.log().contains(&good) && !mall.log().contains(signature));
}

#[tokio::test]
async fn a_role_of_another_program_is_no_role_here() {
    let mall = guarded_mall().await;
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    for roles in [json!([]), json!(["ADMIN"]), json!(["root", "administrator"])] {
        let token = signed(Algorithm::HS256, &with("roles", roles), &key);
        let answer = knock(&mall, Some(&format!("Bearer {token}"))).await;
        assert_eq!(answer, (200, json!("FORBIDDEN")));
    }
}

/// A pair of keys, and how others know the public one.
struct Pair {
    id: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
    public: Jwk,
}

impl Pair {
    fn new(id: &'static str, algorithm: Algorithm) -> Self {
        let random = SystemRandom::new();
        #[expect(clippy::wildcard_enum_match_arm, reason = "there will be others")]
        let key = match algorithm {
            Algorithm::RS256 => {
                let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
                let der = pair.as_der().unwrap();
                // The key itself begins behind 26 bytes that say that it is RSA.
                EncodingKey::from_rsa_der(&der.as_ref()[26..])
            }
            Algorithm::ES256 => {
                let signing = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let der = EcdsaKeyPair::generate_pkcs8(signing, &random).unwrap();
                EncodingKey::from_ec_der(der.as_ref())
            }
            Algorithm::EdDSA => {
                let der = Ed25519KeyPair::generate_pkcs8v1(&random).unwrap();
                EncodingKey::from_ed_der(der.as_ref())
            }
            other => panic!("{other:?} has no pairs"),
        };
        let mut public = Jwk::from_encoding_key(&key, algorithm).unwrap();
        public.common.key_id = Some(id.to_owned());
        Self { id, algorithm, key, public }
    }

    /// A good token of an administrator.
    fn token(&self) -> String {
        self.token_under(Some(self.id))
    }

    fn token_under(&self, id: Option<&str>) -> String {
        let header = Header { kid: id.map(str::to_owned), ..Header::new(self.algorithm) };
        encode(&header, &claims(), &self.key).unwrap()
    }
}

fn set(pairs: &[&Pair]) -> String {
    let keys = pairs.iter().map(|pair| pair.public.clone()).collect();
    serde_json::to_string(&JwkSet { keys }).unwrap()
}

fn settings(jwks: &str) -> Vec<(&str, &str)> {
    let mut settings = KEYS.to_vec();
    settings[0] = ("MALLBOTS_AUTH_JWKS", jwks);
    settings
}

/// Comes with a token until the answer is as hoped: keys are read in a rhythm.
async fn knock_until(mall: &Mall, token: &str, status: u16) {
    let authorization = format!("Bearer {token}");
    let knocking = async {
        while knock(mall, Some(&authorization)).await.0 != status {
            tokio::task::yield_now().await;
        }
    };
    within(&format!("status {status}"), knocking).await;
}

#[tokio::test]
async fn each_algorithm_of_a_key_set_counts_with_its_own_key_only() {
    let pairs = [
        Pair::new("rsa", Algorithm::RS256),
        Pair::new("ec", Algorithm::ES256),
        Pair::new("ed", Algorithm::EdDSA),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    // A symmetric key that everybody can read, and one of a kind to come.
    let mut keys: Value = serde_json::from_str(&set(&pairs.each_ref())).unwrap();
    let known = BASE64_URL_SAFE_NO_PAD.encode(SECRET);
    let keys_list = keys["keys"].as_array_mut().unwrap();
    keys_list.push(json!({ "kty": "oct", "k": known, "kid": "oct", "alg": "HS256" }));
    keys_list.push(json!({ "kty": "LATTICE", "kid": "new", "crv": "?" }));
    std::fs::write(&path, keys.to_string()).unwrap();
    let mall = Mall::open_with(&settings(path.to_str().unwrap())).await;

    for pair in &pairs {
        for token in [pair.token(), pair.token_under(None)] {
            assert_eq!(knock(&mall, Some(&format!("Bearer {token}"))).await.0, 200, "{}", pair.id);
        }
        for other in pairs.iter().filter(|other| other.id != pair.id) {
            let token = pair.token_under(Some(other.id));
            let answer = knock(&mall, Some(&format!("Bearer {token}"))).await;
            assert_eq!(answer, (401, json!("UNAUTHENTICATED")), "{} as {}", pair.id, other.id);
        }
    }
    // The public key as a secret, and the symmetric key of the set.
    let public = serde_json::to_string(&pairs[0].public).unwrap();
    for (secret, id) in [(public.as_str(), "rsa"), (SECRET, "oct"), (SECRET, "rsa")] {
        let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::HS256) };
        let key = EncodingKey::from_secret(secret.as_bytes());
        let token = encode(&header, &claims(), &key).unwrap();
        let answer = knock(&mall, Some(&format!("Bearer {token}"))).await;
        assert_eq!(answer, (401, json!("UNAUTHENTICATED")), "{id}");
    }
}

#[tokio::test]
async fn keys_in_a_file_are_rotated_while_the_mall_is_open() {
    let (old, new) = (Pair::new("old", Algorithm::ES256), Pair::new("new", Algorithm::ES256));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let replace = |path: &Path, text: String| {
        let next = path.with_extension("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, path).unwrap();
    };
    replace(&path, set(&[&old]));
    let mall = Mall::open_with(&settings(path.to_str().unwrap())).await;
    knock_until(&mall, &old.token(), 200).await;
    assert_eq!(knock(&mall, Some(&format!("Bearer {}", new.token()))).await.0, 401);

    replace(&path, set(&[&old, &new]));
    knock_until(&mall, &new.token(), 200).await;
    assert_eq!(knock(&mall, Some(&format!("Bearer {}", old.token()))).await.0, 200);

    // A broken file takes nobody's keys away. That of a stranger makes it be read.
    replace(&path, "{".to_owned());
    let stranger = Pair::new("stranger", Algorithm::ES256);
    assert_eq!(knock(&mall, Some(&format!("Bearer {}", stranger.token()))).await.0, 401);
    assert_eq!(knock(&mall, Some(&format!("Bearer {}", new.token()))).await.0, 200);
}

#[tokio::test]
async fn keys_at_an_address_are_fetched_seldom_and_may_be_away_for_a_while() {
    let pair = Pair::new("one", Algorithm::EdDSA);
    let (asked, mut told) = watch::channel(0_u32);
    let keys = Arc::new(set(&[&pair]));
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route(
        "/keys",
        get(move || {
            asked.send_modify(|times| *times += 1);
            let keys = Arc::clone(&keys);
            async move { keys.to_string() }
        }),
    );
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let mall = Mall::open_with(&settings(&format!("http://{address}/keys"))).await;
    knock_until(&mall, &pair.token(), 200).await;

    let stranger = Pair::new("stranger", Algorithm::EdDSA);
    for _ in 0..50 {
        assert_eq!(knock(&mall, Some(&format!("Bearer {}", stranger.token()))).await.0, 401);
    }
    assert_eq!(*told.borrow_and_update(), 1, "strangers make it ask again and again");
    server.abort();
    assert_eq!(knock(&mall, Some(&format!("Bearer {}", pair.token()))).await.0, 200);
}

#[tokio::test]
async fn without_any_keys_at_hand_tokens_wait_rather_than_fail() {
    let pair = Pair::new("one", Algorithm::EdDSA);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let mall = Mall::open_with(&settings(path.to_str().unwrap())).await;
    let answer = knock(&mall, Some(&format!("Bearer {}", pair.token()))).await;
    assert_eq!(answer, (503, json!("UNAVAILABLE")));
    std::fs::write(&path, set(&[&pair])).unwrap();
    knock_until(&mall, &pair.token(), 200).await;
}

#[tokio::test]
async fn with_keys_a_mall_may_be_called_by_any_name() {
    for (mall, status) in [(guarded_mall().await, 401), (Mall::open().await, 403)] {
        let client = reqwest::Client::new();
        let request = client.post(mall.client.url().clone()).header("host", "mall.example");
        let response = within("an answer", request.body("{}").send()).await.unwrap();
        assert_eq!(response.status().as_u16(), status);
    }
}

#[tokio::test]
async fn the_schema_is_told_to_those_with_its_scope_only() {
    let mall = guarded_mall().await;
    let question = "{ __schema { queryType { name } } }";
    let _ = mall.ask(question, json!({})).await.is_refused("FORBIDDEN").saying("schema");
    assert_eq!(mall.get("/schema.graphql").await.0, 401);
    let knowing = Rights { schema: true, ..rights(&[Role::Customer]) };
    let client = mall.client.clone().with_token(Some(token("tools", &knowing)));
    let answer = client.ask(question, json!({})).await.unwrap();
    assert_eq!(answer["__schema"]["queryType"]["name"], "Query");

    let open = Mall::open().await;
    open.ask(question, json!({})).await.succeeds();
    assert_eq!(open.get("/schema.graphql").await.0, 200);
}

// ---- sockets

type Socket = tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>;

/// Opens a socket with a payload of `connection_init`.
async fn socket(mall: &Mall, init: Value) -> Socket {
    let url = mall.client.url().to_string().replacen("http", "ws", 1);
    let mut request = url.into_client_request().unwrap();
    let protocol = "graphql-transport-ws".parse().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    let address = mall.client.url().socket_addrs(|| None).unwrap()[0];
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    say(&mut socket, json!({ "type": "connection_init", "payload": init })).await;
    socket
}

async fn say(socket: &mut Socket, message: Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

/// The next message, or the code and reason of the end.
async fn hear(socket: &mut Socket) -> Result<Value, (u16, String)> {
    loop {
        match within("a message", socket.next()).await.unwrap().unwrap() {
            Message::Text(text) => return Ok(serde_json::from_str(&text).unwrap()),
            Message::Close(Some(frame)) => {
                return Err((frame.code.into(), frame.reason.to_string()));
            }
            Message::Ping(_)
            | Message::Pong(_)
            | Message::Binary(_)
            | Message::Frame(_)
            | Message::Close(None) => {}
        }
    }
}

#[tokio::test]
async fn a_socket_is_opened_for_whom_its_token_names() {
    let mall = guarded_mall().await;
    let ada = mall.given_a_customer("Ada").await;
    let who = Rights { customer: Some(ada), ..rights(&[Role::Customer]) };
    let secret = token("ada", &who);
    for init in [
        json!({ "token": secret.expose() }),
        json!({ "authorization": format!("Bearer {}", secret.expose()) }),
        json!({ "Authorization": format!("Bearer {}", secret.expose()), "token": null }),
    ] {
        let mut socket = socket(&mall, init).await;
        assert_eq!(hear(&mut socket).await.unwrap()["type"], "connection_ack");
        let query = format!("{{ customer(id: \"{ada}\") {{ name }} }}");
        let payload = json!({ "query": query });
        say(&mut socket, json!({ "type": "subscribe", "id": "1", "payload": payload })).await;
        let answer = hear(&mut socket).await.unwrap();
        assert_eq!(answer["payload"]["data"]["customer"]["name"], "Ada");
        let payload = json!({ "query": "{ customers { nodes { id } } }" });
        say(&mut socket, json!({ "type": "subscribe", "id": "2", "payload": payload })).await;
        assert_eq!(hear(&mut socket).await.unwrap()["type"], "complete");
        let refusal = hear(&mut socket).await.unwrap();
        assert_eq!(refusal["type"], "error");
        assert_eq!(refusal["payload"][0]["extensions"]["code"], "FORBIDDEN");
    }
    for init in [json!({}), json!({ "token": "x" }), json!({ "token": "" })] {
        let mut socket = socket(&mall, init).await;
        assert_eq!(hear(&mut socket).await.unwrap_err().0, 4403);
    }
}

#[tokio::test]
async fn a_token_that_expires_ends_its_subscriptions_and_says_so_before() {
    let mall = guarded_mall().await;
    let ada: CustomerId = mall.given_a_customer("Ada").await;
    let who = Rights { customer: Some(ada), ..rights(&[Role::Customer]) };
    let short = token_for("ada", &who, Duration::from_secs(3));
    let mut socket = socket(&mall, json!({ "token": short.expose() })).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "connection_ack");
    let query = format!("subscription {{ notificationSent(customerId: \"{ada}\") {{ id }} }}");
    let payload = json!({ "query": query });
    say(&mut socket, json!({ "type": "subscribe", "id": "1", "payload": payload })).await;

    let announced = hear(&mut socket).await.unwrap();
    assert_eq!(announced, json!({ "type": "ping", "payload": { "reauthenticate": true } }));
    // Answering it is polite, and changes nothing.
    say(&mut socket, json!({ "type": "pong" })).await;
    assert_eq!(hear(&mut socket).await, Err((4403, "The token has expired".to_owned())));
    // Nor does the token open another.
    let mut again = self::socket(&mall, json!({ "token": short.expose() })).await;
    assert_eq!(hear(&mut again).await.unwrap_err().0, 4403);
}

#[tokio::test]
async fn a_token_that_expires_ends_subscriptions_over_http_with_words() {
    let mall = guarded_mall().await;
    for accept in ["text/event-stream", "multipart/mixed;subscriptionSpec=1.0,application/json"] {
        let short = token_for("depot", &rights(&[Role::Depot]), Duration::from_secs(2));
        let response = reqwest::Client::new()
            .post(mall.client.url().clone())
            .header("content-type", "application/json")
            .header("accept", accept)
            .header("authorization", format!("Bearer {}", short.expose()))
            .body(r#"{"query":"subscription { botsChanged { id } }"}"#)
            .send();
        let response = within("an answer", response).await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{accept}");
        let told = within("the end", response.text()).await.unwrap();
        assert!(told.contains("UNAUTHENTICATED"), "{accept}: {told}");
        assert!(told.contains("the token has expired"), "{accept}: {told}");
    }
}

// ---- how fast

#[tokio::test]
async fn who_asks_too_fast_is_told_how_long_to_wait_on_every_way_in() {
    let mut settings = KEYS.to_vec();
    settings[4] = ("MALLBOTS_RATE_LIMIT", "1");
    settings.push(("MALLBOTS_RATE_BURST", "3"));
    let mall = Mall::open_with(&settings).await;
    let ada = token("ada", &rights(&[Role::Customer]));
    let authorization = format!("Bearer {}", ada.expose());
    let mut refused = None;
    for _ in 0..10 {
        let client = reqwest::Client::new();
        let request = client
            .post(mall.client.url().clone())
            .header("content-type", "application/json")
            .header("authorization", &authorization)
            .body(r#"{"query":"{ __typename }"}"#);
        let response = within("an answer", request.send()).await.unwrap();
        if response.status().as_u16() == 429 {
            refused = Some(response);
            break;
        }
        assert_eq!(response.status().as_u16(), 200);
    }
    let refused = refused.expect("a limit");
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=3).contains(&wait), "{wait}");
    let answer: Value = serde_json::from_slice(&refused.bytes().await.unwrap()).unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "RATE_LIMITED");
    assert!(answer["errors"][0]["extensions"]["details"]["retryAfter"].is_u64(), "{answer}");

    // The same count for streams, which are not begun.
    for accept in ["text/event-stream", "multipart/mixed;subscriptionSpec=1.0,application/json"] {
        let request = reqwest::Client::new()
            .post(mall.client.url().clone())
            .header("content-type", "application/json")
            .header("accept", accept)
            .header("authorization", &authorization)
            .body(r#"{"query":"subscription { productsChanged { id } }"}"#);
        let refused = within("an answer", request.send()).await.unwrap();
        assert_eq!(refused.status().as_u16(), 429, "{accept}");
        assert!(refused.headers().contains_key("retry-after"), "{accept}");
        let answer: Value = serde_json::from_slice(&refused.bytes().await.unwrap()).unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], "RATE_LIMITED");
    }

    // The same count on a socket.
    let mut socket = socket(&mall, json!({ "token": ada.expose() })).await;
    assert_eq!(hear(&mut socket).await.unwrap()["type"], "connection_ack");
    for id in 0..10 {
        let payload = json!({ "query": "{ __typename }" });
        let subscribe = json!({ "type": "subscribe", "id": id.to_string(), "payload": payload });
        say(&mut socket, subscribe).await;
    }
    let mut codes = Vec::new();
    while codes.is_empty() {
        let message = hear(&mut socket).await.unwrap();
        if message["type"] == "error" {
            codes.push(message["payload"][0]["extensions"]["code"].clone());
        }
    }
    assert_eq!(codes, ["RATE_LIMITED"]);
    // Another caller is not concerned.
    let eve = token("eve", &rights(&[Role::Customer]));
    let client = mall.client.clone().with_token(Some(eve));
    client.ask("{ __typename }", json!({})).await.unwrap();
}

// ---- what is recorded, and what happens once

#[tokio::test]
async fn who_did_it_is_recorded_and_keys_of_callers_do_not_meet() {
    let mall = guarded_mall().await;
    let (ada, bob): (CustomerId, CustomerId) = (new_id(), new_id());
    let mark = "the same for both";
    for (name, id) in [("ada", ada), ("bob", bob)] {
        let who = Rights { customer: Some(id), ..rights(&[Role::Customer]) };
        let client = mall.client.clone().with_token(Some(token(name, &who)));
        let document = "mutation($input: RegisterCustomerInput!) \
                        { registerCustomer(input: $input) { customer { id } } }";
        let input = json!({
            "id": id, "name": name, "smsNumber": "+15550100", "clientMutationId": mark,
        });
        let answer = client.ask(document, json!({ "input": input })).await.unwrap();
        assert_eq!(answer["registerCustomer"]["customer"]["id"], json!(id));
    }
    let document = "query($id: ID!) { history(id: $id) { nodes { actor } } }";
    for (name, id) in [("ada", ada), ("bob", bob)] {
        let answer = mall.ask(document, json!({ "id": id })).await.succeeds();
        assert_eq!(answer["history"]["nodes"][0]["actor"], name);
    }
}

// ---- development mode, and the command

#[tokio::test]
async fn the_command_makes_tokens_that_outlive_a_restart() {
    let mut mall = Mall::open().await;
    let ada = mall.given_a_customer("Ada").await;
    let made =
        mall.command(&["token", "--role", "customer", "--customer", &ada.to_string()], "").await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let secret: Secret = made.out.trim().parse().unwrap();
    for again in [false, true] {
        if again {
            assert!(mall.stop().await.success());
            mall.reopen().await;
        }
        let client = mall.client.clone().with_token(Some(secret.clone()));
        let question = "{ customers { nodes { id } } }";
        let Err(CallError::Refused(refusal)) = client.ask(question, json!({})).await else {
            panic!("a customer sees all customers");
        };
        assert_eq!(refusal.code(), "FORBIDDEN");
        // Without, one is the administrator.
        mall.ask(question, json!({})).await.succeeds();
    }
    // Nobody else's token counts.
    let foreign = mall.client.clone().with_token(Some(token("eve", &rights(&[Role::Admin]))));
    assert_eq!(
        foreign.ask("{ __typename }", json!({})).await.unwrap_err().code(),
        "UNAUTHENTICATED"
    );
}

#[tokio::test]
async fn processes_that_share_a_database_take_the_same_tokens() {
    let mall = Mall::open_on_postgres().await;
    let made = mall.command(&["token", "--role", "depot", "--subject", "dora"], "").await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let client = mall.client.clone().with_token(Some(made.out.trim().parse().unwrap()));
    client.ask("{ bots { nodes { id } } }", json!({})).await.unwrap();
    assert_eq!(
        client.ask("{ projections { name } }", json!({})).await.unwrap_err().code(),
        "FORBIDDEN"
    );
}

#[tokio::test]
async fn commands_come_in_with_a_token_from_the_environment_or_a_file() {
    let mall = guarded_mall().await;
    let made = mall.command(&["token", "--role", "admin", "--lifetime", "5m"], "").await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, made.out).unwrap();
    let url = mall.client.url().to_string();
    let asked = ["projections", "list", "--url", &url];
    let without = mall.command(&asked, "").await;
    assert_eq!(without.code, Some(1), "{without:?}");
    assert!(without.err.contains("UNAUTHENTICATED"), "{without:?}");
    let with = [&asked[..], &["--token-file", path.to_str().unwrap()]].concat();
    let with = mall.command(&with, "").await;
    assert_eq!(with.code, Some(0), "{with:?}");
}

#[tokio::test]
async fn only_the_issuer_of_a_key_set_makes_its_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let mall = Mall::open_with(&settings(path.to_str().unwrap())).await;
    let made = mall.command(&["token", "--role", "admin"], "").await;
    assert_eq!(made.code, Some(1), "{made:?}");
    assert!(made.err.contains(ISSUER), "{made:?}");

    let open = Mall::open().await;
    let customer = new_id::<CustomerId>().to_string();
    let wrong = open.command(&["token", "--role", "depot", "--customer", &customer], "").await;
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(wrong.err.contains("--role customer"), "{wrong:?}");
}

#[tokio::test]
async fn the_playground_offers_tokens_to_this_machine_in_development_mode_only() {
    let mall = Mall::open().await;
    mall.given_a_shopper().await;
    let offered = |page: &str| -> BTreeMap<String, String> {
        let (_, rest) = page.split_once("data-tokens='").expect("a page that looks at tokens");
        let text = rest.split('\'').next().unwrap();
        if text.is_empty() { BTreeMap::new() } else { serde_json::from_str(text).unwrap() }
    };
    let (_, page) = mall.get("/playground").await;
    let tokens = offered(&page);
    let roles: Vec<_> = tokens.keys().map(String::as_str).collect();
    assert_eq!(roles, ["admin", "customer", "depot", "store_owner"]);
    for (role, secret) in &tokens {
        let client = mall.client.clone().with_token(Some(secret.parse().unwrap()));
        client.ask("{ stores { nodes { id } } }", json!({})).await.unwrap();
        let all = client.ask("{ customers { nodes { id } } }", json!({})).await;
        assert_eq!(all.is_ok(), role == "admin", "{role}");
    }
    // A page of another name that was made to point here gets none.
    let url = mall.client.url().join("/playground").unwrap();
    let request = reqwest::Client::new().get(url).header("host", "evil.example");
    let page = within("a page", request.send()).await.unwrap().text().await.unwrap();
    assert!(offered(&page).is_empty());

    let guarded = guarded_mall().await;
    assert!(offered(&guarded.get("/playground").await.1).is_empty());
}
