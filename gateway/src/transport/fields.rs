//! A schema's fields, each with what somebody wants to know of it.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned,
    parser::types::{
        BaseType, FieldDefinition, OperationType, ServiceDocument, TypeKind, TypeSystemDefinition,
    },
};

/// What is known of each field of objects and interfaces, and where operations
/// begin.
#[derive(Debug)]
pub(crate) struct Fields<T> {
    query: Option<Name>,
    mutation: Option<Name>,
    subscription: Option<Name>,
    by_type: HashMap<Name, HashMap<Name, T>>,
}

impl<T> Fields<T> {
    /// Reads the schema's definition. `learn` is given each field and the name
    /// of the type it is in.
    pub(crate) fn of(
        schema: &ServiceDocument,
        learn: impl Fn(&Name, &FieldDefinition) -> T,
    ) -> Self {
        let mut known =
            Self { query: None, mutation: None, subscription: None, by_type: HashMap::new() };
        for definition in &schema.definitions {
            match definition {
                TypeSystemDefinition::Schema(schema) => {
                    let name = |name: &Option<Positioned<Name>>| {
                        name.as_ref().map(|name| name.node.clone())
                    };
                    known.query = name(&schema.node.query);
                    known.mutation = name(&schema.node.mutation);
                    known.subscription = name(&schema.node.subscription);
                }
                TypeSystemDefinition::Type(ty) => {
                    let fields = match &ty.node.kind {
                        TypeKind::Object(object) => &object.fields,
                        TypeKind::Interface(interface) => &interface.fields,
                        TypeKind::Scalar
                        | TypeKind::Union(_)
                        | TypeKind::Enum(_)
                        | TypeKind::InputObject(_) => continue,
                    };
                    let of = &ty.node.name.node;
                    let learnt = fields
                        .iter()
                        .map(|field| (field.node.name.node.clone(), learn(of, &field.node)));
                    known.by_type.entry(of.clone()).or_default().extend(learnt);
                }
                TypeSystemDefinition::Directive(_) => {}
            }
        }
        known
    }

    /// The type that an operation's fields are in.
    pub(crate) const fn root(&self, operation: OperationType) -> Option<&Name> {
        match operation {
            OperationType::Query => self.query.as_ref(),
            OperationType::Mutation => self.mutation.as_ref(),
            OperationType::Subscription => self.subscription.as_ref(),
        }
    }

    /// What is known of a field, if there is one of this name.
    pub(crate) fn get(&self, of: &str, field: &str) -> Option<&T> {
        self.by_type.get(of)?.get(field)
    }

    /// The names of all fields, each behind its type's.
    #[cfg(test)]
    pub(crate) fn names(&self) -> impl Iterator<Item = (&Name, &Name)> {
        self.by_type.iter().flat_map(|(of, fields)| fields.keys().map(move |field| (of, field)))
    }
}

/// The name of what a type is, or what the items of its lists are.
pub(crate) fn base_name(ty: &BaseType) -> &Name {
    match ty {
        BaseType::Named(name) => name,
        BaseType::List(item) => base_name(&item.base),
    }
}
