//! Documents that requests name instead of sending: by their hash, once a
//! client has sent them, or by the name under which whoever runs the mall
//! trusts them.
//!
//! What clients register lives in the document cache and shares its bound; a
//! document that has left it is asked for again. Trusted documents are read
//! from a manifest at the start and stay.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use anyhow::{Context as _, ensure};
use async_graphql::parser::{self, parse_query};
use serde::Deserialize;

use super::{
    document_cache::DocumentHash,
    guard::{self, Limits},
    pipeline::Parameters,
};
use crate::{
    auth::{Caller, Role},
    error::{ClientError, ErrorCode},
};

/// Which documents may be named, and which may not be sent.
#[derive(Debug, Clone)]
pub struct PersistedDocuments {
    /// Whether clients may register documents by their hash.
    pub automatic: bool,
    /// Documents known from the start.
    pub trusted: Arc<TrustedDocuments>,
    /// Whether no others are executed, but for routers.
    pub only_trusted: bool,
}

impl Default for PersistedDocuments {
    fn default() -> Self {
        Self { automatic: true, trusted: Arc::default(), only_trusted: false }
    }
}

/// What a request is to execute.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// This text.
    Text(Arc<str>),
    /// The document of this hash, if it is known.
    Hash(DocumentHash),
}

impl PersistedDocuments {
    /// Finds out what a request of somebody means.
    pub(super) fn source(
        &self,
        parameters: &mut Parameters,
        caller: &Caller,
    ) -> Result<Source, ClientError> {
        // Routers make their documents up as they plan. Which of their own
        // clients' documents they trust is theirs to say.
        let only_trusted = self.only_trusted && !caller.rights().roles.has(Role::Router);
        let claimed = claimed_hash(parameters)?;
        let name = parameters.document_id.as_deref().or(claimed.as_deref());
        // Clients whose protocol cannot do without a query send an empty one.
        let text = parameters.query.take().filter(|text| name.is_none() || !text.is_empty());
        let Some(text) = text else {
            let name = name.ok_or_else(|| {
                bad_request("a request has a query, or names a document: this one has neither")
            })?;
            return self.named(name, only_trusted);
        };
        if let Some(claimed) = claimed
            && self.trusted.get(&claimed).is_none_or(|trusted| **trusted != text)
            && DocumentHash::from_hex(&claimed) != Some(DocumentHash::of(&text))
        {
            return Err(bad_request("the hash is not that of the query it came with"));
        }
        if only_trusted && !self.trusted.holds(DocumentHash::of(&text)) {
            return Err(ClientError::new(
                ErrorCode::DocumentNotTrusted,
                "only documents the server was given beforehand are executed",
            ));
        }
        Ok(Source::Text(text.into()))
    }

    fn named(&self, name: &str, only_trusted: bool) -> Result<Source, ClientError> {
        // The form that the working draft on persisted documents gives hashes.
        let hash = name.strip_prefix("sha256:").unwrap_or(name);
        if let Some(text) = self.trusted.get(name).or_else(|| self.trusted.get(hash)) {
            return Ok(Source::Text(Arc::clone(text)));
        }
        if only_trusted {
            return Err(not_found());
        }
        if !self.automatic {
            // Clients compare these words.
            return Err(ClientError::new(
                ErrorCode::PersistedQueryNotSupported,
                "PersistedQueryNotSupported",
            ));
        }
        DocumentHash::from_hex(hash).map(Source::Hash).ok_or_else(not_found)
    }
}

/// Nobody has sent this document yet, or it was long ago.
pub(super) fn not_found() -> ClientError {
    // Clients compare these words.
    ClientError::new(ErrorCode::PersistedQueryNotFound, "PersistedQueryNotFound")
}

fn bad_request(message: &str) -> ClientError {
    ClientError::new(ErrorCode::BadRequest, message)
}

/// `extensions.persistedQuery` as Apollo's clients write it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PersistedQuery {
    version: u32,
    sha256_hash: String,
}

/// The hash that the request says its document has.
fn claimed_hash(parameters: &Parameters) -> Result<Option<String>, ClientError> {
    let extension = parameters.extensions.as_ref().and_then(|all| all.get("persistedQuery"));
    let Some(extension) = extension.filter(|extension| !extension.is_null()) else {
        return Ok(None);
    };
    let claim = PersistedQuery::deserialize(extension)
        .map_err(|_| bad_request("persistedQuery has a version and a sha256Hash"))?;
    if claim.version != 1 {
        return Err(bad_request("only version 1 of persisted queries is served"));
    }
    Ok(Some(claim.sha256_hash))
}

/// Documents by the names their makers gave them.
#[derive(Debug, Default)]
pub struct TrustedDocuments {
    by_name: HashMap<String, Arc<str>>,
    hashes: HashSet<DocumentHash>,
}

