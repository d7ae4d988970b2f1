//! Documents that were parsed, measured and found valid once, kept so that
//! the next request pays for none of it.

use std::{fmt, sync::Arc};

use async_graphql::parser::types::ExecutableDocument;
use moka::sync::Cache;
use sha2::{Digest, Sha256};

use super::variables::nests_variables;

/// What names a document: the SHA-256 of its text, so that nobody can make two
/// documents share a place.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DocumentHash([u8; 32]);

impl DocumentHash {
    /// Names a document by its text.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }
}

impl fmt::Debug for DocumentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A document worth keeping.
#[derive(Debug)]
pub struct KnownDocument {
    /// It, parsed. Cloned for each execution, which takes a fraction of parsing it.
    pub document: ExecutableDocument,
    /// Whether it has variables within lists or objects.
    pub nests_variables: bool,
    /// About how much memory it takes.
    weight: u32,
}

impl KnownDocument {
    /// Weighs a parsed document by its text.
    pub fn new(document: ExecutableDocument, text: &str) -> Self {
        // Measured: a parsed document takes about 25 times its text, mostly
        // names, positions and vectors with room to spare.
        let weight = u32::try_from(text.len()).unwrap_or(u32::MAX).saturating_mul(25);
        let nests_variables = nests_variables(&document);
        Self { document, nests_variables, weight: weight.saturating_add(1024) }
    }
}

/// The documents, within a bound of memory; the least used ones leave first.
#[derive(Debug)]
pub struct DocumentCache(Cache<DocumentHash, Arc<KnownDocument>>);

impl DocumentCache {
    /// A cache that holds about this many bytes.
    pub fn new(bytes: u64) -> Self {
        Self(
            Cache::builder()
                .name("documents")
                .max_capacity(bytes)
                .weigher(|_, known: &Arc<KnownDocument>| known.weight)
                .build(),
        )
    }

    /// A document that is known to be valid.
    pub fn get(&self, hash: DocumentHash) -> Option<Arc<KnownDocument>> {
        self.0.get(&hash)
    }

    /// Keeps a document that turned out valid.
    pub fn keep(&self, hash: DocumentHash, known: Arc<KnownDocument>) {
        self.0.insert(hash, known);
    }

    /// How much memory the documents take, about.
    pub fn weight(&self) -> u64 {
        self.0.run_pending_tasks();
        self.0.weighted_size()
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    fn known(text: &str) -> (DocumentHash, Arc<KnownDocument>) {
        (DocumentHash::of(text), Arc::new(KnownDocument::new(parse_query(text).unwrap(), text)))
    }

    #[test]
    fn a_kept_document_is_found_by_its_text() {
        let cache = DocumentCache::new(1 << 20);
        let (hash, document) = known("{ a }");
        assert!(cache.get(hash).is_none());
        cache.keep(hash, document);
        assert!(cache.get(DocumentHash::of("{ a }")).is_some());
        assert!(cache.get(DocumentHash::of("{ a  }")).is_none());
    }

    #[test]
    fn memory_stays_bounded_whatever_is_kept() {
        let cache = DocumentCache::new(64 * 1024);
        for n in 0..1_000 {
            let (hash, document) = known(&format!("{{ a{n} }}"));
            cache.keep(hash, document);
        }
        assert!(cache.weight() <= 64 * 1024, "{} bytes", cache.weight());
    }
}
