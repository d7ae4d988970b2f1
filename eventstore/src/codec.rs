//! Events as the ledger stores them, and back.
//!
//! An event is one variant of its aggregate's enum. Its name and its fields
//! are stored apart, so the enum is taken apart while it is written and put
//! together while it is read, without a tree of values in between.

mod read;
mod write;

use std::{borrow::Cow, sync::Arc};

use mallbots_domain::{aggregate::Aggregate, event::DomainEvent};
use serde::de::DeserializeOwned;

use crate::{append::NewEvent, error::StoreError, message::Recorded, upcast::Upcasters};

/// An aggregate's event as it is stored: `<CONTEXT>.<Variant>` and the
/// variant's fields, in their order.
pub fn encode<A: Aggregate>(
    event: &A::Event,
    upcasters: &Upcasters,
) -> Result<NewEvent, StoreError> {
    let (variant, payload) = write::variant(event)
        .map_err(|source| undecodable(A::CONTEXT, A::KIND.prefix(), source))?;
    let name = format!("{}.{variant}", A::CONTEXT);
    Ok(NewEvent { schema_version: upcasters.schema_version(&name), name, payload })
}

/// A stored event as its aggregate knows it.
pub fn decode<A: Aggregate>(
    recorded: &Recorded,
    upcasters: &Upcasters,
) -> Result<A::Event, StoreError> {
    decode_parts::<A>(&recorded.name, recorded.schema_version, &recorded.payload, upcasters)
        .map_err(|source| undecodable(&recorded.name, &recorded.stream.to_string(), source))
}

/// A stored event as it is matched on, whatever its aggregate.
pub fn decode_event(recorded: &Recorded, upcasters: &Upcasters) -> Result<DomainEvent, StoreError> {
    let payload = payload(recorded, upcasters)?;
    let variant = recorded.name.split_once('.').map_or("", |(_, variant)| variant);
    DomainEvent::deserialize(recorded.stream.kind, read::Parts::new(variant, &payload))
        .and_then(|event| event.ok_or_else(|| serde::de::Error::custom("of no aggregate")))
        .map_err(|source| undecodable(&recorded.name, &recorded.stream.to_string(), source))
}

/// The same, for who has only the parts.
pub(crate) fn decode_parts<A: Aggregate>(
    name: &str,
    schema_version: i32,
    payload: &str,
    upcasters: &Upcasters,
) -> Result<A::Event, serde_json::Error> {
    let variant = match name.split_once('.') {
        Some((context, variant)) if context == A::CONTEXT => variant,
        Some(_) | None => {
            return Err(serde::de::Error::custom("an event of another context"));
        }
    };
    decode_variant(variant, &upcasters.current(name, schema_version, payload)?)
}

/// One variant of an externally tagged enum, from its name and its fields.
/// For enums that are not an aggregate's events: commands, replies.
pub fn decode_variant<T: DeserializeOwned>(
    variant: &str,
    payload: &str,
) -> Result<T, serde_json::Error> {
    read::variant(variant, payload)
}

/// The name and the fields of one variant of an externally tagged enum.
/// For enums that are not an aggregate's events: commands, replies.
pub fn encode_variant<T: serde::Serialize>(
    value: &T,
) -> Result<(&'static str, String), serde_json::Error> {
    write::variant(value)
}

/// The payload of a stored message in its present shape.
pub fn payload<'a>(
    recorded: &'a Recorded,
    upcasters: &Upcasters,
) -> Result<Cow<'a, str>, StoreError> {
    upcasters
        .current(&recorded.name, recorded.schema_version, &recorded.payload)
        .map_err(|source| undecodable(&recorded.name, &recorded.stream.to_string(), source))
}

/// That something stored makes no sense.
pub(crate) fn undecodable(name: &str, stream: &str, source: serde_json::Error) -> StoreError {
    StoreError::Undecodable {
        name: name.to_owned(),
        stream: stream.to_owned(),
        source: Arc::new(source),
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Event {
        Moved { to: String, by: i64, at: Place },
        Rested {},
        Paused,
        Noted(Place),
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Place {
        x: i64,
        label: Option<String>,
    }

    fn moved() -> Event {
        Event::Moved {
            to: "the \"depot\"\n".to_owned(),
            by: -3,
            at: Place { x: 7, label: Some("ü".to_owned()) },
        }
    }

    #[test]
    fn the_parts_are_what_serde_would_have_written() {
        for event in [moved(), Event::Rested {}, Event::Noted(Place { x: 1, label: None })] {
            let (variant, payload) = encode_variant(&event).unwrap();
            let whole = format!("{{\"{variant}\":{payload}}}");
            assert_eq!(whole, serde_json::to_string(&event).unwrap());
            assert_eq!(event, decode_variant(variant, &payload).unwrap());
        }
    }

    #[test]
    fn a_variant_without_fields_is_an_empty_object() {
        let (variant, payload) = encode_variant(&Event::Paused).unwrap();
        assert_eq!((variant, payload.as_str()), ("Paused", "{}"));
        assert_eq!(Event::Paused, decode_variant("Paused", "{}").unwrap());
    }

    #[test]
    fn fields_keep_the_order_they_are_declared_in() {
        let (_, payload) = encode_variant(&moved()).unwrap();
        assert_eq!(payload, r#"{"to":"the \"depot\"\n","by":-3,"at":{"x":7,"label":"ü"}}"#);
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        assert!(decode_variant::<Event>("Moved", r#"{"to":"x"}"#).is_err());
        assert!(decode_variant::<Event>("Rested", "{} {}").is_err());
        assert!(decode_variant::<Event>("Unknown", "{}").is_err());
        assert!(encode_variant(&"text").is_err());
        assert!(encode_variant(&Place { x: 1, label: None }).is_err());
    }
}
