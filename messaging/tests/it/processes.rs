//! Two processes on one PostgreSQL.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use mallbots_domain::ordering::OrderStatus;
use mallbots_eventstore::{
    ledger::{Ledger, LedgerOptions},
    message::{MessageKind, Position},
};
use mallbots_messaging::{consumer::Office, notifier::Notifier, post::Post, timers};
use mallbots_testing::ledgers::Tasks;

use crate::{
    crew::Consumer,
    mall::{Mall, Shape, in_time, options},
    scripted::{Act, Bench, Scripted, key},
};

/// A post of another process.
struct Other {
    ledger: Ledger,
    post: Post,
    tasks: Vec<Tasks>,
}

impl Other {
    async fn open(mall: &Mall) -> Self {
        let (ledger, ledger_tasks) = mall.test.another(LedgerOptions::default()).await.unwrap();
        let tasks = Tasks::default();
        let options = options();
        let post = Post::start(&ledger, Notifier::Log, &options, &tasks.tracker, &tasks.shutdown);
        Self { ledger, post, tasks: vec![tasks, ledger_tasks] }
    }

    async fn close(self) {
        for tasks in &self.tasks {
            tasks.end().await;
        }
    }
}

/// Waits until neither has anything left to do.
async fn settle(mall: &Mall, other: &Other) {
    loop {
        mall.settle().await;
        let head = mall.ledger().head();
        heard(&other.ledger, head).await;
        in_time("the other's post", other.post.settle(&other.ledger)).await;
        heard(mall.ledger(), other.ledger.head()).await;
        if mall.ledger().head() == head {
            return;
        }
    }
}

