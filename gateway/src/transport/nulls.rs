//! Nulls where the executor leaves holes.
//!
//! When a field fails, the specification (section 6.4.4) wants null in its
//! place, and where null cannot stand, in the place of what holds it.
//! async-graphql 7.2 leaves the field out instead: clients' caches then miss a
//! field they asked for, and typed clients find nothing where something must
//! be. Answers without errors never come here.

use std::collections::HashMap;

use async_graphql::{
    Name, PathSegment, ServerError, Value,
    parser::types::{
        BaseType, ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet,
        ServiceDocument, Type,
    },
    value,
};

use super::fields::{Fields, base_name};

/// What a schema's fields are, as far as nulls go.
#[derive(Debug)]
pub(super) struct OutputTypes(Fields<Type>);

impl OutputTypes {
    /// Reads them from the schema's definition.
    pub(super) fn of(schema: &ServiceDocument) -> Self {
        Self(Fields::of(schema, |_, field| field.ty.node.clone()))
    }

    /// Puts null wherever an error says a field is missing, and carries it
    /// outwards past everything that cannot be null.
    pub(super) fn fill(
        &self,
        data: &mut Value,
        errors: &[ServerError],
        operation: &OperationDefinition,
        document: &ExecutableDocument,
    ) {
        let Some(root) = self.0.root(operation.ty) else { return };
        let walk = Walk { types: self, document, operation, root };

        // First all holes, then all nulls: an object whose every field failed
        // is missing itself, and must not come back once it was given up.
        let paths = || errors.iter().map(|error| &error.path[..]).filter(|path| !path.is_empty());
        for path in paths() {
            fill_hole(data, path);
        }
        // Items of one list fail alike: each way is looked up once.
        let mut known: HashMap<Vec<Option<&str>>, Vec<bool>> = HashMap::new();
        for path in paths() {
            let way = path.iter().map(key_of).collect::<Vec<_>>();
            let nullable = known.entry(way).or_insert_with_key(|way| walk.nullable(way));
            carry_outwards(data, path, nullable);
        }
    }
}

fn key_of(segment: &PathSegment) -> Option<&str> {
    match segment {
        PathSegment::Field(name) => Some(name),
        PathSegment::Index(_) => None,
    }
}

/// Makes sure that there is something at the path, if only null.
fn fill_hole(value: &mut Value, path: &[PathSegment]) {
    let Some((segment, rest)) = path.split_first() else { return };
    match segment {
        PathSegment::Field(name) => {
            if *value == Value::Null {
                *value = value!({});
            }
            if let Value::Object(fields) = value {
                fill_hole(fields.entry(Name::new(name)).or_insert(Value::Null), rest);
            }
        }
        PathSegment::Index(index) => {
            if let Value::List(items) = value
                && let Some(item) = items.get_mut(*index)
            {
                fill_hole(item, rest);
            }
        }
    }
}

/// Gives up whatever holds a null that cannot stand where it is.
fn carry_outwards(value: &mut Value, path: &[PathSegment], nullable: &[bool]) {
    let (Some((segment, rest)), Some((nullable, further))) =
        (path.split_first(), nullable.split_first())
    else {
        return;
    };
    let part = match (&mut *value, segment) {
        (Value::Object(fields), PathSegment::Field(name)) => fields.get_mut(name.as_str()),
        (Value::List(items), PathSegment::Index(index)) => items.get_mut(*index),
        _ => None,
    };
    let Some(part) = part else { return };
    carry_outwards(part, rest, further);
    if *part == Value::Null && !nullable {
        *value = Value::Null;
    }
}

/// Finds out what stands along a path.
struct Walk<'a> {
    types: &'a OutputTypes,
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    root: &'a Name,
}

impl<'a> Walk<'a> {
    /// Whether null can stand at each step of a path, whose steps into lists
    /// are `None`. What is not known is taken to be nullable.
    fn nullable(&self, way: &[Option<&str>]) -> Vec<bool> {
        let mut within = vec![(self.root, &self.operation.selection_set.node)];
        let mut ty: Option<&Type> = None;
        let mut nullable = Vec::with_capacity(way.len());
        for step in way {
            ty = match (step, ty.map(|ty| &ty.base)) {
                (None, Some(BaseType::List(item))) => Some(item),
                (None, _) => None,
                (Some(key), _) => {
                    let mut found = Vec::new();
                    for (parent, selections) in &within {
                        self.find(parent, selections, key, &mut found);
                    }
                    let ty = found
                        .iter()
                        .find_map(|(parent, field)| self.types.0.get(parent, &field.name.node));
                    let holds = ty.map(|ty| base_name(&ty.base));
                    within = found
                        .into_iter()
                        .filter_map(|(_, field)| Some((holds?, &field.selection_set.node)))
                        .collect();
                    ty
                }
            };
            nullable.push(ty.is_none_or(|ty| ty.nullable));
        }
        nullable
    }

