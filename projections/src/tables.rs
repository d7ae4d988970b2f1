//! All read models in one batch, and which event goes where.

use std::collections::{HashMap, HashSet};

use mallbots_domain::{
    event::DomainEvent,
    id::{EntityId, Kind, OrderId},
    ordering::{OrderEvent, OrderStatus},
    saga::SagaEvent,
};
use mallbots_eventstore::connect::Backend;
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult};
use uuid::Uuid;

use crate::{
    baskets, bots,
    changes::Change,
    column::Text,
    customers, invoices, notifications, orders, payments, products,
    row::{Misfit, Occurred},
    sagas, shopping_lists, stores,
    table::{Additions, OnConflict, Table, statement, texts},
    timeline,
};

/// The read models by name, each with its tables.
pub(crate) fn families() -> [(&'static str, Vec<&'static str>); 12] {
    READ_MODELS.map(|(name, _)| match name {
        "orders" => (name, vec!["orders", "order_lines"]),
        one => (name, vec![one]),
    })
}

/// The read models, and whose events may be parked before them.
pub(crate) const READ_MODELS: [(&str, Option<Kind>); 12] = [
    ("stores", Some(Kind::Store)),
    ("products", Some(Kind::Product)),
    ("customers", Some(Kind::Customer)),
    ("baskets", Some(Kind::Basket)),
    ("orders", Some(Kind::Order)),
    // Fed by the events of the others.
    ("order_timeline", None),
    ("sagas", Some(Kind::Saga)),
    ("payments", Some(Kind::Payment)),
    ("invoices", Some(Kind::Invoice)),
    ("shopping_lists", Some(Kind::ShoppingList)),
    ("bots", Some(Kind::Bot)),
    ("notifications", Some(Kind::Notification)),
];

/// Every table of the read side.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    stores: Table<stores::Entity>,
    products: Table<products::Entity>,
    customers: Table<customers::Entity>,
    baskets: Table<baskets::Entity>,
    orders: Table<orders::Entity>,
    order_lines: Additions<orders::lines::Entity>,
    sagas: Table<sagas::Entity>,
    payments: Table<payments::Entity>,
    invoices: Table<invoices::Entity>,
    shopping_lists: Table<shopping_lists::Entity>,
    bots: Table<bots::Entity>,
    notifications: Table<notifications::Entity>,
    timeline: Additions<timeline::Entity>,
    standing: Standing,
    /// What has ended.
    took: Vec<sagas::Took>,
}

/// Where orders stand whose rows the batch does not need otherwise.
#[derive(Debug, Clone)]
struct Standing {
    sql: String,
    backend: Backend,
    statuses: HashMap<OrderId, OrderStatus>,
}

impl Tables {
    /// The tables that have this behind their names.
    pub(crate) fn new(backend: Backend, suffix: &str) -> Self {
        let ids = match backend {
            Backend::Postgres => "= ANY($1)",
            Backend::Sqlite => "IN (SELECT value FROM json_each(?))",
        };
        Self {
            stores: Table::new(backend, suffix),
            products: Table::new(backend, suffix),
            customers: Table::new(backend, suffix),
            baskets: Table::new(backend, suffix),
            orders: Table::new(backend, suffix),
            order_lines: Additions::new(backend, suffix, OnConflict::Keep),
            sagas: Table::new(backend, suffix),
            payments: Table::new(backend, suffix),
            invoices: Table::new(backend, suffix),
            shopping_lists: Table::new(backend, suffix),
            bots: Table::new(backend, suffix),
            notifications: Table::new(backend, suffix),
            timeline: Additions::new(backend, suffix, OnConflict::Keep),
            standing: Standing {
                sql: format!("SELECT id, status FROM \"orders{suffix}\" WHERE id {ids}"),
                backend,
                statuses: HashMap::new(),
            },
            took: Vec::new(),
        }
    }

