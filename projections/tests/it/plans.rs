//! Every query finds what it wants by an index: none reads a table through,
//! and no list is sorted to show a page of it.

use std::{
    future::Future,
    sync::{Arc, Mutex},
};

use mallbots_domain::{
    depot::shopping_list::ShoppingListStatus,
    id::{BasketId, CustomerId, OrderId},
    ordering::OrderStatus,
    saga::SagaState,
};
use mallbots_eventstore::connect::Backend;
use mallbots_projections::{
    baskets, bots, customers, invoices, notifications,
    orders::{self, OrderFilter, OrderSort},
    page::PageRequest,
    parked, payments, products, sagas, shopping_lists, stores, timeline,
};
use sea_orm::{ConnectionTrait, Statement, TransactionTrait};

use crate::{
    library::Library,
    mall::{busy, id},
};

on_each_database!(
    things_are_found_by_their_ids,
    pages_follow_an_index_and_are_not_sorted,
    lists_of_several_owners_are_found_by_owner,
    feeds_are_read_from_their_place_on,
    orders_are_found_by_what_they_hold,
    counting_by_state_reads_no_more_than_it_must,
);

/// How many rows there are in a crowded table.
const MANY: u32 = 50_000;

/// How the rows of a crowd differ from those they are copies of: `i` is the
/// number of each.
const CROWDS: [(&str, &str); 14] = [
    ("stores", "'id', 'store_0' || left(md5('s' || i), 25), 'created_at', i"),
    (
        "products",
        "'id', 'product_0' || left(md5('p' || i), 25), 'created_at', i, \
         'store_id', 'store_0' || left(md5('s' || i % 1000), 25)",
    ),
    ("customers", "'id', 'customer_0' || left(md5('c' || i), 25), 'created_at', i"),
    ("baskets", "'id', 'basket_0' || left(md5('b' || i), 25), 'created_at', i"),
    (
        "orders",
        "'id', 'order_0' || left(md5('o' || i), 25), 'created_at', i, 'total', i % 10000, \
         'customer_id', 'customer_0' || left(md5('c' || i % 1000), 25)",
    ),
    (
        "order_lines",
        "'order_id', 'order_0' || left(md5('o' || i), 25), \
         'product_id', 'product_0' || left(md5('p' || i % 1000), 25), \
         'store_id', 'store_0' || left(md5('s' || i % 100), 25)",
    ),
    ("order_timeline", "'order_id', 'order_0' || left(md5('o' || i % 5000), 25), 'position', i"),
    (
        "sagas",
        "'id', 'saga_0' || left(md5('o' || i), 25), 'created_at', i, \
         'order_id', 'order_0' || left(md5('o' || i), 25)",
    ),
    ("payments", "'id', 'payment_0' || left(md5('y' || i), 25), 'created_at', i"),
    ("invoices", "'id', 'invoice_0' || left(md5('o' || i), 25), 'created_at', i"),
    ("shopping_lists", "'id', 'list_0' || left(md5('o' || i), 25), 'created_at', i"),
    ("bots", "'id', 'bot_0' || left(md5('t' || i), 25), 'created_at', i"),
    (
        "notifications",
        "'id', 'notification_0' || left(md5('n' || i), 25), 'created_at', i, 'position', i, \
         'customer_id', 'customer_0' || left(md5('c' || i % 1000), 25)",
    ),
    (
        "projection_dead_letters",
        "'id', 'deadletter_0' || left(md5('l' || i), 25), 'position', i, \
         'key', 'order_0' || left(md5('o' || i % 5000), 25)",
    ),
];

/// A library that keeps the statements it was asked.
struct Overheard {
    library: Library,
    /// Whether there are so many rows that plans are what they seem.
    crowded: bool,
    statements: Arc<Mutex<Vec<Statement>>>,
}

