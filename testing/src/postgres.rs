//! A PostgreSQL server that belongs to the tests.
//!
//! nextest runs each test in a process of its own, so the server is shared by
//! processes: the first one starts it, a keeper stops it when the last one has
//! gone. Each test gets a database cloned from a template that was migrated
//! once.

use std::{
    fs::{self, File},
    io,
    net::TcpListener,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant, UNIX_EPOCH},
};

use anyhow::{Context, bail, ensure};
use mallbots_migrations::{LedgerMigrator, ViewsMigrator, up};
use sea_orm::sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor,
    postgres::{PgConnectOptions, PgConnection},
    query_scalar,
};
use tokio::{runtime, sync::Mutex, task::spawn_blocking, time::sleep};
use uuid::Uuid;

const KEEPER: &str = include_str!("keep-postgres.sh");
/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_mins(1);

/// A database on the tests' server, dropped with this.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
    server: Server,
}

impl TestDatabase {
    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let server = self.server.clone();
        let drop_it = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // In a thread of its own, as this may run within a runtime. If it
        // fails, the database goes when the server does.
        let dropping = std::thread::spawn(move || -> anyhow::Result<()> {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = server.connect("postgres").await?;
                connection.execute(AssertSqlSafe(drop_it)).await?;
                Ok(())
            })
        });
        let _ = dropping.join();
    }
}

/// An empty database with all tables.
pub async fn fresh() -> anyhow::Result<TestDatabase> {
    let server = server().await?;
    let name = format!("test_{}", Uuid::now_v7().simple());
    let template = &server.template;
    let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
    server.connect("postgres").await?.execute(AssertSqlSafe(create)).await?;
    Ok(TestDatabase { url: server.url(&name), name, server })
}

/// An empty database without any table.
pub async fn empty() -> anyhow::Result<TestDatabase> {
    let server = server().await?;
    let name = format!("test_{}", Uuid::now_v7().simple());
    let create = format!("CREATE DATABASE {name}");
    server.connect("postgres").await?.execute(AssertSqlSafe(create)).await?;
    Ok(TestDatabase { url: server.url(&name), name, server })
}

/// A running server.
#[derive(Debug, Clone)]
pub struct Server {
    port: u16,
    template: String,
}

impl Server {
    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    async fn connect(&self, database: &str) -> anyhow::Result<PgConnection> {
        connect(self.port, database).await
    }
}

async fn connect(port: u16, database: &str) -> anyhow::Result<PgConnection> {
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username("postgres")
        .database(database)
        .disable_statement_logging();
    Ok(options.connect().await?)
}

/// The tests' server, started if it is not running.
pub async fn server() -> anyhow::Result<Server> {
    static SERVER: Mutex<Option<Server>> = Mutex::const_new(None);

    let mut known = SERVER.lock().await;
    if let Some(server) = &*known {
        return Ok(server.clone());
    }
    let server = find_or_start().await.context("tests need a PostgreSQL server of their own")?;
    *known = Some(server.clone());
    Ok(server)
}

async fn find_or_start() -> anyhow::Result<Server> {
    let user = User::who()?;
    let folder = user.folder()?;

    // One process at a time, up to the point where there is a template.
    let starting = open(&folder.join("start.lock"))?;
    let starting = spawn_blocking(move || starting.lock().map(|()| starting)).await??;
    use_it(&folder).await?;

    let deadline = Instant::now() + Duration::from_secs(10);
    let port = loop {
        if let Some(port) = running(&folder).await {
            break port;
        }
        // One that lives but does not answer is given time before it is replaced.
        if !is_alive(&folder) || Instant::now() > deadline {
            break start(&user, &folder).await?;
        }
        sleep(Duration::from_millis(100)).await;
    };
    let template = template()?;
    make_template(port, &template).await.context("migrating the template database")?;
    drop(starting);
    Ok(Server { port, template })
}

