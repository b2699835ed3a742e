//! Which segments of the index are put together, and which are written anew.

use tantivy::{
    SegmentMeta,
    indexer::{LogMergePolicy, MergeCandidate, MergePolicy},
};

/// Segments of so many documents are not put together any more: a search goes through several at the same time.
const LARGE_SEGMENT: usize = 250_000;

/// Share of removed documents from which a segment is written anew. Until then they still count in BM25's
/// statistics, so it is kept low.
const REMOVED_SHARE: f32 = 0.1;

/// As tantivy merges segments of about the same size; and a large one alone, which tantivy would never touch again, where
/// enough of it was removed.
#[derive(Debug)]
pub(super) struct Merging {
    small: LogMergePolicy,
    large_segment: usize,
}

impl Default for Merging {
    fn default() -> Self {
        Self::with_large(LARGE_SEGMENT)
    }
}

impl Merging {
    fn with_large(large_segment: usize) -> Self {
        let mut small = LogMergePolicy::default();
        small.set_max_docs_before_merge(large_segment);
        small.set_del_docs_ratio_before_merge(REMOVED_SHARE);
        Self { small, large_segment }
    }

    fn is_worth_writing(&self, segment: &SegmentMeta) -> bool {
        let removed = segment.num_deleted_docs() as f32;
        segment.num_docs() as usize > self.large_segment && removed > REMOVED_SHARE * segment.max_doc() as f32
    }
}

impl MergePolicy for Merging {
    fn compute_merge_candidates(&self, segments: &[SegmentMeta]) -> Vec<MergeCandidate> {
        let mut candidates = self.small.compute_merge_candidates(segments);
        let large = segments.iter().filter(|segment| self.is_worth_writing(segment));
        candidates.extend(large.map(|segment| MergeCandidate(vec![segment.id()])));
        candidates
    }
}

#[cfg(test)]
mod tests {
    use tantivy::{
        Index, IndexWriter, TantivyDocument, Term,
        indexer::NoMergePolicy,
        schema::{INDEXED, Schema},
    };

    use super::*;

    /// What is merged of one segment of 100 documents of which so many were removed.
    fn merged(removed: u64, large_segment: usize) -> usize {
        let mut schema = Schema::builder();
        let number = schema.add_u64_field("number", INDEXED);
        let index = Index::create_in_ram(schema.build());
        let mut writer: IndexWriter = index.writer_with_num_threads(1, 15_000_000).unwrap();
        writer.set_merge_policy(Box::new(NoMergePolicy));
        for value in 0..100 {
            let mut document = TantivyDocument::default();
            document.add_u64(number, value);
            writer.add_document(document).unwrap();
        }
        writer.commit().unwrap();
        for value in 0..removed {
            writer.delete_term(Term::from_field_u64(number, value));
        }
        writer.commit().unwrap();
        let segments = index.searchable_segment_metas().unwrap();
        assert_eq!((segments.len(), segments[0].num_docs()), (1, 100 - removed as u32));
        Merging::with_large(large_segment).compute_merge_candidates(&segments).len()
    }

    #[test]
    fn what_was_removed_goes_from_small_and_from_large_segments() {
        for large_segment in [1000, 20] {
            assert_eq!(merged(9, large_segment), 0, "{large_segment}");
            assert_eq!(merged(12, large_segment), 1, "{large_segment}");
        }
    }
}
