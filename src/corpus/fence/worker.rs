//! The other side of the fence: a process that gets documents and gives text, and can do nothing else.

use std::{
    fs::OpenOptions,
    io::{self, BufWriter, Write},
    os::fd::AsFd,
    panic,
    path::Path,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{DOCUMENTS_PER_PROCESS, MEMORY_BYTES, MOST_TIME, frame, guarded};

/// Reads documents from standard input and writes what they hold to standard output until there are no more.
///
/// # Errors
/// When the limits cannot be set or the other process is gone.
pub fn serve() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // A panic becomes an answer; what is to be said of it is said there.
    panic::set_hook(Box::new(|_| {}));
    let mut input = io::stdin().lock();
    let mut output = BufWriter::new(private_output()?);
    close_in()?;
    while let Some(request) = frame::Request::read(&mut input)? {
        let answer = guarded(Path::new(&request.name), request.bytes);
        frame::write_answer(&mut output, &answer)?;
    }
    output.flush()
}

/// Standard output, which from here on goes nowhere: a library that prints does not end up between the answers.
fn private_output() -> io::Result<std::fs::File> {
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    let nowhere = OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nowhere)?;
    Ok(output.into())
}

/// Sets what this process may still do. What is open stays open; nothing else can be opened any more, neither a file
/// nor a connection.
fn close_in() -> io::Result<()> {
    limit(Resource::As, MEMORY_BYTES)?;
    // The clock of the other process ends one document; this one ends what has lost that process.
    limit(Resource::Cpu, MOST_TIME.as_secs() * DOCUMENTS_PER_PROCESS as u64)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    limit(Resource::Nofile, 0)
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    // One that is lower already cannot be raised.
    let most = getrlimit(resource).maximum.map_or(most, |known| known.min(most));
    match setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) }) {
        // Not every system can limit the address space; the other limits hold all the same.
        Err(rustix::io::Errno::INVAL) if matches!(resource, Resource::As) => Ok(()),
        outcome => Ok(outcome?),
    }
}
