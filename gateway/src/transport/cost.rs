//! What an operation costs: each field one, and what is on a page as often as
//! the page may be long.
//!
//! A list that is not paged counts once: how long it gets is the domain's to
//! bound. Where the client itself says of which things it wants a list, each
//! of them counts.

use std::{collections::HashMap, convert::Infallible};

use async_graphql::{
    Name, Value, Variables,
    parser::types::{
        BaseType, ExecutableDocument, Field, FieldDefinition, OperationDefinition, Selection,
        SelectionSet, ServiceDocument,
    },
};

use super::fields::{Fields, base_name};

/// How many there are on a page when nobody says.
const DEFAULT_PAGE: u64 = 20;
/// The longest page: who asks for more is refused by the list itself.
const LONGEST_PAGE: u64 = 100;

/// What a schema's fields are, as far as their cost goes.
#[derive(Debug)]
pub(super) struct Costs(Fields<FieldShape>);

#[derive(Debug)]
struct FieldShape {
    /// What it is, or its items are.
    of: Name,
    /// Whether its arguments say how much of it is wanted.
    is_paged: bool,
    is_list: bool,
}

impl FieldShape {
    fn of(field: &FieldDefinition) -> Self {
        let base = &field.ty.node.base;
        let names = field.arguments.iter().map(|argument| argument.node.name.node.as_str());
        Self {
            of: base_name(base).clone(),
            is_paged: names.into_iter().any(is_page_size),
            is_list: matches!(base, BaseType::List(_)),
        }
    }
}

fn is_page_size(argument: &str) -> bool {
    matches!(argument, "first" | "last")
}

/// What an operation costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    /// How much. Saturates: past the limit the exact number no longer matters.
    pub(super) total: u64,
    /// Whether that depends on variables.
    pub(super) varies: bool,
}

impl Costs {
    /// Reads them from the schema's definition.
    pub(super) fn of(schema: &ServiceDocument) -> Self {
        Self(Fields::of(schema, |_, field| FieldShape::of(field)))
    }

    /// What an operation costs with these variables. For documents that have
    /// passed the guard: fragments in a circle would never end.
    pub(super) fn of_operation(
        &self,
        operation: &OperationDefinition,
        document: &ExecutableDocument,
        variables: &Variables,
    ) -> Cost {
        let root = self.0.root(operation.ty);
        let mut counting =
            Counting { costs: self, document, variables, fragments: HashMap::new(), varies: false };
        let total = counting.selections(&operation.selection_set.node, root);
        Cost { total, varies: counting.varies }
    }
}

struct Counting<'a> {
    costs: &'a Costs,
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    /// What fragments come to, each looked at once.
    fragments: HashMap<&'a Name, u64>,
    varies: bool,
}

