//! The connection to NATS: one for a process, kept for ever.
//!
//! NATS may be away, when a process starts as well as later. Whoever uses the
//! connection is told whether it stands and goes on without it.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{
    Client, ConnectOptions, Event, ServerAddr,
    jetstream::{Context, context::ContextBuilder},
    rustls::crypto::ring,
};
use tokio::{sync::watch, time::timeout};
use tracing::{info, warn};

/// How long an answer of the server may take.
const ANSWER: Duration = Duration::from_secs(3);
/// How often a server that says nothing is asked whether it is there. Two
/// questions without an answer end the connection.
const PING: Duration = Duration::from_secs(2);
/// The longest time between two tries to connect.
const LONGEST: Duration = Duration::from_secs(1);
/// How long what is under way may take when the process ends.
const GOODBYE: Duration = Duration::from_secs(2);

/// Where NATS is, and who we are to it.
#[derive(Clone)]
pub struct NatsOptions {
    /// Its servers, such as `nats://127.0.0.1:4222` or `tls://nats.example:4222`.
    /// Others of their cluster are found through them.
    pub urls: Vec<String>,
    /// How to log in.
    pub login: Login,
    /// A file with the certificates to trust, besides the system's.
    pub root_certificates: Option<PathBuf>,
    /// Refuse to speak without TLS.
    pub require_tls: bool,
    /// What this process is called in the server's monitoring.
    pub name: String,
}

impl NatsOptions {
    /// One server that lets everybody in.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            urls: vec![url.into()],
            login: Login::Nobody,
            root_certificates: None,
            require_tls: false,
            name: "mallbots".to_owned(),
        }
    }
}

impl fmt::Debug for NatsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { urls, login, root_certificates, require_tls, name } = self;
        f.debug_struct("NatsOptions")
            .field("urls", &urls.iter().map(|url| without_login(url)).collect::<Vec<_>>())
            .field("login", login)
            .field("root_certificates", root_certificates)
            .field("require_tls", require_tls)
            .field("name", name)
            .finish()
    }
}

/// How to log in.
#[derive(Clone, Default)]
pub enum Login {
    /// Not at all, or with what the URL says.
    #[default]
    Nobody,
    /// With a name and a password.
    User {
        /// The name.
        name: String,
        /// The password.
        password: String,
    },
    /// With a token.
    Token(String),
    /// With a credentials file, as `nsc` writes it.
    Credentials(PathBuf),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("Nobody"),
            Self::User { name, .. } => write!(f, "User({name:?})"),
            Self::Token(_) => f.write_str("Token"),
            Self::Credentials(path) => write!(f, "Credentials({})", path.display()),
        }
    }
}

/// Whether the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// It does.
    Connected,
    /// It does not; it is being tried.
    Disconnected,
}

/// Why there is no way to connect, ever.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NatsError {
    /// An address makes no sense.
    #[error("{url} is no address of a NATS server")]
    Address {
        /// As it was given, without what may be a password.
        url: String,
    },
    /// The credentials file cannot be used.
    #[error("the credentials file {path} cannot be used")]
    Credentials {
        /// Which file.
        path: String,
        /// Why not.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The options contradict each other, or a certificate cannot be used.
    #[error("the connection to NATS cannot be set up")]
    Setup(#[source] Arc<async_nats::ConnectError>),
}

/// The connection. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Nats {
    client: Client,
    jetstream: Context,
    connection: watch::Receiver<Connection>,
    complaint: Arc<Mutex<Option<String>>>,
}

impl Nats {
    /// Begins to connect and returns at once; it goes on trying for as long as
    /// the process runs. An error is one of the options, not of the network.
    pub async fn connect(options: &NatsOptions) -> Result<Self, NatsError> {
        let addresses = options
            .urls
            .iter()
            .map(|url| {
                url.parse::<ServerAddr>()
                    .map_err(|_| NatsError::Address { url: without_login(url).to_owned() })
            })
            .collect::<Result<Vec<_>, _>>()?;
        if addresses.is_empty() {
            return Err(NatsError::Address { url: "nothing".to_owned() });
        }

        // The client takes what the process has chosen, and panics when it has
        // not; if somebody has, that one stays.
        let _ = ring::default_provider().install_default();
        let (state, connection) = watch::channel(Connection::Disconnected);
        let complaint = Arc::new(Mutex::new(None));
        let complaints = complaint.clone();
        let mut connect = ConnectOptions::new()
            .name(&options.name)
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(wait_before)
            .ping_interval(PING)
            .connection_timeout(ANSWER)
            .request_timeout(Some(ANSWER))
            .require_tls(options.require_tls)
            .event_callback(move |event| {
                heard(&event, &state, &complaints);
                std::future::ready(())
            });
        connect = match &options.login {
            // The client does not look for it there.
            Login::Nobody => match addresses.iter().find(|address| address.has_user_pass()) {
                Some(address) => in_url(connect, address),
                None => connect,
            },
            Login::User { name, password } => {
                connect.user_and_password(name.clone(), password.clone())
            }
            Login::Token(token) => connect.token(token.clone()),
            Login::Credentials(path) => {
                connect.credentials_file(path).await.map_err(|source| NatsError::Credentials {
                    path: path.display().to_string(),
                    source: Arc::new(source),
                })?
            }
        };
        if let Some(path) = &options.root_certificates {
            connect = connect.add_root_certificates(path.clone());
        }
        let client =
            connect.connect(addresses).await.map_err(|error| NatsError::Setup(Arc::new(error)))?;
        let jetstream =
            ContextBuilder::new().timeout(ANSWER).ack_timeout(ANSWER).build(client.clone());
        Ok(Self { client, jetstream, connection, complaint })
    }

