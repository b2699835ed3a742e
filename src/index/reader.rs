//! Searches the index while others may be writing it.

use std::{
    cmp::Reverse,
    collections::HashSet,
    path::{Path, PathBuf},
    thread::available_parallelism,
};

use tantivy::{
    DocAddress, Index, IndexReader, ReloadPolicy, Searcher,
    collector::{FilterCollector, TopDocs},
    columnar::Column,
    query::Query,
};

use super::{
    Filter, IndexError, Matches, Result,
    disk::{self, Stamp},
    query::Questions,
    schema::{self, Fields},
};
use crate::{
    catalogue::{Catalogue, ChunkRecord, ChunkSummary, Counts, FileId, Occurrence},
    corpus::ChunkId,
};

/// Scores are rounded to this fraction: the sum of a score's terms depends, in its last bits, on the order in
/// which segments happen to hold them, and equal chunks have to come in the order of their paths.
const SCORE_STEPS: f32 = 4096.0;

/// Most documents looked up for a question whatever is asked, so that very many equal scores cost no more.
const MAX_CANDIDATES: usize = 4096;

/// Candidates looked at beyond those that are wanted: some may be of the same text, or gone.
const MORE_CANDIDATES: usize = 8;

/// From so many chunks on, several threads search, each a part of the index.
const PARALLEL_FROM: u32 = 100_000;
const MOST_SEARCHERS: usize = 4;

/// How often opening is tried again because a writer replaced files meanwhile.
const OPEN_ATTEMPTS: usize = 10;

/// A chunk that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The chunk and its file; the first by path where several files hold it.
    pub chunk: ChunkRecord,
    /// BM25, summed over the question's words.
    pub score: f32,
}

/// Searches. Needs no lock and sees each commit at the next search; every thread opens its own.
pub struct Reader {
    catalogue: Catalogue,
    directory: PathBuf,
    index: Index,
    reader: IndexReader,
    /// Of the commit that is shown.
    stamp: Option<Stamp>,
    questions: Questions,
}

impl Reader {
    /// Opens what is indexed in a data directory. Creates nothing.
    ///
    /// # Errors
    /// [`IndexError::NothingIndexed`] where nothing ever was, [`IndexError::Damaged`] where the catalogue has
    /// chunks and the index does not show them.
    pub fn open(data: &Path) -> Result<Self> {
        if !Catalogue::exists(data) {
            return Err(IndexError::NothingIndexed);
        }
        let catalogue = Catalogue::open(data)?;
        let directory = disk::directory(data);
        let fields = Fields::new();
        match open_settled(&directory, &fields, &catalogue) {
            Ok((index, reader, stamp)) => {
                Ok(Self { catalogue, directory, index, reader, stamp, questions: Questions::new(fields) })
            }
            Err(IndexError::Damaged { .. }) if catalogue.counts()?.files == 0 => {
                Err(IndexError::NothingIndexed)
            }
            Err(error) => Err(error),
        }
    }

