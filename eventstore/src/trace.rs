//! Traces: spans as values, and their context as the text that travels.
//!
//! What leads from a mutation to a subscriber's item passes through tables,
//! subjects and tasks, so nothing here hangs on the thread or the task it runs
//! in: a span says what follows from it by its `traceparent`, which is written
//! into the metadata of a message and read from there. Only the gateway knows
//! where spans go ([`install`]); until it says so, there are none, and asking
//! costs one look.
//!
//! Whether a trace is recorded is decided where it begins, and written at the
//! end of the `traceparent`. What belongs to one that is not costs nothing here.

use std::{borrow::Cow, fmt::Write, sync::OnceLock, time::Instant};

/// Where spans go. One per process.
pub trait Tracer: Send + Sync + 'static {
    /// Whether a trace that begins here is to be recorded.
    fn samples(&self) -> bool;

    /// Begins a span.
    fn start(&self, new: New<'_>) -> Box<dyn Recording>;
}

/// A span that is recorded until it is dropped.
pub trait Recording: Send + Sync {
    /// The W3C trace context of what follows from it.
    fn traceparent(&self) -> String;

    /// What systems along the trace have to say to each other, if anything.
    fn tracestate(&self) -> Option<String>;

    /// Says what else led to it, by its trace context.
    fn link(&mut self, traceparent: &str);

    /// Says something of it.
    fn set(&mut self, key: &'static str, value: Value);

    /// Says that it did not work, and which kind of fault it was.
    fn fail(&mut self, kind: Cow<'static, str>);
}

/// What is known of a span as it begins.
#[derive(Debug)]
pub struct New<'a> {
    /// What it is called: one of few names.
    pub name: Cow<'static, str>,
    /// Its role between processes.
    pub kind: SpanKind,
    /// What it follows from. It begins a trace without.
    pub parent: Option<Place<'a>>,
    /// When it began, if not now.
    pub began: Option<Instant>,
}

/// Where in a trace something is, as W3C writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The trace, the span, and whether it is recorded.
    pub traceparent: &'a str,
    /// What systems along the trace have to say to each other.
    pub tracestate: Option<&'a str>,
}

impl<'a> From<&'a str> for Place<'a> {
    fn from(traceparent: &'a str) -> Self {
        Self { traceparent, tracestate: None }
    }
}

/// The role of a span between processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Somebody outside waits for it.
    Server,
    /// It waits for somebody else.
    Client,
    /// It gives a message away.
    Producer,
    /// It acts on messages.
    Consumer,
    /// It is nobody else's business.
    Internal,
}

/// What is said of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// In words.
    Text(Cow<'static, str>),
    /// As a number.
    Number(i64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

static TRACER: OnceLock<Box<dyn Tracer>> = OnceLock::new();

/// Says where spans go, from now on. The first who says so counts; whether that
/// was this one.
pub fn install(tracer: impl Tracer) -> bool {
    TRACER.set(Box::new(tracer)).is_ok()
}

/// Whether there are any spans.
#[must_use]
pub fn is_on() -> bool {
    TRACER.get().is_some()
}

/// A span, or nothing where none is recorded. It ends when it is dropped.
#[derive(Default)]
pub struct Span(Option<Box<dyn Recording>>);

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Span").field(&self.traceparent()).finish()
    }
}

impl Span {
    /// Nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// What somebody outside asks for: part of the trace they are in, if that
    /// is recorded; else the beginning of one, if chance will have it.
    #[must_use]
    pub fn enter(parent: Option<Place<'_>>, name: impl Into<Cow<'static, str>>) -> Self {
        Self::enter_since(None, parent, name.into())
    }

    /// The same of what began before.
    #[must_use]
    pub fn enter_at(
        began: Instant,
        parent: Option<Place<'_>>,
        name: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::enter_since(Some(began), parent, name.into())
    }

    fn enter_since(
        began: Option<Instant>,
        parent: Option<Place<'_>>,
        name: Cow<'static, str>,
    ) -> Self {
        let Some(tracer) = TRACER.get() else { return Self(None) };
        if !parent.map_or_else(|| tracer.samples(), |parent| is_sampled(parent.traceparent)) {
            return Self(None);
        }
        Self(Some(tracer.start(New { name, kind: SpanKind::Server, parent, began })))
    }