    /// For what is said to whoever listens, and not kept.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// For streams and consumers.
    #[must_use]
    pub const fn jetstream(&self) -> &Context {
        &self.jetstream
    }

    /// Whether the connection stands, and every change of that. It is the
    /// client's opinion: a server that hangs is missed after a few seconds.
    #[must_use]
    pub fn connection(&self) -> watch::Receiver<Connection> {
        self.connection.clone()
    }

    /// Whether the connection stands.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        *self.connection.borrow() == Connection::Connected
    }

    /// Why there is no connection, if the server or the network said so.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends what is still to be sent and closes the connection.
    pub async fn close(&self) {
        if !self.is_connected() {
            return;
        }
        let goodbye = async {
            self.client.flush().await?;
            self.client.drain().await?;
            Ok::<_, async_nats::Error>(())
        };
        match timeout(GOODBYE, goodbye).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(error = &*error as &dyn std::error::Error, "nats did not take leave");
            }
            Err(_) => warn!("nats did not take leave in time"),
        }
    }
}

/// At once after a loss, then ever slower.
fn wait_before(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(10);
    Duration::from_millis(10).saturating_mul(1 << doublings).min(LONGEST)
}

/// Logs in with what an address says: a name and a password, or a token alone.
fn in_url(connect: ConnectOptions, address: &ServerAddr) -> ConnectOptions {
    match (address.username(), address.password()) {
        (Some(name), Some(password)) => {
            connect.user_and_password(name.to_owned(), password.to_owned())
        }
        (Some(token), None) => connect.token(token.to_owned()),
        (None, _) => connect,
    }
}

fn heard(event: &Event, state: &watch::Sender<Connection>, complaint: &Mutex<Option<String>>) {
    let mut complaint = complaint.lock().unwrap_or_else(PoisonError::into_inner);
    match event {
        Event::Connected => {
            info!("connected to nats");
            *complaint = None;
            state.send_replace(Connection::Connected);
        }
        Event::Disconnected | Event::Closed => {
            if state.send_replace(Connection::Disconnected) == Connection::Connected {
                warn!("disconnected from nats");
            }
        }
        Event::ServerError(error) => {
            warn!(error = error as &dyn std::error::Error, "nats refused something");
        }
        Event::SlowConsumer(_) => warn!("a listener on nats is too slow"),
        Event::ClientError(error) => {
            // Once, not at each try.
            let text = error.to_string();
            if complaint.as_ref() != Some(&text) {
                warn!(error = text, "nats cannot be reached");
                *complaint = Some(text);
            }
        }
        Event::LameDuckMode | Event::Draining => {}
    }
}

/// An address without a name and a password in it.
fn without_login(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, time::Duration};

    use super::{Login, Nats, NatsError, NatsOptions, wait_before};

    #[tokio::test]
    async fn options_that_can_never_work_are_refused_at_once() {
        let nowhere = NatsOptions { urls: vec![], ..NatsOptions::at("") };
        assert!(matches!(Nats::connect(&nowhere).await, Err(NatsError::Address { .. })));
        let nonsense = NatsOptions::at("nats://me:secret@no where");
        let refused = Nats::connect(&nonsense).await.unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("secret"), "{refused:?}");
        let path = PathBuf::from("/nowhere/mall.creds");
        let login = Login::Credentials(path);
        let missing = NatsOptions { login, ..NatsOptions::at("nats://127.0.0.1:1") };
        assert!(matches!(Nats::connect(&missing).await, Err(NatsError::Credentials { .. })));
    }

    #[test]
    fn what_is_secret_is_not_shown() {
        let user = Login::User { name: "mall".to_owned(), password: "secret".to_owned() };
        for login in [user, Login::Token("secret".to_owned())] {
            let options = NatsOptions { login, ..NatsOptions::at("nats://me:secret@127.0.0.1") };
            assert!(!format!("{options:?}").contains("secret"), "{options:?}");
        }
    }

    #[test]
    fn tries_to_connect_become_rarer_up_to_a_limit() {
        assert_eq!(wait_before(1), Duration::from_millis(10));
        assert_eq!(wait_before(3), Duration::from_millis(40));
        assert_eq!(wait_before(usize::MAX), Duration::from_secs(1));
    }
}
