//! Cooperative matrices: asking an adapter for them, and checking that products by them are right.
//!
//! They are an experiment of wgpu's, so only plans in half precision ask for them, and nothing is believed unseen.

use wgpu::CooperativeScalarType::{F16, F32};
use wgpu::{ExperimentalFeatures, Features};

use super::device::GpuDevice;
use super::kernels::Variant;
use crate::device::verify::{check_form, half_kernels};
use crate::model::Activation;
use crate::plan::Kernel;

/// What a device is asked for beyond what all plans use.
pub(super) struct Extras {
    pub(super) features: Features,
    pub(super) experimental: ExperimentalFeatures,
    /// Sizes of square matrices of halves whose products are added up in single precision.
    pub(super) sizes: Vec<u32>,
}

impl Extras {
    /// Nothing.
    pub(super) fn none() -> Self {
        let experimental = ExperimentalFeatures::disabled();
        Self { features: Features::empty(), experimental, sizes: Vec::new() }
    }

    /// The cooperative matrices that an adapter lists and that suit; nothing if there are none.
    #[expect(unsafe_code, reason = "wgpu wants to be told that its experiments may have bugs")]
    pub(super) fn cooperative(adapter: &wgpu::Adapter) -> Self {
        let features = Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
        let listed = adapter.cooperative_matrix_properties();
        let fits = |it: &&wgpu::CooperativeMatrixProperties| {
            let square = it.m_size == it.n_size && it.n_size == it.k_size;
            square && (it.ab_type, it.cr_type) == (F16, F32)
        };
        let sizes: Vec<u32> = listed.iter().filter(fits).map(|it| it.m_size).collect();
        if sizes.is_empty() || !adapter.features().contains(features) {
            return Self::none();
        }
        // SAFETY: only this crate's own kernels use it, in uniform control flow and within bounds, and they are
        // checked against the reference before they are taken.
        let experimental = unsafe { ExperimentalFeatures::enabled() };
        Self { features, experimental, sizes }
    }
}

/// What is wrong with a form of products on this device, if anything: each product once, with all that is fused in, at
/// sizes that no tile divides.
pub(super) fn wrong(device: &mut GpuDevice, variant: &Variant) -> Option<String> {
    let whole = |kernel: &Kernel| match *kernel {
        Kernel::MatmulNt { bias, act, .. } => bias && act == Activation::Gelu,
        Kernel::MatmulNn { act_grad } => act_grad == Activation::Tanh,
        Kernel::MatmulTn { bias_grad } => bias_grad,
        _ => false,
    };
    let kernels = half_kernels().into_iter().filter(|(kernel, _)| whole(kernel));
    kernels.into_iter().find_map(|form| {
        match check_form(device, variant.name, form, [65, 31, 66]) {
            Ok(check) => check.failure,
            Err(error) => Some(error.to_string()),
        }
    })
}
