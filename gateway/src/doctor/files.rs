//! The data folder: whether it can be written, has room, and what is in it.

use std::path::{Path, PathBuf};

use mallbots_eventstore::{checkup, connect::Database};
use mallbots_migrations::{LedgerMigrator, MigratorTrait, ViewsMigrator, state};
use rustix::fs::{Access, access, statvfs};
use tokio::time::timeout;

use super::{
    Finding, PATIENCE, causes,
    database::{last_ahead, migrated},
};
use crate::config::Config;

const AREA: &str = "data";
/// With less room than this it will soon be full.
const LITTLE: u64 = 1 << 30;
/// With less room than this it is as good as full.
const TOO_LITTLE: u64 = 100 << 20;

pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let folder = std::path::absolute(&config.data).unwrap_or_else(|_| config.data.clone());
    let mut findings = vec![place(&folder)];
    findings.extend(room(&folder));
    findings.extend(file::<LedgerMigrator>(&folder, "ledger.db", "the ledger's tables").await);
    findings.extend(file::<ViewsMigrator>(&folder, "views.db", "the read models' tables").await);
    findings
}

/// The folder, or what is there of the way to it.
fn nearest(folder: &Path) -> PathBuf {
    let there = folder.ancestors().find(|folder| folder.exists());
    there.unwrap_or(Path::new("/")).to_owned()
}

fn place(folder: &Path) -> Finding {
    let there = nearest(folder);
    let name = folder.display();
    if !there.is_dir() {
        let mend = "name another folder with --data or MALLBOTS_DATA";
        return Finding::bad(AREA, format!("{} is not a folder", there.display()), mend);
    }
    if let Err(error) = access(&there, Access::WRITE_OK | Access::EXEC_OK) {
        let mend = "let the user that runs the mall write there (chown, chmod), or name another \
                    folder with --data or MALLBOTS_DATA";
        return Finding::bad(AREA, format!("{} cannot be written: {error}", there.display()), mend);
    }
    if there == folder {
        Finding::good(AREA, format!("{name} can be written"))
    } else {
        Finding::good(AREA, format!("{name} is not there yet and can be made"))
    }
}

fn room(folder: &Path) -> Option<Finding> {
    let room = statvfs(nearest(folder)).ok()?;
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    let found = format!("{} MiB are free", free >> 20);
    let mend = "make room there, or move the folder to a larger disk while the mall is closed";
    Some(if free < TOO_LITTLE {
        Finding::bad(AREA, found, mend)
    } else if free < LITTLE {
        Finding::warning(AREA, found, mend)
    } else {
        Finding::good(AREA, found)
    })
}

async fn file<M: MigratorTrait>(folder: &Path, name: &str, what: &str) -> Vec<Finding> {
    let path = folder.join(name);
    if !path.exists() {
        return vec![Finding::good(
            AREA,
            format!("{name} is not there yet; the first start makes it"),
        )];
    }
    let looked = timeout(PATIENCE, open_file::<M>(&path, name, what)).await;
    looked.unwrap_or_else(|_| {
        let found = format!("{name} does not answer within {PATIENCE:?}");
        vec![Finding::bad(AREA, found, "see what else has it open, and whether the disk answers")]
    })
}

async fn open_file<M: MigratorTrait>(path: &Path, name: &str, what: &str) -> Vec<Finding> {
    let broken = |error: &(dyn std::error::Error + 'static)| {
        let mend = "let this user read it; if it is damaged, restore it from a backup (views.db can \
                    be thrown away instead: it is filled anew)";
        Finding::bad(AREA, format!("{name} cannot be read: {}", causes(error)), mend)
    };
    let database = match Database::sqlite_for_a_glance(path).await {
        Ok(database) => database,
        Err(error) => return vec![broken(&error)],
    };
    let mut findings = Vec::new();
    match checkup::sqlite(&database).await {
        Ok(file) if file.journal_mode == "wal" => {
            findings.push(Finding::good(
                AREA,
                format!("{name} is in WAL mode, SQLite {}", file.version),
            ));
        }
        Ok(file) => findings.push(Finding::warning(
            AREA,
            format!("{name} is in {} mode instead of WAL", file.journal_mode),
            "the next start turns WAL on, if the file system can do it: use one of this machine",
        )),
        Err(error) => findings.push(broken(&error)),
    }
    match state::<M>(&database.read).await {
        Ok(state) => findings.push(migrated(AREA, what, &[state])),
        Err(error) => findings.push(broken(&error)),
    }
    if name == "ledger.db" {
        findings.extend(last_ahead(&database).await);
    }
    // What is closed badly is closed with the process.
    let _ = database.close().await;
    findings
}
