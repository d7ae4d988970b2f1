//! Text that people type, checked where it enters.
//!
//! Stored text is read back without these checks: a rule that is tightened
//! later must not make history unreadable.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Text that is not fit for its purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing but white space.
    #[error("cannot be blank")]
    Blank,
    /// More characters than there is room for.
    #[error("cannot be longer than {0} characters")]
    TooLong(usize),
    /// Characters that are not text.
    #[error("cannot hold control characters")]
    ControlCharacters,
    /// Not a telephone number.
    #[error("must be a telephone number in E.164 form, such as +15550100")]
    NotAPhoneNumber,
}

macro_rules! text {
    ($($(#[$doc:meta])* $name:ident($min:literal..=$max:literal, $lines:expr)),* $(,)?) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes text as typed: trimmed, measured in characters, searched
            /// for control characters.
            pub fn new(typed: &str) -> Result<Self, TextError> {
                checked(typed, $min, $max, $lines).map(Self)
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
    )* };
}

text! {
    /// What something is called, `1..=200` characters.
    Name(1..=200, Lines::One),
    /// What something is like, `0..=4000` characters.
    Description(0..=4000, Lines::Many),
    /// A store's own number for a product, `1..=64` characters.
    Sku(1..=64, Lines::One),
    /// Why somebody did something, `1..=500` characters.
    Reason(1..=500, Lines::One),
}

/// Whether text may break lines.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    One,
    Many,
}

fn checked(typed: &str, min: usize, max: usize, lines: Lines) -> Result<String, TextError> {
    let text = typed.trim();
    // Longer in bytes than the longest text in characters could be: not worth counting.
    if text.len() > max * 4 || text.chars().count() > max {
        return Err(TextError::TooLong(max));
    }
    if text.chars().any(|c| c.is_control() && !(c == '\n' && lines == Lines::Many)) {
        return Err(TextError::ControlCharacters);
    }
    if text.len() < min {
        return Err(TextError::Blank);
    }
    Ok(text.to_owned())
}

/// A telephone number in E.164 form: `+`, then 7 to 15 digits, the first not
/// zero (ITU-T E.164, section 6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SmsNumber(String);

impl SmsNumber {
    /// Takes a number as typed: trimmed, spaces and hyphens between the digits dropped.
    pub fn new(typed: &str) -> Result<Self, TextError> {
        if typed.len() > 64 {
            return Err(TextError::NotAPhoneNumber);
        }
        let number: String = typed.trim().chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        let digits = number.strip_prefix('+').ok_or(TextError::NotAPhoneNumber)?;
        let fits = (7..=15).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        if fits { Ok(Self(number)) } else { Err(TextError::NotAPhoneNumber) }
    }

    /// The number, `+` included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
