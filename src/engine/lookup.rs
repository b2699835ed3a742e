//! Looking things up in the catalogue and changing chats, on a thread of its own: it needs neither the model nor the
//! index, so that it never waits for an answer under way.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

use super::{
    board, chats,
    failure::guarded,
    keeper::Events,
    protocol::{
        CatalogueQuery, CatalogueReply, CatalogueRequest, DocumentText, Event, Failure, FailureKind,
        FileListing, IndexedFile, IndexerStatus, Outcome, Passage,
    },
    visible::visible,
};
use crate::{
    catalogue::{Attention, Catalogue, FileRecord, Root},
    config::Config,
    corpus::{Document, FileEntry, read::read},
};

/// Of larger documents so much is handed over: the screen keeps it in memory, cut into lines.
const DOCUMENT_BYTES: usize = 8 << 20;

/// How often it is looked whether another process indexes: that costs two calls of the system.
const LOOK_ELSEWHERE: Duration = Duration::from_secs(2);

/// Carries out requests in order until the engine ends, and sees meanwhile what other processes do.
pub(super) fn run(config: &Config, requests: &Receiver<CatalogueRequest>, events: &Events) {
    let mut elsewhere = None;
    loop {
        let CatalogueRequest { id, query } = match requests.recv_timeout(LOOK_ELSEWHERE) {
            Ok(request) => request,
            Err(RecvTimeoutError::Timeout) => {
                look_elsewhere(config, &mut elsewhere, events);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let event = match guarded(|| look_up(config, query)) {
            Ok(reply) => Event::Done { id, outcome: Outcome::Catalogue(reply) },
            Err(failure) => Event::Failed { id, failure },
        };
        // Nobody listens any more when the program is ending.
        let _ = events.send(event);
    }
}

/// Tells of another process's index run where that is news.
fn look_elsewhere(config: &Config, told: &mut Option<IndexerStatus>, events: &Events) {
    let others = |status: &IndexerStatus| status.process != std::process::id();
    let now = board::read(&config.paths.data).filter(others);
    if now != *told {
        told.clone_from(&now);
        let _ = events.send(Event::Elsewhere(now));
    }
}

fn look_up(config: &Config, query: CatalogueQuery) -> Result<CatalogueReply, Failure> {
    Ok(match query {
        CatalogueQuery::Files => CatalogueReply::Files(files(config)?),
        CatalogueQuery::Document { path, passage } => {
            CatalogueReply::Document(document(config, &path, &passage, DOCUMENT_BYTES)?)
        }
        CatalogueQuery::Chats { words } => CatalogueReply::Chats(chats::find_chats(config, &words)?),
        CatalogueQuery::Chat { id } => CatalogueReply::Chat(chats::chat(config, id)?),
        CatalogueQuery::RenameChat { id, title } => {
            chats::rename_chat(config, id, &title)?;
            CatalogueReply::Changed
        }
        CatalogueQuery::DeleteChat { id } => {
            chats::delete_chat(config, id)?;
            CatalogueReply::Changed
        }
    })
}

fn files(config: &Config) -> Result<FileListing, Failure> {
    let data = &config.paths.data;
    if !Catalogue::exists(data) {
        return Ok(FileListing::default());
    }
    let catalogue = Catalogue::open(data)?;
    let roots: Vec<PathBuf> = catalogue.roots()?.into_iter().map(|root| root.path).collect();
    let shown = |path: &Path| visible(&path.to_string_lossy()).replace(['\n', '\t'], " ");
    let files = catalogue.file_list()?.into_iter().map(|file| IndexedFile {
        name: shown(&file.relative),
        path: file.path,
        chunks: file.chunks,
    });
    Ok(FileListing::new(&roots, files.collect()))
}

/// Reads an indexed file again. What the catalogue does not hold is not read, nor what a link has been put in the way
/// of since, and only the content that was indexed is handed over: of more than `most` bytes, what is around `passage`.
fn document(config: &Config, path: &Path, passage: &Passage, most: usize) -> Result<DocumentText, Failure> {
    let data = &config.paths.data;
    let found = match Catalogue::exists(data) {
        true => Catalogue::open(data)?.file_at(path)?,
        false => None,
    };
    let Some((root, relative, record)) = found else { return Err(not_indexed(path)) };
    let document = read_again(config, &root, relative, &record)?;
    let noted = Catalogue::open(data)?.note_attention(Attention::Opened, &[path.to_owned()]);
    if let Err(error) = noted {
        tracing::debug!(%error, "what was opened was not noted");
    }
    let whole = visible(&document.text);
    let Range { start, end } = window(&whole, passage, most);
    let line = whole[..start].matches('\n').count() + 1;
    Ok(DocumentText {
        path: document.path,
        text: whole[start..end].to_owned(),
        first_line: u32::try_from(line).unwrap_or(u32::MAX),
        is_whole: end - start == whole.len(),
    })
}

/// The bytes of `text` to show: all of them, or about `most` of them with the passage in their middle, from the
/// beginning of a line on and to the end of one, as far as lines are short.
fn window(text: &str, passage: &Passage, most: usize) -> Range<usize> {
    if text.len() <= most {
        return 0..text.len();
    }
    let from = passage.line.map_or(0, |line| line_start(text, line));
    let found = text[from..].find(&passage.text).map(|at| from + at).or_else(|| text.find(&passage.text));
    let middle = found.unwrap_or(from);
    let start = boundary_before(text, middle.saturating_sub(most / 2).min(text.len() - most));
    let end = boundary_before(text, start + most);
    let middle = middle.min(end);
    let line_after = |at: usize| Some(start + at + 1).filter(|line| start > 0 && *line < end);
    let first_line = text[start..middle].find('\n').and_then(line_after);
    let last_line = text[middle..end].rfind('\n').filter(|_| end < text.len());
    first_line.unwrap_or(start)..last_line.map_or(end, |at| middle + at + 1)
}

/// The last place for a cut up to byte `at`.
fn boundary_before(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Where the line of this number begins, from 1; the end of a text with fewer.
fn line_start(text: &str, line: u32) -> usize {
    let before = (line as usize).saturating_sub(1);
    text.split_inclusive('\n').take(before).map(str::len).sum()
}

fn read_again(
    config: &Config,
    root: &Root,
    relative: PathBuf,
    record: &FileRecord,
) -> Result<Document, Failure> {
    let path = root.locate(&relative);
    // Roots hold no links, and none is followed in them: a path that leads elsewhere today led there through no link
    // when it was indexed.
    match std::fs::canonicalize(&path) {
        Ok(canonical) if canonical == path => {}
        Ok(_) => return Err(changed(&path)),
        Err(error) => {
            return Err(Failure::new(
                FailureKind::Storage,
                format!("{} cannot be read: {error}", path.display()),
                "Its chunks show what was indexed; `gibbon index` brings the index up to date.",
            ));
        }
    }
    let entry = FileEntry { path, relative, bytes: record.bytes };
    let document = read(&entry, &config.corpus).map_err(|issue| {
        let message = format!("{}: {}", issue.path.display(), issue.reason);
        Failure::new(FailureKind::Storage, message, "Its chunks show what was indexed.")
    })?;
    if document.hash == record.hash { Ok(document) } else { Err(changed(&entry.path)) }
}

fn not_indexed(path: &Path) -> Failure {
    Failure::new(
        FailureKind::BadRequest,
        format!("{} is not indexed", path.display()),
        "`gibbon index` adds files and folders.",
    )
}

fn changed(path: &Path) -> Failure {
    Failure::new(
        FailureKind::BadRequest,
        format!("{} has changed since it was indexed", path.display()),
        "`gibbon index` brings the index up to date; until then its chunks show what was indexed.",
    )
}

#[cfg(test)]
mod tests;
