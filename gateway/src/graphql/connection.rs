//! Lists as Relay's connections: pages by place, never by offset.

use async_graphql::SimpleObject;
use mallbots_projections::page::{Key, Page, PageRequest, Take};

use super::{cursor::CursorKey, scalars::Cursor};
use crate::error::{ClientError, ErrorCode};

/// How many there are on a page when nobody says.
const DEFAULT_PAGE: u32 = 20;
/// The longest page.
const LONGEST_PAGE: i32 = 100;

/// Where a page stands in its list.
#[derive(Debug, Clone, SimpleObject)]
pub struct PageInfo {
    /// Whether the list goes on behind this page.
    has_next_page: bool,
    /// Whether the list begins before this page.
    has_previous_page: bool,
    /// The place of the page's first item.
    start_cursor: Option<Cursor>,
    /// The place of the page's last item.
    end_cursor: Option<Cursor>,
}

/// A page with its cursors, ready to become a connection of any type.
#[derive(Debug, Clone)]
pub struct Cut<T> {
    /// The items with their places.
    pub items: Vec<(Cursor, T)>,
    /// Where the page stands.
    pub page_info: PageInfo,
}

/// The arguments of a list.
#[derive(Debug, Clone, Default)]
pub struct Paging {
    /// So many from the start.
    pub first: Option<i32>,
    /// Behind this place.
    pub after: Option<Cursor>,
    /// So many from the end.
    pub last: Option<i32>,
    /// Before this place.
    pub before: Option<Cursor>,
}

impl Paging {
    /// How many, checked.
    fn take(&self) -> Result<Take, ClientError> {
        let checked = |count: i32, field: &str| match u32::try_from(count) {
            Ok(count) if (1..=LONGEST_PAGE.unsigned_abs()).contains(&count) => Ok(count),
            Ok(_) | Err(_) => Err(ClientError::new(
                ErrorCode::BadUserInput,
                format!("{field} must be from 1 to {LONGEST_PAGE}"),
            )
            .on_field(field)),
        };
        match (self.first, self.last) {
            (Some(_), Some(_)) => Err(ClientError::new(
                ErrorCode::BadUserInput,
                "first and last cannot be used together: choose one end of the list",
            )
            .on_field("last")),
            (Some(first), None) => Ok(Take::First(checked(first, "first")?)),
            (None, Some(last)) => Ok(Take::Last(checked(last, "last")?)),
            (None, None) => Ok(Take::First(DEFAULT_PAGE)),
        }
    }

    /// What to ask the library for. `list` names the list and all that changes
    /// its order, so that cursors do not stray.
    pub fn request(&self, key: &CursorKey, list: &str) -> Result<PageRequest, ClientError> {
        let take = self.take()?;
        let open = |cursor: &Option<Cursor>| -> Result<Option<Key>, ClientError> {
            cursor.as_ref().map(|cursor| key.open(list, &cursor.0)).transpose()
        };
        Ok(PageRequest { take, after: open(&self.after)?, before: open(&self.before)? })
    }

    /// The same for a feed whose places are numbers.
    pub fn feed(&self, key: &CursorKey, feed: &str) -> Result<Numbered, ClientError> {
        let take = self.take()?;
        let open = |cursor: &Option<Cursor>| -> Result<Option<i64>, ClientError> {
            cursor.as_ref().map(|cursor| key.open(feed, &cursor.0)).transpose()
        };
        Ok(Numbered { take, after: open(&self.after)?, before: open(&self.before)? })
    }
}

/// Which part of a feed is asked for whose places are numbers.
#[derive(Debug, Clone, Copy)]
pub struct Numbered {
    /// How many, and from which end.
    pub take: Take,
    /// Only what comes after this place.
    pub after: Option<i64>,
    /// Only what comes before this place.
    pub before: Option<i64>,
}

/// A stretch of a feed whose places are 1, 2, 3 and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// It begins behind this place.
    pub behind: i64,
    /// How long it is.
    pub count: u32,
    /// Whether the feed goes on behind it.
    pub has_next: bool,
    /// Whether the feed begins before it.
    pub has_previous: bool,
}

impl Numbered {
    /// Which places are meant, of all up to `end`, from the first.
    pub fn oldest_first(self, end: i64) -> Stretch {
        let begin = self.after.unwrap_or_default().clamp(0, end);
        let until = self.before.map_or(end, |before| before.saturating_sub(1)).clamp(begin, end);
        let (begin, until) = match self.take {
            Take::First(count) => (begin, until.min(begin.saturating_add(count.into()))),
            Take::Last(count) => (begin.max(until - i64::from(count)), until),
        };
        Stretch {
            behind: begin,
            count: u32::try_from(until - begin).unwrap_or_default(),
            has_next: until < end,
            has_previous: begin > 0,
        }
    }

