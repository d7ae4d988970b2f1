//! What somebody would write by hand who needed these tables filled and
//! nothing else: the same batches, folded in memory, and typed arrays into one
//! statement a table, straight through the driver.

#![expect(
    clippy::future_not_send,
    clippy::semicolon_if_nothing_returned,
    clippy::assigning_clones,
    clippy::struct_field_names,
    reason = "as somebody in a hurry would write it"
)]

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

use mallbots_domain::{
    aggregate::Aggregate,
    baskets::{self, Basket, BasketEvent, BasketStatus},
    customers::{Customer, CustomerEvent},
    depot::{
        bot::{Bot, BotEvent, BotStatus},
        shopping_list::{ShoppingList, ShoppingListEvent, ShoppingListStatus},
    },
    id::{EntityId, Kind, OrderId},
    notifications::{Notification, NotificationEvent},
    ordering::{Order, OrderEvent, OrderStatus},
    payments::{
        invoice::{Invoice, InvoiceEvent, InvoiceStatus},
        payment::{Payment, PaymentEvent, PaymentStatus},
    },
    saga::{Definition, Direction, Saga, SagaEvent, SagaState},
    stores::{
        product::{Product, ProductEvent},
        store::{Store, StoreEvent},
    },
};
use mallbots_eventstore::{
    codec,
    message::{MessageKind, Recorded},
    upcast::Upcasters,
};
use mallbots_projections::{
    baskets::BasketRow,
    bots::BotRow,
    column::{Json, Text},
    customers::CustomerRow,
    invoices::InvoiceRow,
    notifications::{NotificationRow, NotificationStatus},
    orders::{OrderRow, lines::Model as LineRow},
    payments::PaymentRow,
    products::ProductRow,
    sagas::{SagaRow, SagaStep, SagaStepState},
    shopping_lists::ShoppingListRow,
    stores::StoreRow,
    timeline::{TimelineKind, TimelineRow},
};
use sea_orm::sqlx::{
    self, AssertSqlSafe, PgConnection, PgPool, Row,
    postgres::{PgHasArrayType, PgRow},
};
use serde::{Serialize, de::DeserializeOwned};

type Done = Result<(), sqlx::Error>;

/// A value of a column, as the driver takes and gives it.
trait Cell: Sized {
    type Raw: for<'q> sqlx::Encode<'q, sqlx::Postgres>
        + for<'r> sqlx::Decode<'r, sqlx::Postgres>
        + sqlx::Type<sqlx::Postgres>
        + PgHasArrayType
        + Send
        + Unpin;
    /// What the column's array and its members are cast to.
    const CAST: (&'static str, &'static str);
    fn put(&self) -> Option<Self::Raw>;
    fn get(row: &PgRow, at: usize) -> Self;
}

macro_rules! cells {
    ($($raw:ty: $array:literal),*) => {$(
        impl Cell for $raw {
            type Raw = $raw;
            const CAST: (&'static str, &'static str) = ($array, "");
            fn put(&self) -> Option<$raw> {
                Some(self.clone())
            }
            fn get(row: &PgRow, at: usize) -> Self {
                row.get(at)
            }
        }
    )*};
}

cells!(String: "text[]", i64: "bigint[]", bool: "boolean[]");

impl<T: Serialize + DeserializeOwned> Cell for Text<T> {
    type Raw = String;
    const CAST: (&'static str, &'static str) = ("text[]", "");
    fn put(&self) -> Option<String> {
        let quoted = serde_json::to_string(&self.0).unwrap();
        Some(quoted[1..quoted.len() - 1].to_owned())
    }
    fn get(row: &PgRow, at: usize) -> Self {
        read_text(row.get(at))
    }
}

fn read_text<T: DeserializeOwned>(text: &str) -> Text<T> {
    Text(serde_json::from_str(&format!("\"{text}\"")).unwrap())
}

impl<T: Serialize + DeserializeOwned> Cell for Json<T> {
    type Raw = String;
    const CAST: (&'static str, &'static str) = ("text[]", "::json");
    fn put(&self) -> Option<String> {
        Some(serde_json::to_string(&self.0).unwrap())
    }
    fn get(row: &PgRow, at: usize) -> Self {
        row.get::<sqlx::types::Json<Json<T>>, _>(at).0
    }
}

macro_rules! maybe {
    ($($inner:ty $(: $generic:ident)?),*) => {$(
        impl$(<$generic: Serialize + DeserializeOwned>)? Cell for Option<$inner> {
            type Raw = <$inner as Cell>::Raw;
            const CAST: (&'static str, &'static str) = <$inner as Cell>::CAST;
            fn put(&self) -> Option<Self::Raw> {
                self.as_ref().and_then(Cell::put)
            }
            fn get(row: &PgRow, at: usize) -> Self {
                use sqlx::ValueRef;
                let null = row.try_get_raw(at).unwrap().is_null();
                (!null).then(|| <$inner>::get(row, at))
            }
        }
    )*};
}

maybe!(String, i64, Text<T>: T, Json<T>: T);

