//! The forms an answer may have, and which of them a client likes best.

use axum::http::{HeaderMap, header::ACCEPT};

/// The forms an answer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaType {
    /// One answer, with the statuses that old clients expect.
    Json,
    /// One answer, with the statuses of the specification.
    GraphQlResponse,
    /// Any number of answers, as browsers' `EventSource` reads them.
    EventStream,
    /// Any number of answers, as Apollo's clients read them.
    Multipart,
}

impl MediaType {
    /// How the form is announced.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::GraphQlResponse => "application/graphql-response+json; charset=utf-8",
            Self::EventStream => "text/event-stream; charset=utf-8",
            Self::Multipart => "multipart/mixed; boundary=\"graphql\"; subscriptionSpec=1.0",
        }
    }

    /// The ranges it lies in, the most specific first. Who takes anything
    /// wants one answer: streams must be asked for by name.
    const fn ranges(self) -> &'static [&'static str] {
        match self {
            Self::Json => &["application/json", "application/*", "*/*"],
            Self::GraphQlResponse => &["application/graphql-response+json", "application/*", "*/*"],
            Self::EventStream => &["text/event-stream"],
            Self::Multipart => &["multipart/mixed"],
        }
    }
}

/// What a client said it takes.
#[derive(Debug)]
pub(super) struct Accepted(Vec<Range>);

#[derive(Debug)]
struct Range {
    name: String,
    quality: f32,
    /// Whether it speaks of the protocol of subscriptions over multipart.
    subscriptions: bool,
    /// Whether it speaks of the protocol of subscriptions by callback.
    callbacks: bool,
}

impl Accepted {
    /// Reads it from `Accept` (RFC 9110, 12.5.1). Who says nothing takes anything.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).iter().map(|value| value.to_str().unwrap_or_default());
        let mut ranges: Vec<_> =
            values.flat_map(|value| value.split(',')).filter_map(Range::of).collect();
        if ranges.is_empty() {
            ranges.extend(Range::of("*/*"));
        }
        Self(ranges)
    }

    /// The best form for an answer in one piece.
    pub(super) fn for_one(&self) -> Option<MediaType> {
        self.best(&[MediaType::Json, MediaType::GraphQlResponse, MediaType::EventStream])
    }

    /// The best form for a stream of answers.
    pub(super) fn for_many(&self) -> Option<MediaType> {
        self.best(&[MediaType::EventStream, MediaType::Multipart])
    }

    /// Whether it would be called back with the answers of a subscription.
    pub(super) fn callbacks(&self) -> bool {
        self.0.iter().any(|range| range.callbacks && range.quality > 0.0)
    }

    /// For each form its most specific range counts; of equals, the one that
    /// was named first.
    fn best(&self, forms: &[MediaType]) -> Option<MediaType> {
        let mut best: Option<(f32, usize, MediaType)> = None;
        for &form in forms {
            let place = form.ranges().iter().find_map(|name| {
                self.0.iter().position(|range| range.name == *name && range.fits(form))
            });
            let Some(place) = place else { continue };
            let quality = self.0[place].quality;
            if quality > 0.0
                && best.is_none_or(|(most, first, _)| {
                    quality > most || (quality >= most && place < first)
                })
            {
                best = Some((quality, place, form));
            }
        }
        best.map(|(_, _, form)| form)
    }
}

impl Range {
    fn of(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        if name.is_empty() {
            return None;
        }
        let mut range = Self { name, quality: 1.0, subscriptions: false, callbacks: false };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let (name, value) = (name.trim(), value.trim().trim_matches('"'));
            if name.eq_ignore_ascii_case("q") {
                let quality = value.parse().ok().filter(|quality| (0.0..=1.0).contains(quality));
                range.quality = quality.unwrap_or_default();
            } else if name.eq_ignore_ascii_case("subscriptionSpec") {
                range.subscriptions = value == "1.0" || value == "1";
            } else if name.eq_ignore_ascii_case("callbackSpec") {
                range.callbacks = value == "1.0" || value == "1";
            }
        }
        Some(range)
    }

    /// Other protocols send other things as `multipart/mixed`.
    fn fits(&self, form: MediaType) -> bool {
        form != MediaType::Multipart || self.subscriptions
    }
}

#[cfg(test)]
mod tests {
    use super::{
        MediaType::{EventStream, GraphQlResponse, Json, Multipart},
        *,
    };

    fn accepted(accept: &[&str]) -> Accepted {
        let headers = accept.iter().map(|value| (ACCEPT, value.parse().unwrap()));
        Accepted::of(&headers.collect())
    }

    #[test]
    fn the_form_the_client_likes_best_is_served() {
        for (accept, media) in [
            ("", Some(Json)),
            ("*/*", Some(Json)),
            ("application/*", Some(Json)),
            ("application/json", Some(Json)),
            ("Application/JSON; charset=utf-8", Some(Json)),
            ("application/graphql-response+json", Some(GraphQlResponse)),
            ("application/graphql-response+json, application/json", Some(GraphQlResponse)),
            ("application/json, application/graphql-response+json", Some(Json)),
            ("application/json;q=0.9, application/graphql-response+json", Some(GraphQlResponse)),
            ("application/graphql-response+json;q=0.5, */*;q=0.8", Some(Json)),
            ("application/json;q=0, */*", Some(GraphQlResponse)),
            ("text/html, application/json;q=0.1", Some(Json)),
            ("text/event-stream", Some(EventStream)),
            ("text/event-stream, application/json", Some(EventStream)),
            ("text/event-stream;q=0.5, */*", Some(Json)),
            ("application/json;q=wrong", None),
            ("application/json;q=2", None),
            ("text/html", None),
            ("text/*", None),
            ("application/xml, image/*", None),
            ("application/json;q=0", None),
            ("multipart/mixed;subscriptionSpec=1.0", None),
        ] {
            assert_eq!(accepted(&[accept]).for_one(), media, "{accept}");
        }
        assert_eq!(accepted(&[]).for_one(), Some(Json));
        assert_eq!(accepted(&["text/html", "application/json"]).for_one(), Some(Json));
    }

    #[test]
    fn streams_are_served_to_who_asks_for_them_by_name() {
        const APOLLO: &str = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,\
             application/graphql-response+json,application/json;q=0.9";
        const URQL: &str = "application/graphql-response+json, application/graphql+json, \
             application/json, text/event-stream, multipart/mixed";
        for (accept, many, one) in [
            ("text/event-stream", Some(EventStream), Some(EventStream)),
            (APOLLO, Some(Multipart), Some(GraphQlResponse)),
            (URQL, Some(EventStream), Some(GraphQlResponse)),
            ("multipart/mixed; subscriptionSpec=\"1.0\"", Some(Multipart), None),
            (
                "multipart/mixed;subscriptionSpec=1.0, text/event-stream",
                Some(Multipart),
                Some(EventStream),
            ),
            ("multipart/mixed", None, None),
            ("multipart/mixed;deferSpec=20220824, application/json", None, Some(Json)),
            ("*/*", None, Some(Json)),
            ("application/json", None, Some(Json)),
        ] {
            let accepted = accepted(&[accept]);
            assert_eq!((accepted.for_many(), accepted.for_one()), (many, one), "{accept}");
        }
    }
}
