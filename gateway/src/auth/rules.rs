//! What each role may ask for, field by field.
//!
//! A field that no rule names is for administrators. Whose things somebody may
//! see is another question: `graphql::access` answers it where things are loaded.
//! Together they make `docs/authorization.md`, which a test keeps true.

use std::collections::HashSet;

use async_graphql::{
    Name,
    parser::types::{
        DocumentOperations, ExecutableDocument, OperationDefinition, Selection, SelectionSet,
        ServiceDocument,
    },
};

use super::{Caller, Role, Roles};
use crate::{
    error::{ClientError, ErrorCode},
    transport::fields::{Fields, base_name},
};

/// Who may ask for what no rule names.
pub const ADMIN: Roles = Roles::of(&[Role::Admin]);
const SHOPPER: Roles = Roles::of(&[Role::Customer, Role::Admin]);
const OWNER: Roles = Roles::of(&[Role::StoreOwner, Role::Admin]);
const DEPOT: Roles = Roles::of(&[Role::Depot, Role::Admin]);
/// Whom a shopping list concerns.
const LISTS: Roles = Roles::of(&[Role::Customer, Role::Depot, Role::Admin]);
const ROUTER: Roles = Roles::of(&[Role::Router, Role::Admin]);
/// Everybody with a role. What all see, and what is only reached through a
/// field that has a rule.
const ALL: Roles = Roles::of(&Role::ALL);

/// The fields of a type, by who may ask for them.
type TypeRules = (&'static str, &'static [(Roles, &'static [&'static str])]);

