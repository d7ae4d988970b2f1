//! What may be asked of a mall, typed as far as its users need it.
//!
//! The documents ask for little more than is read here. All are checked
//! against the schema by a test.

use std::{fmt, marker::PhantomData, str::FromStr};

use bytes::Bytes;
use mallbots_domain::{
    depot::{bot::BotStatus, shopping_list::ShoppingListStatus},
    id::{
        BasketId, BotId, CustomerId, InvoiceId, OrderId, PaymentId, ProductId, ShoppingListId,
        StoreId,
    },
    ordering::OrderStatus,
    payments::invoice::InvoiceStatus,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json, value::RawValue};

/// One operation of one field, ready to be sent, that answers with a `T`.
pub struct Operation<T> {
    name: &'static str,
    kind: Kind,
    document: String,
    variables: Value,
    answer: PhantomData<fn() -> T>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Query,
    Mutation,
    Subscription,
}

impl<T> fmt::Debug for Operation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, kind, document, variables, answer: _ } = self;
        f.debug_struct("Operation")
            .field("name", name)
            .field("kind", kind)
            .field("document", document)
            .field("variables", variables)
            .finish()
    }
}

impl<T> Operation<T> {
    /// A query. The document names it and asks for one field.
    pub fn query(name: &'static str, document: &str, variables: Value) -> Self {
        Self::new(name, Kind::Query, document.to_owned(), variables)
    }

    /// A subscription. The document names it.
    pub fn subscription(name: &'static str, document: &str, variables: Value) -> Self {
        Self::new(name, Kind::Subscription, document.to_owned(), variables)
    }

    /// A mutation with its one input, and what is to be read of its payload.
    pub fn mutation(name: &'static str, selection: &str, input: &Value) -> Self {
        let (first, rest) = name.split_at(1);
        let first = first.to_ascii_uppercase();
        let document = format!(
            "mutation {name}($input: {first}{rest}Input!) \
             {{ {name}(input: $input) {{ {selection} }} }}"
        );
        Self::new(name, Kind::Mutation, document, json!({ "input": input }))
    }

    fn new(name: &'static str, kind: Kind, document: String, variables: Value) -> Self {
        Self { name, kind, document, variables, answer: PhantomData }
    }

    /// What it is called, by its one field.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it changes something.
    pub fn is_mutation(&self) -> bool {
        self.kind == Kind::Mutation
    }

    /// What is asked.
    pub fn document(&self) -> &str {
        &self.document
    }

    /// What goes into it.
    #[cfg(test)]
    pub(super) fn variables(&self) -> Value {
        self.variables.clone()
    }

    /// What a mutation is about, as far as the client knows.
    pub fn subject(&self) -> Option<&str> {
        self.is_mutation().then(|| self.variables["input"]["id"].as_str().unwrap_or_default())
    }

    pub(super) fn body(&self) -> Bytes {
        self.request().to_string().into()
    }

    pub(super) fn payload(&self) -> serde_json::Result<Box<RawValue>> {
        serde_json::value::to_raw_value(&self.request())
    }

    fn request(&self) -> Value {
        json!({
            "operationName": self.name,
            "query": self.document,
            "variables": self.variables,
        })
    }
}

/// Money in minor units, as the mall writes it: `"12.34"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub i64);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let minor = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", minor / 100, minor % 100)
    }
}

/// Text that is no amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an amount such as \"12.34\"")]
pub struct AmountError;

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let (whole, cents) = text.split_once('.').ok_or(AmountError)?;
        if whole.is_empty() || cents.len() != 2 || !digits(whole) || !digits(cents) {
            return Err(AmountError);
        }
        let whole: i64 = whole.parse().map_err(|_| AmountError)?;
        let cents: i64 = cents.parse().map_err(|_| AmountError)?;
        whole
            .checked_mul(100)
            .and_then(|whole| whole.checked_add(cents))
            .map(Self)
            .ok_or(AmountError)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Money as the mall answers it; its currency is the mall's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Money {
    /// How much.
    pub amount: Amount,
}

/// Something of which only the id was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Ref<I> {
    /// Names it.
    pub id: I,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Nodes<T> {
    /// What is on it.
    pub nodes: Vec<T>,
}

