//! The way every request takes, whatever brought it: find the text, judge it,
//! parse, judge the document, find the operation, ask whether this caller may,
//! wait for what was written before, execute, put the answer into words.
//!
//! There are two schemas, alike but for their validation. A document is seen
//! first by the strict one. Once that has found it valid it is kept, parsed,
//! and from then on executed by the fast one, which validates next to nothing;
//! except when the variables do not plainly fit, for only the strict one looks
//! at them closely. Neither has extensions: one would make async-graphql box
//! the future of every field.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use async_graphql::{
    Data, Executor, ObjectType, Pos, Request, Response, Schema, SubscriptionType, ValidationMode,
    Variables,
    parser::{
        self, parse_query, parse_schema,
        types::{
            DocumentOperations, ExecutableDocument, OperationDefinition, OperationType, Selection,
        },
    },
};
use axum::http::HeaderValue;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream, stream::BoxStream};
use mallbots_eventstore::trace;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use tracing::{Instrument, Span, info, info_span};

use super::{
    consistency::{CONSISTENCY, CONSISTENCY_TOKEN, Freshness, Token},
    context::{CallerTrace, ConnectionInit, RequestContext, ResponseExtensions, Resume},
    cost::Costs,
    document_cache::{DocumentCache, DocumentHash, Facts, KnownDocument},
    exchange::Exchange,
    guard::{self, Limits},
    nulls::OutputTypes,
    part::Part,
    persisted::{self, PersistedDocuments, Source},
    reply::{self, Reply},
    sharing::{Key, Marked, Rooms, Sent},
    variables::{self, InputTypes},
};
use crate::{
    auth::{
        Caller, Roles,
        rate::{Rate, Rates},
        rules::Rules,
    },
    error::{ClientError, ErrorCode},
    metrics::door::Tally,
};

/// How requests are judged and how long they may take.
#[derive(Debug, Clone)]
pub struct PipelineSettings {
    /// What a document may ask for.
    pub limits: Limits,
    /// How long a query or a mutation may take.
    pub timeout: Duration,
    /// About how much memory known documents may take, in bytes.
    pub document_cache: u64,
    /// Which documents may be named instead of sent.
    pub persisted: PersistedDocuments,
    /// Whether everybody may ask for the schema itself.
    pub introspection: bool,
    /// The subscriptions whose resolvers know of [parts](Part), so that equal
    /// ones share an execution.
    pub shared: &'static [&'static str],
    /// How fast a caller may ask; as fast as they can without.
    pub rate: Option<Rate>,
}

impl Default for PipelineSettings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            timeout: Duration::from_secs(30),
            document_cache: 16 * 1024 * 1024,
            persisted: PersistedDocuments::default(),
            introspection: true,
            shared: &[],
            rate: None,
        }
    }
}

/// A GraphQL request as clients write it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parameters {
    /// The document, unless it is named.
    #[serde(default)]
    pub query: Option<String>,
    /// The name of a document the server has. Relay's clients write it otherwise.
    #[serde(default, alias = "doc_id")]
    pub document_id: Option<String>,
    /// Which of its operations.
    #[serde(default)]
    pub operation_name: Option<String>,
    /// What its variables stand for.
    #[serde(default)]
    pub variables: Variables,
    /// What the client says beside it.
    #[serde(default)]
    pub extensions: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Parameters {
    /// What `extensions` says under a name, if it is text.
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.as_ref()?.get(name)?.as_str()
    }
}

/// Why a request is not executed, and where in its document the reason stands.
#[derive(Debug)]
pub struct Refusal {
    /// In words for the client.
    pub error: ClientError,
    /// Where.
    pub locations: Vec<Pos>,
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Self {
        Self { error, locations: Vec::new() }
    }
}