/// A table's statements, from its columns.
macro_rules! table {
    ($table:literal, $row:ident, [$($column:ident),*], $conflict:expr) => {
        impl Kept for $row {
            fn select() -> String {
                let columns = [$(concat!("\"", stringify!($column), "\"")),*].join(", ");
                format!("SELECT {columns} FROM {} WHERE id = ANY($1)", $table)
            }

            fn read(row: &PgRow) -> Self {
                let mut at = 0..;
                $(let $column = Cell::get(row, at.next().unwrap());)*
                Self { $($column),* }
            }

            fn upsert() -> String {
                // Only for the types of the columns.
                let none: Option<$row> = None;
                let casts = [$({
                    let (array, member) = cast_of(none.as_ref().map(|row| &row.$column));
                    (concat!("\"", stringify!($column), "\""), array, member)
                }),*];
                let columns: Vec<&str> = casts.iter().map(|(column, ..)| *column).collect();
                let members: Vec<String> =
                    casts.iter().map(|(column, _, member)| format!("{column}{member}")).collect();
                let arrays: Vec<String> = casts
                    .iter()
                    .enumerate()
                    .map(|(n, (_, array, _))| format!("${}::{array}", n + 1))
                    .collect();
                let (keys, guard): (&str, bool) = $conflict;
                let conflict = if guard {
                    let set: Vec<String> = columns
                        .iter()
                        .filter(|column| **column != "\"id\"")
                        .map(|column| format!("{column} = excluded.{column}"))
                        .collect();
                    format!(
                        "ON CONFLICT ({keys}) DO UPDATE SET {} WHERE {}.version < excluded.version",
                        set.join(", "),
                        $table
                    )
                } else {
                    "ON CONFLICT DO NOTHING".to_owned()
                };
                format!(
                    "INSERT INTO {} ({c}) SELECT {} FROM unnest({}) AS new ({c}) {conflict}",
                    $table,
                    members.join(", "),
                    arrays.join(", "),
                    c = columns.join(", "),
                )
            }

            async fn write(sql: &str, rows: &[&Self], db: &mut PgConnection) -> Done {
                let query = sqlx::query(AssertSqlSafe(sql));
                $(let query = query.bind(rows.iter().map(|row| row.$column.put()).collect::<Vec<_>>());)*
                query.execute(db).await?;
                Ok(())
            }
        }
    };
}

fn cast_of<C: Cell>(_: Option<&C>) -> (&'static str, &'static str) {
    C::CAST
}

trait Kept: Sized {
    fn select() -> String;
    fn read(row: &PgRow) -> Self;
    fn upsert() -> String;
    async fn write(sql: &str, rows: &[&Self], db: &mut PgConnection) -> Done;
}

table!(
    "stores",
    StoreRow,
    [id, name, location, participating, search, version, position, created_at, updated_at],
    ("id", true)
);
table!(
    "products",
    ProductRow,
    [
        id,
        store_id,
        name,
        description,
        sku,
        price,
        removed,
        search,
        version,
        position,
        created_at,
        updated_at
    ],
    ("id", true)
);
table!(
    "customers",
    CustomerRow,
    [id, name, sms_number, enabled, search, version, position, created_at, updated_at],
    ("id", true)
);
table!(
    "baskets",
    BasketRow,
    [id, customer_id, payment_id, status, items, total, version, position, created_at, updated_at],
    ("id", true)
);
table!(
    "orders",
    OrderRow,
    [
        id,
        customer_id,
        customer_name,
        payment_id,
        shopping_list_id,
        invoice_id,
        status,
        items,
        total,
        approved_at,
        rejected_at,
        started_at,
        readied_at,
        completed_at,
        canceled_at,
        rejection_reason,
        cancellation_reason,
        canceled_by,
        search,
        version,
        position,
        created_at,
        updated_at
    ],
    ("id", true)
);
table!("order_lines", LineRow, [order_id, product_id, store_id], ("", false));
table!(
    "order_timeline",
    TimelineRow,
    [order_id, position, at, kind, title, order_status, saga_id, saga_state, saga_step],
    ("", false)
);
table!(
    "sagas",
    SagaRow,
    [
        id, order_id, name, state, steps, refusal, ended_at, version, position, created_at,
        updated_at
    ],
    ("id", true)
);
table!(
    "payments",
    PaymentRow,
    [id, customer_id, order_id, amount, status, version, position, created_at, updated_at],
    ("id", true)
);
table!(
    "invoices",
    InvoiceRow,
    [
        id,
        order_id,
        customer_id,
        payment_id,
        amount,
        status,
        version,
        position,
        created_at,
        updated_at
    ],
    ("id", true)
);
table!(
    "shopping_lists",
    ShoppingListRow,
    [id, order_id, bot_id, status, stops, shortages, version, position, created_at, updated_at],
    ("id", true)
);
table!(
    "bots",
    BotRow,
    [id, name, status, list_id, version, position, created_at, updated_at],
    ("id", true)
);
table!(
    "notifications",
    NotificationRow,
    [
        id,
        customer_id,
        order_id,
        kind,
        sms_number,
        text,
        status,
        failure,
        sent_at,
        version,
        position,
        created_at,
        updated_at
    ],
    ("id", true)
);

/// A table's rows in a batch.
struct Rows<I, R> {
    select: String,
    upsert: String,
    rows: HashMap<I, R>,
}

impl<I: EntityId + Hash, R: Kept> Rows<I, R> {
    fn new() -> Self {
        Self { select: R::select(), upsert: R::upsert(), rows: HashMap::new() }
    }

