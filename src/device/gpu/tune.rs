//! Times the variants of a plan's products on the adapter, and keeps the fastest of those with right results.
//!
//! In: a plan, a time budget. Out: choices, in the device's [`KernelSelector`](super::select::KernelSelector) and on disk.
//! Each variant is compared with the f64 reference before it is timed: drivers miscompile.
//! Absent on purpose: the rule for products that are not timed, which is in `select.rs`.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::GpuDevice;
use super::cache::{self, Identity};
use super::dispatch::usual_activation;
use super::kernels::{Variant, spec_of};
use super::pipeline::Pipelines;
use super::select::{Choice, MatmulKey, mark};
use crate::device::verify::Reference;
use crate::device::{Device, Tune, Tuning};
use crate::error::{Error, Result};
use crate::host::Instant;
use crate::plan::{Phase, Plan, PlanBuilder, Role, Slot, SlotSpec, Step, StepParams};

/// State of a device's tuner.
#[derive(Debug)]
pub(super) struct Tuner {
    pub(super) tuning: Tuning,
    /// True if the file of choices was looked for.
    pub(super) read: bool,
    /// Warnings to report.
    pub(super) warnings: Vec<String>,
}

impl Tuner {
    pub(super) fn new(tuning: Tuning) -> Self {
        Self { tuning, read: false, warnings: Vec::new() }
    }
}

/// Factor below which a variant's time must be to beat the rule's variant, so that none wins by noise.
const GAIN: f64 = 0.97;
/// Largest number of a sum's terms that a variant takes at once; the remainders beyond it are where a variant can fail.
const K_EDGE: usize = 64;
/// Largest number of dispatches of a timed block.
const BLOCK: u32 = 256;

/// Result of trying a variant.
enum Trial {
    /// The result is right, and takes this many seconds.
    Right(f64),
    Wrong(String),
}

/// Makes sure that a variant is chosen for every product of a plan, as far as the settings allow time for it.
///
/// # Errors
/// If the device failed, or no variant of a product gives right results.
pub(super) fn prepare(device: &mut GpuDevice, plan: &Plan) -> Result<()> {
    let Tuning { tune, budget, folder } = device.tuner.tuning.clone();
    if tune == Tune::Off {
        return Ok(());
    }
    let identity = Identity::of(&device.info, device.chooser.offered);
    // The file is read once; later plans on the device find its choices here.
    if let Some(folder) = folder.as_ref().filter(|_| !device.tuner.read) {
        match cache::read(folder, &identity) {
            Ok(found) => device.chooser.choices = found.unwrap_or_default(),
            Err(error) => device
                .tuner
                .warnings
                .push(format!("{error}; it is not used, and written anew by the next tuning")),
        }
        device.tuner.read = true;
    }
    // A fused step computes the products of training itself, so these need no choice.
    let whole_steps = device.loader(&mut Pipelines::default()).sequence(plan)?.is_some();
    let known = &device.chooser.choices.products;
    let decided = |product: &MatmulKey| known.get(&product.name()).is_some_and(|c| c.by >= tune);
    let mut open = products(plan, whole_steps)?;
    // A choice of a more thorough tuning is kept.
    open.retain(|(product, _)| !decided(product));
    let quick = tune == Tune::Quick;
    // A quick choice that is not stored would cost its time in every run; software adapters keep to the rule.
    if open.is_empty() || (quick && (folder.is_none() || device.chooser.software)) {
        return Ok(());
    }
    let deadline = quick.then(|| Instant::now() + budget);
    // Variants that share a pipeline are compiled for the plan's activation, as they will be.
    device.chooser.usual = Some(usual_activation(plan));
    let outcome = choose_all(device, plan, &open, tune, deadline);
    device.chooser.usual = None;
    outcome?;
    // Failing to store the choices costs time in the next run, so it is a warning.
    if let Some(folder) = folder
        && let Err(error) = cache::write(&folder, &identity, &device.chooser.choices)
    {
        let warning = format!("{error}; the next run has to choose its kernels anew");
        device.tuner.warnings.push(warning);
    }
    Ok(())
}

