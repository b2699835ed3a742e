//! Segments on their way from files into page-locked memory, layer by layer: threads read ahead of the copies to the
//! device.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use super::{CudaError, device::Event, segment::HostSegment};

/// Reads one layer of one of a context's segments, by its index there: keys `[kv_heads, tokens, head_dim]`, then values,
/// as files have them, or says why it cannot. Called on several threads at once, layers in their order.
pub type ReadLayer = Arc<dyn Fn(usize, usize, &mut [u8]) -> Result<(), String> + Send + Sync>;

/// How long a thread that waits for the device, or for others, sleeps before it looks again.
const PATIENCE: Duration = Duration::from_micros(100);

/// Host memory as threads and copies share it; who may write which part when is up to [`Readers`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Address(*mut u8);

// SAFETY: a number; whoever writes or reads there has to know that it may.
unsafe impl Send for Address {}
// SAFETY: as above.
unsafe impl Sync for Address {}

impl Address {
    pub fn of(memory: &mut [u8]) -> Self {
        Self(memory.as_mut_ptr())
    }

    fn at(self, offset: usize) -> Self {
        // SAFETY: only ever asked for offsets within the memory that it is of.
        Self(unsafe { self.0.add(offset) })
    }

    /// # Safety
    /// There are `bytes` bytes, which nobody writes while the slice is in use.
    pub unsafe fn bytes<'a>(self, bytes: usize) -> &'a [u8] {
        // SAFETY: as the caller says.
        unsafe { std::slice::from_raw_parts(self.0, bytes) }
    }

    /// # Safety
    /// There are `bytes` bytes, which nobody else uses while the slice is in use.
    unsafe fn bytes_mut<'a>(self, bytes: usize) -> &'a mut [u8] {
        // SAFETY: as the caller says.
        unsafe { std::slice::from_raw_parts_mut(self.0, bytes) }
    }
}

/// One segment to be read.
pub(super) struct Piece {
    /// Its index in the context.
    pub segment: usize,
    /// Bytes of each of its layers.
    pub layer_bytes: usize,
    pub source: PieceSource,
    pub place: PiecePlace,
}

/// Where a piece's bytes come from.
pub(super) enum PieceSource {
    /// The reader of the context's files.
    File,
    /// Memory that is not page-locked.
    Memory(Arc<HostSegment>),
}

/// Where a piece's layers are put.
#[derive(Clone, Copy)]
pub(super) enum PiecePlace {
    /// One after the other, all of them.
    Whole(Address),
    /// At this offset of a slot of the ring.
    Ring(usize),
}

/// Slots that are used again and again, each for one layer of the pieces that have no place of their own.
#[derive(Clone, Copy)]
pub(super) struct Ring {
    pub start: Address,
    pub slots: usize,
    pub slot_bytes: usize,
}

/// What is read, by whom, and how far it has come.
struct Shared {
    pieces: Vec<Piece>,
    layers: usize,
    ring: Option<Ring>,
    read: Option<ReadLayer>,
    /// By layer: its copies to the device, from the moment on that [`Progress::issued`] counts it.
    copied: Arc<Vec<Event>>,
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Debug)]
struct Progress {
    /// The next piece of the next layer: `layer · pieces + piece`.
    next: usize,
    /// By layer: pieces read.
    read: Vec<usize>,
    /// Layers whose copies to the device have been started.
    issued: usize,
    failure: Option<CudaError>,
    stopped: bool,
}