    /// Collects the fields answered under a key, each with the type it is asked of.
    fn find(
        &self,
        parent: &'a Name,
        selections: &'a SelectionSet,
        key: &str,
        found: &mut Vec<(&'a Name, &'a Field)>,
    ) {
        for selection in &selections.items {
            match &selection.node {
                Selection::Field(field) if field.node.response_key().node == *key => {
                    found.push((parent, &field.node));
                }
                Selection::Field(_) => {}
                Selection::InlineFragment(inline) => {
                    let on = inline.node.type_condition.as_ref();
                    let parent = on.map_or(parent, |on| &on.node.on.node);
                    self.find(parent, &inline.node.selection_set.node, key, found);
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if let Some(fragment) = self.document.fragments.get(name) {
                        let parent = &fragment.node.type_condition.node.on.node;
                        self.find(parent, &fragment.node.selection_set.node, key, found);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::{parse_query, parse_schema};

    use super::*;

    const SDL: &str = "
        type Query { a: Int b: Int! maybe: Thing must: Thing! many: [Thing!]! some: [Thing] any: Any }
        interface Any { a: Int b: Int! }
        type Thing implements Any { a: Int b: Int! must: Thing! maybe: Thing grid: [[Thing!]] }
        type Ticks { tick: Int! }
        schema { query: Query subscription: Ticks }
    ";

    fn filled(query: &str, mut data: Value, paths: &[&str]) -> Value {
        let segment = |segment: &str| match segment.parse() {
            Ok(index) => PathSegment::Index(index),
            Err(_) => PathSegment::Field(segment.to_owned()),
        };
        let errors: Vec<_> = paths
            .iter()
            .map(|path| {
                ServerError::new("no", None).with_path(path.split('.').map(segment).collect())
            })
            .collect();
        let document = parse_query(query).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        let types = OutputTypes::of(&parse_schema(SDL).unwrap());
        types.fill(&mut data, &errors, &operation.node, &document);
        data
    }

    #[test]
    fn a_field_that_may_be_null_is() {
        assert_eq!(filled("{ b a }", value!({ "b": 1 }), &["a"]), value!({ "b": 1, "a": null }));
        assert_eq!(filled("{ a }", Value::Null, &["a"]), value!({ "a": null }));
        assert_eq!(
            filled("{ x: maybe { y: a b } }", value!({ "x": { "b": 1 } }), &["x.y"]),
            value!({ "x": { "b": 1, "y": null } })
        );
    }

    #[test]
    fn a_field_that_cannot_be_null_takes_along_what_holds_it() {
        assert_eq!(filled("{ a b }", value!({ "a": 1 }), &["b"]), Value::Null);
        assert_eq!(
            filled("{ a maybe { a b } }", value!({ "a": 1, "maybe": { "a": 1 } }), &["maybe.b"]),
            value!({ "a": 1, "maybe": null })
        );
        assert_eq!(
            filled(
                "{ maybe { must { must { b } } } }",
                value!({ "maybe": { "must": { "must": null } } }),
                &["maybe.must.must.b"]
            ),
            value!({ "maybe": null })
        );
        assert_eq!(filled("{ must { b } }", value!({ "must": null }), &["must.b"]), Value::Null);
    }

    #[test]
    fn lists_lose_an_item_or_all_of_them() {
        let two = value!([{ "a": 1 }, { "a": 1, "b": 2 }]);
        assert_eq!(
            filled("{ some { a b } }", value!({ "some": (two.clone()) }), &["some.0.b"]),
            value!({ "some": [null, { "a": 1, "b": 2 }] })
        );
        assert_eq!(
            filled("{ many { a b } }", value!({ "many": (two) }), &["many.0.b"]),
            Value::Null
        );
        assert_eq!(
            filled(
                "{ maybe { grid { b } } }",
                value!({ "maybe": { "grid": [[{ "b": 1 }], [null]] } }),
                &["maybe.grid.1.0.b"]
            ),
            value!({ "maybe": { "grid": [[{ "b": 1 }], null] } })
        );
    }

    #[test]
    fn what_was_given_up_does_not_come_back() {
        for paths in [["maybe.a", "maybe.b"], ["maybe.b", "maybe.a"]] {
            assert_eq!(
                filled("{ maybe { a b } }", value!({ "maybe": null }), &paths),
                value!({ "maybe": null })
            );
        }
    }

    #[test]
    fn fields_are_found_through_fragments_and_interfaces() {
        let query = "{ any { ...f ... on Thing { y: maybe { b } } } } fragment f on Any { x: b }";
        assert_eq!(
            filled(query, value!({ "any": { "y": { "b": 1 } } }), &["any.x"]),
            value!({ "any": null })
        );
        assert_eq!(
            filled(query, value!({ "any": { "x": 1, "y": {} } }), &["any.y.b"]),
            value!({ "any": { "x": 1, "y": null } })
        );
    }

    #[test]
    fn an_item_of_a_subscription_that_failed_is_null() {
        assert_eq!(filled("subscription { tick }", Value::Null, &["tick"]), Value::Null);
    }

    #[test]
    fn what_is_there_stays_and_what_is_unknown_may_be_null() {
        assert_eq!(filled("{ a }", value!({ "a": 1 }), &["a"]), value!({ "a": 1 }));
        assert_eq!(filled("{ what }", Value::Null, &["what"]), value!({ "what": null }));
        assert_eq!(
            filled("{ many { a } }", value!({ "many": [] }), &["many.7.b"]),
            value!({ "many": [] })
        );
    }
}
