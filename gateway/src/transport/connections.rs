//! Connections: how many are taken in, from whom, and how long each may keep
//! the server waiting.
//!
//! A client can hold a connection in four ways: by sending a head slowly, by
//! sending nothing, by sending a body slowly, and by not reading. The first two
//! are bounded here by one timeout, the third by whoever reads the body, and
//! the last by [`Patient`], for everything that is ever written: answers of one
//! piece, streams of them, and sockets.

use std::{
    collections::{HashMap, hash_map::Entry},
    io::{self, Write},
    net::{IpAddr, Ipv6Addr},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use mallbots_eventstore::metrics::Presence;
use metrics::Counter;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::{Sleep, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error};

use crate::metrics::door::Listening;

/// How many connections are kept, and how patiently.
#[derive(Debug, Clone)]
pub struct ConnectionSettings {
    /// How long a client may take to send a request's head, and how long a
    /// connection may lie idle between two requests.
    pub head_timeout: Duration,
    /// How long a client may take nothing of what is written to it.
    pub write_timeout: Duration,
    /// How many connections there may be.
    pub max: usize,
    /// How many of them one address may have.
    pub max_per_address: usize,
    /// What the listener is called in metrics.
    pub listener: &'static str,
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            max: 20_000,
            max_per_address: 1_000,
            listener: "main",
        }
    }
}

/// What a client is told for which there is no room, whatever it wanted.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\
    content-length: 0\r\n\r\n";

/// Takes connections in until `closing` is canceled; they then finish what
/// they are at. All of them are tracked by `tracker`.
pub(crate) async fn accept(
    listener: TcpListener,
    router: Router,
    settings: ConnectionSettings,
    closing: CancellationToken,
    tracker: TaskTracker,
) {
    let tally = Listening::of(settings.listener);
    let seats = Arc::new(Seats::new(settings.max, settings.max_per_address));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closing.cancelled() => return,
        };
        match accepted {
            Ok((stream, address)) => {
                let Some(seat) = seats.take(address.ip()) else {
                    tally.turned_away.increment(1);
                    turn_away(stream);
                    continue;
                };
                let stream = Patient {
                    slow: tally.slow.clone(),
                    _here: Some(Presence::of(&tally.connections)),
                    ..Patient::new(stream, settings.write_timeout, seat)
                };
                let (router, closing) = (router.clone(), closing.clone());
                tracker.spawn(serve(stream, router, settings.head_timeout, closing));
            }
            Err(error) if is_of_one_connection(&error) => debug!(%error, "a connection was lost"),
            Err(error) => {
                // Out of file descriptors, most likely: some will be given back.
                error!(%error, "no connection can be taken in");
                tokio::select! {
                    () = sleep(Duration::from_millis(500)) => {}
                    () = closing.cancelled() => return,
                }
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// Says that there is no room, if that can be said without waiting.
fn turn_away(stream: TcpStream) {
    let told = stream.into_std().and_then(|mut stream| stream.write(FULL));
    debug!(told = told.is_ok(), "a connection was turned away");
}

async fn serve(
    stream: Patient,
    router: Router,
    head_timeout: Duration,
    closing: CancellationToken,
) {
    // Answers are written whole: waiting for more to send only delays them.
    if let Err(error) = stream.stream.set_nodelay(true) {
        debug!(%error, "a connection stays slow");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection broke");
    }
}

/// The places there are for connections.
#[derive(Debug)]
struct Seats {
    max: usize,
    max_per_address: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Seats {
    fn new(max: usize, max_per_address: usize) -> Self {
        Self { max, max_per_address, taken: Mutex::default() }
    }

    fn take(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let address = owner(address);
        let mut taken = self.taken();
        let by_it = taken.by_address.get(&address).copied().unwrap_or_default();
        if taken.all >= self.max || by_it >= self.max_per_address {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, by_it + 1);
        Some(Seat { seats: Arc::clone(self), address })
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        // Nothing that is done with it can panic half-way.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose address it is: of version 6 everybody has 2⁶⁴.
fn owner(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// A place, until it is dropped.
#[derive(Debug)]
struct Seat {
    seats: Arc<Seats>,
    address: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.all -= 1;
        if let Entry::Occupied(mut by_it) = taken.by_address.entry(self.address) {
            *by_it.get_mut() -= 1;
            if *by_it.get() == 0 {
                by_it.remove();
            }
        }
    }
}

/// A connection that breaks when nothing can be written to it for too long:
/// whoever does not read would otherwise keep what is written, and all that
/// makes it, for ever.
#[derive(Debug)]
struct Patient {
    stream: TcpStream,
    patience: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
    /// Given back when the connection ends, whatever it had become by then.
    _seat: Seat,
    _here: Option<Presence>,
    slow: Counter,
}

impl Patient {
    fn new(stream: TcpStream, patience: Duration, seat: Seat) -> Self {
        Self { stream, patience, waiting: None, _seat: seat, _here: None, slow: Counter::noop() }
    }

    fn in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
        match waiting.as_mut().poll(cx) {
            Poll::Ready(()) => {
                self.slow.increment(1);
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_seats_and_gives_them_back() {
        let seats = Arc::new(Seats::new(3, 2));
        let (a, b) = (address("192.0.2.1"), address("192.0.2.2"));
        let first = seats.take(a).unwrap();
        let second = seats.take(a).unwrap();
        assert!(seats.take(a).is_none());
        // The same address in another dress.
        assert!(seats.take(address("::ffff:192.0.2.1")).is_none());
        let third = seats.take(b).unwrap();
        // There is no seat left, whoever asks.
        assert!(seats.take(address("192.0.2.3")).is_none());
        drop(first);
        assert!(seats.take(a).is_some());
        drop((second, third));
        assert!(seats.taken().by_address.is_empty());
        assert_eq!(seats.taken().all, 0);
    }

    #[test]
    fn a_network_of_version_6_is_one_client() {
        let seats = Arc::new(Seats::new(10, 1));
        let _seat = seats.take(address("2001:db8:0:1::1")).unwrap();
        assert!(seats.take(address("2001:db8:0:1:ffff::2")).is_none());
        assert!(seats.take(address("2001:db8:0:2::1")).is_some());
    }

    #[tokio::test]
    async fn a_write_that_nobody_takes_breaks_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let seats = Arc::new(Seats::new(1, 1));
        let seat = seats.take(peer.ip()).unwrap();
        let mut patient = Patient::new(stream, Duration::from_millis(20), seat);

        // As long as it is taken, any amount can be written.
        let much = vec![b'x'; 8 * 1024 * 1024];
        let mut taken = vec![0; much.len()];
        let (written, read) = tokio::join!(patient.write_all(&much), client.read_exact(&mut taken));
        assert!(written.is_ok() && read.is_ok());

        let stuck = patient.write_all(&vec![b'x'; 64 * 1024 * 1024]).await.unwrap_err();
        assert_eq!(stuck.kind(), io::ErrorKind::TimedOut);
        drop(patient);
        assert!(seats.take(peer.ip()).is_some());
    }
}
