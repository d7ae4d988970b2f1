//! Announcements on their way from process to process.

use std::{collections::HashMap, error::Error, sync::Arc};

use mallbots_eventstore::message::Position;
use mallbots_messaging::announcements::{AnnounceError, Announcements};
use serde::{Deserialize, Serialize};
use tracing::{debug, warn};
use uuid::Uuid;

use super::{Announced, Announcer};
use crate::changes::{Change, Changed, Traced};

/// How many rows one message names. A server takes a megabyte by default.
const ROWS: usize = 500;
/// How many processes are remembered in the middle of what they say.
const SPEAKERS: usize = 64;

/// A part of an announcement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Word {
    /// Whose.
    by: Uuid,
    /// Which part, from 0.
    part: usize,
    /// Whether it is the last.
    last: bool,
    /// Up to where everything was in the tables before.
    before: Position,
    /// Up to where it is now.
    position: Position,
    /// Which rows changed; nothing if that cannot be said.
    rows: Option<Vec<Change>>,
    /// What of it belongs to traces that are recorded; with the last part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    traces: Vec<Traced>,
}

/// Tells others what is written here.
pub(super) async fn tell(announcer: &Announcer, announcements: &Announcements, myself: Uuid) {
    // There is one feed, and it is run once.
    let Some(mut announced) = announcer.for_others() else { return };
    while let Some(announced) = announced.recv().await {
        if !announcements.is_connected() {
            // When they can hear again this is old: they look for themselves.
            continue;
        }
        for word in words(&announced, myself) {
            match announcements.say(&word).await {
                Ok(()) => {}
                Err(AnnounceError::TooLong) => {
                    let short =
                        Word { part: 0, last: true, rows: None, traces: Vec::new(), ..word };
                    if let Err(error) = announcements.say(&short).await {
                        warn!(error = &error as &dyn Error, "not announced");
                    }
                    break;
                }
                Err(error) => {
                    warn!(error = &error as &dyn Error, "not announced");
                    break;
                }
            }
        }
    }
}

fn words(announced: &Announced, by: Uuid) -> Vec<Word> {
    let Announced { before, changed } = announced;
    let word = |part, last, rows: &[Change]| Word {
        by,
        part,
        last,
        before: *before,
        position: changed.position,
        rows: Some(rows.to_vec()),
        traces: if last { changed.traces.clone() } else { Vec::new() },
    };
    if changed.rows.is_empty() {
        return vec![word(0, true, &[])];
    }
    let parts = changed.rows.chunks(ROWS);
    let end = parts.len() - 1;
    parts.enumerate().map(|(part, rows)| word(part, part == end, rows)).collect()
}

/// Hears what others write.
pub(super) async fn hear(announcer: &Announcer, announcements: &Announcements, myself: Uuid) {
    let mut listener = match announcements.listen().await {
        Ok(listener) => listener,
        Err(error) => {
            warn!(error = &error as &dyn Error, "other processes are not heard");
            return;
        }
    };
    let mut speakers = Speakers::default();
    while let Some(word) = listener.next::<Word>().await {
        match word {
            Ok(word) if word.by == myself => {}
            Ok(word) => match speakers.hear(word) {
                Some(Said::Changed(before, changed)) => announcer.hear(before, &changed),
                Some(Said::Unknown(position)) => announcer.heard_all(position),
                None => {}
            },
            Err(error) => {
                debug!(error = &error as &dyn Error, "an announcement was not understood");
            }
        }
    }
}

/// What was said, once it was said whole.
#[derive(Debug, PartialEq)]
enum Said {
    /// What changed, and from where on.
    Changed(Position, Arc<Changed>),
    /// Something did, up to here.
    Unknown(Position),
}

/// Who is in the middle of saying something.
#[derive(Debug, Default)]
struct Speakers(HashMap<Uuid, Heard>);

#[derive(Debug)]
struct Heard {
    /// Of the commit that led here.
    position: Position,
    /// Which part is next.
    part: usize,
    rows: Vec<Change>,
}

impl Speakers {
    fn hear(&mut self, word: Word) -> Option<Said> {
        let Word { by, part, last, before, position, rows, traces } = word;
        let before_this = self.0.remove(&by);
        let Some(rows) = rows else { return Some(Said::Unknown(position)) };
        let mut heard = match before_this {
            _ if part == 0 => Heard { position, part: 0, rows: Vec::new() },
            Some(heard) if heard.position == position && heard.part == part => heard,
            // A part was lost. When the last is there it is time to say so.
            Some(_) | None => return last.then_some(Said::Unknown(position)),
        };
        heard.rows.extend(rows);
        if last {
            let changed = Changed { position, rows: heard.rows, traces };
            return Some(Said::Changed(before, Arc::new(changed)));
        }
        heard.part += 1;
        if self.0.len() >= SPEAKERS {
            // Whoever is in there stopped in the middle: it is looked up later.
            self.0.clear();
        }
        self.0.insert(by, heard);
        None
    }
}

#[cfg(test)]
mod tests {
    use mallbots_domain::id::{AnyId, Kind};

    use super::*;

    fn announced(rows: usize) -> Announced {
        let row = |n: usize| Change {
            id: AnyId { kind: Kind::Store, uuid: Uuid::from_u128((7 << 76) + n as u128) },
            position: Position(10),
            also: Vec::new(),
        };
        let traced = Traced {
            position: Position(10),
            traceparent: "of".into(),
            tracestate: Some("mall=1".into()),
            by: "by".into(),
        };
        let rows = (0..rows).map(row).collect();
        let changed = Changed { position: Position(10), rows, traces: vec![traced] };
        Announced { before: Position(5), changed: Arc::new(changed) }
    }

    #[test]
    fn what_is_said_in_parts_is_heard_whole() {
        for rows in [0, 1, ROWS, ROWS + 1, 4 * ROWS] {
            let announced = announced(rows);
            let words = words(&announced, Uuid::nil());
            assert_eq!(words.len(), rows.div_ceil(ROWS).max(1));
            let mut speakers = Speakers::default();
            let mut said: Vec<_> = words.into_iter().map(|word| speakers.hear(word)).collect();
            let whole = Said::Changed(announced.before, Arc::clone(&announced.changed));
            assert_eq!(said.pop(), Some(Some(whole)));
            assert!(said.iter().all(Option::is_none));
            assert!(speakers.0.is_empty());
        }
    }

    #[test]
    fn whoever_loses_a_part_knows_that_something_changed() {
        let announced = announced(3 * ROWS);
        for lost in 0..3 {
            let mut words = words(&announced, Uuid::nil());
            words.remove(lost);
            let mut speakers = Speakers::default();
            let said: Vec<_> = words.into_iter().filter_map(|word| speakers.hear(word)).collect();
            // Without the end there is nothing to tell yet: a look will find it.
            let expected = if lost < 2 { vec![Said::Unknown(Position(10))] } else { vec![] };
            assert_eq!(said, expected, "part {lost}");
        }
    }
}
