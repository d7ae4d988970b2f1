//! Who may do what: every field, for every role, about what is one's own and
//! what is another's, asked of a real server. `docs/authorization.md` is what
//! came back; it says what changes when a rule does.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write,
};

use async_graphql::parser::{
    parse_schema,
    types::{BaseType, TypeKind, TypeSystemDefinition},
};
use mallbots_domain::id::{
    BasketId, BotId, CustomerId, DeadLetterId, EntityId, OrderId, PaymentId, ProductId, StoreId,
};
use mallbots_gateway::{
    auth::{Rights, Role, rules},
    client::{CallError, Client, Extensions, Problem, operations::Operation},
    startup,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    auth::{guarded_mall, rights, token},
    support::{Mall, new_id, within},
};

/// One of everything that is somebody's.
#[derive(Debug, Clone)]
struct Things {
    customer: CustomerId,
    basket: BasketId,
    order: OrderId,
    payment: PaymentId,
    store: StoreId,
    product: ProductId,
    bot: BotId,
    notification: String,
    message: String,
}

impl Things {
    /// Those of a customer whose order is at the depot.
    async fn given(mall: &Mall) -> Self {
        let bot = mall.given_an_idle_bot("Robby").await;
        let shopper = mall.given_an_order_at_the_depot(bot).await;
        let document = "query($id: ID!) { customer(id: $id) { notifications { nodes { id } } } }";
        let told = mall.ask(document, json!({ "id": shopper.customer })).await.succeeds();
        let first = &told["customer"]["notifications"]["nodes"][0]["id"];
        let document = "query($id: ID!) { history(id: $id, first: 1) { nodes { id } } }";
        let happened = mall.ask(document, json!({ "id": shopper.order() })).await.succeeds();
        let message = &happened["history"]["nodes"][0]["id"];
        Self {
            customer: shopper.customer,
            basket: shopper.basket,
            order: shopper.order(),
            payment: shopper.payment,
            store: shopper.lines[0].store,
            product: shopper.lines[0].product,
            bot,
            notification: first.as_str().unwrap().to_owned(),
            message: message.as_str().unwrap().to_owned(),
        }
    }

    /// Such as nobody has.
    fn of_nobody() -> Self {
        let order: OrderId = new_id();
        let notification = Uuid::now_v7();
        Self {
            customer: new_id(),
            basket: order.basket(),
            order,
            payment: new_id(),
            store: new_id(),
            product: new_id(),
            bot: new_id(),
            notification: mallbots_domain::id::NotificationId::from_uuid(notification).to_string(),
            message: Uuid::now_v7().to_string(),
        }
    }

    /// The one of a type, by its id.
    fn id(&self, of: &str) -> Option<String> {
        Some(match of {
            "Store" => self.store.to_string(),
            "Product" => self.product.to_string(),
            "Customer" => self.customer.to_string(),
            "Basket" => self.basket.to_string(),
            "Order" => self.order.to_string(),
            "Payment" => self.payment.to_string(),
            "Invoice" => self.order.invoice().to_string(),
            "ShoppingList" => self.order.shopping_list().to_string(),
            "Bot" => self.bot.to_string(),
            "Saga" => self.order.create_saga().to_string(),
            "Notification" => self.notification.clone(),
            _ => return None,
        })
    }

    /// The arguments of a query or subscription that are about something of somebody's.
    fn arguments(&self, field: &str) -> String {
        let id = |of: &str| format!("(id: \"{}\")", self.id(of).unwrap());
        match field {
            "nodes" => format!("(ids: [\"{}\"])", self.order),
            "_entities" => {
                let order = format!("{{ __typename: \"Order\", id: \"{}\" }}", self.order);
                format!("(representations: [{order}])")
            }
            "store" => id("Store"),
            "product" => id("Product"),
            "products" | "productsChanged" => format!("(storeId: \"{}\")", self.store),
            "customer" => id("Customer"),
            "basket" | "basketChanged" => id("Basket"),
            "node" | "order" | "orderChanged" | "history" | "historyChanged" => id("Order"),
            "ledgerEvent" => format!("(id: \"{}\")", self.message),
            "orders" | "orderStatusCounts" | "ordersChanged" => {
                format!("(filter: {{ customerId: \"{}\" }})", self.customer)
            }
            "orderProgress" | "sagaProgress" => format!("(orderId: \"{}\")", self.order),
            "payment" => id("Payment"),
            "invoice" => id("Invoice"),
            "shoppingList" => id("ShoppingList"),
            "saga" => id("Saga"),
            "notificationSent" => format!("(customerId: \"{}\")", self.customer),
            // About nobody's in particular.
            _ => String::new(),
        }
    }

