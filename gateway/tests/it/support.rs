//! A mall of its own for each test: the real binary on data of its own, and
//! the words in which stories are told about it.
//!
//! `given_…` brings something about and insists that it works; `when_…` tries
//! something, and what came of it is looked at; `then_…` waits until something
//! is so. Nothing sleeps: whoever waits, waits for a subscription to say so.

use std::{
    fs::File,
    future::Future,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use mallbots_domain::{
    depot::bot::BotStatus,
    id::{
        BasketId, BotId, CustomerId, EntityId, OrderId, PaymentId, ProductId, ShoppingListId,
        StoreId,
    },
    ordering::OrderStatus,
};
use mallbots_eventstore::connect::{Database, Durability};
use mallbots_gateway::{
    cli::SettingsArgs,
    client::{CallError, Client, IdempotencyKey, Problem, Subscription, operations::Operation},
    config::Config,
};
use mallbots_testing::postgres;
use sea_orm::ConnectionTrait;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    time::timeout,
};
use uuid::Uuid;

/// Longer than anything here takes, also on a machine with other things to do.
/// A test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Waits for something, but not for ever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// A new id of any kind.
pub(crate) fn new_id<I: EntityId>() -> I {
    I::from_uuid(Uuid::now_v7())
}

// ---- the server

/// A running mall.
pub(crate) struct Mall {
    /// Speaks to it.
    pub(crate) client: Client,
    server: Option<Child>,
    data: TempDir,
    database: Option<postgres::TestDatabase>,
    settings: Vec<(String, String)>,
    /// Where it tells of itself, if it was told to.
    admin: Option<String>,
}

impl Mall {
    /// Opens a mall that keeps files.
    pub(crate) async fn open() -> Self {
        Self::open_with(&[]).await
    }

    /// The same, with settings from the environment.
    pub(crate) async fn open_with(settings: &[(&str, &str)]) -> Self {
        Self::start(settings, None).await
    }

    /// Opens a mall that keeps everything in a PostgreSQL database.
    pub(crate) async fn open_on_postgres() -> Self {
        Self::open_on_postgres_with(&[]).await
    }

    /// The same, with settings from the environment.
    pub(crate) async fn open_on_postgres_with(settings: &[(&str, &str)]) -> Self {
        let database = postgres::fresh().await.unwrap();
        let url = database.url().to_owned();
        let settings: Vec<_> =
            [("DATABASE_URL", &*url)].into_iter().chain(settings.iter().copied()).collect();
        Self::start(&settings, Some(database)).await
    }

    /// A place for a mall with these settings that is not open, nor ever was.
    pub(crate) fn closed_with(settings: &[(&str, &str)]) -> Self {
        let owned = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self {
            client: Client::new("http://127.0.0.1:1/graphql").unwrap(),
            server: None,
            data: tempfile::tempdir().unwrap(),
            database: None,
            settings: owned.collect(),
            admin: None,
        }
    }

    async fn start(settings: &[(&str, &str)], database: Option<postgres::TestDatabase>) -> Self {
        let settings: Vec<_> = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let data = tempfile::tempdir().unwrap();
        let (server, url, admin) = serve(data.path(), &settings).await;
        let client = Client::new(&url).unwrap();
        Self { client, server: Some(server), data, database, settings, admin }
    }

    /// A mall that somebody else has opened.
    pub(crate) fn at(url: &str) -> Self {
        let client = Client::new(url).unwrap();
        let (data, settings) = (tempfile::tempdir().unwrap(), Vec::new());
        Self { client, admin: None, server: None, data, database: None, settings }
    }

    /// Opens it again, after it was stopped or killed, on the same data.
    pub(crate) async fn reopen(&mut self) {
        let opened = self.try_reopen(&[]).await;
        opened.unwrap_or_else(|ended| panic!("the mall did not open: {ended}\n{}", self.log()));
    }

    /// The same with more settings, for this once. It may end before it opens.
    pub(crate) async fn try_reopen(&mut self, more: &[(&str, &str)]) -> Result<(), ExitStatus> {
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings: Vec<_> = self.settings.iter().cloned().chain(more).collect();
        let (mut server, url, admin) = start(self.data.path(), &settings).await;
        match url {
            None => Err(within("the mall to end", server.wait()).await.unwrap()),
            Some(url) => {
                self.server = Some(server);
                self.admin = admin;
                self.client = Client::new(&url).unwrap();
                Ok(())
            }
        }
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut server = self.server.take().expect("the mall is open");
        within("the mall to end", server.wait()).await.unwrap()
    }