impl Overheard {
    async fn new(backend: Backend) -> Self {
        let statements: Arc<Mutex<Vec<Statement>>> = Arc::default();
        let heard = Arc::clone(&statements);
        let mut library = Library::with(backend, |reader| {
            reader.set_metric_callback(move |info| {
                heard.lock().unwrap().push(info.statement.clone());
            });
        })
        .await;
        library.take_in(&busy(30, 10).messages, 500).await;
        Self { library, crowded: false, statements }
    }

    /// The same on PostgreSQL with very many rows in every table, as seen by
    /// the planner on the connections that answer questions.
    async fn crowded() -> Self {
        let mall = Self::new(Backend::Postgres).await;
        let database = &mall.library.views.database.write;
        let letters = "INSERT INTO projection_dead_letters SELECT 'deadletter_' || n, key, n, n, \
             'name', 1, '{}', '{}', 0, 'why', 1, 0 FROM generate_series(1, 10) AS n, \
             (SELECT id AS key FROM orders LIMIT 1) one";
        database.execute_unprepared(letters).await.unwrap();
        for (table, columns) in CROWDS {
            let crowd = format!(
                "INSERT INTO {table} SELECT many.* FROM \
                 (SELECT base, row_number() OVER () AS k FROM {table} AS base LIMIT 10) AS few, \
                 generate_series(1, {MANY} / 10) AS n, LATERAL (SELECT n * 10 + k AS i) number, \
                 LATERAL jsonb_populate_record(base, jsonb_build_object({columns})) AS many"
            );
            database.execute_unprepared(&crowd).await.unwrap();
            database.execute_unprepared(&format!("VACUUM ANALYZE {table}")).await.unwrap();
        }
        Self { crowded: true, ..mall }
    }

    /// How the database means to answer what is asked here.
    async fn plans<T>(&self, asked: impl Future<Output = T>) -> Vec<String> {
        self.statements.lock().unwrap().clear();
        asked.await;
        let statements = std::mem::take(&mut *self.statements.lock().unwrap());
        assert!(!statements.is_empty());
        let mut plans = Vec::new();
        for statement in statements {
            plans.push(format!("{}\n{}", statement.sql, self.explain(&statement).await));
        }
        plans
    }

    async fn explain(&self, statement: &Statement) -> String {
        let database = &self.library.views.database;
        let connection = if self.crowded { &database.read } else { &database.write };
        let transaction = connection.begin().await.unwrap();
        let (explain, column) = match database.kind {
            Backend::Postgres if self.crowded => ("EXPLAIN", "QUERY PLAN"),
            Backend::Postgres => {
                // A few rows are read through whatever the indexes. As if
                // there were many: only where nothing else will do.
                let many = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
                            SET LOCAL enable_sort = off";
                transaction.execute_unprepared(many).await.unwrap();
                ("EXPLAIN", "QUERY PLAN")
            }
            Backend::Sqlite => ("EXPLAIN QUERY PLAN", "detail"),
        };
        let explain = Statement {
            sql: format!("{explain} {}", statement.sql),
            values: statement.values.clone(),
            db_backend: statement.db_backend,
        };
        let lines = transaction.query_all_raw(explain).await.unwrap();
        let lines: Vec<String> =
            lines.iter().map(|line| line.try_get("", column).unwrap()).collect();
        transaction.rollback().await.unwrap();
        lines.join("\n")
    }

    /// Asks and looks how: by an index, and sorted only where it has to be.
    async fn by_index<T>(&self, sorted: bool, asked: impl Future<Output = T>) {
        for plan in self.plans(asked).await {
            let reads_through = plan.lines().any(|line| {
                let line = line.trim_start_matches([' ', '-', '>']);
                line.starts_with("Seq Scan")
                    || (line.starts_with("SCAN ")
                        && !line.contains("INDEX")
                        && !line.contains("ranked")
                        && !line.contains("subquery"))
            });
            assert!(!reads_through, "{plan}");
            let sorts = plan.lines().any(|line| {
                let line = line.trim_start_matches([' ', '-', '>']);
                line.starts_with("Sort ") || line.starts_with("USE TEMP B-TREE FOR ORDER BY")
            });
            // Where few rows are left the planner may well sort those.
            assert!(sorted || self.crowded || !sorts, "{plan}");
            let index =
                plan.contains("Index ") || plan.contains("INDEX") || plan.contains("PRIMARY KEY");
            assert!(index, "{plan}");
        }
    }
}

