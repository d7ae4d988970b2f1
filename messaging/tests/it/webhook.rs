//! A server that a webhook points to: it answers what a test says and keeps
//! what it was told.

use std::sync::{Arc, Mutex};

use mallbots_testing::ledgers::Tasks;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }
}

/// What the server answers to its nth request, from 1: a status line and headers.
type Answer = Box<dyn Fn(usize) -> String + Send + Sync>;

/// The server.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: watch::Sender<Vec<Request>>,
    answer: Arc<Mutex<Answer>>,
}

impl Server {
    pub(crate) async fn start(
        tasks: &Tasks,
        answer: impl Fn(usize) -> String + Send + Sync + 'static,
    ) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?secret=1", listener.local_addr().unwrap());
        let answer: Answer = Box::new(answer);
        let server = Arc::new(Self {
            url,
            requests: watch::Sender::new(Vec::new()),
            answer: Arc::new(Mutex::new(answer)),
        });
        let (serving, tracker, shutdown) =
            (server.clone(), tasks.tracker.clone(), tasks.shutdown.clone());
        tasks.tracker.spawn(async move {
            while let Some(Ok((socket, _))) = shutdown.run_until_cancelled(listener.accept()).await
            {
                let (server, shutdown) = (serving.clone(), shutdown.clone());
                tracker.spawn(async move {
                    shutdown.run_until_cancelled(server.serve(socket)).await;
                });
            }
        });
        server
    }

    /// Everything it was told so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.borrow().clone()
    }

    /// Tells when it was told something.
    pub(crate) fn heard(&self) -> watch::Receiver<Vec<Request>> {
        self.requests.subscribe()
    }

    async fn serve(&self, socket: TcpStream) {
        let mut socket = BufReader::new(socket);
        while let Some(request) = read(&mut socket).await {
            let mut count = 0;
            self.requests.send_modify(|requests| {
                requests.push(request);
                count = requests.len();
            });
            let head = self.answer.lock().unwrap()(count);
            if head.is_empty() {
                // Never answers.
                std::future::pending::<()>().await;
            }
            let answer = format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n");
            socket.get_mut().write_all(answer.as_bytes()).await.unwrap();
        }
    }
}

/// Reads a request; `None` when the client has gone.
async fn read(socket: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if socket.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let line = lines.remove(0);
    let headers: Vec<_> = lines
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let request = Request { line, headers, body: String::new() };
    let mut body = vec![0; request.header("content-length").parse().unwrap_or(0)];
    socket.read_exact(&mut body).await.ok()?;
    Some(Request { body: String::from_utf8(body).unwrap(), ..request })
}
