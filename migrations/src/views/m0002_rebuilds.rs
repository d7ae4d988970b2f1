//! Rebuilds are asked for through a table, by whichever process.

use sea_orm_migration::prelude::*;

/// Where rebuilds are asked for and how they went.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "`async_trait` must find the trait's own lifetimes")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(
            manager,
            include_str!("m0002_rebuilds.sqlite.sql"),
            include_str!("m0002_rebuilds.postgres.sql"),
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let drops = include_str!("m0002_rebuilds.down.sql");
        super::run(manager, drops, drops).await
    }
}
