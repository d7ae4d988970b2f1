//! One process of a shape.

use std::{
    fmt, fs,
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::Planned;

/// How long a process may take to open or to end.
const PATIENCE: Duration = Duration::from_mins(2);

/// A process of the mall. It is killed when this is dropped, and by the kernel
/// when whoever started it is gone.
#[derive(Debug)]
pub struct Process {
    planned: Planned,
    program: PathBuf,
    /// Where it says where it is.
    output: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    address: Option<SocketAddr>,
    admin: Option<SocketAddr>,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.planned)
    }
}

impl Process {
    pub(super) fn new(planned: Planned, program: &Path, folder: &Path) -> Self {
        Self {
            output: folder.join(format!("{planned}.out")),
            log: folder.join(format!("{planned}.log")),
            planned,
            program: program.to_owned(),
            child: None,
            address: None,
            admin: None,
        }
    }

    /// Its service.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.planned.service
    }

    /// Which of the service's processes it is, from 1.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.planned.number
    }

    /// What its environment says.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.planned.environment.get(name).map(String::as_str)
    }

    /// Where it listens, also after it was started again.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        self.address.with_context(|| format!("{self} never said where it is"))
    }

    /// Where it tells of itself.
    pub fn admin(&self) -> anyhow::Result<SocketAddr> {
        self.admin.with_context(|| format!("{self} tells nothing of itself"))
    }

    /// Where its log is.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Starts it, at the address it had if it had one.
    pub(super) fn spawn(&mut self) -> anyhow::Result<()> {
        let open = |path: &Path, append: bool| {
            fs::File::options().create(true).write(true).append(append).truncate(!append).open(path)
        };
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(&self.program)
            .args(&self.planned.arguments)
            .env_clear()
            .envs(&self.planned.environment)
            .stdin(Stdio::null())
            .stdout(open(&self.output, false)?)
            .stderr(open(&self.log, true)?)
            // A key pressed in the terminal is for whoever started it.
            .process_group(0);
        for name in ["PATH", "HOME", "RUST_BACKTRACE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if let Some(address) = self.address {
            command.env("MALLBOTS_LISTEN", address.to_string());
        }
        self.child = Some(command.spawn().context("starting the mall through setpriv")?);
        Ok(())
    }

    /// Waits until it has said where it is.
    pub(super) async fn opened(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = fs::read_to_string(&self.output)?;
            let address = said
                .lines()
                .next()
                .filter(|_| said.contains('\n'))
                .and_then(|line| line.split_once("http://"))
                .and_then(|(_, rest)| rest.split('/').next());
            if let Some(address) = address {
                self.address = Some(address.parse()?);
                // Said in the same breath.
                let admin = said.lines().find_map(|line| line.strip_prefix("Metrics at http://"));
                let admin = admin.and_then(|rest| rest.split('/').next());
                self.admin = admin.map(str::parse).transpose()?;
                return Ok(());
            }
            self.runs()?;
            ensure!(Instant::now() < deadline, "{self} does not open: {}", self.last_words());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts it again, where it was, and waits until it has opened.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        ensure!(self.child.is_none(), "{self} runs");
        self.spawn()?;
        self.opened().await
    }

    /// Fails if it has ended by itself.
    pub fn runs(&mut self) -> anyhow::Result<()> {
        let child = self.child.as_mut().context("it was not started")?;
        if let Some(status) = child.try_wait()? {
            self.child = None;
            bail!("{self} ended with {status}: {}", self.last_words());
        }
        Ok(())
    }

    /// The last lines it logged.
    #[must_use]
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().with_context(|| format!("{self} does not run"))?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Makes it stand still; to others it is there and says nothing.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Asks it to end in order.
    pub(super) fn ask_to_stop(&self) -> anyhow::Result<()> {
        if self.child.is_some() { self.signal(Signal::TERM) } else { Ok(()) }
    }

    /// Waits until it has ended. It must have been asked to.
    pub(super) async fn stopped(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while let Some(child) = &mut self.child {
            if let Some(status) = child.try_wait()? {
                self.child = None;
                ensure!(is_good(status), "{self} ended with {status}: {}", self.last_words());
            } else {
                ensure!(Instant::now() < deadline, "{self} does not end");
                sleep(Duration::from_millis(10)).await;
            }
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.child.as_ref().with_context(|| format!("{self} does not run"))?;
        // Not reaped yet, so that the number is still this process's.
        Ok(kill_process(Pid::from_child(child), signal)?)
    }

    /// What it says of itself, with the status of the answer.
    pub async fn health(&self) -> anyhow::Result<(u16, String)> {
        self.get("/readyz?verbose").await
    }

    /// What it answers at a path, with the status.
    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let address = self.address()?;
        let asking = async {
            let mut stream = TcpStream::connect(address).await?;
            let request =
                format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            anyhow::Ok(answer)
        };
        let answer = timeout(Duration::from_secs(5), asking).await??;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer without an end")?;
        let status = head.split(' ').nth(1).context("an answer without a status")?;
        Ok((status.parse()?, body.to_owned()))
    }
}

/// Whether it ended as it was told to, and not too late.
fn is_good(status: ExitStatus) -> bool {
    status.success()
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // If it cannot be killed it has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