/// Waits until a ledger has heard how far another is.
async fn heard(ledger: &Ledger, head: Position) {
    let mut news = ledger.subscribe();
    in_time("the news", news.wait_for(|it| *it >= head)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d16_of_two_posts_each_message_takes_effect_once() {
    let mall = Mall::open(Shape::Postgres).await;
    let other = Other::open(&mall).await;
    let mut shoppers = Vec::new();
    for n in 0..10 {
        let shopper = match n {
            // Some are turned down, some are called off.
            3 | 7 => mall.shopper_with(1).await,
            _ => mall.shopper().await,
        };
        mall.check_out(&shopper).await;
        shoppers.push(shopper);
    }
    settle(&mall, &other).await;
    for shopper in &shoppers[..2] {
        mall.cancel(shopper).await;
    }
    settle(&mall, &other).await;

    for (n, shopper) in shoppers.iter().enumerate() {
        let (events, list): (&[_], &[_]) = match n {
            0 | 1 => (
                &["OrderCreated", "OrderApproved", "OrderCanceled"],
                &["ShoppingListCreated", "ShoppingListInitiated", "ShoppingListCanceled"],
            ),
            3 | 7 => (
                &["OrderCreated", "OrderRejected"],
                &["ShoppingListCreated", "ShoppingListCanceled"],
            ),
            _ => (
                &["OrderCreated", "OrderApproved"],
                &["ShoppingListCreated", "ShoppingListInitiated"],
            ),
        };
        assert_eq!(mall.events(shopper.order()).await, events);
        assert_eq!(mall.events(shopper.list()).await, list);
    }
    // Each command was given once, and answered once.
    let everything = mall.everything().await;
    let count = |kind| everything.iter().filter(|it| it.kind == kind).count();
    assert_eq!(count(MessageKind::Command), 10 * 3 + 8 * 2 + 2 * 2 + 2 * 3);
    assert_eq!(count(MessageKind::Reply), count(MessageKind::Command));
    mall.assert_quiet().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_posts_may_end_at_any_time() {
    let mall = Mall::open(Shape::Postgres).await;
    let mut shoppers = Vec::new();
    for _ in 0..3 {
        let other = Other::open(&mall).await;
        for _ in 0..3 {
            let shopper = mall.shopper().await;
            mall.check_out(&shopper).await;
            shoppers.push(shopper);
        }
        other.close().await;
    }
    mall.settle().await;
    for shopper in &shoppers {
        assert_eq!(mall.order_status(shopper).await, Some(OrderStatus::Approved));
        assert_eq!(mall.events(shopper.order()).await, ["OrderCreated", "OrderApproved"]);
    }
    mall.assert_quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_consumers_each_message_takes_effect_once() {
    let mut bench = Bench::new(Shape::Postgres).await;
    // Checkpoints move as fast as they can; they linger as they do by default.
    bench.options.checkpoint_every = Duration::from_millis(1);
    bench.options.linger = mallbots_messaging::consumer::ConsumerOptions::default().linger;
    let (ledger, tasks) = bench.test.another(LedgerOptions::default()).await.unwrap();
    let script = |_, n: i64, attempt| match n % 7 {
        3 if attempt == 1 => Act::Fail,
        5 if attempt <= 2 => Act::Away,
        _ => Act::Do,
    };
    let one = bench.start(&bench.handler(script));
    let handler: Arc<_> = Scripted::new(&ledger, script);
    let other =
        Consumer::start(&Office::embedded(ledger.clone()), handler, &bench.options, &bench.tasks);

    let keys: Vec<_> = (0..10).map(|_| key()).collect();
    for n in 0..30 {
        for key in &keys {
            bench.ask(*key, n).await;
        }
    }
    for key in &keys {
        bench.wait_for(*key, 30).await;
    }
    one.settle(bench.ledger()).await;
    heard(&ledger, bench.ledger().head()).await;
    other.settle(&ledger).await;
    for key in keys {
        assert_eq!(bench.done(key).await, (0..30).collect::<Vec<_>>());
    }
    one.stop().await;
    other.stop().await;
    tasks.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_processes_are_told_what_to_try_again() {
    let bench = Bench::new(Shape::Postgres).await;
    let (ledger, tasks) = bench.test.another(LedgerOptions::default()).await.unwrap();
    let mended = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let script = || {
        let mended = mended.clone();
        move |_, n, _| {
            let is_mended = mended.load(std::sync::atomic::Ordering::SeqCst);
            if n == 1 && !is_mended { Act::Refuse } else { Act::Do }
        }
    };
    let one = bench.start(&bench.handler(script()));
    let other = Consumer::start(
        &Office::embedded(ledger.clone()),
        Scripted::new(&ledger, script()),
        &bench.options,
        &bench.tasks,
    );
    let settle = async || {
        one.settle(bench.ledger()).await;
        heard(&ledger, bench.ledger().head()).await;
        other.settle(&ledger).await;
        one.settle(bench.ledger()).await;
    };
    let keys: Vec<_> = (0..5).map(|_| key()).collect();
    for key in &keys {
        bench.ask_all(*key, 1..=3).await;
    }
    settle().await;
    for key in &keys {
        assert_eq!(bench.parked(*key).await.len(), 3);
    }
    mended.store(true, std::sync::atomic::Ordering::SeqCst);
    for key in &keys {
        bench.retry(&bench.letters(*key).await[0]).await;
    }
    settle().await;
    for key in &keys {
        bench.ask(*key, 4).await;
    }
    settle().await;
    for key in &keys {
        assert_eq!(bench.done(*key).await, [1, 2, 3, 4]);
        assert_eq!(bench.parked(*key).await, []);
    }
    one.stop().await;
    other.stop().await;
    tasks.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_fires_once_for_both() {
    let mall = Mall::closed(Shape::Postgres).await.with_crew(&["depot"]);
    let (ledger, ledger_tasks) = mall.test.another(LedgerOptions::default()).await.unwrap();
    let tasks = Tasks::default();
    tasks.tracker.spawn(timers::run(ledger.clone(), tasks.shutdown.clone()));
    let mut shoppers = Vec::new();
    for _ in 0..8 {
        shoppers.push(mall.settled_shopper().await);
    }

    mall.test.clock.advance(options().sagas.step_timeout);
    ledger.alarms().ring();
    mall.advance(Duration::ZERO).await;
    mall.settle().await;
    let everything = mall.everything().await;
    let fired = everything.iter().filter(|it| &*it.name == "sagas.StepTimedOut");
    let commands: Vec<_> = fired.filter(|it| it.kind == MessageKind::Command).collect();
    assert_eq!(commands.len(), 8);
    let sagas: BTreeSet<_> = commands.iter().map(|it| it.stream.to_string()).collect();
    assert_eq!(sagas.len(), 8);
    for shopper in &shoppers {
        let steps = mall.steps(shopper.saga()).await;
        assert_eq!(steps[2..], ["CreateShoppingList late", "CreateShoppingList 2"]);
    }
    tasks.end().await;
    ledger_tasks.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d15_the_post_goes_on_when_the_database_comes_back() {
    let mall = Mall::open(Shape::Postgres).await;
    let mut shoppers = Vec::new();
    for n in 0..6 {
        let shopper = mall.shopper().await;
        mall.check_out(&shopper).await;
        shoppers.push(shopper);
        if n % 2 == 0 {
            // Every connection is cut, whatever it was used for.
            let cutter = mall.test.place.connect().await.unwrap();
            let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()";
            sea_orm::ConnectionTrait::execute_unprepared(&cutter.write, cut).await.unwrap();
            cutter.close().await.unwrap();
            mall.settle().await;
        }
    }
    mall.settle().await;
    for shopper in &shoppers {
        assert_eq!(mall.order_status(shopper).await, Some(OrderStatus::Approved));
        assert_eq!(mall.events(shopper.order()).await, ["OrderCreated", "OrderApproved"]);
    }
    mall.assert_quiet().await;
}