    /// Looks into what it keeps while it is closed: the ledger, the read models.
    pub(crate) async fn databases(&self) -> (Database, Database) {
        if let Some(database) = &self.database {
            let connect = || Database::postgres(database.url(), 4);
            return (connect().await.unwrap(), connect().await.unwrap());
        }
        let path = |name| self.data.path().join(name);
        let ledger = Database::sqlite(&path("ledger.db"), Durability::Full).await.unwrap();
        let views = Database::sqlite(&path("views.db"), Durability::Normal).await.unwrap();
        (ledger, views)
    }

    /// Takes its database away under it, or gives it back. On PostgreSQL only.
    pub(crate) async fn let_it_reach_its_database(&self, reach: bool) {
        let url = self.database.as_ref().expect("a mall on PostgreSQL").url();
        let (server, database) = url.rsplit_once('/').unwrap();
        let (name, options) = database.split_once('?').unwrap();
        let admin = sea_orm::Database::connect(format!("{server}/postgres?{options}")).await;
        let admin = admin.unwrap();
        let allow = format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {reach}");
        admin.execute_unprepared(&allow).await.unwrap();
        if !reach {
            let throw_out = format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            );
            admin.execute_unprepared(&throw_out).await.unwrap();
        }
        admin.close().await.unwrap();
    }

    /// Its settings, for who looks into what it keeps.
    pub(crate) fn config(&self) -> Config {
        let data = self.data.path().display().to_string();
        let data = [("MALLBOTS_DATA".to_owned(), data)];
        let environment = self.settings.iter().cloned().chain(data);
        Config::load(&SettingsArgs::default(), environment).unwrap()
    }

    /// Begins one of the program's other commands beside it, with its settings.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mallbots"));
        command
            .args(arguments)
            .env_remove("DATABASE_URL")
            .env("MALLBOTS_DATA", self.data.path())
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command.spawn().unwrap()
    }

    /// Where it keeps what it keeps, on files.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// Runs one of the program's other commands beside it, with its settings.
    pub(crate) async fn command(&self, arguments: &[&str], input: &str) -> Ended {
        let mut child = self.begin(arguments);
        let mut stdin = child.stdin.take().unwrap();
        // It may not want to hear it.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = within("the command to end", child.wait_with_output()).await.unwrap();
        Ended {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Asks it over plain HTTP for something that is not GraphQL.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let url = self.client.url().join(path).unwrap();
        let answer = within(path, reqwest::get(url)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Where it tells of itself.
    pub(crate) fn admin(&self) -> &str {
        self.admin.as_deref().expect("it was told to tell of itself")
    }

    /// What it tells of itself in numbers.
    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.admin());
        let answer = within("its metrics", reqwest::get(url)).await.unwrap();
        assert!(answer.status().is_success());
        answer.text().await.unwrap()
    }

    /// Tells it to stop and waits until it has.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        let mut server = self.server.take().expect("the mall is open");
        let id = server.id().expect("the mall runs").to_string();
        let told = Command::new("kill").args(["-s", "TERM", &id]).status().await.unwrap();
        assert!(told.success());
        within("the mall to stop", server.wait()).await.unwrap()
    }

    /// Ends it as a crash would.
    pub(crate) async fn kill(&mut self) {
        self.server.take().expect("the mall is open").kill().await.unwrap();
    }

    /// What the server has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Mall {
    fn drop(&mut self) {
        // The server itself is killed where its handle is dropped.
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(40)..];
            let what = if self.database.is_some() { "on PostgreSQL" } else { "on files" };
            #[expect(clippy::print_stderr, reason = "it is read with the test's failure")]
            {
                eprintln!("---- the end of the log of the mall {what}:\n{}", tail.join("\n"));
            }
        }
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// What it printed, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Starts a server and waits until it tells its address.
async fn serve(data: &Path, settings: &[(String, String)]) -> (Child, String, Option<String>) {
    let (server, url, admin) = start(data, settings).await;
    let Some(url) = url else {
        let log = std::fs::read_to_string(data.join("log")).unwrap_or_default();
        panic!("the mall did not open\n{log}");
    };
    (server, url, admin)
}

