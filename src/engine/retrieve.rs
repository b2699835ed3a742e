//! Which chunks a question draws on: those that the user pinned, those that the search finds, and, where it finds
//! little, those of the turn before.
//!
//! **When a question's own retrieval is weak.** A question that follows another ("And in winter?", "Why is that?") often
//! names nothing that a search could find. Retrieval is *weak* when no chunk that was found has two different content
//! words of the question (words that are no stop words, compared by their stems). Then the turn's chunks are used as
//! well, after what was found. Where the question has no content word at all, what was found only shares words like
//! "why" and "that" with it, and the turn's chunks are used alone.
//!
//! **What fits.** Pinned and carried chunks come on top of what was asked for, so together with what was found they are
//! kept to what the model's context holds beside the question and an answer, in this order: pinned, found, carried. The
//! count is the same for every strategy, so that all draw on the same chunks.

use std::{collections::HashSet, path::Path, sync::Arc, time::Instant};

use super::{
    collections::Memberships,
    failure::{index_behind, nothing_found, nothing_indexed, nothing_selected},
    protocol::{ChunkReason, Failure, Pin, RetrievedChunk, Selection},
    resources::{Loaded, Resources},
    visible::visible,
};
use crate::{
    catalogue::ChunkRecord,
    corpus::ChunkId,
    index::{FileSet, Filter, Hit, Matches, Reader},
    store::key::SegmentId,
};

/// Content words of a question that one chunk must have for its retrieval not to be weak.
const WORDS_OF_A_GOOD_HIT: usize = 2;
/// An answer is left room for, up to this share of the context: one in so many tokens.
const ANSWER_SHARE: usize = 4;
/// Tokens that a chunk may take in a context beyond those of its text.
const CHUNK_MARGIN: usize = 4;

/// What chunks are wanted for.
pub(super) struct Wanted<'a> {
    pub question: &'a str,
    /// Most chunks that the search may add.
    pub chunks: usize,
    pub max_tokens: usize,
    pub selection: &'a Selection,
    /// With which the question is asked.
    pub system_prompt: &'a str,
}

/// The chunks of a question, and how long finding them took in seconds.
pub(super) struct Retrieval {
    pub hits: Vec<Hit>,
    pub sources: Vec<RetrievedChunk>,
    pub seconds: f64,
    /// What was asked for and could not be used, a sentence each.
    pub warnings: Vec<String>,
}

/// Finds the question's chunks: pinned ones first, then what the search finds, best first, then carried ones.
///
/// # Errors
/// When nothing is indexed, a path of the scope is not, or no chunk may be used that has a word of the question; with
/// pinned or carried chunks a search without a result is no error.
pub(super) fn retrieve(resources: &mut Resources, wanted: &Wanted) -> Result<Retrieval, Failure> {
    let started = Instant::now();
    let (reader, memberships, loaded) = resources.for_question(wanted.system_prompt)?;
    let mut warnings = Vec::new();
    let selection = wanted.selection;
    let scope = scope(reader, memberships, selection)?;
    let mut used: HashSet<ChunkId> = ids(&selection.dropped).collect();
    let pinned = pinned(reader, selection, &mut used, &mut warnings)?;
    let filter = Filter { files: scope.clone(), without: used.clone() };
    let mut found = reader.search_within(wanted.question, wanted.chunks, &filter)?;
    used.extend(found.iter().map(|hit| hit.chunk.chunk.id));
    let carried = match is_weak(reader, wanted.question, &found) {
        true => carried(reader, wanted, scope.as_deref(), &used)?,
        false => Vec::new(),
    };
    if !carried.is_empty() && reader.content_words(wanted.question) == 0 {
        found.clear();
    }
    let is_plain = pinned.is_empty() && carried.is_empty();
    let mut chosen = tagged(pinned, ChunkReason::Pinned);
    chosen.extend(tagged(found, ChunkReason::Found));
    chosen.extend(tagged(carried, ChunkReason::Carried));
    if !is_plain {
        chosen = fitting(chosen, room(loaded, wanted)?, &mut warnings);
    }
    if chosen.is_empty() {
        return Err(match reader.counts()?.chunks {
            0 => nothing_indexed(),
            _ if reader.is_behind()? => index_behind(),
            _ if *selection != Selection::default() => nothing_selected(),
            _ => nothing_found(),
        });
    }
    let seconds = started.elapsed().as_secs_f64();
    let sources = (1..).zip(&chosen).map(|(rank, (hit, reason))| {
        let matches = reader.matches(wanted.question, &visible(&hit.chunk.chunk.text));
        source(rank, hit, *reason, matches, Some(loaded))
    });
    let sources = sources.collect();
    Ok(Retrieval { sources, hits: chosen.into_iter().map(|(hit, _)| hit).collect(), seconds, warnings })
}

