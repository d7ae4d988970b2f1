//! Leases: what one process does for all of them.

use sea_orm_migration::prelude::*;

/// The tables of leases and of those who share them.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "`async_trait` must find the trait's own lifetimes")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(
            manager,
            include_str!("m0002_leases.sqlite.sql"),
            include_str!("m0002_leases.postgres.sql"),
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let drops = include_str!("m0002_leases.down.sql");
        super::run(manager, drops, drops).await
    }
}
