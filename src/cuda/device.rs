//! A GPU: its streams and events, and what is allocated and copied through them.
//!
//! Everything here may be used from any thread: each call first makes the device's context the calling thread's.
//! What was started on a stream runs after this returned; [`Stream::synchronize`] and [`Event`]s wait for it.

use std::{fmt, sync::Arc};

use cudarc::driver::{
    result::{self, DriverError},
    sys,
};

use super::{
    CudaError,
    memory::{DeviceBuffer, PinnedBuffer},
    product::{Blas, Gemm},
};

/// An address on the device, or of page-locked host memory as the device sees it. Kernels and copies trust it: a wrong
/// one is an error of a later call.
pub type Pointer = u64;

/// The oldest driver served, by the version of CUDA that it speaks: 12.8, the first with today's event timing.
const OLDEST_DRIVER: u32 = 12_080;

/// What a GPU is, as `doctor` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuInfo {
    pub name: String,
    /// The version of CUDA that the driver speaks: 1000 · major + 10 · minor.
    pub driver: u32,
    /// Major and minor: (9, 0) is `sm_90`.
    pub compute_capability: (u32, u32),
    pub total_bytes: u64,
    pub multiprocessors: usize,
    /// Most bytes of shared memory that a block of threads can ask for.
    pub shared_memory_bytes: usize,
    pub second_level_cache_bytes: usize,
}

/// An opened GPU.
pub struct Gpu {
    info: GpuInfo,
    /// Before the streams, which it uses, so that it ends before them.
    blas: Blas,
    compute: Stream,
    copy_in: Stream,
    copy_out: Stream,
    context: Arc<Context>,
}

impl Gpu {
    /// How many GPUs the driver shows; 0 where there is no driver.
    pub fn count() -> usize {
        driver_is_there()
            .and_then(|()| checked("cuDeviceGetCount", result::device::get_count()))
            .map_or(0, |count| count.max(0) as usize)
    }

    /// Opens the GPU with this number, of those that the driver shows.
    ///
    /// # Errors
    /// [`CudaError::MissingLibrary`], [`CudaError::OldDriver`], [`CudaError::NoDevice`] and
    /// [`CudaError::OldDevice`] say what this machine lacks.
    pub fn open(ordinal: usize) -> Result<Arc<Self>, CudaError> {
        driver_is_there()?;
        Blas::is_there()?;
        super::compile::is_there()?;
        let driver = driver_version()?;
        if driver < OLDEST_DRIVER {
            return Err(CudaError::OldDriver { found: driver, needed: OLDEST_DRIVER });
        }
        let found = checked("cuDeviceGetCount", result::device::get_count())?.max(0) as usize;
        if ordinal >= found {
            return Err(CudaError::NoDevice { ordinal, found });
        }
        let device = checked("cuDeviceGet", result::device::get(ordinal as i32))?;
        let info = GpuInfo::of(device, driver)?;
        let (major, minor) = info.compute_capability;
        if major < 7 {
            return Err(CudaError::OldDevice { major, minor });
        }
        let context = Context::retain(device)?;
        let [compute, copy_in, copy_out] = [(); 3].map(|()| Stream::new(&context));
        let (compute, copy_in, copy_out) = (compute?, copy_in?, copy_out?);
        let blas = Blas::new(&context, &compute)?;
        Ok(Arc::new(Self { info, blas, compute, copy_in, copy_out, context }))
    }

    pub fn info(&self) -> &GpuInfo {
        &self.info
    }

    /// `sm_90` as 90.
    pub fn architecture(&self) -> u32 {
        let (major, minor) = self.info.compute_capability;
        10 * major + minor
    }

    /// Bytes that no program uses at this moment.
    pub fn free_bytes(&self) -> Result<u64, CudaError> {
        self.context.free_bytes()
    }

    /// The stream of all kernels and products.
    pub fn compute(&self) -> &Stream {
        &self.compute
    }

    /// The stream of copies from the host.
    pub fn copy_in(&self) -> &Stream {
        &self.copy_in
    }

    /// The stream of copies to the host.
    pub fn copy_out(&self) -> &Stream {
        &self.copy_out
    }

    /// Another stream beside these three.
    pub fn new_stream(&self) -> Result<Stream, CudaError> {
        Stream::new(&self.context)
    }

    /// Memory on the device; what it holds is not defined.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`], after which everything that was there before still works.
    pub fn allocate(&self, bytes: usize) -> Result<DeviceBuffer, CudaError> {
        DeviceBuffer::new(&self.context, bytes)
    }

    /// Memory on the device that holds `bytes`.
    pub fn upload(&self, bytes: &[u8]) -> Result<DeviceBuffer, CudaError> {
        let buffer = self.allocate(bytes.len())?;
        buffer.write(0, bytes)?;
        Ok(buffer)
    }

