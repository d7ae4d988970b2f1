//! Lists, a page at a time, by the place where the last page ended: rows that
//! come or go elsewhere neither repeat nor hide others.

use std::collections::HashMap;

use mallbots_domain::id::{AnyId, EntityId};
use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, FromQueryResult, IdenStatic, Iterable, ModelTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select, Value,
    sea_query::{Alias, Expr, ExprTrait, Order, Query, WindowStatement},
};
use serde::{Deserialize, Serialize};

use crate::reads::{ReadError, Reads};

/// The place of a row in a sorted list: what the list is sorted by, then the
/// row's id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key {
    /// What the list is sorted by: a time, an amount or a position.
    pub value: i64,
    /// The row's id, where values are equal.
    pub id: String,
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageRequest {
    /// How many rows, and from which end.
    pub take: Take,
    /// Only what comes after this place.
    pub after: Option<Key>,
    /// Only what comes before this place.
    pub before: Option<Key>,
}

/// How many rows, and from which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Take {
    /// So many from the start.
    First(u32),
    /// So many from the end.
    Last(u32),
}

impl PageRequest {
    /// The first rows of a list.
    #[must_use]
    pub const fn first(rows: u32) -> Self {
        Self { take: Take::First(rows), after: None, before: None }
    }

    /// The last rows of a list.
    #[must_use]
    pub const fn last(rows: u32) -> Self {
        Self { take: Take::Last(rows), after: None, before: None }
    }

    /// Only what comes after this place.
    #[must_use]
    pub fn after(self, key: Key) -> Self {
        Self { after: Some(key), ..self }
    }

    /// Only what comes before this place.
    #[must_use]
    pub fn before(self, key: Key) -> Self {
        Self { before: Some(key), ..self }
    }
}

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows in the list's order, each with its place.
    pub rows: Vec<(Key, T)>,
    /// Whether the list goes on behind them.
    pub has_next: bool,
    /// Whether the list begins before them.
    pub has_previous: bool,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), has_next: false, has_previous: false }
    }
}

/// What a list is sorted by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sort<C> {
    /// A column of whole numbers that does not change, or seldom.
    pub(crate) value: C,
    /// The id.
    pub(crate) id: C,
    /// Which way.
    pub(crate) way: Way,
}

/// Which way a list is sorted, or walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the least.
    Up,
    /// From the greatest.
    Down,
}

impl Way {
    const fn reversed(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

impl From<Way> for Order {
    fn from(way: Way) -> Self {
        match way {
            Way::Up => Self::Asc,
            Way::Down => Self::Desc,
        }
    }
}

impl<C: ColumnTrait> Sort<C> {
    fn key<M: ModelTrait>(&self, row: &M) -> Key
    where
        M::Entity: EntityTrait<Column = C>,
    {
        // The columns of every sort are of these types.
        let value = if let Value::BigInt(Some(value)) = row.get(self.value) { value } else { 0 };
        let id = text(row.get(self.id)).unwrap_or_default();
        Key { value, id }
    }

    /// The rows on the far side of a place, walking this way.
    fn beyond(&self, way: Way, key: &Key) -> Expr {
        let row = Expr::tuple([
            Expr::col(self.value.as_column_ref()),
            Expr::col(self.id.as_column_ref()),
        ]);
        let place = Expr::tuple([Expr::val(key.value), Expr::val(key.id.clone())]);
        match way {
            Way::Up => row.gt(place),
            Way::Down => row.lt(place),
        }
    }

    /// Which way to walk, and how many rows to take.
    const fn walk(&self, take: Take) -> (Way, u32) {
        match take {
            Take::First(wanted) => (self.way, wanted),
            Take::Last(wanted) => (self.way.reversed(), wanted),
        }
    }

    fn within<E: EntityTrait<Column = C>>(
        &self,
        mut select: Select<E>,
        after: Option<&Key>,
        before: Option<&Key>,
    ) -> Select<E> {
        if let Some(key) = after {
            select = select.filter(self.beyond(self.way, key));
        }
        if let Some(key) = before {
            select = select.filter(self.beyond(self.way.reversed(), key));
        }
        select
    }

    /// One row more than was asked for says whether there are more.
    fn cut<M: ModelTrait>(&self, mut rows: Vec<M>, request: &PageRequest) -> Page<M>
    where
        M::Entity: EntityTrait<Column = C>,
    {
        let (Take::First(wanted) | Take::Last(wanted)) = request.take;
        let more = rows.len() > wanted as usize;
        rows.truncate(wanted as usize);
        let (has_next, has_previous) = match request.take {
            Take::First(_) => (more || request.before.is_some(), request.after.is_some()),
            Take::Last(_) => {
                rows.reverse();
                (request.before.is_some(), more || request.after.is_some())
            }
        };
        let rows = rows.into_iter().map(|row| (self.key(&row), row)).collect();
        Page { rows, has_next, has_previous }
    }
}

/// A page of a list.
pub(crate) async fn page<E: EntityTrait>(
    reads: &Reads,
    select: Select<E>,
    sort: Sort<E::Column>,
    request: &PageRequest,
) -> Result<Page<E::Model>, ReadError>
where
    E::Model: ModelTrait<Entity = E>,
{
    let (way, wanted) = sort.walk(request.take);
    let rows = sort
        .within(select, request.after.as_ref(), request.before.as_ref())
        .order_by(sort.value, way.into())
        .order_by(sort.id, way.into())
        .limit(u64::from(wanted) + 1)
        .all(reads.db())
        .await?;
    Ok(sort.cut(rows, request))
}

/// The first page of the list of each of several owners, in one query.
/// Owners without rows are missing from the answer.
pub(crate) async fn pages<E: EntityTrait, I: EntityId>(
    reads: &Reads,
    select: Select<E>,
    owner: E::Column,
    sort: Sort<E::Column>,
    request: &PageRequest,
) -> Result<HashMap<I, Page<E::Model>>, ReadError>
where
    E::Model: ModelTrait<Entity = E>,
{
    const RANK: &str = "rank_in_owner";

    let (way, wanted) = sort.walk(request.take);
    let mut ranked =
        sort.within(select, request.after.as_ref(), request.before.as_ref()).into_query();
    let mut window = WindowStatement::partition_by(owner);
    window.order_by(sort.value, way.into()).order_by(sort.id, way.into());
    ranked.expr_window_as(Expr::cust("row_number()"), window, RANK);
    let statement = Query::select()
        .columns(E::Column::iter().map(|column| Alias::new(column.as_str())))
        .from_subquery(ranked, "ranked")
        .and_where(Expr::col(RANK).lte(i64::from(wanted) + 1))
        .order_by(RANK, Order::Asc)
        .to_owned();
    let db = reads.db();
    let rows =
        E::Model::find_by_statement(db.get_database_backend().build(&statement)).all(db).await?;

    let mut lists: HashMap<I, Vec<E::Model>> = HashMap::new();
    for row in rows {
        let id = text(row.get(owner)).unwrap_or_default().parse::<AnyId>();
        let id = id.and_then(AnyId::expect).map_err(|error| DbErr::Type(error.to_string()))?;
        lists.entry(id).or_default().push(row);
    }
    Ok(lists.into_iter().map(|(owner, rows)| (owner, sort.cut(rows, request))).collect())
}

fn text(value: Value) -> Option<String> {
    if let Value::String(text) = value { text } else { None }
}