/// The same, for who looks whether it does.
async fn start(
    data: &Path,
    settings: &[(String, String)],
) -> (Child, Option<String>, Option<String>) {
    let log = File::options().create(true).append(true).open(data.join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mallbots"));
    for (name, _) in std::env::vars() {
        if name.starts_with("MALLBOTS_") || name == "DATABASE_URL" {
            command.env_remove(name);
        }
    }
    let mut server = command
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let line = within("the mall to open", lines.next_line()).await.unwrap();
    let url = line.as_deref().and_then(|line| line.strip_prefix("MallBots is open: GraphQL at "));
    let mut admin = None;
    if url.is_some() && settings.iter().any(|(name, _)| name == "MALLBOTS_ADMIN_LISTEN") {
        while admin.is_none() {
            let line = within("the mall to tell all", lines.next_line()).await.unwrap().unwrap();
            let rest = line.strip_prefix("Metrics at http://");
            admin = rest.and_then(|rest| rest.strip_suffix("/metrics")).map(str::to_owned);
        }
    }
    (server, url.map(str::to_owned), admin)
}

/// Runs scenarios once on files and once on PostgreSQL.
macro_rules! on_both_backends {
    ($($scenario:ident),* $(,)?) => {
        mod on_files {
            $(
                #[tokio::test]
                async fn $scenario() {
                    super::$scenario($crate::support::Mall::open().await).await;
                }
            )*
        }

        mod on_postgres {
            $(
                #[tokio::test]
                async fn $scenario() {
                    super::$scenario($crate::support::Mall::open_on_postgres().await).await;
                }
            )*
        }
    };
}
pub(crate) use on_both_backends;

// ---- what comes back

/// What came of an attempt.
#[must_use]
#[derive(Debug)]
pub(crate) struct Outcome(pub(crate) Result<Value, CallError>);

impl Outcome {
    /// It worked.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Value {
        match self.0 {
            Ok(value) => value,
            Err(error) => panic!("refused: {error}\n{error:?}"),
        }
    }

    /// It was refused, in words and with a code.
    #[track_caller]
    pub(crate) fn is_refused(&self, code: &str) -> Refusal {
        match &self.0 {
            Ok(value) => panic!("not refused with {code}: {value}"),
            Err(CallError::Refused(problem)) => {
                assert_eq!(problem.code(), code, "{problem:?}");
                assert!(problem.extensions.request_id.is_some(), "no request id: {problem:?}");
                assert!(problem.message.len() > 10, "says nothing: {problem:?}");
                Refusal((**problem).clone())
            }
            Err(error @ (CallError::Unreachable(_) | CallError::Garbled(_))) => {
                panic!("not refused with {code}: {error:?}")
            }
        }
    }

    /// The same, for a wrong input field, named.
    #[track_caller]
    pub(crate) fn is_bad_input(&self, field: &str) -> Refusal {
        let refusal = self.is_refused("BAD_USER_INPUT");
        assert_eq!(refusal.0.extensions.field.as_deref(), Some(field), "{:?}", refusal.0);
        refusal
    }
}

/// Why an attempt came to nothing.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) Problem);

impl Refusal {
    /// For this reason of the domain.
    #[track_caller]
    pub(crate) fn because(self, reason: &str) -> Self {
        assert_eq!(self.0.reason(), reason, "{:?}", self.0);
        self
    }

    /// With this field named.
    #[track_caller]
    pub(crate) fn on_field(self, field: &str) -> Self {
        assert_eq!(self.0.extensions.field.as_deref(), Some(field), "{:?}", self.0);
        self
    }

    /// With this state in the way.
    #[track_caller]
    pub(crate) fn in_state(self, state: &str) -> Self {
        assert_eq!(self.0.extensions.state.as_deref(), Some(state), "{:?}", self.0);
        self
    }

    /// In these words, among others.
    #[track_caller]
    pub(crate) fn saying(self, words: &str) -> Self {
        assert!(self.0.message.contains(words), "{:?}", self.0);
        self
    }
}