/// What a mutation answers of which nothing more is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Done {
    /// Where it stands in the ledger.
    pub position: String,
}

/// A store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Store {
    /// Names it.
    pub id: StoreId,
    /// What it is called.
    pub name: String,
}

/// A product on sale.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Product {
    /// Names it.
    pub id: ProductId,
    /// What it is called.
    pub name: String,
    /// What one piece costs.
    pub price: Money,
}

/// A basket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Basket {
    /// Names it.
    pub id: BasketId,
    /// What all of it costs.
    pub total: Money,
    /// What is in it.
    pub items: Vec<BasketItem>,
}

/// A line of a basket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BasketItem {
    /// What, as it is sold now.
    pub product: Offer,
    /// How many.
    pub quantity: u32,
}

/// What a product costs now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Offer {
    /// Names the product.
    pub id: ProductId,
    /// What one piece costs.
    pub price: Money,
}

impl Basket {
    /// What all of it costs at the prices of now.
    #[must_use]
    pub fn total_now(&self) -> Amount {
        let lines = self.items.iter();
        let prices = lines.map(|line| line.product.price.amount.0 * i64::from(line.quantity));
        Amount(prices.sum())
    }
}

/// What filling a basket answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InBasket {
    /// The basket, unless the read side is late.
    pub basket: Option<Basket>,
}

/// What buying a basket answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckedOut {
    /// The order it becomes.
    pub order_id: OrderId,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Names it.
    pub id: OrderId,
    /// Where it stands.
    pub status: OrderStatus,
    /// Why it was turned down.
    pub rejection_reason: Option<String>,
    /// Its invoice.
    pub invoice: Option<Invoice>,
}

/// An invoice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Invoice {
    /// Names it.
    pub id: InvoiceId,
    /// Where it stands.
    pub status: InvoiceStatus,
    /// How much is billed.
    pub amount: Money,
}

/// How many orders there are in a state.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StatusCount {
    /// Which state.
    pub status: OrderStatus,
    /// How many.
    pub count: u64,
}

/// A bot.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bot {
    /// Names it.
    pub id: BotId,
    /// Where it stands.
    pub status: BotStatus,
    /// What it is shopping for.
    pub shopping_list: Option<Ref<ShoppingListId>>,
}

/// What a bot collects.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ShoppingList {
    /// Names it.
    pub id: ShoppingListId,
    /// Where it stands.
    pub status: ShoppingListStatus,
    /// Who has it.
    pub bot: Option<Ref<BotId>>,
    /// Where to go.
    pub stops: Vec<Stop>,
}

/// A store to go to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Stop {
    /// Which.
    pub store: Ref<StoreId>,
    /// What to take there.
    pub items: Vec<StopItem>,
}

/// Something to take.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StopItem {
    /// What.
    pub product_id: ProductId,
    /// How many.
    pub quantity: u32,
    /// How many were taken.
    pub picked: u32,
}

impl ShoppingList {
    /// What is still on the shelves: store, product and how many.
    pub fn missing(&self) -> impl Iterator<Item = (StoreId, ProductId, u32)> + '_ {
        self.stops.iter().flat_map(|stop| {
            let items = stop.items.iter().filter(|item| item.picked < item.quantity);
            items.map(|item| (stop.store.id, item.product_id, item.quantity - item.picked))
        })
    }
}

/// Something that a bot does not bring, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shortage {
    /// What.
    pub product_id: ProductId,
    /// Why.
    pub reason: String,
}

/// Which end of a list a page is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// From the start.
    First(u32),
    /// From the end.
    Last(u32),
}

impl End {
    fn variables(self) -> Value {
        match self {
            Self::First(count) => json!({ "first": count }),
            Self::Last(count) => json!({ "last": count }),
        }
    }
}

// ---- stores

/// Stores that participate.
pub fn stores(end: End) -> Operation<Nodes<Store>> {
    Operation::query(
        "stores",
        "query stores($first: Int, $last: Int) \
         { stores(first: $first, last: $last, participating: true) { nodes { id name } } }",
        end.variables(),
    )
}

