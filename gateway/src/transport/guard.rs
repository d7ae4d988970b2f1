//! What a document may cost, judged before anything looks at it twice.
//!
//! Validation and execution write fragments out wherever they are spread, so a
//! document of a few hundred bytes can mean 2³⁰ fields. Here each selection is
//! looked at once: what a fragment comes to is remembered and added up, so the
//! judgment takes time in proportion to the document, not to what it means.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned,
    parser::types::{ExecutableDocument, Field, OperationType, Selection, SelectionSet},
};

use crate::error::{ClientError, ErrorCode};

/// How much one document may ask for.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Length of the text in bytes.
    pub bytes: usize,
    /// Lexical tokens.
    pub tokens: usize,
    /// Brackets of any kind open at once. The parser recurses once for each,
    /// so this also bounds its stack.
    pub nesting: usize,
    /// Selections with every fragment written out, over all operations.
    pub nodes: u64,
    /// Aliases of one operation, written out.
    pub aliases: u64,
    /// Fields at the top of one operation, written out.
    pub root_fields: u64,
    /// Directives of one operation, written out.
    pub directives: u64,
    /// Fields within fields, without what is asked of the schema itself.
    pub depth: u64,
    /// Selection sets within selection sets, those of fragments included. The
    /// executor refuses more than 32 itself, but only after walking there.
    pub levels: u64,
    /// Lists of the schema's types within one another below `__schema` and
    /// `__type`: each multiplies the answer by the size of the schema.
    pub introspection_lists: u64,
    /// What one operation may cost: a field costs one, and what is on a page
    /// costs that for each item the page may have.
    pub cost: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 32 * 1024,
            tokens: 4_000,
            nesting: 48,
            nodes: 2_000,
            aliases: 30,
            root_fields: 20,
            directives: 20,
            depth: 15,
            levels: 32,
            introspection_lists: 2,
            cost: 10_000,
        }
    }
}

/// What a selection set comes to with every fragment written out. Saturates:
/// past the limits the exact number no longer matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Fields, fragment spreads and inline fragments.
    pub nodes: u64,
    /// Aliases.
    pub aliases: u64,
    /// Directives.
    pub directives: u64,
    /// Fields at the top.
    pub root_fields: u64,
    /// Fields within fields; what is asked of the schema itself counts as one.
    pub depth: u64,
    /// Selection sets within selection sets.
    pub levels: u64,
    /// Lists of the schema's types within one another, wherever they stand.
    lists: u64,
    /// The same below `__schema` and `__type` only.
    pub introspection_lists: u64,
    /// Whether the schema itself is asked for.
    pub introspects: bool,
}

impl Size {
    /// Both, side by side.
    fn beside(self, other: Self) -> Self {
        Self {
            nodes: self.nodes.saturating_add(other.nodes),
            aliases: self.aliases.saturating_add(other.aliases),
            directives: self.directives.saturating_add(other.directives),
            root_fields: self.root_fields.saturating_add(other.root_fields),
            depth: self.depth.max(other.depth),
            levels: self.levels.max(other.levels),
            lists: self.lists.max(other.lists),
            introspection_lists: self.introspection_lists.max(other.introspection_lists),
            introspects: self.introspects || other.introspects,
        }
    }

    /// What a field with this selection set comes to.
    fn below_field(self, field: &Field) -> Self {
        let name = field.name.node.as_str();
        let introspects = matches!(name, "__schema" | "__type");
        let tells_schema = introspects || name == "_service";
        let lists = self.lists + u64::from(LISTS_OF_TYPES.contains(&name));
        Self {
            nodes: self.nodes.saturating_add(1),
            aliases: self.aliases.saturating_add(u64::from(field.alias.is_some())),
            directives: self.directives.saturating_add(field.directives.len() as u64),
            root_fields: 1,
            depth: if introspects { 1 } else { self.depth + 1 },
            levels: self.levels + u64::from(!field.selection_set.node.items.is_empty()),
            lists,
            introspection_lists: if introspects { lists } else { self.introspection_lists },
            introspects: self.introspects || tells_schema,
        }
    }

    /// What a fragment, spread or inline, with this selection set comes to.
    fn below_fragment(self, directives: usize) -> Self {
        Self {
            nodes: self.nodes.saturating_add(1),
            directives: self.directives.saturating_add(directives as u64),
            levels: self.levels + 1,
            ..self
        }
    }
}

