//! Compares every kernel and variant of a device with the f64 reference.
//!
//! In: a device. Out: a [`Check`] for each kernel, variant and size.
//! Each check is a plan of one step that both devices run on the same values.

mod build;
#[cfg(feature = "gpu")]
mod sequences;
#[cfg(feature = "gpu")]
mod shader_texts;

use super::cpu::{CpuDevice, SimdLevel};
use super::{Device, DeviceInfo, DeviceKind, Values};
use crate::error::Result;
#[cfg(feature = "gpu")]
use crate::model::Activation;
use crate::plan::{Element, Kernel, Phase, StorageTypes};

use super::cases::Triple;
pub use super::cases::formulas::formulas;
use build::{Case, CaseValues, build, cpu_sizes_of, limits};
pub use build::{every_kernel, half_kernels, sizes_of};
#[cfg(feature = "gpu")]
pub use sequences::whole_steps;
#[cfg(feature = "gpu")]
pub use shader_texts::{ShaderText, shader_texts};

/// Result of one comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Name of the kernel.
    pub kernel: &'static str,
    /// Fusions, as plans print them.
    pub form: String,
    /// Name of the variant.
    pub variant: &'static str,
    /// Sizes.
    pub case: String,
    /// The largest error, as a fraction of the allowed one.
    pub worst: f64,
    /// Failure, if any.
    pub failure: Option<String>,
}

/// Numbers of comparisons that passed and failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifySummary {
    /// Device that was verified.
    pub device: DeviceInfo,
    /// Comparisons within their limits.
    pub passed: usize,
    /// Number of comparisons beyond their limits.
    pub failed: usize,
    /// True if the variants in half precision were compared too, which some adapters cannot run.
    pub half: bool,
}

/// Runs every check on a device and reports each result as it comes.
///
/// # Errors
/// If the device cannot be opened, or fails in another way than by wrong numbers.
pub fn verify(kind: &DeviceKind, tell: &mut dyn FnMut(&Check)) -> Result<VerifySummary> {
    #[cfg(feature = "gpu")]
    if *kind != DeviceKind::Cpu {
        match super::gpu::GpuDevice::open(kind) {
            Ok((mut device, _)) => return verify_gpu(&mut device, tell),
            // `auto` then chooses the CPU.
            Err(_) if *kind == DeviceKind::Auto => {}
            Err(error) => return Err(error),
        }
    }
    #[cfg(not(feature = "gpu"))]
    // Opening gives the error that explains why there is no such device.
    if !matches!(kind, DeviceKind::Cpu | DeviceKind::Auto) {
        super::open(kind)?;
    }
    let device = CpuDevice::<f32>::new().info().clone();
    let mut tally = VerifySummary { device, passed: 0, failed: 0, half: true };
    for form in every_form(true) {
        // Every instruction set of the processor, since other processors take the narrower ones.
        for instructions in SimdLevel::available() {
            let mut device = CpuDevice::using(instructions);
            for sizes in sizes_of(&form.0).into_iter().chain(cpu_sizes_of(&form.0)) {
                tally.count(&check_form(&mut device, instructions.name(), form, sizes)?, tell);
            }
        }
    }
    Ok(tally)
}

/// Runs every check on an open GPU, each variant forced in turn.
///
/// # Errors
/// If the device fails in another way than by wrong numbers.
#[cfg(feature = "gpu")]
pub fn verify_gpu(
    device: &mut super::gpu::GpuDevice,
    tell: &mut dyn FnMut(&Check),
) -> Result<VerifySummary> {
    // Whatever the outcome, later loads choose freely again.
    let result = verify_variants(device, tell);
    device.force_variant(None);
    result
}

