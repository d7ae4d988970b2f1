//! Who asks, and whether they may.
//!
//! A token becomes a [`Caller`] here; the pipeline asks [`rules`] whether the
//! caller's roles allow each field of a document; and what belongs to somebody
//! is kept from others where it is loaded, in `graphql::access`.

pub mod caller;

pub mod rules;

pub mod token;

pub mod key_set;

pub mod rate;

mod development;

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use axum::http::{HeaderMap, HeaderName, header::AUTHORIZATION};
use jsonwebtoken::{Algorithm, DecodingKey, decode_header};
use mallbots_eventstore::ledger::Ledger;

pub use self::caller::{Caller, Rights, Role, Roles};
use self::{
    key_set::{KeySet, Source},
    token::{Claims, Terms},
};
use crate::{
    config::{Config, Secret},
    error::{ClientError, ErrorCode},
    startup::Lifecycle,
};

/// The token of a router that asks on somebody's behalf.
const ROUTER_AUTHORIZATION: HeaderName = HeaderName::from_static("router-authorization");

/// The longest token that is looked at, in bytes.
const LONGEST_TOKEN: usize = 8 * 1024;

/// By what tokens are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The keys themselves, or where they are.
    pub by: By,
    /// What every token must say.
    pub terms: Terms,
}

/// The keys, or where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// A secret that the issuer shares (HS256).
    Secret(Secret),
    /// The issuer's public keys (RS256, ES256, `EdDSA`).
    Set(Source),
}

/// Tells who comes in. Cheap to clone. By default there is no key: whoever
/// comes without a token is the administrator, and no token is taken.
#[derive(Debug, Clone)]
pub struct Authenticator(Arc<Checks>);

struct Checks {
    /// Whether there are no keys but the mall's own, and a token is not needed.
    is_open: bool,
    terms: Terms,
    keys: KnownKeys,
    issuer: Option<Issuer>,
}

enum KnownKeys {
    None,
    Secret(DecodingKey),
    Set(KeySet),
}

impl std::fmt::Debug for Checks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checks").field("is_open", &self.is_open).finish_non_exhaustive()
    }
}

impl Default for Authenticator {
    fn default() -> Self {
        Self(Arc::new(Checks {
            is_open: true,
            terms: Terms::of_development(),
            keys: KnownKeys::None,
            issuer: None,
        }))
    }
}

impl Authenticator {
    /// Checks tokens as the settings say: by the configured keys, or in
    /// development mode by one that is kept with the data.
    pub async fn open(
        config: &Config,
        ledger: &Ledger,
        lifecycle: &Lifecycle,
    ) -> anyhow::Result<Self> {
        let checks = match &config.keys {
            Some(Keys { by: By::Secret(secret), terms }) => Checks {
                is_open: false,
                terms: terms.clone(),
                keys: KnownKeys::Secret(DecodingKey::from_secret(secret.expose().as_bytes())),
                issuer: None,
            },
            Some(Keys { by: By::Set(source), terms }) => {
                let set = KeySet::new(source.clone());
                lifecycle.spawn("keys", {
                    let set = set.clone();
                    move |stop| async move {
                        set.run(stop).await;
                        Ok(())
                    }
                });
                Checks {
                    is_open: false,
                    terms: terms.clone(),
                    keys: KnownKeys::Set(set),
                    issuer: None,
                }
            }
            None => {
                let secret = match &config.database_url {
                    Some(_) => development::of_database(ledger).await?,
                    None => development::of_folder(&config.data)?,
                };
                let terms = Terms::of_development();
                Checks {
                    is_open: true,
                    terms: terms.clone(),
                    keys: KnownKeys::Secret(DecodingKey::from_secret(secret.expose().as_bytes())),
                    issuer: Some(Issuer { secret, terms }),
                }
            }
        };
        Ok(Self(Arc::new(checks)))
    }