/// Says that this process uses the server, until the process ends.
async fn use_it(folder: &Path) -> anyhow::Result<()> {
    static IN_USE: OnceLock<File> = OnceLock::new();

    let users = open(&folder.join("users.lock"))?;
    let users = spawn_blocking(move || users.lock_shared().map(|()| users)).await??;
    IN_USE.get_or_init(|| users);
    Ok(())
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("opening {}", path.display()))
}

/// The port of the server that runs in the folder, if it is indeed that one.
async fn running(folder: &Path) -> Option<u16> {
    let address = fs::read_to_string(folder.join("address")).ok()?;
    let (process, port) = address.trim().split_once(' ')?;
    let port = port.parse().ok()?;
    is_ours(folder, process, port).await.ok()?;
    Some(port)
}

/// Whether the process that was started in the folder is a live server.
fn is_alive(folder: &Path) -> bool {
    let process = fs::read_to_string(folder.join("cluster/postmaster.pid")).unwrap_or_default();
    let process = process.lines().next().unwrap_or("none");
    fs::read_to_string(format!("/proc/{process}/cmdline"))
        .is_ok_and(|command| command.contains(&*folder.join("cluster").to_string_lossy()))
}

/// That whoever listens on the port is the server that was started in the
/// folder, and not one that happened to be there.
pub(crate) async fn is_ours(folder: &Path, process: &str, port: u16) -> anyhow::Result<()> {
    let cluster = folder.join("cluster");
    let claimed = fs::read_to_string(cluster.join("postmaster.pid"))?;
    ensure!(claimed.lines().next() == Some(process), "another server runs in the folder");
    let mut connection = connect(port, "postgres").await?;
    let served: String = query_scalar("SHOW data_directory").fetch_one(&mut connection).await?;
    ensure!(Path::new(&served) == cluster, "another server listens on port {port}");
    connection.close().await?;
    Ok(())
}

async fn start(user: &User, folder: &Path) -> anyhow::Result<u16> {
    let binaries = binaries()?;
    let mut last = None;
    for _ in 0..3 {
        user.fresh_cluster(&binaries, folder)?;
        // Free a moment ago; if somebody else was faster, the next will do.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut keeper = Command::new("setsid")
            .args(["sh", "-c", KEEPER, "keep-postgres"])
            .args([&binaries, folder])
            .arg(port.to_string())
            .args(user.becoming_it())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the server's keeper")?;
        let deadline = Instant::now() + PATIENCE;
        while keeper.try_wait()?.is_none() && Instant::now() < deadline {
            if running(folder).await == Some(port) {
                return Ok(port);
            }
            sleep(Duration::from_millis(50)).await;
        }
        let log = fs::read_to_string(folder.join("server.log")).unwrap_or_default();
        last = Some(log.lines().rev().take(5).collect::<Vec<_>>().join(" | "));
    }
    bail!("the server does not start: {}", last.unwrap_or_default())
}

/// The newest PostgreSQL on the machine.
pub(crate) fn binaries() -> anyhow::Result<PathBuf> {
    const MISSING: &str = "PostgreSQL 15 or newer is not installed: apt-get install postgresql";

    let mut versions: Vec<u32> = fs::read_dir("/usr/lib/postgresql")
        .context(MISSING)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|version| *version >= 15)
        .collect();
    versions.sort_unstable();
    let newest = versions.last().context(MISSING)?;
    let binaries = PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"));
    ensure!(binaries.join("postgres").exists(), MISSING);
    Ok(binaries)
}

/// Whom the server runs as: PostgreSQL refuses root.
#[derive(Debug, Clone, Copy)]
pub(crate) enum User {
    Ourselves,
    Postgres,
}

impl User {
    pub(crate) fn who() -> anyhow::Result<Self> {
        let uid = fs::metadata("/proc/self").context("asking who we are")?.uid();
        Ok(if uid == 0 { Self::Postgres } else { Self::Ourselves })
    }

