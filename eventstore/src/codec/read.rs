//! Puts a variant together from its name and its fields.

use std::fmt;

use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, EnumAccess, Error as _, IgnoredAny, MapAccess,
        VariantAccess, Visitor, value::StrDeserializer,
    },
    forward_to_deserialize_any,
};
use serde_json::Error;

pub(super) fn variant<T: DeserializeOwned>(name: &str, payload: &str) -> Result<T, Error> {
    T::deserialize(Parts { name, payload })
}

/// An enum whose tag and content are apart.
pub(super) struct Parts<'a> {
    name: &'a str,
    payload: &'a str,
}

impl<'de> Parts<'de> {
    pub(super) const fn new(name: &'de str, payload: &'de str) -> Self {
        Self { name, payload }
    }

    /// Reads the payload as one object, and nothing behind it.
    fn object<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut content = serde_json::Deserializer::from_str(self.payload);
        let value = content.deserialize_map(visitor)?;
        content.end()?;
        Ok(value)
    }
}

impl<'de> Deserializer<'de> for Parts<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("only an enum has variants"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string
        bytes byte_buf option unit unit_struct newtype_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Parts<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let name = StrDeserializer::<Error>::new(self.name);
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Parts<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        self.object(Anything)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        let mut content = serde_json::Deserializer::from_str(self.payload);
        let value = seed.deserialize(&mut content)?;
        content.end()?;
        Ok(value)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("a stored message has named fields"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.object(visitor)
    }
}

/// Any object, whatever is in it.
struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}
