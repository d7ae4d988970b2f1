//! Events as the ledger stores them, and back.

use mallbots_domain::aggregate::Aggregate;

use crate::{append::NewEvent, error::StoreError, message::Recorded, upcast::Upcasters};

/// An aggregate's event as it is stored: `<CONTEXT>.<Variant>` and the
/// variant's fields, in their order.
pub fn encode<A: Aggregate>(
    event: &A::Event,
    upcasters: &Upcasters,
) -> Result<NewEvent, StoreError> {
    let _ = (event, upcasters);
    unimplemented!()
}

/// A stored event as its aggregate knows it.
pub fn decode<A: Aggregate>(
    recorded: &Recorded,
    upcasters: &Upcasters,
) -> Result<A::Event, StoreError> {
    let _ = (recorded, upcasters);
    unimplemented!()
}
