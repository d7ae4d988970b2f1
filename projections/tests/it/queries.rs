//! What the read side answers.

use std::collections::{HashMap, HashSet};

use mallbots_domain::{
    depot::shopping_list::ShoppingListStatus,
    id::{BasketId, BotId, CustomerId, EntityId, OrderId, ProductId, StoreId},
    ordering::OrderStatus,
    saga::SagaState,
    stores::{
        product::{Product, ProductCommand},
        store::{Store, StoreCommand},
    },
    testing::name,
};
use mallbots_eventstore::connect::Backend;
use mallbots_projections::{
    bots,
    customers::{self, CustomerFilter},
    notifications,
    orders::{self, OrderFilter, OrderRow, OrderSort},
    page::{Key, Page, PageRequest},
    products::{self, ProductFilter},
    reads::Reads,
    sagas, shopping_lists,
    stores::{self, StoreFilter},
    timeline,
};

use crate::{
    library::Library,
    mall::{Mall, busy, id},
};

on_each_database!(
    orders_are_found_by_every_filter_and_counted,
    orders_are_sorted_every_way_and_paged_both_ways,
    pages_stay_as_they_are_while_orders_come_in,
    stores_are_listed_by_participation_and_text,
    products_are_listed_by_store_and_text_unless_they_are_removed,
    customers_and_bots_are_listed,
    shopping_lists_and_sagas_are_listed_by_state,
    a_customer_s_orders_and_messages_are_listed,
    timelines_are_paged,
    many_are_found_by_their_ids_at_once,
    text_is_taken_as_it_is,
);

/// A busy mall, and every order in it.
async fn mall(backend: Backend) -> (Mall, Library, Vec<OrderRow>) {
    let mall = busy(40, 12);
    let mut library = Library::new(backend).await;
    library.take_in(&mall.messages, 500).await;
    let all = PageRequest::first(1000);
    let page =
        orders::list(&library.reads, &OrderFilter::default(), OrderSort::CreatedAsc, &all).await;
    let orders: Vec<OrderRow> = rows(page.unwrap());
    assert_eq!(orders.len(), 40);
    (mall, library, orders)
}

fn rows<T>(page: Page<T>) -> Vec<T> {
    page.rows.into_iter().map(|(_, row)| row).collect()
}

fn keys<T>(page: &Page<T>) -> Vec<Key> {
    page.rows.iter().map(|(key, _)| key.clone()).collect()
}

fn some_filters(orders: &[OrderRow]) -> Vec<OrderFilter> {
    let one = &orders[17];
    let none = OrderFilter::default;
    let status = *one.status;
    vec![
        none(),
        OrderFilter { customer_id: Some(*one.customer_id), ..none() },
        OrderFilter { customer_id: Some(id(4_000)), ..none() },
        OrderFilter { store_ids: Some(vec![one.items[0].store_id]), ..none() },
        OrderFilter { store_ids: Some(vec![id(1), id(2), id(4_000)]), ..none() },
        OrderFilter { store_ids: Some(vec![]), ..none() },
        OrderFilter { product_ids: Some(vec![one.items[1].product_id]), ..none() },
        OrderFilter { statuses: Some(vec![status]), ..none() },
        OrderFilter {
            statuses: Some(vec![OrderStatus::Canceled, OrderStatus::Rejected]),
            ..none()
        },
        OrderFilter { statuses: Some(vec![]), ..none() },
        OrderFilter { created_after: Some(one.created_at), ..none() },
        OrderFilter { created_before: Some(one.created_at), ..none() },
        OrderFilter { min_total: Some(one.total), ..none() },
        OrderFilter { max_total: Some(one.total), ..none() },
        OrderFilter { text: Some("sToRe 3".to_owned()), ..none() },
        OrderFilter { text: Some(one.customer_name.to_uppercase()), ..none() },
        OrderFilter { text: Some("no such thing".to_owned()), ..none() },
        OrderFilter {
            customer_id: Some(*one.customer_id),
            store_ids: Some(vec![one.items[0].store_id]),
            product_ids: Some(vec![one.items[0].product_id, id(1)]),
            statuses: Some(vec![status]),
            created_after: Some(one.created_at),
            created_before: Some(one.created_at + 1),
            min_total: Some(one.total),
            max_total: Some(one.total),
            text: Some(" Product ".to_owned()),
        },
    ]
}