/// The lists by which a schema's description leads back into itself.
const LISTS_OF_TYPES: [&str; 4] = ["fields", "inputFields", "interfaces", "possibleTypes"];

/// What a document comes to.
#[derive(Debug, Clone)]
pub struct Measure {
    /// Each operation.
    pub operations: Vec<(OperationType, Size)>,
    /// The largest fragment, in nodes: unused ones are validated too.
    pub largest_fragment: u64,
    /// How many selections were looked at to find out. Each is looked at once.
    pub visited: u64,
}

/// Judges the text, before it is parsed.
pub fn check_text(text: &str, limits: &Limits) -> Result<(), ClientError> {
    if text.len() > limits.bytes {
        return Err(too_much(
            ErrorCode::QueryTooLarge,
            "bytes of document",
            text.len() as u64,
            limits.bytes as u64,
        ));
    }
    let lexical = scan(text);
    if lexical.tokens > limits.tokens {
        return Err(too_much(
            ErrorCode::TooManyTokens,
            "tokens",
            lexical.tokens as u64,
            limits.tokens as u64,
        ));
    }
    if lexical.nesting > limits.nesting {
        return Err(too_much(
            ErrorCode::QueryTooDeep,
            "nested brackets",
            lexical.nesting as u64,
            limits.nesting as u64,
        ));
    }
    Ok(())
}

/// Judges the parsed document, before it is validated.
pub fn check_document(
    document: &ExecutableDocument,
    limits: &Limits,
) -> Result<Measure, ClientError> {
    let measure = measure(document).map_err(|CyclicFragment(name)| {
        ClientError::new(
            ErrorCode::FragmentCycle,
            format!("the fragment \"{name}\" contains itself"),
        )
    })?;

    let nodes = measure
        .operations
        .iter()
        .fold(0u64, |sum, (_, size)| sum.saturating_add(size.nodes))
        .max(measure.largest_fragment);
    let most = |part: fn(&Size) -> u64| {
        measure.operations.iter().map(|(_, size)| part(size)).max().unwrap_or_default()
    };
    for (code, what, is, limit) in [
        (ErrorCode::QueryTooComplex, "fields with all fragments written out", nodes, limits.nodes),
        (ErrorCode::TooManyAliases, "aliases", most(|size| size.aliases), limits.aliases),
        (
            ErrorCode::TooManyRootFields,
            "root fields",
            most(|size| size.root_fields),
            limits.root_fields,
        ),
        (
            ErrorCode::TooManyDirectives,
            "directives",
            most(|size| size.directives),
            limits.directives,
        ),
        (ErrorCode::QueryTooDeep, "fields within fields", most(|size| size.depth), limits.depth),
        (
            ErrorCode::QueryTooDeep,
            "selections within selections",
            most(|size| size.levels),
            limits.levels,
        ),
        (
            ErrorCode::QueryTooDeep,
            "lists of types within lists of types",
            most(|size| size.introspection_lists),
            limits.introspection_lists,
        ),
    ] {
        if is > limit {
            return Err(too_much(code, what, is, limit));
        }
    }
    for (kind, size) in &measure.operations {
        if *kind == OperationType::Subscription && size.root_fields > 1 {
            return Err(ClientError::new(
                ErrorCode::ValidationFailed,
                "a subscription has exactly one root field",
            ));
        }
    }
    Ok(measure)
}

pub(super) fn too_much(code: ErrorCode, what: &str, is: u64, limit: u64) -> ClientError {
    ClientError::new(code, format!("the document has {is} {what}, {limit} are allowed"))
        .with_details(async_graphql::value!({ "limit": limit, "actual": is }))
}

/// A document's text, counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lexical {
    tokens: usize,
    nesting: usize,
}