/// Runs the checks of the kernels that a plan's steps run, of each at one size: products as the plan has them, others with all that they
/// may be asked for; and those of whole steps in one dispatch, with one network. Of a variant that gives wrong numbers, [`super::gpu::GpuDevice::avoid`] makes later loads take another.
///
/// # Errors
/// If the device fails in another way than by wrong numbers.
#[cfg(feature = "gpu")]
pub fn verify_plan(
    device: &mut super::gpu::GpuDevice,
    plan: &crate::plan::Plan,
    tell: &mut dyn FnMut(&Check),
) -> Result<VerifySummary> {
    let steps = || Phase::ALL.into_iter().flat_map(|phase| plan.steps(phase));
    let mut tally =
        VerifySummary { device: device.info().clone(), passed: 0, failed: 0, half: false };
    let mut result = Ok(());
    for kernel in every_kernel() {
        let is_run = |own: &Kernel| match kernel.is_product() {
            true => *own == kernel,
            false => own.name() == kernel.name(),
        };
        if !steps().any(|step| is_run(&step.kernel)) {
            continue;
        }
        let Some(spec) = super::gpu::KERNELS.iter().find(|spec| spec.name == kernel.name()) else {
            continue;
        };
        let taken = |variant: &&super::gpu::Variant| {
            variant.fits(StorageTypes::F32) && device.can_run(variant)
        };
        let variants: Vec<_> =
            spec.variants.iter().filter(taken).filter(|it| device.may_take(spec, it)).collect();
        for variant in variants {
            device.force_variant(Some(variant.name));
            let sizes = sizes_of(&kernel);
            let checked = match sizes.first() {
                Some(&sizes) => check(device, variant.name, kernel, sizes),
                None => continue,
            };
            match checked {
                Ok(check) => tally.count(&check, tell),
                Err(error) => result = Err(error),
            }
        }
        if result.is_err() {
            break;
        }
    }
    let variants = super::gpu::SEQUENCE.variants.iter().filter(|variant| device.can_run(variant));
    // Of whole steps a device takes one form only.
    for variant in variants.filter(|variant| variant.subgroup.is_none()).collect::<Vec<_>>() {
        if result.is_ok() && device.can_run_sequences() {
            device.force_variant(Some(variant.name));
            let mut count = |check: &Check| tally.count(check, tell);
            result = sequences::check_sequences(device, variant, true, &mut count);
        }
    }
    // Whatever the outcome, later loads choose freely again.
    device.force_variant(None);
    result.map(|()| tally)
}

#[cfg(feature = "gpu")]
fn verify_variants(
    device: &mut super::gpu::GpuDevice,
    tell: &mut dyn FnMut(&Check),
) -> Result<VerifySummary> {
    let half = device.has_half();
    let mut tally = VerifySummary { device: device.info().clone(), passed: 0, failed: 0, half };
    for (kernel, stored) in every_form(half) {
        // Half precision opens the adapter again, so it is requested only when the first such kernel comes.
        if stored.half() {
            device.open_half();
        }
        let Some(spec) = super::gpu::KERNELS.iter().find(|spec| spec.name == kernel.name()) else {
            continue;
        };
        for variant in spec.variants {
            // The fusions at the end are the same text in all variants of a product: variants that this device never
            // chooses by itself are checked with a few fusions, since compiling takes most of the time.
            if !variant.fits(stored)
                || !device.can_run(variant)
                || !(device.may_take(spec, variant) || few(&kernel))
            {
                continue;
            }
            device.force_variant(Some(variant.name));
            for sizes in sizes_of(&kernel) {
                tally.count(&check_form(device, variant.name, (kernel, stored), sizes)?, tell);
            }
        }
    }
    for variant in super::gpu::SEQUENCE.variants {
        if !(device.can_run_sequences() && device.can_run(variant)) {
            continue;
        }
        device.force_variant(Some(variant.name));
        sequences::check_sequences(device, variant, false, &mut |check| tally.count(check, tell))?;
    }
    Ok(tally)
}

/// Returns every kernel in single precision, and those that have a variant in half.
fn every_form(half: bool) -> Vec<(Kernel, StorageTypes)> {
    let mut forms: Vec<_> = every_kernel().into_iter().map(|it| (it, StorageTypes::F32)).collect();
    if half {
        forms.extend(half_kernels());
    }
    forms
}

/// Returns whether a kernel is among the fusions that reach every branch of a product, or has one variant only.
#[cfg(feature = "gpu")]
fn few(kernel: &Kernel) -> bool {
    match kernel {
        Kernel::MatmulNt { bias, act, .. } => !bias || *act == Activation::Gelu,
        Kernel::MatmulNn { act_grad, .. } => {
            matches!(act_grad, Activation::Identity | Activation::Tanh)
        }
        _ => true,
    }
}