/// An operation that may be executed.
#[derive(Debug, Clone)]
pub struct Operation {
    /// A query, a mutation or a subscription.
    pub kind: OperationType,
    /// What its author called it.
    pub name: Option<String>,
    /// The name the request chose it by.
    chosen: Option<String>,
    hash: DocumentHash,
    known: Arc<KnownDocument>,
    /// Whether the strict schema has found the document valid before.
    proven: bool,
    /// Whether the variables plainly fit their types.
    plain: bool,
    variables: Variables,
    /// Up to where the caller has written what it wants to see.
    want: Option<Token>,
}

/// Which way a request came. For the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One request, one answer.
    Http,
    /// One request, a stream of events.
    EventStream,
    /// One request, an answer of many parts.
    Multipart,
    /// One request, and requests of our own with the answers.
    Callback,
    /// One operation among others on a socket.
    WebSocket,
}

/// What comes with a request beside its document.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which way it came.
    pub transport: Transport,
    /// The request and the answer it came and goes with, if it has its own.
    pub exchange: Option<Exchange>,
    /// The request itself.
    pub context: RequestContext,
    /// What its socket was opened with.
    pub init: ConnectionInit,
    /// Where a subscriber wants to go on.
    pub resume: Resume,
    /// Who asks.
    pub caller: Caller,
}

/// The argument that says where a subscriber goes on.
const AFTER: &str = "after";

impl Call {
    /// A request that brings nothing along but itself.
    pub fn new(transport: Transport, context: RequestContext, caller: Caller) -> Self {
        Self {
            transport,
            exchange: None,
            context,
            init: ConnectionInit::default(),
            resume: Resume::default(),
            caller,
        }
    }

    /// The same for all who may see the same.
    fn for_all(&self) -> Self {
        Self::new(self.transport, RequestContext::mint(), self.caller.for_all())
    }

    /// What resolvers find in their context.
    fn data(self) -> Data {
        let mut data = Data::default();
        data.insert(self.context);
        data.insert(self.init);
        data.insert(self.resume);
        data.insert(self.caller);
        data
    }
}