/// The forms in which compilers of client programs write what they found.
#[derive(Deserialize)]
#[serde(untagged)]
enum Manifest {
    /// Apollo's `persisted-query-manifest.json`.
    Apollo { format: String, version: u32, operations: Vec<ApolloOperation> },
    /// Relay's: texts by their names.
    Relay(HashMap<String, String>),
}

#[derive(Deserialize)]
struct ApolloOperation {
    id: String,
    body: String,
}

impl TrustedDocuments {
    /// Reads a manifest, Apollo's or Relay's. Each document in it must be one
    /// that would be executed: within the limits at least.
    pub fn read(file: &Path, limits: &Limits) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("reading the trusted documents in {}", file.display()))?;
        Self::of_manifest(&text, limits)
            .with_context(|| format!("the trusted documents in {}", file.display()))
    }

    fn of_manifest(text: &str, limits: &Limits) -> anyhow::Result<Self> {
        let manifest = serde_json::from_str(text).context("neither Apollo's form nor Relay's")?;
        let documents: Vec<(String, String)> = match manifest {
            Manifest::Apollo { format, version, operations } => {
                ensure!(
                    format == "apollo-persisted-query-manifest" && version == 1,
                    "a manifest of the format {format:?}, version {version}, is not known here"
                );
                operations.into_iter().map(|operation| (operation.id, operation.body)).collect()
            }
            Manifest::Relay(texts) => texts.into_iter().collect(),
        };
        let mut trusted = Self::default();
        for (name, text) in documents {
            check(&text, limits).with_context(|| format!("the document {name:?}"))?;
            trusted.hashes.insert(DocumentHash::of(&text));
            let again = trusted.by_name.insert(name.clone(), text.into());
            ensure!(again.is_none(), "two documents are called {name:?}");
        }
        Ok(trusted)
    }

    /// What their operations are called.
    pub(super) fn operation_names(&self) -> Result<Vec<String>, parser::Error> {
        let mut names = Vec::new();
        for text in self.by_name.values() {
            let document = parse_query(text)?;
            names
                .extend(document.operations.iter().filter_map(|(name, _)| Some(name?.to_string())));
        }
        Ok(names)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.by_name.len()
    }

    fn get(&self, name: &str) -> Option<&Arc<str>> {
        self.by_name.get(name)
    }

    fn holds(&self, hash: DocumentHash) -> bool {
        self.hashes.contains(&hash)
    }
}

