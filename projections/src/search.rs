//! Looking for text.
//!
//! A row that can be looked for by text keeps all of that text in one column,
//! in small letters. Looking is for any part of it, so no index helps: the
//! database walks the list in its order and stops when the page is full.

use sea_orm::{
    ColumnTrait,
    sea_query::{Expr, ExprTrait, LikeExpr},
};

/// The longest text that is looked for, in characters; what is longer is cut.
pub const LONGEST: usize = 200;

/// What is kept to be looked in.
pub(crate) fn searchable<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for part in parts {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&part.to_lowercase());
    }
    text
}

/// What is looked for, in small letters.
fn sought(text: &str) -> impl Iterator<Item = char> {
    text.trim().chars().take(LONGEST).flat_map(char::to_lowercase)
}

/// Whether a row's text holds a text, in small or capital letters.
pub(crate) fn is_in(search: &str, text: &str) -> bool {
    search.contains(&sought(text).collect::<String>())
}

/// Whether a column holds a text, in small or capital letters.
pub(crate) fn holds<C: ColumnTrait>(column: C, text: &str) -> Expr {
    let mut pattern = String::from("%");
    for letter in sought(text) {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    Expr::col(column.as_column_ref()).like(LikeExpr::new(pattern).escape('\\'))
}