    /// Forgets all rows.
    pub(crate) fn clear(&mut self) {
        self.stores.clear();
        self.products.clear();
        self.customers.clear();
        self.baskets.clear();
        self.orders.clear();
        self.order_lines.clear();
        self.sagas.clear();
        self.payments.clear();
        self.invoices.clear();
        self.shopping_lists.clear();
        self.bots.clear();
        self.notifications.clear();
        self.timeline.clear();
        self.standing.statuses.clear();
        self.took.clear();
    }

    /// How long those sagas and steps took that ended with what was taken in
    /// since the tables were cleared.
    pub(crate) fn take_took(&mut self) -> Vec<sagas::Took> {
        std::mem::take(&mut self.took)
    }

    /// Loads the rows that these events change and nothing else. A stream that
    /// begins with them has no row yet.
    pub(crate) async fn load(
        &mut self,
        db: &impl ConnectionTrait,
        events: &[(Occurred, DomainEvent)],
    ) -> Result<(), DbErr> {
        let mut begun: HashSet<(Kind, Uuid)> = HashSet::new();
        let mut wanted: HashMap<Kind, HashSet<Uuid>> = HashMap::new();
        let mut standing: HashSet<OrderId> = HashSet::new();
        for (of, event) in events {
            let stream = (of.stream.kind, of.stream.uuid);
            if of.version == 1 {
                begun.insert(stream);
            } else if !begun.contains(&stream) {
                wanted.entry(of.stream.kind).or_default().insert(of.stream.uuid);
            }
            if let Some(order_id) = timeline::order_of(event, of) {
                standing.insert(order_id);
            }
        }
        self.load_rows(db, &wanted).await?;
        standing.retain(|id| {
            self.orders.get(*id).is_none() && !begun.contains(&(Kind::Order, id.uuid()))
        });
        self.standing.load(db, &standing).await
    }

    async fn load_rows(
        &mut self,
        db: &impl ConnectionTrait,
        wanted: &HashMap<Kind, HashSet<Uuid>>,
    ) -> Result<(), DbErr> {
        for (kind, ids) in wanted {
            match kind {
                Kind::Store => self.stores.load(db, ids).await?,
                Kind::Product => self.products.load(db, ids).await?,
                Kind::Customer => self.customers.load(db, ids).await?,
                Kind::Basket => self.baskets.load(db, ids).await?,
                Kind::Order => self.orders.load(db, ids).await?,
                Kind::Payment => self.payments.load(db, ids).await?,
                Kind::Invoice => self.invoices.load(db, ids).await?,
                Kind::ShoppingList => self.shopping_lists.load(db, ids).await?,
                Kind::Bot => self.bots.load(db, ids).await?,
                Kind::Saga => self.sagas.load(db, ids).await?,
                Kind::Notification => self.notifications.load(db, ids).await?,
                Kind::DeadLetter => {}
            }
        }
        Ok(())
    }

    /// Notes in its row that an event is known, without taking it in.
    pub(crate) async fn pass_over(
        &mut self,
        db: &impl ConnectionTrait,
        of: &Occurred,
    ) -> Result<(), DbErr> {
        let wanted = HashMap::from([(of.stream.kind, HashSet::from([of.stream.uuid]))]);
        self.load_rows(db, &wanted).await?;
        match of.stream.kind {
            Kind::Store => self.stores.pass_over(of),
            Kind::Product => self.products.pass_over(of),
            Kind::Customer => self.customers.pass_over(of),
            Kind::Basket => self.baskets.pass_over(of),
            Kind::Order => self.orders.pass_over(of),
            Kind::Payment => self.payments.pass_over(of),
            Kind::Invoice => self.invoices.pass_over(of),
            Kind::ShoppingList => self.shopping_lists.pass_over(of),
            Kind::Bot => self.bots.pass_over(of),
            Kind::Saga => self.sagas.pass_over(of),
            Kind::Notification => self.notifications.pass_over(of),
            Kind::DeadLetter => {}
        }
        Ok(())
    }

