//! Anything with an id, by its id alone.

use async_graphql::{Context, ID, Interface, Object, Result};
use futures_util::future::try_join_all;
use mallbots_domain::id::{
    AnyId, BasketId, BotId, CustomerId, InvoiceId, Kind, NotificationId, OrderId, PaymentId,
    ProductId, SagaId, ShoppingListId, StoreId,
};

use super::{
    baskets::Basket,
    customers::{Customer, Notification},
    depot::{Bot, ShoppingList},
    ids,
    operations::{DeadLetter, dead_letter},
    orders::Order,
    payments::{Invoice, Payment},
    sagas::Saga,
    services::ContextExt,
    stores::{Product, Store},
};
use crate::error::{ClientError, ErrorCode, ForClient};

/// Anything that has an id.
#[derive(Debug, Clone, Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "Names it."))]
#[expect(missing_docs, reason = "each is documented where it is")]
pub enum Node {
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

/// How to find anything by its id.
#[derive(Debug, Default)]
pub struct NodeQueries;

#[Object]
impl NodeQueries {
    /// Anything, by its id.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] id: ID,
    ) -> Result<Option<Node>> {
        let id: AnyId = id.parse().for_field("id")?;
        Ok(Some(node(ctx, id).await?.ok_or_else(|| ids::not_found(id.kind.prefix()))?))
    }

    /// Several things, by their ids, in their order; null for what is not there.
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Their ids, at most 100.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        if ids.len() > 100 {
            let message = "at most 100 ids can be asked for at once";
            return Err(ClientError::new(ErrorCode::BadUserInput, message).on_field("ids").into());
        }
        let ids: Vec<AnyId> =
            ids.iter().map(|id| id.parse().for_field("ids")).collect::<Result<_, ClientError>>()?;
        Ok(try_join_all(ids.into_iter().map(|id| node(ctx, id))).await?)
    }
}

/// The thing with this id, if it is there for the caller.
pub(super) async fn node(ctx: &Context<'_>, id: AnyId) -> Result<Option<Node>, ClientError> {
    let loaders = ctx.loaders();
    macro_rules! row {
        ($node:ident, $id:ty) => {
            loaders
                .one(id.expect::<$id>().for_client()?)
                .await
                .for_client()?
                .map(|row| Node::$node($node(row)))
        };
    }
    Ok(match id.kind {
        Kind::Store => row!(Store, StoreId),
        Kind::Product => row!(Product, ProductId),
        Kind::Customer => row!(Customer, CustomerId),
        Kind::Basket => row!(Basket, BasketId),
        Kind::Order => row!(Order, OrderId),
        Kind::Payment => row!(Payment, PaymentId),
        Kind::Invoice => row!(Invoice, InvoiceId),
        Kind::ShoppingList => row!(ShoppingList, ShoppingListId),
        Kind::Bot => row!(Bot, BotId),
        Kind::Saga => row!(Saga, SagaId),
        Kind::Notification => row!(Notification, NotificationId),
        Kind::DeadLetter => {
            dead_letter(ctx, id.expect().for_client()?).await?.map(Node::DeadLetter)
        }
    })
}