/// Something that is being watched.
pub(crate) struct Watch {
    subscription: Subscription<Value>,
    what: &'static str,
}

impl Watch {
    /// What is told next.
    pub(crate) async fn next(&mut self) -> Value {
        match within(self.what, self.subscription.next()).await {
            Some(Ok(item)) => item,
            Some(Err(error)) => panic!("{} ended: {error:?}", self.what),
            None => panic!("{} is over", self.what),
        }
    }

    /// What is told next; nothing when the server is gone.
    pub(crate) async fn next_or_gone(&mut self) -> Option<Value> {
        match within(self.what, self.subscription.next()).await {
            Some(Ok(item)) => Some(item),
            Some(Err(CallError::Unreachable(_))) | None => None,
            Some(Err(error @ (CallError::Refused(_) | CallError::Garbled(_)))) => {
                panic!("{} ended: {error:?}", self.what)
            }
        }
    }

    /// All that is told, up to the first item that fits.
    pub(crate) async fn through(
        &mut self,
        fits: impl Fn(&Value) -> bool + Send + Sync,
    ) -> Vec<Value> {
        let mut items = Vec::new();
        loop {
            let item = self.next().await;
            let last = fits(&item);
            items.push(item);
            if last {
                return items;
            }
        }
    }

    /// The first item that fits.
    pub(crate) async fn until(&mut self, fits: impl Fn(&Value) -> bool + Send + Sync) -> Value {
        self.through(fits).await.pop().expect("the item that fits")
    }

    /// That there is nothing to watch, and why.
    pub(crate) async fn outcome(mut self) -> Outcome {
        Outcome(match within(self.what, self.subscription.next()).await {
            Some(item) => item,
            None => Ok(Value::Null),
        })
    }
}

/// An item of an order's progress.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Progress {
    pub(crate) cursor: String,
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) status: String,
    pub(crate) saga_step: Option<Step>,
}

/// A saga's step, as it was or as it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) attempts: u32,
    pub(crate) reason: Option<String>,
}

/// What happened, in words, of the kinds asked for.
pub(crate) fn titles<'a>(progress: &'a [Progress], kinds: &[&str]) -> Vec<&'a str> {
    let of_kind = progress.iter().filter(|item| kinds.contains(&item.kind.as_str()));
    of_kind.map(|item| item.title.as_str()).collect()
}

// ---- asking and watching

impl Mall {
    /// Asks for the whole of any document.
    pub(crate) async fn ask(&self, document: &str, variables: Value) -> Outcome {
        Outcome(within("an answer", self.client.ask(document, variables)).await)
    }

    /// Asks for one field with an id, and expects an answer.
    pub(crate) async fn read(&self, field: &str, id: impl ToString, selection: &str) -> Value {
        let document = format!("query($id: ID!) {{ it: {field}(id: $id) {{ {selection} }} }}");
        self.ask(&document, json!({ "id": id.to_string() })).await.succeeds()["it"].take()
    }

    /// Tries a mutation.
    pub(crate) async fn when(&self, mutation: &'static str, input: Value) -> Outcome {
        self.when_keyed(mutation, input, None).await
    }

    /// The same under an idempotency key.
    pub(crate) async fn when_keyed(
        &self,
        mutation: &'static str,
        input: Value,
        key: Option<&IdempotencyKey>,
    ) -> Outcome {
        let operation = Operation::<Value>::mutation(mutation, payload_of(mutation), &input);
        Outcome(within(mutation, self.client.call(&operation, key)).await)
    }

    /// Insists on a mutation.
    pub(crate) async fn given(&self, mutation: &'static str, input: Value) -> Value {
        self.when(mutation, input).await.succeeds()
    }

