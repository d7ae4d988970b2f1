//! Names of things: `TypeID`s, a prefix and a time-ordered UUID in base32
//! (`order_01h455vb4pex5vsknk084sn02q`; the open spec is
//! <https://github.com/jetify-com/typeid>).
//!
//! Ids that follow from another id reuse its UUID: a basket, the order made of
//! it, the order's sagas, shopping list and invoice. So no retry can make a
//! second one, each is found from any other, and all share a partition.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use type_safe_id::{DynamicType, TypeSafeId};
use uuid::Uuid;

use crate::notifications::NotificationKind;

/// How many logical partitions there are, fixed for ever: stored positions and
/// consumers depend on it.
pub const PARTITIONS: u8 = 64;

/// A typed id of one aggregate.
pub trait EntityId:
    Copy + Eq + Ord + std::hash::Hash + fmt::Debug + fmt::Display + Send + Sync + 'static
{
    /// Which kind of thing it names.
    const KIND: Kind;
    /// Names the thing with this UUID.
    fn from_uuid(uuid: Uuid) -> Self;
    /// The UUID within.
    fn uuid(self) -> Uuid;
    /// The same id with its kind as a value.
    fn any(self) -> AnyId {
        AnyId { kind: Self::KIND, uuid: self.uuid() }
    }
}

/// Text that is not an id, or an id of something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a `TypeID`, or of a kind the mall does not have.
    #[error("not an id of the mall")]
    Malformed,
    /// A well-formed id that names another kind of thing.
    #[error("not an id of a {expected}: it names a {found}")]
    WrongKind {
        /// The prefix that was asked for.
        expected: &'static str,
        /// The prefix it has.
        found: &'static str,
    },
    /// A new thing must be named by a time-ordered UUID.
    #[error("a new id must carry a UUID of version 7")]
    NotTimeOrdered,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $prefix:literal),* $(,)?) => {
        /// The kinds of things that have ids.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $kind),* }

        impl Kind {
            /// Every kind there is.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The `TypeID` prefix. Part of every stored id.
            #[must_use]
            pub const fn prefix(self) -> &'static str {
                match self { $(Self::$kind => $prefix),* }
            }

            fn of_prefix(prefix: &str) -> Option<Self> {
                match prefix { $($prefix => Some(Self::$kind),)* _ => None }
            }
        }
    };
}

kinds! {
    /// A store of the mall.
    Store = "store",
    /// A product of a store.
    Product = "product",
    /// A customer.
    Customer = "customer",
    /// A customer's basket.
    Basket = "basket",
    /// An order made of a basket.
    Order = "order",
    /// An authorised payment.
    Payment = "payment",
    /// The invoice of an order.
    Invoice = "invoice",
    /// What a bot collects for an order.
    ShoppingList = "list",
    /// A robot.
    Bot = "bot",
    /// A long process over several contexts.
    Saga = "saga",
    /// A message to a customer.
    Notification = "notification",
    /// A parked message.
    DeadLetter = "deadletter",
}

/// An id of any kind. Also names a stream in the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AnyId {
    /// What it names.
    pub kind: Kind,
    /// Which one.
    pub uuid: Uuid,
}

impl AnyId {
    /// The logical partition, `0..PARTITIONS`: the UUID's last bits, which are
    /// random and which every id that follows from it shares.
    #[must_use]
    pub const fn partition(self) -> u8 {
        self.uuid.as_bytes()[15] % PARTITIONS
    }

    /// Narrows it to one kind.
    pub fn expect<I: EntityId>(self) -> Result<I, IdError> {
        if self.kind == I::KIND {
            Ok(I::from_uuid(self.uuid))
        } else {
            Err(IdError::WrongKind { expected: I::KIND.prefix(), found: self.kind.prefix() })
        }
    }
}

impl fmt::Display for AnyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = DynamicType::new(self.kind.prefix()).map_err(|_| fmt::Error)?;
        TypeSafeId::from_type_and_uuid(prefix, self.uuid).fmt(f)
    }
}