    /// What follows from something, if the trace it is in is recorded. The name
    /// is only made then.
    #[must_use]
    pub fn follow<N: Into<Cow<'static, str>>>(
        parent: Option<Place<'_>>,
        kind: SpanKind,
        name: impl FnOnce() -> N,
    ) -> Self {
        match (TRACER.get(), parent) {
            (Some(tracer), Some(parent)) if is_sampled(parent.traceparent) => {
                Self::start(&**tracer, name().into(), kind, Some(parent))
            }
            _ => Self(None),
        }
    }

    /// What is done at once about several things, in a trace of its own; if the
    /// trace of any of them is recorded.
    #[must_use]
    pub fn about<'t>(
        things: impl IntoIterator<Item = &'t str>,
        kind: SpanKind,
        name: &'static str,
    ) -> Self {
        let mut sampled = things.into_iter().filter(|thing| is_sampled(thing)).peekable();
        match TRACER.get() {
            Some(tracer) if sampled.peek().is_some() => {
                let mut span = Self::start(&**tracer, name.into(), kind, None);
                sampled.for_each(|thing| span.link(thing));
                span
            }
            _ => Self(None),
        }
    }

    fn start(
        tracer: &dyn Tracer,
        name: Cow<'static, str>,
        kind: SpanKind,
        parent: Option<Place<'_>>,
    ) -> Self {
        Self(Some(tracer.start(New { name, kind, parent, began: None })))
    }

    /// Whether it is recorded: what is said of it is worth putting together.
    #[must_use]
    pub const fn is_recording(&self) -> bool {
        self.0.is_some()
    }

    /// The trace context of what follows from it.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        self.0.as_ref().map(|span| span.traceparent())
    }

    /// What systems along its trace have to say to each other, if anything.
    #[must_use]
    pub fn tracestate(&self) -> Option<String> {
        self.0.as_ref()?.tracestate()
    }

    /// Says what else led to it, by its trace context.
    pub fn link(&mut self, traceparent: &str) {
        if let Some(span) = &mut self.0 {
            span.link(traceparent);
        }
    }

    /// Says something of it.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.0 {
            span.set(key, value.into());
        }
    }

    /// Says that it did not work, and which kind of fault it was.
    pub fn fail(&mut self, kind: impl Into<Cow<'static, str>>) {
        if let Some(span) = &mut self.0 {
            span.fail(kind.into());
        }
    }
}

/// Whether this is a `traceparent` of version 00 (W3C Trace Context, 3.2.2).
#[must_use]
pub fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let not_zero = |part: &str| part.bytes().any(|b| b != b'0');
    let mut parts = text.split('-');
    let mut next = || parts.next().unwrap_or_default();
    let (version, trace, span, flags) = (next(), next(), next(), next());
    version == "00"
        && hex(trace, 32)
        && not_zero(trace)
        && hex(span, 16)
        && not_zero(span)
        && hex(flags, 2)
        && parts.next().is_none()
}

/// Whether the trace of a well-formed `traceparent` is recorded.
#[must_use]
pub fn is_sampled(traceparent: &str) -> bool {
    // The flags are the last two digits, and this one is their lowest bit.
    matches!(
        traceparent.as_bytes().last(),
        Some(b'1' | b'3' | b'5' | b'7' | b'9' | b'b' | b'd' | b'f')
    )
}

/// The ids in a well-formed `traceparent`: the trace's and the span's.
#[must_use]
pub fn ids(traceparent: &str) -> Option<(&str, &str)> {
    Some((traceparent.get(3..35)?, traceparent.get(36..52)?))
}

/// The same context as Jaeger's clients write it in `uber-trace-id`.
#[must_use]
pub fn uber_trace_id(traceparent: &str) -> Option<String> {
    let (trace, span) = ids(traceparent)?;
    Some(format!("{trace}:{span}:0:{}", u8::from(is_sampled(traceparent))))
}

/// What Jaeger's clients write in `uber-trace-id`, as a `traceparent`:
/// `<trace>:<span>:<parent>:<flags>`, all in hexadecimal, zeros in front left
/// out, and perhaps the colons percent-encoded.
#[must_use]
pub fn of_uber_trace_id(text: &str) -> Option<String> {
    // The longest that can be is 32, 16, 16 and 2 digits, and three colons.
    if text.len() > 80 {
        return None;
    }
    let text = text.replace("%3A", ":").replace("%3a", ":").to_ascii_lowercase();
    let [trace, span, _parent, flags] = text.split(':').collect::<Vec<_>>()[..] else {
        return None;
    };
    let flags = u8::from_str_radix(flags, 16).ok()?;
    let mut traceparent = String::with_capacity(55);
    // One that was asked for by hand is debugged (2), and recorded in any case.
    let is_sampled = u8::from(flags & 3 != 0);
    write!(traceparent, "00-{trace:0>32}-{span:0>16}-{is_sampled:02x}").ok()?;
    is_traceparent(&traceparent).then_some(traceparent)
}