/// Every field there is.
const RULES: &[TypeRules] = &[
    // ---- where documents begin
    (
        "Query",
        &[
            (ALL, &["node", "nodes", "store", "stores", "product", "products"]),
            (SHOPPER, &["customer", "basket", "order", "orders", "orderStatusCounts", "payment"]),
            (SHOPPER, &["invoice", "saga"]),
            (LISTS, &["shoppingList"]),
            (DEPOT, &["shoppingLists", "bots"]),
            (ADMIN, &["customers", "sagas", "sagaStateCounts", "projections", "deadLetters"]),
            (ADMIN, &["history", "ledger", "ledgerEvent", "consumers", "relay"]),
            (ROUTER, &["_entities", "_service"]),
        ],
    ),
    (
        "Mutation",
        &[
            (OWNER, &["createStore", "rebrandStore"]),
            (OWNER, &["enableStoreParticipation", "disableStoreParticipation"]),
            (OWNER, &["addProduct", "rebrandProduct", "removeProduct"]),
            (OWNER, &["increaseProductPrice", "decreaseProductPrice"]),
            (SHOPPER, &["registerCustomer", "changeSmsNumber"]),
            (SHOPPER, &["startBasket", "addBasketItem", "removeBasketItem", "cancelBasket"]),
            (SHOPPER, &["checkoutBasket", "cancelOrder", "authorizePayment", "payInvoice"]),
            (DEPOT, &["registerBot", "bringBotOnline", "takeBotOffline"]),
            (DEPOT, &["assignShoppingList", "startShopping", "pickItem"]),
            (DEPOT, &["completeShoppingList"]),
            (ADMIN, &["enableCustomer", "disableCustomer", "adjustInvoice", "cancelInvoice"]),
            (ADMIN, &["retrySaga", "retryDeadLetter", "discardDeadLetter", "rebuildProjection"]),
        ],
    ),
    (
        "Subscription",
        &[
            (ALL, &["productsChanged"]),
            (SHOPPER, &["orderChanged", "ordersChanged", "orderProgress", "sagaProgress"]),
            (SHOPPER, &["basketChanged", "notificationSent"]),
            (DEPOT, &["shoppingListsChanged", "botsChanged"]),
            (ADMIN, &["projectionsChanged", "deadLettersChanged", "historyChanged"]),
        ],
    ),
    // ---- what everybody may see
    ("Node", &[(ALL, &["id"])]),
    ("Store", &[(ALL, &["id", "name", "location", "participating", "products"])]),
    ("Product", &[(ALL, &["id", "store", "name", "description", "sku", "price", "removed"])]),
    ("Money", &[(ALL, &["amount", "currency"])]),
    ("PageInfo", &[(ALL, &["hasNextPage", "hasPreviousPage", "startCursor", "endCursor"])]),
    ("_Service", &[(ALL, &["sdl"])]),
    // ---- what is somebody's
    ("Customer", &[(SHOPPER, &["id", "name", "smsNumber", "enabled", "orders", "notifications"])]),
    ("Basket", &[(SHOPPER, &["id", "customer", "status", "items", "total", "order"])]),
    (
        "BasketItem",
        &[
            (SHOPPER, &["product", "productName", "storeName", "price", "quantity"]),
            (SHOPPER, &["lineTotal"]),
        ],
    ),
    (
        "Order",
        &[
            (SHOPPER, &["id", "customer", "status", "items", "total", "payment", "invoice"]),
            (SHOPPER, &["shoppingList", "saga", "createdAt", "updatedAt", "timeline"]),
            (SHOPPER, &["rejectionReason", "cancellationReason"]),
        ],
    ),
    (
        "OrderItem",
        &[
            (SHOPPER, &["productId", "productName", "storeId", "storeName", "price"]),
            (SHOPPER, &["quantity", "lineTotal"]),
        ],
    ),
    (
        "OrderProgress",
        &[(SHOPPER, &["cursor", "at", "kind", "title", "status", "sagaStep", "order"])],
    ),
    ("OrderStatusCount", &[(SHOPPER, &["status", "count"])]),
    ("Payment", &[(SHOPPER, &["id", "customer", "amount", "status", "order"])]),
    ("Invoice", &[(SHOPPER, &["id", "order", "amount", "status"])]),
    (
        "Notification",
        &[(SHOPPER, &["id", "customer", "order", "kind", "text", "sentAt", "status"])],
    ),
    (
        "Saga",
        &[
            (SHOPPER, &["id", "name", "state", "order", "startedAt", "endedAt", "steps"]),
            (SHOPPER, &["refusal"]),
        ],
    ),
    (
        "SagaStep",
        &[
            (SHOPPER, &["name", "state", "attempts", "startedAt", "endedAt"]),
            (SHOPPER, &["nextAttemptAt", "reason"]),
        ],
    ),
    ("SagaProgress", &[(SHOPPER, &["cursor", "at", "state", "step", "saga"])]),
    // ---- what the depot works with
    (
        "ShoppingList",
        &[(LISTS, &["id", "status", "stops"]), (SHOPPER, &["order"]), (DEPOT, &["bot"])],
    ),
    ("Stop", &[(LISTS, &["store", "storeName", "location", "items"])]),
    ("StopItem", &[(LISTS, &["productId", "productName", "quantity", "picked"])]),
    ("Bot", &[(DEPOT, &["id", "name", "status", "shoppingList"])]),
    // ---- what operators work with
    ("Projection", &[(ADMIN, &["name", "position", "lag", "parked", "rebuilding", "rebuild"])]),
    (
        "Rebuild",
        &[
            (ADMIN, &["state", "done", "total", "attempts", "error", "requestedAt"]),
            (ADMIN, &["endedAt"]),
        ],
    ),
    (
        "DeadLetter",
        &[
            (ADMIN, &["id", "consumer", "key", "messageName", "payload", "reason", "attempts"]),
            (ADMIN, &["firstFailedAt", "blocked"]),
        ],
    ),
    (
        "LedgerEvent",
        &[
            (ADMIN, &["position", "stream", "version", "name", "at", "actor", "payload"]),
            (ADMIN, &["id", "kind", "causationId", "correlationId", "cause", "effects"]),
        ],
    ),
    ("Consumer", &[(ADMIN, &["name", "position", "lag"])]),
    ("Relay", &[(ADMIN, &["state", "reason", "position", "lag"])]),
    ("SagaStateCount", &[(ADMIN, &["state", "count"])]),
];

