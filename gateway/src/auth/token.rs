//! What a token says, how it is checked, and how one is made.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, errors::ErrorKind,
};
use mallbots_domain::id::{CustomerId, StoreId};
use serde::{Deserialize, Serialize};

use super::{
    caller::{Caller, Rights, Role},
    refused,
};
use crate::{config::Secret, error::ClientError};

/// The scope of those who may ask what the schema is.
pub const SCHEMA: &str = "schema";

/// The longest name of somebody, in characters.
const LONGEST_SUBJECT: usize = 200;

/// What every token must say, whoever it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Who issues tokens (`iss`).
    pub issuer: String,
    /// Whom they are for (`aud`).
    pub audience: String,
    /// By how much clocks may differ.
    pub leeway: Duration,
}

impl Terms {
    /// Those of tokens that a mall in development mode makes for itself.
    #[must_use]
    pub fn of_development() -> Self {
        Self {
            issuer: "mallbots-development".to_owned(),
            audience: "mallbots".to_owned(),
            leeway: Duration::from_secs(30),
        }
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.leeway = self.leeway.as_secs();
        validation.validate_nbf = true;
        validation
    }
}

/// What a token says of somebody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// As whom they are recorded.
    pub sub: String,
    /// Who issued it.
    #[serde(default)]
    iss: serde_json::Value,
    /// Whom it is for.
    #[serde(default)]
    aud: serde_json::Value,
    /// When it ends, in seconds since 1970.
    exp: f64,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iat: Option<f64>,
    /// What they are: see [`Role`]. Roles of other programs are passed over.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The customer they are, with the role `customer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// The stores they run, with the role `store_owner`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub store_ids: Vec<String>,
    /// What else they may, by names with spaces between: `schema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

impl Claims {
    /// What a token for somebody is to say.
    #[must_use]
    pub fn of(subject: &str, rights: &Rights) -> Self {
        Self {
            sub: subject.to_owned(),
            iss: serde_json::Value::Null,
            aud: serde_json::Value::Null,
            exp: 0.0,
            iat: None,
            roles: rights.roles.each().map(|role| role.name().to_owned()).collect(),
            customer_id: rights.customer.map(|id| id.to_string()),
            store_ids: rights.stores.iter().map(StoreId::to_string).collect(),
            scope: rights.schema.then(|| SCHEMA.to_owned()),
        }
    }

    /// Who that is, until `leeway` after the token's end.
    fn caller(self, leeway: Duration) -> Result<Caller, ClientError> {
        let length = self.sub.chars().count();
        if length == 0 || length > LONGEST_SUBJECT || self.sub.chars().any(char::is_control) {
            return Err(refused("it names nobody"));
        }
        let customer: Option<CustomerId> = self
            .customer_id
            .map(|id| id.parse().map_err(|_| refused("customer_id is no customer's id")))
            .transpose()?;
        let stores = self
            .store_ids
            .iter()
            .map(|id| id.parse().map_err(|_| refused("store_ids has what is no store's id")))
            .collect::<Result<_, _>>()?;
        let rights = Rights {
            roles: self.roles.iter().filter_map(|name| name.parse::<Role>().ok()).collect(),
            customer,
            stores,
            schema: self.scope.is_some_and(|scope| scope.split(' ').any(|name| name == SCHEMA)),
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it was checked to be no less than now; a float saturates"
        )]
        let expires_at = (self.exp as u64).saturating_add(leeway.as_secs());
        // The library lets a token count to the end of its last second.
        if now() >= Duration::from_secs(expires_at) {
            return Err(refused("it has expired"));
        }
        Ok(Caller::new(self.sub, rights, Some(expires_at)))
    }
}

/// Who a token says somebody is, if the key and the terms are its own.
pub(super) fn verify(
    token: &str,
    algorithm: Algorithm,
    key: &DecodingKey,
    terms: &Terms,
) -> Result<Caller, ClientError> {
    let token = decode::<Claims>(token, key, &terms.validation(algorithm));
    let token = token.map_err(|error| {
        #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else it is, it is broken")]
        refused(match error.kind() {
            ErrorKind::ExpiredSignature => "it has expired",
            ErrorKind::ImmatureSignature => "it is not valid yet",
            ErrorKind::InvalidIssuer => "it is not from the issuer that counts here",
            ErrorKind::InvalidAudience => "it is not for this mall",
            ErrorKind::MissingRequiredClaim(_) => "it lacks one of exp, iss, aud and sub",
            ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => "it is not signed",
            _ => "it is broken",
        })
    })?;
    // Whoever wrote it wants something observed that is not known here (RFC 7515, 4.1.11).
    if token.header.crit.is_some_and(|names| !names.is_empty()) {
        return Err(refused("it asks for extensions"));
    }
    token.claims.caller(terms.leeway)
}

/// Signs a token that begins now.
pub fn mint(
    claims: Claims,
    lifetime: Duration,
    terms: &Terms,
    secret: &Secret,
) -> Result<String, jsonwebtoken::errors::Error> {
    let now = now();
    let claims = Claims {
        iss: terms.issuer.as_str().into(),
        aud: terms.audience.as_str().into(),
        iat: Some(now.as_secs_f64().floor()),
        exp: (now + lifetime).as_secs_f64().floor(),
        ..claims
    };
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key)
}

/// What time it is, since 1970.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
