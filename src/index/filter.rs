//! What a search may find: chunks of some files alone, and not those that were taken out.

use std::collections::HashSet;

use tantivy::{
    Term,
    query::{BooleanQuery, ConstScoreQuery, Occur, Query, TermSetQuery},
};

use super::schema::Fields;
use crate::{catalogue::FileId, corpus::ChunkId};

/// Narrows a search. The default lets everything be found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The files that are searched; all where there is no list.
    pub files: Option<Vec<FileId>>,
    /// Chunks that are not found.
    pub without: HashSet<ChunkId>,
}

impl Filter {
    /// `query` for the files alone; scores are those of `query`.
    pub(super) fn narrowed(&self, query: BooleanQuery, fields: &Fields) -> Box<dyn Query> {
        let Some(files) = &self.files else { return Box::new(query) };
        let terms = files.iter().map(|file| Term::from_field_u64(fields.file, file.0.unsigned_abs()));
        let in_files = ConstScoreQuery::new(Box::new(TermSetQuery::new(terms)), 0.0);
        Box::new(BooleanQuery::new(vec![(Occur::Must, Box::new(query)), (Occur::Must, Box::new(in_files))]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::tests::file,
        index::{Hit, tests::Library},
    };

    fn search(library: &Library, k: usize, filter: &Filter) -> Vec<Hit> {
        library.reader().search_within("dome", k, filter).unwrap()
    }

    /// Many files that match better than the few that may be found.
    fn library() -> Library {
        let mut files: Vec<_> = (0..300)
            .map(|number| file(&format!("{number:03}.md"), &[&format!("dome dome {number}")]))
            .collect();
        files.push(file("last/one.md", &["the dome and much else that makes it a longer text", "a mirror"]));
        files.push(file(
            "last/two.md",
            &["the dome once more, in a text that is longer still than the other"],
        ));
        Library::with(&files)
    }

    #[test]
    fn as_many_are_found_as_asked_for_and_with_their_usual_scores() {
        let library = library();
        let ids = |prefix: &str| -> Vec<FileId> {
            let listed = library.reader().catalogue().file_list().unwrap();
            listed.iter().filter(|file| file.relative.starts_with(prefix)).map(|file| file.id).collect()
        };
        let narrow = Filter { files: Some(ids("last")), ..Filter::default() };

        let found = search(&library, 2, &narrow);

        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|hit| hit.chunk.relative.starts_with("last")), "{found:?}");
        let everywhere = search(&library, 400, &Filter::default());
        for hit in &found {
            let same = everywhere.iter().find(|other| other.chunk.chunk.id == hit.chunk.chunk.id).unwrap();
            assert_eq!(same.score, hit.score);
        }
        assert_eq!(search(&library, 9, &narrow).len(), 2);
        assert_eq!(search(&library, 9, &Filter { files: Some(Vec::new()), ..Filter::default() }), []);
    }

    #[test]
    fn others_take_the_place_of_chunks_that_were_taken_out() {
        let library = library();
        let best = search(&library, 40, &Filter::default());
        let without = best.iter().take(30).map(|hit| hit.chunk.chunk.id).collect();

        let found = search(&library, 10, &Filter { files: None, without });

        assert_eq!(found, best[30..]);
    }
}
