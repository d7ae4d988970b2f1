//! Whose things are whose: what a caller may see of what is there, on whatever
//! way they come to it, and what they may have changed.
//!
//! Rows go out of loaders only to those they belong to, and mutations look who
//! owns what they are about. To everybody else it is as if it were not there.

use std::hash::Hash;

use async_graphql::{Context, dataloader::Loader};
use mallbots_domain::{
    aggregate::Aggregate,
    baskets::{Basket, BasketError},
    customers::CustomerError,
    id::{
        BasketId, BotId, CustomerId, DeadLetterId, InvoiceId, NotificationId, OrderId, PaymentId,
        ProductId, SagaId, ShoppingListId, StoreId,
    },
    ordering::{Order, OrderError},
    payments::{
        invoice::{Invoice, InvoiceError},
        payment::{Payment, PaymentError},
    },
    stores::{
        product::{Product, ProductError},
        store::StoreError,
    },
};
use mallbots_projections::orders::OrderFilter;

use super::{
    loaders::{
        BlockedBy, EffectsOf, Library, MessageOf, NotificationsOf, OrdersOf, ProductsOf, SagaOf,
        TimelineOf,
    },
    services::ContextExt,
};
use crate::{
    auth::{Rights, Role},
    error::{ClientError, ErrorCode, ForClient},
};

/// Whose something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Belongs {
    /// Everybody's.
    ToAll,
    /// A customer's.
    ToCustomer(CustomerId),
    /// Whoever's the order is.
    ToOrder(OrderId),
    /// Whoever's the order is, and the depot's.
    ToOrderAndDepot(OrderId),
    /// The depot's.
    ToDepot,
    /// The operators'.
    ToOperators,
}

/// What loaders are asked for, and whose it is.
pub trait Guarded: Clone + Hash + Eq + Send + Sync + 'static
where
    Library: Loader<Self>,
{
    /// Whose it is.
    fn belongs(&self, value: &<Library as Loader<Self>>::Value) -> Belongs;
}

macro_rules! guarded {
    ($($key:ty: |$this:pat_param, $row:pat_param| $belongs:expr),* $(,)?) => { $(
        impl Guarded for $key {
            fn belongs(&self, row: &<Library as Loader<Self>>::Value) -> Belongs {
                let ($this, $row) = (self, row);
                $belongs
            }
        }
    )* };
}

guarded! {
    StoreId: |_, _| Belongs::ToAll,
    ProductId: |_, _| Belongs::ToAll,
    ProductsOf: |_, _| Belongs::ToAll,
    CustomerId: |id, _| Belongs::ToCustomer(*id),
    BasketId: |_, row| Belongs::ToCustomer(*row.customer_id),
    OrderId: |_, row| Belongs::ToCustomer(*row.customer_id),
    OrdersOf: |list, _| Belongs::ToCustomer(list.of),
    PaymentId: |_, row| Belongs::ToCustomer(*row.customer_id),
    InvoiceId: |_, row| Belongs::ToCustomer(*row.customer_id),
    NotificationId: |_, row| Belongs::ToCustomer(*row.customer_id),
    NotificationsOf: |list, _| Belongs::ToCustomer(list.of),
    TimelineOf: |list, _| Belongs::ToOrder(list.of),
    SagaId: |_, row| Belongs::ToOrder(*row.order_id),
    SagaOf: |saga, _| Belongs::ToOrder(saga.0),
    ShoppingListId: |_, row| Belongs::ToOrderAndDepot(*row.order_id),
    BotId: |_, _| Belongs::ToDepot,
    MessageOf: |_, _| Belongs::ToOperators,
    EffectsOf: |_, _| Belongs::ToOperators,
    BlockedBy: |_, _| Belongs::ToOperators,
    DeadLetterId: |_, _| Belongs::ToOperators,
}

/// What can be told without looking anything up: whether somebody sees it, or
/// else whose order decides.
pub(super) fn sees(rights: &Rights, belongs: Belongs) -> Result<bool, OrderId> {
    if rights.is_admin() {
        return Ok(true);
    }
    match belongs {
        Belongs::ToAll => Ok(true),
        Belongs::ToCustomer(customer) => Ok(rights.has_customer(customer)),
        Belongs::ToOrderAndDepot(_) | Belongs::ToDepot if rights.is_depot() => Ok(true),
        Belongs::ToOrder(order) | Belongs::ToOrderAndDepot(order) => {
            if rights.roles.has(Role::Customer) { Err(order) } else { Ok(false) }
        }
        Belongs::ToDepot | Belongs::ToOperators => Ok(false),
    }
}