/// Counts tokens and nesting by the lexical grammar of the specification
/// (section 2.1). Text that is no GraphQL is counted somehow: the parser will
/// refuse it.
fn scan(text: &str) -> Lexical {
    let bytes = text.as_bytes();
    let mut lexical = Lexical::default();
    let mut open = 0usize;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => 1,
            b'#' => length_while(&bytes[at..], |b| b != b'\n' && b != b'\r'),
            b'"' => {
                lexical.tokens += 1;
                string_length(&bytes[at..])
            }
            b'{' | b'[' | b'(' => {
                lexical.tokens += 1;
                open += 1;
                lexical.nesting = lexical.nesting.max(open);
                1
            }
            b'}' | b']' | b')' => {
                lexical.tokens += 1;
                open = open.saturating_sub(1);
                1
            }
            b'.' => {
                lexical.tokens += 1;
                length_while(&bytes[at..], |b| b == b'.')
            }
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                lexical.tokens += 1;
                length_while(&bytes[at..], |b| b.is_ascii_alphanumeric() || b == b'_')
            }
            b'-' | b'0'..=b'9' => {
                lexical.tokens += 1;
                number_length(&bytes[at..])
            }
            _ => {
                lexical.tokens += 1;
                1
            }
        };
    }
    lexical
}

fn length_while(bytes: &[u8], holds: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|&byte| !holds(byte)).unwrap_or(bytes.len()).max(1)
}

/// How long the number is that starts here.
fn number_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        let belongs = match byte {
            // Three dots would be a spread, not a fraction.
            b'.' => bytes.get(at + 1).is_some_and(u8::is_ascii_digit),
            b'+' | b'-' => matches!(bytes[at - 1], b'e' | b'E'),
            _ => byte.is_ascii_alphanumeric(),
        };
        if !belongs {
            break;
        }
        at += 1;
    }
    at
}

/// How long the string is that starts here, its quotes included. A string that
/// never ends reaches to the end of its line, or of the text.
fn string_length(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\"\"\"") {
        let mut at = 3;
        while at < bytes.len() {
            if bytes[at..].starts_with(b"\\\"\"\"") {
                at += 4;
            } else if bytes[at..].starts_with(b"\"\"\"") {
                return at + 3;
            } else {
                at += 1;
            }
        }
        return bytes.len();
    }
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            b'\n' | b'\r' => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A fragment that contains itself, by name.
#[derive(Debug, PartialEq, Eq)]
pub struct CyclicFragment(pub Name);

/// Adds up what a document comes to.
pub fn measure(document: &ExecutableDocument) -> Result<Measure, CyclicFragment> {
    let mut counting = Counting { document, known: HashMap::new(), visited: 0 };
    let mut operations = Vec::new();
    for (_, operation) in document.operations.iter() {
        let size = counting.selections(&operation.node.selection_set)?;
        let directives = size.directives.saturating_add(operation.node.directives.len() as u64);
        operations.push((operation.node.ty, Size { directives, ..size }));
    }
    let mut largest_fragment = 0;
    for name in document.fragments.keys() {
        largest_fragment = largest_fragment.max(counting.fragment(name)?.nodes);
    }
    Ok(Measure { operations, largest_fragment, visited: counting.visited })
}

struct Counting<'a> {
    document: &'a ExecutableDocument,
    /// What fragments come to; `None` while it is being found out.
    known: HashMap<&'a Name, Option<Size>>,
    visited: u64,
}

impl<'a> Counting<'a> {
    fn selections(&mut self, set: &'a Positioned<SelectionSet>) -> Result<Size, CyclicFragment> {
        let mut sum = Size::default();
        for selection in &set.node.items {
            self.visited += 1;
            let size = match &selection.node {
                Selection::Field(field) => {
                    self.selections(&field.node.selection_set)?.below_field(&field.node)
                }
                Selection::InlineFragment(inline) => self
                    .selections(&inline.node.selection_set)?
                    .below_fragment(inline.node.directives.len()),
                Selection::FragmentSpread(spread) => self
                    .fragment(&spread.node.fragment_name.node)?
                    .below_fragment(spread.node.directives.len()),
            };
            sum = sum.beside(size);
        }
        Ok(sum)
    }

    fn fragment(&mut self, name: &'a Name) -> Result<Size, CyclicFragment> {
        match self.known.get(name) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => return Err(CyclicFragment(name.clone())),
            None => {}
        }
        // A fragment that is not there is the validation's to report.
        let Some(fragment) = self.document.fragments.get(name) else {
            return Ok(Size::default());
        };
        self.known.insert(name, None);
        let size = self.selections(&fragment.node.selection_set)?;
        let directives = size.directives.saturating_add(fragment.node.directives.len() as u64);
        let size = Size { directives, ..size };
        self.known.insert(name, Some(size));
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> Result<Measure, ErrorCode> {
        let limits = Limits::default();
        check_text(text, &limits).map_err(|error| error.code)?;
        check_document(&parse_query(text).unwrap(), &limits).map_err(|error| error.code)
    }