/// A chunk as front ends show it. Without a model nothing is cached, and no size is known.
pub(super) fn source(
    rank: usize,
    hit: &Hit,
    reason: ChunkReason,
    matches: Matches,
    loaded: Option<&Loaded>,
) -> RetrievedChunk {
    let record = &hit.chunk;
    let chunk = &record.chunk;
    RetrievedChunk {
        rank,
        id: chunk.id.to_string(),
        label: visible(&chunk.label).into_owned(),
        path: record.path.clone(),
        lines: chunk.lines,
        page: chunk.page,
        heading: chunk.heading.iter().map(|heading| visible(heading).into_owned()).collect(),
        score: hit.score,
        tokens: chunk.tokens,
        cached: loaded.is_some_and(|loaded| loaded.store.contains(SegmentId::Chunk(chunk.id))),
        text: visible(&chunk.text).into_owned(),
        cache_bytes: loaded.map_or(0, |loaded| loaded.store.file_bytes(chunk.tokens)),
        matches: matches.ranges,
        reason,
    }
}

/// The files that a question is kept to: those of its collections that are in its paths.
fn scope(
    reader: &Reader,
    memberships: &mut Memberships,
    selection: &Selection,
) -> Result<Option<Arc<FileSet>>, Failure> {
    let of_collections = of_collections(reader, memberships, &selection.collections)?;
    if selection.scope.is_empty() {
        return Ok(of_collections);
    }
    let listed = reader.catalogue().files_within(&selection.scope)?;
    let mut files: FileSet = listed.iter().map(|file| file.id).collect();
    if let Some(others) = of_collections {
        files.keep(&others);
    }
    Ok(Some(Arc::new(files)))
}

/// The files of these collections; `None` for all files, where none is named.
pub(super) fn of_collections(
    reader: &Reader,
    memberships: &mut Memberships,
    collections: &[String],
) -> Result<Option<Arc<FileSet>>, Failure> {
    if collections.is_empty() {
        return Ok(None);
    }
    memberships.look_again(reader.catalogue())?;
    memberships.files(collections)
}