/// The way every request takes. One per process, shared by all transports.
pub struct Pipeline {
    strict: Box<dyn Execute>,
    fast: Box<dyn Execute>,
    input_types: InputTypes,
    output_types: OutputTypes,
    costs: Costs,
    documents: DocumentCache,
    rooms: Rooms,
    rules: Rules,
    rates: Option<Rates>,
    freshness: Option<Box<dyn Freshness>>,
    tally: Tally,
    settings: PipelineSettings,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Pipeline {
    /// Makes the pipeline of a schema, which is built twice: pass the mode to
    /// [`SchemaBuilder::validation_mode`](async_graphql::SchemaBuilder::validation_mode)
    /// and let nothing else depend on it.
    pub fn new<Q, M, S>(
        build: impl Fn(ValidationMode) -> Schema<Q, M, S>,
        settings: PipelineSettings,
    ) -> Result<Self, parser::Error>
    where
        Q: ObjectType + 'static,
        M: ObjectType + 'static,
        S: SubscriptionType + 'static,
    {
        let strict = build(ValidationMode::Strict);
        let definition = parse_schema(strict.sdl())?;
        Ok(Self {
            input_types: InputTypes::of(&definition),
            output_types: OutputTypes::of(&definition),
            costs: Costs::of(&definition),
            strict: Box::new(strict),
            fast: Box::new(build(ValidationMode::Fast)),
            documents: DocumentCache::new(settings.document_cache),
            rooms: Rooms::default(),
            rules: Rules::of(&definition),
            rates: settings.rate.map(Rates::new),
            freshness: None,
            tally: Tally::new(settings.persisted.trusted.operation_names()?),
            settings,
        })
    }

    /// Queries that say what they want to see wait for it.
    #[must_use]
    pub fn waiting_for(self, freshness: impl Freshness + 'static) -> Self {
        Self { freshness: Some(Box::new(freshness)), ..self }
    }

    /// Judges a request before anything is executed.
    pub fn prepare(
        &self,
        mut parameters: Parameters,
        caller: &Caller,
    ) -> Result<Operation, Refusal> {
        let source = self.settings.persisted.source(&mut parameters, caller)?;
        let (hash, known, proven) = match source {
            Source::Text(text) => {
                let hash = DocumentHash::of(&text);
                if let Some(known) = self.documents.get(hash) {
                    self.tally.hits.increment(1);
                    (hash, known, true)
                } else {
                    self.tally.misses.increment(1);
                    (hash, Arc::new(self.parse(&text)?), false)
                }
            }
            Source::Hash(hash) => {
                let Some(known) = self.documents.get(hash) else {
                    self.tally.unknown.increment(1);
                    return Err(persisted::not_found().into());
                };
                self.tally.hits.increment(1);
                (hash, known, true)
            }
        };
        let want = parameters.extensions.as_ref().and_then(|all| all.get(CONSISTENCY));
        let want = want.map(Token::of_extension).transpose()?.flatten();
        let Parameters { operation_name, mut variables, .. } = parameters;
        let chosen = operation_name.filter(|name| !name.is_empty());
        let (name, definition) = find_operation(&known.document, chosen.as_deref())?;
        variables::complete(definition, &mut variables)?;
        if known.facts.cost_varies {
            self.check_cost(definition, &known.document, &variables)?;
        }
        Ok(Operation {
            kind: definition.ty,
            name: name.map(str::to_owned),
            plain: !known.nests_variables && self.input_types.fit(definition, &variables),
            chosen,
            hash,
            proven,
            variables,
            want,
            known: Arc::clone(&known),
        })
    }

    fn parse(&self, text: &str) -> Result<KnownDocument, Refusal> {
        let limits = &self.settings.limits;
        guard::check_text(text, limits)?;
        let document = parse_query(text).map_err(|error| Refusal {
            locations: error.positions().collect(),
            error: ClientError::new(ErrorCode::ParseFailed, error.to_string()),
        })?;
        let measure = guard::check_document(&document, limits)?;
        let introspects = measure.operations.iter().any(|(_, size)| size.introspects);
        let mut cost_varies = false;
        for (_, operation) in document.operations.iter() {
            cost_varies |= self.check_cost(&operation.node, &document, &Variables::default())?;
        }
        let needs = self.rules.needs(&document);
        Ok(KnownDocument::new(document, text, needs, Facts { cost_varies, introspects }))
    }

    /// Refuses what costs too much with these variables. Whether with others
    /// it might be different.
    fn check_cost(
        &self,
        operation: &OperationDefinition,
        document: &ExecutableDocument,
        variables: &Variables,
    ) -> Result<bool, ClientError> {
        let cost = self.costs.of_operation(operation, document, variables);
        let limit = self.settings.limits.cost;
        if cost.total > limit {
            let what = "of cost, each field times the page it is on";
            return Err(guard::too_much(ErrorCode::QueryTooCostly, what, cost.total, limit));
        }
        Ok(cost.varies)
    }

    /// Waits until there is to be seen what the caller has written.
    async fn catch_up(&self, operation: &Operation, call: &Call) -> Result<(), ClientError> {
        let want = operation.want.or(call.context.consistency);
        if let (Some(freshness), Some(want), OperationType::Query) =
            (&self.freshness, want, operation.kind)
        {
            freshness.reached(want).await?;
        }
        Ok(())
    }

    /// Whether a caller may have an operation executed, now. Whoever shares an
    /// execution among several asks for each of them.
    pub fn authorize(&self, operation: &Operation, caller: &Caller) -> Result<(), ClientError> {
        if let Some(rates) = &self.rates {
            rates.count(caller).map_err(ClientError::too_fast)?;
        }
        if operation.known.facts.introspects && !self.settings.introspection {
            let message = "this server does not tell its schema";
            return Err(ClientError::new(ErrorCode::Forbidden, message));
        }
        match operation.known.needs(operation.name.as_deref()) {
            Some(needs) => needs.met_by(caller),
            None => Err(ClientError::new(ErrorCode::Forbidden, "nobody may do that")),
        }
    }

    /// Executes a query or a mutation, if the caller may.
    pub async fn execute(&self, operation: Operation, mut call: Call) -> Reply {
        let line = RequestLine::of(&operation, &mut call);
        let timed = self.tally.begin();
        let (kind, name) = (operation.kind, operation.name.clone());
        let request_id = call.context.request_id;
        if let Err(error) = self.authorize(&operation, &call.caller) {
            self.tally.refused(error.code);
            timed.finished(kind, name.as_deref(), Some(error.code));
            return line.answered(Reply::refused(error, Vec::new(), request_id));
        }
        let span = span(&operation, &call);
        let executed = AssertUnwindSafe(async {
            self.catch_up(&operation, &call).await?;
            let (request, extensions) = request(&operation, call);
            Ok((self.executor(&operation).execute(request).await, extensions))
        });
        let executed = executed.catch_unwind().instrument(span);
        let reply = match timeout(self.settings.timeout, executed).await {
            Ok(Ok(Ok((response, extensions)))) => {
                self.answer(response, &operation, &extensions, request_id)
            }
            Ok(Ok(Err(error))) => Reply::refused(error, Vec::new(), request_id),
            Ok(Err(panic)) => Reply::panicked(panic.as_ref(), request_id),
            Err(_) => Reply::refused(
                ClientError::new(
                    ErrorCode::Timeout,
                    format!("not done within {:?}, given up", self.settings.timeout),
                ),
                Vec::new(),
                request_id,
            ),
        };
        timed.finished(kind, name.as_deref(), reply.code());
        line.answered(reply)
    }

    /// Executes any operation as a stream of answers, put into JSON: one for a
    /// query or a mutation, any number for a subscription, each with its
    /// cursor. Dropping the stream ends it.
    pub fn stream(
        self: &Arc<Self>,
        operation: Operation,
        call: Call,
    ) -> BoxStream<'static, Arc<Sent>> {
        match operation.kind {
            OperationType::Query | OperationType::Mutation => {
                let pipeline = Arc::clone(self);
                let executed =
                    async move { Arc::new(pipeline.execute(operation, call).await.sent()) };
                stream::once(executed).boxed()
            }
            OperationType::Subscription => self.subscribe(operation, call),
        }
    }