    fn size(text: &str) -> Size {
        measure(&parse_query(text).unwrap()).unwrap().operations[0].1
    }

    /// Fragments that each spread the next one twice: 2^rounds leaves.
    fn bomb(rounds: usize) -> String {
        let fragments = joined(0..rounds, |round| {
            format!("fragment f{round} on Query {{ ...f{0} ...f{0} }}", round + 1)
        });
        format!("{{ x {{ ...f0 }} }} {fragments} fragment f{rounds} on Query {{ __typename }}")
    }

    fn joined(numbers: std::ops::Range<usize>, text: impl Fn(usize) -> String) -> String {
        numbers.map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn tokens_are_counted_as_the_specification_cuts_them() {
        assert_eq!(scan("query($a:Int!=1){b(c:\"x # y\",d:-1.5e3)...on T@e{f}}").tokens, 29);
        assert_eq!(scan("{a...b...c(d:1.5...e)}").tokens, 14);
        assert_eq!(scan("# nothing\n , ").tokens, 0);
        assert_eq!(scan(r#"{ a(b: """ " \""" { [ """) }"#), Lexical { tokens: 8, nesting: 2 });
        assert_eq!(scan("\"never closed { {\n{"), Lexical { tokens: 2, nesting: 1 });
        assert_eq!(scan("{[(}])"), Lexical { tokens: 6, nesting: 3 });
    }

    #[test]
    fn a_document_may_be_32_kib_long_and_no_longer() {
        let longest = format!("{{a}}#{}", " ".repeat(32 * 1024 - 4));
        assert!(check(&longest).is_ok());
        assert_eq!(check(&(longest + " ")).unwrap_err(), ErrorCode::QueryTooLarge);
    }

    #[test]
    fn a_document_may_have_4000_tokens_and_no_more() {
        let fields = |count: usize| format!("{{{}}}", "a ".repeat(count));
        assert_ne!(check(&fields(3_998)).unwrap_err(), ErrorCode::TooManyTokens);
        assert_eq!(check(&fields(3_999)).unwrap_err(), ErrorCode::TooManyTokens);
    }

    #[test]
    fn brackets_nested_too_deep_never_reach_the_parser() {
        let value = format!("{{a(b:{}{})}}", "[".repeat(15_000), "]".repeat(15_000));
        let limits = Limits { tokens: usize::MAX, ..Limits::default() };
        assert_eq!(check_text(&value, &limits).unwrap_err().code, ErrorCode::QueryTooDeep);
    }

    #[test]
    fn the_parser_survives_the_deepest_nesting_allowed() {
        // A small stack, such as a thread of the runtime may have left.
        let parse = || {
            let fields = format!("{}a{}", "{a".repeat(48), "}".repeat(48));
            let lists = format!("{{a(b:{}{})}}", "[".repeat(46), "]".repeat(46));
            let inline = format!("{}a{}", "{...".repeat(47) + "{", "}".repeat(48));
            [fields, lists, inline].map(|text| {
                check_text(&text, &Limits::default()).unwrap();
                parse_query(&text).is_ok()
            })
        };
        let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(parse).unwrap();
        assert_eq!(thread.join().unwrap(), [true; 3]);
    }

    #[test]
    fn a_bomb_takes_as_long_as_its_text_not_as_its_meaning() {
        for rounds in [10, 20, 30, 200] {
            let document = parse_query(bomb(rounds)).unwrap();
            let measure = measure(&document).unwrap();
            assert_eq!(measure.visited, 2 * rounds as u64 + 3, "2^{rounds}");
        }
        assert_eq!(size(&bomb(30)).nodes, 3 * (1 << 30));
        assert_eq!(size(&bomb(200)).nodes, u64::MAX);
    }

    #[test]
    fn a_document_may_mean_2000_fields_and_no_more() {
        // Nine rounds come to 1536 nodes, ten to 3072.
        assert!(check(&bomb(9)).is_ok());
        for rounds in [10, 20, 30, 100] {
            assert_eq!(check(&bomb(rounds)).unwrap_err(), ErrorCode::QueryTooComplex);
        }
    }

    #[test]
    fn several_operations_count_together() {
        let operation = |name: usize| format!("query q{name} {{ {} }}", "a b c d e ".repeat(4));
        let several = |count: usize| joined(0..count, operation);
        assert!(check(&several(100)).is_ok());
        assert_eq!(check(&several(101)).unwrap_err(), ErrorCode::QueryTooComplex);
    }

    #[test]
    fn a_bomb_nobody_spreads_is_still_a_bomb() {
        let text = bomb(20).replacen("{ ...f0 }", "{ a }", 1);
        assert_eq!(check(&text).unwrap_err(), ErrorCode::QueryTooComplex);
    }

    #[test]
    fn thirty_aliases_pass_and_one_more_does_not_written_out_or_spread() {
        let aliases = |count: usize| joined(0..count, |n| format!("a{n}: x"));
        assert!(check(&format!("{{ b {{ {} }} }}", aliases(30))).is_ok());
        assert_eq!(
            check(&format!("{{ b {{ {} }} }}", aliases(31))).unwrap_err(),
            ErrorCode::TooManyAliases
        );
        let spread =
            format!("{{ b {{ ...f }} c {{ ...f }} }} fragment f on T {{ {} }}", aliases(16));
        assert_eq!(check(&spread).unwrap_err(), ErrorCode::TooManyAliases);
    }

    #[test]
    fn twenty_root_fields_pass_and_one_more_does_not_written_out_or_spread() {
        assert!(check(&format!("{{ {} }}", "a ".repeat(20))).is_ok());
        assert_eq!(
            check(&format!("{{ {} }}", "a ".repeat(21))).unwrap_err(),
            ErrorCode::TooManyRootFields
        );
        let spread =
            format!("{{ ...f ...f ...{{ a }} }} fragment f on T {{ {} }}", "a ".repeat(10));
        assert_eq!(check(&spread).unwrap_err(), ErrorCode::TooManyRootFields);
    }

    #[test]
    fn twenty_directives_pass_and_one_more_does_not() {
        assert!(check(&format!("{{ a {} }}", "@d ".repeat(20))).is_ok());
        assert_eq!(
            check(&format!("query @d {{ a {} }}", "@d ".repeat(20))).unwrap_err(),
            ErrorCode::TooManyDirectives
        );
        let spread =
            format!("{{ b {{ ...f }} c {{ ...f }} }} fragment f on T {} {{ a }}", "@d ".repeat(11));
        assert_eq!(check(&spread).unwrap_err(), ErrorCode::TooManyDirectives);
    }

    #[test]
    fn fifteen_fields_within_fields_pass_and_one_more_does_not() {
        let nested =
            |depth: usize| format!("{}a{}", "{a".repeat(depth - 1) + "{", "}".repeat(depth));
        assert_eq!(size(&nested(15)).depth, 15);
        assert!(check(&nested(15)).is_ok());
        assert_eq!(check(&nested(16)).unwrap_err(), ErrorCode::QueryTooDeep);
    }

    #[test]
    fn a_chain_of_fragments_is_as_deep_as_it_is_long() {
        let chain = |length: usize| {
            let links = joined(0..length, |n| format!("fragment f{n} on T {{ ...f{} }}", n + 1));
            format!("{{ ...f0 }} {links} fragment f{length} on T {{ a }}")
        };
        assert!(check(&chain(31)).is_ok());
        assert_eq!(check(&chain(32)).unwrap_err(), ErrorCode::QueryTooDeep);
        assert_eq!(check(&chain(400)).unwrap_err(), ErrorCode::QueryTooDeep);
    }

    #[test]
    fn fragments_in_a_circle_are_refused_even_if_nobody_spreads_them() {
        assert_eq!(
            check("{ ...a } fragment a on T { ...b } fragment b on T { x { ...a } }").unwrap_err(),
            ErrorCode::FragmentCycle
        );
        assert_eq!(
            check("{ x } fragment a on T { ...a ...a }").unwrap_err(),
            ErrorCode::FragmentCycle
        );
    }

    #[test]
    fn a_fragment_that_is_not_there_is_left_to_the_validation() {
        assert!(check("{ ...nowhere }").is_ok());
    }

    #[test]
    fn a_subscription_has_one_root_field() {
        assert!(check("subscription { a { b c } }").is_ok());
        assert_eq!(check("subscription { a b }").unwrap_err(), ErrorCode::ValidationFailed);
        assert_eq!(
            check("subscription { ...f } fragment f on S { a b }").unwrap_err(),
            ErrorCode::ValidationFailed
        );
    }

    #[test]
    fn the_introspection_of_tools_passes() {
        let measure = check(include_str!("introspection.graphql")).unwrap();
        assert_eq!(measure.operations[0].1.depth, 1);
    }

    #[test]
    fn introspection_that_walks_in_circles_is_refused() {
        let circles = |rounds: usize| {
            format!(
                "{{ __schema {{ types {}name{} }} }}",
                "{ fields { type ".repeat(rounds) + "{",
                "}".repeat(2 * rounds + 1)
            )
        };
        assert!(check(&circles(2)).is_ok());
        assert_eq!(check(&circles(3)).unwrap_err(), ErrorCode::QueryTooDeep);
        // A mall's own field may be called as it likes.
        assert!(check("{ fields { fields { fields { fields { a } } } } }").is_ok());
    }

    /// What one operation comes to, written out the slow way.
    fn written_out(document: &ExecutableDocument, set: &SelectionSet) -> Size {
        set.items.iter().fold(Size::default(), |sum, selection| {
            sum.beside(match &selection.node {
                Selection::Field(field) => {
                    written_out(document, &field.node.selection_set.node).below_field(&field.node)
                }
                Selection::InlineFragment(inline) => {
                    written_out(document, &inline.node.selection_set.node)
                        .below_fragment(inline.node.directives.len())
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = &document.fragments[&spread.node.fragment_name.node].node;
                    let size = written_out(document, &fragment.selection_set.node);
                    Size { directives: size.directives + fragment.directives.len() as u64, ..size }
                        .below_fragment(spread.node.directives.len())
                }
            })
        })
    }

    /// Counts the nodes of an operation without any of the arithmetic above.
    fn nodes(document: &ExecutableDocument, set: &SelectionSet) -> u64 {
        set.items
            .iter()
            .map(|selection| match &selection.node {
                Selection::Field(field) => 1 + nodes(document, &field.node.selection_set.node),
                Selection::InlineFragment(inline) => {
                    1 + nodes(document, &inline.node.selection_set.node)
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = &document.fragments[&spread.node.fragment_name.node].node;
                    1 + nodes(document, &fragment.selection_set.node)
                }
            })
            .sum()
    }

    /// Selections that spread only fragments numbered above `fragment`.
    fn selections(fragment: usize, fragments: usize) -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("a".to_owned()),
            Just("b: a @include(if: true)".to_owned()),
            Just("fields { name }".to_owned()),
            (fragment + 1..=fragments).prop_map(|next| format!("...f{next} @skip(if: false)")),
        ];
        let tree = leaf.prop_recursive(3, 12, 3, |inner| {
            (prop::collection::vec(inner, 1..4), 0..4).prop_map(|(inner, kind)| match kind {
                0 => format!("x {{ {} }}", inner.join(" ")),
                1 => format!("y: x @d {{ {} }}", inner.join(" ")),
                2 => format!("__schema {{ {} }}", inner.join(" ")),
                _ => format!("... on T @d {{ {} }}", inner.join(" ")),
            })
        });
        prop::collection::vec(tree, 1..4).prop_map(|all| all.join(" "))
    }

    fn documents() -> impl Strategy<Value = String> {
        const FRAGMENTS: usize = 5;
        let parts: Vec<_> = (0..FRAGMENTS).map(|n| selections(n, FRAGMENTS).boxed()).collect();
        parts.prop_map(|parts| {
            let fragments =
                joined(1..FRAGMENTS, |n| format!("fragment f{n} on T @d {{ {} }}", parts[n]));
            format!("query @d {{ {} }} {fragments} fragment f{FRAGMENTS} on T {{ a }}", parts[0])
        })
    }

    proptest! {
        #[test]
        fn remembering_fragments_counts_what_writing_them_out_counts(text in documents()) {
            let document = parse_query(&text).unwrap();
            let measure = measure(&document).unwrap();
            let (_, operation) = document.operations.iter().next().unwrap();
            let slow = written_out(&document, &operation.node.selection_set.node);
            let slow = Size { directives: slow.directives + 1, ..slow };
            prop_assert_eq!(measure.operations[0].1, slow);
            prop_assert_eq!(slow.nodes, nodes(&document, &operation.node.selection_set.node));
        }

        #[test]
        fn any_text_can_be_scanned(text in ".*") {
            let lexical = scan(&text);
            prop_assert!(lexical.tokens <= text.len());
        }
    }
}