async fn orders_are_found_by_every_filter_and_counted(backend: Backend) {
    let (_, library, orders) = mall(backend).await;
    for filter in some_filters(&orders) {
        let all = PageRequest::first(1000);
        let found = orders::list(&library.reads, &filter, OrderSort::CreatedAsc, &all).await;
        let expected: Vec<_> = orders.iter().filter(|order| filter.fits(order)).cloned().collect();
        assert_eq!(rows(found.unwrap()), expected, "{filter:?}");

        let mut counts: HashMap<&str, u64> = HashMap::new();
        for order in &expected {
            *counts.entry(order.status.as_str()).or_default() += 1;
        }
        let counted = orders::status_counts(&library.reads, &filter).await.unwrap();
        let counted: HashMap<&str, u64> =
            counted.into_iter().map(|(status, count)| (status.as_str(), count)).collect();
        assert_eq!(counted, counts, "{filter:?}");
    }
    let one = some_filters(&orders).pop().unwrap();
    assert!(one.fits(&orders[17]));
}

/// Every page, from one end to the other.
async fn walk(
    reads: &Reads,
    filter: &OrderFilter,
    sort: OrderSort,
    size: u32,
    forward: bool,
) -> Vec<Page<OrderRow>> {
    let mut pages: Vec<Page<OrderRow>> = Vec::new();
    loop {
        let request = match (pages.last(), forward) {
            (None, true) => PageRequest::first(size),
            (None, false) => PageRequest::last(size),
            (Some(page), true) => {
                PageRequest::first(size).after(page.rows.last().unwrap().0.clone())
            }
            (Some(page), false) => PageRequest::last(size).before(page.rows[0].0.clone()),
        };
        let page = orders::list(reads, filter, sort, &request).await.unwrap();
        let more = if forward { page.has_next } else { page.has_previous };
        pages.push(page);
        if !more {
            return pages;
        }
    }
}

async fn orders_are_sorted_every_way_and_paged_both_ways(backend: Backend) {
    let (_, library, orders) = mall(backend).await;
    let filter = OrderFilter { text: Some("customer".to_owned()), ..OrderFilter::default() };
    for sort in
        [OrderSort::CreatedDesc, OrderSort::CreatedAsc, OrderSort::TotalDesc, OrderSort::TotalAsc]
    {
        let mut expected = orders.clone();
        expected.sort_by_key(|order| match sort {
            OrderSort::CreatedDesc | OrderSort::CreatedAsc => {
                (order.created_at, order.id.to_string())
            }
            OrderSort::TotalDesc | OrderSort::TotalAsc => (order.total, order.id.to_string()),
        });
        if matches!(sort, OrderSort::CreatedDesc | OrderSort::TotalDesc) {
            expected.reverse();
        }

        let pages = walk(&library.reads, &filter, sort, 7, true).await;
        assert_eq!(pages.len(), 6);
        assert!(!pages[0].has_previous && pages[1..].iter().all(|page| page.has_previous));
        let walked: Vec<OrderRow> = pages.into_iter().flat_map(rows).collect();
        assert_eq!(walked, expected, "{sort:?}");

        let mut pages = walk(&library.reads, &filter, sort, 9, false).await;
        assert!(!pages[0].has_next && pages[1..].iter().all(|page| page.has_next));
        pages.reverse();
        let walked: Vec<OrderRow> = pages.into_iter().flat_map(rows).collect();
        assert_eq!(walked, expected, "{sort:?}");
    }

    // Between two places.
    let ten = PageRequest::first(10);
    let first = orders::list(&library.reads, &filter, OrderSort::CreatedAsc, &ten).await;
    let first = keys(&first.unwrap());
    let between = PageRequest::first(5).after(first[2].clone()).before(first[6].clone());
    let page =
        orders::list(&library.reads, &filter, OrderSort::CreatedAsc, &between).await.unwrap();
    assert_eq!(keys(&page), first[3..6]);
    // The list goes on on both sides, beyond what was asked for.
    assert!(page.has_next && page.has_previous);
}