    fn subscribe(
        self: &Arc<Self>,
        operation: Operation,
        mut call: Call,
    ) -> BoxStream<'static, Arc<Sent>> {
        let mut line = RequestLine::of(&operation, &mut call);
        if let Err(error) = self.authorize(&operation, &call.caller) {
            self.tally.refused(error.code);
            let refused = Reply::refused(error, Vec::new(), call.context.request_id);
            let refused = line.mark(refused).sent();
            line.sent(refused.code);
            return stream::iter([Arc::new(refused)]).boxed();
        }
        let subscribed = self.tally.subscribe(call.transport);
        let answers = match self.room_of(&operation, &call) {
            None => self.run(&operation, call, Part::default()).map(|(sent, _)| sent).boxed(),
            Some(room) => {
                let pipeline = Arc::clone(self);
                let run = move |part: Part| {
                    let call = if part.has_snapshot() { call.clone() } else { call.for_all() };
                    pipeline.run(&operation, call, part)
                };
                self.rooms.enter(room, Box::new(run)).boxed()
            }
        };
        let told = move |sent: &Arc<Sent>| {
            subscribed.sent();
            line.sent(sent.code);
        };
        answers.inspect(told).boxed()
    }

    /// Executes a subscription, or a part of it.
    fn run(
        self: &Arc<Self>,
        operation: &Operation,
        call: Call,
        part: Part,
    ) -> BoxStream<'static, Marked> {
        let request_id = call.context.request_id;
        let span = span(operation, &call);
        let (mut request, extensions) = request(operation, call);
        request.data.insert(part.clone());

        let (pipeline, operation) = (Arc::clone(self), operation.clone());
        let responses = self.executor(&operation).stream(request);
        let answers = AssertUnwindSafe(responses).catch_unwind().map(move |response| {
            let reply = match response {
                Ok(response) => pipeline.answer(response, &operation, &extensions, request_id),
                Err(panic) => Reply::panicked(panic.as_ref(), request_id),
            };
            // From here on it is on its way.
            let trace = CallerTrace::of_span(&part.take_push());
            (Arc::new(Sent { trace, ..reply.sent() }), part.take_mark())
        });
        InSpan { stream: answers.boxed(), span }.boxed()
    }

    /// What a subscription has in common with those it is told the same as, if
    /// it can share with them at all. Where it goes on from is not part of it:
    /// that only matters until it has caught up.
    fn room_of(&self, operation: &Operation, call: &Call) -> Option<Key> {
        let Operation { known, chosen, variables, .. } = operation;
        let (_, definition) = find_operation(&known.document, chosen.as_deref()).ok()?;
        let [selection] = &*definition.selection_set.node.items else { return None };
        let Selection::Field(field) = &selection.node else { return None };
        let field = &field.node;
        if !self.settings.shared.contains(&field.name.node.as_str()) || !field.directives.is_empty()
        {
            return None;
        }
        let after = field.get_argument(AFTER).map(|after| after.node.to_string());
        let after = after.as_deref().and_then(|after| after.strip_prefix('$'));
        let after = after.filter(|after| known.uses_once(after));
        let variables: BTreeMap<_, _> =
            variables.iter().filter(|(name, _)| Some(name.as_str()) != after).collect();
        let name = chosen.as_deref().unwrap_or_default();
        let text = serde_json::to_vec(&(name, &variables, call.caller.rights().word())).ok()?;
        let digest = Sha256::new().chain_update(operation.hash.bytes()).chain_update(text);
        Some(digest.finalize().into())
    }

    /// What is counted here.
    pub(crate) const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// How many executions of subscriptions are shared.
    pub fn rooms(&self) -> usize {
        self.rooms.count()
    }

    fn answer(
        &self,
        mut response: Response,
        operation: &Operation,
        extensions: &ResponseExtensions,
        request_id: uuid::Uuid,
    ) -> Reply {
        if !reply::is_refusal(&response) {
            if !operation.proven {
                self.documents.keep(operation.hash, Arc::clone(&operation.known));
                let bytes = u32::try_from(self.documents.weight()).unwrap_or(u32::MAX);
                self.tally.document_bytes.set(bytes);
            }
            if !response.errors.is_empty() {
                let document = &operation.known.document;
                if let Ok((_, definition)) = find_operation(document, operation.chosen.as_deref()) {
                    self.output_types.fill(
                        &mut response.data,
                        &response.errors,
                        definition,
                        document,
                    );
                }
            }
        }
        response.extensions.append(&mut extensions.take());
        let mut reply = Reply::executed(response, request_id);
        if let Some(token) = reply.extensions.get(CONSISTENCY).and_then(Token::of_answer) {
            let token = HeaderValue::try_from(token.to_string());
            reply.headers.extend(token.ok().map(|token| (CONSISTENCY_TOKEN, token)));
        }
        reply
    }

    fn executor(&self, operation: &Operation) -> &dyn Execute {
        if operation.proven && operation.plain { self.fast.as_ref() } else { self.strict.as_ref() }
    }

    /// About how much memory known documents take.
    pub fn document_memory(&self) -> u64 {
        self.documents.weight()
    }
}