    /// Watches one field: its arguments with their types as in a document.
    pub(crate) async fn watch(
        &self,
        field: &'static str,
        arguments: &[(&str, &str, Value)],
        selection: &str,
    ) -> Watch {
        let declared: Vec<_> =
            arguments.iter().map(|(name, kind, _)| format!("${name}: {kind}")).collect();
        let given: Vec<_> =
            arguments.iter().map(|(name, _, _)| format!("{name}: ${name}")).collect();
        let in_brackets = |list: Vec<String>| {
            if list.is_empty() { String::new() } else { format!("({})", list.join(", ")) }
        };
        let document = format!(
            "subscription {field}{} {{ {field}{} {{ {selection} }} }}",
            in_brackets(declared),
            in_brackets(given)
        );
        let variables =
            arguments.iter().map(|(name, _, value)| ((*name).to_owned(), value.clone()));
        let variables = Value::Object(variables.collect());
        let operation = Operation::subscription(field, &document, variables);
        let subscription = within(field, self.client.subscribe(&operation)).await.unwrap();
        Watch { subscription, what: field }
    }

    /// Watches everything that happens to an order, from the start or from
    /// behind a cursor.
    pub(crate) async fn watch_progress(&self, order: OrderId, after: Option<&str>) -> Watch {
        let arguments = [("orderId", "ID!", json!(order)), ("after", "Cursor", json!(after))];
        self.watch("orderProgress", &arguments, PROGRESS).await
    }

    /// All that happened to an order, from the start to the item that fits.
    pub(crate) async fn progress_through(
        &self,
        order: OrderId,
        fits: impl Fn(&Progress) -> bool + Send + Sync,
    ) -> Vec<Progress> {
        let mut watch = self.watch_progress(order, None).await;
        let items = watch.through(|item| fits(&progress(item.clone()))).await;
        items.into_iter().map(progress).collect()
    }

    /// All that has happened to an order so far.
    pub(crate) async fn timeline(&self, order: OrderId) -> Vec<Progress> {
        let selection = format!("timeline(first: 100) {{ nodes {{ {PROGRESS} }} }}");
        let mut order = self.read("order", order, &selection).await;
        serde_json::from_value(order["timeline"]["nodes"].take()).unwrap()
    }

    /// The names of the events of anything, in order, as the ledger has them.
    pub(crate) async fn history(&self, id: impl ToString) -> Vec<String> {
        let document = "query($id: ID!) { history(id: $id, first: 100) { nodes { name } } }";
        let answer = self.ask(document, json!({ "id": id.to_string() })).await.succeeds();
        let nodes = answer["history"]["nodes"].as_array().unwrap().clone();
        nodes.iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Where the ledger ends, by appending something harmless to it.
    pub(crate) async fn position(&self) -> u64 {
        let input = json!({ "name": "Somebody else", "smsNumber": "+15550199" });
        position(&self.given("registerCustomer", input).await)
    }
}

/// Where a mutation's change stands in the ledger.
pub(crate) fn position(payload: &Value) -> u64 {
    payload["position"].as_str().unwrap().parse().unwrap()
}

/// An item of `orderProgress`, read.
pub(crate) fn progress(item: Value) -> Progress {
    serde_json::from_value(item).unwrap()
}

/// What is asked of an item of an order's progress.
pub(crate) const PROGRESS: &str =
    "cursor kind title status sagaStep { name state attempts reason }";

/// What has happened to an order so far, by its places.
const KNOWN: &str =
    "query($id: ID!) { order(id: $id) { timeline(first: 100) { nodes { cursor } } } }";

/// All about an order.
const ORDER: &str = "id status rejectionReason cancellationReason createdAt updatedAt \
    total { amount currency } customer { id name enabled } \
    items { productId productName storeId storeName price { amount } quantity \
    lineTotal { amount } } \
    payment { id status amount { amount } order { id } } \
    invoice { id status amount { amount } order { id } } \
    shoppingList { id status bot { id name status } stops { storeName location \
    items { productId productName quantity picked } } } \
    saga { id name state refusal endedAt steps { name state attempts reason } } \
    timeline(first: 100) { nodes { kind title } }";

/// What is asked of a mutation's payload.
fn payload_of(mutation: &str) -> &'static str {
    match mutation {
        "createStore"
        | "rebrandStore"
        | "enableStoreParticipation"
        | "disableStoreParticipation" => {
            "position clientMutationId store { id name location participating }"
        }
        "addProduct"
        | "rebrandProduct"
        | "increaseProductPrice"
        | "decreaseProductPrice"
        | "removeProduct" => {
            "position clientMutationId \
             product { id name description sku price { amount currency } removed store { id } }"
        }
        "registerCustomer" | "changeSmsNumber" | "enableCustomer" | "disableCustomer" => {
            "position clientMutationId customer { id name smsNumber enabled }"
        }
        "startBasket" | "addBasketItem" | "removeBasketItem" | "cancelBasket" => {
            "position clientMutationId basket { id status customer { id } total { amount } \
             items { product { id } productName storeName price { amount } quantity \
             lineTotal { amount } } }"
        }
        "checkoutBasket" => {
            "position clientMutationId orderId basket { id status total { amount } }"
        }
        "cancelOrder" => "position clientMutationId order { id status cancellationReason }",
        "authorizePayment" => {
            "position clientMutationId payment { id status amount { amount } customer { id } }"
        }
        "payInvoice" | "adjustInvoice" | "cancelInvoice" => {
            "position clientMutationId invoice { id status amount { amount } }"
        }
        "registerBot" | "bringBotOnline" | "takeBotOffline" => {
            "position clientMutationId bot { id name status shoppingList { id } }"
        }
        "assignShoppingList" | "startShopping" | "pickItem" | "completeShoppingList" => {
            "position clientMutationId shoppingList { id status bot { id } stops { storeName \
             items { productId quantity picked } } }"
        }
        "retrySaga" => "position clientMutationId saga { id state }",
        "retryDeadLetter" | "discardDeadLetter" => "position clientMutationId deadLetterId",
        "rebuildProjection" => "position clientMutationId projection { name }",
        other => panic!("no such mutation: {other}"),
    }
}

