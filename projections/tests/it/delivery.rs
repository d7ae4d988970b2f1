//! However events are delivered, the tables come out the same.

use mallbots_eventstore::connect::Backend;

use crate::{
    library::{Library, on_each_database},
    mall::busy,
};

on_each_database!(batches_of_any_size_make_equal_tables, what_is_delivered_twice_is_taken_in_once,);

async fn batches_of_any_size_make_equal_tables(backend: Backend) {
    let mall = busy(12, 5);
    let mut dumps = Vec::new();
    for at_once in [1, 7, 500, mall.messages.len()] {
        let mut library = Library::new(backend).await;
        library.take_in(&mall.messages, at_once).await;
        dumps.push(library.dump().await);
    }
    assert_eq!(dumps[0], dumps[1]);
    assert_eq!(dumps[0], dumps[2]);
    assert_eq!(dumps[0], dumps[3]);
    assert_eq!(dumps[0]["projection_dead_letters"], serde_json::json!([]));
}

async fn what_is_delivered_twice_is_taken_in_once(backend: Backend) {
    let mall = busy(12, 5);
    let mut library = Library::new(backend).await;
    library.take_in(&mall.messages, 100).await;
    let once = library.dump().await;

    library.take_in(&mall.messages, 100).await;
    assert_eq!(library.dump().await, once);

    // Nor if the checkpoints are lost but the rows are not.
    library.forget_checkpoints().await;
    library.take_in(&mall.messages, 33).await;
    assert_eq!(library.dump().await, once);
}
