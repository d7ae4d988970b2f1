//! People in a mall that dies: they ask again under the same key until they
//! are answered, read on behind the last they heard, and keep a diary.

use std::sync::{Arc, Mutex};

use mallbots_domain::id::OrderId;
use mallbots_gateway::client::{
    Backoff, CallError, Client, IdempotencyKey, Problem, Subscription, operations::Operation,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::{Mall, PATIENCE, within};

/// What a mutation answers, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    pub(super) position: String,
    order_id: Option<OrderId>,
}

/// A mutation that was answered.
struct Asked {
    operation: Operation<Answer>,
    key: IdempotencyKey,
    answer: Answer,
}

/// What all people were answered.
#[derive(Default)]
struct Diary {
    asked: Mutex<Vec<Asked>>,
    /// How many answers there were, refusals too.
    answers: watch::Sender<u64>,
}

/// Where the mall is now; whoever opens it again says so here.
#[derive(Clone)]
pub(super) struct Door(watch::Sender<Client>);

impl Door {
    pub(super) fn of(mall: &Mall) -> Self {
        Self(watch::Sender::new(mall.client.clone()))
    }

    pub(super) fn opened(&self, mall: &Mall) {
        self.0.send_replace(mall.client.clone());
    }
}

/// Somebody in the mall; clones write in the same diary.
#[derive(Clone)]
pub(super) struct Visitor {
    door: watch::Receiver<Client>,
    diary: Arc<Diary>,
}

impl Visitor {
    pub(super) fn through(door: &Door) -> Self {
        Self { door: door.0.subscribe(), diary: Arc::default() }
    }

    /// Asks for a mutation until there is an answer, and expects a good one.
    pub(super) async fn does(&self, mutation: &'static str, input: Value) {
        if let Err(problem) = self.tries(mutation, input).await {
            panic!("{mutation} was refused: {problem:?}");
        }
    }

    /// Asks for a mutation until there is an answer.
    pub(super) async fn tries(
        &self,
        mutation: &'static str,
        input: Value,
    ) -> Result<(), Box<Problem>> {
        let selection = match mutation {
            "checkoutBasket" => "position orderId",
            _ => "position",
        };
        let operation = Operation::mutation(mutation, selection, &input);
        let key = IdempotencyKey::mint();
        let answer = self.insists(&operation, &key).await;
        let answered = answer.map(|answer| {
            self.diary.asked.lock().unwrap().push(Asked { operation, key, answer });
        });
        self.diary.answers.send_modify(|count| *count += 1);
        answered
    }

    async fn insists(
        &self,
        operation: &Operation<Answer>,
        key: &IdempotencyKey,
    ) -> Result<Answer, Box<Problem>> {
        let mut door = self.door.clone();
        let mut pauses = Backoff::lasting(PATIENCE);
        loop {
            let client = door.borrow_and_update().clone();
            match within(operation.name(), client.call(operation, Some(key))).await {
                Ok(answer) => return Ok(answer),
                Err(CallError::Unreachable(_)) => opened_again(&mut door).await,
                Err(CallError::Refused(problem)) if is_passing(&problem) => {
                    assert!(
                        pauses.wait().await,
                        "{} never went well: {problem:?}",
                        operation.name()
                    );
                }
                Err(CallError::Refused(problem)) => return Err(problem),
                Err(error @ CallError::Garbled(_)) => panic!("{}: {error:?}", operation.name()),
            }
        }
    }

    /// Waits until so many answers have come, to whomever.
    pub(super) async fn answers(&self, count: u64) {
        let mut answers = self.diary.answers.subscribe();
        let enough = answers.wait_for(|answers| *answers >= count);
        within("answers", enough).await.unwrap();
    }

    /// Asks for everything again that was done, and gets the same answers. How
    /// many, and where each stands in the ledger.
    pub(super) async fn asks_again(&self) -> Vec<i64> {
        let asked = std::mem::take(&mut *self.diary.asked.lock().unwrap());
        for Asked { operation, key, answer } in &asked {
            let again = self.insists(operation, key).await.unwrap();
            assert_eq!(again, *answer, "{operation:?}");
        }
        asked.iter().map(|asked| asked.answer.position.parse().unwrap()).collect()
    }

    /// Begins to follow what happens to an order.
    pub(super) fn follows(&self, order: OrderId) -> Follower {
        Follower { visitor: self.clone(), order, heard: Vec::new(), subscription: None }
    }
}

fn is_passing(problem: &Problem) -> bool {
    matches!(problem.code(), "UNAVAILABLE" | "TIMEOUT")
}

async fn opened_again(door: &mut watch::Receiver<Client>) {
    within("the mall to open again", door.changed()).await.unwrap();
}

/// Something that happened to an order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Heard {
    cursor: String,
    pub(super) title: String,
}

/// Hears everything that happens to an order, once.
pub(super) struct Follower {
    visitor: Visitor,
    order: OrderId,
    heard: Vec<Heard>,
    subscription: Option<Subscription<Heard>>,
}

impl Follower {
    /// Listens until what was heard is enough.
    pub(super) async fn until(
        &mut self,
        what: &str,
        enough: impl Fn(&[Heard]) -> bool + Send + Sync,
    ) {
        let listening = async {
            while !enough(&self.heard) {
                let heard = self.next().await;
                self.heard.push(heard);
            }
        };
        if tokio::time::timeout(PATIENCE, listening).await.is_err() {
            let heard: Vec<_> = self.heard.iter().map(|heard| &heard.title).collect();
            panic!("waited in vain for {what} of {}: {heard:#?}", self.order);
        }
    }

    /// Listens until this has happened.
    pub(super) async fn hears(&mut self, title: &str) {
        self.until(title, |heard| heard.iter().any(|heard| heard.title == title)).await;
    }

    /// Whether what was heard is so.
    pub(super) fn has_heard(&self, is_so: impl Fn(&[Heard]) -> bool) -> bool {
        is_so(&self.heard)
    }

    /// All that was heard, in order.
    pub(super) fn tells(self) -> Vec<String> {
        self.heard.into_iter().map(|heard| heard.title).collect()
    }

    async fn next(&mut self) -> Heard {
        let mut door = self.visitor.door.clone();
        let mut pauses = Backoff::lasting(PATIENCE);
        loop {
            let client = door.borrow_and_update().clone();
            let item = match &mut self.subscription {
                Some(subscription) => subscription.next().await,
                None => match client.subscribe(&self.operation()).await {
                    Ok(subscription) => {
                        self.subscription = Some(subscription);
                        continue;
                    }
                    Err(error) => Some(Err(error)),
                },
            };
            match item {
                Some(Ok(heard)) => return heard,
                None | Some(Err(CallError::Unreachable(_))) => {
                    // One of a mall that has died since is no use in the next.
                    if self.subscription.take().is_none() {
                        opened_again(&mut door).await;
                    }
                }
                // The order is not to be seen yet.
                Some(Err(CallError::Refused(problem))) if problem.code() == "NOT_FOUND" => {
                    self.subscription = None;
                    assert!(pauses.wait().await, "{problem:?}");
                }
                Some(Err(error)) => panic!("orderProgress ended: {error:?}"),
            }
        }
    }

    fn operation(&self) -> Operation<Heard> {
        let document = "subscription orderProgress($id: ID!, $after: Cursor) \
             { orderProgress(orderId: $id, after: $after) { cursor title } }";
        let after = self.heard.last().map(|heard| &heard.cursor);
        let variables = json!({ "id": self.order, "after": after });
        Operation::subscription("orderProgress", document, variables)
    }
}