// ---- words for stories

/// A customer with a basket and the money to pay for it.
#[derive(Debug, Clone)]
pub(crate) struct Shopper {
    pub(crate) customer: CustomerId,
    pub(crate) basket: BasketId,
    pub(crate) payment: PaymentId,
    /// What is in the basket.
    pub(crate) lines: Vec<Line>,
}

/// A line of a basket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) store: StoreId,
    pub(crate) product: ProductId,
    pub(crate) quantity: u32,
}

impl Shopper {
    /// The order that the basket becomes.
    pub(crate) const fn order(&self) -> OrderId {
        self.basket.order()
    }

    /// The list that a bot collects for it.
    pub(crate) const fn list(&self) -> ShoppingListId {
        self.order().shopping_list()
    }
}

impl Mall {
    /// A store where bots may shop.
    pub(crate) async fn given_a_store(&self, name: &str) -> StoreId {
        let id: StoreId = new_id();
        let input = json!({ "id": id, "name": name, "location": "Level 1, Unit 7" });
        self.given("createStore", input).await;
        self.given("enableStoreParticipation", json!({ "id": id })).await;
        id
    }

    /// Something on sale.
    pub(crate) async fn given_a_product(
        &self,
        store: StoreId,
        name: &str,
        price: &str,
    ) -> ProductId {
        let id: ProductId = new_id();
        let input = json!({
            "id": id, "storeId": store, "name": name, "description": "", "price": price,
            "sku": id.uuid(),
        });
        self.given("addProduct", input).await;
        id
    }

    /// Somebody who may shop.
    pub(crate) async fn given_a_customer(&self, name: &str) -> CustomerId {
        let id: CustomerId = new_id();
        let input = json!({ "id": id, "name": name, "smsNumber": "+15550100" });
        self.given("registerCustomer", input).await;
        id
    }

    /// An empty basket.
    pub(crate) async fn given_a_basket(&self, customer: CustomerId) -> BasketId {
        let id: BasketId = new_id();
        self.given("startBasket", json!({ "id": id, "customerId": customer })).await;
        id
    }

    /// Pieces of a product in a basket.
    pub(crate) async fn given_in_the_basket(
        &self,
        basket: BasketId,
        quantity: u32,
        product: ProductId,
    ) {
        self.when_adding(basket, quantity, product).await.succeeds();
    }

    /// Money set aside.
    pub(crate) async fn given_a_payment(&self, customer: CustomerId, amount: &str) -> PaymentId {
        let id: PaymentId = new_id();
        let input = json!({ "id": id, "customerId": customer, "amount": amount });
        self.given("authorizePayment", input).await;
        id
    }

