//! Memory, copies and events; and that a device without room is an error like any other.

use gibbon::cuda::{CudaError, device::Gpu};

use super::device::{Random, gpu};

#[test]
fn a_gpu_that_is_not_there_is_an_error() {
    // With a GPU or without one: there is none of this number.
    let error = Gpu::open(1_000_000).unwrap_err();
    assert!(
        matches!(
            error,
            CudaError::MissingLibrary { .. } | CudaError::NoDevice { .. } | CudaError::Driver { .. }
        ),
        "{error:?}"
    );
}

#[test]
fn errors_say_what_is_missing_in_sizes_that_people_read() {
    let error = CudaError::OutOfMemory { needed: 17 << 30, free: 300 << 20 };
    assert_eq!(error.to_string(), "out of GPU memory: 17.0 GiB needed, 300.0 MiB free");
    let error = CudaError::OldDriver { found: 12_040, needed: 12_080 };
    assert_eq!(error.to_string(), "the NVIDIA driver speaks CUDA 12.4; 12.8 is needed");
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn what_does_not_fit_is_an_error_and_everything_goes_on() {
    let info = gpu().info();
    let needed = info.total_bytes as usize * 2;
    match gpu().allocate(needed) {
        Err(CudaError::OutOfMemory { needed: told, free }) => {
            assert_eq!(told, needed as u64);
            assert!(free <= info.total_bytes);
        }
        other => panic!("{other:?}"),
    }
    let buffer = gpu().upload(&[1, 2, 3]).unwrap();
    let mut back = [0; 3];
    buffer.read(0, &mut back).unwrap();
    assert_eq!(back, [1, 2, 3]);
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn copies_past_the_end_are_refused() {
    let buffer = gpu().allocate(100).unwrap();
    assert_eq!(buffer.bytes(), 100);
    assert!(matches!(buffer.write(90, &[0; 11]), Err(CudaError::Internal(_))));
    assert!(matches!(buffer.read(usize::MAX, &mut [0; 2]), Err(CudaError::Internal(_))));
    assert!(buffer.write(90, &[0; 10]).is_ok());
    assert_eq!(gpu().allocate(0).unwrap().bytes(), 0);
}

/// In, across and out again on three streams that wait for each other, from another thread than the one that opened
/// the device.
#[test]
#[ignore = "needs an NVIDIA GPU"]
fn events_order_copies_on_different_streams() {
    let bytes = 8 << 20;
    let mut random = Random::fresh();
    let given: Vec<u8> = (0..bytes).map(|_| random.bits() as u8).collect();
    let found = std::thread::scope(|scope| scope.spawn(|| through_the_device(&given)).join().unwrap());
    assert!(found == given, "bytes changed on their way");
}

fn through_the_device(given: &[u8]) -> Vec<u8> {
    let gpu = gpu();
    let (from, to) = (gpu.allocate(given.len()).unwrap(), gpu.allocate(given.len()).unwrap());
    let (mut source, mut back) =
        (gpu.allocate_pinned(given.len()).unwrap(), gpu.allocate_pinned(given.len()).unwrap());
    source.copy_from_slice(given);
    back.fill(0);
    let [copied_in, copied, copied_out] = [(); 3].map(|()| gpu.event().unwrap());
    // SAFETY: both pinned buffers stay as they are until `copied_out` has happened.
    unsafe { gpu.copy_in().copy_to_device(from.pointer(), &source) }.unwrap();
    gpu.copy_in().record(&copied_in).unwrap();
    gpu.compute().wait(&copied_in).unwrap();
    gpu.compute().copy_on_device(to.pointer(), from.pointer(), given.len()).unwrap();
    gpu.compute().record(&copied).unwrap();
    gpu.copy_out().wait(&copied).unwrap();
    // SAFETY: as above.
    unsafe { gpu.copy_out().copy_to_host(&mut back, to.pointer()) }.unwrap();
    gpu.copy_out().record(&copied_out).unwrap();
    copied_out.synchronize().unwrap();
    assert!(copied_out.is_done().unwrap());
    back.to_vec()
}
