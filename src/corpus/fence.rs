//! Parsers that a document could break, kept in processes of their own.
//!
//! A document is handed over as bytes, and text comes back: the other process (this program, started with
//! [`WORKER_ARGUMENT`]) can open no file and no connection, has a limit on memory and on time, and ends with this one.
//! Whatever a document does to it, from a panic to an overflow of the stack, becomes the reason why that one document
//! is left out, and the next document gets a new process.
//!
//! Where no program is named, as in tests of the library, documents are read on a thread of this process, which
//! contains panics and nothing else.

mod frame;
mod worker;

use std::{
    io::{self, Read},
    os::unix::process::ExitStatusExt,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    formats::{self, Converted, Format},
    read,
};

pub use worker::serve;

/// The only argument of a process that reads documents for another one.
pub const WORKER_ARGUMENT: &str = "read-documents-for-another-process";

/// How long one document may take, by the clock.
const MOST_TIME: Duration = Duration::from_secs(30);
/// Address space of a reading process, in bytes, the program itself included.
const MEMORY_BYTES: u64 = 1 << 30;
/// A process reads so many documents, so that what a library leaks stays small.
const DOCUMENTS_PER_PROCESS: usize = 64;
/// Stack for a parser, in bytes. Formats limit how deep they nest; a library may recurse for what it refuses later.
const STACK_BYTES: usize = 128 << 20;
/// What a process says at its end is kept up to so many bytes.
const LAST_WORDS_BYTES: usize = 4 << 10;

/// Why a document was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// In words for the user.
    pub reason: String,
    /// The same content would be refused again.
    pub is_lasting: bool,
}

impl Refusal {
    pub fn lasting(reason: String) -> Self {
        Self { reason, is_lasting: true }
    }
}

/// The processes that read; as many as documents were read at the same time, and kept for the next ones.
pub(super) struct Fence {
    program: Option<PathBuf>,
    most_time: Duration,
    idle: Mutex<Vec<Worker>>,
}

impl Fence {
    /// A fence of processes of this program; of threads where there is none.
    pub fn new(program: Option<PathBuf>) -> Self {
        Self { program, most_time: MOST_TIME, idle: Mutex::new(Vec::new()) }
    }

    /// The same with another limit on the time that a document may take.
    pub fn with_time(self, most_time: Duration) -> Self {
        Self { most_time, ..self }
    }

    /// Reads a document of this format behind the fence.
    pub fn convert(&self, format: Format, name: &Path, bytes: Vec<u8>) -> Result<Converted, Refusal> {
        let Some(program) = &self.program else { return guarded(name, bytes).map_err(Refusal::lasting) };
        let request = frame::Request { name: read::file_name(name), bytes };
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // What read other documents before may have ended for a reason that has nothing to do with this one.
        let end = match kept.map(|worker| self.ask(worker, &request)) {
            Some(Ok(answer)) => return answer.map_err(Refusal::lasting),
            Some(Err(end @ End::OutOfTime)) => end,
            Some(Err(_)) | None => match Worker::start(program).map(|worker| self.ask(worker, &request)) {
                Ok(Ok(answer)) => return answer.map_err(Refusal::lasting),
                Ok(Err(end)) => end,
                Err(error) => return Err(not_started(&error)),
            },
        };
        Err(Refusal::lasting(end.reason(format, self.most_time)))
    }

    /// What a worker made of a document. It is kept for the next one as long as it answers.
    fn ask(&self, mut worker: Worker, request: &frame::Request) -> Result<Result<Converted, String>, End> {
        let answer = worker.ask(request, self.most_time)?;
        worker.documents += 1;
        if worker.documents < DOCUMENTS_PER_PROCESS {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        }
        Ok(answer)
    }
}

fn not_started(error: &io::Error) -> Refusal {
    let reason =
        format!("skipped: the process that reads such files could not be started ({error}); try again");
    Refusal { reason, is_lasting: false }
}

/// Reads a document on a thread with a large stack; a panic is a reason like any other.
fn guarded(name: &Path, bytes: Vec<u8>) -> Result<Converted, String> {
    let format = Format::of(name, &bytes).name();
    let failed = || format!("skipped: the {format} reader failed on it, which is a defect of that reader");
    let path = name.to_owned();
    let convert = move || panic::catch_unwind(AssertUnwindSafe(|| formats::convert(&path, bytes)));
    let thread = thread::Builder::new().name("reader".to_owned()).stack_size(STACK_BYTES);
    let outcome =
        thread.spawn(convert).map_err(|error| format!("skipped: no thread to read it on ({error})"))?;
    outcome.join().ok().and_then(Result::ok).unwrap_or_else(|| Err(failed()))
}

