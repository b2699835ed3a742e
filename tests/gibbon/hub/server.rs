//! A small Hugging Face Hub on 127.0.0.1, with faults on demand.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use sha2::{Digest, Sha256};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What goes wrong with the next answer that carries a file's content.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The connection ends after so many bytes of those announced.
    CutAfter(usize),
    /// One bit of the content is another.
    FlippedBit,
    /// The whole file comes, whatever range was asked for.
    WholeFile,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
}

impl Request {
    /// It asks for content, not only for what the Hub says of it.
    fn wants_content(&self) -> bool {
        self.method == "GET" && self.range_start().is_some() && self.header("range") != Some("bytes=0-0")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    fn range_start(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
    }
}

#[derive(Default)]
struct State {
    /// Content by `owner/name/file`.
    files: HashMap<String, Vec<u8>>,
    /// Those kept elsewhere, as the Hub does with large files: redirected, with SHA-256 as etag.
    large: Vec<String>,
    faults: VecDeque<Fault>,
    /// An answer for every request to a repository: status and error code.
    refusal: Option<(u16, &'static str)>,
    requests: Vec<Request>,
}

pub struct Server {
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, own_address) = (state.clone(), endpoint.clone());
        // Ends with the test process; each test has its own.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, endpoint) = (shared.clone(), own_address.clone());
                thread::spawn(move || serve(stream, &state, &endpoint));
            }
        });
        Self { endpoint, state }
    }

    pub fn small_file(&self, path: &str, content: &[u8]) {
        self.state.lock().unwrap().files.insert(path.to_owned(), content.to_vec());
    }

    pub fn large_file(&self, path: &str, content: &[u8]) {
        self.small_file(path, content);
        self.state.lock().unwrap().large.push(path.to_owned());
    }

    pub fn fault(&self, fault: Fault) {
        self.state.lock().unwrap().faults.push_back(fault);
    }

    pub fn refuse(&self, status: u16, code: &'static str) {
        self.state.lock().unwrap().refusal = Some((status, code));
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Where each request for content began, in order.
    pub fn content_starts(&self) -> Vec<usize> {
        let requests = self.requests();
        let content = requests.iter().filter(|request| request.wants_content());
        content
            .filter(|request| request.path.starts_with("/content/"))
            .filter_map(Request::range_start)
            .collect()
    }
}

pub fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Answers one request and ends the connection.
fn serve(mut stream: TcpStream, state: &Mutex<State>, endpoint: &str) {
    let Some(request) = read_request(&stream) else { return };
    let answer = {
        let mut state = state.lock().unwrap();
        state.requests.push(request.clone());
        answer(&request, &mut state, endpoint)
    };
    // A client that has seen enough may be gone.
    let _ = stream.write_all(&answer);
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = HashMap::new();
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Some(Request { method, path, headers })
}

fn answer(request: &Request, state: &mut State, endpoint: &str) -> Vec<u8> {
    if let Some(key) = request.path.strip_prefix("/content/").map(str::to_owned) {
        return content(request, state, &key, &[]);
    }
    if let Some((status, code)) = state.refusal {
        return plain(status, &[("X-Error-Code", code.to_owned())], b"");
    }
    if let Some(rest) = request.path.strip_prefix("/api/models/") {
        let repository = rest.split("/revision/").next().unwrap_or_default();
        return listing(state, repository);
    }
    let key = request.path.trim_start_matches('/').replace("/resolve/main/", "/");
    let key = key.replace(&format!("/resolve/{COMMIT}/"), "/");
    let Some(body) = state.files.get(&key) else {
        return plain(404, &[("X-Error-Code", "EntryNotFound".to_owned())], b"");
    };
    let commit = ("X-Repo-Commit", COMMIT.to_owned());
    if state.large.contains(&key) {
        let headers = [
            commit,
            ("X-Linked-Size", body.len().to_string()),
            ("X-Linked-Etag", format!("\"{}\"", sha256(body))),
            ("Location", format!("{endpoint}/content/{key}")),
        ];
        return plain(302, &headers, b"");
    }
    let etag = ("ETag", format!("\"{}\"", &sha256(body)[..40]));
    content(request, state, &key, &[commit, etag])
}

fn listing(state: &State, repository: &str) -> Vec<u8> {
    let prefix = format!("{repository}/");
    let names = state.files.keys().filter_map(|key| key.strip_prefix(&prefix));
    let siblings: Vec<_> = names.map(|name| serde_json::json!({ "rfilename": name })).collect();
    if siblings.is_empty() {
        return plain(404, &[("X-Error-Code", "RepoNotFound".to_owned())], b"");
    }
    let body = serde_json::json!({ "sha": COMMIT, "siblings": siblings }).to_string();
    plain(200, &[("Content-Type", "application/json".to_owned())], body.as_bytes())
}

/// A file's bytes from where the range begins, with the next fault.
fn content(request: &Request, state: &mut State, key: &str, headers: &[(&str, String)]) -> Vec<u8> {
    let fault = if request.wants_content() { state.faults.pop_front() } else { None };
    let mut body = state.files[key].clone();
    let size = body.len();
    let Some(start) = request.range_start() else {
        // The answer to HEAD announces the length of what it does not send.
        return with_length(200, headers, size, if request.method == "HEAD" { b"" } else { &body });
    };
    if start >= size {
        return plain(416, headers, b"");
    }
    let end = if request.header("range") == Some("bytes=0-0") { 1 } else { size };
    let mut headers = headers.to_vec();
    headers.push(("Content-Range", format!("bytes {start}-{}/{size}", end - 1)));
    match fault {
        Some(Fault::WholeFile) => plain(200, &headers[..headers.len() - 1], &body),
        Some(Fault::FlippedBit) => {
            body[size - 1] ^= 1;
            plain(206, &headers, &body[start..end])
        }
        Some(Fault::CutAfter(bytes)) => {
            let whole = plain(206, &headers, &body[start..end]);
            whole[..whole.len() - (end - start - bytes)].to_vec()
        }
        None => plain(206, &headers, &body[start..end]),
    }
}

fn plain(status: u16, headers: &[(&str, String)], body: &[u8]) -> Vec<u8> {
    with_length(status, headers, body.len(), body)
}

fn with_length(status: u16, headers: &[(&str, String)], length: usize, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {status} -\r\nConnection: close\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        answer += &format!("{name}: {value}\r\n");
    }
    answer += "\r\n";
    [answer.as_bytes(), body].concat()
}
