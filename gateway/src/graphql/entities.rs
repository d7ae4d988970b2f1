//! What a router asks that joins this schema with others: things by their keys,
//! and what the schema is.
//!
//! These are fields like all others: the executor's own answer a key that
//! nobody has with an error, print an older version of federation, and are not
//! in the schema by which the door judges documents.

use async_graphql::{
    Context, ID, InputValueError, InputValueResult, Name, Object, Result, Scalar, ScalarType,
    SimpleObject, Union, Value,
};
use futures_util::future::try_join_all;
use mallbots_domain::id::{AnyId, Kind};

use super::{
    baskets::Basket,
    customers::{Customer, Notification},
    depot::{Bot, ShoppingList},
    node::{Node, node},
    operations::DeadLetter,
    orders::Order,
    payments::{Invoice, Payment},
    sagas::Saga,
    stores::{Product, Store},
    subgraph,
};
use crate::error::{ClientError, ErrorCode};

/// The most things that can be asked for at once.
const MOST: usize = 100;

/// What other schemas may add to.
#[derive(Debug, Clone, Union)]
#[graphql(name = "_Entity")]
#[expect(missing_docs, reason = "each is documented where it is")]
pub enum Entity {
    Store(Store),
    Product(Product),
    Customer(Customer),
    Basket(Basket),
    Order(Order),
    Payment(Payment),
    Invoice(Invoice),
    ShoppingList(ShoppingList),
    Bot(Bot),
    Saga(Saga),
    Notification(Notification),
    DeadLetter(DeadLetter),
}

impl From<Node> for Entity {
    fn from(node: Node) -> Self {
        match node {
            Node::Store(it) => Self::Store(it),
            Node::Product(it) => Self::Product(it),
            Node::Customer(it) => Self::Customer(it),
            Node::Basket(it) => Self::Basket(it),
            Node::Order(it) => Self::Order(it),
            Node::Payment(it) => Self::Payment(it),
            Node::Invoice(it) => Self::Invoice(it),
            Node::ShoppingList(it) => Self::ShoppingList(it),
            Node::Bot(it) => Self::Bot(it),
            Node::Saga(it) => Self::Saga(it),
            Node::Notification(it) => Self::Notification(it),
            Node::DeadLetter(it) => Self::DeadLetter(it),
        }
    }
}

/// What things of a kind are in the schema.
const fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Store => "Store",
        Kind::Product => "Product",
        Kind::Customer => "Customer",
        Kind::Basket => "Basket",
        Kind::Order => "Order",
        Kind::Payment => "Payment",
        Kind::Invoice => "Invoice",
        Kind::ShoppingList => "ShoppingList",
        Kind::Bot => "Bot",
        Kind::Saga => "Saga",
        Kind::Notification => "Notification",
        Kind::DeadLetter => "DeadLetter",
    }
}

/// A thing as a router knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Representation {
    type_name: String,
    id: String,
}

/// A thing by its type and its key: `{ "__typename": "Order", "id": "order_…" }`.
#[Scalar(name = "_Any")]
impl ScalarType for Representation {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::Object(fields) = value else {
            return Err(InputValueError::expected_type(value));
        };
        let text = |name: &str| match fields.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) | None => {
                Err(InputValueError::custom(format!("a representation has a text as its {name}")))
            }
        };
        Ok(Self { type_name: text("__typename")?, id: text("id")? })
    }

    fn to_value(&self) -> Value {
        let fields = [("__typename", &self.type_name), ("id", &self.id)];
        Value::Object(
            fields
                .map(|(name, text)| (Name::new(name), text.as_str().into()))
                .into_iter()
                .collect(),
        )
    }
}

impl Representation {
    /// The id in it, if something of that type can have it.
    fn id(&self) -> Option<AnyId> {
        let id: AnyId = ID::from(&*self.id).parse().ok()?;
        (type_name(id.kind) == self.type_name).then_some(id)
    }
}

/// What this service is to a router.
#[derive(Debug, SimpleObject)]
#[graphql(name = "_Service")]
pub struct Service {
    /// Its schema, with what is to be known for joining it with others.
    sdl: Option<&'static str>,
}

/// What routers ask.
#[derive(Debug, Default)]
pub struct EntityQueries;

#[Object]
impl EntityQueries {
    /// For routers: things by their types and keys, in their order; null for what is not there.
    #[graphql(name = "_entities")]
    async fn entities(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Their types and keys, at most 100.")] representations: Vec<
            Representation,
        >,
    ) -> Result<Vec<Option<Entity>>> {
        if representations.len() > MOST {
            let message = format!("at most {MOST} things can be asked for at once");
            let error = ClientError::new(ErrorCode::BadUserInput, message);
            return Err(error.on_field("representations").into());
        }
        let found = representations.iter().map(async |representation| {
            let Some(id) = representation.id() else { return Ok(None) };
            Ok::<_, ClientError>(node(ctx, id).await?.map(Entity::from))
        });
        Ok(try_join_all(found).await?)
    }

    /// For routers: what this service adds to the whole.
    #[graphql(name = "_service")]
    async fn service(&self) -> Service {
        Service { sdl: Some(subgraph::sdl()) }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::value;
    use mallbots_domain::id::{EntityId, OrderId};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_representation_has_a_type_and_a_key() {
        let order = OrderId::from_uuid(Uuid::now_v7()).to_string();
        let read = |value: Value| Representation::parse(value);
        // What else a router sends along says nothing here.
        let whole = value!({ "__typename": "Order", "id": (order.clone()), "status": "X" });
        assert!(read(whole).unwrap().id().is_some());
        for other in [
            value!({ "__typename": "Customer", "id": (order.clone()) }),
            value!({ "__typename": "Nothing", "id": (order.clone()) }),
            value!({ "__typename": "Order", "id": "order_1" }),
        ] {
            assert_eq!(read(other).unwrap().id(), None);
        }
        for broken in [
            value!("order"),
            value!({ "id": (order.clone()) }),
            value!({ "__typename": "Order" }),
            value!({ "__typename": "Order", "id": 7 }),
        ] {
            assert!(read(broken).is_err());
        }
    }
}