    /// To read what is indexed, by the reader's own connection.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    pub fn counts(&self) -> Result<Counts> {
        Ok(self.catalogue.counts()?)
    }

    /// True while the index does not show the catalogue's latest change: a run is under way, or one was interrupted.
    pub fn is_behind(&self) -> Result<bool> {
        let shown =
            disk::shown_state(&self.index).map_err(|error| disk::read_error(&self.directory, &error))?;
        Ok(shown != Some(self.catalogue.state()?))
    }

    /// The chunk with this id, in the first file (by path) that holds it.
    pub fn chunk(&self, id: ChunkId) -> Result<Option<ChunkRecord>> {
        Ok(self.catalogue.chunk(id)?)
    }

    /// Every different chunk once, in the order in which they are to be encoded.
    pub fn chunks(&self) -> Result<Vec<ChunkSummary>> {
        Ok(self.catalogue.chunk_queue()?)
    }

    /// The `k` chunks that answer the question best, best first; fewer where fewer have a word of it. Any text is
    /// a question. Equal scores come in the order of path and place.
    pub fn search(&mut self, question: &str, k: usize) -> Result<Vec<Hit>> {
        self.search_within(question, k, &Filter::default())
    }

    /// The same among what the filter lets through: `k` of those, where so many have a word of the question.
    pub fn search_within(&mut self, question: &str, k: usize, filter: &Filter) -> Result<Vec<Hit>> {
        self.refresh();
        let searcher = self.reader.searcher();
        let documents = usize::try_from(searcher.num_docs()).unwrap_or(usize::MAX);
        let Some(query) = self.questions.query(question) else { return Ok(Vec::new()) };
        if k == 0 || documents == 0 {
            return Ok(Vec::new());
        }
        let most =
            documents.min(MAX_CANDIDATES.max(k.saturating_mul(8)).saturating_add(filter.without.len()));
        let mut limit = most.min(k.saturating_add(MORE_CANDIDATES));
        loop {
            let found = self.candidates(&searcher, &query, filter, limit)?;
            let last = found.last().map(|candidate| steps(candidate.score));
            let all_found = found.len() < limit || limit == most;
            let hits = self.best(found, k, filter)?;
            // What comes after the last candidate must not tie with the last hit, or be needed to fill up.
            let settled = hits.len() == k && hits.last().map(|hit| steps(hit.score)) > last;
            if all_found || settled {
                return Ok(hits);
            }
            limit = most.min(limit.saturating_mul(4));
        }
    }

    /// Where words of the question stand in a text.
    pub fn matches(&mut self, question: &str, text: &str) -> Matches {
        self.questions.matches(question, text)
    }

    /// Different words of the question that are no stop words.
    pub fn content_words(&mut self, question: &str) -> usize {
        self.questions.content_words(question)
    }

    /// The chunks of an indexed file, in the order of its text.
    pub fn chunks_of(&self, file: FileId) -> Result<Vec<ChunkRecord>> {
        let mut chunks = Vec::new();
        self.catalogue.each_chunk(file, |_, chunk| {
            chunks.push(chunk);
            Ok::<_, IndexError>(())
        })?;
        Ok(chunks)
    }

    /// Shows the latest commit. Where it cannot be read (the index is being built anew at this moment), the one
    /// before stays, and the next search tries again.
    fn refresh(&mut self) {
        let stamp = Stamp::of(&self.directory);
        if stamp.is_none() || stamp == self.stamp {
            return;
        }
        match shows(&self.directory, &self.index, &self.catalogue) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return tracing::debug!("the search index is not ready: {error}"),
        }
        match self.reader.reload() {
            Ok(()) => self.stamp = stamp,
            Err(error) => tracing::debug!("the search index could not be loaded again: {error}"),
        }
    }

    fn candidates(
        &self,
        searcher: &Searcher,
        query: &dyn Query,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Candidate>> {
        let failed = |error: tantivy::TantivyError| disk::read_error(&self.directory, &error);
        let places = Places::of(searcher).map_err(failed)?;
        let best = TopDocs::with_limit(limit).order_by_score();
        let found = match filter.files.clone() {
            None => searcher.search(query, &best),
            // Within the search, so that as many are found as asked for, whatever else matches better.
            Some(files) => {
                let is_in = move |file: u64| files.has(file);
                searcher.search(query, &FilterCollector::new(schema::FILE.to_owned(), is_in, best))
            }
        };
        let found = found.map_err(failed)?;
        Ok(found
            .into_iter()
            .map(|(score, address)| Candidate { score, place: places.get(address) })
            .collect())
    }

    /// Looks the candidates up, drops those whose file was changed or removed since, those that are filtered out, and
    /// those of the same text.
    fn best(&self, found: Vec<Candidate>, k: usize, filter: &Filter) -> Result<Vec<Hit>> {
        let mut hits = Vec::with_capacity(found.len());
        for candidate in found {
            let Some(place) = candidate.place else { continue };
            if let Some(chunk) = self.catalogue.chunk_at(place)? {
                hits.push((Reverse(steps(candidate.score)), place.ordinal, chunk));
            }
        }
        hits.sort_by(|a, b| (a.0, &a.2.path, a.1).cmp(&(b.0, &b.2.path, b.1)));
        let mut seen = HashSet::new();
        hits.retain(|(_, _, chunk)| !filter.without.contains(&chunk.chunk.id) && seen.insert(chunk.chunk.id));
        hits.truncate(k);
        Ok(hits
            .into_iter()
            .map(|(Reverse(steps), _, chunk)| Hit { chunk, score: steps as f32 / SCORE_STEPS })
            .collect())
    }
}

