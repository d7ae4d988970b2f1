//! What equal subscriptions cost together: executions and reads are counted
//! inside the process.

use std::sync::Arc;

use futures_util::{StreamExt, stream::BoxStream};
use mallbots_domain::id::BotId;
use mallbots_gateway::{
    auth::{Caller, Role},
    cli::SettingsArgs,
    config::Config,
    error::ErrorCode,
    graphql::{self, services::Services},
    mall,
    startup::{Lifecycle, Readiness},
    transport::{
        context::RequestContext,
        pipeline::{Call, Pipeline, PipelineSettings, Transport},
        sharing::Sent,
    },
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    auth::rights,
    support::{new_id, within},
};

/// A mall without a door.
struct Inside {
    pipeline: Arc<Pipeline>,
    services: Services,
    _data: TempDir,
}

type Watch = BoxStream<'static, Arc<Sent>>;

impl Inside {
    async fn open() -> Self {
        let data = tempfile::tempdir().unwrap();
        let flags = SettingsArgs { data: Some(data.path().to_owned()), ..SettingsArgs::default() };
        let config = Config::load(&flags, []).unwrap();
        let opened = mall::open(&config, &Lifecycle::default(), &Readiness::default()).await;
        let services = opened.unwrap().services.unwrap();
        let loaders = services.loaders();
        let schema = |mode| {
            graphql::schema_builder()
                .data(services.clone())
                .data(loaders.clone())
                .validation_mode(mode)
                .finish()
        };
        let settings = PipelineSettings { shared: graphql::SHARED, ..PipelineSettings::default() };
        let pipeline = Arc::new(Pipeline::new(schema, settings).unwrap());
        Self { pipeline, services, _data: data }
    }

    fn watch(&self, query: &str) -> Watch {
        let parameters = serde_json::from_value(json!({ "query": query })).unwrap();
        let operation = self.pipeline.prepare(parameters, &Caller::developer()).unwrap();
        self.pipeline.stream(operation, call(Transport::WebSocket, Caller::developer()))
    }

    async fn given(&self, field: &str, input: Value) {
        let name = format!("{}{}Input", field[..1].to_uppercase(), &field[1..]);
        let query = format!("mutation($i: {name}!) {{ {field}(input: $i) {{ position }} }}");
        let parameters = json!({ "query": query, "variables": { "i": input } });
        let parameters = serde_json::from_value(parameters).unwrap();
        let operation = self.pipeline.prepare(parameters, &Caller::developer()).unwrap();
        let call = call(Transport::Http, Caller::developer());
        let reply = self.pipeline.execute(operation, call).await;
        assert!(reply.errors.is_empty(), "{:?}", reply.errors);
    }
}

fn call(transport: Transport, caller: Caller) -> Call {
    Call::new(transport, RequestContext::mint(), caller)
}

async fn next(watch: &mut Watch) -> Arc<Sent> {
    within("an item", watch.next()).await.unwrap()
}

fn data(sent: &Sent) -> Value {
    serde_json::from_slice::<Value>(&sent.payload).unwrap()["data"].clone()
}

#[tokio::test]
async fn a_thousand_who_watch_the_same_cost_one_execution_and_one_read() {
    let mall = Inside::open().await;
    let bot: BotId = new_id();
    mall.given("registerBot", json!({ "id": bot, "name": "Robby" })).await;
    let query = "subscription { botsChanged { id status } }";
    let mut watches: Vec<_> = (0..1_000).map(|_| mall.watch(query)).collect();
    for watch in &mut watches {
        let first = next(watch).await;
        assert_eq!(data(&first), json!({ "botsChanged": { "id": bot, "status": "OFFLINE" } }));
    }
    assert_eq!((mall.pipeline.rooms(), mall.services.fresh.reads()), (1, 0));

    mall.given("bringBotOnline", json!({ "id": bot })).await;
    let mut told = Vec::new();
    for watch in &mut watches {
        told.push(next(watch).await);
    }
    assert_eq!(data(&told[0]), json!({ "botsChanged": { "id": bot, "status": "IDLE" } }));
    assert!(told.iter().all(|sent| Arc::ptr_eq(sent, &told[0])), "one payload for all");
    assert_eq!(mall.services.fresh.reads(), 1);

    // When nobody is left, nothing goes on.
    drop(watches);
    assert_eq!(mall.pipeline.rooms(), 0);
}

#[tokio::test]
async fn those_who_watch_the_same_row_differently_share_the_read() {
    let mall = Inside::open().await;
    let bot: BotId = new_id();
    mall.given("registerBot", json!({ "id": bot, "name": "Robby" })).await;
    let queries = ["{ id }", "{ status }", "{ id status }", "{ name }", "{ __typename }"];
    let mut watches: Vec<_> = queries
        .iter()
        .map(|selection| mall.watch(&format!("subscription {{ botsChanged {selection} }}")))
        .collect();
    for watch in &mut watches {
        next(watch).await;
    }
    assert_eq!(mall.pipeline.rooms(), 5);
    for (field, reads) in [("bringBotOnline", 1), ("takeBotOffline", 2)] {
        mall.given(field, json!({ "id": bot })).await;
        for watch in &mut watches {
            next(watch).await;
        }
        assert_eq!(mall.services.fresh.reads(), reads, "{field}");
    }
}

#[tokio::test]
async fn who_may_see_something_else_shares_nothing() {
    let mall = Inside::open().await;
    let parameters = json!({ "query": "subscription { botsChanged { id } }" });
    let watch = |(name, role): (&str, Role)| {
        let parameters = serde_json::from_value(parameters.clone()).unwrap();
        let caller = Caller::new(name, rights(&[role]), None);
        let operation = mall.pipeline.prepare(parameters, &caller).unwrap();
        mall.pipeline.stream(operation, call(Transport::WebSocket, caller))
    };
    let callers = [("ada", Role::Admin), ("dora", Role::Depot), ("alan", Role::Admin)];
    let watches = callers.map(watch);
    assert_eq!(mall.pipeline.rooms(), 2);
    // Who may not see it at all shares it with nobody.
    let mut refused = watch(("carl", Role::Customer));
    assert_eq!(next(&mut refused).await.code, Some(ErrorCode::Forbidden));
    assert_eq!(mall.pipeline.rooms(), 2);
    drop(watches);
}

#[test]
fn every_subscription_is_shared() {
    let schema = async_graphql::parser::parse_schema(mallbots_gateway::startup::sdl()).unwrap();
    let fields = schema.definitions.into_iter().find_map(|definition| {
        use async_graphql::parser::types::{TypeKind, TypeSystemDefinition};
        let TypeSystemDefinition::Type(definition) = definition else { return None };
        let TypeKind::Object(object) = definition.node.kind else { return None };
        (definition.node.name.node == "Subscription").then_some(object.fields)
    });
    let mut fields: Vec<_> =
        fields.unwrap().iter().map(|field| field.node.name.node.to_string()).collect();
    fields.sort_unstable();
    assert_eq!(fields, graphql::SHARED);
}
