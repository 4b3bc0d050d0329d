//! Half precision on an adapter, and cooperative matrices: requesting them, and checking that products by them are right.
//!
//! Cooperative matrices are experimental in wgpu, so only plans in half precision request them, and no variant is used
//! unchecked.

use wgpu::CooperativeScalarType::{F16, F32};
use wgpu::{ExperimentalFeatures, Features};

use super::device::GpuDevice;
use super::kernels::{MATMULS, Variant};
use crate::device::verify::{check_form, half_kernels};
use crate::host::waiting::block_on;
use crate::model::Activation;
use crate::plan::Kernel;

/// Features that a device requests beyond those that all plans use.
pub(super) struct AdapterFeatures {
    pub(super) features: Features,
    pub(super) experimental: ExperimentalFeatures,
    /// Sizes of square matrices of halves whose products are accumulated in single precision.
    pub(super) sizes: Vec<u32>,
}

impl AdapterFeatures {
    /// Returns no features.
    pub(super) fn none() -> Self {
        let experimental = ExperimentalFeatures::disabled();
        Self { features: Features::empty(), experimental, sizes: Vec::new() }
    }

    /// Returns the cooperative matrices that an adapter lists and the kernels can use; no features if there are none.
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

impl GpuDevice {
    /// Returns whether plans in half precision can run here.
    pub fn has_half(&self) -> bool {
        self.chooser.half
    }

    /// Makes later loads refuse half precision, as on an adapter without it.
    pub fn deny_half(&mut self) {
        self.chooser.half = false;
    }

    /// Opens the adapter again with cooperative matrices, if it lists some that the kernels can use. Loading a plan in half
    /// precision does this by itself on GPUs, and drops variants that give wrong numbers; whoever calls this first has to
    /// check.
    pub fn open_half(&mut self) {
        if std::mem::replace(&mut self.opened_half, true) || !self.chooser.half {
            return;
        }
        let extras = AdapterFeatures::cooperative(&self.adapter);
        if extras.sizes.is_empty() {
            return;
        }
        match block_on(Self::open_adapter(&self.adapter, extras)) {
            Ok(mut opened) => {
                opened.opened_half = true;
                opened.binding_limit = self.binding_limit;
                std::mem::swap(&mut opened.tuner, &mut self.tuner);
                opened.meter = self.meter.take();
                if let Some(meter) = &mut opened.meter {
                    meter.renew(&opened.device);
                }
                // Everything that was chosen and measured on the adapter stays, and only the cooperative matrices are new.
                std::mem::swap(&mut opened.chooser, &mut self.chooser);
                std::mem::swap(&mut opened.chooser.cooperative, &mut self.chooser.cooperative);
                *self = opened;
            }
            Err(error) => self.tuner.warnings.push(format!(
                "cooperative matrices cannot be used, so products go without them: {error}"
            )),
        }
    }

    /// Drops variants of products by cooperative matrices that give wrong numbers: some drivers list matrices that give zeros.
    pub(super) fn check_cooperative(&mut self) {
        let forced = self.chooser.forced;
        for variant in MATMULS.iter().filter(|it| it.cooperative.is_some()) {
            if !self.can_run(variant) {
                continue;
            }
            // Forced, so that the check runs this variant whatever would be chosen.
            self.chooser.forced = Some(variant.name);
            if let Some(problem) = wrong(self, variant) {
                let size = variant.cooperative.map_or(0, |shape| shape.size);
                self.chooser.cooperative.retain(|&other| other != size);
                self.tuner.warnings.push(format!(
                    "products by cooperative matrices of {size}x{size} are wrong on this adapter, so they are not used: {problem}"
                ));
            }
        }
        self.chooser.forced = forced;
    }
}

/// Returns the problem with a variant of products on this device, if there is one: each product is run once, with all
/// fusions, at sizes that no tile divides.
fn wrong(device: &mut GpuDevice, variant: &Variant) -> Option<String> {
    let whole = |kernel: &Kernel| match *kernel {
        Kernel::MatmulNt { bias, act, .. } => bias && act == Activation::Gelu,
        Kernel::MatmulNn { act_grad, .. } => act_grad == Activation::Tanh,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::verify::check;
    use crate::device::{Device, DeviceKind};

    #[test]
    fn matrices_that_do_not_work_are_left_out_with_a_warning() {
        let Ok((mut device, _)) = GpuDevice::open(&DeviceKind::Software) else {
            assert!(std::env::var_os("REQUIRE_GPU").is_none(), "no software adapter");
            return;
        };
        if !device.has_half() {
            return;
        }
        // As if the adapter had listed them: without their feature no pipeline can be made.
        device.chooser.cooperative = vec![8, 16];
        let form = MATMULS.iter().find(|it| it.cooperative.is_some() && device.can_run(it));
        let Some(form) = form.and_then(|form| form.cooperative) else { return };
        device.check_cooperative();
        assert!(!device.chooser.cooperative.contains(&form.size));
        let told = device.take_warnings();
        assert!(told.len() == 1 && told[0].contains("are not used: "), "{told:?}");
        assert!(device.take_warnings().is_empty());
        // The device goes on.
        let sum = Kernel::MatmulTn { bias_grad: true };
        assert_eq!(check(&mut device, "plain", sum, [31, 57, 31]).unwrap().failure, None);
    }
}