/// The endings of types that only carry what other rules are about: pages of
/// lists, and what mutations answer.
const CARRIERS: &[(&str, &[&str])] = &[
    ("Connection", &["edges", "nodes", "pageInfo", "totalCount"]),
    ("Edge", &["cursor", "node"]),
    (
        "Payload",
        &[
            "position",
            "clientMutationId",
            "basket",
            "bot",
            "customer",
            "deadLetterId",
            "invoice",
            "order",
            "orderId",
            "payment",
            "product",
            "projection",
            "saga",
            "shoppingList",
            "store",
        ],
    ),
];

/// Who may ask for a field, if there is a rule for it.
#[must_use]
pub fn rule(of: &str, field: &str) -> Option<Roles> {
    if let Some((_, rules)) = RULES.iter().find(|(name, _)| *name == of) {
        let rule = rules.iter().find(|(_, fields)| fields.contains(&field));
        return rule.map(|(roles, _)| *roles);
    }
    let carrier = CARRIERS.iter().find(|(ending, _)| of.ends_with(ending));
    carrier.and_then(|(_, fields)| fields.contains(&field).then_some(ALL))
}

/// What executing an operation takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// One of these roles each, and a field that wants it.
    roles: Vec<(Roles, String)>,
    /// Whether it asks what the schema is.
    schema: bool,
}

impl Needs {
    /// Whether somebody has it.
    pub(crate) fn met_by(&self, caller: &Caller) -> Result<(), ClientError> {
        let rights = caller.rights();
        if let Some((roles, field)) =
            self.roles.iter().find(|(roles, _)| !rights.roles.meets(*roles))
        {
            let message = format!("{field} is for {roles} only; the token has {}", rights.roles);
            return Err(ClientError::new(ErrorCode::Forbidden, message));
        }
        if self.schema && !rights.schema {
            let message = "to ask what the schema is takes a token with the scope \"schema\"";
            return Err(ClientError::new(ErrorCode::Forbidden, message));
        }
        Ok(())
    }
}

/// A schema's fields with their rules: who may ask for each, and of what type
/// it is.
#[derive(Debug)]
pub(crate) struct Rules(Fields<(Roles, Name)>);

impl Rules {
    /// Reads the schema's definition.
    pub(crate) fn of(schema: &ServiceDocument) -> Self {
        Self(Fields::of(schema, |of, field| {
            let roles = rule(of, &field.name.node).unwrap_or(ADMIN);
            (roles, base_name(&field.ty.node.base).clone())
        }))
    }

    /// What each operation of a document takes. Each selection is looked at
    /// once for each operation. What the schema does not know takes nothing:
    /// validation will refuse it.
    pub(crate) fn needs(&self, document: &ExecutableDocument) -> Vec<(Option<Name>, Needs)> {
        match &document.operations {
            DocumentOperations::Single(operation) => {
                vec![(None, self.of_operation(&operation.node, document))]
            }
            DocumentOperations::Multiple(operations) => operations
                .iter()
                .map(|(name, operation)| {
                    (Some(name.clone()), self.of_operation(&operation.node, document))
                })
                .collect(),
        }
    }