/// Any store, whether it participates or not.
pub fn any_store() -> Operation<Nodes<Store>> {
    Operation::query("stores", "query stores { stores(first: 1) { nodes { id name } } }", json!({}))
}

/// A store, if there is one of this id.
pub fn store(id: StoreId) -> Operation<Option<Store>> {
    let document = "query store($id: ID!) { store(id: $id) { id name } }";
    Operation::query("store", document, json!({ "id": id }))
}

/// What a store sells.
pub fn products(store_id: StoreId, end: End) -> Operation<Nodes<Product>> {
    let mut variables = end.variables();
    variables["storeId"] = json!(store_id);
    Operation::query(
        "products",
        "query products($storeId: ID!, $first: Int, $last: Int) \
         { products(storeId: $storeId, first: $first, last: $last) \
         { nodes { id name price { amount } } } }",
        variables,
    )
}

/// Opens a store.
pub fn create_store(id: StoreId, name: &str, location: &str) -> Operation<Done> {
    let input = json!({ "id": id, "name": name, "location": location });
    Operation::mutation("createStore", "position store { id name }", &input)
}

/// Gives a store another name.
pub fn rebrand_store(id: StoreId, name: &str) -> Operation<Done> {
    let input = json!({ "id": id, "name": name });
    Operation::mutation("rebrandStore", "position store { id name }", &input)
}

/// Lets bots shop in a store.
pub fn enable_store_participation(id: StoreId) -> Operation<Done> {
    let selection = "position store { id participating }";
    Operation::mutation("enableStoreParticipation", selection, &json!({ "id": id }))
}

/// Keeps bots out of a store.
pub fn disable_store_participation(id: StoreId) -> Operation<Done> {
    let selection = "position store { id participating }";
    Operation::mutation("disableStoreParticipation", selection, &json!({ "id": id }))
}

/// What a new product is like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewProduct {
    /// Who sells it.
    pub store_id: StoreId,
    /// What it is called.
    pub name: String,
    /// What it is like.
    pub description: String,
    /// The store's own number for it.
    pub sku: String,
    /// What one piece costs.
    pub price: Amount,
    /// Its id, if it is not left to the mall.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<ProductId>,
}

/// Puts a product on sale.
pub fn add_product(product: &NewProduct) -> Operation<Done> {
    Operation::mutation("addProduct", "position product { id name }", &json!(product))
}

/// Describes a product anew.
pub fn rebrand_product(id: ProductId, name: &str, description: &str) -> Operation<Done> {
    let input = json!({ "id": id, "name": name, "description": description });
    Operation::mutation("rebrandProduct", "position product { id name }", &input)
}

/// Raises a price.
pub fn increase_product_price(id: ProductId, price: Amount) -> Operation<Done> {
    let input = json!({ "id": id, "price": price });
    Operation::mutation("increaseProductPrice", "position product { id price { amount } }", &input)
}

/// Lowers a price.
pub fn decrease_product_price(id: ProductId, price: Amount) -> Operation<Done> {
    let input = json!({ "id": id, "price": price });
    Operation::mutation("decreaseProductPrice", "position product { id price { amount } }", &input)
}

/// Takes a product off sale.
pub fn remove_product(id: ProductId) -> Operation<Done> {
    let input = json!({ "id": id });
    Operation::mutation("removeProduct", "position product { id removed }", &input)
}

// ---- customers and baskets

/// Registers a customer.
pub fn register_customer(id: CustomerId, name: &str, sms_number: &str) -> Operation<Done> {
    let input = json!({ "id": id, "name": name, "smsNumber": sms_number });
    Operation::mutation("registerCustomer", "position customer { id name }", &input)
}

/// Changes a customer's number.
pub fn change_sms_number(id: CustomerId, sms_number: &str) -> Operation<Done> {
    let input = json!({ "id": id, "smsNumber": sms_number });
    Operation::mutation("changeSmsNumber", "position customer { id smsNumber }", &input)
}

/// Lets a customer shop again.
pub fn enable_customer(id: CustomerId) -> Operation<Done> {
    let input = json!({ "id": id });
    Operation::mutation("enableCustomer", "position customer { id enabled }", &input)
}

