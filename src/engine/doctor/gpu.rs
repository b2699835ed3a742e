//! What `doctor` says about the GPU.

use super::size;
use crate::{
    config::{Config, DeviceChoice},
    cuda::{
        CudaError,
        ceilings::{self, Ceilings},
        device::Gpu,
        fits::Room,
        shape::Shape,
    },
    engine::admin::{Check, CheckStatus},
    model::Model,
};

const NAME: &str = "GPU";

/// Tokens of prefix, question and answer for which room is kept beside the context.
const OTHER_TOKENS: usize = 1024;

/// Device, driver, memory, what was measured on it, and how many tokens of context fit beside the model.
pub(super) fn check(config: &Config, model: Option<&Model>) -> Check {
    let ordinal = match config.model.device {
        DeviceChoice::Cuda(ordinal) => ordinal,
        DeviceChoice::Auto => 0,
        DeviceChoice::Cpu => return super::check(NAME, CheckStatus::Ok, "not used: the device is cpu", None),
    };
    match look(config, ordinal, model) {
        Ok(found) => found,
        Err(error) => without(config, &error),
    }
}

fn look(config: &Config, ordinal: usize, model: Option<&Model>) -> Result<Check, CudaError> {
    let gpu = Gpu::open(ordinal)?;
    let (info, free) = (gpu.info(), gpu.free_bytes()?);
    let Ceilings { device_copy, host_to_device, device_to_host, product } = ceilings::measure(&gpu)?;
    let mut detail = format!(
        "{}, compute capability {}.{}, driver for CUDA {}.{}, {} of {} free; measured: copy {:.2} TB/s, from host {:.1} \
         and to host {:.1} GB/s, products {:.0} TFLOP/s",
        info.name,
        info.compute_capability.0,
        info.compute_capability.1,
        info.driver / 1000,
        info.driver % 1000 / 10,
        size(free),
        size(info.total_bytes),
        device_copy / 1e12,
        host_to_device / 1e9,
        device_to_host / 1e9,
        product / 1e12,
    );
    let Some(model) = model else { return Ok(super::check(NAME, CheckStatus::Ok, detail, None)) };
    let shape = Shape::of_network(&model.network)?;
    let room = Room::of(&shape, config.model.gpu_dtype, config.model.cache_dtype, OTHER_TOKENS, free);
    if room.most_tokens == 0 {
        detail += &format!("; the model needs {}", size(room.weights + room.activations));
        let hint = "Close what else uses the GPU or choose a smaller model; until then the CPU is used.";
        return Ok(super::check(NAME, CheckStatus::Warning, detail, Some(hint)));
    }
    detail += &format!("; room for {} tokens of context beside the model", room.most_tokens);
    Ok(super::check(NAME, CheckStatus::Ok, detail, None))
}

/// Having none is in order unless one was asked for.
fn without(config: &Config, error: &CudaError) -> Check {
    let missing = matches!(
        error,
        CudaError::MissingLibrary { .. } | CudaError::NoDevice { .. } | CudaError::OldDriver { .. }
    );
    let hint =
        "Install NVIDIA's driver and CUDA 12.8 or later (cuBLAS and NVRTC); until then the CPU is used.";
    match config.model.device {
        DeviceChoice::Auto if missing => {
            super::check(NAME, CheckStatus::Ok, format!("none is used: {error}"), None)
        }
        DeviceChoice::Auto => super::check(NAME, CheckStatus::Warning, error.to_string(), Some(hint)),
        _ => super::check(NAME, CheckStatus::Problem, error.to_string(), Some(hint)),
    }
}
