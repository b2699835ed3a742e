//! Segments on their way from files to the device, layer by layer: threads read ahead of the layers that compute, and start
//! the copy of what they have read themselves, while it is still in their processor's cache.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use super::{
    CudaError,
    device::{Event, Pointer, Stream},
    groups::STAGES,
    segment::HostSegment,
};

/// Reads one layer of one of a context's segments, by its index there: keys `[kv_heads, tokens, head_dim]`, then values,
/// as files have them, or says why it cannot. Called on several threads at once, layers in their order.
pub type ReadLayer = Arc<dyn Fn(usize, usize, &mut [u8]) -> Result<(), String> + Send + Sync>;

/// How long a thread that waits for the device, or for others, sleeps before it looks again.
const PATIENCE: Duration = Duration::from_micros(50);

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

    pub fn at(self, offset: usize) -> Self {
        // SAFETY: only ever asked for offsets within the memory that it is of.
        Self(unsafe { self.0.add(offset) })
    }

    /// # Safety
    /// There are `bytes` bytes, which nobody else uses while the slice is in use.
    unsafe fn bytes_mut<'a>(self, bytes: usize) -> &'a mut [u8] {
        // SAFETY: as the caller says.
        unsafe { std::slice::from_raw_parts_mut(self.0, bytes) }
    }
}

/// Where on the device a segment's layers go.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// At this offset of a stage.
    Stage(u64),
    /// One after the other, from here on.
    Kept(Pointer),
}

/// Memory on the device that layers pass through, each in one of [`STAGES`] stages in turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Staging {
    pub start: Pointer,
    pub stage_bytes: u64,
}

impl Staging {
    /// Where a layer of `layer_bytes` bytes of a segment goes.
    pub fn address(self, target: Target, layer: usize, layer_bytes: usize) -> Pointer {
        match target {
            Target::Kept(start) => start + (layer * layer_bytes) as u64,
            Target::Stage(offset) => self.start + (layer % STAGES) as u64 * self.stage_bytes + offset,
        }
    }
}

/// One segment to be read.
pub(super) struct Piece {
    /// Its index in the context.
    pub segment: usize,
    /// Bytes of each of its layers.
    pub layer_bytes: usize,
    pub source: PieceSource,
    /// Page-locked memory for all its layers, one after the other, where they stay; else they pass through a [`Cell`].
    pub whole: Option<Address>,
    pub target: Target,
}

/// Where a piece's bytes come from.
pub(super) enum PieceSource {
    /// The reader of the context's files.
    File,
    /// Memory that is not page-locked.
    Memory(Arc<HostSegment>),
}

/// Page-locked memory of one thread, as large as any layer that it reads, used again and again.
pub(super) struct Cell {
    pub start: Address,
    /// The copy of what was there last; `None` where nothing is copied.
    pub copied: Option<Event>,
}

/// Where pieces are copied to.
pub(super) struct Way {
    /// Used in turn. `None`: pieces are read and not copied.
    pub streams: Option<Arc<[Stream; 2]>>,
    pub staging: Staging,
    /// By layer: it has been rotated from its stage. Recorded when [`Readers::open`] opens the stage's next layer.
    pub placed: Arc<Vec<Event>>,
}

/// What is read, by whom, and how far it has come.
struct Shared {
    pieces: Vec<Piece>,
    layers: usize,
    read: Option<ReadLayer>,
    way: Way,
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Debug)]
struct Progress {
    /// The next piece of the next layer: `layer · pieces + piece`.
    next: usize,
    /// By layer: pieces whose copies have been started.
    sent: Vec<usize>,
    /// Layers whose stage is free, or will be after an event that has been recorded.
    open: usize,
    failure: Option<CudaError>,
    stopped: bool,
}