    /// The input of a mutation about something of somebody's.
    fn input(&self, mutation: &str) -> Value {
        let list = self.order.shopping_list();
        let letter = DeadLetterId::from_uuid(Uuid::now_v7());
        match mutation {
            "createStore" => json!({ "id": self.store, "name": "A", "location": "B" }),
            "rebrandStore" => json!({ "id": self.store, "name": "Waldorf" }),
            "enableStoreParticipation" | "disableStoreParticipation" => json!({ "id": self.store }),
            "addProduct" => json!({
                "storeId": self.store, "name": "A", "sku": Uuid::now_v7(), "price": "1.00",
            }),
            "rebrandProduct" => json!({ "id": self.product, "name": "A" }),
            "removeProduct" => json!({ "id": self.product }),
            "increaseProductPrice" => json!({ "id": self.product, "price": "99.00" }),
            "decreaseProductPrice" => json!({ "id": self.product, "price": "0.01" }),
            "registerCustomer" => {
                json!({ "id": self.customer, "name": "Ada", "smsNumber": "+15550100" })
            }
            "changeSmsNumber" => json!({ "id": self.customer, "smsNumber": "+15550101" }),
            "enableCustomer" | "disableCustomer" => json!({ "id": self.customer }),
            "startBasket" => json!({ "customerId": self.customer }),
            "addBasketItem" | "removeBasketItem" => {
                json!({ "id": self.basket, "productId": self.product, "quantity": 1 })
            }
            "cancelBasket" => json!({ "id": self.basket }),
            "checkoutBasket" => json!({ "id": self.basket, "paymentId": self.payment }),
            "cancelOrder" => json!({ "id": self.order }),
            "authorizePayment" => json!({ "customerId": self.customer, "amount": "1.00" }),
            "payInvoice" | "cancelInvoice" => json!({ "id": self.order.invoice() }),
            "adjustInvoice" => json!({ "id": self.order.invoice(), "amount": "0.50" }),
            "registerBot" => json!({ "name": "Robby" }),
            "bringBotOnline" | "takeBotOffline" => json!({ "id": self.bot }),
            "assignShoppingList" => json!({ "id": list, "botId": self.bot }),
            "startShopping" | "completeShoppingList" => json!({ "id": list }),
            "pickItem" => json!({
                "id": list, "storeId": self.store, "productId": self.product, "quantity": 1,
            }),
            "retrySaga" => json!({ "id": self.order.create_saga() }),
            "retryDeadLetter" | "discardDeadLetter" => json!({ "id": letter }),
            "rebuildProjection" => json!({ "name": "orders" }),
            other => panic!("say how {other} is asked for, in tests/it/authorization.rs"),
        }
    }
}

/// The object types of the schema: their fields, and of what type each is.
fn types() -> BTreeMap<String, Vec<(String, String)>> {
    let definition = parse_schema(startup::sdl()).unwrap();
    let mut types = BTreeMap::new();
    for definition in definition.definitions {
        let TypeSystemDefinition::Type(definition) = definition else { continue };
        let TypeKind::Object(object) = &definition.node.kind else { continue };
        let fields = object.fields.iter().map(|field| {
            let mut base = &field.node.ty.node.base;
            while let BaseType::List(of) = base {
                base = &of.base;
            }
            (field.node.name.node.to_string(), base.to_string())
        });
        types.insert(definition.node.name.node.to_string(), fields.collect());
    }
    types
}

/// Whether values of a type have fields.
fn is_composite(types: &BTreeMap<String, Vec<(String, String)>>, of: &str) -> bool {
    types.contains_key(of) || ["Node", "_Entity"].contains(&of)
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq)]
enum Came {
    Answer,
    /// Not for this role.
    Forbidden,
    /// As if there were no such thing.
    Nothing(Box<Problem>),
}

impl Came {
    fn of(outcome: Result<Value, CallError>, what: &str) -> Self {
        match outcome {
            Ok(_) => Self::Answer,
            Err(CallError::Refused(problem)) => match problem.code() {
                "FORBIDDEN" => Self::Forbidden,
                "NOT_FOUND" => {
                    let mut problem = problem;
                    // This alone tells two of them apart.
                    problem.extensions.request_id = None;
                    Self::Nothing(problem)
                }
                // Past the door: the mall itself says what stands in the way.
                "CONFLICT" | "FAILED_PRECONDITION" | "BAD_USER_INPUT" => Self::Answer,
                code => panic!("{what}: {code}: {problem}"),
            },
            Err(error) => panic!("{what}: {error:?}"),
        }
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Answer => "yes",
            Self::Forbidden => "–",
            Self::Nothing(_) => "nothing",
        }
    }
}

