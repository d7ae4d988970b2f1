//! Takes a variant apart into its name and its fields.

use serde::{
    Serialize, Serializer,
    ser::{Error as _, Impossible, SerializeMap, SerializeStruct, SerializeStructVariant},
};
use serde_json::Error;

pub(super) fn variant<T: Serialize>(value: &T) -> Result<(&'static str, String), Error> {
    let mut json = Vec::with_capacity(256);
    let name = value.serialize(Variant(&mut Json::new(&mut json)))?;
    if json.first() != Some(&b'{') {
        return refused();
    }
    // serde_json writes nothing but UTF-8.
    String::from_utf8(json).map(|payload| (name, payload)).map_err(Error::custom)
}

/// Writes the content of a variant and returns its name.
struct Variant<'a, 'w>(&'a mut Json<'w>);

type Json<'w> = serde_json::Serializer<&'w mut Vec<u8>>;

/// Writes the fields of a variant.
struct Fields<'a, 'w> {
    variant: &'static str,
    object: <&'a mut Json<'w> as Serializer>::SerializeStruct,
}

impl SerializeStructVariant for Fields<'_, '_> {
    type Ok = &'static str;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        SerializeStruct::serialize_field(&mut self.object, key, value)
    }

    fn skip_field(&mut self, key: &'static str) -> Result<(), Error> {
        SerializeStruct::skip_field(&mut self.object, key)
    }

    fn end(self) -> Result<&'static str, Error> {
        SerializeStruct::end(self.object)?;
        Ok(self.variant)
    }
}

fn refused<T>() -> Result<T, Error> {
    Err(Error::custom("a message is a variant with named fields"))
}

/// The values that are no variants, all refused.
macro_rules! refuse {
    ($($method:ident($($argument:ty),*) -> $ok:ty;)*) => { $(
        fn $method(self, $(_: $argument),*) -> Result<$ok, Error> { refused() }
    )* };
}

impl<'a, 'w> Serializer for Variant<'a, 'w> {
    type Ok = &'static str;
    type Error = Error;
    type SerializeSeq = Impossible<&'static str, Error>;
    type SerializeTuple = Impossible<&'static str, Error>;
    type SerializeTupleStruct = Impossible<&'static str, Error>;
    type SerializeTupleVariant = Impossible<&'static str, Error>;
    type SerializeMap = Impossible<&'static str, Error>;
    type SerializeStruct = Impossible<&'static str, Error>;
    type SerializeStructVariant = Fields<'a, 'w>;

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<&'static str, Error> {
        SerializeMap::end(self.0.serialize_map(Some(0))?)?;
        Ok(variant)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<&'static str, Error> {
        value.serialize(self.0)?;
        Ok(variant)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        fields: usize,
    ) -> Result<Fields<'a, 'w>, Error> {
        Ok(Fields { variant, object: self.0.serialize_struct(name, fields)? })
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<&'static str, Error> {
        refused()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<&'static str, Error> {
        value.serialize(self)
    }

    refuse! {
        serialize_bool(bool) -> &'static str;
        serialize_i8(i8) -> &'static str;
        serialize_i16(i16) -> &'static str;
        serialize_i32(i32) -> &'static str;
        serialize_i64(i64) -> &'static str;
        serialize_u8(u8) -> &'static str;
        serialize_u16(u16) -> &'static str;
        serialize_u32(u32) -> &'static str;
        serialize_u64(u64) -> &'static str;
        serialize_f32(f32) -> &'static str;
        serialize_f64(f64) -> &'static str;
        serialize_char(char) -> &'static str;
        serialize_str(&str) -> &'static str;
        serialize_bytes(&[u8]) -> &'static str;
        serialize_none() -> &'static str;
        serialize_unit() -> &'static str;
        serialize_unit_struct(&'static str) -> &'static str;
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
    }
}