/// Orders of those that were asked for which the caller may see. Asking for
/// another customer's is answered as if there were no such customer.
pub(super) fn own_orders(
    ctx: &Context<'_>,
    mut filter: OrderFilter,
) -> Result<OrderFilter, ClientError> {
    let rights = ctx.caller().rights();
    if !rights.is_admin() {
        let own = rights.customer.filter(|_| rights.roles.has(Role::Customer));
        let wanted = filter.customer_id.or(own);
        let Some(own) = own.filter(|own| wanted == Some(*own)) else {
            return Err(ClientError::new(ErrorCode::NotFound, "there is no such customer")
                .on_field("filter.customerId"));
        };
        filter.customer_id = Some(own);
    }
    Ok(filter)
}

/// Only operators go on.
pub(super) fn operator(ctx: &Context<'_>) -> bool {
    ctx.caller().rights().is_admin()
}

/// The caller is this customer, or may act for them.
pub(super) fn own_customer(ctx: &Context<'_>, id: CustomerId) -> Result<(), ClientError> {
    if ctx.caller().rights().has_customer(id) {
        Ok(())
    } else {
        Err(ClientError::refused(&CustomerError::NotFound))
    }
}

/// The caller runs this store, or may act for who does.
pub(super) fn own_store(ctx: &Context<'_>, id: StoreId) -> Result<(), ClientError> {
    if ctx.caller().rights().has_store(id) {
        Ok(())
    } else {
        Err(ClientError::refused(&StoreError::NotFound))
    }
}

/// The caller runs the store that sells this.
pub(super) async fn own_product(ctx: &Context<'_>, id: ProductId) -> Result<(), ClientError> {
    let store = |product: &Product| product.details().map(|details| details.store_id);
    let rights = ctx.caller().rights();
    let is_own = |store: StoreId| rights.has_store(store);
    if owned::<Product, _>(ctx, id, store, is_own).await? {
        Ok(())
    } else {
        Err(ClientError::refused(&ProductError::NotFound))
    }
}

macro_rules! of_customers {
    ($($(#[$doc:meta])* $name:ident: $aggregate:ident by $id:ty, or $error:ident),* $(,)?) => { $(
        $(#[$doc])*
        pub(super) async fn $name(ctx: &Context<'_>, id: $id) -> Result<(), ClientError> {
            let customer = |state: &$aggregate| state.details().map(|details| details.customer_id);
            let is_own = |customer: CustomerId| ctx.caller().rights().has_customer(customer);
            if owned::<$aggregate, _>(ctx, id, customer, is_own).await? {
                Ok(())
            } else {
                Err(ClientError::refused(&$error::NotFound))
            }
        }
    )* };
}

of_customers! {
    /// The basket is the caller's.
    own_basket: Basket by BasketId, or BasketError,
    /// The order is the caller's.
    own_order: Order by OrderId, or OrderError,
    /// The payment is the caller's.
    own_payment: Payment by PaymentId, or PaymentError,
    /// The invoice is the caller's.
    own_invoice: Invoice by InvoiceId, or InvoiceError,
}

/// Whether a caller owns an aggregate, by the ledger: a command never decides
/// from a read model. Owners never change, so that looking before the command
/// is as good as within it. Operators need not be looked at: to them the
/// command itself says what is not there.
async fn owned<A: Aggregate, O>(
    ctx: &Context<'_>,
    id: A::Id,
    owner: impl FnOnce(&A) -> Option<O>,
    is_own: impl FnOnce(O) -> bool,
) -> Result<bool, ClientError> {
    if operator(ctx) {
        return Ok(true);
    }
    let loaded = ctx.services().ledger.load::<A>(id).await.for_client()?;
    Ok(owner(&loaded.state).is_some_and(is_own))
}

#[cfg(test)]
mod tests {
    use mallbots_domain::id::EntityId;
    use uuid::Uuid;

    use super::*;
    use crate::auth::Roles;

    #[test]
    fn strangers_see_only_what_is_everybodys() {
        let (own, other) =
            (CustomerId::from_uuid(Uuid::now_v7()), CustomerId::from_uuid(Uuid::now_v7()));
        let order = OrderId::from_uuid(Uuid::now_v7());
        let rights =
            |role| Rights { roles: Roles::of(&[role]), customer: Some(own), ..Rights::default() };
        let everything = [
            Belongs::ToAll,
            Belongs::ToCustomer(own),
            Belongs::ToCustomer(other),
            Belongs::ToOrder(order),
            Belongs::ToOrderAndDepot(order),
            Belongs::ToDepot,
            Belongs::ToOperators,
        ];
        let seen = |role| everything.map(|belongs| sees(&rights(role), belongs));
        let (yes, no, ask) = (Ok(true), Ok(false), Err(order));
        assert_eq!(seen(Role::Admin), [yes; 7]);
        assert_eq!(seen(Role::Customer), [yes, yes, no, ask, ask, no, no]);
        assert_eq!(seen(Role::Depot), [yes, no, no, no, yes, yes, no]);
        assert_eq!(seen(Role::StoreOwner), [yes, no, no, no, no, no, no]);
        assert_eq!(seen(Role::Router), [yes, no, no, no, no, no, no]);
    }
}