async fn pages_stay_as_they_are_while_orders_come_in(backend: Backend) {
    let mall = busy(30, 30);
    let half = mall.messages.len() / 2;
    let mut library = Library::new(backend).await;
    library.take_in(&mall.messages[..half], 500).await;

    let filter = OrderFilter::default();
    let sort = OrderSort::CreatedDesc;
    let there: Vec<OrderRow> =
        walk(&library.reads, &filter, sort, 100, true).await.into_iter().flat_map(rows).collect();
    let there: Vec<OrderId> = there.into_iter().map(|order| *order.id).collect();
    assert!(there.len() > 3 && there.len() < 30, "{}", there.len());

    // Newer orders come in after the first page was read.
    let first = orders::list(&library.reads, &filter, sort, &PageRequest::first(2)).await.unwrap();
    let mut seen: Vec<OrderId> = first.rows.iter().map(|(_, order)| *order.id).collect();
    let mut last = first.rows.last().unwrap().0.clone();
    library.take_in(&mall.messages[half..], 500).await;
    loop {
        let request = PageRequest::first(2).after(last.clone());
        let page = orders::list(&library.reads, &filter, sort, &request).await.unwrap();
        seen.extend(page.rows.iter().map(|(_, order)| *order.id));
        match page.rows.last() {
            Some((key, _)) if page.has_next => last = key.clone(),
            Some(_) | None => break,
        }
    }
    assert_eq!(seen, there);
}

async fn stores_are_listed_by_participation_and_text(backend: Backend) {
    let mut mall = Mall::default();
    for n in 0..12 {
        let store = mall.store(n);
        if n % 3 == 0 {
            mall.ask::<Store>(store, StoreCommand::DisableParticipation);
        }
    }
    let mut library = Library::new(backend).await;
    library.take_in(&mall.messages, 500).await;

    let all = PageRequest::first(100);
    let found = |filter: StoreFilter| {
        let (reads, all) = (library.reads.clone(), all.clone());
        async move {
            let page = stores::list(&reads, &filter, &all).await.unwrap();
            rows(page).into_iter().map(|store| *store.id).collect::<Vec<StoreId>>()
        }
    };
    let none = StoreFilter::default;
    assert_eq!(found(none()).await, (0..12).map(id).collect::<Vec<_>>());
    let closed = StoreFilter { participating: Some(false), ..none() };
    assert_eq!(found(closed).await, [id(0), id(3), id(6), id(9)]);
    let level = StoreFilter { text: Some("LEVEL 4".to_owned()), participating: Some(true) };
    assert_eq!(found(level).await, [id(4)]);

    let page = stores::list(&library.reads, &none(), &PageRequest::last(5)).await.unwrap();
    assert!(page.has_previous && !page.has_next);
    assert_eq!(*page.rows[0].1.id, id(7));
}

async fn products_are_listed_by_store_and_text_unless_they_are_removed(backend: Backend) {
    let mut mall = Mall::default();
    for n in 0..30 {
        let store = mall.store(n % 3);
        let product = mall.product(n, store);
        if n % 10 == 1 {
            mall.ask::<Product>(product, ProductCommand::Remove);
        }
    }
    let mut library = Library::new(backend).await;
    library.take_in(&mall.messages, 500).await;
    let reads = &library.reads;

    let filter = ProductFilter { store_id: Some(id(2)), text: None };
    let found = rows(products::list(reads, &filter, &PageRequest::first(100)).await.unwrap());
    let found: Vec<ProductId> = found.iter().map(|product| *product.id).collect();
    let of_store = [2, 5, 8, 14, 17, 20, 23, 26, 29].map(id);
    assert_eq!(found, of_store);
    let filter = ProductFilter { store_id: None, text: Some("sku-2".to_owned()) };
    let found = rows(products::list(reads, &filter, &PageRequest::first(100)).await.unwrap());
    assert_eq!(found.len(), 10);

    // What was removed is found by its id all the same.
    assert!(products::by_id(reads, id(11)).await.unwrap().unwrap().removed);

    let stores: [StoreId; 3] = [id(0), id(2), id(77)];
    let request = PageRequest::first(4);
    let pages = products::of_stores(reads, &stores, None, &request).await.unwrap();
    assert_eq!(pages.len(), 2);
    let page = &pages[&id(2)];
    assert!(page.has_next);
    let found: Vec<ProductId> = page.rows.iter().map(|(_, product)| *product.id).collect();
    assert_eq!(found, of_store[..4]);
    let request = request.after(page.rows[3].0.clone());
    let pages = products::of_stores(reads, &stores, Some("product"), &request).await.unwrap();
    let page = &pages[&id(2)];
    let found: Vec<ProductId> = page.rows.iter().map(|(_, product)| *product.id).collect();
    assert_eq!(found, of_store[4..8]);
    assert!(page.has_next && page.has_previous);
    let request = PageRequest::last(3);
    let pages = products::of_stores(reads, &stores, None, &request).await.unwrap();
    let found: Vec<ProductId> = pages[&id(2)].rows.iter().map(|(_, p)| *p.id).collect();
    assert_eq!(found, of_store[6..]);
}

