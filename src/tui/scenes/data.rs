//! What the engine says in the scenes: an observatory's handbook, and a question about it.

use std::path::PathBuf;

use crate::{
    config::Strategy,
    engine::{
        Answer, CacheOrigin, CatalogueReply, ChunkReason, DecodeTiming, DocumentText, EncodeTiming,
        FileIssue, FileListing, IndexReport, IndexedFile, LoadTiming, ModelSummary, Outcome, PrefillTiming,
        RetrievedChunk, Status, StopReason, Timings,
    },
};

pub const QUESTION: &str = "When must I close the dome?";

/// The answer to [`QUESTION`].
pub const ANSWER: &str = "Close the dome when the wind at the mast has been above 18 m/s for two minutes \
    [dome.md § Closing in wind; weather.md § Limits]. The night assistant does it without asking first:\n\n\
    1. Park the telescope at zenith.\n\
    2. Turn the key DOME to LOCAL, at the panel under the stairs, and hold CLOSE until the lamp is a steady green \
    [dome.md § Closing in wind].\n\
    3. Write it into the log.";

/// An answer with most of what Markdown has.
pub const CODE_ANSWER: &str = "## Closing by hand\n\n\
    `close_shutter` does what the **night assistant** does at the panel [dome_control.py § close_shutter]:\n\n\
    ```python\n\
    def close_shutter(dome, limit=18.0):\n    \
        \"\"\"Closes the shutter; True once the lamp is steady.\"\"\"\n    \
        if dome.wind() < limit:  # m/s at the mast\n        \
            return False\n    \
        dome.turn_key(\"LOCAL\")\n    \
        return dome.hold(\"CLOSE\", seconds=90)\n\
    ```\n\n\
    | Limit | m/s | for |\n|:--|--:|:--|\n| close | 18 | two minutes |\n| park | 12 | ten minutes |\n\n\
    > Nobody asks for permission first.\n\n\
    - [x] Park the telescope\n\
    - [ ] Write it into the *log* [dome.md § Closing in wind]";

/// An answer whose text takes two cells for a character, with a label that does so too.
pub const WIDE_ANSWER: &str = "ドームは閉めてください 👩\u{200d}🚀 [日本語の手引き.md § ドームを閉める].";

/// What the engine has once samples are indexed.
pub fn status() -> Status {
    Status {
        model: Some(ModelSummary { name: "SmolLM2-135M-Instruct".to_owned(), ..ModelSummary::default() }),
        files: 12,
        chunks: 63,
        cached_chunks: 61,
        cache_bytes: 702_000_000,
        cache_budget_bytes: 20_000_000_000,
        encode_tokens_per_second: Some(540.0),
    }
}

/// What is found for [`QUESTION`].
pub fn chunks() -> Vec<RetrievedChunk> {
    chunks_with(("humidity.md § Dew point", "handbook/humidity.md"))
}

/// [`chunks`] with one whose label takes two cells for a character.
pub fn wide_chunks() -> Vec<RetrievedChunk> {
    chunks_with(("日本語の手引き.md § ドームを閉める", "handbook/日本語の手引き.md"))
}

fn chunks_with(fourth: (&str, &str)) -> Vec<RetrievedChunk> {
    let body = "When the wind at the mast is above 18 m/s for two minutes, close the dome.\n\
        The night assistant does it; nobody asks for permission first.\n\n\
        1. Park the telescope at zenith.\n2. Turn the key DOME to LOCAL.\n\
        3. Hold CLOSE until the lamp is steady green (about 90 s).\n\n\
        If the lamp blinks, the shutter has stopped half way: call the duty engineer.\n";
    let sources = [
        ("dome.md § Closing in wind", "handbook/dome.md", 12.41, 212),
        ("weather.md § Limits", "handbook/weather.md", 9.87, 187),
        ("2031-05-12.md § Storm night", "meetings/2031-05-12.md", 7.02, 301),
        (fourth.0, fourth.1, 5.4, 150),
        ("dome_control.py § close_shutter", "code/dome_control.py", 3.33, 140),
    ];
    let chunk = |(index, (label, path, score, tokens)): (usize, (&str, &str, f32, usize))| RetrievedChunk {
        rank: index + 1,
        id: format!("{index:064}"),
        label: label.to_owned(),
        path: format!("/home/ada/observatory/{path}").into(),
        lines: Some((14, 21)),
        page: None,
        heading: Vec::new(),
        score,
        tokens,
        cached: index != 3,
        text: format!("[{label}]\n{body}"),
        cache_bytes: tokens as u64 * 23_040,
        matches: words_of_the_question(&format!("[{label}]\n{body}")),
        reason: ChunkReason::Found,
    };
    sources.into_iter().enumerate().map(chunk).collect()
}

