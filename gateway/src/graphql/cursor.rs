//! Cursors: a place in a list or a feed, signed, so that a client can keep it
//! but not make one up, nor carry it into another list.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Serialize, de::DeserializeOwned};
use sha2::Sha256;

use super::scalars::Cursor;
use crate::error::{ClientError, ErrorCode};

/// How many bytes of the signature a cursor carries.
const SIGNATURE: usize = 12;

/// Signs cursors. The secret lives with the data, so that cursors outlive a
/// restart.
#[derive(Clone)]
pub struct CursorKey(Hmac<Sha256>);

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorKey")
    }
}

impl CursorKey {
    /// A key made of a secret of any length.
    pub fn new(secret: &[u8]) -> Result<Self, hmac::digest::InvalidLength> {
        Hmac::new_from_slice(secret).map(Self)
    }

    /// A place in the list or feed called `list`.
    pub fn sign(&self, list: &str, place: &impl Serialize) -> Cursor {
        let mut bytes = self.signature(list, &[]);
        if let Ok(place) = serde_json::to_vec(place) {
            bytes = self.signature(list, &place);
            bytes.extend(place);
        }
        Cursor(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a place in the list or feed called `list`.
    pub fn open<T: DeserializeOwned>(&self, list: &str, cursor: &str) -> Result<T, ClientError> {
        let broken = || {
            ClientError::new(
                ErrorCode::BadUserInput,
                "this is not a cursor of this list: use one as it came, with the same arguments",
            )
            .on_field("after")
        };
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).map_err(|_| broken())?;
        let (signature, place) = bytes.split_at_checked(SIGNATURE).ok_or_else(broken)?;
        self.over(list, place).verify_truncated_left(signature).map_err(|_| broken())?;
        serde_json::from_slice(place).map_err(|_| broken())
    }

    fn signature(&self, list: &str, place: &[u8]) -> Vec<u8> {
        self.over(list, place).finalize().into_bytes()[..SIGNATURE].to_vec()
    }

    fn over(&self, list: &str, place: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(list.as_bytes());
        mac.update(&[0]);
        mac.update(place);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &[u8]) -> CursorKey {
        CursorKey::new(secret).unwrap()
    }

    #[test]
    fn a_cursor_opens_in_its_own_list_only() {
        let cursor = key(b"secret").sign("orders", &(7, "order_1"));
        let open = |key: &CursorKey, list| key.open::<(i64, String)>(list, &cursor.0);
        assert_eq!(open(&key(b"secret"), "orders").unwrap(), (7, "order_1".to_owned()));
        assert!(open(&key(b"secret"), "stores").is_err());
        assert!(open(&key(b"other"), "orders").is_err());
    }

    #[test]
    fn a_cursor_that_was_changed_does_not_open() {
        let key = key(b"secret");
        let cursor = key.sign("orders", &7).0;
        for at in 0..cursor.len() {
            let mut changed = cursor.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The last character may hold bits that do not count.
            let same =
                BASE64_URL_SAFE_NO_PAD.decode(&changed) == BASE64_URL_SAFE_NO_PAD.decode(&cursor);
            assert!(same || key.open::<i64>("orders", &changed).is_err(), "{at}");
        }
        for text in ["", "A", "%%%", "AAAAAAAAAAAAAAAA"] {
            assert!(key.open::<i64>("orders", text).is_err());
        }
    }
}