/// Keeps a customer from shopping.
pub fn disable_customer(id: CustomerId) -> Operation<Done> {
    let input = json!({ "id": id });
    Operation::mutation("disableCustomer", "position customer { id enabled }", &input)
}

const IN_BASKET: &str = "position basket \
     { id total { amount } items { product { id price { amount } } quantity } }";

/// Takes a basket.
pub fn start_basket(id: BasketId, customer_id: CustomerId) -> Operation<Done> {
    let input = json!({ "id": id, "customerId": customer_id });
    Operation::mutation("startBasket", "position basket { id status }", &input)
}

/// Puts something into a basket.
pub fn add_basket_item(id: BasketId, product_id: ProductId, quantity: u32) -> Operation<InBasket> {
    let input = json!({ "id": id, "productId": product_id, "quantity": quantity });
    Operation::mutation("addBasketItem", IN_BASKET, &input)
}

/// Takes something out of a basket.
pub fn remove_basket_item(
    id: BasketId,
    product_id: ProductId,
    quantity: u32,
) -> Operation<InBasket> {
    let input = json!({ "id": id, "productId": product_id, "quantity": quantity });
    Operation::mutation("removeBasketItem", IN_BASKET, &input)
}

/// Puts a basket back.
pub fn cancel_basket(id: BasketId) -> Operation<Done> {
    Operation::mutation("cancelBasket", "position basket { id status }", &json!({ "id": id }))
}

/// Buys what is in a basket.
pub fn checkout_basket(
    id: BasketId,
    payment_id: PaymentId,
    accept_price_changes: bool,
) -> Operation<CheckedOut> {
    let input = json!({
        "id": id,
        "paymentId": payment_id,
        "acceptPriceChanges": accept_price_changes,
    });
    Operation::mutation("checkoutBasket", "position orderId basket { id status }", &input)
}

/// A basket.
pub fn basket(id: BasketId) -> Operation<Option<Basket>> {
    Operation::query(
        "basket",
        "query basket($id: ID!) \
         { basket(id: $id) { id total { amount } \
         items { product { id price { amount } } quantity } } }",
        json!({ "id": id }),
    )
}

// ---- orders

/// An order, now and whenever it changes.
pub fn order_changed(id: OrderId) -> Operation<Order> {
    Operation::subscription(
        "orderChanged",
        "subscription orderChanged($id: ID!) { orderChanged(id: $id) \
         { id status rejectionReason invoice { id status amount { amount } } } }",
        json!({ "id": id }),
    )
}

/// Orders in some states, now and whenever one changes.
pub fn orders_changed(statuses: &[OrderStatus]) -> Operation<Order> {
    Operation::subscription(
        "ordersChanged",
        "subscription ordersChanged($statuses: [OrderStatus!]) \
         { ordersChanged(filter: { statuses: $statuses }) \
         { id status rejectionReason invoice { id status amount { amount } } } }",
        json!({ "statuses": statuses }),
    )
}

/// The oldest orders in some states.
pub fn orders(first: u32, statuses: &[OrderStatus]) -> Operation<Nodes<Order>> {
    Operation::query(
        "orders",
        "query orders($first: Int!, $statuses: [OrderStatus!]) \
         { orders(first: $first, filter: { statuses: $statuses }, sort: CREATED_ASC) \
         { nodes { id status rejectionReason invoice { id status amount { amount } } } } }",
        json!({ "first": first, "statuses": statuses }),
    )
}

/// How many orders there are in each state.
pub fn order_status_counts() -> Operation<Vec<StatusCount>> {
    let document = "query orderStatusCounts { orderStatusCounts { status count } }";
    Operation::query("orderStatusCounts", document, json!({}))
}

/// Calls an order off.
pub fn cancel_order(id: OrderId, reason: &str) -> Operation<Done> {
    let input = json!({ "id": id, "reason": reason });
    Operation::mutation("cancelOrder", "position order { id status }", &input)
}

// ---- payments

/// Sets money aside.
pub fn authorize_payment(
    id: PaymentId,
    customer_id: CustomerId,
    amount: Amount,
) -> Operation<Done> {
    let input = json!({ "id": id, "customerId": customer_id, "amount": amount });
    Operation::mutation("authorizePayment", "position payment { id status }", &input)
}