    async fn load(
        &mut self,
        ids: Option<&HashSet<String>>,
        id: fn(&R) -> I,
        db: &mut PgConnection,
    ) -> Done {
        let Some(ids) = ids else { return Ok(()) };
        let ids: Vec<&String> = ids.iter().collect();
        let rows = sqlx::query(AssertSqlSafe(self.select.as_str())).bind(ids).fetch_all(db).await?;
        self.rows.extend(rows.iter().map(R::read).map(|row| (id(&row), row)));
        Ok(())
    }

    async fn write(&mut self, db: &mut PgConnection) -> Done {
        if !self.rows.is_empty() {
            let rows: Vec<&R> = self.rows.values().collect();
            R::write(&self.upsert, &rows, db).await?;
            self.rows.clear();
        }
        Ok(())
    }
}

/// The tables.
pub(crate) struct ByHand {
    pool: PgPool,
    upcasters: Upcasters,
    stores: Rows<mallbots_domain::id::StoreId, StoreRow>,
    products: Rows<mallbots_domain::id::ProductId, ProductRow>,
    customers: Rows<mallbots_domain::id::CustomerId, CustomerRow>,
    baskets: Rows<mallbots_domain::id::BasketId, BasketRow>,
    orders: Rows<OrderId, OrderRow>,
    lines: Vec<LineRow>,
    timeline: Vec<TimelineRow>,
    sagas: Rows<mallbots_domain::id::SagaId, SagaRow>,
    payments: Rows<mallbots_domain::id::PaymentId, PaymentRow>,
    invoices: Rows<mallbots_domain::id::InvoiceId, InvoiceRow>,
    lists: Rows<mallbots_domain::id::ShoppingListId, ShoppingListRow>,
    bots: Rows<mallbots_domain::id::BotId, BotRow>,
    notifications: Rows<mallbots_domain::id::NotificationId, NotificationRow>,
    statuses: HashMap<OrderId, OrderStatus>,
    line_sql: String,
    timeline_sql: String,
}

enum Event {
    Store(StoreEvent),
    Product(ProductEvent),
    Customer(CustomerEvent),
    Basket(BasketEvent),
    Order(OrderEvent),
    Payment(PaymentEvent),
    Invoice(InvoiceEvent),
    List(ShoppingListEvent),
    Bot(BotEvent),
    Saga(SagaEvent),
    Notification(NotificationEvent),
}

