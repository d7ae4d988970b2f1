//! A NATS server that belongs to one test: with JetStream, on a free port, with
//! its data in a folder of its own. It can be made to suffer everything that
//! happens to servers.

use std::{
    fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    time::{sleep, timeout},
};
use uuid::Uuid;

/// How long a server may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a server allows, and whom it lets in.
#[derive(Debug, Clone, Default)]
pub struct NatsSettings {
    /// The largest message, in bytes; NATS's own default is 1 MiB.
    pub max_payload: Option<u32>,
    /// How much JetStream may keep on disk, in bytes.
    pub max_store: Option<u64>,
    /// Further lines of its configuration, such as `authorization { … }`.
    pub further: String,
}

/// A server. It is killed when this is dropped, and by the kernel when the
/// test's thread is gone.
#[derive(Debug)]
pub struct NatsServer {
    folder: TempDir,
    name: String,
    port: u16,
    child: Option<Child>,
}

/// What a server had on disk at some moment.
#[derive(Debug)]
pub struct NatsCopy {
    folder: TempDir,
}

impl NatsServer {
    /// A server with nothing in it.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&NatsSettings::default()).await
    }

    /// The same, that allows more or less.
    pub async fn start_with(settings: &NatsSettings) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("mallbots-nats-").tempdir()?;
        let name = format!("test-{}", Uuid::now_v7().simple());
        let mut server = Self { folder, name, port: 0, child: None };
        let mut last = None;
        for _ in 0..3 {
            // Free a moment ago; if somebody else was faster, the next will do.
            server.port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
            server.configure(settings)?;
            match server.restart().await {
                Ok(()) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("nothing was tried")?)
    }

    /// Changes what it allows, from its next start on.
    pub fn configure(&self, settings: &NatsSettings) -> anyhow::Result<()> {
        let NatsSettings { max_payload, max_store, further } = settings;
        let max_store =
            max_store.map_or_else(String::new, |most| format!(", max_file_store: {most}"));
        let max_payload =
            max_payload.map_or_else(String::new, |most| format!("max_payload: {most}"));
        let text = format!(
            "server_name: \"{}\"\nlisten: \"127.0.0.1:{}\"\n\
             jetstream: {{ store_dir: \"{}\"{max_store} }}\n{max_payload}\n{further}\n",
            self.name,
            self.port,
            self.store().display(),
        );
        Ok(fs::write(self.folder.path().join("nats.conf"), text)?)
    }

    /// Where clients find it, also after it was started again.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The last lines it logged, for whoever wonders what happened.
    #[must_use]
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Starts it on what it has on disk, where it was before. It is ended
    /// first if it runs.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.stop().await?;
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("server.log"))?;
        // Not to outlive the test, however that ends: `setpriv` becomes the
        // server, so that the child is the server itself.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(binary()?)
            .arg("--config")
            .arg(self.folder.path().join("nats.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting nats-server through setpriv")?;
        self.child = Some(child);
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.is_ours().await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    let child = self.child.as_mut().context("it was just started")?;
                    if let Some(status) = child.try_wait()? {
                        self.child = None;
                        bail!("nats-server ended with {status}: {}", self.log());
                    }
                    ensure!(Instant::now() < deadline, "nats-server does not start: {error:#}");
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// That whoever listens on the port is the server that was started here:
    /// it gives the name that only this one has.
    async fn is_ours(&self) -> anyhow::Result<()> {
        let asking = async {
            let connection = TcpStream::connect(("127.0.0.1", self.port)).await?;
            let mut greeting = String::new();
            BufReader::new(connection).read_line(&mut greeting).await?;
            io::Result::Ok(greeting)
        };
        let greeting = timeout(Duration::from_secs(2), asking).await??;
        let name = format!("\"server_name\":\"{}\"", self.name);
        ensure!(greeting.contains(&name), "another server listens on port {}", self.port);
        Ok(())
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Kills it as a crash would.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.end(Signal::KILL).await
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.end(Signal::TERM).await
    }

    /// Makes it stand still; to its clients it is there and says nothing.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Throws away what it has on disk. It must not run.
    pub fn wipe(&self) -> anyhow::Result<()> {
        ensure!(self.child.is_none(), "the server runs");
        match fs::remove_dir_all(self.store()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Copies what it has on disk. It must not run.
    pub fn copy(&self) -> anyhow::Result<NatsCopy> {
        ensure!(self.child.is_none(), "the server runs");
        let folder = tempfile::Builder::new().prefix("mallbots-nats-copy-").tempdir()?;
        copy_folder(&self.store(), folder.path())?;
        Ok(NatsCopy { folder })
    }

    /// Puts back what it had on disk. It must not run.
    pub fn restore(&self, copy: &NatsCopy) -> anyhow::Result<()> {
        self.wipe()?;
        copy_folder(copy.folder.path(), &self.store())
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.child.as_ref().context("the server does not run")?;
        // Not reaped yet, so that the number is still this server's.
        let process = Pid::from_child(child);
        Ok(kill_process(process, signal)?)
    }

    async fn end(&mut self, signal: Signal) -> anyhow::Result<()> {
        if self.child.is_none() {
            return Ok(());
        }
        self.signal(signal)?;
        // What stands still hears nothing but SIGKILL.
        self.signal(Signal::CONT)?;
        let deadline = Instant::now() + PATIENCE;
        let mut child = self.child.take().context("it was there")?;
        while child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                bail!("the server did not end when it was told to");
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // If it cannot be killed it has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The server's program, which `./test` fetches.
fn binary() -> anyhow::Result<PathBuf> {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/bin/nats-server");
    ensure!(
        fetched.exists(),
        "tests need a NATS server of their own and there is none at {}: run `./test tools`, \
         which fetches it",
        fetched.display(),
    );
    Ok(fetched)
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
