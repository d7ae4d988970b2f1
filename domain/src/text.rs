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

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::{Description, Name, Reason, Sku, SmsNumber, TextError};

    #[test]
    fn text_is_trimmed() {
        assert_eq!(Name::new("  Waldorf Books\t").unwrap().as_str(), "Waldorf Books");
    }

    #[test]
    fn d64_a_blank_name_is_no_name() {
        for blank in ["", " ", "\t \n", "\u{3000}"] {
            assert_eq!(Name::new(blank), Err(TextError::Blank));
            assert_eq!(Sku::new(blank), Err(TextError::Blank));
            assert_eq!(Reason::new(blank), Err(TextError::Blank));
        }
    }

    #[test]
    fn a_description_may_be_empty_and_have_lines() {
        assert_eq!(Description::new(" ").unwrap().as_str(), "");
        assert_eq!(Description::new("one\ntwo").unwrap().as_str(), "one\ntwo");
    }

    #[test]
    fn text_holds_no_control_characters() {
        for typed in ["a\0b", "a\nb", "a\u{7f}b", "a\u{85}b"] {
            assert_eq!(Name::new(typed), Err(TextError::ControlCharacters), "{typed:?}");
        }
        assert_eq!(Description::new("a\r\nb"), Err(TextError::ControlCharacters));
    }

    #[test]
    fn text_is_measured_in_characters() {
        assert!(Name::new(&"é".repeat(200)).is_ok());
        assert!(Name::new(&"🛒".repeat(200)).is_ok());
        assert_eq!(Name::new(&"e".repeat(201)), Err(TextError::TooLong(200)));
        assert_eq!(Name::new(&"e".repeat(1_000_000)), Err(TextError::TooLong(200)));
        assert!(Sku::new(&"s".repeat(64)).is_ok());
        assert_eq!(Sku::new(&"s".repeat(65)), Err(TextError::TooLong(64)));
        assert!(Description::new(&"d".repeat(4_000)).is_ok());
        assert_eq!(Description::new(&"d".repeat(4_001)), Err(TextError::TooLong(4_000)));
        assert!(Reason::new(&"r".repeat(500)).is_ok());
        assert_eq!(Reason::new(&"r".repeat(501)), Err(TextError::TooLong(500)));
    }

    #[test]
    fn stored_text_is_read_back_as_it_is() {
        let stored = serde_json::to_string(&" a\nb ").unwrap();
        assert_eq!(serde_json::from_str::<Name>(&stored).unwrap().as_str(), " a\nb ");
    }

    #[test]
    fn a_number_is_kept_without_the_spaces_and_hyphens_it_was_typed_with() {
        for typed in ["+15550100", " +1 555 0100 ", "+1-555-0100"] {
            assert_eq!(SmsNumber::new(typed).unwrap().as_str(), "+15550100", "{typed:?}");
        }
    }

    #[test]
    fn a_number_is_in_e164_form() {
        for typed in ["+1234567", "+123456789012345"] {
            assert!(SmsNumber::new(typed).is_ok(), "{typed:?}");
        }
        for typed in [
            "",
            "+",
            "15550100",
            "0015550100",
            "+05550100",
            "+123456",
            "+1234567890123456",
            "+1555CALLME",
            "+1(555)0100",
            "++15550100",
            "+١٢٣٤٥٦٧٨",
        ] {
            assert_eq!(SmsNumber::new(typed), Err(TextError::NotAPhoneNumber), "{typed:?}");
        }
        assert_eq!(SmsNumber::new(&" ".repeat(1_000_000)), Err(TextError::NotAPhoneNumber));
    }

    proptest! {
        #[test]
        fn what_is_taken_keeps_the_rules(typed in "\\PC{0,300}|[ \t\n]{0,4}\\PC{0,20}[ \n]{0,4}") {
            if let Ok(name) = Name::new(&typed) {
                let text = name.as_str();
                prop_assert_eq!(text, typed.trim());
                prop_assert!((1..=200).contains(&text.chars().count()));
                prop_assert!(!text.chars().any(char::is_control));
                prop_assert_eq!(Name::new(text), Ok(name.clone()), "taken again as it is");
            }
        }

        #[test]
        fn no_number_breaks_the_parser(typed in "\\+?\\PC{0,20}|\\+[0-9 -]{5,20}") {
            if let Ok(number) = SmsNumber::new(&typed) {
                prop_assert_eq!(SmsNumber::new(number.as_str()), Ok(number.clone()));
            }
        }
    }
}
