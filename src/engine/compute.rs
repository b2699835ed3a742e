//! Where the model runs, behind the few calls that answering and encoding make.

#[cfg(feature = "cuda")]
use std::sync::Arc;

#[cfg(feature = "cuda")]
use super::gpu::GpuModel;
use super::protocol::Failure;
#[cfg(not(feature = "cuda"))]
use super::protocol::FailureKind;
use crate::{
    config::{Config, DeviceChoice},
    model::{
        Model,
        config::ModelConfig,
        hub::{self, ModelFiles},
        sampler::{Logits, Sampler},
        session::{self, Cancelled},
        weights::Weights,
    },
};

/// Where a loaded model runs. Clones share it.
#[derive(Clone)]
pub(super) enum Compute {
    Cpu,
    #[cfg(feature = "cuda")]
    Gpu(Arc<GpuModel>),
}

/// A context with the tokens that were run over it, wherever that is.
pub(super) enum Running<'a> {
    Cpu(session::Session<'a>),
    #[cfg(feature = "cuda")]
    Gpu(Box<crate::cuda::session::Session<'a>>),
}

impl Compute {
    /// Part of every cache's fingerprint: where numbers are computed in other ways, they differ by more than rounding.
    pub fn name(&self) -> String {
        match self {
            Self::Cpu => String::new(),
            #[cfg(feature = "cuda")]
            Self::Gpu(gpu) => gpu.name(),
        }
    }

    /// `full`: nothing is there yet; so many tokens will be, prompt and answer.
    #[cfg_attr(not(feature = "cuda"), expect(unused_variables))]
    pub fn empty<'a>(&'a self, model: &'a Model, tokens: usize) -> Result<Running<'a>, Failure> {
        match self {
            Self::Cpu => Ok(Running::Cpu(session::Session::empty(&model.network))),
            #[cfg(feature = "cuda")]
            Self::Gpu(gpu) => Ok(Running::Gpu(Box::new(gpu.empty(tokens)?))),
        }
    }
}

impl Running<'_> {
    /// Runs tokens after everything before them.
    pub fn prefill(&mut self, tokens: &[u32], cancelled: Cancelled) -> Result<(), Failure> {
        match self {
            Self::Cpu(session) => Ok(session.prefill(tokens, cancelled)?),
            #[cfg(feature = "cuda")]
            Self::Gpu(session) => {
                session.prefill(tokens, cancelled)?;
                // A phase ends when its work has, not when it has been started.
                session.most_likely()?;
                Ok(())
            }
        }
    }

    /// The token that follows the last one.
    pub fn choose(&self, sampler: &mut Sampler) -> Result<u32, Failure> {
        match self {
            // The device has chosen already, and the logits need not be waited for.
            #[cfg(feature = "cuda")]
            Self::Gpu(session) if sampler.is_greedy() => Ok(session.most_likely()?),
            _ => Ok(sampler.choose(&self.logits()?)?),
        }
    }

    /// Logits of the token that follows the last one.
    pub fn logits(&self) -> Result<Logits, Failure> {
        match self {
            Self::Cpu(session) => Ok(session.logits()?),
            #[cfg(feature = "cuda")]
            Self::Gpu(session) => Ok(crate::model::sampler::logits(session.logits()?)?),
        }
    }

    /// True when the model's context has no position left for another token.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Cpu(session) => session.is_full(),
            #[cfg(feature = "cuda")]
            Self::Gpu(session) => session.is_full(),
        }
    }
}

/// Loads the model that the configuration names to where it is to run, and says what it is called.
///
/// # Errors
/// When the model is not there or cannot be used, or a GPU was asked for by name and cannot be used. Where the choice is
/// left to Gibbon, a GPU that cannot be used is a line in the log.
pub(super) fn load(config: &Config) -> Result<(Model, String, Compute), Failure> {
    let mut placed = Placed::new(config)?;
    let found = hub::locate(&config.model, &config.paths.data)?;
    let system = &config.answer.system_prompt;
    let mut elsewhere = |shape: &_, weights: &_| placed.take(shape, weights);
    let model = match &found.files {
        ModelFiles::Gguf(path) => Model::from_gguf(path, config.model.dequantize, system, &mut elsewhere)?,
        ModelFiles::Directory(path) => Model::from_directory(path, system, &mut elsewhere)?,
    };
    Ok((model, found.name, placed.into_compute()?))
}

/// Loads the model's files for what is not an answer: to look at it, or to name its caches.
pub(super) fn load_on_cpu(config: &Config) -> Result<(Model, String), Failure> {
    let mut here = config.clone();
    here.model.device = DeviceChoice::Cpu;
    load(&here).map(|(model, name, _)| (model, name))
}

/// The weights on their way to where they are computed with.
#[cfg(not(feature = "cuda"))]
struct Placed<'a>(std::marker::PhantomData<&'a Config>);

#[cfg(not(feature = "cuda"))]
impl<'a> Placed<'a> {
    fn new(config: &'a Config) -> Result<Self, Failure> {
        match config.model.device {
            DeviceChoice::Auto | DeviceChoice::Cpu => Ok(Self(std::marker::PhantomData)),
            DeviceChoice::Cuda(_) => Err(Failure::new(
                FailureKind::BadRequest,
                "this build of Gibbon runs on the CPU alone",
                "Build it with `cargo build --release --features cuda`, or use --device cpu.",
            )),
        }
    }

    /// Nothing is taken: all weights stay here.
    fn take(&mut self, _: &ModelConfig, _: &Weights) -> bool {
        false
    }

    fn into_compute(self) -> Result<Compute, Failure> {
        Ok(Compute::Cpu)
    }
}

/// The weights on their way to where they are computed with.
#[cfg(feature = "cuda")]
struct Placed<'a> {
    config: &'a Config,
    gpu: Option<Result<GpuModel, Failure>>,
}

#[cfg(feature = "cuda")]
impl<'a> Placed<'a> {
    fn new(config: &'a Config) -> Result<Self, Failure> {
        Ok(Self { config, gpu: None })
    }

    /// Takes the weights to the GPU where one is wanted and they fit it.
    fn take(&mut self, shape: &ModelConfig, weights: &Weights) -> bool {
        let ordinal = match self.config.model.device {
            DeviceChoice::Cpu => return false,
            DeviceChoice::Auto => 0,
            DeviceChoice::Cuda(ordinal) => ordinal,
        };
        let loaded = GpuModel::load(self.config, ordinal, shape, weights);
        let has_taken = loaded.is_ok();
        self.gpu = Some(loaded.map_err(Failure::from));
        has_taken
    }

    fn into_compute(self) -> Result<Compute, Failure> {
        match (self.gpu, self.config.model.device) {
            (Some(Ok(gpu)), _) => Ok(Compute::Gpu(Arc::new(gpu))),
            (Some(Err(failure)), DeviceChoice::Cuda(_)) => Err(failure),
            (Some(Err(failure)), _) => {
                tracing::info!(reason = %failure.message, "no GPU is used");
                Ok(Compute::Cpu)
            }
            (None, _) => Ok(Compute::Cpu),
        }
    }
}

/// What [`Compute::name`] will be once the model is loaded, as far as that can be told without loading it.
pub(super) fn expected_name(config: &Config) -> String {
    #[cfg(feature = "cuda")]
    if config.model.device != DeviceChoice::Cpu && crate::cuda::device::Gpu::count() > 0 {
        return super::gpu::name(config.model.gpu_dtype);
    }
    let _ = config;
    String::new()
}
