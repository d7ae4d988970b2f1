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
    /// Paging in one direction.
    pub fn forward(first: Option<i32>, after: Option<Cursor>) -> Self {
        Self { first, after, ..Self::default() }
    }

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

    /// The same for a feed whose places are positions: how many, behind which.
    pub fn feed(&self, key: &CursorKey, feed: &str) -> Result<(u32, i64), ClientError> {
        let (Take::First(count) | Take::Last(count)) = self.take()?;
        let after = self.after.as_ref().map(|cursor| key.open(feed, &cursor.0)).transpose()?;
        Ok((count, after.unwrap_or_default()))
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
