//! Clients that cost next to nothing: requests prepared as bytes, answers and
//! frames counted rather than understood.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::{Buf, BytesMut};
use hdrhistogram::Histogram;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// What a single measurement must not wait longer for.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A connection from one of many addresses of this machine, for a server may
/// take only so many from one.
async fn connect(address: &str) -> TcpStream {
    const FROM_ONE: usize = 200;
    static OPENED: AtomicUsize = AtomicUsize::new(0);
    let number = OPENED.fetch_add(1, Ordering::Relaxed) / FROM_ONE % 250;
    let from = Ipv4Addr::new(127, 0, 0, u8::try_from(number + 1).unwrap());
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let stream = socket.connect(address.parse().unwrap()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Microseconds since 1970, on the clock that server and clients share.
pub(crate) fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// A request as it goes over the wire.
pub(crate) fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         accept: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A connection over which one request follows the other.
pub(crate) struct Requests {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Requests {
    pub(crate) async fn open(address: &str) -> Self {
        let stream = connect(address).await;
        Self { stream, buffer: BytesMut::new() }
    }

    /// Sends a request and reads the answer's body. It must be 200.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> BytesMut {
        self.stream.write_all(request).await.unwrap();
        let (head, length) = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let head = std::str::from_utf8(&self.buffer[..end]).unwrap();
                assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse())
                });
                break (end + 4, length.map_or(0, Result::unwrap));
            }
            assert!(self.stream.read_buf(&mut self.buffer).await.unwrap() > 0, "no answer");
        };
        while self.buffer.len() < head + length {
            assert!(self.stream.read_buf(&mut self.buffer).await.unwrap() > 0, "half an answer");
        }
        self.buffer.advance(head);
        self.buffer.split_to(length)
    }
}

/// How many requests a second, asked over so many connections for so long.
pub(crate) async fn rate(address: &str, request: &[u8], connections: usize, time: Duration) -> f64 {
    let began = Instant::now();
    let asking = (0..connections).map(|_| async {
        let mut requests = Requests::open(address).await;
        let mut count = 0_u64;
        while began.elapsed() < time {
            requests.ask(request).await;
            count += 1;
        }
        count
    });
    let counts = futures_util::future::join_all(asking).await;
    counts.into_iter().sum::<u64>() as f64 / began.elapsed().as_secs_f64()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// A socket that speaks `graphql-transport-ws`, its connection acknowledged.
pub(crate) struct Socket {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Socket {
    pub(crate) async fn open(address: &str, path: &str) -> Self {
        let stream = connect(address).await;
        let mut socket = Self { stream, buffer: BytesMut::new() };
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-protocol: graphql-transport-ws\r\n\r\n"
        );
        socket.stream.write_all(head.as_bytes()).await.unwrap();
        let end = loop {
            if let Some(end) = find(&socket.buffer, b"\r\n\r\n") {
                break end;
            }
            let read = socket.stream.read_buf(&mut socket.buffer).await.unwrap();
            assert!(read > 0, "no handshake");
        };
        assert!(socket.buffer.starts_with(b"HTTP/1.1 101"), "{:?}", socket.buffer);
        socket.buffer.advance(end + 4);
        socket.send(r#"{"type":"connection_init"}"#).await;
        let acknowledged = socket.message().await;
        assert!(find(&acknowledged, b"connection_ack").is_some(), "{acknowledged:?}");
        socket
    }

    pub(crate) async fn subscribe(&mut self, id: usize, query: &str) {
        let payload = serde_json::json!({ "query": query });
        let message =
            serde_json::json!({ "type": "subscribe", "id": id.to_string(), "payload": payload });
        self.send(&message.to_string()).await;
    }

    async fn send(&mut self, text: &str) {
        // A mask of zeros leaves the text as it is.
        const MASKED: u8 = 0x80;
        const TWO_BYTES: u8 = 0x7e;
        let mut frame = vec![0x81];
        match text.len() {
            length @ ..=125 => frame.push(MASKED | u8::try_from(length).unwrap()),
            length => {
                frame.push(MASKED | TWO_BYTES);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.stream.write_all(&frame).await.unwrap();
    }

    /// The next text message; pings are answered.
    pub(crate) async fn message(&mut self) -> BytesMut {
        loop {
            if let Some((opcode, payload)) = take_frame(&mut self.buffer) {
                match opcode {
                    0x1 => return payload,
                    0x9 => self.stream.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await.unwrap(),
                    0xa => {}
                    _ => panic!("closed: {payload:?}"),
                }
            } else {
                self.buffer.reserve(64 * 1024);
                let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
                assert!(read > 0, "the socket broke");
            }
        }
    }

    /// Reads so many items; how long each was under way goes into the
    /// histogram, if there is one.
    pub(crate) async fn items(&mut self, count: usize, mut times: Option<&mut Histogram<u64>>) {
        for _ in 0..count {
            let item = self.message().await;
            if let Some(times) = &mut times {
                let at = find(&item, br#""at":""#).expect("when it was sent") + 6;
                let digits = item[at..].iter().take_while(|byte| byte.is_ascii_digit());
                let sent =
                    digits.fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
                times.record(now().saturating_sub(sent).max(1)).unwrap();
            }
        }
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// Waits until the server is done with it, without reading what it says.
    pub(crate) async fn stay_stuck(self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

fn take_frame(buffer: &mut BytesMut) -> Option<(u8, BytesMut)> {
    let (first, second) = (*buffer.first()?, *buffer.get(1)?);
    let (head, length) = match second {
        126 => (4, u64::from(u16::from_be_bytes(buffer.get(2..4)?.try_into().unwrap()))),
        127 => (10, u64::from_be_bytes(buffer.get(2..10)?.try_into().unwrap())),
        short => (2, u64::from(short)),
    };
    let length = usize::try_from(length).unwrap();
    if buffer.len() < head + length {
        return None;
    }
    buffer.advance(head);
    Some((first & 0x0f, buffer.split_to(length)))
}