    /// The same from the last, so that what is behind a place is less.
    pub fn newest_first(self, end: i64) -> Stretch {
        let take = match self.take {
            Take::First(count) => Take::Last(count),
            Take::Last(count) => Take::First(count),
        };
        let turned = Self { take, after: self.before, before: self.after };
        let stretch = turned.oldest_first(end);
        let (has_next, has_previous) = (stretch.has_previous, stretch.has_next);
        Stretch { has_next, has_previous, ..stretch }
    }
}

/// A page as it goes out.
pub fn cut<R, T>(page: Page<R>, key: &CursorKey, list: &str, wrap: impl Fn(R) -> T) -> Cut<T> {
    let Page { rows, has_next, has_previous } = page;
    let items = rows.into_iter().map(|(place, row)| (key.sign(list, &place), wrap(row))).collect();
    Cut::new(items, has_next, has_previous)
}

impl<T> Cut<T> {
    /// A page of items whose cursors are made.
    pub fn new(items: Vec<(Cursor, T)>, has_next_page: bool, has_previous_page: bool) -> Self {
        let page_info = PageInfo {
            has_next_page,
            has_previous_page,
            start_cursor: items.first().map(|(cursor, _)| cursor.clone()),
            end_cursor: items.last().map(|(cursor, _)| cursor.clone()),
        };
        Self { items, page_info }
    }
}

/// Declares a connection: its type, its edge's and what its items are.
macro_rules! connection {
    ($connection:ident, $edge:ident, $node:ty, $what:literal) => {
        #[doc = concat!("A page of ", $what, ".")]
        #[derive(async_graphql::SimpleObject)]
        pub struct $connection {
            /// The items with their places.
            edges: Vec<$edge>,
            /// The items alone.
            nodes: Vec<$node>,
            /// Where the page stands in the list.
            page_info: crate::graphql::connection::PageInfo,
        }

        #[doc = concat!("One of ", $what, ", and its place.")]
        #[derive(async_graphql::SimpleObject)]
        pub struct $edge {
            /// Its place in the list.
            cursor: crate::graphql::scalars::Cursor,
            /// The item.
            node: $node,
        }

        impl From<crate::graphql::connection::Cut<$node>> for $connection {
            fn from(cut: crate::graphql::connection::Cut<$node>) -> Self {
                let nodes = cut.items.iter().map(|(_, node)| node.clone()).collect();
                let edges =
                    cut.items.into_iter().map(|(cursor, node)| $edge { cursor, node }).collect();
                Self { edges, nodes, page_info: cut.page_info }
            }
        }
    };
}
pub(crate) use connection;

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a stretch begins and ends, and whether there is more on each side.
    fn told(stretch: Stretch) -> (i64, i64, bool, bool) {
        let Stretch { behind, count, has_next, has_previous } = stretch;
        (behind, behind + i64::from(count), has_previous, has_next)
    }

    #[test]
    fn numbers_are_paged_from_either_end() {
        let asked = |take, after, before| Numbered { take, after, before };
        for (of, stretch) in [
            (asked(Take::First(3), None, None), (0, 3, false, true)),
            (asked(Take::First(3), Some(3), None), (3, 6, true, true)),
            (asked(Take::First(3), Some(7), None), (7, 9, true, false)),
            (asked(Take::First(9), None, None), (0, 9, false, false)),
            (asked(Take::First(5), Some(2), Some(5)), (2, 4, true, true)),
            (asked(Take::Last(3), None, None), (6, 9, true, false)),
            (asked(Take::Last(3), None, Some(7)), (3, 6, true, true)),
            (asked(Take::Last(3), None, Some(3)), (0, 2, false, true)),
            (asked(Take::Last(1), Some(2), Some(5)), (3, 4, true, true)),
            // Places that never were, or are not there any more.
            (asked(Take::First(3), Some(70), None), (9, 9, true, false)),
            (asked(Take::Last(3), None, Some(i64::MIN)), (0, 0, false, true)),
            (asked(Take::First(3), Some(5), Some(2)), (5, 5, true, true)),
        ] {
            assert_eq!(told(of.oldest_first(9)), stretch, "{of:?}");
        }
        let newest = asked(Take::First(3), None, None).newest_first(9);
        assert_eq!(told(newest), (6, 9, false, true));
        let next = asked(Take::First(3), Some(7), None).newest_first(9);
        assert_eq!(told(next), (3, 6, true, true));
        let first = asked(Take::Last(2), None, None).newest_first(9);
        assert_eq!(told(first), (0, 2, true, false));
        assert_eq!(told(asked(Take::First(3), None, None).oldest_first(0)), (0, 0, false, false));
    }
}