/// Threads that read. Dropping it waits for them.
pub(super) struct Readers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts to read. What the pieces' places and the ring are part of has to outlive this.
    pub fn start(
        pieces: Vec<Piece>,
        layers: usize,
        ring: Option<Ring>,
        read: Option<ReadLayer>,
        copied: Arc<Vec<Event>>,
        threads: usize,
    ) -> Self {
        let threads = threads.clamp(1, (pieces.len() * layers).max(1));
        let progress = Progress { next: 0, read: vec![0; layers], issued: 0, failure: None, stopped: false };
        let shared = Arc::new(Shared {
            pieces,
            layers,
            ring,
            read,
            copied,
            progress: Mutex::new(progress),
            changed: Condvar::new(),
        });
        let threads = (0..threads)
            .map(|_| {
                let shared = shared.clone();
                std::thread::spawn(move || shared.work())
            })
            .collect();
        Self { shared, threads }
    }

    /// Whether a layer of every piece is there.
    pub fn is_ready(&self, layer: usize) -> bool {
        let progress = self.shared.progress();
        progress.failure.is_some() || progress.read[layer] == self.shared.pieces.len()
    }

    /// Waits until a layer of every piece is there.
    ///
    /// # Errors
    /// [`CudaError::Segment`] when one cannot be read, [`CudaError::Cancelled`].
    pub fn wait(&self, layer: usize, cancelled: &(dyn Fn() -> bool + Sync)) -> Result<(), CudaError> {
        let mut progress = self.shared.progress();
        loop {
            if let Some(failure) = &progress.failure {
                return Err(failure.clone());
            }
            if progress.read[layer] == self.shared.pieces.len() {
                return Ok(());
            }
            if cancelled() {
                return Err(CudaError::Cancelled);
            }
            progress = self.shared.sleep(progress, 50 * PATIENCE);
        }
    }

    /// Where a layer of a piece is, once [`Self::wait`] says that it is there; and of which segment it is.
    pub fn piece(&self, piece: usize, layer: usize) -> (usize, Address, usize) {
        let found = &self.shared.pieces[piece];
        (found.segment, self.shared.address(found, layer), found.layer_bytes)
    }

    /// Says that the copies of this layer have been started and their event recorded: its slot of the ring is free once
    /// the event has happened.
    pub fn issued(&self, layer: usize) {
        self.shared.progress().issued = layer + 1;
        self.shared.changed.notify_all();
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.shared.progress().stopped = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that reads segments panicked");
            }
        }
    }
}

