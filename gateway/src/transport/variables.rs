//! Which variables a validated document may be executed with without
//! validating it again.
//!
//! The strict schema checks variables' values against their types; the fast
//! one leaves that to the executor, which notices later, says it differently,
//! or ignores what it does not know. So only values that plainly fit go the
//! fast way, and everything else gets the strict schema's judgment.

use std::{
    collections::{HashMap, HashSet},
    fmt::Display,
};

use async_graphql::{
    Name, Positioned, Value, Variables,
    parser::types::{
        BaseType, Directive, ExecutableDocument, OperationDefinition, Selection, SelectionSet,
        ServiceDocument, Type, TypeKind, TypeSystemDefinition,
    },
};

use crate::error::{ClientError, ErrorCode};

/// The input types of a schema, as far as they matter for this.
#[derive(Debug)]
pub(super) struct InputTypes {
    enums: HashMap<String, HashSet<Name>>,
    scalars: HashSet<String>,
}

impl InputTypes {
    /// Reads them from the schema's definition.
    pub(super) fn of(schema: &ServiceDocument) -> Self {
        let mut types = Self { enums: HashMap::new(), scalars: HashSet::new() };
        for definition in &schema.definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let name = definition.node.name.node.to_string();
            match &definition.node.kind {
                TypeKind::Scalar => {
                    types.scalars.insert(name);
                }
                TypeKind::Enum(values) => {
                    let values = values.values.iter().map(|value| value.node.value.node.clone());
                    types.enums.insert(name, values.collect());
                }
                TypeKind::Object(_)
                | TypeKind::Interface(_)
                | TypeKind::Union(_)
                | TypeKind::InputObject(_) => {}
            }
        }
        types
    }

    /// Whether each value plainly fits its type. For a document that nowhere
    /// [nests](nests_variables) variables: only where a variable is the whole
    /// argument does validation see that the types of both agree.
    pub(super) fn fit(&self, operation: &OperationDefinition, variables: &Variables) -> bool {
        operation.variable_definitions.iter().all(|definition| {
            let definition = &definition.node;
            let ty = &definition.var_type.node;
            match variables.get(&definition.name.node) {
                // Given in spite of a default: it may stand where null cannot.
                Some(Value::Null) => ty.nullable && definition.default_value.is_none(),
                Some(value) => self.fits(ty, value),
                None => ty.nullable,
            }
        })
    }

    fn fits(&self, ty: &Type, value: &Value) -> bool {
        match (&ty.base, value) {
            (_, Value::Null) => ty.nullable,
            (BaseType::List(item), Value::List(values)) => {
                values.iter().all(|value| self.fits(item, value))
            }
            // One value for a list of one: allowed, but not plain.
            (BaseType::List(_), _) => false,
            (BaseType::Named(name), value) => match (name.as_str(), value) {
                // What is in `_Any` only its resolver reads.
                ("Boolean", Value::Boolean(_))
                | ("String" | "ID", Value::String(_))
                | ("Float", Value::Number(_))
                | ("_Any", Value::Object(_)) => true,
                ("Int", Value::Number(number)) => {
                    number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
                }
                (name, Value::String(text)) => {
                    self.scalars.contains(name)
                        || self.enums.get(name).is_some_and(|values| values.contains(text.as_str()))
                }
                (name, Value::Enum(value)) => {
                    self.enums.get(name).is_some_and(|values| values.contains(value))
                }
                _ => false,
            },
        }
    }
}

/// Whether a variable stands within a list or an object somewhere, where
/// validation does not compare its type with what is expected.
pub(super) fn nests_variables(document: &ExecutableDocument) -> bool {
    let operations = document.operations.iter().map(|(_, operation)| &operation.node);
    let fragments = document.fragments.values().map(|fragment| &fragment.node);
    operations.clone().any(|operation| in_directives(&operation.directives))
        || operations.into_iter().any(|operation| in_selections(&operation.selection_set.node))
        || fragments.clone().any(|fragment| in_directives(&fragment.directives))
        || fragments.into_iter().any(|fragment| in_selections(&fragment.selection_set.node))
}

fn in_selections(selections: &SelectionSet) -> bool {
    selections.items.iter().any(|selection| {
        let within = match &selection.node {
            Selection::Field(field) => {
                let mut arguments = field.node.arguments.iter();
                arguments.any(|(_, value)| {
                    value.node.clone().into_const().is_none() && !is_variable(&value.node)
                }) || in_selections(&field.node.selection_set.node)
            }
            Selection::InlineFragment(inline) => in_selections(&inline.node.selection_set.node),
            Selection::FragmentSpread(_) => false,
        };
        within || in_directives(selection.node.directives())
    })
}

fn in_directives(directives: &[Positioned<Directive>]) -> bool {
    directives
        .iter()
        .flat_map(|directive| &directive.node.arguments)
        .any(|(_, value)| value.node.clone().into_const().is_none() && !is_variable(&value.node))
}

/// Whether a literal is a variable and nothing else. Told by its text, for
/// async-graphql does not let others name the type.
fn is_variable(literal: &impl Display) -> bool {
    literal.to_string().starts_with('$')
}