async fn customers_and_bots_are_listed(backend: Backend) {
    let mut mall = Mall::default();
    for n in 0..5 {
        mall.customer(n);
        mall.bot(n);
    }
    let mut library = Library::new(backend).await;
    library.take_in(&mall.messages, 500).await;
    let reads = &library.reads;

    let everyone = CustomerFilter::default();
    let found = customers::list(reads, &everyone, &PageRequest::first(3)).await.unwrap();
    assert!(found.has_next);
    let request = PageRequest::first(3).after(found.rows[2].0.clone());
    let rest = customers::list(reads, &everyone, &request).await.unwrap();
    assert!(!rest.has_next);
    let found: Vec<CustomerId> =
        rows(found).into_iter().chain(rows(rest)).map(|customer| *customer.id).collect();
    assert_eq!(found, (0..5).map(id).collect::<Vec<_>>());
    let by_number = CustomerFilter { text: Some("0000003".to_owned()) };
    let found = rows(customers::list(reads, &by_number, &PageRequest::first(3)).await.unwrap());
    assert_eq!(found.len(), 1);

    let found = rows(bots::list(reads, &PageRequest::first(100)).await.unwrap());
    let found: Vec<BotId> = found.iter().map(|bot| *bot.id).collect();
    assert_eq!(found, (0..5).map(id).collect::<Vec<_>>());
}

async fn shopping_lists_and_sagas_are_listed_by_state(backend: Backend) {
    let (_, library, orders) = mall(backend).await;
    let reads = &library.reads;
    let all = PageRequest::first(1000);

    let every = rows(shopping_lists::list(reads, None, &all).await.unwrap());
    assert!(every.is_sorted_by_key(|list| list.created_at));
    for statuses in [
        vec![ShoppingListStatus::Canceled],
        vec![ShoppingListStatus::Completed, ShoppingListStatus::Canceled],
        vec![],
    ] {
        let found = rows(shopping_lists::list(reads, Some(&statuses), &all).await.unwrap());
        let fits = |list: &&shopping_lists::ShoppingListRow| statuses.contains(&*list.status);
        assert_eq!(found, every.iter().filter(fits).cloned().collect::<Vec<_>>());
    }

    let every = rows(sagas::list(reads, None, &all).await.unwrap());
    assert!(every.is_sorted_by_key(|saga| std::cmp::Reverse(saga.created_at)));
    let compensated =
        rows(sagas::list(reads, Some(&[SagaState::Compensated]), &all).await.unwrap());
    assert!(!compensated.is_empty() && compensated.len() < every.len());
    assert!(compensated.iter().all(|saga| *saga.state == SagaState::Compensated));

    let ids: Vec<OrderId> = orders.iter().map(|order| *order.id).chain([id(4_000)]).collect();
    let latest = sagas::latest_of_orders(reads, &ids).await.unwrap();
    assert_eq!(latest.len(), orders.len());
    for order in &orders {
        let canceled = *order.status == OrderStatus::Canceled;
        let name = if canceled { "cancel_order" } else { "create_order" };
        assert_eq!(latest[&order.id].name, name);
    }
}