    /// A bot that waits for work.
    pub(crate) async fn given_an_idle_bot(&self, name: &str) -> BotId {
        let id: BotId = new_id();
        self.given("registerBot", json!({ "id": id, "name": name })).await;
        self.given("bringBotOnline", json!({ "id": id })).await;
        id
    }

    /// Somebody with two wizards at 9.99 in the basket, and 19.98 to pay.
    pub(crate) async fn given_a_shopper(&self) -> Shopper {
        self.given_a_shopper_who_pays("19.98").await
    }

    /// The same with another amount to pay.
    pub(crate) async fn given_a_shopper_who_pays(&self, amount: &str) -> Shopper {
        let store = self.given_a_store("Waldorf Books").await;
        let product = self.given_a_product(store, "Wizard w/ crystal", "9.99").await;
        let customer = self.given_a_customer("Ada").await;
        let line = Line { store, product, quantity: 2 };
        self.given_a_shopper_with(customer, &[line], amount).await
    }

    /// A customer with a filled basket and money.
    pub(crate) async fn given_a_shopper_with(
        &self,
        customer: CustomerId,
        lines: &[Line],
        amount: &str,
    ) -> Shopper {
        let basket = self.given_a_basket(customer).await;
        for line in lines {
            self.given_in_the_basket(basket, line.quantity, line.product).await;
        }
        let payment = self.given_a_payment(customer, amount).await;
        Shopper { customer, basket, payment, lines: lines.to_vec() }
    }

    /// An order whose saga has come to its end, with all messages out.
    pub(crate) async fn given_an_approved_order(&self) -> Shopper {
        let shopper = self.given_a_shopper().await;
        self.given_it_is_approved(&shopper).await;
        shopper
    }

    /// Checks a basket out and waits until its order is approved and quiet.
    pub(crate) async fn given_it_is_approved(&self, shopper: &Shopper) {
        self.when_checking_out(shopper.basket, shopper.payment).await.succeeds();
        self.then_the_order(shopper.order()).is(OrderStatus::Approved).await;
        self.then_the_customer_was_told(shopper.order(), &["ORDER_CREATED", "ORDER_APPROVED"])
            .await;
    }

    /// An order that a bot is shopping for.
    pub(crate) async fn given_an_order_in_progress(&self, bot: BotId) -> Shopper {
        let shopper = self.given_an_approved_order().await;
        self.given("assignShoppingList", json!({ "id": shopper.list(), "botId": bot })).await;
        self.given("startShopping", json!({ "id": shopper.list() })).await;
        self.then_the_order(shopper.order()).is(OrderStatus::InProgress).await;
        shopper
    }

    /// An order at the depot, with its invoice.
    pub(crate) async fn given_an_order_at_the_depot(&self, bot: BotId) -> Shopper {
        let shopper = self.given_an_order_in_progress(bot).await;
        self.given_all_is_picked(&shopper).await;
        self.given("completeShoppingList", json!({ "id": shopper.list() })).await;
        self.then_the_order(shopper.order()).is(OrderStatus::Ready).await;
        self.until(shopper.order(), "the invoice", |order| order["invoice"].is_object()).await;
        self.then_the_customer_was_told(shopper.order(), &["ORDER_READY"]).await;
        shopper
    }

    /// The bot takes all that is on its list.
    pub(crate) async fn given_all_is_picked(&self, shopper: &Shopper) {
        for line in &shopper.lines {
            let input = json!({
                "id": shopper.list(), "storeId": line.store, "productId": line.product,
                "quantity": line.quantity,
            });
            self.given("pickItem", input).await;
        }
    }

    /// Puts pieces of a product into a basket.
    pub(crate) async fn when_adding(
        &self,
        basket: BasketId,
        quantity: u32,
        product: ProductId,
    ) -> Outcome {
        let input = json!({ "id": basket, "productId": product, "quantity": quantity });
        self.when("addBasketItem", input).await
    }

    /// Takes pieces of a product out of a basket.
    pub(crate) async fn when_removing(
        &self,
        basket: BasketId,
        quantity: u32,
        product: ProductId,
    ) -> Outcome {
        let input = json!({ "id": basket, "productId": product, "quantity": quantity });
        self.when("removeBasketItem", input).await
    }