/// Returns the different products of a plan, those of training first, and of these the largest first: if the time runs out,
/// it was spent where it matters most. Each product comes with a step that computes it. If one dispatch runs whole training
/// steps, only the products of evaluation are returned.
fn products(plan: &Plan, whole_steps: bool) -> Result<Vec<(MatmulKey, &Step)>> {
    let mut found: Vec<(MatmulKey, &Step)> = Vec::new();
    // Choices are stored by name, and the name of a product leaves out which dropout masks it has.
    let mut names = HashSet::new();
    for phase in Phase::ALL.into_iter().filter(|phase| !(whole_steps && *phase == Phase::Train)) {
        let begun = found.len();
        for step in plan.steps(phase) {
            let product = MatmulKey::of(plan, step)?;
            if let Some(product) = product.filter(|product| names.insert(product.name())) {
                found.push((product, step));
            }
        }
        found[begun..].sort_by_key(|(product, _)| {
            std::cmp::Reverse(product.sizes.iter().map(|&size| size as u128).product::<u128>())
        });
    }
    Ok(found)
}

/// Times the variants of all open products and stores the fastest.
fn choose_all(
    device: &mut GpuDevice,
    plan: &Plan,
    open: &[(MatmulKey, &Step)],
    tune: Tune,
    deadline: Option<Instant>,
) -> Result<()> {
    let mut slowest = Duration::ZERO;
    let mut timed = Vec::with_capacity(open.len());
    for (product, step) in open {
        let alone = alone(plan, step)?;
        timed.push(try_forms(device, *product, &alone, (deadline, &mut slowest))?);
    }
    // A variant that was right for one product and wrong for another is trusted for neither, so choices come last.
    for ((product, _), mut seconds) in open.iter().zip(timed) {
        let wrong = &device.chooser.choices.wrong;
        seconds.retain(|name, _| !wrong.contains(&mark(name, product.stored)));
        let spec = spec_of(&product.kernel)?;
        let rule = device.chooser.by_rule(spec, product.stored, product.sizes)?.name;
        let variant = fastest(&seconds, rule).to_string();
        let micros = seconds.iter().map(|(name, s)| ((*name).to_string(), 1e6 * s)).collect();
        let choice = Choice { variant, by: tune, micros };
        device.chooser.choices.products.insert(product.name(), choice);
    }
    Ok(())
}

/// Returns the fastest variant; the rule's own, unless another one is clearly faster or the rule's was not timed.
fn fastest<'a>(seconds: &BTreeMap<&'a str, f64>, rule: &'a str) -> &'a str {
    let best = seconds.iter().min_by(|a, b| a.1.total_cmp(b.1));
    match (best, seconds.get(rule)) {
        (Some((name, best)), Some(usual)) if *best < GAIN * usual => name,
        (Some((name, _)), None) => name,
        _ => rule,
    }
}

/// Returns the seconds of each variant with right results, as far as there is time; the rule's variant is tried first.
fn try_forms(
    device: &mut GpuDevice,
    product: MatmulKey,
    alone: &Plan,
    (deadline, slowest): (Option<Instant>, &mut Duration),
) -> Result<BTreeMap<&'static str, f64>> {
    let spec = spec_of(&product.kernel)?;
    let rule = device.chooser.by_rule(spec, product.stored, product.sizes)?;
    let others = device
        .chooser
        .forms(spec, product.stored)
        .into_iter()
        .filter(|form| form.name != rule.name);
    let forms: Vec<&'static Variant> = std::iter::once(rule).chain(others).collect();
    let mut reference = None;
    let (mut seconds, mut dropped) = (BTreeMap::new(), false);
    for form in &forms {
        // The time of a variant is not known before; the slowest so far is the estimate. After a wrong variant, a right one
        // has to be found however long it takes.
        let late = deadline.is_some_and(|end| Instant::now() + *slowest > end);
        if late && !(dropped && seconds.is_empty()) {
            break;
        }
        let begun = Instant::now();
        // The reference takes long, so it is computed once for all variants, and only if one is tried.
        let reference = match &mut reference {
            Some(reference) => reference,
            none => {
                let sizes = checked_sizes(product, &forms);
                none.insert(Reference::new(product.kernel, product.stored, sizes)?)
            }
        };
        device.chooser.forced = Some(form.name);
        let best = seconds.values().copied().fold(f64::INFINITY, f64::min);
        let trial = try_form(device, form, reference, alone, (deadline.is_none(), best));
        device.chooser.forced = None;
        match trial? {
            // Whatever becomes of the trial, the next load must be free to choose.
            Trial::Right(time) => _ = seconds.insert(form.name, time),
            Trial::Wrong(problem) => {
                dropped = true;
                let wrong = mark(form.name, product.stored);
                device.tuner.warnings.push(format!(
                    "the form {wrong} of {} gives wrong numbers on {} and is not used: {problem}",
                    product.kernel, device.info
                ));
                device.chooser.choices.wrong.insert(wrong);
            }
        }
        *slowest = (*slowest).max(begun.elapsed());
    }
    Ok(seconds)
}