fn find_operation<'a>(
    document: &'a ExecutableDocument,
    chosen: Option<&str>,
) -> Result<(Option<&'a str>, &'a OperationDefinition), ClientError> {
    let not_found = |message: String| ClientError::new(ErrorCode::OperationNotFound, message);
    match (&document.operations, chosen) {
        (DocumentOperations::Single(operation), None) => Ok((None, &operation.node)),
        (DocumentOperations::Single(_), Some(name)) => {
            Err(not_found(format!("the document has no operation named \"{name}\"")))
        }
        (DocumentOperations::Multiple(operations), Some(name)) => operations
            .get_key_value(name)
            .map(|(name, operation)| (Some(name.as_str()), &operation.node))
            .ok_or_else(|| not_found(format!("the document has no operation named \"{name}\""))),
        (DocumentOperations::Multiple(operations), None) => {
            let mut all = operations.iter();
            match (all.next(), all.next()) {
                (Some((name, operation)), None) => Ok((Some(name.as_str()), &operation.node)),
                _ => Err(not_found(format!(
                    "the document has {} operations, operationName must choose one",
                    operations.len()
                ))),
            }
        }
    }
}

fn request(operation: &Operation, call: Call) -> (Request, ResponseExtensions) {
    let extensions = ResponseExtensions::default();
    let mut request = Request::new(String::new()).variables(operation.variables.clone());
    request.operation_name.clone_from(&operation.chosen);
    request.data = call.data();
    request.data.insert(extensions.clone());
    request.set_parsed_query(operation.known.document.clone());
    (request, extensions)
}