/// Where in a message's metadata its `traceparent` stands, if it has one that
/// is well-formed. Found without parsing the rest.
pub(crate) fn find(metadata: &str) -> Option<std::ops::Range<usize>> {
    const NAME: &str = "\"traceparent\"";
    let mut from = 0;
    loop {
        let behind = from + metadata.get(from..)?.find(NAME)? + NAME.len();
        from = behind;
        // Within a text the quotes of a name would be escaped, so this is a
        // name, or a text that is just this word.
        let rest = metadata[behind..].trim_start();
        let Some(rest) = rest.strip_prefix(':') else { continue };
        let rest = rest.trim_start().strip_prefix('"')?;
        let start = metadata.len() - rest.len();
        let end = start + rest.find('"')?;
        return is_traceparent(&metadata[start..end]).then_some(start..end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_jaeger_says_means_the_same() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (uber, expected) in [
            (format!("{trace}:00f067aa0ba902b7:0:1"), Some(PARENT.to_owned())),
            (format!("{trace}:f067aa0ba902b7:0:3"), Some(PARENT.to_owned())),
            (format!("{trace}%3Af067aa0ba902b7%3A0%3A1"), Some(PARENT.to_owned())),
            (format!("{}:F067AA0BA902B7:1:2", trace.to_uppercase()), Some(PARENT.to_owned())),
            (format!("{trace}:f067aa0ba902b7:0:0"), Some(PARENT.replace("-01", "-00"))),
            (
                "a3ce929d0e0e4736:f067aa0ba902b7:0:1".to_owned(),
                Some("00-0000000000000000a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
            ),
            ("0:f067aa0ba902b7:0:1".to_owned(), None),
            (format!("{trace}:0:0:1"), None),
            (format!("{trace}0:f067aa0ba902b7:0:1"), None),
            (format!("{trace}:f067aa0ba902b7:1"), None),
            (format!("{trace}:f067aa0ba902b7:0:x"), None),
            (format!("{trace}:f067aa-0ba902b7:0:1"), None),
            (String::new(), None),
            ("é:é:é:1".to_owned(), None),
            ("0".repeat(100), None),
        ] {
            assert_eq!(of_uber_trace_id(&uber), expected, "{uber}");
        }
    }

    #[test]
    fn the_same_context_can_be_said_both_ways() {
        for flags in ["00", "01"] {
            let parent = PARENT.replace("-01", &format!("-{flags}"));
            let uber = uber_trace_id(&parent).unwrap();
            assert_eq!(of_uber_trace_id(&uber), Some(parent));
        }
    }

    #[test]
    fn whether_a_trace_is_recorded_stands_at_its_end() {
        for (flags, expected) in [("00", false), ("01", true), ("02", false), ("ff", true)] {
            assert_eq!(is_sampled(&PARENT.replace("-01", &format!("-{flags}"))), expected);
        }
    }

    #[test]
    fn a_context_is_found_in_metadata_however_it_is_written() {
        for (metadata, is_there) in [
            (format!(r#"{{"actor":"a","traceparent":"{PARENT}"}}"#), true),
            (format!(r#"{{"traceparent" : "{PARENT}", "actor": "traceparent"}}"#), true),
            (format!(r#"{{"actor":"traceparent","traceparent":"{PARENT}"}}"#), true),
            (r#"{"actor":"traceparent"}"#.to_owned(), false),
            (r#"{"traceparent":null,"actor":"a"}"#.to_owned(), false),
            (r#"{"traceparent":"trace"}"#.to_owned(), false),
            (r#"{"traceparent":""#.to_owned(), false),
            (format!(r#"{{"actor":"\"traceparent\":\"{PARENT}\""}}"#), false),
            (String::new(), false),
        ] {
            let found = find(&metadata).map(|place| &metadata[place]);
            assert_eq!(found, is_there.then_some(PARENT), "{metadata}");
        }
    }

    #[test]
    fn without_a_tracer_there_are_no_spans() {
        let made = || -> &'static str { panic!("nobody asked") };
        let parent = Some(Place::from(PARENT));
        assert!(!Span::follow(parent, SpanKind::Internal, made).is_recording());
        assert!(!Span::enter(parent, "query").is_recording());
        assert!(!Span::about([PARENT], SpanKind::Consumer, "project").is_recording());
    }
}
