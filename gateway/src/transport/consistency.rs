//! Reading what one has written: a mutation answers with a token, and a query
//! that brings it along waits until what was written can be seen.

use async_graphql::Value;
use axum::http::{HeaderMap, HeaderName};
use futures_util::future::BoxFuture;

use crate::error::{ClientError, ErrorCode};

/// What tokens are called in `extensions`, of requests and of answers.
pub const CONSISTENCY: &str = "consistency";
/// What they are called among HTTP headers.
pub const CONSISTENCY_TOKEN: HeaderName = HeaderName::from_static("consistency-token");

/// Up to where a caller has written: a position of the ledger, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub i64);

/// Whoever knows how far the tables are that queries read.
pub trait Freshness: Send + Sync {
    /// Waits until they are as far as the token says, but not for long.
    fn reached(&self, want: Token) -> BoxFuture<'_, Result<(), ClientError>>;
}

impl Token {
    /// Reads a token as it was given out.
    fn of_text(text: &str, field: &str) -> Result<Self, ClientError> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let position = text.parse().ok().filter(|_| digits);
        position.map(Self).ok_or_else(|| {
            let message = "this is not a consistency token: send one as a mutation answered it";
            ClientError::new(ErrorCode::BadUserInput, message).on_field(field)
        })
    }

    /// Reads `extensions.consistency` of a request.
    pub(super) fn of_extension(value: &serde_json::Value) -> Result<Option<Self>, ClientError> {
        if value.is_null() {
            return Ok(None);
        }
        // What is no text cannot be a token either.
        let text = value.as_str().unwrap_or_default();
        Self::of_text(text, "extensions.consistency").map(Some)
    }

    /// Reads the header of a request.
    pub(super) fn of_headers(headers: &HeaderMap) -> Result<Option<Self>, ClientError> {
        let Some(value) = headers.get(CONSISTENCY_TOKEN) else { return Ok(None) };
        Self::of_text(value.to_str().unwrap_or_default(), "Consistency-Token").map(Some)
    }

    /// The token among the extensions of an answer.
    pub(super) fn of_answer(value: &Value) -> Option<Self> {
        let Value::String(text) = value else { return None };
        text.parse().ok().map(Self)
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // As positions are written everywhere: the greater the later, as text too.
        write!(f, "{:016}", self.0)
    }
}

impl From<Token> for Value {
    fn from(token: Token) -> Self {
        Self::String(token.to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_a_position_in_digits() {
        assert_eq!(Token::of_extension(&json!("17")).unwrap(), Some(Token(17)));
        assert_eq!(Token::of_extension(&json!(null)).unwrap(), None);
        for broken in
            [json!(""), json!("-1"), json!("+1"), json!("1.5"), json!("x"), json!(17), json!({})]
        {
            assert_eq!(Token::of_extension(&broken).unwrap_err().code, ErrorCode::BadUserInput);
        }
        assert!(Token::of_extension(&json!("9".repeat(30))).is_err());
        let headers = HeaderMap::from_iter([(CONSISTENCY_TOKEN, "17".parse().unwrap())]);
        assert_eq!(Token::of_headers(&headers).unwrap(), Some(Token(17)));
        assert_eq!(Token::of_answer(&Token(17).into()), Some(Token(17)));
        assert_eq!(Token::of_extension(&json!(Token(17).to_string())).unwrap(), Some(Token(17)));
    }
}