/// Settles an invoice.
pub fn pay_invoice(id: InvoiceId) -> Operation<Done> {
    Operation::mutation("payInvoice", "position invoice { id status }", &json!({ "id": id }))
}

/// Bills another amount.
pub fn adjust_invoice(id: InvoiceId, amount: Amount) -> Operation<Done> {
    let input = json!({ "id": id, "amount": amount });
    Operation::mutation("adjustInvoice", "position invoice { id amount { amount } }", &input)
}

// ---- depot

/// The bots.
pub fn bots(first: u32) -> Operation<Nodes<Bot>> {
    Operation::query(
        "bots",
        "query bots($first: Int!) { bots(first: $first) { nodes { id status shoppingList { id } } } }",
        json!({ "first": first }),
    )
}

/// Registers a bot.
pub fn register_bot(id: BotId, name: &str) -> Operation<Done> {
    let input = json!({ "id": id, "name": name });
    Operation::mutation("registerBot", "position bot { id name }", &input)
}

/// Makes a bot ready for work.
pub fn bring_bot_online(id: BotId) -> Operation<Done> {
    Operation::mutation("bringBotOnline", "position bot { id status }", &json!({ "id": id }))
}

/// Takes a bot out of work.
pub fn take_bot_offline(id: BotId) -> Operation<Done> {
    Operation::mutation("takeBotOffline", "position bot { id status }", &json!({ "id": id }))
}

/// A shopping list.
pub fn shopping_list(id: ShoppingListId) -> Operation<Option<ShoppingList>> {
    Operation::query(
        "shoppingList",
        "query shoppingList($id: ID!) { shoppingList(id: $id) \
         { id status bot { id } stops { store { id } items { productId quantity picked } } } }",
        json!({ "id": id }),
    )
}

/// Shopping lists in some states.
pub fn shopping_lists(
    first: u32,
    statuses: &[ShoppingListStatus],
) -> Operation<Nodes<ShoppingList>> {
    Operation::query(
        "shoppingLists",
        "query shoppingLists($first: Int!, $statuses: [ShoppingListStatus!]) \
         { shoppingLists(first: $first, statuses: $statuses) { nodes \
         { id status bot { id } stops { store { id } items { productId quantity picked } } } } }",
        json!({ "first": first, "statuses": statuses }),
    )
}

/// Shopping lists in some states, now and whenever one changes.
pub fn shopping_lists_changed(statuses: &[ShoppingListStatus]) -> Operation<ShoppingList> {
    Operation::subscription(
        "shoppingListsChanged",
        "subscription shoppingListsChanged($statuses: [ShoppingListStatus!]) \
         { shoppingListsChanged(statuses: $statuses) \
         { id status bot { id } stops { store { id } items { productId quantity picked } } } }",
        json!({ "statuses": statuses }),
    )
}

/// Gives a list to a bot.
pub fn assign_shopping_list(id: ShoppingListId, bot_id: BotId) -> Operation<Done> {
    let input = json!({ "id": id, "botId": bot_id });
    Operation::mutation("assignShoppingList", "position shoppingList { id status }", &input)
}

/// Sends the bot off.
pub fn start_shopping(id: ShoppingListId) -> Operation<Done> {
    let input = json!({ "id": id });
    Operation::mutation("startShopping", "position shoppingList { id status }", &input)
}

/// The bot takes something from a shelf.
pub fn pick_item(
    id: ShoppingListId,
    store_id: StoreId,
    product_id: ProductId,
    quantity: u32,
) -> Operation<Done> {
    let input =
        json!({ "id": id, "storeId": store_id, "productId": product_id, "quantity": quantity });
    Operation::mutation("pickItem", "position shoppingList { id status }", &input)
}

/// The bot is back.
pub fn complete_shopping_list(id: ShoppingListId, shortages: &[Shortage]) -> Operation<Done> {
    let input = json!({ "id": id, "shortages": shortages });
    Operation::mutation("completeShoppingList", "position shoppingList { id status }", &input)
}
