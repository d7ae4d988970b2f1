//! Everything the ledger began with.

use sea_orm_migration::prelude::*;

/// The first tables of the ledger.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "`async_trait` must find the trait's own lifetimes")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(
            manager,
            include_str!("m0001_ledger.sqlite.sql"),
            include_str!("m0001_ledger.postgres.sql"),
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let drops = include_str!("m0001_ledger.down.sql");
        super::run(manager, drops, drops).await
    }
}
