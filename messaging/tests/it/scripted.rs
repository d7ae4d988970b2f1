//! A consumer whose handler does what a test says, and a ledger for it.

use std::sync::{Arc, Mutex};

use futures_util::{FutureExt, future::BoxFuture};
use mallbots_domain::id::{BasketId, EntityId};
use mallbots_eventstore::{
    append::{Append, NewMessage},
    dead_letters::{DeadLetter, DeadLetterChange, DeadLetterFilter, DeadLetterPage},
    ledger::Ledger,
    message::{MessageKind, Position, Recorded},
};
use mallbots_messaging::{
    consumer::{ConsumerOptions, Delivery, Failure, Handler, Office, outcome, undecodable},
    dead_letters::{discard, retry},
    ranges::RANGES,
};
use mallbots_testing::ledgers::{Tasks, TestLedger};
use sea_orm::{ConnectionTrait, Statement};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    courier::Streaming,
    crew::{Consumer, impatient},
    mall::{Shape, in_time, new, office, request},
};

const WORK: &str = "testing.Work";
const DONE: &str = "testing.Done";
pub(crate) const NAME: &str = "scripted";

/// What the handler does with a message.
pub(crate) enum Act {
    /// Writes that it was done.
    Do,
    /// Finds that nothing is to be done.
    Nothing,
    /// Does not work out.
    Fail,
    /// Cannot work out.
    Refuse,
    /// The machinery is away.
    Away,
    /// Goes to pieces.
    Panic,
    /// Writes what the database does not take.
    Misspell,
    /// Something of the test's own, then writes that it was done.
    First(BoxFuture<'static, ()>),
}

/// What the test says: what to do with this number of this key on this try.
type Script = Box<dyn Fn(BasketId, i64, u32) -> Act + Send + Sync>;

#[derive(Deserialize)]
struct Work {
    n: i64,
}

/// The handler.
pub(crate) struct Scripted {
    ledger: Ledger,
    script: Script,
    /// Every try, in order.
    tries: Mutex<Vec<(BasketId, i64)>>,
}

impl Handler for Scripted {
    fn name(&self) -> &'static str {
        NAME
    }

    fn key(&self, message: &Recorded) -> Option<Uuid> {
        (&*message.name == WORK).then_some(message.stream.uuid)
    }

    fn handle<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<(), Failure>> {
        let message = &delivery.message;
        let key: BasketId = message.stream.expect().unwrap();
        let work: Result<Work, _> = serde_json::from_str(&message.payload);
        let n = match work {
            Ok(Work { n }) => n,
            Err(error) => return async move { Err(undecodable(&error)) }.boxed(),
        };
        self.tries.lock().unwrap().push((key, n));
        // Outside of the future, where a panic is as good as within.
        let act = (self.script)(key, n, delivery.attempt);
        async move {
            let payload = match act {
                Act::Nothing => return Ok(()),
                Act::Fail => return Err(Failure::Failed(format!("{n} failed"))),
                Act::Refuse => return Err(Failure::Poison(format!("{n} is refused"))),
                Act::Away => return Err(Failure::Unavailable("away".to_owned())),
                Act::Panic => panic!("{n} is too much"),
                Act::Misspell => "{\"n\":".to_owned(),
                Act::First(first) => {
                    first.await;
                    format!("{{\"n\":{n}}}")
                }
                Act::Do => format!("{{\"n\":{n}}}"),
            };
            let done = self
                .ledger
                .transact(&request(), |unit| {
                    let payload = payload.clone();
                    async move {
                        delivery.accept(unit);
                        unit.send(NewMessage {
                            kind: MessageKind::Reply,
                            stream: key.any(),
                            name: DONE.to_owned(),
                            // Another each time: done twice, it shows.
                            message_id: Uuid::now_v7(),
                            payload,
                        });
                        Ok(())
                    }
                    .boxed()
                })
                .await;
            outcome(done)
        }
        .boxed()
    }
}

impl Scripted {
    pub(crate) fn new(
        ledger: &Ledger,
        script: impl Fn(BasketId, i64, u32) -> Act + Send + Sync + 'static,
    ) -> Arc<Self> {
        let script = Box::new(script);
        Arc::new(Self { ledger: ledger.clone(), script, tries: Mutex::default() })
    }

    /// Every try there was of a key's numbers.
    pub(crate) fn tries(&self, key: BasketId) -> Vec<i64> {
        let tries = self.tries.lock().unwrap();
        tries.iter().filter(|(of, _)| *of == key).map(|(_, n)| *n).collect()
    }
}

/// A ledger, and what the scripted consumer is asked and does.
pub(crate) struct Bench {
    pub(crate) test: TestLedger,
    pub(crate) streaming: Option<Streaming>,
    pub(crate) tasks: Tasks,
    pub(crate) options: ConsumerOptions,
}

impl Bench {
    pub(crate) async fn new(shape: Shape) -> Self {
        let test = TestLedger::open(shape.backend()).await.unwrap();
        let streaming = shape.streaming(&test.ledger).await;
        Self { test, streaming, tasks: Tasks::default(), options: impatient() }
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.test.ledger
    }