/// Who asks, and about whose things: own, another's, nobody's.
struct World {
    mall: Mall,
    clients: Vec<(Role, Client)>,
    own: Things,
    other: Things,
    nobody: Things,
}

impl World {
    async fn open() -> Self {
        let mall = guarded_mall().await;
        let (own, other) = (Things::given(&mall).await, Things::given(&mall).await);
        let clients = Role::ALL
            .into_iter()
            .map(|role| {
                let rights = Rights {
                    customer: (role == Role::Customer).then_some(own.customer),
                    stores: (role == Role::StoreOwner).then_some(own.store).into_iter().collect(),
                    ..rights(&[role])
                };
                (role, mall.client.clone().with_token(Some(token(role.name(), &rights))))
            })
            .collect();
        Self { mall, clients, own, other, nobody: Things::of_nobody() }
    }

    /// A row of the table: for each role, what came of asking about one's own
    /// and about another's. To whom another's is nothing, it is no more than
    /// what nobody has.
    async fn row(&self, what: &str, ask: impl AsyncFn(&Client, &Things) -> Came) -> String {
        let mut row = format!("| `{what}` |");
        for (role, client) in &self.clients {
            let own = ask(client, &self.own).await;
            let other = ask(client, &self.other).await;
            if matches!(other, Came::Nothing(_)) && !what.contains("DeadLetter") {
                let nobody = ask(client, &self.nobody).await;
                assert_eq!(other, nobody, "{role} can tell another's {what} from nobody's");
            }
            match (own.word(), other.word()) {
                (own, other) if own == other => write!(row, " {own} |").unwrap(),
                (own, other) => write!(row, " {own} / {other} |").unwrap(),
            }
        }
        row
    }
}

async fn ask(client: &Client, document: &str) -> Came {
    let outcome = within("an answer", client.ask(document, json!({}))).await;
    // What is asked for among several is null where it is not there.
    if let Ok(data) = &outcome
        && ["nodes", "_entities"]
            .map(|list| data[list].as_array())
            .contains(&Some(&vec![Value::Null]))
    {
        let message = "null".to_owned();
        return Came::Nothing(Box::new(Problem { message, extensions: Extensions::default() }));
    }
    Came::of(outcome, document)
}

const HEAD: &str = "\
| | customer | store_owner | depot | admin | router |
|---|---|---|---|---|---|";