    /// What makes a command run as this user.
    pub(crate) fn becoming_it(self) -> &'static [&'static str] {
        match self {
            Self::Ourselves => &["env"],
            Self::Postgres => &["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"],
        }
    }

    pub(crate) fn run(self, command: &[&str]) -> anyhow::Result<()> {
        let whole = [self.becoming_it(), command].concat();
        let (program, arguments) = whole.split_first().context("an empty command")?;
        let output = Command::new(program)
            .args(arguments)
            .current_dir("/")
            .output()
            .with_context(|| format!("running {program}"))?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} failed: {told}", command.join(" "));
        Ok(())
    }

    /// The folder of the server: under `target`, unless the user cannot reach that.
    pub(crate) fn folder(self) -> anyhow::Result<PathBuf> {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
        fs::create_dir_all(&target)?;
        let reachable = target.canonicalize()?.join("test-postgres");
        let fallback = std::env::temp_dir().join("mallbots-test-postgres");
        for folder in [reachable, fallback] {
            fs::create_dir_all(&folder)?;
            let text = folder.to_str().context("the path is not Unicode")?;
            if self.run(&["test", "-x", text]).is_ok() {
                return Ok(folder);
            }
        }
        bail!("no folder that the server's user can reach")
    }

    /// Makes an empty cluster. What was there belonged to a server that is gone.
    pub(crate) fn fresh_cluster(self, binaries: &Path, folder: &Path) -> anyhow::Result<()> {
        self.empty_folder(folder)?;
        let cluster = folder.join("cluster");
        let cluster = cluster.to_str().context("the path is not Unicode")?;
        let initdb = binaries.join("initdb");
        let initdb = initdb.to_str().context("the path is not Unicode")?;
        self.run(&[
            initdb,
            "--pgdata",
            cluster,
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ])
    }

    /// Makes an empty folder for a cluster, that the server's user owns.
    pub(crate) fn empty_folder(self, folder: &Path) -> anyhow::Result<()> {
        let cluster = folder.join("cluster");
        match fs::remove_dir_all(&cluster) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        // The server takes no other; `initdb` would see to that, a copy does not.
        fs::DirBuilder::new().mode(0o700).create(&cluster)?;
        let cluster = cluster.to_str().context("the path is not Unicode")?;
        if let Self::Postgres = self {
            let done = Command::new("chown").args(["postgres:", cluster]).status()?;
            ensure!(done.success(), "the cluster cannot be given to the user postgres");
        }
        Ok(())
    }
}

/// A template is good for one build of one test binary: another may bring
/// other migrations.
fn template() -> anyhow::Result<String> {
    use std::hash::{DefaultHasher, Hash, Hasher};

    let binary = std::env::current_exe()?;
    let changed = fs::metadata(&binary)?.modified()?.duration_since(UNIX_EPOCH)?;
    let mut hasher = DefaultHasher::new();
    (binary, changed).hash(&mut hasher);
    Ok(format!("template_{:016x}", hasher.finish()))
}

async fn make_template(port: u16, name: &str) -> anyhow::Result<()> {
    let mut connection = connect(port, "postgres").await?;
    let exists: bool = query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(name)
        .fetch_one(&mut connection)
        .await?;
    if exists {
        return Ok(());
    }
    let unfinished = format!("{name}_unfinished");
    for statement in [
        format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)"),
        format!("CREATE DATABASE {unfinished}"),
    ] {
        connection.execute(AssertSqlSafe(statement)).await?;
    }
    let url = format!("postgres://postgres@127.0.0.1:{port}/{unfinished}?sslmode=disable");
    let database = sea_orm::Database::connect(url).await?;
    up::<LedgerMigrator>(&database).await?;
    up::<ViewsMigrator>(&database).await?;
    database.close().await?;
    let rename = format!("ALTER DATABASE {unfinished} RENAME TO {name}");
    connection.execute(AssertSqlSafe(rename)).await?;
    Ok(())
}
