//! Which variables a validated document may be executed with without
//! validating it again.
//!
//! The strict schema checks variables' values against their types; the fast
//! one leaves that to the executor, which notices later, says it differently,
//! or ignores what it does not know. So only values that plainly fit go the
//! fast way, and everything else gets the strict schema's judgment.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Name, Value, Variables,
    parser::{
        self, parse_schema,
        types::{BaseType, OperationDefinition, Type, TypeKind, TypeSystemDefinition},
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
    pub(super) fn of(sdl: &str) -> Result<Self, parser::Error> {
        let mut types = Self { enums: HashMap::new(), scalars: HashSet::new() };
        for definition in parse_schema(sdl)?.definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let name = definition.node.name.node.to_string();
            match definition.node.kind {
                TypeKind::Scalar => {
                    types.scalars.insert(name);
                }
                TypeKind::Enum(values) => {
                    let values = values.values.into_iter().map(|value| value.node.value.node);
                    types.enums.insert(name, values.collect());
                }
                TypeKind::Object(_)
                | TypeKind::Interface(_)
                | TypeKind::Union(_)
                | TypeKind::InputObject(_) => {}
            }
        }
        Ok(types)
    }

    /// Whether each value plainly fits its type.
    pub(super) fn fit(&self, operation: &OperationDefinition, variables: &Variables) -> bool {
        operation.variable_definitions.iter().all(|definition| {
            let definition = &definition.node;
            match variables.get(&definition.name.node) {
                Some(value) => self.fits(&definition.var_type.node, value),
                None => definition.var_type.node.nullable,
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
                ("Boolean", Value::Boolean(_))
                | ("String" | "ID", Value::String(_))
                | ("Float", Value::Number(_)) => true,
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
    use async_graphql::{parser::parse_query, value};

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

    fn fits(ty: &str, value: &Value) -> bool {
        let variables = Variables::from_value(value!({ "v": (value.clone()) }));
        InputTypes::of(SDL).unwrap().fit(&operation(&format!("$v: {ty}")), &variables)
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
        let types = InputTypes::of(SDL).unwrap();
        assert!(types.fit(&operation("$v: Int"), &none));
        assert!(!types.fit(&operation("$v: Int!"), &none));
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