async fn a_customer_s_orders_and_messages_are_listed(backend: Backend) {
    let (_, library, orders) = mall(backend).await;
    let reads = &library.reads;
    let customer = *orders[3].customer_id;
    let other = *orders.iter().find(|o| *o.customer_id != customer).unwrap().customer_id;
    let customers = [customer, other, id(4_000)];

    let pages = orders::of_customers(reads, &customers, &PageRequest::first(100)).await.unwrap();
    assert_eq!(pages.len(), 2);
    let mut expected: Vec<OrderRow> =
        orders.iter().filter(|o| *o.customer_id == customer).cloned().collect();
    expected.reverse();
    assert_eq!(rows(pages[&customer].clone()), expected);

    let all = PageRequest::first(100);
    let told = notifications::of_customer(reads, customer, &all).await.unwrap();
    let pages = notifications::of_customers(reads, &customers, &all).await.unwrap();
    assert_eq!(pages[&customer], told);
    assert!(rows(told.clone()).is_sorted_by_key(|message| std::cmp::Reverse(message.created_at)));

    // As a feed: each once, in the order they went out, from any place on.
    let sent = notifications::sent_to(reads, customer, 0, 100).await.unwrap();
    assert_eq!(sent.len(), told.rows.len());
    assert!(sent.is_sorted_by_key(|message| message.position));
    let rest = notifications::sent_to(reads, customer, sent[0].position, 1).await.unwrap();
    assert_eq!(rest, sent[1..2]);
}

async fn timelines_are_paged(backend: Backend) {
    let (_, library, orders) = mall(backend).await;
    let reads = &library.reads;
    let ids: Vec<OrderId> = [&orders[0], &orders[9]].map(|order| *order.id).to_vec();
    let all = timeline::since(reads, ids[0], None, 0, 1000).await.unwrap();
    assert!(all.len() > 20);

    let first = timeline::of_order(reads, ids[0], &PageRequest::first(8)).await.unwrap();
    assert!(first.has_next);
    assert_eq!(rows(first.clone()), all[..8]);
    let request = PageRequest::first(8).after(first.rows[7].0.clone());
    let pages = timeline::of_orders(reads, &ids, &request).await.unwrap();
    assert_eq!(rows(pages[&ids[0]].clone()), all[8..16]);
    let pages = timeline::of_orders(reads, &ids, &PageRequest::first(3)).await.unwrap();
    assert_eq!(pages.len(), 2);
    let of_other = timeline::since(reads, ids[1], None, 0, 3).await.unwrap();
    assert_eq!(rows(pages[&ids[1]].clone()), of_other);
}

async fn many_are_found_by_their_ids_at_once(backend: Backend) {
    let (_, library, orders) = mall(backend).await;
    let ids: Vec<OrderId> = orders.iter().map(|order| *order.id).collect();
    let mut asked = ids.clone();
    asked.extend([id::<BasketId>(9_999).order(), ids[0]]);
    let found = orders::by_ids(&library.reads, &asked).await.unwrap();
    assert_eq!(found.keys().copied().collect::<HashSet<_>>(), ids.into_iter().collect());
    assert_eq!(found[&orders[5].id], orders[5]);
    assert!(orders::by_ids(&library.reads, &[]).await.unwrap().is_empty());
    let missing = orders::by_id(&library.reads, id(9_999)).await.unwrap();
    assert_eq!(missing, None);
    assert_eq!(orders[5].id.any().to_string(), orders[5].id.to_string());
}

async fn text_is_taken_as_it_is(backend: Backend) {
    let mut mall = Mall::default();
    for (n, title) in
        ["100 % Öl", "100 kg", "under_score", "underXscore", "back\\slash"].into_iter().enumerate()
    {
        let create = StoreCommand::Create { name: name(title), location: name("here") };
        mall.ask::<Store>(id(u32::try_from(n).unwrap()), create);
    }
    let mut library = Library::new(backend).await;
    library.take_in(&mall.messages, 500).await;
    for (text, expected) in [
        ("0 %", vec!["100 % Öl"]),
        ("%", vec!["100 % Öl"]),
        ("öL", vec!["100 % Öl"]),
        ("R_S", vec!["under_score"]),
        ("\\", vec!["back\\slash"]),
        ("'", vec![]),
        ("   ", vec!["100 % Öl", "100 kg", "under_score", "underXscore", "back\\slash"]),
        ("\n", vec!["100 % Öl", "100 kg", "under_score", "underXscore", "back\\slash"]),
    ] {
        let filter = StoreFilter { text: Some(text.to_owned()), participating: None };
        let page = stores::list(&library.reads, &filter, &PageRequest::first(9)).await.unwrap();
        let found: Vec<String> = rows(page).into_iter().map(|store| store.name).collect();
        assert_eq!(found, expected, "{text:?}");
    }
}
