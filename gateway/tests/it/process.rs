//! The binary as people and scripts meet it: its output, its signals, its exit
//! codes.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
};

/// A server of its own, on any port, ended with the test.
struct Process {
    child: Child,
    address: String,
    _data: tempfile::TempDir,
}

impl Process {
    fn start(variables: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut child = mallbots()
            .args(["--listen", "127.0.0.1:0", "--log", "warn", "--data"])
            .arg(data.path())
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut line, mut page) = (String::new(), String::new());
        let mut told = BufReader::new(child.stdout.take().unwrap());
        told.read_line(&mut line).unwrap();
        told.read_line(&mut page).unwrap();
        let address = line
            .strip_prefix("MallBots is open: GraphQL at http://")
            .and_then(|rest| rest.strip_suffix("/graphql\n"))
            .unwrap_or_else(|| panic!("{line:?}"))
            .to_owned();
        assert_eq!(page, format!("In a browser: http://{address}/\n"));
        Self { child, address, _data: data }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    fn ended(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Sends all but the end of a request, so that it is under way.
    fn begin_request(&self) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let body = r#"{"query":"{ __typename }"}"#;
        let request = format!(
            "POST /graphql HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        // The server asks for the body: now it has the request in hand.
        let mut answer = [0; 25];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended as the test wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn mallbots() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mallbots"));
    command.env_remove("DATABASE_URL");
    command
}

fn run(arguments: &[&str]) -> (ExitStatus, String, String) {
    let output = mallbots().args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status, text(output.stdout), text(output.stderr))
}

#[test]
fn it_tells_its_address_once_it_answers_and_ends_cleanly_when_told_to() {
    for signal in ["TERM", "INT"] {
        let mut process = Process::start(&[]);
        let mut stream = process.begin_request();
        stream.write_all(br#"{"query":"{ __typename }"}"#).unwrap();
        let mut answer = String::new();
        let mut reader = BufReader::new(stream);
        reader.read_line(&mut answer).unwrap();
        assert_eq!(answer, "HTTP/1.1 200 OK\r\n");
        process.signal(signal);
        assert_eq!(process.ended(), Some(0));
    }
}

#[test]
fn slow_requests_are_waited_for_as_long_as_the_settings_say() {
    let settings = [("MALLBOTS_HEAD_TIMEOUT", "50ms"), ("MALLBOTS_BODY_TIMEOUT", "50ms")];
    let process = Process::start(&settings);
    let all_of = |mut stream: TcpStream| {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let body = all_of(process.begin_request());
    assert!(body.starts_with("HTTP/1.1 408 "), "{body}");
    // A head that is not ended, and none at all.
    let mut stream = TcpStream::connect(&process.address).unwrap();
    stream.write_all(b"POST /graphql HTTP/1.1\r\n").unwrap();
    all_of(stream);
    all_of(TcpStream::connect(&process.address).unwrap());
}

#[test]
fn a_request_in_hand_is_finished_first() {
    let mut process = Process::start(&[]);
    let mut stream = process.begin_request();
    process.signal("TERM");
    // It drains once nobody is let in any more.
    while TcpStream::connect(&process.address).is_ok() {
        thread::yield_now();
    }
    stream.write_all(br#"{"query":"{ __typename }"}"#).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(process.ended(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut process = Process::start(&[]);
    let _stream = process.begin_request();
    process.signal("TERM");
    while TcpStream::connect(&process.address).is_ok() {
        thread::yield_now();
    }
    process.signal("INT");
    assert_eq!(process.ended(), Some(130));
}

#[test]
fn what_does_not_end_in_time_is_cut_off() {
    let mut process = Process::start(&[("MALLBOTS_SHUTDOWN_TIMEOUT", "50ms")]);
    let _stream = process.begin_request();
    process.signal("TERM");
    assert_eq!(process.ended(), Some(3));
}

#[test]
fn wrong_settings_are_all_named_before_anything_is_opened() {
    let output = mallbots()
        .args(["--listen", "0.0.0.0:0"])
        .env("MALLBOTS_CURRENCY", "BTC")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("--listen: 0.0.0.0:0 is not a loopback address"), "{told}");
    assert!(told.contains("MALLBOTS_CURRENCY: must be USD, EUR or GBP"), "{told}");
}

#[test]
fn an_address_in_use_is_told() {
    let process = Process::start(&[]);
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let (status, out, told) = run(&["--listen", &process.address, "--data", data]);
    assert_eq!((status.code(), out.as_str()), (Some(1), ""));
    assert!(told.contains(&format!("listening on {}", process.address)), "{told}");
}

#[test]
fn help_and_schema_go_to_standard_output() {
    let (status, help, _) = run(&["--help"]);
    assert!(status.success() && help.contains("Exit codes:"));
    let (status, sdl, _) = run(&["schema"]);
    assert!(status.success() && sdl.contains("schema {"));
    let (status, _, told) = run(&["--no-such-option"]);
    assert_eq!(status.code(), Some(2));
    assert!(told.contains("--no-such-option"));
}

#[test]
fn the_settings_are_shown_with_where_they_come_from_and_without_secrets() {
    let show = |arguments: &[&str], secret: &str| {
        let output = mallbots()
            .args(["--log", "debug", "config", "show"])
            .args(arguments)
            .env("DATABASE_URL", "postgres://mall:hunter2@db/mall")
            .env("MALLBOTS_CURSOR_SECRET", secret)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        assert!(!out.contains("hunter2") && !err.contains("hunter2"), "{out}{err}");
        (output.status.code(), out, err)
    };
    let (code, out, _) = show(&["--origin"], "hunter2hunter2hunter2");
    assert_eq!(code, Some(0));
    let words = |name: &str| -> Vec<String> {
        let line = out.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(words("log "), ["log", "debug", "--log"]);
    assert_eq!(
        words("database_url"),
        ["database_url", "postgres://mall:****@db/mall", "DATABASE_URL"]
    );
    assert_eq!(words("cursor_secret"), ["cursor_secret", "****", "MALLBOTS_CURSOR_SECRET"]);
    assert_eq!(words("currency"), ["currency", "USD", "default"]);

    // What is wrong is shown and told, and the code says that nothing would start.
    let (code, out, err) = show(&["--json"], "hunter2");
    assert_eq!(code, Some(2));
    assert!(err.contains("MALLBOTS_CURSOR_SECRET: must have at least 16"), "{err}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["faults"].as_array().unwrap().len(), 1, "{told}");
    let settings = told["settings"].as_array().unwrap();
    let log = settings.iter().find(|setting| setting["name"] == "log").unwrap();
    assert_eq!(log["origin"], serde_json::json!({ "kind": "flag", "option": "--log" }));
}

#[test]
fn shells_are_told_how_to_complete() {
    for shell in ["bash", "zsh", "fish"] {
        let (status, script, _) = run(&["completions", shell]);
        assert!(status.success() && script.contains("projections"), "{shell}");
    }
    assert_eq!(run(&["completions", "abacus"]).0.code(), Some(2));
}