    /// What consumers work with.
    pub(crate) fn office(&self) -> Office {
        office(self.ledger(), self.streaming.as_ref())
    }

    pub(crate) fn handler(
        &self,
        script: impl Fn(BasketId, i64, u32) -> Act + Send + Sync + 'static,
    ) -> Arc<Scripted> {
        Scripted::new(self.ledger(), script)
    }

    /// Starts a consumer with this handler.
    pub(crate) fn start(&self, handler: &Arc<Scripted>) -> Consumer {
        Consumer::start(&self.office(), handler.clone(), &self.options, &self.tasks)
    }

    /// Asks for something.
    pub(crate) async fn ask(&self, key: BasketId, n: i64) -> Position {
        self.ask_with(key, &format!("{{\"n\":{n}}}")).await
    }

    pub(crate) async fn ask_all(&self, key: BasketId, numbers: impl IntoIterator<Item = i64>) {
        for n in numbers {
            self.ask(key, n).await;
        }
    }

    pub(crate) async fn ask_with(&self, key: BasketId, payload: &str) -> Position {
        let message = NewMessage {
            kind: MessageKind::Command,
            stream: key.any(),
            name: WORK.to_owned(),
            message_id: Uuid::now_v7(),
            payload: payload.to_owned(),
        };
        let append = Append { messages: vec![message], ..Append::new(request()) };
        self.ledger().append(append).await.unwrap().last
    }

    /// What was done under a key, in order.
    pub(crate) async fn done(&self, key: BasketId) -> Vec<i64> {
        let about = self.ledger().read_about(key.any(), Position(0), 10_000).await.unwrap();
        let done = about.iter().filter(|it| &*it.name == DONE);
        done.map(|it| serde_json::from_str::<Work>(&it.payload).unwrap().n).collect()
    }

    /// Waits until so much is done under a key.
    pub(crate) async fn wait_for(&self, key: BasketId, count: usize) {
        let mut head = self.ledger().subscribe();
        in_time("something to be done", async {
            while self.done(key).await.len() < count {
                head.changed().await.unwrap();
            }
        })
        .await;
    }

    /// What is parked under a key.
    pub(crate) async fn letters(&self, key: BasketId) -> Vec<DeadLetter> {
        let filter =
            DeadLetterFilter { consumer: Some(NAME.to_owned()), key: Some(key.uuid().to_string()) };
        let page = DeadLetterPage { after: None, limit: 1_000 };
        self.ledger().dead_letters(&filter, page).await.unwrap()
    }

    /// What is parked under a key, in short: how often it was tried, and why not.
    pub(crate) async fn parked(&self, key: BasketId) -> Vec<(i32, String)> {
        self.letters(key).await.into_iter().map(|it| (it.attempts, it.reason)).collect()
    }

    /// An operator wants everything under a letter's key tried again.
    pub(crate) async fn retry(&self, letter: &DeadLetter) {
        let DeadLetter { id, consumer, key, .. } = letter;
        self.ledger()
            .transact(&request(), |unit| {
                async move {
                    retry(unit, *id, consumer, key);
                    Ok(())
                }
                .boxed()
            })
            .await
            .unwrap();
    }

    /// An operator wants a letter thrown away.
    pub(crate) async fn discard(&self, letter: &DeadLetter) {
        let DeadLetter { id, consumer, key, .. } = letter;
        self.ledger()
            .transact(&request(), |unit| {
                async move {
                    discard(unit, *id, consumer, key);
                    Ok(())
                }
                .boxed()
            })
            .await
            .unwrap();
    }

    /// An operator mends a letter.
    pub(crate) async fn mend(&self, letter: &DeadLetter, payload: &str) {
        let change = DeadLetterChange {
            payload_override: Some(Some(payload.to_owned())),
            ..DeadLetterChange::default()
        };
        assert!(self.ledger().update_dead_letter(letter.id, &change).await.unwrap());
    }

    /// How far the consumer's checkpoint says it is.
    pub(crate) async fn checkpoint(&self) -> Position {
        let checkpoints = self.ledger().checkpoints(NAME).await.unwrap();
        let lowest = checkpoints.iter().min().copied().unwrap();
        // A desk has one for all its partitions.
        let desks = if self.streaming.is_some() { usize::from(RANGES) } else { 1 };
        for of_desk in checkpoints.chunks(checkpoints.len() / desks) {
            assert!(of_desk.iter().all(|it| *it == of_desk[0]));
        }
        lowest
    }

    /// The same, of the desk that works on this key.
    pub(crate) async fn checkpoint_of(&self, key: BasketId) -> Position {
        self.ledger().checkpoints(NAME).await.unwrap()[usize::from(key.any().partition())]
    }

    /// How many messages the inbox knows.
    pub(crate) async fn inbox(&self) -> i64 {
        let database = &self.test.place.database.write;
        let sql = format!("SELECT count(*) FROM inbox WHERE consumer = '{NAME}'");
        let statement = Statement::from_string(database.get_database_backend(), sql);
        let row = database.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }
}

/// A new key.
pub(crate) fn key() -> BasketId {
    new()
}
