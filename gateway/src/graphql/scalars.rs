//! Values that GraphQL has no type for.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, SimpleObject, Value};
use mallbots_domain::money::{self, MoneyError};
use mallbots_eventstore::message;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// An exact decimal number with two decimals, such as `"12.34"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal(pub i64);

impl Decimal {
    /// Reads at most 16 digits before and two after the point, no sign.
    fn parse(text: &str) -> Option<Self> {
        let (whole, cents) = text.split_once('.').unwrap_or((text, ""));
        let digits =
            |part: &str, most| part.len() <= most && part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole, 16) || !digits(cents, 2) {
            return None;
        }
        if text.ends_with('.') {
            return None;
        }
        let whole: i64 = whole.parse().ok()?;
        let cents: i64 = format!("{cents:0<2}").parse().ok()?;
        whole.checked_mul(100)?.checked_add(cents).map(Self)
    }

    fn read(text: &str) -> InputValueResult<Self> {
        let negative = text.strip_prefix('-').and_then(Self::parse);
        if negative.is_some_and(|amount| amount.0 > 0) {
            return Err(InputValueError::custom(MoneyError::Negative));
        }
        negative.or_else(|| Self::parse(text)).ok_or_else(|| {
            InputValueError::custom(
                "an amount is digits with at most two decimals, such as \"12.34\"",
            )
        })
    }

    /// The amount of money it stands for.
    pub fn money(self) -> Result<money::Money, MoneyError> {
        money::Money::from_minor(self.0)
    }
}

/// An exact decimal number with two decimals for the mall's currency, such as `"12.34"`. Numbers
/// are taken as input too, but a string is safer: many languages read numbers as floats.
#[Scalar(specified_by_url = "https://www.rfc-editor.org/rfc/rfc8259#section-6")]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Self::read(&text),
            Value::Number(number) => Self::read(&number.to_string()),
            other @ (Value::Null
            | Value::Boolean(_)
            | Value::Binary(_)
            | Value::Enum(_)
            | Value::List(_)
            | Value::Object(_)) => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(format!("{}.{:02}", self.0 / 100, self.0 % 100))
    }
}

/// A moment in UTC, in microseconds since the Unix epoch inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime(pub i64);

/// A moment: RFC 3339, in UTC, such as `"2026-11-23T11:15:00.123456Z"`.
#[Scalar(specified_by_url = "https://scalars.graphql.org/andimarek/date-time.html")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = value else {
            return Err(InputValueError::expected_type(value));
        };
        let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| {
            InputValueError::custom("a moment is RFC 3339, such as \"2026-11-23T11:15:00Z\"")
        })?;
        let micros = moment.unix_timestamp_nanos() / 1000;
        i64::try_from(micros).map(Self).map_err(InputValueError::custom)
    }

    fn to_value(&self) -> Value {
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000)
            .ok()
            .and_then(|moment| moment.format(&Rfc3339).ok());
        text.map_or(Value::Null, Value::String)
    }
}

/// A place in a list or a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub String);

/// A place in a list or a feed: opaque and signed. Send it back as it came.
#[Scalar]
impl ScalarType for Cursor {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) if text.len() <= 1024 => Ok(Self(text)),
            Value::String(_) => Err(InputValueError::custom("this is not a cursor of this server")),
            other @ (Value::Null
            | Value::Number(_)
            | Value::Boolean(_)
            | Value::Binary(_)
            | Value::Enum(_)
            | Value::List(_)
            | Value::Object(_)) => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// A place in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position(pub message::Position);

/// A place in the ledger: opaque, and greater the later.
#[Scalar]
impl ScalarType for Position {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        text.parse()
            .map(|position| Self(message::Position(position)))
            .map_err(|_| InputValueError::custom("this is not a position of this server"))
    }

    fn to_value(&self) -> Value {
        Value::String(format!("{:016}", self.0.0))
    }
}

/// An amount of money.
#[derive(Debug, Clone, Copy, SimpleObject)]
pub struct Money {
    /// How much, exactly.
    amount: Decimal,
    /// Of what. The mall has one currency.
    currency: CurrencyCode,
}

impl Money {
    /// An amount in minor units.
    pub const fn new(minor: i64, currency: CurrencyCode) -> Self {
        Self { amount: Decimal(minor), currency }
    }
}

/// A currency, by its ISO 4217 code.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    async_graphql::Enum,
    serde::Serialize,
    serde::Deserialize,
)]
#[graphql(rename_items = "SCREAMING_SNAKE_CASE")]
#[serde(rename_all = "UPPERCASE")]
pub enum CurrencyCode {
    /// United States dollar.
    #[default]
    Usd,
    /// Euro.
    Eur,
    /// Pound sterling.
    Gbp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_exact() {
        for (text, minor) in
            [("0", 0), ("9.99", 999), ("9.9", 990), ("100000", 10_000_000), ("0.01", 1)]
        {
            assert_eq!(Decimal::read(text).unwrap(), Decimal(minor), "{text}");
        }
        assert_eq!(Decimal(5).to_value(), Value::from("0.05"));
        for text in
            ["", ".", "1.", ".5", "1.234", "1e3", "-1", "-0.01", "NaN", "1,00", "99999999999999999"]
        {
            assert!(Decimal::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_comes_back_as_it_was() {
        let moment = DateTime(1_700_000_000_123_456);
        assert_eq!(moment.to_value(), Value::from("2023-11-14T22:13:20.123456Z"));
        assert_eq!(DateTime::parse(moment.to_value()).unwrap(), moment);
        assert_eq!(DateTime::parse("2023-11-14T23:13:20.123456+01:00".into()).unwrap(), moment);
        assert!(DateTime::parse("yesterday".into()).is_err());
    }

    #[test]
    fn positions_sort_as_text() {
        let text = |position| Position(message::Position(position)).to_value().to_string();
        assert!(text(9) < text(10));
    }
}