    /// Buys what is in a basket.
    pub(crate) async fn when_checking_out(&self, basket: BasketId, payment: PaymentId) -> Outcome {
        self.when("checkoutBasket", json!({ "id": basket, "paymentId": payment })).await
    }

    /// Calls an order off.
    pub(crate) async fn when_canceling(&self, order: OrderId) -> Outcome {
        self.when("cancelOrder", json!({ "id": order, "reason": "it takes too long" })).await
    }

    /// All about an order, as it is now.
    pub(crate) async fn order(&self, order: OrderId) -> Value {
        self.read("order", order, ORDER).await
    }

    /// Waits for an order to be somewhere.
    pub(crate) const fn then_the_order(&self, order: OrderId) -> ExpectedOrder<'_> {
        ExpectedOrder { mall: self, order }
    }

    /// Waits until all about an order is as it should be. Whatever happens to
    /// it, its saga, list, payment, invoice and messages included, stands in
    /// its progress: with each item it is looked at again.
    pub(crate) async fn until(
        &self,
        order: OrderId,
        what: &str,
        fits: impl Fn(&Value) -> bool + Send + Sync,
    ) -> Value {
        let mut seen = Value::Null;
        let looking = async {
            let document = format!("query($id: ID!) {{ order(id: $id) {{ {ORDER} }} }}");
            // Watched before it is looked at: nothing is missed in between.
            let mut watch = self.watch_progress(order, None).await;
            loop {
                // What has happened by now is in the answer to the next
                // question. The fields of one answer are not read at once: what
                // one of them shows may be news to another.
                let known = self.ask(KNOWN, json!({ "id": order })).await;
                let known = known.0.unwrap_or_default()["order"]["timeline"]["nodes"].take();
                let Outcome(found) = self.ask(&document, json!({ "id": order })).await;
                match found {
                    Ok(mut found) => {
                        seen = found["order"].take();
                        if fits(&seen) {
                            return;
                        }
                    }
                    // It was just bought and is not in the read model yet.
                    Err(error) => assert_eq!(error.code(), "NOT_FOUND", "{error:?}"),
                }
                let is_known = |item: &Value| {
                    let mut nodes = known.as_array().into_iter().flatten();
                    nodes.any(|node| node["cursor"] == item["cursor"])
                };
                watch.until(|item| !is_known(item)).await;
            }
        };
        let found = timeout(PATIENCE, looking).await;
        assert!(found.is_ok(), "waited in vain for {what}: {seen:#}");
        seen
    }

    /// Waits until messages of these kinds went out about an order.
    pub(crate) async fn then_the_customer_was_told(&self, order: OrderId, kinds: &[&str]) {
        self.until(order, "messages", |order| {
            let titles = order["timeline"]["nodes"].as_array().unwrap();
            kinds.iter().all(|kind| {
                let told = format!("The customer was told: {kind}.");
                titles.iter().any(|item| item["title"] == *told)
            })
        })
        .await;
    }

    /// Waits until a bot is somewhere.
    pub(crate) async fn then_the_bot(&self, bot: BotId, status: BotStatus) -> Value {
        let mut watch = self.watch("botsChanged", &[], "id name status shoppingList { id }").await;
        watch.until(|item| item["id"] == bot.to_string() && item["status"] == status.as_str()).await
    }

    /// That something happened once and only once, and nothing else did.
    pub(crate) async fn then_the_history(&self, id: impl ToString, events: &[&str]) {
        assert_eq!(self.history(id).await, events);
    }
}

/// An order that is waited for.
pub(crate) struct ExpectedOrder<'a> {
    mall: &'a Mall,
    order: OrderId,
}

impl ExpectedOrder<'_> {
    /// Waits until it is in a state; all about it then.
    pub(crate) async fn is(self, status: OrderStatus) -> Value {
        let Self { mall, order } = self;
        let mut watch = mall.watch("orderChanged", &[("id", "ID!", json!(order))], "status").await;
        loop {
            let found = watch.next().await;
            if found["status"] == status.as_str() {
                return mall.order(order).await;
            }
            if matches!(found["status"].as_str(), Some("REJECTED" | "CANCELED" | "COMPLETED")) {
                let order = mall.order(order).await;
                panic!("the order never becomes {}: {order:#}", status.as_str());
            }
        }
    }
}
