//! Every list from both ends: whoever walks it backwards finds what there is
//! forwards, whatever is added meanwhile.

use serde_json::{Value, json};

use crate::support::{Mall, Shopper};

/// One end of a list, and how to ask for it.
#[derive(Debug, Clone, Copy)]
enum End {
    Start,
    End,
}

/// A page of a list. `field` is what is asked of, with its own arguments, such
/// as `orders(`; `wrap` is what stands around it.
async fn page(mall: &Mall, list: &List, paging: &str) -> Value {
    let List { wrap: (head, tail), field, path, .. } = list;
    let document = format!(
        "{{ {head} {field}{paging}) {{ edges {{ cursor node {{ __typename }} }} \
         pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} {tail} }}"
    );
    let answer = mall.ask(&document, json!({})).await.succeeds();
    path.iter().fold(answer, |value, step| value[*step].clone())
}

struct List {
    wrap: (String, &'static str),
    field: String,
    path: Vec<&'static str>,
    /// How many there are at least.
    least: usize,
}

fn cursors(page: &Value) -> Vec<String> {
    let edges = page["edges"].as_array().unwrap();
    edges.iter().map(|edge| edge["cursor"].as_str().unwrap().to_owned()).collect()
}

/// All cursors of a list, walked in pages of two from one end.
async fn walk(mall: &Mall, list: &List, from: End) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut place: Option<String> = None;
    loop {
        let (take, bound, more, behind) = match from {
            End::Start => ("first: 2", "after", "hasNextPage", "hasPreviousPage"),
            End::End => ("last: 2", "before", "hasPreviousPage", "hasNextPage"),
        };
        let bound = place.as_ref().map(|place| format!(", {bound}: \"{place}\""));
        let page = page(mall, list, &format!("{take}{}", bound.unwrap_or_default())).await;
        let found = cursors(&page);
        assert_eq!(page["pageInfo"][behind], place.is_some(), "{}: {page}", list.field);
        assert_eq!(page["pageInfo"]["startCursor"].as_str(), found.first().map(String::as_str));
        assert_eq!(page["pageInfo"]["endCursor"].as_str(), found.last().map(String::as_str));
        match from {
            End::Start => all.extend(found),
            End::End => drop(all.splice(0..0, found)),
        }
        if page["pageInfo"][more] == false {
            return all;
        }
        place = match from {
            End::Start => all.last().cloned(),
            End::End => all.first().cloned(),
        };
    }
}

/// A mall with several of everything.
async fn busy_mall(mall: &Mall) -> Shopper {
    let mut last = None;
    for number in 0..3 {
        let bot = mall.given_an_idle_bot(&format!("Bot {number}")).await;
        last = Some(mall.given_an_order_at_the_depot(bot).await);
    }
    let shopper = last.unwrap();
    for number in 0..3 {
        let name = format!("Product {number}");
        mall.given_a_product(shopper.lines[0].store, &name, "1.00").await;
    }
    shopper
}

fn lists(shopper: &Shopper) -> Vec<List> {
    let root = |field: &str, path: &'static str, least| List {
        wrap: (String::new(), ""),
        field: field.to_owned(),
        path: vec![path],
        least,
    };
    let order = shopper.order();
    let within = |head: &'static str, id: String, field: &'static str, least| List {
        wrap: (format!("{head}(id: \"{id}\") {{"), "}"),
        field: format!("{field}("),
        path: vec![head, field],
        least,
    };
    vec![
        root("stores(", "stores", 3),
        root("products(", "products", 6),
        root("orders(", "orders", 3),
        root("customers(", "customers", 3),
        root("sagas(", "sagas", 3),
        root("shoppingLists(", "shoppingLists", 3),
        root("bots(", "bots", 3),
        root("deadLetters(", "deadLetters", 0),
        root("ledger(", "ledger", 100),
        root(&format!("history(id: \"{order}\", "), "history", 2),
        within("store", shopper.lines[0].store.to_string(), "products", 3),
        within("customer", shopper.customer.to_string(), "orders", 1),
        within("customer", shopper.customer.to_string(), "notifications", 1),
        within("order", order.to_string(), "timeline", 3),
    ]
}

async fn every_list_is_walked_from_both_ends(mall: Mall) {
    let shopper = busy_mall(&mall).await;
    for list in lists(&shopper) {
        let forward = walk(&mall, &list, End::Start).await;
        let backward = walk(&mall, &list, End::End).await;
        assert!(forward.len() >= list.least, "{}: {}", list.field, forward.len());
        // What was said meanwhile stands before the rest of the ledger.
        let is_ledger = list.field == "ledger(";
        assert!(is_ledger || forward.len() == backward.len(), "{}", list.field);
        assert!(backward.ends_with(&forward), "{}", list.field);
        let start = page(&mall, &list, "first: 100").await;
        assert!(is_ledger || cursors(&start) == forward, "{}", list.field);
    }
}

#[tokio::test]
async fn every_list_is_walked_from_both_ends_on_sqlite() {
    every_list_is_walked_from_both_ends(Mall::open().await).await;
}

#[tokio::test]
async fn every_list_is_walked_from_both_ends_on_postgres() {
    every_list_is_walked_from_both_ends(Mall::open_on_postgres().await).await;
}

#[tokio::test]
async fn a_walk_backwards_neither_repeats_nor_misses_what_stands_when_more_comes() {
    let mall = Mall::open().await;
    for number in 0..5 {
        mall.given_an_idle_bot(&format!("Bot {number}")).await;
    }
    let bots = |paging: &'static str, place: Option<String>| {
        let place = place.map(|place| format!(", before: \"{place}\"")).unwrap_or_default();
        format!(
            "{{ bots({paging}{place}) {{ nodes {{ name }} \
             pageInfo {{ startCursor hasNextPage hasPreviousPage }} }} }}"
        )
    };
    let mut place = None;
    let mut names = Vec::new();
    for number in 5.. {
        let answer = mall.ask(&bots("last: 2", place), json!({})).await.succeeds();
        let page = &answer["bots"];
        let nodes = page["nodes"].as_array().unwrap().iter().rev();
        names.extend(nodes.map(|bot| bot["name"].as_str().unwrap().to_owned()));
        if page["pageInfo"]["hasPreviousPage"] == false {
            break;
        }
        place = page["pageInfo"]["startCursor"].as_str().map(str::to_owned);
        mall.given_an_idle_bot(&format!("Bot {number}")).await;
    }
    assert_eq!(names, ["Bot 4", "Bot 3", "Bot 2", "Bot 1", "Bot 0"]);
}

#[tokio::test]
async fn both_ends_at_once_are_refused_on_every_list() {
    let mall = Mall::open().await;
    let bot = mall.given_an_idle_bot("Robby").await;
    let shopper = mall.given_an_order_at_the_depot(bot).await;
    for list in lists(&shopper) {
        let List { wrap: (head, tail), field, .. } = &list;
        for (paging, at_fault) in
            [("first: 1, last: 1", "last"), ("last: 0", "last"), ("first: 101", "first")]
        {
            let document =
                format!("{{ {head} {field}{paging}) {{ nodes {{ __typename }} }} {tail} }}");
            mall.ask(&document, json!({})).await.is_bad_input(at_fault);
        }
    }
}
