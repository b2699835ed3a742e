//! What a context is made of: stored segments, each where it is, and how they stand.

use std::{fmt, sync::Arc};

use super::{
    CudaError,
    kernels::PlacedSegment,
    network::CudaNetwork,
    reading::ReadLayer,
    segment::{DeviceSegment, HostMemory, HostSegment},
};
use crate::{config::CacheDtype, model::session::Placement};

/// A stored segment of a context.
#[derive(Debug)]
pub struct ContextSegment {
    pub tokens: usize,
    pub source: SegmentSource,
    /// Where the device keeps it from now on, filled on the way. It is found in [`super::session::Session::take_kept`].
    pub keep: Option<DeviceSegment>,
}

/// Where a segment's bytes are.
#[derive(Debug)]
pub enum SegmentSource {
    Device(Arc<DeviceSegment>),
    Host(Arc<HostSegment>),
    /// In a file, which the context's [`ReadLayer`] reads. With `into`, page-locked memory for the whole segment, that is
    /// where its layers are put and stay.
    File {
        into: Option<HostMemory>,
    },
}

/// What a context left in the tiers' memory, once it is in place.
#[derive(Debug)]
pub enum Kept {
    Device(DeviceSegment),
    Host(HostSegment),
}

/// The segments of a context and how they stand.
pub struct Context {
    pub segments: Vec<ContextSegment>,
    /// Reads what is in files.
    pub read: Option<ReadLayer>,
    /// Threads that read.
    pub threads: usize,
    pub placement: Placement,
}

impl Context {
    /// A context of segments of which none is in a file.
    pub fn new(segments: Vec<ContextSegment>, placement: Placement) -> Self {
        Self { segments, read: None, threads: 1, placement }
    }

    /// All tokens.
    pub fn tokens(&self) -> usize {
        self.segments.iter().map(|segment| segment.tokens).sum()
    }

    /// Positions that the segments take.
    pub fn extent(&self) -> usize {
        let lengths = self.segments.iter().map(|segment| segment.tokens);
        match self.placement {
            Placement::Running => lengths.sum(),
            Placement::Shared => lengths.max().unwrap_or(0),
        }
    }

    /// Slot in the context, and position, of each segment's first token, where the first one's position is `start`; and of
    /// the token after the last.
    pub(super) fn slots(&self, start: usize) -> Vec<(usize, usize)> {
        let lengths: Vec<usize> = self.segments.iter().map(|segment| segment.tokens).collect();
        slots(&lengths, start, self.placement)
    }

    /// Bytes of the device's table of where segments are.
    pub(super) fn table_bytes(&self, layers: usize) -> usize {
        layers * self.segments.len() * size_of::<PlacedSegment>()
    }

    /// Bytes of one layer of all segments that pass through a stage.
    pub(super) fn stage_bytes(&self, network: &CudaNetwork, dtype: CacheDtype) -> usize {
        let staged = self.segments.iter().filter(|segment| segment.is_staged());
        staged.map(|segment| network.shape().layer_kv_bytes(segment.tokens, dtype)).sum()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("segments", &self.segments)
            .field("placement", &self.placement)
            .finish_non_exhaustive()
    }
}

impl ContextSegment {
    pub fn on_device(segment: Arc<DeviceSegment>) -> Self {
        Self { tokens: segment.tokens(), source: SegmentSource::Device(segment), keep: None }
    }

    pub fn on_host(segment: Arc<HostSegment>) -> Self {
        Self { tokens: segment.tokens(), source: SegmentSource::Host(segment), keep: None }
    }

    pub fn in_file(tokens: usize) -> Self {
        Self { tokens, source: SegmentSource::File { into: None }, keep: None }
    }

    pub(super) fn is_staged(&self) -> bool {
        !matches!(self.source, SegmentSource::Device(_)) && self.keep.is_none()
    }

    /// # Errors
    /// When it is not of this network, or not stored as `dtype`.
    pub(super) fn check(&self, network: &CudaNetwork, dtype: CacheDtype) -> Result<(), CudaError> {
        let of_source = match &self.source {
            SegmentSource::Device(segment) => Some((segment.shape(), segment.dtype())),
            SegmentSource::Host(segment) => Some((segment.shape(), segment.dtype())),
            SegmentSource::File { .. } => None,
        };
        let of_keep = self.keep.as_ref().map(|segment| (segment.shape(), segment.dtype()));
        for (shape, found) in of_source.into_iter().chain(of_keep) {
            network.check_segment(shape)?;
            if found != dtype || shape.tokens != self.tokens {
                return Err(CudaError::Internal("segments of different types or sizes in one context"));
            }
        }
        Ok(())
    }
}

fn slots(lengths: &[usize], start: usize, placement: Placement) -> Vec<(usize, usize)> {
    let mut slots = vec![(0, start)];
    let (mut slot, mut position) = (0, start);
    for tokens in lengths {
        slot += tokens;
        if placement == Placement::Running {
            position += tokens;
        }
        slots.push((slot, position));
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_stand_side_by_side_in_slots_and_as_placed_in_positions() {
        let lengths = [4, 2, 7];
        assert_eq!(slots(&lengths, 10, Placement::Shared), [(0, 10), (4, 10), (6, 10), (13, 10)]);
        assert_eq!(slots(&lengths, 10, Placement::Running), [(0, 10), (4, 14), (6, 16), (13, 23)]);
        assert_eq!(slots(&[], 10, Placement::Shared), [(0, 10)]);
    }
}
