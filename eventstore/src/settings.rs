//! What belongs to the data rather than to a process.

use crate::{
    error::StoreError,
    ledger::Ledger,
    sql::{self, Arg},
};

impl Ledger {
    /// A setting that lives with the data.
    pub async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        let found = self.rows(&sql::SETTING, &[Arg::text(key)], sql::text).await?;
        Ok(found.into_iter().next())
    }

    /// Sets it unless it is set, and says what it is then.
    pub async fn set_setting_if_absent(
        &self,
        key: &str,
        value: &str,
    ) -> Result<String, StoreError> {
        self.run(vec![(sql::SET_SETTING, vec![Arg::text(key), Arg::text(value)])]).await?;
        Ok(self.setting(key).await?.unwrap_or_else(|| value.to_owned()))
    }
}
