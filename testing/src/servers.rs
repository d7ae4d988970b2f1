//! PostgreSQL servers of one test each, which may do with them what the
//! shared one must be spared: kill them, start them again, follow them.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use tokio::time::sleep;
use uuid::Uuid;

use crate::postgres::{User, binaries, is_ours};

/// How long a server may take to start or to end.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs the server and says which process it is. When whoever uses it is gone,
/// however that ended, its input ends, and the server with it.
const KEEPER: &str = r#"
"$@" </dev/null >>"$LOG" 2>&1 &
echo $!
cat >/dev/null
kill -INT $! 2>/dev/null
wait
"#;

/// A server of one test, gone when this is dropped.
#[derive(Debug)]
pub struct PrivateServer {
    folder: PathBuf,
    user: User,
    port: u16,
    running: Option<(Child, u32)>,
    /// What it is started with besides.
    arguments: Vec<String>,
}

impl PrivateServer {
    /// An empty one.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same, with further arguments of its program, such as `-c` and a setting.
    pub async fn start_with(arguments: &[String]) -> anyhow::Result<Self> {
        let mut server = Self::prepare()?;
        arguments.clone_into(&mut server.arguments);
        server.user.fresh_cluster(&binaries()?, &server.folder)?;
        server.start_again().await?;
        Ok(server)
    }

    /// A copy of this one that follows it.
    pub async fn replica(&self) -> anyhow::Result<Self> {
        let mut server = Self::prepare()?;
        server.user.empty_folder(&server.folder)?;
        let copy = binaries()?.join("pg_basebackup");
        server.user.run(&[
            copy.to_str().context("the path is not Unicode")?,
            "--pgdata",
            server.folder.join("cluster").to_str().context("the path is not Unicode")?,
            "--host=127.0.0.1",
            &format!("--port={}", self.port),
            "--username=postgres",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-sync",
            "--write-recovery-conf",
        ])?;
        server.start_again().await?;
        Ok(server)
    }

    fn prepare() -> anyhow::Result<Self> {
        let user = User::who()?;
        let folder = user.folder()?.join(format!("private-{}", Uuid::now_v7().simple()));
        fs::create_dir_all(&folder)?;
        // Free a moment ago; if somebody else is faster, the test fails.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        Ok(Self { folder, user, port, running: None, arguments: Vec::new() })
    }

    /// Where a database of it is.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Starts it where it was left, at the same place.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            // What is left of a server that was killed may still hold its memory.
            let (keeper, process) =
                self.running.insert(spawn(self.user, &self.folder, self.port, &self.arguments)?);
            let (name, path) = (process.to_string(), PathBuf::from(format!("/proc/{process}")));
            while path.exists() && keeper.try_wait()?.is_none() && Instant::now() < deadline {
                if is_ours(&self.folder, &name, self.port).await.is_ok() {
                    return Ok(());
                }
                sleep(Duration::from_millis(20)).await;
            }
            self.end();
        }
        let log = fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
        let last: Vec<_> = log.lines().rev().take(5).collect();
        bail!("the server does not start: {}", last.join(" | "))
    }

    /// Kills it as the kernel would, without a word.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let (_, process) = self.running.as_ref().context("the server is not running")?;
        let killed = Command::new("kill").args(["-KILL", &process.to_string()]).status()?;
        ensure!(killed.success(), "the server cannot be killed");
        let path = PathBuf::from(format!("/proc/{process}/cmdline"));
        let deadline = Instant::now() + PATIENCE;
        while fs::read(&path).is_ok_and(|command| !command.is_empty()) {
            ensure!(Instant::now() < deadline, "the server lives on");
            sleep(Duration::from_millis(10)).await;
        }
        self.end();
        Ok(())
    }

    /// Makes it stand still, with every process it has; to its clients it is
    /// there and says nothing.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal_all("-STOP")
    }

    /// Lets it go on.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal_all("-CONT")
    }

    /// Sends a signal to the server and to the processes it has made.
    fn signal_all(&self, signal: &str) -> anyhow::Result<()> {
        let (_, process) = self.running.as_ref().context("the server is not running")?;
        // The server first: it makes no more of them.
        let mut processes = vec![process.to_string()];
        let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"))?;
        processes.extend(children.split_whitespace().map(str::to_owned));
        // One of them may have ended by now.
        Command::new("kill").arg(signal).args(&processes).stderr(Stdio::null()).status()?;
        Ok(())
    }

    /// Stops it as fast as it can in good order.
    pub fn stop(&mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some((mut keeper, _)) = self.running.take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        self.end();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn spawn(
    user: User,
    folder: &Path,
    port: u16,
    arguments: &[String],
) -> anyhow::Result<(Child, u32)> {
    let log = folder.join("server.log");
    File::options().create(true).append(true).open(&log)?;
    let mut keeper = Command::new("setsid")
        .args(["sh", "-c", KEEPER, "keep-server"])
        .args(user.becoming_it())
        .arg(binaries()?.join("postgres"))
        .arg("-D")
        .arg(folder.join("cluster"))
        .args(["-p", &port.to_string()])
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
        // It outlives the death of its processes; a power cut is no part of a test.
        .args(["-c", "fsync=off", "-c", "shared_buffers=32MB"])
        .args(arguments)
        .env("LOG", &log)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("starting the server's keeper")?;
    let mut line = String::new();
    let output = keeper.stdout.take().context("a keeper without output")?;
    BufReader::new(output).read_line(&mut line)?;
    let process = line.trim().parse().context("the keeper does not say which process it is")?;
    Ok((keeper, process))
}
