//! What the machine can do at most, measured: the floors of `doctor` and `bench` are bytes and operations over these.

use super::{
    CudaError,
    device::{Gpu, Stream},
    memory::DeviceBuffer,
    product::{Gemm, GemmOutput},
};
use crate::config::CacheDtype;

/// Rates that nothing on this machine exceeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ceilings {
    /// Device memory, bytes per second, read and written ones together, of a plain copy.
    pub device_copy: f64,
    /// From page-locked host memory to the device, bytes per second.
    pub host_to_device: f64,
    /// From the device to page-locked host memory, bytes per second.
    pub device_to_host: f64,
    /// Products of 16-bit matrices with sums in f32, operations per second: two for each multiply-add. f16 on a device
    /// that has no bf16.
    pub product: f64,
}

/// Measurements of each rate, of which the median counts.
const ROUNDS: usize = 5;
/// Copies and products between two looks at the clock.
const REPEATS: usize = 4;
/// Far beyond any second-level cache, where there is so much room.
const COPY_BYTES: usize = 1 << 30;
const HOST_BYTES: usize = 256 << 20;
/// Rows and columns of the matrices.
const SIDE: usize = 8192;

/// Measures all of them, in about half a second. Takes up to 2 GiB of device memory for as long as that, and less where
/// less is free.
///
/// # Errors
/// [`CudaError::OutOfMemory`] where there is no room to measure in.
pub fn measure(gpu: &Gpu) -> Result<Ceilings, CudaError> {
    let half = (gpu.free_bytes()? / 4) as usize & !0xff;
    Ok(Ceilings {
        device_copy: device_copy(gpu, COPY_BYTES.min(half))?,
        host_to_device: host_copy(gpu, HOST_BYTES.min(half), true)?,
        device_to_host: host_copy(gpu, HOST_BYTES.min(half), false)?,
        product: product(gpu, half)?,
    })
}

fn device_copy(gpu: &Gpu, bytes: usize) -> Result<f64, CudaError> {
    let (from, to) = (gpu.allocate(bytes)?, gpu.allocate(bytes)?);
    let stream = gpu.compute();
    stream.fill(from.pointer(), 1, bytes)?;
    let seconds = seconds(gpu, stream, || stream.copy_on_device(to.pointer(), from.pointer(), bytes))?;
    Ok(2.0 * bytes as f64 / seconds)
}

fn host_copy(gpu: &Gpu, bytes: usize, inwards: bool) -> Result<f64, CudaError> {
    let (device, mut host) = (gpu.allocate(bytes)?, gpu.allocate_pinned(bytes)?);
    host.fill(1);
    let stream = if inwards { gpu.copy_in() } else { gpu.copy_out() };
    let seconds = seconds(gpu, stream, || {
        // SAFETY: the page-locked memory outlives the copies, which `seconds` waits for, and nobody else sees it.
        unsafe {
            match inwards {
                true => stream.copy_to_device(device.pointer(), &host),
                false => stream.copy_to_host(&mut host, device.pointer()),
            }
        }
    });
    Ok(bytes as f64 / seconds?)
}

fn product(gpu: &Gpu, room: usize) -> Result<f64, CudaError> {
    let element = if gpu.architecture() >= 80 { CacheDtype::Bf16 } else { CacheDtype::F16 };
    let fitting = ((room / element.bytes()) as f64).sqrt() as usize;
    let side = SIDE.min(fitting) / 64 * 64;
    let matrix = || random_matrix(gpu, side, element);
    let (weight, input, output) = (matrix()?, matrix()?, gpu.allocate(side * side * element.bytes())?);
    let gemm = Gemm {
        element,
        weight: weight.pointer(),
        input: input.pointer(),
        output: output.pointer(),
        kind: GemmOutput::Element,
        tokens: side,
        rows: side,
        columns: side,
    };
    let seconds = seconds(gpu, gpu.compute(), || gpu.gemm(&gemm))?;
    Ok(2.0 * (side as f64).powi(3) / seconds)
}

/// Numbers between 1 and 2 of either sign with all bits of their fraction in use: multiplying zeros would take less
/// power, and run faster than anything real does.
fn random_matrix(gpu: &Gpu, side: usize, element: CacheDtype) -> Result<DeviceBuffer, CudaError> {
    let (one, fraction) = if element == CacheDtype::Bf16 { (0x3f80u16, 0x7f) } else { (0x3c00, 0x3ff) };
    let mut state = 1u64;
    let numbers: Vec<u16> = (0..side * side)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bits = (state >> 48) as u16;
            one | bits & fraction | bits & 0x8000
        })
        .collect();
    gpu.upload(bytemuck::cast_slice(&numbers))
}

/// Median seconds that one `step` takes on the stream, after a round that does not count.
fn seconds(
    gpu: &Gpu,
    stream: &Stream,
    mut step: impl FnMut() -> Result<(), CudaError>,
) -> Result<f64, CudaError> {
    let (start, end) = (gpu.timing_event()?, gpu.timing_event()?);
    let mut measured = Vec::with_capacity(ROUNDS);
    for round in 0..=ROUNDS {
        stream.record(&start)?;
        let started = (0..REPEATS).try_for_each(|_| step());
        stream.record(&end)?;
        // Also where it failed: what was started uses memory that the caller gives back.
        end.synchronize()?;
        started?;
        if round > 0 {
            measured.push(end.seconds_since(&start)? / REPEATS as f64);
        }
    }
    measured.sort_by(f64::total_cmp);
    Ok(measured[ROUNDS / 2])
}
