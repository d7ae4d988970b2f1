//! Requests that a page of another site can have a browser send without
//! asking first: which of them are answered.
//!
//! Only GETs are left of those. They change nothing and foreign pages cannot
//! read their answers, but they can count how long these take.

use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_TYPE, ORIGIN},
};

use crate::error::{ClientError, ErrorCode};

/// Headers that no browser sends for a foreign page without asking first.
const PREFLIGHT_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("apollo-require-preflight"),
    HeaderName::from_static("graphql-require-preflight"),
    HeaderName::from_static("x-apollo-operation-name"),
];

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// How strict it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preflight {
    /// Refuses what a browser says it sends for a page of another site.
    /// Programs, and browsers that say nothing, are answered.
    #[default]
    Foreign,
    /// Refuses every GET without one of the headers.
    Always,
}

impl Preflight {
    /// Judges a GET whose origin, if it has one, may call.
    pub(super) fn check(self, headers: &HeaderMap) -> Result<(), ClientError> {
        let shown = PREFLIGHT_HEADERS
            .iter()
            .any(|name| headers.get(name).is_some_and(|value| !value.is_empty()));
        if shown || headers.get(CONTENT_TYPE).is_some_and(|value| !is_simple(value.as_bytes())) {
            return Ok(());
        }
        let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
        let refused = match self {
            Self::Always => true,
            // With an origin the browser has asked for a page that may call.
            Self::Foreign => {
                headers.get(ORIGIN).is_none()
                    && site.is_some_and(|site| site != b"same-origin" && site != b"none")
            }
        };
        if refused {
            return Err(ClientError::new(
                ErrorCode::BadRequest,
                "a GET must show that no foreign page sent it: add the header \
                 GraphQL-Require-Preflight or Apollo-Require-Preflight",
            ));
        }
        Ok(())
    }
}

/// Whether a form can have this media type.
fn is_simple(content_type: &[u8]) -> bool {
    let name = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    let name = name.trim_ascii();
    name.is_empty()
        || [&b"text/plain"[..], b"application/x-www-form-urlencoded", b"multipart/form-data"]
            .iter()
            .any(|simple| name.eq_ignore_ascii_case(simple))
}

impl std::str::FromStr for Preflight {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "foreign" => Ok(Self::Foreign),
            "always" => Ok(Self::Always),
            _ => Err("must be foreign or always"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(strictness: Preflight, headers: &[(&str, &str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::try_from(*name).unwrap(), value.parse().unwrap()));
        strictness.check(&headers.collect()).is_ok()
    }

    #[test]
    fn a_header_shows_that_no_foreign_page_sent_it() {
        for header in [
            ("apollo-require-preflight", "true"),
            ("GraphQL-Require-Preflight", "1"),
            ("x-apollo-operation-name", "Orders"),
            ("content-type", "application/json"),
        ] {
            assert!(passes(Preflight::Always, &[header]), "{header:?}");
            assert!(passes(Preflight::Foreign, &[header, ("sec-fetch-site", "cross-site")]));
        }
        for header in [
            ("apollo-require-preflight", ""),
            ("accept", "application/json"),
            ("content-type", "Text/Plain; charset=utf-8"),
            ("content-type", "multipart/form-data; boundary=x"),
            ("content-type", ""),
        ] {
            assert!(!passes(Preflight::Always, &[header]), "{header:?}");
            assert!(!passes(Preflight::Foreign, &[header, ("sec-fetch-site", "cross-site")]));
        }
    }

    #[test]
    fn browsers_say_whose_page_it_is() {
        for (site, answered) in
            [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false)]
        {
            let site = ("sec-fetch-site", site);
            assert_eq!(passes(Preflight::Foreign, &[site]), answered, "{site:?}");
            assert!(passes(Preflight::Foreign, &[site, ("origin", "https://console.example")]));
        }
        assert!(passes(Preflight::Foreign, &[]));
    }
}