async fn things_are_found_by_their_ids(backend: Backend) {
    by_ids(&Overheard::new(backend).await).await;
}

async fn by_ids(mall: &Overheard) {
    let reads = &mall.library.reads;
    let order: OrderId = id::<BasketId>(1).order();
    mall.by_index(false, stores::by_id(reads, id(1))).await;
    mall.by_index(false, stores::by_ids(reads, &[id(1), id(2)])).await;
    mall.by_index(false, products::by_ids(reads, &[id(1), id(2)])).await;
    mall.by_index(false, customers::by_ids(reads, &[id(1), id(2)])).await;
    mall.by_index(false, baskets::by_ids(reads, &[id(1), id(2)])).await;
    mall.by_index(false, orders::by_ids(reads, &[order])).await;
    mall.by_index(false, sagas::latest_of_orders(reads, &[order])).await;
    mall.by_index(false, payments::by_ids(reads, &[id(1), id(2)])).await;
    mall.by_index(false, invoices::by_ids(reads, &[order.invoice()])).await;
    mall.by_index(false, shopping_lists::by_ids(reads, &[order.shopping_list()])).await;
    mall.by_index(false, bots::by_ids(reads, &[id(1), id(2)])).await;
    mall.by_index(false, notifications::by_ids(reads, &[id(1), id(2)])).await;
}

async fn pages_follow_an_index_and_are_not_sorted(backend: Backend) {
    pages(&Overheard::new(backend).await).await;
}

async fn pages(mall: &Overheard) {
    let reads = &mall.library.reads;
    let three = PageRequest::first(3);
    let place = orders::list(reads, &OrderFilter::default(), OrderSort::CreatedAsc, &three).await;
    let place = place.unwrap().rows.pop().unwrap().0;
    for page in [
        PageRequest::first(10),
        PageRequest::last(10),
        PageRequest::first(10).after(place.clone()),
        PageRequest::last(10).before(place.clone()),
    ] {
        let page = &page;
        let text = Some("1".to_owned());
        let some = stores::StoreFilter { participating: Some(true), text: text.clone() };
        mall.by_index(false, stores::list(reads, &some, page)).await;
        let some = products::ProductFilter { store_id: None, text: text.clone() };
        mall.by_index(false, products::list(reads, &some, page)).await;
        let some = products::ProductFilter { store_id: Some(id(1)), text: None };
        mall.by_index(false, products::list(reads, &some, page)).await;
        let some = customers::CustomerFilter { text: text.clone() };
        mall.by_index(false, customers::list(reads, &some, page)).await;
        mall.by_index(false, bots::list(reads, page)).await;
        mall.by_index(false, parked::list(reads, page)).await;
        mall.by_index(false, shopping_lists::list(reads, None, page)).await;
        let one = [ShoppingListStatus::Completed];
        mall.by_index(false, shopping_lists::list(reads, Some(&one), page)).await;
        mall.by_index(false, sagas::list(reads, None, page)).await;
        let one = [SagaState::Completed];
        mall.by_index(false, sagas::list(reads, Some(&one), page)).await;
        let several = [SagaState::Running, SagaState::Stuck];
        mall.by_index(true, sagas::list(reads, Some(&several), page)).await;
        mall.by_index(false, notifications::of_customer(reads, id(1), page)).await;

        for sort in [
            OrderSort::CreatedDesc,
            OrderSort::CreatedAsc,
            OrderSort::TotalDesc,
            OrderSort::TotalAsc,
        ] {
            let all = OrderFilter::default();
            mall.by_index(false, orders::list(reads, &all, sort, page)).await;
        }
        let newest = OrderSort::CreatedDesc;
        for filter in [
            OrderFilter { customer_id: Some(id(1)), ..OrderFilter::default() },
            OrderFilter { statuses: Some(vec![OrderStatus::Ready]), ..OrderFilter::default() },
            OrderFilter { text: text.clone(), ..OrderFilter::default() },
            OrderFilter { created_after: Some(1), ..OrderFilter::default() },
        ] {
            mall.by_index(false, orders::list(reads, &filter, newest, page)).await;
        }
    }
}

