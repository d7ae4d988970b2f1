//! Opens the rooms behind the door and connects them: databases, ledger, post,
//! library.

use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use mallbots_eventstore::{
    clock::Clock,
    connect::{Database, Durability, PostgresOptions},
    ledger::{Ledger, LedgerOptions},
};
use mallbots_messaging::{
    notifier::{Notifier, Webhook},
    post::{Post, PostOptions},
    sagas::SagaOptions,
};
use mallbots_migrations::{LedgerMigrator, ViewsMigrator, up};
use mallbots_projections::{projector::Projector, reads::Reads};
use sea_orm::DatabaseConnection;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    config::{Config, Currency, duties::Role},
    graphql::{
        cursor::CursorKey,
        scalars::CurrencyCode,
        services::{Inner, Services, Settings},
    },
    startup::{Lifecycle, Readiness},
};

/// How long a mutation waits to read back what it made.
const READ_BACK: Duration = Duration::from_secs(2);
/// How long it is remembered what a request was answered, for whoever sends it
/// again under the same key.
const ANSWERS_KEPT: Duration = Duration::from_hours(7 * 24);
/// How often it is looked for answers that are too old.
const TIDYING: Duration = Duration::from_hours(1);
/// How far the library may be behind before the process says it is not ready.
const MOST_LAG: i64 = 10_000;

/// Where the mall is kept.
#[derive(Debug)]
pub struct Databases {
    /// What happened.
    pub ledger: Database,
    /// What it looks like.
    pub views: Database,
}

impl Databases {
    /// Connects, and creates what is missing.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let databases = Self::connect(config).await?;
        databases.migrate().await?;
        Ok(databases)
    }

    async fn connect(config: &Config) -> anyhow::Result<Self> {
        if let Some(url) = &config.database_url {
            let options = PostgresOptions {
                url: url.expose().to_owned(),
                replica_url: config.database_read_url.as_ref().map(|url| url.expose().to_owned()),
                work: config.database_work,
                questions: config.database_reads,
            };
            let database = Database::postgres_with(&options).await;
            let database = database.context("connecting to PostgreSQL")?;
            return Ok(Self { ledger: database.clone(), views: database });
        }
        let data = &config.data;
        std::fs::create_dir_all(data)
            .with_context(|| format!("creating the data folder {}", data.display()))?;
        let file = async |name: &str, durability| {
            let path = data.join(name);
            let database = Database::sqlite(&path, durability).await;
            database.with_context(|| format!("opening {}", path.display()))
        };
        Ok(Self {
            ledger: file("ledger.db", Durability::Full).await?,
            // It can be filled again from the ledger: a power cut may cost it its last moments.
            views: file("views.db", Durability::Normal).await?,
        })
    }

    /// Brings the tables to what this version needs.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        up::<LedgerMigrator>(&self.ledger.write).await.context("migrating the ledger")?;
        up::<ViewsMigrator>(&self.views.write).await.context("migrating the read models")?;
        Ok(())
    }
}

/// Opens the rooms that this process has work in and starts that work. What is
/// behind the schema is there if it is a gateway.
pub async fn open(
    config: &Config,
    lifecycle: &Lifecycle,
    readiness: &Readiness,
) -> anyhow::Result<Option<Services>> {
    let Databases { ledger: database, views } = Databases::open(config).await?;

    // The ledger is closed last: everybody writes to it until they stop.
    let (tracker, closing) = (TaskTracker::new(), CancellationToken::new());
    let options = LedgerOptions {
        snapshot_every: config.snapshot_interval.get().into(),
        #[cfg(feature = "test-support")]
        probe: config.die_at.as_ref().map(crate::failpoint::Failpoint::probe),
        ..LedgerOptions::default()
    };
    let ledger = Ledger::open(database, Clock::System, &tracker, closing.clone(), options)
        .await
        .context("opening the ledger")?;
    lifecycle.on_close("ledger", {
        let tracker = tracker.clone();
        async move {
            closing.cancel();
            tracker.close();
            tracker.wait().await;
        }
    });

    let (projector, reads) =
        Projector::open(&views, &ledger).await.context("opening the read models")?;
    lifecycle.spawn("projector", {
        let ledger = ledger.clone();
        move |stop| async move {
            projector.run(ledger, stop).await;
            Ok(())
        }
    });

    let sagas = SagaOptions {
        step_timeout: config.sagas.step_timeout,
        attempts: config.sagas.retries.saturating_add(1),
        ..SagaOptions::default()
    };
    let post = start_post(config, &ledger, sagas, lifecycle)?;
    lifecycle.spawn("tidying", {
        let ledger = ledger.clone();
        move |stop| async move {
            stop.run_until_cancelled(tidy(&ledger)).await;
            Ok(())
        }
    });
    watch(readiness, &ledger, &reads, views.reserved.clone());

    info!(position = ledger.head().0, roles = %config.duties, "the mall is open");
    if !config.duties.has(Role::Gateway) {
        return Ok(None);
    }
    let secret = cursor_secret(config, &ledger).await?;
    Ok(Some(Services::new(Inner {
        cursors: CursorKey::new(&secret).context("taking the cursor secret")?,
        settings: Settings {
            currency: currency(config.currency),
            abandon_after: config.basket_abandoned_after,
            sagas,
            read_back: READ_BACK,
        },
        ledger,
        reads,
        post,
        tracker,
    })))
}