    /// Page-locked memory of the host; what it holds is not defined.
    pub fn allocate_pinned(&self, bytes: usize) -> Result<PinnedBuffer, CudaError> {
        PinnedBuffer::new(&self.context, bytes)
    }

    /// An event that orders streams; cheaper than one that can tell the time.
    pub fn event(&self) -> Result<Event, CudaError> {
        Event::new(&self.context, sys::CUevent_flags::CU_EVENT_DISABLE_TIMING)
    }

    /// An event that also tells the time ([`Event::seconds_since`]).
    pub fn timing_event(&self) -> Result<Event, CudaError> {
        Event::new(&self.context, sys::CUevent_flags::CU_EVENT_DEFAULT)
    }

    /// Starts a product of matrices on the stream of kernels.
    pub fn gemm(&self, gemm: &Gemm) -> Result<(), CudaError> {
        self.context.bind()?;
        self.blas.run(gemm)
    }

    /// Waits for everything that was started on any stream.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        self.context.bind()?;
        checked("cuCtxSynchronize", result::ctx::synchronize())
    }

    pub(super) fn context(&self) -> &Arc<Context> {
        &self.context
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpu").field("info", &self.info).finish_non_exhaustive()
    }
}

impl GpuInfo {
    fn of(device: sys::CUdevice, driver: u32) -> Result<Self, CudaError> {
        use sys::CUdevice_attribute_enum as Attribute;
        // SAFETY: the device's number came from the driver.
        let attribute = |attribute| unsafe {
            let value = checked("cuDeviceGetAttribute", result::device::get_attribute(device, attribute))?;
            Ok::<_, CudaError>(value.max(0) as usize)
        };
        // SAFETY: as above.
        let total_bytes = checked("cuDeviceTotalMem", unsafe { result::device::total_mem(device) })? as u64;
        Ok(Self {
            name: checked("cuDeviceGetName", result::device::get_name(device))?,
            driver,
            compute_capability: (
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)? as u32,
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)? as u32,
            ),
            total_bytes,
            multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            shared_memory_bytes: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
            second_level_cache_bytes: attribute(Attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)?,
        })
    }
}

/// The device's primary context, held for as long as anything of it is.
pub(super) struct Context {
    device: sys::CUdevice,
    raw: sys::CUcontext,
}

// SAFETY: the driver's calls may come from any thread; the handle is never changed.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    fn retain(device: sys::CUdevice) -> Result<Arc<Self>, CudaError> {
        // SAFETY: the device's number came from the driver.
        let raw = checked("cuDevicePrimaryCtxRetain", unsafe { result::primary_ctx::retain(device) })?;
        Ok(Arc::new(Self { device, raw }))
    }

    /// Makes this the calling thread's context.
    pub(super) fn bind(&self) -> Result<(), CudaError> {
        // SAFETY: the context is retained until this is dropped.
        checked("cuCtxSetCurrent", unsafe { result::ctx::set_current(self.raw) })
    }

    pub(super) fn free_bytes(&self) -> Result<u64, CudaError> {
        self.bind()?;
        Ok(checked("cuMemGetInfo", result::mem_get_info())?.0 as u64)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once, released once. A failure at the end of everything can be told to nobody.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

/// Work that runs in the order in which it was started.
pub struct Stream {
    raw: sys::CUstream,
    context: Arc<Context>,
}

// SAFETY: the driver's calls may come from any thread; the handle is never changed.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}

impl Stream {
    fn new(context: &Arc<Context>) -> Result<Self, CudaError> {
        context.bind()?;
        let raw = checked("cuStreamCreate", result::stream::create(result::stream::StreamKind::NonBlocking))?;
        Ok(Self { raw, context: context.clone() })
    }

    pub(super) fn raw(&self) -> sys::CUstream {
        self.raw
    }

    /// Makes the device the calling thread's, for a launch on this stream.
    pub(super) fn bind(&self) -> Result<(), CudaError> {
        self.context.bind()
    }

    /// Starts a copy from the host.
    ///
    /// # Safety
    /// `from` must stay as it is until the copy is done; from memory that is not page-locked the call waits until it
    /// can be changed.
    pub unsafe fn copy_to_device(&self, to: Pointer, from: &[u8]) -> Result<(), CudaError> {
        self.bind()?;
        // SAFETY: the caller keeps the memory; the addresses are the caller's.
        checked("cuMemcpyHtoDAsync", unsafe { result::memcpy_htod_async(to, from, self.raw) })
    }

    /// Starts a copy to the host.
    ///
    /// # Safety
    /// `to` must not be read, written or given back until the copy is done.
    pub unsafe fn copy_to_host(&self, to: &mut [u8], from: Pointer) -> Result<(), CudaError> {
        self.bind()?;
        // SAFETY: the caller keeps the memory; the addresses are the caller's.
        checked("cuMemcpyDtoHAsync", unsafe { result::memcpy_dtoh_async(to, from, self.raw) })
    }

    /// Starts a copy of `bytes` bytes on the device.
    pub fn copy_on_device(&self, to: Pointer, from: Pointer, bytes: usize) -> Result<(), CudaError> {
        self.bind()?;
        // SAFETY: both addresses are on the device; a wrong one fails there.
        checked("cuMemcpyDtoDAsync", unsafe { result::memcpy_dtod_async(to, from, bytes, self.raw) })
    }

    /// Starts setting `bytes` bytes on the device to `value`.
    pub fn fill(&self, to: Pointer, value: u8, bytes: usize) -> Result<(), CudaError> {
        self.bind()?;
        // SAFETY: the address is on the device; a wrong one fails there.
        checked("cuMemsetD8Async", unsafe { result::memset_d8_async(to, value, bytes, self.raw) })
    }

    /// Lets `event` happen once everything started on this stream so far is done.
    pub fn record(&self, event: &Event) -> Result<(), CudaError> {
        self.bind()?;
        // SAFETY: both handles are alive.
        checked("cuEventRecord", unsafe { result::event::record(event.raw, self.raw) })
    }

    /// Lets what is started on this stream from now on wait for `event`, as it was last recorded.
    pub fn wait(&self, event: &Event) -> Result<(), CudaError> {
        self.bind()?;
        let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: both handles are alive.
        checked("cuStreamWaitEvent", unsafe { result::stream::wait_event(self.raw, event.raw, flags) })
    }

    /// Waits until everything started on this stream is done. Errors of what ran come out here.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        self.bind()?;
        // SAFETY: the handle is alive.
        checked("cuStreamSynchronize", unsafe { result::stream::synchronize(self.raw) })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once; the driver finishes what was started. Nobody can be told of a failure.
        let _ = self.bind().map(|()| unsafe { result::stream::destroy(self.raw) });
    }
}