/// How a process ended that should have answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    OutOfTime,
    OutOfMemory,
    OutOfStack,
    Crashed,
}

impl End {
    fn of(status: Option<ExitStatus>, last_words: &[u8]) -> Self {
        let said = |words: &str| last_words.windows(words.len()).any(|window| window == words.as_bytes());
        match status.and_then(|status| status.signal()) {
            Some(libc::SIGXCPU) => Self::OutOfTime,
            // What Rust's runtime says before it aborts.
            _ if said("memory allocation of") => Self::OutOfMemory,
            _ if said("has overflowed its stack") => Self::OutOfStack,
            _ => Self::Crashed,
        }
    }

    fn reason(self, format: Format, most_time: Duration) -> String {
        let reader = format.name();
        match self {
            Self::OutOfTime => {
                format!("skipped: the {reader} reader took longer than {} s", most_time.as_secs_f32())
            }
            Self::OutOfMemory => {
                format!("skipped: the {reader} reader needed more than {} MiB of memory", MEMORY_BYTES >> 20)
            }
            Self::OutOfStack => format!("skipped: the {reader} reader found it nested too deeply"),
            Self::Crashed => {
                format!("skipped: the {reader} reader crashed on it, which is a defect of that reader")
            }
        }
    }
}

/// A process that reads documents, one at a time.
struct Worker {
    process: Child,
    /// Collects what the process writes to standard error.
    last_words: Option<JoinHandle<Vec<u8>>>,
    /// Documents that it has read.
    documents: usize,
}

impl Worker {
    fn start(program: &Path) -> io::Result<Self> {
        let mut process = Command::new(program)
            .arg(WORKER_ARGUMENT)
            .env_clear()
            // The program's allocator reserves as much as the worker may have, and never gives an arena back: the least that it
            // reserves at once, and large blocks from the system, which takes them back.
            .env("MIMALLOC_ARENA_RESERVE", "32MiB")
            .env("MIMALLOC_ARENA_MAX_OBJECT_SIZE", "8MiB")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = process.stderr.take();
        let collect = move || stderr.map(last_words).unwrap_or_default();
        let last_words = thread::Builder::new().name("reader's errors".to_owned()).spawn(collect).ok();
        Ok(Self { process, last_words, documents: 0 })
    }

    /// Hands a document over and waits for the answer, at most `most_time`.
    fn ask(
        &mut self,
        request: &frame::Request,
        most_time: Duration,
    ) -> Result<Result<Converted, String>, End> {
        let (Some(mut input), Some(mut output)) = (self.process.stdin.take(), self.process.stdout.take())
        else {
            return Err(End::Crashed);
        };
        let (send, receive) = mpsc::channel();
        let answer = thread::scope(|scope| {
            scope.spawn(|| {
                let answer = request.write(&mut input).and_then(|()| frame::read_answer(&mut output));
                // The receiver is gone once the time is over.
                let _ = send.send(answer);
            });
            let answer = receive.recv_timeout(most_time);
            if answer.is_err() {
                // Ends the thread too, which reads from it.
                self.kill();
            }
            answer
        });
        match answer {
            Ok(Ok(answer)) => {
                (self.process.stdin, self.process.stdout) = (Some(input), Some(output));
                Ok(answer)
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "a reading process gave no answer");
                Err(self.end())
            }
            Err(_) => Err(End::OutOfTime),
        }
    }

    /// How it ended, or what was wrong with its answer.
    fn end(&mut self) -> End {
        // It has closed its end of the pipe, or is of no use any more.
        let status = match self.process.try_wait() {
            Ok(Some(status)) => Some(status),
            _ => self.wait_shortly(),
        };
        let words = self.last_words.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        tracing::debug!(?status, words = %String::from_utf8_lossy(&words), "a reading process ended");
        End::of(status, &words)
    }

    /// A process that has closed its pipes is about to end; one that does not is ended.
    fn wait_shortly(&mut self) -> Option<ExitStatus> {
        for _ in 0..100 {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.kill();
        None
    }

    fn kill(&mut self) {
        // Fails only where it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The end of what a process writes to standard error.
fn last_words(mut stderr: ChildStderr) -> Vec<u8> {
    let (mut words, mut piece) = (Vec::new(), [0; 1024]);
    while let Ok(length @ 1..) = stderr.read(&mut piece) {
        words.extend_from_slice(&piece[..length]);
        let surplus = words.len().saturating_sub(LAST_WORDS_BYTES);
        words.drain(..surplus);
    }
    words
}
