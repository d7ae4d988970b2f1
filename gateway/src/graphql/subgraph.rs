//! The schema as a part of a larger graph: what the executor prints, with what
//! a composition has to know written into it.
//!
//! The executor can print that itself, but only of an old version of federation,
//! whose directives it knows in part. Here it follows from what is there:
//! whatever has an id of its own is an entity, and who a field is for is what
//! [`rules`] say.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use async_graphql::parser::{
    parse_schema,
    types::{ObjectType, TypeKind, TypeSystemDefinition},
};
use tracing::error;

use crate::{
    auth::{Role, Roles, rules},
    startup,
};

/// What this schema needs of federation.
const LINK: &str = "extend schema @link(\n\turl: \"https://specs.apollo.dev/federation/v2.5\",\n\t\
     import: [\"@key\", \"@shareable\", \"@tag\"]\n)\n\n";

/// Values that other schemas may have as well.
const SHAREABLE: [&str; 2] = ["Money", "PageInfo"];

/// What only routers ask is not part of what they join.
const FOR_ROUTERS: [&str; 5] = ["_Any", "_Entity", "_Service", "_entities", "_service"];

/// The definition that a router or a composition wants of this service.
pub fn sdl() -> &'static str {
    static SDL: LazyLock<String> = LazyLock::new(|| {
        let printed = startup::sdl();
        annotate(&printed).unwrap_or_else(|error| {
            // A test sees to it that what is printed can be read.
            error!(%error, "the schema cannot be read");
            printed
        })
    });
    &SDL
}

/// A printed schema with the directives of federation.
fn annotate(printed: &str) -> Result<String, async_graphql::parser::Error> {
    let definitions = parse_schema(printed)?.definitions;
    let mut notes = Notes::default();
    let starts: Vec<_> = definitions
        .iter()
        .map(|definition| match definition {
            TypeSystemDefinition::Schema(it) => it.pos.line,
            TypeSystemDefinition::Directive(it) => it.pos.line,
            TypeSystemDefinition::Type(it) => it.pos.line,
        })
        .collect();
    for (at, definition) in definitions.iter().enumerate() {
        let end = starts.get(at + 1).copied().unwrap_or(usize::MAX);
        match definition {
            // Federation knows these, and where operations begin by their names.
            TypeSystemDefinition::Schema(_) | TypeSystemDefinition::Directive(_) => {
                notes.leave_out(starts[at], end);
            }
            TypeSystemDefinition::Type(definition) => {
                let name = &definition.node.name;
                if FOR_ROUTERS.contains(&name.node.as_str()) {
                    notes.leave_out(starts[at], end);
                } else if let TypeKind::Object(object) = &definition.node.kind {
                    notes.object(&name.node, name.pos.line, object);
                }
            }
        }
    }
    Ok(notes.written_into(printed))
}

/// What is to be written behind which line, and which lines are left out.
#[derive(Default)]
struct Notes {
    behind: BTreeMap<usize, String>,
    left_out: BTreeSet<(usize, usize)>,
}

impl Notes {
    /// From one line to before another.
    fn leave_out(&mut self, from: usize, to: usize) {
        self.left_out.insert((from, to));
    }

    fn object(&mut self, name: &str, line: usize, object: &ObjectType) {
        let mut head = String::new();
        if object.implements.iter().any(|interface| interface.node == "Node") {
            head += " @key(fields: \"id\")";
        }
        if SHAREABLE.contains(&name) {
            head += " @shareable";
        }
        let roles = |field: &str| rules::rule(name, field).unwrap_or(rules::ADMIN);
        let fields = || object.fields.iter().map(|field| &field.node);
        let of_all: BTreeSet<_> =
            fields().map(|field| audience(roles(field.name.node.as_str()))).collect();
        let are_alike = of_all.len() == 1;
        if are_alike {
            head.extend(of_all);
        }
        self.behind.insert(line, head);
        for field in fields() {
            let field_name = field.name.node.as_str();
            if FOR_ROUTERS.contains(&field_name) {
                let from = field.description.as_ref().map_or(field.name.pos, |text| text.pos);
                self.leave_out(from.line, field.ty.pos.line + 1);
            } else if !are_alike {
                self.behind.insert(field.ty.pos.line, audience(roles(field_name)));
            }
        }
    }

    fn written_into(&self, printed: &str) -> String {
        let mut text = LINK.to_owned();
        for (line, written) in (1..).zip(printed.lines()) {
            if self.left_out.iter().any(|(from, to)| (*from..*to).contains(&line)) {
                continue;
            }
            let note = self.behind.get(&line).map_or("", String::as_str);
            match written.strip_suffix(" {") {
                Some(head) => text.extend([head, note, " {\n"]),
                None => text.extend([written, note, "\n"]),
            }
        }
        text
    }
}

/// How the graph says whom something is for. What nobody who shops needs
/// carries the names of those who do, so that a contract can leave it out.
///
/// That a caller is known, or has a scope, is not written: gateways that have
/// never heard of `@authenticated` refuse the whole graph for it, and every
/// field is judged here whoever asks.
fn audience(roles: Roles) -> String {
    if roles.has(Role::Customer) {
        return String::new();
    }
    let others: Vec<_> = roles.each().filter(|role| *role != Role::Admin).collect();
    let others = if others.is_empty() { vec![Role::Admin] } else { others };
    let tag = |role: Role| [" @tag(name: \"", role.name(), "\")"].concat();
    others.into_iter().map(tag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_says_what_a_composition_must_know() {
        let sdl = sdl();
        parse_schema(sdl).unwrap();
        for line in [
            "type Store implements Node @key(fields: \"id\") {",
            "type Order implements Node @key(fields: \"id\") {",
            "type Bot implements Node @key(fields: \"id\") @tag(name: \"depot\") {",
            "type Relay @tag(name: \"admin\") {",
            "type PageInfo @shareable {",
            "type Money @shareable {",
            "type Subscription {",
            "\torder: Order",
            "\tbot: Bot @tag(name: \"depot\")",
            "\t): CreateStorePayload! @tag(name: \"store_owner\")",
        ] {
            assert!(sdl.lines().any(|other| other == line), "{line}");
        }
        for name in FOR_ROUTERS {
            assert!(!sdl.contains(name), "{name} is for routers");
        }
        assert!(!sdl.contains("directive @") && !sdl.contains("\nschema {"));
    }

    #[test]
    fn whatever_has_an_id_is_an_entity() {
        let nodes = startup::sdl().matches(" implements Node {").count();
        assert_eq!(nodes, mallbots_domain::id::Kind::ALL.len());
        assert_eq!(sdl().matches("@key(fields: \"id\")").count(), nodes);
    }
}