impl<'a> Counting<'a> {
    fn selections(&mut self, set: &'a SelectionSet, ty: Option<&'a Name>) -> u64 {
        set.items.iter().fold(0u64, |sum, selection| {
            sum.saturating_add(match &selection.node {
                Selection::Field(field) => self.field(&field.node, ty),
                Selection::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref();
                    let ty = condition.map(|condition| &condition.node.on.node).or(ty);
                    self.selections(&inline.node.selection_set.node, ty)
                }
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node),
            })
        })
    }

    fn fragment(&mut self, name: &'a Name) -> u64 {
        if let Some(cost) = self.fragments.get(name) {
            return *cost;
        }
        // One that is not there is the validation's to report.
        let Some(fragment) = self.document.fragments.get(name) else { return 0 };
        let ty = &fragment.node.type_condition.node.on.node;
        let cost = self.selections(&fragment.node.selection_set.node, Some(ty));
        self.fragments.insert(name, cost);
        cost
    }

    fn field(&mut self, field: &'a Field, ty: Option<&'a Name>) -> u64 {
        let costs = self.costs;
        let shape = ty.and_then(|ty| costs.0.get(ty, &field.name.node));
        let one = self.selections(&field.selection_set.node, shape.map(|shape| &shape.of));
        let count = shape.map_or(1, |shape| self.count(shape, field));
        one.saturating_mul(count).saturating_add(1)
    }

    /// How many there may be of what the field holds.
    fn count(&mut self, shape: &FieldShape, field: &Field) -> u64 {
        if shape.is_paged {
            let asked = self.arguments(field, is_page_size).into_iter();
            let counts = asked.filter_map(|value| {
                let Value::Number(number) = value else { return None };
                number.as_u64()
            });
            counts.max().unwrap_or(DEFAULT_PAGE).min(LONGEST_PAGE)
        } else if shape.is_list {
            let given = self.arguments(field, |_| true).into_iter();
            let lengths = given.filter_map(|value| {
                let Value::List(items) = value else { return None };
                Some(items.len() as u64)
            });
            lengths.max().unwrap_or(1).max(1)
        } else {
            1
        }
    }

    /// Some of a field's arguments, with the variables put in.
    fn arguments(&mut self, field: &Field, which: impl Fn(&str) -> bool) -> Vec<Value> {
        let chosen = field.arguments.iter().filter(|(name, _)| which(&name.node));
        let values = chosen.map(|(_, value)| {
            let Ok(value) = value.node.clone().into_const_with(|name| {
                self.varies = true;
                Ok::<_, Infallible>(self.variables.get(&name).cloned().unwrap_or_default())
            });
            value
        });
        values.collect()
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{
        parser::{parse_query, parse_schema},
        value,
    };

    use super::*;

    const SDL: &str = "
        schema { query: Query }
        type Query { orders(first: Int, last: Int): Orders! nodes(ids: [ID!]!): [Node]! now: Int! }
        type Orders { edges: [Edge!]! }
        type Edge { node: Order! }
        interface Node { id: ID! }
        type Order implements Node { id: ID! items: [Item!]! orders(first: Int): Orders! }
        type Item { name: String! }
    ";

    fn cost(text: &str, variables: Value) -> Cost {
        let document = parse_query(text).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        let costs = Costs::of(&parse_schema(SDL).unwrap());
        costs.of_operation(&operation.node, &document, &Variables::from_value(variables))
    }

    #[test]
    fn a_page_costs_what_is_on_it_for_each_item_it_may_have() {
        for (text, total) in [
            ("{ now }", 1),
            ("{ a: now b: now __typename }", 3),
            ("{ orders { edges { node { id } } } }", 1 + 20 * 3),
            ("{ orders(first: 100) { edges { node { id } } } }", 1 + 100 * 3),
            ("{ orders(last: 7) { edges { node { id } } } }", 1 + 7 * 3),
            // The list itself refuses these.
            ("{ orders(first: 1000000) { edges { node { id } } } }", 1 + 100 * 3),
            ("{ orders(first: -5) { edges { node { id } } } }", 1 + 20 * 3),
            ("{ orders(first: null) { edges { node { id } } } }", 1 + 20 * 3),
            // Lists that are not paged count once.
            ("{ orders(first: 1) { edges { node { items { name } } } } }", 1 + 4),
            ("{ nodes(ids: [1, 2, 3]) { id } }", 1 + 3),
            ("{ nodes(ids: []) { id } }", 1 + 1),
            ("{ nowhere { id } __schema { types { name } } }", 2 + 3),
        ] {
            assert_eq!(cost(text, value!({})), Cost { total, varies: false }, "{text}");
        }
    }

    #[test]
    fn pages_within_pages_multiply_however_they_are_written() {
        let plain = "{ orders(first: 100) { edges { node { orders(first: 50) { edges { node { id } } } } } } }";
        let spread = "{ ...q } fragment q on Query { orders(first: 100) { edges { ...e } } } \
             fragment e on Edge { ... { node { ... on Node { ...o } } } } \
             fragment o on Order { orders(first: 50) { edges { node { id } } } }";
        let total = 1 + 100 * (1 + 1 + 1 + 50 * 3);
        assert_eq!(cost(plain, value!({})).total, total);
        assert_eq!(cost(spread, value!({})).total, total);
    }

    #[test]
    fn page_sizes_may_come_as_variables() {
        let text = "query($n: Int, $ids: [ID!]!) { \
             orders(first: $n) { edges { node { id } } } nodes(ids: $ids) { id } }";
        let variables = value!({ "n": 10, "ids": ["a", "b"] });
        assert_eq!(cost(text, variables), Cost { total: 1 + 30 + 1 + 2, varies: true });
        let within = "query($id: ID!) { nodes(ids: [$id, $id]) { id } }";
        assert_eq!(cost(within, value!({ "id": "a" })), Cost { total: 3, varies: true });
    }

    #[test]
    fn a_cost_beyond_all_numbers_is_still_a_cost() {
        let page = |n: usize| {
            let within = "orders(first: 100) { edges { node {";
            format!("fragment f{n} on Order {{ {within} ...f{} }} }} }} }}", n + 1)
        };
        let chain = (0..12).map(page).collect::<Vec<_>>().join(" ");
        let text = format!(
            "{{ nodes(ids: [1]) {{ ... on Order {{ ...f0 }} }} }} {chain} \
             fragment f12 on Order {{ id }}"
        );
        assert_eq!(cost(&text, value!({})).total, u64::MAX);
    }

    #[test]
    fn a_fragment_is_looked_at_once_however_often_it_is_spread() {
        let fragments = (0..60)
            .map(|n| format!("fragment f{n} on Query {{ ...f{0} ...f{0} }}", n + 1))
            .collect::<Vec<_>>()
            .join(" ");
        let text = format!("{{ ...f0 }} {fragments} fragment f60 on Query {{ now }}");
        // Written out it would not end before the sun does.
        assert_eq!(cost(&text, value!({})).total, 1 << 60);
    }
}