    /// Takes an event into every read model that is fed by it, or into none.
    pub(crate) fn fold(&mut self, event: DomainEvent, of: &Occurred) -> Result<(), Misfit> {
        let order_id = timeline::order_of(&event, of);
        let before = timeline::Before {
            list: self.shopping_lists.get(of.id()),
            notification: self.notifications.get(of.id()),
        };
        let entry = timeline::entry(&event, before);
        let mut lines = Vec::new();
        if let DomainEvent::Order(OrderEvent::OrderCreated { items, .. }) = &event {
            lines = orders::lines::of(of.id(), items);
        }

        match event {
            DomainEvent::Store(event) => self.stores.fold(event, of),
            DomainEvent::Product(event) => self.products.fold(event, of),
            DomainEvent::Customer(event) => self.customers.fold(event, of),
            DomainEvent::Basket(event) => self.baskets.fold(event, of),
            DomainEvent::Order(event) => self.orders.fold(event, of),
            DomainEvent::Payment(event) => self.payments.fold(event, of),
            DomainEvent::Invoice(event) => self.invoices.fold(event, of),
            DomainEvent::ShoppingList(event) => self.shopping_lists.fold(event, of),
            DomainEvent::Bot(event) => self.bots.fold(event, of),
            DomainEvent::Saga(event) => self.fold_saga(event, of),
            DomainEvent::Notification(event) => self.notifications.fold(event, of),
        }?;

        for line in lines {
            self.order_lines.add(line);
        }
        if let (Some(order_id), Some(entry)) = (order_id, entry) {
            let status = match self.orders.get(order_id) {
                Some(order) => *order.status,
                // An order whose first event is parked has not been accepted
                // by anyone who looks here.
                None => self.standing.of(order_id).unwrap_or(OrderStatus::Pending),
            };
            let saga = if of.stream.kind == Kind::Saga { self.sagas.get(of.id()) } else { None };
            self.timeline.add(entry.finish(order_id, status, saga, of));
        }
        Ok(())
    }

    fn fold_saga(&mut self, event: SagaEvent, of: &Occurred) -> Result<(), Misfit> {
        let known = self.sagas.get(of.id()).map_or(0, |saga| saga.version);
        let end = sagas::End::of(&event);
        self.sagas.fold(event, of)?;
        // What was known before has been timed before.
        if let (Some(end), Some(saga)) = (end, self.sagas.get(of.id()))
            && saga.version > known
        {
            self.took.extend(end.took(saga));
        }
        Ok(())
    }

    /// Writes what has changed, one statement a table, and says what it was.
    pub(crate) async fn flush(&mut self, db: &impl ConnectionTrait) -> Result<Vec<Change>, DbErr> {
        let mut changes = Vec::new();
        self.stores.flush(db, &mut changes).await?;
        self.products.flush(db, &mut changes).await?;
        self.customers.flush(db, &mut changes).await?;
        self.baskets.flush(db, &mut changes).await?;
        self.orders.flush(db, &mut changes).await?;
        self.order_lines.flush(db).await?;
        self.sagas.flush(db, &mut changes).await?;
        self.payments.flush(db, &mut changes).await?;
        self.invoices.flush(db, &mut changes).await?;
        self.shopping_lists.flush(db, &mut changes).await?;
        self.bots.flush(db, &mut changes).await?;
        self.notifications.flush(db, &mut changes).await?;
        self.timeline.flush(db).await?;
        changes.sort_by_key(|change| change.position);
        Ok(changes)
    }
}

impl Standing {
    async fn load(
        &mut self,
        db: &impl ConnectionTrait,
        ids: &HashSet<OrderId>,
    ) -> Result<(), DbErr> {
        #[derive(FromQueryResult)]
        struct Row {
            id: Text<OrderId>,
            status: Text<OrderStatus>,
        }

        if ids.is_empty() {
            return Ok(());
        }
        let ids = texts(self.backend, ids.iter().map(ToString::to_string).collect());
        let statement = statement(self.backend, &self.sql, [ids]);
        for row in db.query_all_raw(statement).await? {
            let row = Row::from_query_result(&row, "")?;
            self.statuses.insert(*row.id, *row.status);
        }
        Ok(())
    }

    fn of(&self, id: OrderId) -> Option<OrderStatus> {
        self.statuses.get(&id).copied()
    }
}
