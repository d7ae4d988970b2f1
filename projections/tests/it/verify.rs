//! What is compared with history is found equal if it is, and if not, where.

use mallbots_domain::id::{BasketId, EntityId};
use mallbots_eventstore::{
    append::{Append, NewMessage},
    connect::Backend,
    message::{MessageKind, Metadata, Position},
};
use mallbots_projections::{
    page::PageRequest,
    parked::{self, ParkedRow},
    verify::{CompareError, Comparison, Differs, compare},
};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::{
    library::Library,
    mall::{busy, id},
};

on_each_database!(
    tables_equal_to_history_do_not_differ,
    a_row_that_differs_is_told_with_its_columns,
    only_the_first_ten_rows_that_differ_are_told,
    a_stream_is_compared_up_to_what_is_parked,
    an_event_that_was_discarded_is_missed_by_nobody,
    tables_ahead_of_the_ledger_are_refused,
);

/// A library that has taken a busy mall's ledger in.
async fn filled(backend: Backend) -> Library {
    let library = Library::on(backend, backend).await;
    library.record(&busy(12, 5).messages).await;
    follow(library).await
}

/// Takes in what is in the ledger.
async fn follow(mut library: Library) -> Library {
    let ledger = library.ledger.ledger.clone();
    loop {
        let messages = ledger.read(library.reads.position(), 300).await.unwrap();
        if messages.is_empty() {
            return library;
        }
        library.projector.project(&messages).await.unwrap();
    }
}

async fn compared(library: &Library) -> Result<Comparison, CompareError> {
    compare(&library.views.database, &library.ledger.ledger, |_, _| {}).await
}

async fn change(library: &Library, sql: &str) {
    library.views.database.write.execute_unprepared(sql).await.unwrap();
}

async fn letters(library: &Library) -> Vec<ParkedRow> {
    let page = parked::list(&library.reads, &PageRequest::first(1000)).await.unwrap();
    page.rows.into_iter().map(|(_, letter)| letter).collect()
}

async fn tables_equal_to_history_do_not_differ(backend: Backend) {
    let library = filled(backend).await;
    let mut told = Vec::new();
    let end = library.ledger.ledger.head();
    let (views, ledger) = (&library.views.database, &library.ledger.ledger);
    let comparison = compare(views, ledger, |at, to| told.push((at, to))).await.unwrap();
    assert_eq!(comparison.position, end);
    assert_eq!(comparison.differences, []);
    let rows: usize = library
        .dump()
        .await
        .as_object()
        .unwrap()
        .values()
        .fold(0, |sum, rows| sum + rows.as_array().unwrap().len());
    assert_eq!(comparison.rows, rows as u64);
    assert_eq!(told.last(), Some(&(end, end)));
}

async fn a_row_that_differs_is_told_with_its_columns(backend: Backend) {
    let library = filled(backend).await;
    let order = id::<BasketId>(5).order();
    let customer = id::<BasketId>(5).order().invoice();
    change(&library, &format!("UPDATE orders SET total = 7 WHERE id = '{order}'")).await;
    change(&library, "UPDATE stores SET name = 'Nowhere' WHERE name = 'Store 3'").await;
    change(&library, &format!("DELETE FROM invoices WHERE id = '{customer}'")).await;
    let surplus = format!(
        "INSERT INTO order_lines (order_id, product_id, store_id) VALUES ('{order}', \
         'product_00000000000000000000000000', 'store_00000000000000000000000000')",
    );
    change(&library, &surplus).await;

    let comparison = compared(&library).await.unwrap();
    let tables: Vec<_> = comparison.differences.iter().map(|d| (d.table, d.rows)).collect();
    assert_eq!(tables, [("stores", 1), ("orders", 1), ("order_lines", 1), ("invoices", 1)]);
    let of = |table: &str| {
        comparison.differences.iter().find(|found| found.table == table).unwrap().first[0].clone()
    };
    let Differs::Other { columns } = of("orders").how else { panic!() };
    assert_eq!((columns.len(), &*columns[0].column), (1, "total"));
    assert_eq!(columns[0].live, 7);
    assert_eq!(of("orders").key, order.to_string());
    assert!(of("stores").to_string().contains("name is \"Nowhere\", should be \"Store 3\""));
    assert_eq!(of("invoices").to_string(), format!("{customer} is missing"));
    assert_eq!(of("order_lines").how, Differs::Surplus);
}

async fn only_the_first_ten_rows_that_differ_are_told(backend: Backend) {
    let library = filled(backend).await;
    change(&library, "UPDATE products SET price = price + 1").await;
    let comparison = compared(&library).await.unwrap();
    let [products] = &*comparison.differences else { panic!("{comparison:?}") };
    assert_eq!((products.table, products.rows, products.first.len()), ("products", 200, 10));
    assert!(products.first.is_sorted_by_key(|row| &row.key));
}

/// A library with a stream that could not be taken in from its second event on.
async fn parked(backend: Backend) -> Library {
    let mut mall = busy(6, 3);
    let basket: BasketId = id(2);
    let mut versions = mall
        .messages
        .iter_mut()
        .filter(|message| message.kind == MessageKind::Event && message.stream == basket.any());
    let second = versions.nth(1).unwrap();
    let mut spoiled = (**second).clone();
    spoiled.payload = "{\"item\":\"nonsense\"}".into();
    *second = spoiled.into();
    let library = Library::on(backend, backend).await;
    library.record(&mall.messages).await;
    let library = follow(library).await;
    assert!(letters(&library).await.len() > 1);
    library
}

async fn a_stream_is_compared_up_to_what_is_parked(backend: Backend) {
    let library = Box::pin(parked(backend)).await;
    assert_eq!(compared(&library).await.unwrap().differences, []);
}

async fn an_event_that_was_discarded_is_missed_by_nobody(backend: Backend) {
    let library = Box::pin(parked(backend)).await;
    let letter = letters(&library).await.remove(0);
    let say = Append {
        messages: vec![NewMessage {
            kind: MessageKind::Command,
            stream: letter.id.any(),
            name: "operations.DiscardDeadLetter".to_owned(),
            message_id: Uuid::from_u128(77),
            payload: "{}".to_owned(),
        }],
        ..Append::new(Metadata::begin("admin", Uuid::from_u128(1)))
    };
    library.ledger.ledger.append(say).await.unwrap();
    let library = follow(library).await;
    assert_eq!(letters(&library).await, []);
    assert_eq!(compared(&library).await.unwrap().differences, []);
}

async fn tables_ahead_of_the_ledger_are_refused(backend: Backend) {
    let library = filled(backend).await;
    let ledger = library.ledger.ledger.head();
    let tables = Position(ledger.0 + 5);
    let ahead =
        format!("UPDATE projection_checkpoints SET position = {tables} WHERE partition = 7");
    change(&library, &ahead).await;
    let refused = compared(&library).await;
    let is_ahead = matches!(&refused, Err(CompareError::Ahead { tables: t, ledger: l })
        if (*t, *l) == (tables, ledger));
    assert!(is_ahead, "{refused:?}");
}