/// Fills in the defaults, and refuses to go on without what is required.
///
/// The executor does the first for arguments but not for `@include` and
/// `@skip`, and the second not at all before it starts.
pub(super) fn complete(
    operation: &OperationDefinition,
    variables: &mut Variables,
) -> Result<(), ClientError> {
    for definition in &operation.variable_definitions {
        let definition = &definition.node;
        let name = &definition.name.node;
        match (variables.get(name), &definition.default_value) {
            (None, Some(default)) => {
                variables.insert(name.clone(), default.node.clone());
            }
            (None | Some(Value::Null), _) if !definition.var_type.node.nullable => {
                return Err(ClientError::new(
                    ErrorCode::BadUserInput,
                    format!(
                        "the variable \"${name}\" of type \"{}\" is required",
                        definition.var_type.node
                    ),
                )
                .on_field(name.as_str()));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use async_graphql::{
        parser::{parse_query, parse_schema},
        value,
    };

    use super::*;

    const SDL: &str = r#"
        "A place in the ledger."
        scalar Position
        enum Status { OPEN CLOSED }
        input Filter { text: String }
        type Query { a(filter: Filter, status: [Status!], at: Position): Int! }
        directive @include(if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT
    "#;

    fn operation(definitions: &str) -> OperationDefinition {
        let document = parse_query(format!("query({definitions}) {{ a }}")).unwrap();
        document.operations.iter().next().unwrap().1.node.clone()
    }

    fn types() -> InputTypes {
        InputTypes::of(&parse_schema(SDL).unwrap())
    }

    fn fits(ty: &str, value: &Value) -> bool {
        let variables = Variables::from_value(value!({ "v": (value.clone()) }));
        types().fit(&operation(&format!("$v: {ty}")), &variables)
    }

    #[test]
    fn what_plainly_fits_needs_no_second_look() {
        for (ty, value) in [
            ("Int", value!(1)),
            ("Int!", value!(-1)),
            ("Int", Value::Null),
            ("Float", value!(1)),
            ("String", value!("a")),
            ("ID!", value!("a")),
            ("Boolean", value!(true)),
            ("Status", value!("OPEN")),
            ("[Status!]", value!(["OPEN", "CLOSED"])),
            ("[[Int]]", value!([[1, null], null])),
            ("Position", value!("12")),
        ] {
            assert!(fits(ty, &value), "{ty} {value}");
        }
    }

    #[test]
    fn everything_else_does() {
        for (ty, value) in [
            ("Int", value!("1")),
            ("Int", value!(2_147_483_648_i64)),
            ("Int", value!(1.5)),
            ("Int!", Value::Null),
            ("String", value!(1)),
            ("Boolean", value!("true")),
            ("Status", value!("ajar")),
            ("Status", value!(1)),
            ("[Status!]", value!(["OPEN", null])),
            ("[Status!]", value!("OPEN")),
            ("Filter", value!({ "text": "a" })),
            ("Filter", value!({ "no": "such" })),
            ("Position", value!(12)),
            ("Nowhere", value!("a")),
        ] {
            assert!(!fits(ty, &value), "{ty} {value}");
        }
        let none = Variables::default();
        let types = types();
        assert!(types.fit(&operation("$v: Int"), &none));
        assert!(!types.fit(&operation("$v: Int!"), &none));
    }

    #[test]
    fn a_variable_within_a_literal_is_found_wherever_it_stands() {
        for (text, nests) in [
            ("query($v: Int) { a(b: $v) @d(e: $v) { c(b: [1, {d: 2}]) } }", false),
            ("query($v: Int) { a { b(c: [$v]) } }", true),
            ("query($v: Int) { a(b: { c: [{ d: $v }] }) }", true),
            ("query($v: Int) { a @d(e: [$v]) }", true),
            ("query($v: Int) @d(e: [$v]) { a }", true),
            ("query($v: Int) { ...f } fragment f on T { ... { a(b: [$v]) } }", true),
            ("query($v: Int) { ...f } fragment f on T @d(e: [$v]) { a }", true),
            ("query($v: Int) { ...f @d(e: [$v]) } fragment f on T { a }", true),
        ] {
            assert_eq!(nests_variables(&parse_query(text).unwrap()), nests, "{text}");
        }
    }

    #[test]
    fn null_in_spite_of_a_default_is_looked_at_twice() {
        let null = Variables::from_value(value!({ "v": null }));
        let types = types();
        assert!(types.fit(&operation("$v: Int"), &null));
        assert!(!types.fit(&operation("$v: Int = 1"), &null));
    }

    #[test]
    fn defaults_are_filled_in_and_given_values_stay() {
        let operation = operation("$a: Int! = 1, $b: Boolean = true, $c: Int");
        let mut variables = Variables::from_value(value!({ "b": false }));
        complete(&operation, &mut variables).unwrap();
        assert_eq!(variables.into_value(), value!({ "a": 1, "b": false }));
    }

    #[test]
    fn a_required_variable_must_be_there() {
        for given in [value!({}), value!({ "a": null })] {
            let mut variables = Variables::from_value(given);
            let error = complete(&operation("$a: [ID!]!"), &mut variables).unwrap_err();
            assert_eq!(error.code, ErrorCode::BadUserInput);
            assert_eq!(error.field.as_deref(), Some("a"));
            assert_eq!(error.message, "the variable \"$a\" of type \"[ID!]!\" is required");
        }
    }
}