    /// Whether there are no keys but the mall's own: development mode.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.is_open
    }

    /// What makes tokens for the playground, in development mode.
    #[must_use]
    pub fn issuer(&self) -> Option<&Issuer> {
        self.0.issuer.as_ref()
    }

    /// Who sent a request with these headers, on whose behalf: a router has a
    /// token of its own beside that of whoever asked it, and is then both.
    pub async fn of_headers(&self, headers: &HeaderMap) -> Result<Caller, ClientError> {
        let token = token_in(headers, &AUTHORIZATION)?;
        let Some(router) = token_in(headers, &ROUTER_AUTHORIZATION)? else {
            return self.of_token(token).await;
        };
        let router = self.of_token(Some(router)).await?;
        if !router.rights().roles.has(Role::Router) {
            return Err(refused("Router-Authorization is for a router's"));
        }
        match token {
            Some(token) => Ok(self.of_token(Some(token)).await?.through(&router)),
            None => Ok(router),
        }
    }

    /// Who opened a socket with this payload of `connection_init`: its
    /// `authorization` is what the header would be, its `token` the token alone.
    pub async fn of_payload(
        &self,
        payload: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Caller, ClientError> {
        let given = |names: &[&str]| {
            let found = names.iter().find_map(|name| payload.get(*name));
            found.filter(|value| !value.is_null())
        };
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let not_text = || refused("it is not text");
        let token = match (given(&["authorization", "Authorization"]), given(&["token"])) {
            (None, None) => None,
            (Some(value), None) => Some(bearer(&text(value).ok_or_else(not_text)?)?.to_owned()),
            (None, Some(value)) => Some(text(value).ok_or_else(not_text)?),
            (Some(_), Some(_)) => return Err(refused("there are several")),
        };
        self.of_token(token.as_deref()).await
    }

    /// Who a token says somebody is.
    pub async fn of_token(&self, token: Option<&str>) -> Result<Caller, ClientError> {
        let Checks { is_open, terms, keys, .. } = &*self.0;
        let Some(token) = token else {
            return if *is_open {
                Ok(Caller::developer())
            } else {
                Err(ClientError::new(ErrorCode::Unauthenticated, "a token is needed"))
            };
        };
        if token.len() > LONGEST_TOKEN {
            return Err(refused("it is too long"));
        }
        // The algorithm is the key's. What the token says only chooses the key.
        let header = decode_header(token).map_err(|_| refused("it is broken"))?;
        match keys {
            KnownKeys::None => Err(refused("there is no key to check it by")),
            KnownKeys::Secret(key) => {
                let caller = token::verify(token, Algorithm::HS256, key, terms)?;
                // In development mode the schema is no secret.
                Ok(if *is_open { caller.who_knows_the_schema() } else { caller })
            }
            KnownKeys::Set(set) => {
                if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA) {
                    return Err(refused("it is not signed"));
                }
                let key = set.find(header.kid.as_deref(), header.alg).await?;
                token::verify(token, header.alg, &key, terms)
            }
        }
    }
}

/// The token in a header, if there is one.
fn token_in<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ClientError> {
    let mut given = headers.get_all(name).iter();
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let value = value.to_str().map_err(|_| refused("it is not text"))?;
            bearer(value).map(Some)
        }
        (Some(_), Some(_)) => Err(refused("there are several")),
    }
}

fn bearer(value: &str) -> Result<&str, ClientError> {
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        Some(_) | None => Err(refused("it is not of the form \"Bearer …\"")),
    }
}

/// A token that is not taken. The words are for whoever sent it: they tell
/// nothing about the keys.
fn refused(why: &str) -> ClientError {
    ClientError::new(ErrorCode::Unauthenticated, format!("the token is refused: {why}"))
}

/// Makes tokens, where there is a secret to sign them with.
#[derive(Debug, Clone)]
pub struct Issuer {
    secret: Secret,
    terms: Terms,
}

impl Issuer {
    /// The one whose tokens a server with these settings takes.
    pub async fn of(config: &Config) -> anyhow::Result<Self> {
        match &config.keys {
            Some(Keys { by: By::Secret(secret), terms }) => {
                Ok(Self { secret: secret.clone(), terms: terms.clone() })
            }
            Some(Keys { by: By::Set(_), terms }) => anyhow::bail!(
                "tokens are checked by the public keys of {}: only that issuer can make them",
                terms.issuer
            ),
            None => {
                let secret = match &config.database_url {
                    Some(_) => development::by_command(config).await?,
                    None => development::of_folder(&config.data)?,
                };
                Ok(Self { secret, terms: Terms::of_development() })
            }
        }
    }

    /// A token for somebody, from now on.
    pub fn mint(
        &self,
        subject: &str,
        rights: &Rights,
        lifetime: Duration,
    ) -> anyhow::Result<String> {
        let claims = Claims::of(subject, rights);
        token::mint(claims, lifetime, &self.terms, &self.secret).context("signing the token")
    }
}
