//! The schema as clients have it: printed, described, and with everything
//! they were promised.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use async_graphql::{
    Positioned,
    parser::{
        parse_schema,
        types::{
            FieldDefinition, InputValueDefinition, Type, TypeDefinition, TypeKind,
            TypeSystemDefinition,
        },
    },
};

/// The schema that the binary prints.
fn printed() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_mallbots")).arg("schema").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The types of a schema, by name.
fn types(sdl: &str) -> BTreeMap<String, TypeDefinition> {
    let mut types = BTreeMap::new();
    for definition in parse_schema(sdl).unwrap().definitions {
        if let TypeSystemDefinition::Type(definition) = definition {
            types.insert(definition.node.name.node.to_string(), definition.node);
        }
    }
    types
}

#[test]
fn the_committed_schema_is_the_printed_one() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema.graphql");
    let committed = fs::read_to_string(file).unwrap();
    assert!(
        committed == printed(),
        "schema.graphql is not what the binary prints: cargo run -- schema > schema.graphql"
    );
}

// ---- what was promised

#[test]
fn clients_find_everything_they_were_promised() {
    let promised = types(include_str!("schema/promised.graphql"));
    let actual = types(&printed());
    let mut faults = Vec::new();
    for (name, promise) in &promised {
        match actual.get(name) {
            Some(actual) => compare(name, promise, actual, &mut faults),
            None => faults.push(format!("{name} is missing")),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(promised.len() > 130, "only {} types were promised", promised.len());
}

fn compare(
    name: &str,
    promise: &TypeDefinition,
    actual: &TypeDefinition,
    faults: &mut Vec<String>,
) {
    match (&promise.kind, &actual.kind) {
        (TypeKind::Scalar, TypeKind::Scalar) => {}
        (TypeKind::Object(promise), TypeKind::Object(actual)) => {
            for interface in &promise.implements {
                if !actual.implements.iter().any(|other| other.node == interface.node) {
                    faults.push(format!("{name} does not implement {}", interface.node));
                }
            }
            compare_fields(name, &promise.fields, &actual.fields, faults);
        }
        (TypeKind::Interface(promise), TypeKind::Interface(actual)) => {
            compare_fields(name, &promise.fields, &actual.fields, faults);
        }
        (TypeKind::Enum(promise), TypeKind::Enum(actual)) => {
            let values =
                |values: &[Positioned<async_graphql::parser::types::EnumValueDefinition>]| {
                    let names = values.iter().map(|value| value.node.value.node.to_string());
                    names.collect::<BTreeSet<_>>()
                };
            for value in values(&promise.values).difference(&values(&actual.values)) {
                faults.push(format!("{name}.{value} is missing"));
            }
        }
        (TypeKind::InputObject(promise), TypeKind::InputObject(actual)) => {
            compare_inputs(name, &promise.fields, &actual.fields, faults);
        }
        (
            TypeKind::Scalar
            | TypeKind::Object(_)
            | TypeKind::Interface(_)
            | TypeKind::Union(_)
            | TypeKind::Enum(_)
            | TypeKind::InputObject(_),
            _,
        ) => faults.push(format!("{name} is another kind of type")),
    }
}

fn compare_fields(
    name: &str,
    promised: &[Positioned<FieldDefinition>],
    actual: &[Positioned<FieldDefinition>],
    faults: &mut Vec<String>,
) {
    for promise in promised.iter().map(|field| &field.node) {
        let place = format!("{name}.{}", promise.name.node);
        let found = actual.iter().find(|field| field.node.name.node == promise.name.node);
        let Some(found) = found else {
            faults.push(format!("{place} is missing"));
            continue;
        };
        // What a client is given may be more certain than was promised.
        if !fits(&found.node.ty.node, &promise.ty.node) {
            faults.push(format!("{place} is {}, not {}", found.node.ty.node, promise.ty.node));
        }
        compare_inputs(&place, &promise.arguments, &found.node.arguments, faults);
    }
}

fn compare_inputs(
    place: &str,
    promised: &[Positioned<InputValueDefinition>],
    actual: &[Positioned<InputValueDefinition>],
    faults: &mut Vec<String>,
) {
    for promise in promised.iter().map(|input| &input.node) {
        let place = format!("{place}({})", promise.name.node);
        let found = actual.iter().find(|input| input.node.name.node == promise.name.node);
        let Some(found) = found else {
            faults.push(format!("{place} is missing"));
            continue;
        };
        // What a client gives may be less than was asked for: left out where
        // there is a default.
        let mut taken = found.node.ty.node.clone();
        taken.nullable |= found.node.default_value.is_some();
        if !fits(&promise.ty.node, &taken) {
            faults.push(format!("{place} is {}, not {}", found.node.ty.node, promise.ty.node));
        }
    }
    for found in actual.iter().map(|input| &input.node) {
        let promised = promised.iter().any(|input| input.node.name.node == found.name.node);
        if !promised && !found.ty.node.nullable && found.default_value.is_none() {
            faults.push(format!("{place}({}) was never asked for", found.name.node));
        }
    }
}

/// Whether whoever expects one type can do with another.
fn fits(given: &Type, expected: &Type) -> bool {
    use async_graphql::parser::types::BaseType::{List, Named};

    let certain = expected.nullable || !given.nullable;
    certain
        && match (&given.base, &expected.base) {
            (Named(given), Named(expected)) => given == expected,
            (List(given), List(expected)) => fits(given, expected),
            (Named(_), List(_)) | (List(_), Named(_)) => false,
        }
}

// ---- what is written

#[test]
fn everything_has_a_description() {
    let mut bare = Vec::new();
    let mut note = |place: String, description: Option<&Positioned<String>>| {
        let text = description.map(|text| text.node.trim()).unwrap_or_default();
        if text.is_empty() {
            bare.push(place);
        }
    };
    let types = types(&printed());
    for (name, definition) in &types {
        note(name.clone(), definition.description.as_ref());
        let (fields, inputs) = match &definition.kind {
            TypeKind::Object(object) => (object.fields.as_slice(), [].as_slice()),
            TypeKind::Interface(interface) => (interface.fields.as_slice(), [].as_slice()),
            TypeKind::InputObject(input) => ([].as_slice(), input.fields.as_slice()),
            TypeKind::Enum(values) => {
                for value in values.values.iter().map(|value| &value.node) {
                    note(format!("{name}.{}", value.value.node), value.description.as_ref());
                }
                continue;
            }
            TypeKind::Scalar | TypeKind::Union(_) => continue,
        };
        for field in fields.iter().map(|field| &field.node) {
            let place = format!("{name}.{}", field.name.node);
            for argument in field.arguments.iter().map(|argument| &argument.node) {
                note(format!("{place}({})", argument.name.node), argument.description.as_ref());
            }
            note(place, field.description.as_ref());
        }
        for input in inputs.iter().map(|input| &input.node) {
            note(format!("{name}.{}", input.name.node), input.description.as_ref());
        }
    }
    assert!(bare.is_empty(), "not described:\n{}", bare.join("\n"));
}

#[test]
fn mutations_keep_their_form() {
    let types = types(&printed());
    let TypeKind::Object(mutations) = &types["Mutation"].kind else { panic!("no object") };
    for mutation in mutations.fields.iter().map(|field| &field.node) {
        let name = mutation.name.node.as_str();
        let (first, rest) = name.split_at(1);
        let stem = format!("{}{rest}", first.to_uppercase());
        assert_eq!(mutation.ty.node.to_string(), format!("{stem}Payload!"));
        let [input] = mutation.arguments.as_slice() else { panic!("{name}: one argument") };
        assert_eq!(input.node.name.node, "input", "{name}");
        assert_eq!(input.node.ty.node.to_string(), format!("{stem}Input!"));
        let TypeKind::InputObject(input) = &types[&format!("{stem}Input")].kind else {
            panic!("{name}: no input")
        };
        assert!(input.fields.iter().any(|field| field.node.name.node == "clientMutationId"));
        let TypeKind::Object(payload) = &types[&format!("{stem}Payload")].kind else {
            panic!("{name}: no payload")
        };
        for field in ["clientMutationId", "position"] {
            assert!(payload.fields.iter().any(|other| other.node.name.node == field), "{name}");
        }
    }
}