fn check(text: &str, limits: &Limits) -> anyhow::Result<()> {
    let in_words = |error: ClientError| anyhow::anyhow!(error.message.clone());
    guard::check_text(text, limits).map_err(in_words)?;
    guard::check_document(&parse_query(text)?, limits).map_err(in_words)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::{Rights, Roles};

    const APOLLO: &str = r#"{ "format": "apollo-persisted-query-manifest", "version": 1,
        "operations": [
            { "id": "one", "name": "A", "type": "query", "body": "query A { a }" },
            { "id": "two", "name": "B", "type": "query", "body": "query B { b }" }
        ] }"#;
    const RELAY: &str = r#"{ "one": "query A { a }", "two": "query B { b }" }"#;

    fn trusted(manifest: &str) -> TrustedDocuments {
        TrustedDocuments::of_manifest(manifest, &Limits::default()).unwrap()
    }

    fn source(
        documents: &PersistedDocuments,
        request: serde_json::Value,
    ) -> Result<Source, ErrorCode> {
        source_for(documents, request, &[Role::Admin])
    }

    fn source_for(
        documents: &PersistedDocuments,
        request: serde_json::Value,
        roles: &[Role],
    ) -> Result<Source, ErrorCode> {
        let mut parameters: Parameters = serde_json::from_value(request).unwrap();
        let rights = Rights { roles: Roles::of(roles), ..Rights::default() };
        let caller = Caller::new("x", rights, None);
        documents.source(&mut parameters, &caller).map_err(|error| error.code)
    }

    fn hashed(hash: &str) -> serde_json::Value {
        json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } })
    }

    fn text(text: &str) -> Source {
        Source::Text(text.into())
    }

    #[test]
    fn a_hash_names_a_document_and_must_fit_the_text_it_comes_with() {
        let documents = PersistedDocuments::default();
        let hash = format!("{:?}", DocumentHash::of("{ a }"));
        let known = || Ok(Source::Hash(DocumentHash::of("{ a }")));
        for request in [
            json!({ "extensions": hashed(&hash) }),
            json!({ "query": null, "extensions": hashed(&hash.to_uppercase()) }),
            json!({ "query": "", "extensions": hashed(&hash) }),
            json!({ "documentId": format!("sha256:{hash}") }),
        ] {
            assert_eq!(source(&documents, request.clone()), known(), "{request}");
        }
        let both = json!({ "query": "{ a }", "extensions": hashed(&hash) });
        assert_eq!(source(&documents, both), Ok(text("{ a }")));
        let other = json!({ "query": "{ b }", "extensions": hashed(&hash) });
        assert_eq!(source(&documents, other), Err(ErrorCode::BadRequest));
        let none = json!({ "query": "{ a }", "extensions": { "persistedQuery": null } });
        assert_eq!(source(&documents, none), Ok(text("{ a }")));
        for broken in [
            json!({}),
            json!({ "extensions": { "persistedQuery": 1 } }),
            json!({ "extensions": { "persistedQuery": { "version": 1 } } }),
            json!({ "extensions": { "persistedQuery": { "version": 2, "sha256Hash": hash } } }),
        ] {
            assert_eq!(source(&documents, broken.clone()), Err(ErrorCode::BadRequest), "{broken}");
        }
        for unknown in ["", "x", "é", &hash[1..], &format!("{hash}0")] {
            let request = json!({ "extensions": hashed(unknown) });
            assert_eq!(source(&documents, request), Err(ErrorCode::PersistedQueryNotFound));
        }
    }

    #[test]
    fn a_server_that_keeps_nothing_says_so() {
        let documents = PersistedDocuments { automatic: false, ..PersistedDocuments::default() };
        let hash = format!("{:?}", DocumentHash::of("{ a }"));
        let request = json!({ "extensions": hashed(&hash) });
        assert_eq!(source(&documents, request), Err(ErrorCode::PersistedQueryNotSupported));
        assert_eq!(source(&documents, json!({ "query": "{ a }" })), Ok(text("{ a }")));
    }

    #[test]
    fn trusted_documents_are_known_by_the_names_of_the_manifest() {
        for manifest in [APOLLO, RELAY] {
            let trusted = trusted(manifest);
            assert_eq!(trusted.count(), 2);
            let documents =
                PersistedDocuments { trusted: Arc::new(trusted), ..PersistedDocuments::default() };
            for request in [
                json!({ "documentId": "two" }),
                json!({ "doc_id": "two" }),
                json!({ "extensions": hashed("two") }),
                json!({ "query": "query B { b }", "extensions": hashed("two") }),
            ] {
                assert_eq!(source(&documents, request), Ok(text("query B { b }")));
            }
            assert_eq!(source(&documents, json!({ "query": "{ c }" })), Ok(text("{ c }")));
        }
    }

    #[test]
    fn if_only_trusted_documents_are_served_no_others_are() {
        let documents = PersistedDocuments {
            trusted: Arc::new(trusted(APOLLO)),
            only_trusted: true,
            ..PersistedDocuments::default()
        };
        assert_eq!(source(&documents, json!({ "documentId": "one" })), Ok(text("query A { a }")));
        // Clients that do not know of the names may go on sending texts.
        assert_eq!(
            source(&documents, json!({ "query": "query A { a }" })),
            Ok(text("query A { a }"))
        );
        let refused = json!({ "query": "query A { a  }" });
        assert_eq!(source(&documents, refused), Err(ErrorCode::DocumentNotTrusted));
        let hash = format!("{:?}", DocumentHash::of("{ c }"));
        let registered = json!({ "query": "{ c }", "extensions": hashed(&hash) });
        assert_eq!(source(&documents, registered), Err(ErrorCode::DocumentNotTrusted));
        let unknown = json!({ "extensions": hashed(&hash) });
        assert_eq!(source(&documents, unknown), Err(ErrorCode::PersistedQueryNotFound));
    }

    #[test]
    fn routers_plan_documents_that_nobody_could_trust_beforehand() {
        let documents = PersistedDocuments { only_trusted: true, ..PersistedDocuments::default() };
        let planned = json!({ "query": "{ c }" });
        for (roles, source) in [
            (&[Role::Router][..], Ok(text("{ c }"))),
            (&[Role::Customer, Role::Router], Ok(text("{ c }"))),
            (&[Role::Admin], Err(ErrorCode::DocumentNotTrusted)),
        ] {
            assert_eq!(source_for(&documents, planned.clone(), roles), source, "{roles:?}");
        }
    }

    #[test]
    fn a_manifest_that_cannot_be_served_is_refused() {
        for (manifest, fault) in [
            ("[]", "neither Apollo's form nor Relay's"),
            ("{", "neither Apollo's form nor Relay's"),
            (r#"{ "format": "other", "version": 1, "operations": [] }"#, "is not known here"),
            (r#"{ "one": "query {" }"#, "the document \"one\""),
            (r#"{ "one": "{ ...a } fragment a on T { ...a }" }"#, "contains itself"),
        ] {
            let refused = TrustedDocuments::of_manifest(manifest, &Limits::default()).unwrap_err();
            assert!(format!("{refused:#}").contains(fault), "{refused:#}");
        }
        let twice = APOLLO.replace("\"two\"", "\"one\"");
        assert!(TrustedDocuments::of_manifest(&twice, &Limits::default()).is_err());
    }
}