/// What the log says of what is done for an operation.
fn span(operation: &Operation, call: &Call) -> Span {
    let ids = call.context.trace.traceparent.as_deref().and_then(trace::ids);
    info_span!(
        "graphql",
        request.id = %call.context.request_id,
        graphql.operation.name = operation.name.as_deref(),
        trace.id = ids.map(|(trace, _)| trace),
        span.id = ids.map(|(_, span)| span),
    )
}

/// The span of an operation, which ends when it is answered. What is done for
/// it follows from it.
fn enter(operation: &Operation, call: &mut Call) -> trace::Span {
    let kind = kind_of(operation.kind);
    let mut span = trace::Span::enter(call.context.trace.place(), kind);
    if let Some(traceparent) = span.traceparent() {
        call.context.trace.traceparent = Some(traceparent);
        span.set("graphql.operation.type", kind);
        if let Some(name) = &operation.name {
            span.set("graphql.operation.name", name.clone());
        }
        match &call.exchange {
            Some(exchange) => exchange.describe(&mut span),
            None => span.set("network.protocol.name", "websocket"),
        }
        span.set("request.id", call.context.request_id.to_string());
    }
    span
}

const fn kind_of(kind: OperationType) -> &'static str {
    match kind {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    }
}

/// The executor without its type: one allocation per request against a copy of
/// every transport per schema.
trait Execute: Send + Sync {
    fn execute(&self, request: Request) -> BoxFuture<'_, Response>;
    fn stream(&self, request: Request) -> BoxStream<'static, Response>;
}

impl<E: Executor> Execute for E {
    fn execute(&self, request: Request) -> BoxFuture<'_, Response> {
        Executor::execute(self, request).boxed()
    }

    fn stream(&self, request: Request) -> BoxStream<'static, Response> {
        self.execute_stream(request, None)
    }
}

/// A stream polled within a span.
struct InSpan {
    stream: BoxStream<'static, Marked>,
    span: Span,
}

impl futures_util::Stream for InSpan {
    type Item = Marked;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Marked>> {
        let span = self.span.clone();
        span.in_scope(|| self.stream.poll_next_unpin(cx))
    }
}

/// The one line the log has for each operation. No bodies, no variables.
#[derive(Debug)]
pub(super) struct RequestLine {
    transport: Transport,
    kind: Option<OperationType>,
    name: Option<String>,
    request_id: uuid::Uuid,
    /// As what the caller comes.
    roles: Roles,
    /// Its span, and the trace context, if it is in a trace.
    span: trace::Span,
    traceparent: Option<String>,
    exchange: Option<Exchange>,
    started: Instant,
    /// Of a subscription: how many items went out, and with which code the last error.
    items: Option<u64>,
    code: Option<ErrorCode>,
}