/// Where words of [`QUESTION`] stand in `text`.
fn words_of_the_question(text: &str) -> Vec<(usize, usize)> {
    let lower = text.to_lowercase();
    let words = ["close", "dome"].into_iter().flat_map(|word| lower.match_indices(word));
    let mut matches: Vec<_> = words.map(|(at, word)| (at, at + word.len())).collect();
    matches.sort_unstable();
    matches
}

/// The whole document of the first of [`chunks`].
pub fn document() -> DocumentText {
    let chunk = chunks().swap_remove(0);
    let (_, body) = chunk.text.split_once('\n').unwrap_or_default();
    let text = format!(
        "# The dome\n\nThe dome is 9 m across and turns on 24 wheels.\n\n## Opening\n\n\
        Open it an hour before sunset, so that the air in it becomes as cold as the air outside.\n\
        Look at the sky first: a dome that is open in the rain is the end of a mirror.\n\n\
        ## Closing in wind\n\nThe limits are those of the manufacturer, less a fifth.\n\n{body}\n\
        ## Moving it by hand\n\nThe crank hangs beside the door. Sixty turns are one degree.\n\
        Two people take turns; the third watches the cables.\n"
    );
    DocumentText { path: chunk.path, text, first_line: 1, is_whole: true }
}

/// The files that are indexed.
pub fn files() -> CatalogueReply {
    let root = PathBuf::from("/home/ada/observatory");
    let names = [
        ("code/dome_control.py", 6),
        ("code/guiding/autoguider.py", 9),
        ("handbook/dome.md", 7),
        ("handbook/humidity.md", 4),
        ("handbook/weather.md", 5),
        ("handbook/日本語の手引き.md", 3),
        ("meetings/2031-04-07.md", 8),
        ("meetings/2031-05-12.md", 8),
        ("README.md", 2),
    ];
    let file =
        |(name, chunks): (&str, usize)| IndexedFile { path: root.join(name), name: name.to_owned(), chunks };
    CatalogueReply::Files(FileListing::new(
        std::slice::from_ref(&root),
        names.into_iter().map(file).collect(),
    ))
}

/// Where the caches of [`chunks`] came from: every way there is.
pub fn origins() -> Vec<CacheOrigin> {
    use CacheOrigin::{Disk, Encoded, Memory, Repaired};
    vec![Disk, Memory, Disk, Encoded, Repaired]
}

pub fn timings() -> Timings {
    Timings {
        retrieve_seconds: 0.0021,
        load: LoadTiming {
            seconds: 0.018,
            bytes: 52_000_000,
            files: 3,
            memory_hits: 1,
            disk_hits: 2,
            misses: 1,
            damaged: 1,
        },
        encode: EncodeTiming { seconds: 0.41, chunks: 2, tokens: 290 },
        assemble_seconds: 0.007,
        prefill: PrefillTiming { seconds: 0.212, tokens: 31 },
        first_token_seconds: 0.021,
        decode: DecodeTiming { seconds: 4.2, tokens: 112, tokens_per_second: 26.7 },
        time_to_first_token_seconds: 0.67,
        total_seconds: 4.87,
    }
}

/// `text` as the answer to [`QUESTION`] out of [`chunks`].
pub fn answer(text: &str, stop: StopReason) -> Answer {
    Answer {
        question: QUESTION.to_owned(),
        text: text.to_owned(),
        strategy: Strategy::Ape,
        stop,
        sources: chunks(),
        origins: origins(),
        tokens: Vec::new(),
        timings: timings(),
        kept: None,
    }
}

/// [`answer`] as the end of its request.
pub fn answered(text: &str, stop: StopReason) -> Outcome {
    Outcome::Answer(answer(text, stop))
}

/// What indexing a folder of notes did.
pub fn index_report() -> IndexReport {
    IndexReport {
        files_added: 31,
        files_unchanged: 12,
        chunks_added: 260,
        chunks_encoded: 240,
        chunks_left: 20,
        encode_seconds: 84.2,
        issues: vec![FileIssue { path: "notes/photo.png".into(), reason: "not text".to_owned() }],
        ..IndexReport::default()
    }
}