impl fmt::Debug for AnyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AnyId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        // The prefix first: type-safe-id 0.3 panics at long ones that are not ASCII.
        let (prefix, _) = text.rsplit_once('_').ok_or(IdError::Malformed)?;
        let kind = Kind::of_prefix(prefix).ok_or(IdError::Malformed)?;
        let id: TypeSafeId<DynamicType> = text.parse().map_err(|_| IdError::Malformed)?;
        Ok(Self { kind, uuid: id.uuid() })
    }
}

impl Serialize for AnyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AnyId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident: $kind:ident),* $(,)?) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl EntityId for $name {
            const KIND: Kind = Kind::$kind;
            fn from_uuid(uuid: Uuid) -> Self { Self(uuid) }
            fn uuid(self) -> Uuid { self.0 }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.any().fmt(f) }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.any().fmt(f) }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> { text.parse::<AnyId>()?.expect() }
        }

        impl From<$name> for AnyId {
            fn from(id: $name) -> Self { id.any() }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                AnyId::deserialize(deserializer)?.expect().map_err(serde::de::Error::custom)
            }
        }
    )* };
}

ids! {
    /// Names a store.
    StoreId: Store,
    /// Names a product.
    ProductId: Product,
    /// Names a customer.
    CustomerId: Customer,
    /// Names a basket.
    BasketId: Basket,
    /// Names an order.
    OrderId: Order,
    /// Names a payment.
    PaymentId: Payment,
    /// Names an invoice.
    InvoiceId: Invoice,
    /// Names a shopping list.
    ShoppingListId: ShoppingList,
    /// Names a bot.
    BotId: Bot,
    /// Names a saga.
    SagaId: Saga,
    /// Names a notification.
    NotificationId: Notification,
    /// Names a dead letter.
    DeadLetterId: DeadLetter,
}

impl BasketId {
    /// The order this basket becomes at checkout.
    #[must_use]
    pub const fn order(self) -> OrderId {
        OrderId(self.0)
    }
}

impl OrderId {
    /// The basket it was made of.
    #[must_use]
    pub const fn basket(self) -> BasketId {
        BasketId(self.0)
    }

    /// The list a bot collects for it.
    #[must_use]
    pub const fn shopping_list(self) -> ShoppingListId {
        ShoppingListId(self.0)
    }

    /// Its invoice.
    #[must_use]
    pub const fn invoice(self) -> InvoiceId {
        InvoiceId(self.0)
    }

    /// The saga that accepts it.
    #[must_use]
    pub const fn create_saga(self) -> SagaId {
        SagaId(self.0)
    }

    /// The saga that undoes it after it was accepted.
    ///
    /// The same UUID with its version nibble turned (7 becomes 8, which RFC
    /// 9562 leaves to applications), so that it too is found from the order
    /// and shares its partition.
    #[must_use]
    pub const fn cancel_saga(self) -> SagaId {
        let mut bytes = self.0.into_bytes();
        bytes[6] ^= 0xF0;
        SagaId(Uuid::from_bytes(bytes))
    }

    /// The message that tells its customer about it, one of each kind.
    ///
    /// The same UUID with its version nibble turned (7 becomes 6, 5, 4, 3, 2
    /// or 1), so that no event tells a customer the same thing twice, and the
    /// message shares the order's partition.
    #[must_use]
    pub const fn notification(self, kind: NotificationKind) -> NotificationId {
        // Part of stored ids: never renumbered.
        let turn = match kind {
            NotificationKind::OrderCreated => 1,
            NotificationKind::OrderApproved => 2,
            NotificationKind::OrderRejected => 3,
            NotificationKind::OrderReady => 4,
            NotificationKind::OrderCanceled => 5,
            NotificationKind::OrderCompleted => 6,
        };
        let mut bytes = self.0.into_bytes();
        bytes[6] ^= turn << 4;
        NotificationId(Uuid::from_bytes(bytes))
    }
}

