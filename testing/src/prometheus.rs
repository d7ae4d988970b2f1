//! A Prometheus that belongs to one test: on a free port, with its data in a
//! folder of its own. It asks whom its configuration names.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where Debian's package has it.
const PROGRAM: &str = "/usr/bin/prometheus";

/// A server. It is killed when this is dropped, and by the kernel when the
/// test's thread is gone.
#[derive(Debug)]
pub struct PrometheusServer {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl PrometheusServer {
    /// Starts one with a configuration, in YAML. Files that it names by paths
    /// that are not absolute are looked for in the server's folder.
    pub async fn start(configuration: &str) -> anyhow::Result<Self> {
        ensure!(
            Path::new(PROGRAM).exists(),
            "tests need Prometheus and there is none at {PROGRAM}: run `./test tools`, which \
             installs it",
        );
        let folder = tempfile::Builder::new().prefix("mallbots-prometheus-").tempdir()?;
        fs::write(folder.path().join("prometheus.yml"), configuration)?;
        // Free a moment ago; if somebody else is faster, the test fails.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let log = fs::File::create(folder.path().join("server.log"))?;
        // Not to outlive the test, however that ends: `setpriv` becomes the
        // server, so that the child is the server itself.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", PROGRAM])
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting prometheus through setpriv")?;
        let mut server = Self { folder, port, child };
        let deadline = Instant::now() + PATIENCE;
        loop {
            match server.is_ours().await {
                Ok(()) => return Ok(server),
                Err(error) => {
                    if let Some(status) = server.child.try_wait()? {
                        bail!("prometheus ended with {status}: {}", server.log());
                    }
                    ensure!(Instant::now() < deadline, "prometheus does not start: {error:#}");
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Where its API is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it logged, for whoever wonders what happened.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// That whoever listens on the port is the server that was started here,
    /// and is ready: it keeps its data in the folder that only this one has.
    async fn is_ours(&self) -> anyhow::Result<()> {
        let flags = self.get("/api/v1/status/flags").await?;
        let folder = self.folder.path().to_str().context("the path is not Unicode")?;
        ensure!(flags.contains(folder), "another server listens on port {}", self.port);
        let ready = self.get("/-/ready").await?;
        ensure!(ready.starts_with("HTTP/1.0 200"), "it is not ready");
        Ok(())
    }

    async fn get(&self, path: &str) -> anyhow::Result<String> {
        let asking = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            anyhow::Ok(answer)
        };
        timeout(Duration::from_secs(2), asking).await?
    }
}

impl Drop for PrometheusServer {
    fn drop(&mut self) {
        // If it cannot be killed it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