impl RequestLine {
    /// An operation begins. What is done for it becomes part of its span.
    fn of(operation: &Operation, call: &mut Call) -> Self {
        let span = enter(operation, call);
        Self {
            span,
            roles: call.caller.rights().roles,
            traceparent: call.context.trace.traceparent.clone(),
            exchange: call.exchange.clone(),
            transport: call.transport,
            kind: Some(operation.kind),
            name: operation.name.clone(),
            request_id: call.context.request_id,
            started: Instant::now(),
            items: None,
            code: None,
        }
    }

    /// A request that never became an operation: its document may not even
    /// have been read.
    pub(super) fn of_refused(
        transport: Transport,
        request_id: uuid::Uuid,
        trace: &CallerTrace,
        began: Instant,
    ) -> Self {
        let mut span = trace::Span::enter_at(began, trace.place(), "GraphQL Operation");
        if span.is_recording() {
            span.set("request.id", request_id.to_string());
        }
        Self {
            transport,
            kind: None,
            name: None,
            request_id,
            roles: Roles::default(),
            traceparent: span.traceparent().or_else(|| trace.traceparent.clone()),
            span,
            exchange: None,
            started: began,
            items: None,
            code: None,
        }
    }

    /// It came, and is answered, so.
    pub(super) fn over(mut self, exchange: Exchange) -> Self {
        exchange.describe(&mut self.span);
        self.exchange = Some(exchange);
        self
    }

    /// It was answered.
    pub(super) fn finished(mut self, code: Option<ErrorCode>) {
        self.code = code;
        self.write();
        self.end();
    }

    /// It is answered so.
    fn answered(self, reply: Reply) -> Reply {
        let reply = self.mark(reply);
        if let Some(exchange) = &self.exchange {
            exchange.answered(&reply);
        }
        self.finished(reply.code());
        reply
    }

    /// The answer, with the trace in which it was made, if it is recorded.
    fn mark(&self, reply: Reply) -> Reply {
        match &self.traceparent {
            Some(traceparent) if self.span.is_recording() => reply.traced(traceparent),
            _ => reply,
        }
    }

    fn end(&mut self) {
        let mut span = std::mem::take(&mut self.span);
        match self.code {
            None => {}
            Some(code @ (ErrorCode::Internal | ErrorCode::Unavailable | ErrorCode::Timeout)) => {
                span.fail(code.as_str());
            }
            // The caller's to mend.
            Some(code) => span.set("error.type", code.as_str()),
        }
        if let Some(items) = self.items {
            span.set("items", i64::try_from(items).unwrap_or(i64::MAX));
        }
        if let Some(status) = self.exchange.as_ref().and_then(Exchange::status) {
            span.set("http.response.status_code", i64::from(status.as_u16()));
        }
    }

    fn sent(&mut self, code: Option<ErrorCode>) {
        self.items = Some(self.items.unwrap_or_default() + 1);
        self.code = code.or(self.code);
    }

    fn write(&self) {
        let ids = self.traceparent.as_deref().and_then(trace::ids);
        info!(
            transport = match self.transport {
                Transport::Http => "http",
                Transport::EventStream => "event-stream",
                Transport::Multipart => "multipart",
                Transport::Callback => "callback",
                Transport::WebSocket => "websocket",
            },
            graphql.operation.r#type = self.kind.map_or("none", kind_of),
            graphql.operation.name = self.name.as_deref(),
            caller.roles = %self.roles,
            code = self.code.map_or("OK", ErrorCode::as_str),
            items = self.items,
            duration_ms = duration_ms(self.started.elapsed()),
            request.id = %self.request_id,
            trace.id = ids.map(|(trace, _)| trace),
            span.id = ids.map(|(_, span)| span),
            "request",
        );
    }
}

impl Drop for RequestLine {
    fn drop(&mut self) {
        // A subscription's line is written when it ends, whoever ended it.
        if self.kind == Some(OperationType::Subscription) {
            self.write();
            self.end();
        }
    }
}

fn duration_ms(duration: Duration) -> f64 {
    // Microseconds are fine enough, and short to read.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