fn start_post(
    config: &Config,
    ledger: &Ledger,
    sagas: SagaOptions,
    lifecycle: &Lifecycle,
) -> anyhow::Result<Post> {
    let notifier = match &config.webhook {
        None => Notifier::Log,
        Some(webhook) => {
            let url = webhook.url.parse().context("reading the webhook's address")?;
            Notifier::Webhook(Webhook::new(url, webhook.secret.expose())?)
        }
    };
    let options = PostOptions { sagas, ..PostOptions::default() };
    #[cfg(feature = "test-support")]
    let options = crate::failpoint::hurried(options, config);
    let (tracker, stopping) = (TaskTracker::new(), CancellationToken::new());
    let post = Post::start(ledger, notifier, &options, &tracker, &stopping);
    lifecycle.spawn("post", move |stop| async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = stopping.cancelled() => bail!("a part of the post has stopped"),
        }
        stopping.cancel();
        tracker.close();
        tracker.wait().await;
        Ok(())
    });
    Ok(post)
}

/// Forgets, from time to time, what nobody will ask for again.
async fn tidy(ledger: &Ledger) {
    let kept = i64::try_from(ANSWERS_KEPT.as_micros()).unwrap_or(i64::MAX);
    let mut rounds = tokio::time::interval(TIDYING);
    loop {
        rounds.tick().await;
        match ledger.forget_answers(ledger.now().saturating_sub(kept)).await {
            Ok(0) => {}
            Ok(answers) => info!(answers, "forgot old answers"),
            // The next round will do.
            Err(error) => warn!(error = &error as &dyn std::error::Error, "old answers are kept"),
        }
    }
}

/// How the process can tell that its rooms are well.
fn watch(readiness: &Readiness, ledger: &Ledger, reads: &Reads, views: DatabaseConnection) {
    let behind = (ledger.clone(), reads.clone());
    readiness.register("ledger", {
        let ledger = ledger.clone();
        move || {
            let ledger = ledger.clone();
            async move {
                if let Some(error) = ledger.went_back() {
                    return Err(error.to_string());
                }
                let answer = ledger.database().reserved.ping().await;
                answer.map_err(|_| "the ledger does not answer".to_owned())
            }
        }
    });
    readiness.register("read models", move || {
        let (views, (ledger, reads)) = (views.clone(), behind.clone());
        async move {
            views.ping().await.map_err(|_| "the read models do not answer".to_owned())?;
            if let Some(halt) = reads.halted() {
                return Err(halt.to_string());
            }
            let lag = ledger.head().0 - reads.position().0;
            if lag > MOST_LAG {
                return Err(format!("the read models are {lag} messages behind"));
            }
            Ok(())
        }
    });
}

/// The configured secret, or one that is made once and kept with the data, so
/// that cursors outlive a restart.
async fn cursor_secret(config: &Config, ledger: &Ledger) -> anyhow::Result<Vec<u8>> {
    if let Some(secret) = &config.cursor_secret {
        return Ok(secret.expose().as_bytes().to_vec());
    }
    let minted = BASE64_STANDARD.encode(rand::random::<[u8; 32]>());
    let kept = ledger
        .set_setting_if_absent("cursor_secret", &minted)
        .await
        .context("keeping the cursor secret")?;
    Ok(kept.into_bytes())
}

const fn currency(currency: Currency) -> CurrencyCode {
    match currency {
        Currency::Usd => CurrencyCode::Usd,
        Currency::Eur => CurrencyCode::Eur,
        Currency::Gbp => CurrencyCode::Gbp,
    }
}