/// `UPDATE_DOCS=1` writes it anew.
#[tokio::test]
async fn every_field_is_for_whom_the_table_says() {
    let world = World::open().await;
    let types = types();
    let selection = |of: &str| if is_composite(&types, of) { " { __typename }" } else { "" };
    let mut text = String::from(
        "# Who may do what\n\n\
         This is what a server with keys answered when every field was asked for by each role, \
         written down by `gateway/tests/it/authorization.rs` (`UPDATE_DOCS=1` writes it anew).\n\
         In a cell stands what came of asking about one's own things and, where it differs, \
         behind the slash, about another's:\n\n\
         - **yes**: it was answered, or refused only for the state that things were in.\n\
         - **nothing**: `NOT_FOUND`, in the very words in which it is told of what nobody has; \
         null among `nodes` and `_entities`.\n\
         - **–**: `FORBIDDEN`; the whole request is refused before anything is executed.\n\n\
         A customer's own are the customer that the token names, with baskets, orders, payments, \
         invoices, lists, sagas and messages; a store owner's own are the stores it names, with \
         their products.\n\
         A token with several roles may do what each of them may.\n\
         A router that asks on somebody's behalf, with a token in `Router-Authorization`, may do what \
         they may, and `_entities` besides.\n\
         `__schema`, `__type` and `_service` take the scope `schema` besides.\n",
    );

    for root in ["Query", "Subscription"] {
        write!(text, "\n## {root}\n\n{HEAD}\n").unwrap();
        for (field, of) in types.get(root).unwrap() {
            let row = world
                .row(field, async |client, things| {
                    let arguments = things.arguments(field);
                    let asked = format!("{{ {field}{arguments}{} }}", selection(of));
                    if root == "Query" {
                        return ask(client, &asked).await;
                    }
                    let document = format!("subscription it {asked}");
                    let operation = Operation::<Value>::subscription("it", &document, json!({}));
                    let mut watch = client.subscribe(&operation).await.unwrap();
                    let first = within(field, watch.next()).await.expect("something");
                    Came::of(first, field)
                })
                .await;
            writeln!(text, "{row}").unwrap();
        }
    }

    // Before the mutations: they change what is there to be seen.
    let ways = ways(&types, &world.own);
    let mut objects = format!(
        "\n## Fields of things\n\nAsked for through `node`, whichever it takes to come there.\n\n\
         {HEAD}\n"
    );
    for (of, (node, path)) in &ways {
        for (field, ty) in types.get(of).unwrap() {
            let what = format!("{of}.{field}");
            let row = world
                .row(&what, async |client, things| {
                    let mut inner = format!("{field}{}", selection(ty));
                    for step in path.iter().rev() {
                        inner = format!("{step} {{ {inner} }}");
                    }
                    let id = things.id(node).unwrap();
                    let document =
                        format!("{{ node(id: \"{id}\") {{ ... on {node} {{ {inner} }} }} }}");
                    ask(client, &document).await
                })
                .await;
            writeln!(objects, "{row}").unwrap();
        }
    }

    write!(
        text,
        "\n## Mutation\n\nThere was no dead letter to be retried or discarded.\n\n{HEAD}\n"
    )
    .unwrap();
    for (field, _) in types.get("Mutation").unwrap() {
        let name: &'static str = field.clone().leak();
        let row = world
            .row(
                if field.contains("DeadLetter") { "DeadLetter" } else { name },
                async |client, things| {
                    let input = things.input(name);
                    let operation = Operation::<Value>::mutation(name, "__typename", &input);
                    Came::of(within(name, client.call(&operation, None)).await, name)
                },
            )
            .await;
        writeln!(text, "{}", row.replacen("`DeadLetter`", &format!("`{name}`"), 1)).unwrap();
    }
    text.push_str(&objects);

    // What is not reached by an id of its own: by rule alone.
    write!(text, "\n## Fields that are reached otherwise\n\n| | for |\n|---|---|\n").unwrap();
    for (of, fields) in &types {
        let is_asked =
            ways.contains_key(of) || ["Query", "Mutation", "Subscription"].contains(&&**of);
        let is_carrier = ["Connection", "Edge", "Payload"].iter().any(|end| of.ends_with(end));
        if is_asked || is_carrier {
            continue;
        }
        for (field, _) in fields {
            let roles = rules::rule(of, field).expect("every field has a rule");
            writeln!(text, "| `{of}.{field}` | {roles} |").unwrap();
        }
    }

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/authorization.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let known = std::fs::read_to_string(path).unwrap();
    for (is, was) in text.lines().zip(known.lines()) {
        assert_eq!(is, was, "run with UPDATE_DOCS=1, and look at what changed");
    }
    assert_eq!(text.lines().count(), known.lines().count());
}

/// How to come to each type of object: from a thing with an id, along fields
/// that want no argument. Pages and payloads are passed through.
fn ways(
    types: &BTreeMap<String, Vec<(String, String)>>,
    things: &Things,
) -> BTreeMap<String, (String, Vec<String>)> {
    let mut ways = BTreeMap::new();
    let mut waiting: VecDeque<(String, String, Vec<String>)> = types
        .keys()
        .filter(|of| things.id(of).is_some())
        .map(|of| (of.clone(), of.clone(), Vec::new()))
        .collect();
    let mut seen: BTreeSet<String> = waiting.iter().map(|(of, ..)| of.clone()).collect();
    while let Some((of, node, path)) = waiting.pop_front() {
        for (field, ty) in &types[&of] {
            if types.contains_key(ty) && seen.insert(ty.clone()) {
                let path = [&path[..], std::slice::from_ref(field)].concat();
                waiting.push_back((ty.clone(), node.clone(), path));
            }
        }
        let carries = ["Connection", "Edge"].iter().any(|end| of.ends_with(end));
        if !carries && !["Money", "PageInfo"].contains(&&*of) {
            ways.insert(of, (node, path));
        }
    }
    ways
}

// ---- what one customer cannot do to another

/// Everything that a customer can see of their own.
async fn view(client: &Client, things: &Things) -> Value {
    let document = "query($customer: ID!, $basket: ID!, $order: ID!, $payment: ID!) { \
        customer(id: $customer) { id name smsNumber enabled \
            orders(first: 100) { nodes { id status } } \
            notifications(first: 100) { nodes { id kind text status sentAt } } } \
        basket(id: $basket) { id status items { productName quantity price { amount } } } \
        order(id: $order) { id status total { amount } updatedAt rejectionReason \
            cancellationReason payment { id status amount { amount } } \
            invoice { id status amount { amount } } \
            shoppingList { id status stops { items { quantity picked } } } \
            saga { id state steps { name state attempts } } \
            timeline(first: 100) { nodes { cursor kind title } } } \
        payment(id: $payment) { id status amount { amount } order { id } } \
        orders(first: 100) { nodes { id status } } \
        orderStatusCounts { status count } }";
    let variables = json!({
        "customer": things.customer, "basket": things.basket, "order": things.order,
        "payment": things.payment,
    });
    within("a view", client.ask(document, variables)).await.unwrap()
}