/// A document that matches, and where the catalogue has its chunk.
struct Candidate {
    score: f32,
    place: Option<Occurrence>,
}

fn steps(score: f32) -> i64 {
    (score * SCORE_STEPS).round() as i64
}

/// Where the catalogue has the chunks of each segment's documents.
struct Places {
    segments: Vec<(Column<u64>, Column<u64>)>,
}

impl Places {
    fn of(searcher: &Searcher) -> tantivy::Result<Self> {
        let columns = |segment: &tantivy::SegmentReader| {
            let fields = segment.fast_fields();
            Ok((fields.u64(schema::FILE)?, fields.u64(schema::ORDINAL)?))
        };
        Ok(Self { segments: searcher.segment_readers().iter().map(columns).collect::<tantivy::Result<_>>()? })
    }

    fn get(&self, address: DocAddress) -> Option<Occurrence> {
        let (files, ordinals) = self.segments.get(address.segment_ord as usize)?;
        Some(Occurrence {
            file: FileId(files.first(address.doc_id)?.try_into().ok()?),
            ordinal: ordinals.first(address.doc_id)?.try_into().ok()?,
        })
    }
}

/// Opens the index, again where a writer replaced its files in the middle of it.
fn open_settled(
    directory: &Path,
    fields: &Fields,
    catalogue: &Catalogue,
) -> Result<(Index, IndexReader, Option<Stamp>)> {
    let mut attempt = 0;
    loop {
        let stamp = Stamp::of(directory);
        match open_once(directory, fields, catalogue) {
            Ok((index, reader)) => return Ok((index, reader, stamp)),
            Err(error) => {
                attempt += 1;
                if attempt == OPEN_ATTEMPTS || Stamp::of(directory) == stamp {
                    return Err(error);
                }
            }
        }
    }
}

fn open_once(directory: &Path, fields: &Fields, catalogue: &Catalogue) -> Result<(Index, IndexReader)> {
    let failed = |error: tantivy::TantivyError| disk::read_error(directory, &error);
    let mut index = disk::open(directory, fields)?;
    if !shows(directory, &index, catalogue)? {
        let reason = "it does not belong to the catalogue, or was not finished".to_owned();
        return Err(IndexError::Damaged { path: directory.to_owned(), reason });
    }
    let chunks: u32 =
        index.load_metas().map_err(failed)?.segments.iter().map(|segment| segment.num_docs()).sum();
    if chunks >= PARALLEL_FROM {
        let threads = available_parallelism().map_or(1, usize::from).min(MOST_SEARCHERS);
        index.set_multithread_executor(threads).map_err(failed)?;
    }
    let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into().map_err(failed)?;
    Ok((index, reader))
}

/// The index shows a state, however old, of this catalogue.
fn shows(directory: &Path, index: &Index, catalogue: &Catalogue) -> Result<bool> {
    let shown = disk::shown_state(index).map_err(|error| disk::read_error(directory, &error))?;
    let identity = catalogue.state()?.identity;
    Ok(shown.is_some_and(|shown| shown.identity == identity))
}
