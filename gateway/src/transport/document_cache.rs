//! Documents that were parsed, measured and found valid once, kept so that
//! the next request pays for none of it.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use async_graphql::{Name, parser::types::ExecutableDocument};
use moka::sync::Cache;
use sha2::{Digest, Sha256};

use super::variables::nests_variables;
use crate::auth::rules::Needs;

/// What names a document: the SHA-256 of its text, so that nobody can make two
/// documents share a place.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DocumentHash([u8; 32]);

impl DocumentHash {
    /// Names a document by its text.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// As bytes, to make other names with.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads a name as clients write it: 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes().as_chunks::<2>();
        let (pairs, []) = digits else { return None };
        let pairs: &[_; 32] = pairs.try_into().ok()?;
        let mut hash = [0; 32];
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            let digit = |digit: &u8| char::from(*digit).to_digit(16);
            *byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
        }
        Some(Self(hash))
    }
}

impl fmt::Debug for DocumentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What was found out about a document when it was judged.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts {
    /// Whether what it costs depends on its variables.
    pub cost_varies: bool,
    /// Whether it asks for the schema itself.
    pub introspects: bool,
}

/// A document worth keeping.
#[derive(Debug)]
pub struct KnownDocument {
    /// It, parsed. Cloned for each execution, which takes a fraction of parsing it.
    pub document: ExecutableDocument,
    /// Whether it has variables within lists or objects.
    pub nests_variables: bool,
    /// Variables that are declared and stand in one more place.
    used_once: HashSet<Box<str>>,
    /// What executing each of its operations takes.
    needs: Vec<(Option<Name>, Needs)>,
    /// What was found out about it.
    pub facts: Facts,
    /// About how much memory it takes.
    weight: u32,
}

impl KnownDocument {
    /// Weighs a parsed document by its text.
    pub(crate) fn new(
        document: ExecutableDocument,
        text: &str,
        needs: Vec<(Option<Name>, Needs)>,
        facts: Facts,
    ) -> Self {
        // Measured: a parsed document takes about 25 times its text, mostly
        // names, positions and vectors with room to spare.
        let weight = u32::try_from(text.len()).unwrap_or(u32::MAX).saturating_mul(25);
        let nests_variables = nests_variables(&document);
        let used_once = mentioned_twice(text);
        let weight = weight.saturating_add(1024);
        Self { document, nests_variables, used_once, needs, facts, weight }
    }

    /// What executing the operation of that name takes.
    pub(crate) fn needs(&self, operation: Option<&str>) -> Option<&Needs> {
        let named = |name: &Option<Name>| name.as_deref() == operation;
        self.needs.iter().find(|(name, _)| named(name)).map(|(_, needs)| needs)
    }

    /// Whether a variable is declared and then stands in one place only.
    pub fn uses_once(&self, variable: &str) -> bool {
        self.used_once.contains(variable)
    }
}

/// The variables whose names stand in a text twice. Those in comments count
/// too: they make it too many, never too few. Where a `$` and its name are
/// apart there is no telling.
fn mentioned_twice(text: &str) -> HashSet<Box<str>> {
    let mut mentioned: HashMap<&str, usize> = HashMap::new();
    for rest in text.split('$').skip(1) {
        let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = rest.bytes().take_while(is_of_name).count();
        if length == 0 {
            return HashSet::new();
        }
        *mentioned.entry(&rest[..length]).or_default() += 1;
    }
    let twice = mentioned.into_iter().filter(|(_, times)| *times == 2);
    twice.map(|(name, _)| name.into()).collect()
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
        // At once, not when the cache finds time: until then the bound would
        // hold for nobody who sends enough of them.
        self.0.run_pending_tasks();
    }

    /// How much memory the documents take, about.
    pub fn weight(&self) -> u64 {
        self.0.weighted_size()
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    fn known_document(text: &str) -> KnownDocument {
        let document = parse_query(text).unwrap();
        KnownDocument::new(document, text, Vec::new(), Facts::default())
    }

    fn known(text: &str) -> (DocumentHash, Arc<KnownDocument>) {
        (DocumentHash::of(text), Arc::new(known_document(text)))
    }

    #[test]
    fn a_kept_document_is_found_by_its_text() {
        let cache = DocumentCache::new(1 << 20);
        let (hash, document) = known("{ a }");
        assert_eq!(DocumentHash::from_hex(&format!("{hash:?}")), Some(hash));
        assert!(cache.get(hash).is_none());
        cache.keep(hash, document);
        assert!(cache.get(DocumentHash::of("{ a }")).is_some());
        assert!(cache.get(DocumentHash::of("{ a  }")).is_none());
    }

    #[test]
    fn a_variable_that_stands_in_one_place_is_known() {
        let text = "query($a: Int, $ab: Int, $c: Int) { x(a: $a, b: $ab, c: $c) { y(c: $c) } }";
        let known = known_document(text);
        let once = ["a", "ab", "c", "d"].map(|name| known.uses_once(name));
        assert_eq!(once, [true, true, false, false]);
        let text = "query($a: Int) { x(a: $a) { y(a: $ a) } }";
        assert!(!known_document(text).uses_once("a"));
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
