//! A chunk as tantivy takes it: its terms are handed over, where tantivy's own kind of document would copy them.

use std::{array, iter, sync::Arc};

use tantivy::{
    Document,
    schema::{
        Field,
        document::{ReferenceValue, ReferenceValueLeaf},
    },
};

/// The terms that a chunk is found by, in each field with a space behind each term.
pub(super) struct FoundBy {
    pub(super) text: String,
    /// Of the document's title and the headings; of many chunks of a file at once.
    pub(super) heading: Arc<str>,
    /// Of the file's path.
    pub(super) path: Arc<str>,
}

/// The fields of a chunk with what they hold.
pub(super) struct ChunkDocument {
    pub(super) numbers: [(Field, u64); 2],
    pub(super) text: (Field, String),
    pub(super) names: [(Field, Arc<str>); 2],
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'d> {
    Number(u64),
    Terms(&'d str),
}

impl Document for ChunkDocument {
    type Value<'d> = Value<'d>;
    type FieldsValuesIter<'d> = array::IntoIter<(Field, Value<'d>), 5>;

    fn iter_fields_and_values(&self) -> Self::FieldsValuesIter<'_> {
        let number = |at: usize| (self.numbers[at].0, Value::Number(self.numbers[at].1));
        let name = |at: usize| (self.names[at].0, Value::Terms(&self.names[at].1));
        [number(0), number(1), (self.text.0, Value::Terms(&self.text.1)), name(0), name(1)].into_iter()
    }
}

impl<'d> tantivy::schema::Value<'d> for Value<'d> {
    type ArrayIter = iter::Empty<Self>;
    type ObjectIter = iter::Empty<(&'d str, Self)>;

    fn as_value(&self) -> ReferenceValue<'d, Self> {
        ReferenceValue::Leaf(match *self {
            Self::Number(number) => ReferenceValueLeaf::U64(number),
            Self::Terms(terms) => ReferenceValueLeaf::Str(terms),
        })
    }
}