    fn of_operation(
        &self,
        operation: &OperationDefinition,
        document: &ExecutableDocument,
    ) -> Needs {
        let mut needs = Needs::default();
        let Some(root) = self.0.root(operation.ty) else { return needs };
        let mut seen = HashSet::new();
        let mut waiting: Vec<(&Name, &SelectionSet)> = vec![(root, &operation.selection_set.node)];
        while let Some((of, set)) = waiting.pop() {
            for selection in &set.items {
                match &selection.node {
                    Selection::Field(field) => {
                        let name = &field.node.name.node;
                        if matches!(name.as_str(), "__schema" | "__type" | "_service") {
                            needs.schema = true;
                        }
                        let known = self.0.get(of, name);
                        if let Some((roles, ty)) = known {
                            if !needs.roles.iter().any(|(known, _)| known == roles) {
                                needs.roles.push((*roles, format!("{of}.{name}")));
                            }
                            waiting.push((ty, &field.node.selection_set.node));
                        }
                    }
                    Selection::FragmentSpread(spread) => {
                        let name = &spread.node.fragment_name.node;
                        if seen.insert(name)
                            && let Some(fragment) = document.fragments.get(name)
                        {
                            let of = &fragment.node.type_condition.node.on.node;
                            waiting.push((of, &fragment.node.selection_set.node));
                        }
                    }
                    Selection::InlineFragment(fragment) => {
                        let condition = fragment.node.type_condition.as_ref();
                        let of = condition.map_or(of, |condition| &condition.node.on.node);
                        waiting.push((of, &fragment.node.selection_set.node));
                    }
                }
            }
        }
        needs
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::{parse_query, parse_schema};

    use super::*;
    use crate::{auth::Rights, startup};

    fn rules() -> Rules {
        Rules::of(&parse_schema(startup::sdl()).unwrap())
    }

    fn caller(roles: &[Role], schema: bool) -> Caller {
        Caller::new("x", Rights { roles: Roles::of(roles), schema, ..Rights::default() }, None)
    }

    fn needs(document: &str) -> Needs {
        rules().needs(&parse_query(document).unwrap()).remove(0).1
    }

    fn allowed(document: &str, roles: &[Role]) -> bool {
        needs(document).met_by(&caller(roles, false)).is_ok()
    }

    #[test]
    fn every_field_has_a_rule_and_every_rule_a_field() {
        let rules = rules();
        let names = rules.0.names().filter(|(of, field)| rule(of, field).is_none());
        let mut without: Vec<_> = names.map(|(of, field)| format!("{of}.{field}")).collect();
        without.sort();
        assert!(without.is_empty(), "give these a rule in auth/rules.rs: {without:#?}");

        for (of, ruled) in RULES {
            for field in ruled.iter().flat_map(|(_, fields)| *fields) {
                let named = ruled.iter().flat_map(|(_, fields)| *fields).filter(|f| *f == field);
                assert_eq!(named.count(), 1, "{of}.{field} has several rules");
                let is_known = rules.0.get(of, field).is_some();
                assert!(is_known, "{of}.{field} has a rule but is not there");
            }
        }
    }

    #[test]
    fn a_role_reaches_what_is_its_own_and_nothing_beyond_on_any_way() {
        let list = r#"{ shoppingList(id: "x") { id bot { name } } }"#;
        assert!(allowed(list, &[Role::Depot]));
        assert!(!allowed(list, &[Role::Customer]));
        assert!(allowed(list, &[Role::Customer, Role::Depot]));

        for hidden in [
            "{ node(id: 1) { ... on ShoppingList { order { id } } } }",
            "{ node(id: 1) { ...L } } fragment L on ShoppingList { ...M } \
             fragment M on ShoppingList { order { id } }",
            "{ ... { ... on Query { orders { nodes { id } } } } }",
            "mutation { assignShoppingList(input: {}) { shoppingList { order { id } } } }",
            "subscription { shoppingListsChanged { order { id } } }",
            "query A($never: Boolean!) { orders @skip(if: $never) { pageInfo { endCursor } } }",
        ] {
            assert!(!allowed(hidden, &[Role::Depot]), "{hidden}");
            assert!(allowed(hidden, &[Role::Admin]), "{hidden}");
        }
    }

    #[test]
    fn nobody_without_a_role_reaches_anything() {
        assert!(!allowed("{ stores { nodes { id } } }", &[]));
        assert!(allowed("{ __typename }", &[]));
    }

    #[test]
    fn each_operation_is_judged_by_itself() {
        let document = "query A { stores { nodes { id } } } query B { customers { nodes { id } } }";
        let needs = rules().needs(&parse_query(document).unwrap());
        let customer = caller(&[Role::Customer], false);
        for (name, needs) in needs {
            assert_eq!(needs.met_by(&customer).is_ok(), name.unwrap() == "A");
        }
    }

    #[test]
    fn the_schema_is_told_to_those_with_its_scope() {
        for document in [
            "{ __schema { types { name } } }",
            "{ ...F } fragment F on Query { __type(name: \"Order\") { name } }",
            "{ _service { sdl } }",
        ] {
            let needs = needs(document);
            assert!(needs.met_by(&caller(&[Role::Admin], true)).is_ok(), "{document}");
            assert!(needs.met_by(&caller(&[Role::Admin], false)).is_err(), "{document}");
        }
    }
}
