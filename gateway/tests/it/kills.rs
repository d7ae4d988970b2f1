//! The mall is killed, as by `kill -9`, and opened again on the same data:
//! what people were told is so, every order ends as it should, and nothing
//! happened twice.
//!
//! [`seeds`] kills it anywhere, [`instants`] at each moment that is worth a
//! name. In both, [`people`] do in [`stories`] what people do, and ask again
//! when the mall is back; then the [`audit`] goes through all it has kept.

mod audit;
#[cfg(feature = "test-support")]
mod instants;
mod people;
mod seeds;
mod stories;