/// Returns sizes with the product's own remainders after whole tiles, in every direction, but few whole tiles: the
/// reference for large layers would take seconds.
fn checked_sizes(product: MatmulKey, forms: &[&Variant]) -> [usize; 3] {
    // Tiles' sizes divide one another or nearly so; the remainders modulo their common multiple are all kept.
    let edge = |axis: usize| {
        let sizes = forms.iter().map(|form| form.tile[axis] as usize);
        sizes.fold(1, |all: usize, size| all / gcd(all, size.max(1)) * size.max(1))
    };
    let edges = [edge(0), edge(1), K_EDGE];
    let fewer = |size: usize, edge: usize| {
        if size < 3 * edge { size } else { 2 * edge + size % edge }
    };
    [0, 1, 2].map(|axis| fewer(product.sizes[axis], edges[axis]))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Checks a variant and, if its results are right, times it.
fn try_form(
    device: &mut GpuDevice,
    form: &'static Variant,
    reference: &Reference,
    alone: &Plan,
    (thorough, best): (bool, f64),
) -> Result<Trial> {
    let checked = reference.check(device, form.name);
    let outcome = checked.and_then(|check| match check.failure {
        Some(problem) => Ok(Trial::Wrong(format!("{} {}: {problem}", check.form, check.case))),
        None => time(device, alone, (thorough, best)).map(Trial::Right),
    });
    match outcome {
        // A variant that the driver refuses is as useless as a wrong one; but a lost device ends the tuning.
        Err(error @ Error::Device { .. }) if !device.is_lost() => {
            Ok(Trial::Wrong(error.to_string()))
        }
        other => other,
    }
}

/// Returns the seconds of a dispatch, by the host's clock, over repeated ones: the fastest of a few short blocks, or, if
/// thorough, the median of more and longer ones. A variant three times as slow as the best so far is not repeated. Memory
/// is zero, since no product's time depends on its values.
fn time(device: &mut GpuDevice, alone: &Plan, (thorough, best): (bool, f64)) -> Result<f64> {
    device.load(alone)?;
    device.write_steps(Phase::Eval, &[StepParams::default(); BLOCK as usize])?;
    let mut block = |count: u32| -> Result<f64> {
        let begun = Instant::now();
        device.run(Phase::Eval, 0..count)?;
        device.take_losses(true)?;
        Ok(begun.elapsed().as_secs_f64() / f64::from(count))
    };
    // The first run may include compiling; the second shows how many dispatches make a block.
    block(1)?;
    let once = block(1)?;
    if once > 3.0 * best {
        return Ok(once);
    }
    let (aim, blocks) = if thorough { (20e-3, 7) } else { (1e-3, 3) };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let count = (aim / once.max(1e-7)).clamp(1.0, f64::from(BLOCK)) as u32;
    let mut times = (0..blocks).map(|_| block(count)).collect::<Result<Vec<f64>>>()?;
    times.sort_by(f64::total_cmp);
    Ok(if thorough { times[blocks / 2] } else { times[0] })
}

/// Returns a plan of one step with buffers of its own, in the eval phase.
fn alone(plan: &Plan, step: &Step) -> Result<Plan> {
    let mut builder = PlanBuilder::new();
    let mut slots = BTreeMap::new();
    // The same slot read twice stays one slot, as in the plan.
    for &slot in step.reads.iter().chain(&step.writes) {
        if let Entry::Vacant(own) = slots.entry(slot) {
            let SlotSpec { name, sizes, element, .. } = plan.slot(slot);
            own.insert(builder.slot(name, sizes.clone(), *element, Role::Data)?);
        }
    }
    let own = |of: &[Slot]| of.iter().map(|slot| slots[slot]).collect();
    let step = builder.step(step.kernel, own(&step.reads), own(&step.writes))?;
    builder.phase(Phase::Eval, vec![step]);
    Ok(builder.finish(1, 1))
}

#[cfg(test)]
mod tests {
    use super::super::kernels::KERNELS;
    use super::*;
    use crate::model::Activation;
    use crate::plan::{Element, Kernel, StorageTypes};

    #[test]
    fn a_form_wins_by_more_than_noise() {
        let timed = |times: &[(&'static str, f64)]| times.iter().copied().collect();
        assert_eq!(fastest(&timed(&[("a", 1.0), ("b", 0.98)]), "a"), "a");
        assert_eq!(fastest(&timed(&[("a", 1.0), ("b", 0.9), ("c", 0.8)]), "a"), "c");
        // The rule's form was found wrong, or nothing was timed.
        assert_eq!(fastest(&timed(&[("b", 0.9), ("c", 1.8)]), "a"), "b");
        assert_eq!(fastest(&timed(&[]), "a"), "a");
    }

    #[test]
    fn quick_keeps_to_its_time_and_to_its_first_choice() {
        let kind = crate::device::DeviceKind::Software;
        let mut device = match GpuDevice::open(&kind) {
            Ok((device, _)) => device,
            Err(error) => {
                assert!(std::env::var_os("REQUIRE_GPU").is_none(), "no adapter: {error}");
                return;
            }
        };
        // Hardware is where quick times at all.
        device.chooser.software = false;
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut chosen = |budget, folder: &std::path::Path| {
            let budget = Duration::from_secs(budget);
            let folder = Some(folder.to_path_buf());
            device.tune(Tuning { tune: Tune::Quick, budget, folder });
            device.chooser.choices = Default::default();
            device.load(&tiny()).unwrap();
            device.variants()
        };
        // No time: nothing is tried, and it stays so, since a later start shall give the same bits.
        for budget in [0, 60] {
            let forms = chosen(budget, folder.path());
            assert!(forms.iter().all(|form| form.ends_with("(rule)")), "{budget} {forms:?}");
        }
        let forms = chosen(60, other.path());
        assert!(forms.iter().all(|form| form.ends_with("(quick)")), "{forms:?}");
        assert_eq!(chosen(0, other.path()), forms);
    }

    /// A product as small as they come.
    fn tiny() -> Plan {
        let mut builder = PlanBuilder::new();
        let mut slot = |name, sizes| builder.slot(name, sizes, Element::F32, Role::Data).unwrap();
        let (a, b, out) = (slot("a", vec![3, 5]), slot("b", vec![2, 5]), slot("out", vec![3, 2]));
        let kernel =
            Kernel::MatmulNt { bias: false, act: Activation::Identity, save: false, dropout: None };
        let step = builder.step(kernel, vec![a, b], vec![out]).unwrap();
        builder.phase(Phase::Eval, vec![step]);
        builder.finish(3, 3)
    }

    #[test]
    fn smaller_sizes_keep_their_edges() {
        let spec = KERNELS.iter().find(|spec| spec.name == "matmul_nn").unwrap();
        let forms: Vec<&Variant> = spec.variants.iter().collect();
        let kernel = Kernel::MatmulNn { act_grad: Activation::Identity, dropout: None };
        for sizes in [[1, 2, 3], [128, 512, 784], [4096, 4095, 4097], [100_003, 10, 65]] {
            let checked =
                checked_sizes(MatmulKey { kernel, sizes, stored: StorageTypes::F32 }, &forms);
            for form in &forms {
                for (axis, edge) in [(0, form.tile[0]), (1, form.tile[1]), (2, 64)] {
                    let (size, less, edge) = (sizes[axis], checked[axis], edge as usize);
                    assert_eq!(size % edge, less % edge, "{sizes:?} {} {axis}", form.name);
                    assert!(less == size || less >= 2 * edge, "{sizes:?} {checked:?}");
                }
            }
            assert!(checked.iter().all(|&size| size < 1000), "{checked:?}");
        }
    }
}