/// The pinned chunks in the order of the pins, each once, without those that were dropped.
fn pinned(
    reader: &Reader,
    selection: &Selection,
    used: &mut HashSet<ChunkId>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Hit>, Failure> {
    let mut pinned = Vec::new();
    for pin in &selection.pinned {
        let chunks = match pin {
            Pin::Chunk(id) => match ChunkId::from_hex(id) {
                Some(id) => reader.chunk(id)?.into_iter().collect(),
                None => Vec::new(),
            },
            Pin::File(path) => chunks_at(reader, path)?,
        };
        if chunks.is_empty() {
            warnings.push(match pin {
                Pin::Chunk(_) => "a pinned chunk is no longer indexed and is left out".to_owned(),
                Pin::File(path) => {
                    format!("{} is pinned and has nothing indexed; it is left out", path.display())
                }
            });
        }
        let new = chunks.into_iter().filter(|chunk| used.insert(chunk.chunk.id));
        pinned.extend(new.map(|chunk| Hit { chunk, score: 0.0 }));
    }
    Ok(pinned)
}

fn chunks_at(reader: &Reader, path: &Path) -> Result<Vec<ChunkRecord>, Failure> {
    Ok(match reader.catalogue().file_at(path)? {
        Some((_, _, file)) => reader.chunks_of(file.id)?,
        None => Vec::new(),
    })
}

/// See the module's rule.
fn is_weak(reader: &mut Reader, question: &str, found: &[Hit]) -> bool {
    let mut words = |hit: &Hit| reader.matches(question, &hit.chunk.chunk.text).words;
    !found.iter().any(|hit| words(hit) >= WORDS_OF_A_GOOD_HIT)
}

/// The turn's chunks that are still indexed, in the scope and not among those used already; as many as the search may
/// add.
fn carried(
    reader: &Reader,
    wanted: &Wanted,
    scope: Option<&FileSet>,
    used: &HashSet<ChunkId>,
) -> Result<Vec<Hit>, Failure> {
    let mut carried = Vec::new();
    for id in ids(&wanted.selection.carried).filter(|id| !used.contains(id)) {
        if carried.len() == wanted.chunks {
            break;
        }
        let Some(chunk) = reader.chunk(id)? else { continue };
        let is_in_scope = match scope {
            None => true,
            Some(files) => {
                let file = reader.catalogue().file_at(&chunk.path)?;
                file.is_some_and(|(_, _, file)| files.contains(file.id))
            }
        };
        if is_in_scope {
            carried.push(Hit { chunk, score: 0.0 });
        }
    }
    Ok(carried)
}

fn ids(hexadecimal: &[String]) -> impl Iterator<Item = ChunkId> {
    let mut seen = HashSet::new();
    hexadecimal.iter().filter_map(|id| ChunkId::from_hex(id)).filter(move |id| seen.insert(*id))
}

fn tagged(hits: Vec<Hit>, reason: ChunkReason) -> Vec<(Hit, ChunkReason)> {
    hits.into_iter().map(|hit| (hit, reason)).collect()
}

/// Tokens that chunks may take beside the prefix, the question and an answer.
fn room(loaded: &Loaded, wanted: &Wanted) -> Result<usize, Failure> {
    let model = &loaded.model;
    let context = model.network.config.context_tokens;
    let question = model.prompt.query(wanted.question, &model.tokenizer)?.len();
    let answer = wanted.max_tokens.min(context / ANSWER_SHARE);
    Ok(context.saturating_sub(model.prompt.prefix().len() + question + answer))
}

/// The first of `chosen` that fit `room` tokens together, and a warning for those of each kind that do not.
fn fitting(
    mut chosen: Vec<(Hit, ChunkReason)>,
    room: usize,
    warnings: &mut Vec<String>,
) -> Vec<(Hit, ChunkReason)> {
    let mut taken = 0;
    let fits = |(hit, _): &&(Hit, ChunkReason)| {
        taken += hit.chunk.chunk.tokens + CHUNK_MARGIN;
        taken <= room
    };
    let fitting = chosen.iter().take_while(fits).count();
    let left_out = chosen.split_off(fitting);
    let of = |chunks: &[(Hit, ChunkReason)], reason| chunks.iter().filter(|(_, of)| *of == reason).count();
    for (reason, name) in [
        (ChunkReason::Pinned, "pinned"),
        (ChunkReason::Found, "found"),
        (ChunkReason::Carried, "carried over"),
    ] {
        let (left, kept) = (of(&left_out, reason), of(&chosen, reason));
        if left > 0 {
            warnings.push(format!(
                "{left} of {} {name} chunks do not fit the model's context and are left out",
                left + kept
            ));
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::tests::{chunk, file},
        index::tests::Library,
    };

    fn hit(text: &str) -> Hit {
        let chunk = ChunkRecord {
            chunk: chunk(text),
            path: "/srv/notes.md".into(),
            relative: "notes.md".into(),
            title: String::new(),
        };
        Hit { chunk, score: 1.0 }
    }

    #[test]
    fn retrieval_is_weak_without_two_words_of_the_question_in_one_chunk() {
        let library = Library::with(&[file("a.md", &["x"])]);
        let mut reader = library.reader();
        let mut weak = |question: &str, texts: &[&str]| {
            let found: Vec<Hit> = texts.iter().map(|text| hit(text)).collect();
            is_weak(&mut reader, question, &found)
        };
        assert!(weak("When does the dome close?", &[]));
        assert!(!weak("When does the dome close?", &["a mirror", "The dome is closed."]));
        assert!(weak("When does the dome close?", &["the dome, the domes", "it closes"]));
        assert!(weak("And in winter?", &["winter winter"]));
        assert!(weak("Why is that so?", &["that is so, and why"]));
    }

    #[test]
    fn what_does_not_fit_is_left_out_from_the_end_and_named() {
        let five = "one two three four five";
        let chosen = vec![
            (hit(five), ChunkReason::Pinned),
            (hit(five), ChunkReason::Pinned),
            (hit(five), ChunkReason::Found),
            (hit(five), ChunkReason::Carried),
        ];
        let count = |room: usize| {
            let mut warnings = Vec::new();
            (fitting(chosen.clone(), room, &mut warnings).len(), warnings)
        };
        assert_eq!(count(4 * (5 + CHUNK_MARGIN)), (4, vec![]));
        let (kept, warnings) = count(2 * (5 + CHUNK_MARGIN) - 1);
        assert_eq!(kept, 1);
        assert_eq!(
            warnings,
            [
                "1 of 2 pinned chunks do not fit the model's context and are left out",
                "1 of 1 found chunks do not fit the model's context and are left out",
                "1 of 1 carried over chunks do not fit the model's context and are left out"
            ]
        );
    }

    #[test]
    fn pins_are_chunks_and_whole_files_without_what_was_dropped() {
        let library = Library::with(&[file("a.md", &["one", "two", "three"]), file("b.md", &["four"])]);
        let reader = library.reader();
        let path = |name: &str| {
            let files = reader.catalogue().file_list().unwrap();
            files.into_iter().find(|file| file.relative.ends_with(name)).unwrap().path
        };
        let id = |text: &str| ChunkId::of(text).to_string();
        let selection = Selection {
            pinned: vec![
                Pin::Chunk(id("four")),
                Pin::File(path("a.md")),
                Pin::File(path("b.md")),
                Pin::Chunk(id("gone")),
                Pin::Chunk("no id".into()),
                Pin::File("/etc/passwd".into()),
            ],
            dropped: vec![id("two")],
            ..Selection::default()
        };
        let (mut used, mut warnings) = (ids(&selection.dropped).collect(), Vec::new());
        let hits = pinned(&reader, &selection, &mut used, &mut warnings).unwrap();
        let texts: Vec<&str> = hits.iter().map(|hit| hit.chunk.chunk.text.as_str()).collect();
        assert_eq!(texts, ["four", "one", "three"]);
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(warnings[2].starts_with("/etc/passwd is pinned and has nothing indexed"));
    }

    #[test]
    fn carried_chunks_keep_to_the_scope_and_to_the_number_asked_for() {
        let library = Library::with(&[file("a.md", &["one", "two", "three"]), file("b.md", &["four"])]);
        let reader = library.reader();
        let carry = |chunks: usize, in_scope: Option<&str>, used: &[&str]| -> Vec<String> {
            let carry = ["four", "one", "gone", "two", "three"].map(|text| ChunkId::of(text).to_string());
            let selection = Selection { carried: carry.into(), ..Selection::default() };
            let wanted =
                Wanted { question: "", chunks, max_tokens: 1, selection: &selection, system_prompt: "" };
            let files = reader.catalogue().file_list().unwrap();
            let scope: Option<FileSet> = in_scope.map(|name| {
                files.iter().filter(|file| file.path.ends_with(name)).map(|file| file.id).collect()
            });
            let used = used.iter().map(|text| ChunkId::of(text)).collect();
            let hits = carried(&reader, &wanted, scope.as_ref(), &used).unwrap();
            hits.into_iter().map(|hit| hit.chunk.chunk.text).collect()
        };
        assert_eq!(carry(3, None, &[]), ["four", "one", "two"]);
        assert_eq!(carry(9, Some("a.md"), &["two"]), ["one", "three"]);
    }
}