async fn lists_of_several_owners_are_found_by_owner(backend: Backend) {
    of_owners(&Overheard::new(backend).await).await;
}

async fn of_owners(mall: &Overheard) {
    let reads = &mall.library.reads;
    let page = &PageRequest::first(10);
    let customers: [CustomerId; 2] = [id(1), id(2)];
    let order: OrderId = id::<BasketId>(1).order();
    // Sorted at last: one list after the other.
    mall.by_index(true, products::of_stores(reads, &[id(1), id(2)], None, page)).await;
    mall.by_index(true, orders::of_customers(reads, &customers, page)).await;
    mall.by_index(true, notifications::of_customers(reads, &customers, page)).await;
    mall.by_index(true, timeline::of_orders(reads, &[order], page)).await;
    mall.by_index(true, parked::counts(reads, Some(&[]))).await;
}

async fn feeds_are_read_from_their_place_on(backend: Backend) {
    feeds(&Overheard::new(backend).await).await;
}

async fn feeds(mall: &Overheard) {
    let reads = &mall.library.reads;
    let order: OrderId = id::<BasketId>(1).order();
    let saga = Some(timeline::TimelineKind::Saga);
    mall.by_index(false, timeline::since(reads, order, None, 5, 100)).await;
    mall.by_index(false, timeline::since(reads, order, saga, 5, 100)).await;
    mall.by_index(false, timeline::of_order(reads, order, &PageRequest::first(9))).await;
    mall.by_index(false, notifications::sent_to(reads, id(1), 5, 100)).await;
}

async fn orders_are_found_by_what_they_hold(backend: Backend) {
    by_lines(&Overheard::new(backend).await).await;
}

async fn by_lines(mall: &Overheard) {
    let reads = &mall.library.reads;
    let page = &PageRequest::first(10);
    let newest = OrderSort::CreatedDesc;
    for filter in [
        OrderFilter { store_ids: Some(vec![id(1)]), ..OrderFilter::default() },
        OrderFilter { product_ids: Some(vec![id(1), id(2)]), ..OrderFilter::default() },
        OrderFilter { min_total: Some(5), max_total: Some(900), ..OrderFilter::default() },
    ] {
        // Few orders, then sorted; or all orders as sorted, and then their lines.
        mall.by_index(true, orders::list(reads, &filter, newest, page)).await;
    }
}

async fn counting_by_state_reads_no_more_than_it_must(backend: Backend) {
    counts(&Overheard::new(backend).await).await;
}

async fn counts(mall: &Overheard) {
    let reads = &mall.library.reads;
    for filter in [
        OrderFilter { customer_id: Some(id(1)), ..OrderFilter::default() },
        OrderFilter { product_ids: Some(vec![id(1)]), ..OrderFilter::default() },
        OrderFilter { created_after: Some(49_900), ..OrderFilter::default() },
    ] {
        mall.by_index(true, orders::status_counts(reads, &filter)).await;
    }
    if !mall.crowded {
        // All of them: by the index on the status, or by the table if that is
        // no larger.
        mall.by_index(true, orders::status_counts(reads, &OrderFilter::default())).await;
    }
}

#[tokio::test]
async fn with_very_many_rows_each_query_finds_its_own_by_an_index() {
    let mall = Overheard::crowded().await;
    by_ids(&mall).await;
    pages(&mall).await;
    of_owners(&mall).await;
    feeds(&mall).await;
    by_lines(&mall).await;
    counts(&mall).await;
}
