//! The key of development mode: made once and kept with the data, so that
//! tokens outlive a restart and all processes of a mall take them.

use std::{
    io::{ErrorKind, Write},
    path::Path,
};

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use mallbots_eventstore::{
    clock::Clock,
    ledger::{Ledger, LedgerOptions},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Config, Secret},
    mall::Databases,
};

/// What the key is called among a ledger's settings.
const SETTING: &str = "token_secret";
/// The file of the key, in the data folder. Not in the ledger there: that is
/// the server's alone as long as it runs.
const FILE: &str = "token.key";

fn mint() -> String {
    BASE64_STANDARD.encode(rand::random::<[u8; 32]>())
}

fn read(text: &str) -> anyhow::Result<Secret> {
    let text = text.trim();
    ensure!(text.len() >= 32, "it is no key: remove it, and another is made");
    text.parse().map_err(anyhow::Error::msg)
}

/// The key in a folder of data; made, with the folder, if there is none.
pub(super) fn of_folder(data: &Path) -> anyhow::Result<Secret> {
    let path = data.join(FILE);
    let key = || -> anyhow::Result<Secret> {
        match std::fs::read_to_string(&path) {
            Ok(text) => return read(&text),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        std::fs::create_dir_all(data)?;
        // Whole or not at all, and for its owner only; whoever is first decides.
        let mut file = tempfile::NamedTempFile::new_in(data)?;
        writeln!(file, "{}", mint())?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(&path) {
            Ok(_) => {}
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.error.into()),
        }
        read(&std::fs::read_to_string(&path)?)
    };
    key().with_context(|| format!("reading the key of tokens, {}", path.display()))
}

/// The key in a ledger that several processes share.
pub(super) async fn of_database(ledger: &Ledger) -> anyhow::Result<Secret> {
    let kept = ledger.set_setting_if_absent(SETTING, &mint()).await;
    read(&kept.context("keeping the key of tokens")?)
}

/// The same, for a command that has no ledger open.
pub(super) async fn by_command(config: &Config) -> anyhow::Result<Secret> {
    let databases = Databases::open(config).await?;
    let (tracker, closing) = (TaskTracker::new(), CancellationToken::new());
    let options = LedgerOptions::default();
    let ledger =
        Ledger::open(databases.ledger, Clock::System, &tracker, closing.clone(), options).await;
    let secret = of_database(&ledger.context("opening the ledger")?).await;
    closing.cancel();
    tracker.close();
    tracker.wait().await;
    secret
}
