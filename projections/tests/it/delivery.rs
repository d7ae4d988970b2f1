//! However events are delivered, the tables come out the same.

use mallbots_eventstore::connect::Backend;
use serde_json::json;

use crate::{library::Library, mall::busy};

on_each_database!(batches_of_any_size_make_equal_tables, what_is_delivered_twice_is_taken_in_once,);

async fn batches_of_any_size_make_equal_tables(backend: Backend) {
    let mall = busy(12, 5);
    let mut one = Library::new(backend).await;
    one.take_in(&mall.messages, 1).await;
    assert!(!one.dump().await["orders"].as_array().unwrap().is_empty());
    assert_eq!(one.dump().await["projection_dead_letters"], json!([]));
    for at_once in [7, 500, mall.messages.len()] {
        let mut library = Library::new(backend).await;
        library.take_in(&mall.messages, at_once).await;
        library.assert_equals(&one).await;
    }
}

async fn what_is_delivered_twice_is_taken_in_once(backend: Backend) {
    let mall = busy(12, 5);
    let mut once = Library::new(backend).await;
    once.take_in(&mall.messages, 100).await;

    let mut library = Library::new(backend).await;
    library.take_in(&mall.messages, 100).await;
    library.take_in(&mall.messages, 100).await;
    library.assert_equals(&once).await;

    // Nor if the checkpoints are lost but the rows are not.
    library.forget_checkpoints().await;
    library.take_in(&mall.messages, 33).await;
    library.assert_equals(&once).await;
}