/// Threads that read. Dropping it waits for them, not for the copies that they started.
pub(super) struct Readers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts to read, on as many threads as there are sets of cells. What the pieces and cells are part of has to outlive
    /// this and the copies that it started.
    pub fn start(
        pieces: Vec<Piece>,
        layers: usize,
        cells: Vec<Vec<Cell>>,
        read: Option<ReadLayer>,
        way: Way,
    ) -> Self {
        let progress =
            Progress { next: 0, sent: vec![0; layers], open: STAGES, failure: None, stopped: false };
        let shared = Arc::new(Shared {
            pieces,
            layers,
            read,
            way,
            progress: Mutex::new(progress),
            changed: Condvar::new(),
        });
        let threads = cells
            .into_iter()
            .map(|cells| {
                let shared = shared.clone();
                std::thread::spawn(move || shared.work(&cells))
            })
            .collect();
        Self { shared, threads }
    }

    /// Whether the copies of a layer of every piece have been started.
    pub fn is_ready(&self, layer: usize) -> bool {
        let progress = self.shared.progress();
        progress.failure.is_some() || progress.sent[layer] == self.shared.pieces.len()
    }

    /// Waits until the copies of a layer of every piece have been started.
    ///
    /// # Errors
    /// [`CudaError::Segment`] when one cannot be read, [`CudaError::Cancelled`].
    pub fn wait(&self, layer: usize, cancelled: &(dyn Fn() -> bool + Sync)) -> Result<(), CudaError> {
        let mut progress = self.shared.progress();
        loop {
            if let Some(failure) = &progress.failure {
                return Err(failure.clone());
            }
            if progress.sent[layer] == self.shared.pieces.len() {
                return Ok(());
            }
            if cancelled() {
                return Err(CudaError::Cancelled);
            }
            progress = self.shared.sleep(progress);
        }
    }

    /// Says that the event after which the stage of `layer`, and of all layers before, is free has been recorded.
    pub fn open(&self, layer: usize) {
        self.shared.progress().open = layer + 1;
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

    fn sleep<'a>(&self, progress: MutexGuard<'a, Progress>) -> MutexGuard<'a, Progress> {
        self.changed.wait_timeout(progress, 100 * PATIENCE).unwrap_or_else(PoisonError::into_inner).0
    }

    /// What a thread does.
    fn work(&self, cells: &[Cell]) {
        let mut turn = 0;
        while let Some((layer, index)) = self.next() {
            let piece = &self.pieces[index];
            // A piece with a place of its own needs no cell.
            let cell = piece.whole.is_none().then(|| {
                turn = (turn + 1) % cells.len().max(1);
                cells.get(turn)
            });
            match self.bring(piece, layer, cell.flatten(), index) {
                Ok(true) => self.count(layer),
                Ok(false) => return,
                Err(error) => {
                    self.progress().failure.get_or_insert(error);
                    self.changed.notify_all();
                }
            }
        }
    }

    fn next(&self) -> Option<(usize, usize)> {
        let mut progress = self.progress();
        let is_over = progress.stopped
            || progress.failure.is_some()
            || progress.next == self.layers * self.pieces.len();
        if is_over {
            return None;
        }
        progress.next += 1;
        let number = progress.next - 1;
        Some((number / self.pieces.len(), number % self.pieces.len()))
    }

    fn count(&self, layer: usize) {
        let mut progress = self.progress();
        progress.sent[layer] += 1;
        if progress.sent[layer] == self.pieces.len() {
            drop(progress);
            self.changed.notify_all();
        }
    }

    /// Reads a layer of a piece and starts its copy; false when reading is to end.
    fn bring(
        &self,
        piece: &Piece,
        layer: usize,
        cell: Option<&Cell>,
        index: usize,
    ) -> Result<bool, CudaError> {
        let place = match (piece.whole, cell) {
            (Some(whole), _) => whole.at(layer * piece.layer_bytes),
            (None, Some(cell)) => cell.start,
            (None, None) => return Err(CudaError::Internal("a thread that reads without memory of its own")),
        };
        if !self.wait_for_copy(cell)? {
            return Ok(false);
        }
        // SAFETY: every layer of a piece with a place of its own is taken once. A cell is one thread's, and what was there
        // has been copied.
        let bytes = unsafe { place.bytes_mut(piece.layer_bytes) };
        self.fill(piece, layer, bytes)?;
        if matches!(piece.target, Target::Stage(_)) && !self.wait_until_open(layer) {
            return Ok(false);
        }
        let Some(streams) = self.way.streams.as_ref().filter(|_| !bytes.is_empty()) else { return Ok(true) };
        let stream = &streams[index % streams.len()];
        let to = self.way.staging.address(piece.target, layer, piece.layer_bytes);
        if let (Target::Stage(_), Some(before)) = (piece.target, layer.checked_sub(STAGES)) {
            stream.wait(&self.way.placed[before])?;
        }
        // SAFETY: nobody writes there again before the copy is done.
        unsafe { stream.copy_to_device(to, bytes)? };
        if let Some(copied) = cell.and_then(|cell| cell.copied.as_ref()) {
            stream.record(copied)?;
        }
        Ok(true)
    }

    /// Waits until the device has copied what was in the cell before; false when reading is to end.
    fn wait_for_copy(&self, cell: Option<&Cell>) -> Result<bool, CudaError> {
        let Some(copied) = cell.and_then(|cell| cell.copied.as_ref()) else { return Ok(true) };
        while !copied.is_done()? {
            if self.progress().stopped {
                return Ok(false);
            }
            std::thread::sleep(PATIENCE);
        }
        Ok(true)
    }

    /// Waits until a layer's stage may be written; false when reading is to end.
    fn wait_until_open(&self, layer: usize) -> bool {
        let mut progress = self.progress();
        while layer >= progress.open {
            if progress.stopped || progress.failure.is_some() {
                return false;
            }
            progress = self.sleep(progress);
        }
        true
    }

    fn fill(&self, piece: &Piece, layer: usize, to: &mut [u8]) -> Result<(), CudaError> {
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

    fn nowhere() -> Way {
        Way { streams: None, staging: Staging { start: 0, stage_bytes: 0 }, placed: Arc::default() }
    }

    fn never() -> bool {
        false
    }

    fn pieces(memory: &mut [Vec<u8>], target: Target) -> Vec<Piece> {
        let piece = |(segment, memory): (usize, &mut Vec<u8>)| Piece {
            segment,
            layer_bytes: memory.len() / LAYERS,
            source: PieceSource::File,
            whole: Some(Address::of(memory)),
            target,
        };
        memory.iter_mut().enumerate().map(piece).collect()
    }

    fn without_cells(threads: usize) -> Vec<Vec<Cell>> {
        (0..threads).map(|_| Vec::new()).collect()
    }

    #[test]
    fn every_layer_of_every_piece_is_read_once() {
        let mut memory: Vec<Vec<u8>> = (1..6).map(|size| vec![0; size * 10 * LAYERS]).collect();
        let read: ReadLayer = Arc::new(|segment, layer, to| {
            to.iter_mut().for_each(|byte| *byte += (10 * segment + layer) as u8);
            Ok(())
        });
        let pieces = pieces(&mut memory, Target::Kept(0));
        let readers = Readers::start(pieces, LAYERS, without_cells(4), Some(read), nowhere());
        for layer in 0..LAYERS {
            readers.wait(layer, &never).expect("nothing fails");
            assert!(readers.is_ready(layer));
        }
        drop(readers);
        for (segment, memory) in memory.iter().enumerate() {
            for (layer, bytes) in memory.chunks(memory.len() / LAYERS).enumerate() {
                assert!(bytes.iter().all(|byte| *byte as usize == 10 * segment + layer));
            }
        }
    }

    #[test]
    fn pieces_without_a_place_of_their_own_pass_through_cells() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = seen.clone();
        let read: ReadLayer = Arc::new(move |segment, layer, to| {
            to.fill(1);
            noted.lock().unwrap().push((segment, layer, to.len()));
            Ok(())
        });
        let piece = |segment: usize| Piece {
            segment,
            layer_bytes: 10 + segment,
            source: PieceSource::File,
            whole: None,
            target: Target::Kept(0),
        };
        let mut memory = [0; 4 * 16];
        let start = Address::of(&mut memory);
        let cell = |number: usize| Cell { start: start.at(16 * number), copied: None };
        let cells = vec![vec![cell(0), cell(1)], vec![cell(2), cell(3)]];
        let readers = Readers::start((0..5).map(piece).collect(), LAYERS, cells, Some(read), nowhere());
        readers.wait(LAYERS - 1, &never).expect("nothing fails");
        drop(readers);
        let mut seen = seen.lock().unwrap().clone();
        seen.sort_unstable();
        let expected = (0..5).flat_map(|piece| (0..LAYERS).map(move |layer| (piece, layer, 10 + piece)));
        assert_eq!(seen, expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_stage_is_not_written_before_it_is_open() {
        let mut memory: Vec<Vec<u8>> = (0..3).map(|_| vec![0; LAYERS]).collect();
        let read: ReadLayer = Arc::new(|_, _, _| Ok(()));
        let pieces = pieces(&mut memory, Target::Stage(0));
        let readers = Readers::start(pieces, LAYERS, without_cells(2), Some(read), nowhere());
        readers.wait(STAGES - 1, &never).expect("the first stages are free");
        std::thread::sleep(Duration::from_millis(20));
        assert!(!readers.is_ready(STAGES));
        for layer in STAGES..LAYERS {
            readers.open(layer);
            readers.wait(layer, &never).expect("its stage is open");
        }
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
            let pieces = pieces(&mut memory, Target::Kept(0));
            let readers = Readers::start(pieces, LAYERS, without_cells(3), Some(read), nowhere());
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
        let pieces = pieces(&mut memory, Target::Kept(0));
        let readers = Readers::start(pieces, LAYERS, without_cells(1), Some(read), nowhere());
        readers.wait(0, &never).expect("the first layer is read");
        assert_eq!(readers.wait(1, &|| true), Err(CudaError::Cancelled));
    }
}