/// What a customer tries, and with whose things.
#[derive(Debug, Clone)]
struct Attempt {
    mutation: &'static str,
    /// Which of the ids in its input are another's, in turn.
    others: u8,
}

const ATTEMPTED: [&str; 13] = [
    "registerCustomer",
    "changeSmsNumber",
    "disableCustomer",
    "startBasket",
    "addBasketItem",
    "removeBasketItem",
    "cancelBasket",
    "checkoutBasket",
    "cancelOrder",
    "authorizePayment",
    "payInvoice",
    "adjustInvoice",
    "retrySaga",
];

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let attempt = (0..ATTEMPTED.len(), any::<u8>())
        .prop_map(|(which, others)| Attempt { mutation: ATTEMPTED[which], others });
    proptest::collection::vec(attempt, 1..12)
}

/// An input with some ids of one and some of the other.
fn mixed(mutation: &str, others: u8, own: &Things, other: &Things) -> Value {
    let (mut input, theirs) = (own.input(mutation), other.input(mutation));
    for (at, (name, value)) in input.as_object_mut().unwrap().iter_mut().enumerate() {
        if others & (1 << (at % 8)) != 0 {
            *value = theirs[name].clone();
        }
    }
    input
}

#[test]
fn nothing_that_one_customer_does_changes_what_another_sees() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (mall, ada, bob) = runtime.block_on(async {
        let mall = guarded_mall().await;
        let (ada, bob) = (Things::given(&mall).await, Things::given(&mall).await);
        (mall, ada, bob)
    });
    let as_customer = |name: &str, things: &Things| {
        let rights = Rights { customer: Some(things.customer), ..rights(&[Role::Customer]) };
        mall.client.clone().with_token(Some(token(name, &rights)))
    };
    let (as_ada, as_bob) = (as_customer("ada", &ada), as_customer("bob", &bob));
    let before = runtime.block_on(view(&as_bob, &bob));
    let mut runner =
        TestRunner::new(Config { cases: 32, failure_persistence: None, ..Config::default() });
    let result = runner.run(&attempts(), |attempts| {
        let after = runtime.block_on(async {
            for &Attempt { mutation, others } in &attempts {
                let input = mixed(mutation, others, &ada, &bob);
                let operation = Operation::<Value>::mutation(mutation, "__typename", &input);
                // Whether it works is told by another test.
                let _ = within(mutation, as_ada.call(&operation, None)).await;
            }
            view(&as_bob, &bob).await
        });
        prop_assert_eq!(&before, &after);
        Ok(())
    });
    result.unwrap();
}

/// One's own basket cannot be paid with another's money, and who tries learns
/// nothing about it.
#[tokio::test]
async fn what_is_anothers_among_ones_own_is_nothing() {
    let world = World::open().await;
    let (_, customer) = &world.clients[0];
    let basket: BasketId = new_id();
    world
        .mall
        .given("startBasket", json!({ "id": basket, "customerId": world.own.customer }))
        .await;
    world.mall.given_in_the_basket(basket, 1, world.own.product).await;
    let other = world.mall.given_a_payment(world.other.customer, "100.00").await;
    let mut told = Vec::new();
    for payment in [other, new_id()] {
        let input = json!({ "id": basket, "paymentId": payment });
        let operation = Operation::<Value>::mutation("checkoutBasket", "__typename", &input);
        told.push(Came::of(customer.call(&operation, None).await, "checkoutBasket"));
    }
    assert!(matches!(told[0], Came::Nothing(_)), "{told:?}");
    assert_eq!(told[0], told[1]);

    // As it was at a moment in the past, another's order is nothing as well.
    let document = format!(
        "{{ order(id: \"{}\", asOf: \"2999-01-01T00:00:00Z\") {{ id }} }}",
        world.other.order
    );
    assert!(matches!(ask(customer, &document).await, Came::Nothing(_)));
    let own = document.replace(&world.other.order.to_string(), &world.own.order.to_string());
    assert_eq!(ask(customer, &own).await, Came::Answer);
}