impl Shared {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep<'a>(&self, progress: MutexGuard<'a, Progress>, time: Duration) -> MutexGuard<'a, Progress> {
        self.changed.wait_timeout(progress, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// What a thread does.
    fn work(&self) {
        while let Some((layer, index)) = self.next() {
            let piece = &self.pieces[index];
            let result = match self.wait_for_slot(layer) {
                Ok(true) => self.fill(piece, layer),
                Ok(false) => return,
                Err(error) => Err(error),
            };
            let mut progress = self.progress();
            match result {
                Ok(()) => progress.read[layer] += 1,
                Err(error) => {
                    progress.failure.get_or_insert(error);
                }
            }
            drop(progress);
            self.changed.notify_all();
        }
    }

    /// The next layer and piece to be read, once there is, or soon will be, a slot for it.
    fn next(&self) -> Option<(usize, usize)> {
        let mut progress = self.progress();
        loop {
            if progress.stopped
                || progress.failure.is_some()
                || progress.next == self.layers * self.pieces.len()
            {
                return None;
            }
            let layer = progress.next / self.pieces.len();
            if self.before(layer).is_none_or(|before| before < progress.issued) {
                let piece = progress.next % self.pieces.len();
                progress.next += 1;
                return Some((layer, piece));
            }
            progress = self.sleep(progress, 50 * PATIENCE);
        }
    }

    /// The layer that was in the slot of `layer` before it.
    fn before(&self, layer: usize) -> Option<usize> {
        layer.checked_sub(self.ring?.slots)
    }

    /// Waits until the device has copied what was in the slot of `layer` before; false when reading is to end.
    fn wait_for_slot(&self, layer: usize) -> Result<bool, CudaError> {
        let Some(before) = self.before(layer) else { return Ok(true) };
        while !self.copied[before].is_done()? {
            if self.progress().stopped {
                return Ok(false);
            }
            std::thread::sleep(PATIENCE);
        }
        Ok(true)
    }

    fn address(&self, piece: &Piece, layer: usize) -> Address {
        match (piece.place, self.ring) {
            (PiecePlace::Whole(start), _) => start.at(layer * piece.layer_bytes),
            (PiecePlace::Ring(offset), Some(ring)) => {
                ring.start.at(layer % ring.slots * ring.slot_bytes + offset)
            }
            (PiecePlace::Ring(_), None) => unreachable!("pieces of a ring come with one"),
        }
    }

    fn fill(&self, piece: &Piece, layer: usize) -> Result<(), CudaError> {
        // SAFETY: every layer of every piece is taken by one thread once, has bytes of its own until those of the ring are
        // used again, and that is after the device has copied them.
        let to = unsafe { self.address(piece, layer).bytes_mut(piece.layer_bytes) };
        let failed = |reason: String| CudaError::Segment { index: piece.segment, reason };
        match &piece.source {
            PieceSource::Memory(segment) => {
                to.copy_from_slice(segment.layer(layer));
                Ok(())
            }
            PieceSource::File => {
                let read = self.read.as_ref().ok_or(CudaError::Internal("files without a reader"))?;
                let result = catch_unwind(AssertUnwindSafe(|| read(piece.segment, layer, to)));
                result.unwrap_or_else(|_| Err("its reader panicked".into())).map_err(failed)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYERS: usize = 9;

    fn never() -> bool {
        false
    }

    fn pieces(memory: &mut [Vec<u8>]) -> Vec<Piece> {
        let piece = |(segment, memory): (usize, &mut Vec<u8>)| Piece {
            segment,
            layer_bytes: memory.len() / LAYERS,
            source: PieceSource::File,
            place: PiecePlace::Whole(Address::of(memory)),
        };
        memory.iter_mut().enumerate().map(piece).collect()
    }

    #[test]
    fn every_layer_of_every_piece_is_read_once() {
        let mut memory: Vec<Vec<u8>> = (1..6).map(|size| vec![0; size * 10 * LAYERS]).collect();
        let read: ReadLayer = Arc::new(|segment, layer, to| {
            to.iter_mut().for_each(|byte| *byte += (10 * segment + layer) as u8);
            Ok(())
        });
        let readers = Readers::start(pieces(&mut memory), LAYERS, None, Some(read), Arc::new(Vec::new()), 4);
        for layer in 0..LAYERS {
            readers.wait(layer, &never).expect("nothing fails");
            assert!(readers.is_ready(layer));
            for piece in 0..5 {
                let (segment, address, bytes) = readers.piece(piece, layer);
                // SAFETY: this layer has been read.
                let found = unsafe { address.bytes(bytes) };
                assert!(found.iter().all(|byte| *byte as usize == 10 * segment + layer));
            }
        }
        drop(readers);
        assert!(memory.iter().flatten().all(|byte| (*byte as usize) < 10 * 5));
    }

    #[test]
    fn what_cannot_be_read_is_named_and_a_panic_is_a_failure() {
        for panics in [false, true] {
            let mut memory: Vec<Vec<u8>> = (0..4).map(|_| vec![0; 10 * LAYERS]).collect();
            let read: ReadLayer = Arc::new(move |segment, layer, _| match (segment, layer) {
                (2, 3) if panics => panic!("a defect"),
                (2, 3) => Err("its checksum does not match".into()),
                _ => Ok(()),
            });
            let readers =
                Readers::start(pieces(&mut memory), LAYERS, None, Some(read), Arc::new(Vec::new()), 3);
            let error = readers.wait(3, &never).expect_err("one piece cannot be read");
            assert!(matches!(error, CudaError::Segment { index: 2, .. }), "{error}");
        }
    }

    #[test]
    fn waiting_ends_when_it_is_cancelled_and_so_do_threads() {
        let mut memory = vec![vec![0; LAYERS]];
        let read: ReadLayer = Arc::new(|_, layer, _| {
            if layer == 1 {
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        });
        let readers = Readers::start(pieces(&mut memory), LAYERS, None, Some(read), Arc::new(Vec::new()), 1);
        readers.wait(0, &never).expect("the first layer is read");
        assert_eq!(readers.wait(1, &|| true), Err(CudaError::Cancelled));
    }
}
