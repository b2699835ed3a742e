//! The bytes of a segment, whoever owns them.

use std::{fmt, ops::Deref, sync::Arc};

/// Bytes that somebody else owns: memory from which a device copies, for instance.
pub type SharedBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Keys and values of a segment as bytes, of this process's ordinary memory or of memory with another owner.
#[derive(Clone)]
pub struct SegmentData(Owner);

#[derive(Clone)]
enum Owner {
    Vec(Vec<u8>),
    Shared(SharedBytes),
}

impl SegmentData {
    /// Bytes that stay where they are until the last segment over them is dropped. `owner` has to give the same bytes
    /// whenever it is asked.
    pub fn shared(owner: SharedBytes) -> Self {
        Self(Owner::Shared(owner))
    }
}

impl Deref for SegmentData {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Owner::Vec(bytes) => bytes,
            Owner::Shared(owner) => (**owner).as_ref(),
        }
    }
}

impl From<Vec<u8>> for SegmentData {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Owner::Vec(bytes))
    }
}

/// The same bytes, whoever owns them.
impl PartialEq for SegmentData {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

/// Millions of numbers help nobody.
impl fmt::Debug for SegmentData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = match &self.0 {
            Owner::Vec(_) => "own",
            Owner::Shared(_) => "shared",
        };
        write!(f, "SegmentData({} bytes, {owner})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_same_whoever_owns_them() {
        let own = SegmentData::from(vec![1, 2, 3]);
        let shared = SegmentData::shared(Arc::new([1u8, 2, 3]));
        assert_eq!(own, shared);
        assert_eq!(shared[1..], [2, 3]);
        assert_ne!(shared, SegmentData::from(vec![1, 2]));
        assert_eq!(format!("{shared:?} {own:?}"), "SegmentData(3 bytes, shared) SegmentData(3 bytes, own)");
    }

    #[test]
    fn a_copy_of_shared_bytes_is_the_same_memory() {
        let owner: Arc<Vec<u8>> = Arc::new(vec![7; 100]);
        let first = SegmentData::shared(owner.clone());
        let second = first.clone();
        assert_eq!((first.as_ptr(), second.as_ptr()), (owner.as_ptr(), owner.as_ptr()));
        drop((first, second));
        assert_eq!(Arc::strong_count(&owner), 1);
    }
}