/// A moment in a stream's work.
pub struct Event {
    raw: sys::CUevent,
    context: Arc<Context>,
}

// SAFETY: the driver's calls may come from any thread; the handle is never changed.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    fn new(context: &Arc<Context>, flags: sys::CUevent_flags) -> Result<Self, CudaError> {
        context.bind()?;
        let raw = checked("cuEventCreate", result::event::create(flags))?;
        Ok(Self { raw, context: context.clone() })
    }

    /// Whether it has happened; true of one that was never recorded.
    pub fn is_done(&self) -> Result<bool, CudaError> {
        self.context.bind()?;
        // SAFETY: the handle is alive.
        match unsafe { result::event::query(self.raw) } {
            Err(DriverError(sys::CUresult::CUDA_ERROR_NOT_READY)) => Ok(false),
            other => checked("cuEventQuery", other).map(|()| true),
        }
    }

    /// Waits until it has happened.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        self.context.bind()?;
        // SAFETY: the handle is alive.
        checked("cuEventSynchronize", unsafe { result::event::synchronize(self.raw) })
    }

    /// Seconds from `start` to this, once both have happened. Both come from [`Gpu::timing_event`].
    pub fn seconds_since(&self, start: &Self) -> Result<f64, CudaError> {
        self.context.bind()?;
        // SAFETY: both handles are alive.
        let milliseconds =
            checked("cuEventElapsedTime", unsafe { result::event::elapsed(start.raw, self.raw) })?;
        Ok(f64::from(milliseconds) / 1000.0)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once. Nobody can be told of a failure.
        let _ = self.context.bind().map(|()| unsafe { result::event::destroy(self.raw) });
    }
}

fn driver_is_there() -> Result<(), CudaError> {
    // SAFETY: loading the driver's library runs its start-up code, as any use of it would.
    if !unsafe { sys::is_culib_present() } {
        return Err(CudaError::MissingLibrary { library: "the NVIDIA driver (libcuda)" });
    }
    match result::init() {
        // The library is there and no device is.
        Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => {
            Err(CudaError::NoDevice { ordinal: 0, found: 0 })
        }
        other => checked("cuInit", other),
    }
}

fn driver_version() -> Result<u32, CudaError> {
    let mut version = 0;
    // SAFETY: the driver writes one number.
    checked("cuDriverGetVersion", unsafe { sys::cuDriverGetVersion(&raw mut version) }.result())?;
    Ok(version.max(0) as u32)
}

/// A result of the driver as ours, with the call's name.
pub(super) fn checked<T>(call: &'static str, result: Result<T, DriverError>) -> Result<T, CudaError> {
    result.map_err(|error| {
        let reason = match (error.error_name(), error.error_string()) {
            (Ok(name), Ok(meaning)) => format!("{} ({})", meaning.to_string_lossy(), name.to_string_lossy()),
            _ => format!("{:?}", error.0),
        };
        CudaError::Driver { call, reason }
    })
}