impl SagaId {
    /// The order it is about.
    #[must_use]
    pub const fn order(self) -> OrderId {
        let mut bytes = self.0.into_bytes();
        if bytes[6] >> 4 == 8 {
            bytes[6] ^= 0xF0;
        }
        OrderId(Uuid::from_bytes(bytes))
    }
}

impl ShoppingListId {
    /// The order it is collected for.
    #[must_use]
    pub const fn order(self) -> OrderId {
        OrderId(self.0)
    }
}

impl InvoiceId {
    /// The order it bills.
    #[must_use]
    pub const fn order(self) -> OrderId {
        OrderId(self.0)
    }
}

impl NotificationId {
    /// The order it is about.
    #[must_use]
    pub const fn order(self) -> OrderId {
        // Orders have UUIDs of version 7.
        let mut bytes = self.0.into_bytes();
        bytes[6] = bytes[6] & 0x0F | 0x70;
        OrderId(Uuid::from_bytes(bytes))
    }
}

/// Takes an id that a client chose for something new.
///
/// Only UUIDs of version 7 are taken: they sort by time, and the other
/// versions are left for ids that the mall derives.
pub fn chosen<I: EntityId>(text: &str) -> Result<I, IdError> {
    let id: I = text.parse::<AnyId>()?.expect()?;
    if id.uuid().get_version_num() == 7 { Ok(id) } else { Err(IdError::NotTimeOrdered) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use uuid::Uuid;

    use super::{
        AnyId, BasketId, CustomerId, EntityId, IdError, Kind, OrderId, PARTITIONS, SagaId, chosen,
    };
    use crate::{notifications::NotificationKind, testing::id};

    const UUID: Uuid = Uuid::from_u128(0x0188_bac7_4afa_78aa_bc3b_bd1e_ef28_d881);
    /// The example of the `TypeID` spec, with our prefix.
    const TEXT: &str = "order_01h2xcejqtf2nbrexx3vqjhp41";

    #[test]
    fn an_id_is_written_as_the_spec_says() {
        let order = OrderId::from_uuid(UUID);
        assert_eq!(order.to_string(), TEXT);
        assert_eq!(TEXT.parse(), Ok(order));
        assert_eq!(TEXT.parse(), Ok(order.any()));
        assert_eq!(AnyId::from(order), order.any());
    }

    #[test]
    fn an_id_is_its_text_in_json() {
        let order = OrderId::from_uuid(UUID);
        assert_eq!(serde_json::to_value(order).unwrap(), TEXT);
        assert_eq!(serde_json::from_value::<OrderId>(TEXT.into()).unwrap(), order);
        assert_eq!(serde_json::from_value::<AnyId>(TEXT.into()).unwrap(), order.any());
        assert!(serde_json::from_value::<CustomerId>(TEXT.into()).is_err());
    }

    #[test]
    fn an_id_of_a_basket_does_not_name_an_order() {
        let basket = BasketId::from_uuid(UUID).to_string();
        let refusal = IdError::WrongKind { expected: "order", found: "basket" };
        assert_eq!(basket.parse::<OrderId>(), Err(refusal));
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in [
            "",
            "order",
            "order_",
            "_01h2xcejqtf2nbrexx3vqjhp41",
            "01h2xcejqtf2nbrexx3vqjhp41",
            "order_01h2xcejqtf2nbrexx3vqjhp4",
            "order_01h2xcejqtf2nbrexx3vqjhp411",
            "order_01H2XCEJQTF2NBREXX3VQJHP41",
            "order_81h2xcejqtf2nbrexx3vqjhp41",
            "order_01h2xcejqtf2nbrexx3vqjhpil",
            "ORDER_01h2xcejqtf2nbrexx3vqjhp41",
            "invader_01h2xcejqtf2nbrexx3vqjhp41",
            "0188bac7-4afa-78aa-bc3b-bd1eef28d881",
            " order_01h2xcejqtf2nbrexx3vqjhp41",
        ] {
            assert_eq!(text.parse::<OrderId>(), Err(IdError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn a_client_chooses_only_time_ordered_ids() {
        assert_eq!(chosen(TEXT), Ok(OrderId::from_uuid(UUID)));
        assert_eq!(chosen::<OrderId>("shop"), Err(IdError::Malformed));
        // Nor one that the mall derives from another.
        let derived = OrderId::from_uuid(UUID).cancel_saga().to_string();
        assert_eq!(chosen::<SagaId>(&derived), Err(IdError::NotTimeOrdered));
        let random = "order_2x4y6z8a0b8c1d2e3f4g5h6j7k";
        assert_eq!(chosen::<OrderId>(random), Err(IdError::NotTimeOrdered));
    }

    #[test]
    fn every_prefix_is_read_back() {
        for kind in Kind::ALL {
            let any = AnyId { kind: *kind, uuid: UUID };
            assert_eq!(any.to_string().parse(), Ok(any));
        }
    }

    /// Every id that follows from an order.
    fn family(order: OrderId) -> Vec<AnyId> {
        let mut family = vec![
            order.any(),
            order.basket().any(),
            order.shopping_list().any(),
            order.invoice().any(),
            order.create_saga().any(),
            order.cancel_saga().any(),
        ];
        family.extend(NotificationKind::ALL.map(|kind| order.notification(kind).any()));
        family
    }

    #[test]
    fn derived_ids_never_change() {
        let family = family(OrderId::from_uuid(UUID));
        let lines: Vec<_> = family.iter().map(AnyId::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        order_01h2xcejqtf2nbrexx3vqjhp41
        basket_01h2xcejqtf2nbrexx3vqjhp41
        list_01h2xcejqtf2nbrexx3vqjhp41
        invoice_01h2xcejqtf2nbrexx3vqjhp41
        saga_01h2xcejqtf2nbrexx3vqjhp41
        saga_01h2xcejqth2nbrexx3vqjhp41
        notification_01h2xcejqtd2nbrexx3vqjhp41
        notification_01h2xcejqtb2nbrexx3vqjhp41
        notification_01h2xcejqt92nbrexx3vqjhp41
        notification_01h2xcejqt72nbrexx3vqjhp41
        notification_01h2xcejqt52nbrexx3vqjhp41
        notification_01h2xcejqt32nbrexx3vqjhp41
        ");
    }

    #[test]
    fn an_order_is_found_from_what_follows_from_it() {
        let order: OrderId = id(1);
        assert_eq!(order.basket().order(), order);
        assert_eq!(order.shopping_list().order(), order);
        assert_eq!(order.invoice().order(), order);
        for kind in NotificationKind::ALL {
            assert_eq!(order.notification(kind).order(), order);
        }
    }

    #[test]
    fn a_long_prefix_is_refused_whatever_it_is_made_of() {
        for prefix in ["e".repeat(100), "é".repeat(100), format!("e{}", "é".repeat(100))] {
            let text = format!("{prefix}_01h2xcejqtf2nbrexx3vqjhp41");
            assert_eq!(text.parse::<AnyId>(), Err(IdError::Malformed));
        }
    }

    proptest! {
        #[test]
        fn ids_come_back_from_text(uuid in any::<u128>()) {
            let order = OrderId::from_uuid(Uuid::from_u128(uuid));
            prop_assert_eq!(order.to_string().parse(), Ok(order));
        }

        #[test]
        fn all_that_follows_from_an_order_differs_and_shares_its_partition(uuid in any::<u128>()) {
            let family = family(OrderId::from_uuid(Uuid::from_u128(uuid)));
            let distinct: HashSet<_> = family.iter().collect();
            prop_assert_eq!(distinct.len(), family.len());
            let partition = family[0].partition();
            prop_assert!(partition < PARTITIONS);
            prop_assert!(family.iter().all(|id| id.partition() == partition));
        }

        #[test]
        fn no_text_breaks_the_parser(
            text in "\\PC{0,40}_\\PC{0,30}|(order|list)_[0-7][0-9a-hjkmnp-tv-z]{25}",
        ) {
            if let Ok(any) = text.parse::<AnyId>() {
                prop_assert_eq!(any.to_string(), text);
            }
        }
    }
}