impl ByHand {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self {
            pool,
            upcasters: Upcasters::default(),
            stores: Rows::new(),
            products: Rows::new(),
            customers: Rows::new(),
            baskets: Rows::new(),
            orders: Rows::new(),
            lines: Vec::new(),
            timeline: Vec::new(),
            sagas: Rows::new(),
            payments: Rows::new(),
            invoices: Rows::new(),
            lists: Rows::new(),
            bots: Rows::new(),
            notifications: Rows::new(),
            statuses: HashMap::new(),
            line_sql: LineRow::upsert(),
            timeline_sql: TimelineRow::upsert(),
        }
    }

    /// One batch, one transaction.
    pub(crate) async fn take_in(&mut self, messages: &[Arc<Recorded>]) -> Done {
        let mut events = Vec::with_capacity(messages.len());
        let mut ids: HashMap<Kind, HashSet<String>> = HashMap::new();
        let mut orders: HashSet<OrderId> = HashSet::new();
        for message in messages.iter().filter(|message| message.kind == MessageKind::Event) {
            if message.version.0 > 1 {
                ids.entry(message.stream.kind).or_default().insert(message.stream.to_string());
            }
            let event = self.decode(message);
            if let Some(order) = order_of(&event, message) {
                orders.insert(order);
            }
            events.push((message, event));
        }

        let pool = self.pool.clone();
        let mut transaction = pool.begin().await?;
        let db = &mut *transaction;
        // Without this, plans made for small tables read large ones through.
        let settings = "SET LOCAL plan_cache_mode = force_generic_plan; \
                        SET LOCAL enable_seqscan = off; SET LOCAL jit = off";
        sqlx::raw_sql(settings).execute(&mut *db).await?;
        let to = messages.last().unwrap().position.0;
        sqlx::query("UPDATE projection_checkpoints SET position = $1 WHERE name = 'views'")
            .bind(to)
            .execute(&mut *db)
            .await?;
        self.stores.load(ids.get(&Kind::Store), |row| *row.id, db).await?;
        self.products.load(ids.get(&Kind::Product), |row| *row.id, db).await?;
        self.customers.load(ids.get(&Kind::Customer), |row| *row.id, db).await?;
        self.baskets.load(ids.get(&Kind::Basket), |row| *row.id, db).await?;
        self.orders.load(ids.get(&Kind::Order), |row| *row.id, db).await?;
        self.sagas.load(ids.get(&Kind::Saga), |row| *row.id, db).await?;
        self.payments.load(ids.get(&Kind::Payment), |row| *row.id, db).await?;
        self.invoices.load(ids.get(&Kind::Invoice), |row| *row.id, db).await?;
        self.lists.load(ids.get(&Kind::ShoppingList), |row| *row.id, db).await?;
        self.bots.load(ids.get(&Kind::Bot), |row| *row.id, db).await?;
        self.notifications.load(ids.get(&Kind::Notification), |row| *row.id, db).await?;
        orders.retain(|order| !self.orders.rows.contains_key(order));
        if !orders.is_empty() {
            let ids: Vec<String> = orders.iter().map(ToString::to_string).collect();
            let rows = sqlx::query("SELECT id, status FROM orders WHERE id = ANY($1)")
                .bind(ids)
                .fetch_all(&mut *db)
                .await?;
            for row in rows {
                let id: Text<OrderId> = read_text(row.get(0));
                let status: Text<OrderStatus> = read_text(row.get(1));
                self.statuses.insert(*id, *status);
            }
        }

        for (message, event) in events {
            self.fold(message, event);
        }

        self.stores.write(db).await?;
        self.products.write(db).await?;
        self.customers.write(db).await?;
        self.baskets.write(db).await?;
        self.orders.write(db).await?;
        if !self.lines.is_empty() {
            let rows: Vec<&LineRow> = self.lines.iter().collect();
            LineRow::write(&self.line_sql, &rows, db).await?;
            self.lines.clear();
        }
        self.sagas.write(db).await?;
        self.payments.write(db).await?;
        self.invoices.write(db).await?;
        self.lists.write(db).await?;
        self.bots.write(db).await?;
        self.notifications.write(db).await?;
        if !self.timeline.is_empty() {
            let rows: Vec<&TimelineRow> = self.timeline.iter().collect();
            TimelineRow::write(&self.timeline_sql, &rows, db).await?;
            self.timeline.clear();
        }
        self.statuses.clear();
        transaction.commit().await
    }

    fn decode(&self, message: &Recorded) -> Event {
        fn event<A: Aggregate>(message: &Recorded, upcasters: &Upcasters) -> A::Event {
            codec::decode::<A>(message, upcasters).unwrap()
        }
        let upcasters = &self.upcasters;
        match message.stream.kind {
            Kind::Store => Event::Store(event::<Store>(message, upcasters)),
            Kind::Product => Event::Product(event::<Product>(message, upcasters)),
            Kind::Customer => Event::Customer(event::<Customer>(message, upcasters)),
            Kind::Basket => Event::Basket(event::<Basket>(message, upcasters)),
            Kind::Order => Event::Order(event::<Order>(message, upcasters)),
            Kind::Payment => Event::Payment(event::<Payment>(message, upcasters)),
            Kind::Invoice => Event::Invoice(event::<Invoice>(message, upcasters)),
            Kind::ShoppingList => Event::List(event::<ShoppingList>(message, upcasters)),
            Kind::Bot => Event::Bot(event::<Bot>(message, upcasters)),
            Kind::Saga => Event::Saga(event::<Saga>(message, upcasters)),
            Kind::Notification => Event::Notification(event::<Notification>(message, upcasters)),
            Kind::DeadLetter => unreachable!(),
        }
    }

    fn fold(&mut self, message: &Recorded, event: Event) {
        let (at, version, position) = (message.recorded_at, message.version.0, message.position.0);
        let (created_at, updated_at) = (at, at);
        let uuid = message.stream.uuid;
        let order_id = order_of(&event, message);
        let mut saga_item = (None, None, None);
        // Kind and title of the timeline's item.
        let mut item: Option<(TimelineKind, String)> = None;

        /// The row, stamped.
        macro_rules! row {
            ($rows:ident) => {{
                let row = self.$rows.rows.get_mut(&EntityId::from_uuid(uuid)).unwrap();
                (row.version, row.position, row.updated_at) = (version, position, updated_at);
                row
            }};
        }
        macro_rules! insert {
            ($rows:ident, $row:expr) => {
                self.$rows.rows.insert(EntityId::from_uuid(uuid), $row)
            };
        }
        macro_rules! tell {
            ($kind:ident, $($title:tt)*) => {
                item = Some((TimelineKind::$kind, format!($($title)*)))
            };
        }

        match event {
            Event::Store(StoreEvent::StoreCreated { name, location }) => {
                let search = format!("{name}\n{location}").to_lowercase();
                insert!(
                    stores,
                    StoreRow {
                        id: Text(EntityId::from_uuid(uuid)),
                        name: name.into(),
                        location: location.into(),
                        participating: false,
                        search,
                        version,
                        position,
                        created_at,
                        updated_at
                    }
                );
            }
            Event::Store(StoreEvent::StoreParticipationEnabled {}) => {
                row!(stores).participating = true
            }
            Event::Store(StoreEvent::StoreParticipationDisabled {}) => {
                row!(stores).participating = false
            }
            Event::Store(StoreEvent::StoreRebranded { name }) => {
                let row = row!(stores);
                row.search = format!("{name}\n{}", row.location).to_lowercase();
                row.name = name.into();
            }

            Event::Product(ProductEvent::ProductAdded {
                store_id,
                name,
                description,
                sku,
                price,
            }) => {
                let search = format!("{name}\n{sku}").to_lowercase();
                insert!(
                    products,
                    ProductRow {
                        id: Text(EntityId::from_uuid(uuid)),
                        store_id: Text(store_id),
                        name: name.into(),
                        description: description.into(),
                        sku: sku.into(),
                        price: price.minor(),
                        removed: false,
                        search,
                        version,
                        position,
                        created_at,
                        updated_at
                    }
                );
            }
            Event::Product(ProductEvent::ProductRebranded { name, description }) => {
                let row = row!(products);
                row.search = format!("{name}\n{}", row.sku).to_lowercase();
                row.name = name.into();
                row.description = description.into();
            }
            Event::Product(
                ProductEvent::ProductPriceIncreased { new, .. }
                | ProductEvent::ProductPriceDecreased { new, .. },
            ) => row!(products).price = new.minor(),
            Event::Product(ProductEvent::ProductRemoved {}) => row!(products).removed = true,

            Event::Customer(CustomerEvent::CustomerRegistered { name, sms_number }) => {
                let sms_number = sms_number.as_str().to_owned();
                let search = format!("{name}\n{sms_number}").to_lowercase();
                insert!(
                    customers,
                    CustomerRow {
                        id: Text(EntityId::from_uuid(uuid)),
                        name: name.into(),
                        sms_number,
                        enabled: true,
                        search,
                        version,
                        position,
                        created_at,
                        updated_at
                    }
                );
            }
            Event::Customer(CustomerEvent::CustomerSmsChanged { sms_number }) => {
                let row = row!(customers);
                row.sms_number = sms_number.as_str().to_owned();
                row.search = format!("{}\n{}", row.name, row.sms_number).to_lowercase();
            }
            Event::Customer(CustomerEvent::CustomerEnabled {}) => row!(customers).enabled = true,
            Event::Customer(CustomerEvent::CustomerDisabled {}) => row!(customers).enabled = false,
            Event::Customer(CustomerEvent::CustomerAuthorized { .. }) => {
                row!(customers);
            }

            Event::Basket(BasketEvent::BasketStarted { customer_id }) => {
                insert!(
                    baskets,
                    BasketRow {
                        id: Text(EntityId::from_uuid(uuid)),
                        customer_id: Text(customer_id),
                        payment_id: None,
                        status: Text(BasketStatus::Open),
                        items: Json(vec![]),
                        total: 0,
                        version,
                        position,
                        created_at,
                        updated_at
                    }
                );
            }
            Event::Basket(BasketEvent::BasketItemAdded { item }) => {
                let row = row!(baskets);
                match row.items.0.iter_mut().find(|line| line.product_id == item.product_id) {
                    Some(line) => line.quantity = line.quantity.joined(item.quantity),
                    None => row.items.0.push(item),
                }
                row.total = baskets::total(&row.items).unwrap().minor();
            }
            Event::Basket(BasketEvent::BasketItemRemoved { product_id, quantity }) => {
                let row = row!(baskets);
                let at = row.items.iter().position(|line| line.product_id == product_id).unwrap();
                match row.items[at].quantity.minus(quantity) {
                    Some(left) => row.items.0[at].quantity = left,
                    None => drop(row.items.0.remove(at)),
                }
                row.total = baskets::total(&row.items).unwrap().minor();
            }
            Event::Basket(BasketEvent::BasketCheckedOut { payment_id, items, total, .. }) => {
                let row = row!(baskets);
                row.status = Text(BasketStatus::CheckedOut);
                row.payment_id = Some(Text(payment_id));
                row.items = Json(items);
                row.total = total.minor();
            }
            Event::Basket(BasketEvent::BasketCanceled {}) => {
                row!(baskets).status = Text(BasketStatus::Canceled)
            }
            Event::Basket(BasketEvent::BasketAbandoned {}) => {
                row!(baskets).status = Text(BasketStatus::Abandoned)
            }

            Event::Order(OrderEvent::OrderCreated {
                customer_id,
                customer_name,
                payment_id,
                items,
                total,
            }) => {
                let mut names = vec![customer_name.as_str()];
                for line in &items {
                    self.lines.push(LineRow {
                        order_id: Text(EntityId::from_uuid(uuid)),
                        product_id: Text(line.product_id),
                        store_id: Text(line.store_id),
                    });
                    for name in [line.product_name.as_str(), line.store_name.as_str()] {
                        if !names.contains(&name) {
                            names.push(name);
                        }
                    }
                }
                let search = names.join("\n").to_lowercase();
                insert!(
                    orders,
                    OrderRow {
                        id: Text(EntityId::from_uuid(uuid)),
                        customer_id: Text(customer_id),
                        customer_name: customer_name.into(),
                        payment_id: Text(payment_id),
                        shopping_list_id: None,
                        invoice_id: None,
                        status: Text(OrderStatus::Pending),
                        items: Json(items),
                        total: total.minor(),
                        approved_at: None,
                        rejected_at: None,
                        started_at: None,
                        readied_at: None,
                        completed_at: None,
                        canceled_at: None,
                        rejection_reason: None,
                        cancellation_reason: None,
                        canceled_by: None,
                        search,
                        version,
                        position,
                        created_at,
                        updated_at
                    }
                );
                tell!(Order, "The order was placed.");
            }
            Event::Order(OrderEvent::OrderApproved { shopping_list_id, .. }) => {
                let row = row!(orders);
                row.status = Text(OrderStatus::Approved);
                row.shopping_list_id = Some(Text(shopping_list_id));
                row.approved_at = Some(at);
                tell!(Order, "The order was approved.");
            }
            Event::Order(OrderEvent::OrderRejected { reason, .. }) => {
                let row = row!(orders);
                row.status = Text(OrderStatus::Rejected);
                row.rejected_at = Some(at);
                tell!(Order, "The order was rejected: {reason}.");
                row.rejection_reason = Some(reason);
            }
            Event::Order(OrderEvent::OrderStarted {}) => {
                let row = row!(orders);
                row.status = Text(OrderStatus::InProgress);
                row.started_at = Some(at);
                tell!(Order, "The order is in progress.");
            }
            Event::Order(OrderEvent::OrderReadied { .. }) => {
                let row = row!(orders);
                row.status = Text(OrderStatus::Ready);
                row.readied_at = Some(at);
                tell!(Order, "The order is ready at the depot.");
            }
            Event::Order(OrderEvent::OrderCompleted { invoice_id, .. }) => {
                let row = row!(orders);
                row.status = Text(OrderStatus::Completed);
                row.invoice_id = Some(Text(invoice_id));
                row.completed_at = Some(at);
                tell!(Order, "The order was completed.");
            }
            Event::Order(OrderEvent::OrderCanceled { reason, by, .. }) => {
                let row = row!(orders);
                row.status = Text(OrderStatus::Canceled);
                row.canceled_at = Some(at);
                row.canceled_by = Some(by);
                tell!(Order, "The order was canceled: {reason}.");
                row.cancellation_reason = Some(reason.into());
            }

            Event::Payment(PaymentEvent::PaymentAuthorized { customer_id, amount }) => {
                insert!(
                    payments,
                    PaymentRow {
                        id: Text(EntityId::from_uuid(uuid)),
                        customer_id: Text(customer_id),
                        order_id: None,
                        amount: amount.minor(),
                        status: Text(PaymentStatus::Authorized),
                        version,
                        position,
                        created_at,
                        updated_at
                    }
                );
            }
            Event::Payment(PaymentEvent::PaymentConfirmed { order_id, .. }) => {
                let row = row!(payments);
                (row.status, row.order_id) = (Text(PaymentStatus::Confirmed), Some(Text(order_id)));
                tell!(Payment, "The payment was confirmed.");
            }
            Event::Payment(PaymentEvent::PaymentReleased { order_id }) => {
                let row = row!(payments);
                (row.status, row.order_id) = (Text(PaymentStatus::Released), Some(Text(order_id)));
                tell!(Payment, "The payment was released.");
            }
            Event::Payment(PaymentEvent::PaymentCaptured { order_id }) => {
                let row = row!(payments);
                (row.status, row.order_id) = (Text(PaymentStatus::Captured), Some(Text(order_id)));
                tell!(Payment, "The payment was captured.");
            }
            Event::Payment(PaymentEvent::PaymentRefunded { order_id }) => {
                let row = row!(payments);
                (row.status, row.order_id) = (Text(PaymentStatus::Refunded), Some(Text(order_id)));
                tell!(Payment, "The payment was refunded.");
            }

            Event::Invoice(InvoiceEvent::InvoiceCreated {
                order_id,
                customer_id,
                payment_id,
                amount,
            }) => {
                insert!(
                    invoices,
                    InvoiceRow {
                        id: Text(EntityId::from_uuid(uuid)),
                        order_id: Text(order_id),
                        customer_id: Text(customer_id),
                        payment_id: Text(payment_id),
                        amount: amount.minor(),
                        status: Text(InvoiceStatus::Pending),
                        version,
                        position,
                        created_at,
                        updated_at
                    }
                );
                tell!(Payment, "The invoice was made out.");
            }
            Event::Invoice(InvoiceEvent::InvoiceAdjusted { new, .. }) => {
                row!(invoices).amount = new.minor();
                tell!(Payment, "The invoice was adjusted.");
            }
            Event::Invoice(InvoiceEvent::InvoicePaid { .. }) => {
                row!(invoices).status = Text(InvoiceStatus::Paid);
                tell!(Payment, "The invoice was paid.");
            }
            Event::Invoice(InvoiceEvent::InvoiceCanceled {}) => {
                row!(invoices).status = Text(InvoiceStatus::Canceled);
                tell!(Payment, "The invoice was canceled.");
            }

            Event::List(ShoppingListEvent::ShoppingListCreated { order_id, stops }) => {
                insert!(
                    lists,
                    ShoppingListRow {
                        id: Text(EntityId::from_uuid(uuid)),
                        order_id: Text(order_id),
                        bot_id: None,
                        status: Text(ShoppingListStatus::Pending),
                        stops: Json(stops),
                        shortages: Json(vec![]),
                        version,
                        position,
                        created_at,
                        updated_at
                    }
                );
                tell!(Shopping, "The shopping list was written.");
            }
            Event::List(ShoppingListEvent::ShoppingListInitiated {}) => {
                row!(lists).status = Text(ShoppingListStatus::Available);
                tell!(Shopping, "The shopping list waits for a bot.");
            }
            Event::List(ShoppingListEvent::ShoppingListAssigned { bot_id }) => {
                let row = row!(lists);
                (row.status, row.bot_id) = (Text(ShoppingListStatus::Assigned), Some(Text(bot_id)));
                tell!(Shopping, "A bot has the shopping list.");
            }
            Event::List(ShoppingListEvent::ShoppingStarted { .. }) => {
                row!(lists).status = Text(ShoppingListStatus::Active);
                tell!(Shopping, "The bot started shopping.");
            }
            Event::List(ShoppingListEvent::ItemPicked { store_id, product_id, quantity }) => {
                let row = row!(lists);
                let stop = row.stops.0.iter_mut().find(|stop| stop.store_id == store_id).unwrap();
                let goods =
                    stop.items.iter_mut().find(|item| item.product_id == product_id).unwrap();
                goods.picked += quantity.get();
                tell!(Shopping, "The bot picked {} × {}.", quantity.get(), goods.product_name);
            }
            Event::List(ShoppingListEvent::ShoppingListCompleted { shortages, .. }) => {
                let row = row!(lists);
                row.status = Text(ShoppingListStatus::Completed);
                if shortages.is_empty() {
                    tell!(Shopping, "The bot brought everything.");
                } else {
                    tell!(
                        Shopping,
                        "The bot is back; products it could not bring: {}.",
                        shortages.len()
                    );
                }
                row.shortages = Json(shortages);
            }
            Event::List(ShoppingListEvent::ShoppingListCanceled { .. }) => {
                row!(lists).status = Text(ShoppingListStatus::Canceled);
                tell!(Shopping, "The shopping list was canceled.");
            }

            Event::Bot(BotEvent::BotRegistered { name }) => {
                insert!(
                    bots,
                    BotRow {
                        id: Text(EntityId::from_uuid(uuid)),
                        name: name.into(),
                        status: Text(BotStatus::Offline),
                        list_id: None,
                        version,
                        position,
                        created_at,
                        updated_at
                    }
                );
            }
            Event::Bot(BotEvent::BotBroughtOnline {} | BotEvent::BotReleased { .. }) => {
                let row = row!(bots);
                (row.status, row.list_id) = (Text(BotStatus::Idle), None);
            }
            Event::Bot(BotEvent::BotTakenOffline {}) => {
                let row = row!(bots);
                (row.status, row.list_id) = (Text(BotStatus::Offline), None);
            }
            Event::Bot(BotEvent::BotAssigned { list_id }) => {
                let row = row!(bots);
                (row.status, row.list_id) = (Text(BotStatus::Active), Some(Text(list_id)));
            }

            Event::Notification(NotificationEvent::NotificationRequested {
                customer_id,
                sms_number,
                order_id,
                kind,
                text,
            }) => {
                insert!(
                    notifications,
                    NotificationRow {
                        id: Text(EntityId::from_uuid(uuid)),
                        customer_id: Text(customer_id),
                        order_id: Text(order_id),
                        kind: Text(kind),
                        sms_number: sms_number.as_str().to_owned(),
                        text,
                        status: Text(NotificationStatus::Requested),
                        failure: None,
                        sent_at: None,
                        version,
                        position,
                        created_at,
                        updated_at
                    }
                );
                tell!(Notification, "The customer is to be told: {}.", kind.as_str());
            }
            Event::Notification(NotificationEvent::NotificationSent {}) => {
                let row = row!(notifications);
                (row.status, row.sent_at) = (Text(NotificationStatus::Sent), Some(at));
                tell!(Notification, "The customer was told: {}.", row.kind.as_str());
            }
            Event::Notification(NotificationEvent::NotificationFailed { reason }) => {
                let row = row!(notifications);
                (row.status, row.failure) = (Text(NotificationStatus::Failed), Some(reason));
                tell!(Notification, "The customer could not be told: {}.", row.kind.as_str());
            }

            Event::Saga(SagaEvent::SagaStarted { saga }) => {
                let done = SagaStepState::Succeeded;
                let before = matches!(saga, Definition::CreateOrder(_));
                let steps = saga.steps().into_iter().enumerate().map(|(n, name)| {
                    let first = before && n == 0;
                    SagaStep {
                        name: name.to_owned(),
                        state: if first { done } else { SagaStepState::Waiting },
                        attempts: 0,
                        started_at: first.then_some(at),
                        ended_at: first.then_some(at),
                        next_attempt_at: None,
                        reason: None,
                    }
                });
                let row = SagaRow {
                    id: Text(EntityId::from_uuid(uuid)),
                    order_id: Text(saga.order_id()),
                    name: saga.name().to_owned(),
                    state: Text(SagaState::Running),
                    steps: Json(steps.collect()),
                    refusal: None,
                    ended_at: None,
                    version,
                    position,
                    created_at,
                    updated_at,
                };
                saga_item = (Some(row.id), Some(row.state), None);
                tell!(Saga, "The saga {} began.", row.name);
                insert!(sagas, row);
            }
            Event::Saga(event) => {
                let row = row!(sagas);
                let of = match &event {
                    SagaEvent::StepStarted { of }
                    | SagaEvent::StepSucceeded { of }
                    | SagaEvent::StepRefused { of, .. }
                    | SagaEvent::StepTimedOut { of }
                    | SagaEvent::StepRetried { of, .. }
                    | SagaEvent::StepCompensated { of }
                    | SagaEvent::SagaStuck { of, .. } => Some(of.clone()),
                    SagaEvent::SagaStarted { .. }
                    | SagaEvent::CompensationStarted { .. }
                    | SagaEvent::SagaCompleted {}
                    | SagaEvent::SagaCompensated { .. } => None,
                };
                let step = of
                    .as_ref()
                    .map(|of| row.steps.0.iter_mut().find(|step| step.name == of.step).unwrap());
                let name = of.as_ref().map_or("", |of| of.step.as_str());
                let walking = of.as_ref().map(|of| match of.direction {
                    Direction::Forward => (SagaState::Running, SagaStepState::Running),
                    Direction::Backward => (SagaState::Compensating, SagaStepState::Compensating),
                });
                let end = |step: &mut SagaStep, state| {
                    (step.state, step.ended_at, step.next_attempt_at, step.reason) =
                        (state, Some(at), None, None);
                };
                match event {
                    SagaEvent::StepStarted { of } => {
                        let (step, (state, step_state)) = (step.unwrap(), walking.unwrap());
                        if of.attempt == 1 || step.started_at.is_none() {
                            (step.started_at, step.reason) = (Some(at), None);
                        }
                        (step.state, step.attempts, step.ended_at, step.next_attempt_at) =
                            (step_state, of.attempt, None, None);
                        row.state = Text(state);
                        let again = if of.attempt == 1 {
                            ".".to_owned()
                        } else {
                            format!(", attempt {}.", of.attempt)
                        };
                        match of.direction {
                            Direction::Forward => tell!(Saga, "{name} began{again}"),
                            Direction::Backward => tell!(Saga, "{name} is being undone{again}"),
                        }
                    }
                    SagaEvent::StepSucceeded { .. } => {
                        end(step.unwrap(), SagaStepState::Succeeded);
                        tell!(Saga, "{name} succeeded.");
                    }
                    SagaEvent::StepRefused { reason, .. } => {
                        let step = step.unwrap();
                        end(step, SagaStepState::Refused);
                        tell!(Saga, "{name} was refused: {reason}.");
                        step.reason = Some(reason);
                    }
                    SagaEvent::StepTimedOut { .. } => {
                        step.unwrap().reason = Some("NO_ANSWER".to_owned());
                        tell!(Saga, "{name} was not answered in time.");
                    }
                    SagaEvent::StepRetried { at, .. } => {
                        let step = step.unwrap();
                        (step.state, step.ended_at, step.next_attempt_at) =
                            (SagaStepState::Retrying, None, Some(at));
                        row.state = Text(walking.unwrap().0);
                        tell!(Saga, "{name} will be tried again.");
                    }
                    SagaEvent::CompensationStarted { reason } => {
                        for step in &mut row.steps.0 {
                            if matches!(
                                step.state,
                                SagaStepState::Waiting
                                    | SagaStepState::Running
                                    | SagaStepState::Retrying
                                    | SagaStepState::Stuck
                            ) {
                                end(step, SagaStepState::Skipped);
                            }
                        }
                        row.state = Text(SagaState::Compensating);
                        tell!(Saga, "The saga turned back: {reason}.");
                        row.refusal = Some(reason);
                    }
                    SagaEvent::StepCompensated { .. } => {
                        end(step.unwrap(), SagaStepState::Compensated);
                        tell!(Saga, "{name} was undone.");
                    }
                    SagaEvent::SagaCompleted {} => {
                        (row.state, row.ended_at) = (Text(SagaState::Completed), Some(at));
                        tell!(Saga, "The saga completed.");
                    }
                    SagaEvent::SagaCompensated { reason } => {
                        (row.state, row.ended_at, row.refusal) =
                            (Text(SagaState::Compensated), Some(at), Some(reason));
                        tell!(Saga, "The saga is back where it began.");
                    }
                    SagaEvent::SagaStuck { reason, .. } => {
                        let step = step.unwrap();
                        (step.state, step.ended_at, step.next_attempt_at) =
                            (SagaStepState::Stuck, None, None);
                        tell!(Saga, "{name} is stuck: {reason}.");
                        step.reason = Some(reason);
                        row.state = Text(SagaState::Stuck);
                    }
                    SagaEvent::SagaStarted { .. } => unreachable!(),
                }
                let step = row.steps.iter().find(|step| step.name == name).cloned();
                saga_item = (Some(row.id), Some(row.state), step.map(Json));
            }
        }

        if let (Some((kind, title)), Some(order_id)) = (item, order_id) {
            let row = self.orders.rows.get(&order_id).map(|order| *order.status);
            let status = row.or_else(|| self.statuses.get(&order_id).copied()).unwrap();
            let (saga_id, saga_state, saga_step) = saga_item;
            self.timeline.push(TimelineRow {
                order_id: Text(order_id),
                position,
                at,
                kind: Text(kind),
                title,
                order_status: Text(status),
                saga_id,
                saga_state,
                saga_step,
            });
        }
    }
}

fn order_of(event: &Event, message: &Recorded) -> Option<OrderId> {
    let uuid = message.stream.uuid;
    match event {
        Event::Order(_) | Event::Invoice(_) | Event::List(_) => Some(OrderId::from_uuid(uuid)),
        Event::Saga(_) => Some(mallbots_domain::id::SagaId::from_uuid(uuid).order()),
        Event::Notification(_) => {
            Some(mallbots_domain::id::NotificationId::from_uuid(uuid).order())
        }
        Event::Payment(
            PaymentEvent::PaymentConfirmed { order_id, .. }
            | PaymentEvent::PaymentReleased { order_id }
            | PaymentEvent::PaymentCaptured { order_id }
            | PaymentEvent::PaymentRefunded { order_id },
        ) => Some(*order_id),
        Event::Payment(PaymentEvent::PaymentAuthorized { .. })
        | Event::Store(_)
        | Event::Product(_)
        | Event::Customer(_)
        | Event::Basket(_)
        | Event::Bot(_) => None,
    }
}