impl VerifySummary {
    fn count(&mut self, check: &Check, tell: &mut dyn FnMut(&Check)) {
        if check.failure.is_none() {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        tell(check);
    }
}

/// Compares one kernel in single precision at one size.
///
/// # Errors
/// If the device fails in another way than by wrong numbers.
pub fn check(
    device: &mut dyn Device,
    variant: &'static str,
    kernel: Kernel,
    sizes: Triple,
) -> Result<Check> {
    check_form(device, variant, (kernel, StorageTypes::F32), sizes)
}

/// Compares one kernel at one size with these storage types.
///
/// # Errors
/// If the device fails in another way than by wrong numbers.
pub fn check_form(
    device: &mut dyn Device,
    variant: &'static str,
    (kernel, stored): (Kernel, StorageTypes),
    sizes: Triple,
) -> Result<Check> {
    Reference::new(kernel, stored, sizes)?.check(device, variant)
}

/// One kernel at one size, computed in f64, to compare several variants with.
pub(crate) struct Reference {
    kernel: Kernel,
    stored: StorageTypes,
    sizes: Triple,
    case: Case,
    computed: CpuDevice<f64>,
}

impl Reference {
    /// Computes the reference.
    ///
    /// # Errors
    /// If the sizes are impossible.
    pub(crate) fn new(kernel: Kernel, stored: StorageTypes, sizes: Triple) -> Result<Self> {
        let (case, mut computed) = (build(kernel, stored, sizes)?, CpuDevice::<f64>::new());
        run(&mut computed, &case)?;
        Ok(Self { kernel, stored, sizes, case, computed })
    }

    /// Compares a device's results with the reference.
    ///
    /// # Errors
    /// If the device fails in another way than by wrong numbers.
    pub(crate) fn check(&self, device: &mut dyn Device, variant: &'static str) -> Result<Check> {
        let Self { kernel, stored, sizes, case, computed } = self;
        // The case starts from the same values for both, which no earlier check has changed.
        run(device, case)?;
        let mut result = Check {
            kernel: kernel.name(),
            form: format!("{kernel}{stored}"),
            variant,
            case: format!("{sizes:?}"),
            worst: 0.0,
            failure: None,
        };
        for &slot in &case.writes {
            let spec = case.plan.slot(slot);
            if spec.element == Element::U32 {
                // Labels are compared through the loss that reads them; devices return floats only.
                continue;
            }
            let got = device.read(slot, spec.len())?;
            let (mut abs, mut rel) = limits(kernel, *sizes);
            if spec.element == Element::F16 {
                // A half has 11 bits; WGSL leaves open which of the two halves beside a number is taken, and whether halves
                // below 2⁻¹⁴ become 0.
                (abs, rel) = (abs + 2_f64.powi(-14), rel + 2_f64.powi(-10));
            }
            compare(&mut result, &spec.name, &got, computed.values(slot)?, (abs, rel));
        }
        Ok(result)
    }
}

/// Runs a case on a device.
fn run(device: &mut dyn Device, case: &Case) -> Result<()> {
    device.load(&case.plan)?;
    for (slot, start) in &case.starts {
        match start {
            CaseValues::Floats(values) => device.write(*slot, 0, Values::F32(values))?,
            CaseValues::Indices(values) => device.write(*slot, 0, Values::U32(values))?,
        }
    }
    device.write_steps(Phase::Eval, &[case.row])?;
    device.run(Phase::Eval, 0..1)
}

/// Compares results with the reference, up to the first that is out of its limits.
fn compare(result: &mut Check, name: &str, got: &[f32], want: &[f64], (abs, rel): (f64, f64)) {
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let (error, limit) = ((f64::from(got) - want).abs(), abs + rel * want.abs());
        // `rescale` marks skipped steps by NaN; any other NaN is a failure, since its comparison is false.
        let marked = result.kernel == "rescale" && want.is_nan() && got.is_nan();
        let within = marked || (want.is_finite() && error <= limit);
        let share = if error == 0.0 || marked { 0.0 } else { error / limit.max(f64::MIN_POSITIVE) };
        result.worst = if within { result.worst.max(share) } else { f64::INFINITY };
        if !within && result.failure.is_none() {
            result.failure =
                Some(format!("{name}[{i}]: got {got:e}, want {want:e}, limit {limit:e}"));
        }
        // One wrong number fails the check; more of them would add nothing.
        if !within {
            return;
        }
    }
}
