//! Every kernel and variant of a device against the f64 reference.
//!
//! In: a device. Out: a [`Check`] for each kernel, variant and size.
//! Each check is a plan of one step that both devices run on the same values.

use super::cpu::CpuDevice;
use super::{Device, DeviceInfo, DeviceKind, Values};
use crate::error::Result;
use crate::model::Activation;
use crate::plan::{Element, Kernel, Phase, Plan, PlanBuilder, Ports, Role, Slot, StepRow};
use crate::random::{Purpose, Random, Seed};

/// What came of one comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The kernel's name.
    pub kernel: &'static str,
    /// What is fused in, as plans print it.
    pub form: String,
    /// The variant's name.
    pub variant: &'static str,
    /// Sizes.
    pub case: String,
    /// The largest error, as a share of what is allowed.
    pub worst: f64,
    /// What is wrong, if anything.
    pub failure: Option<String>,
}

/// How many comparisons passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// What was verified.
    pub device: DeviceInfo,
    /// Comparisons within their limits.
    pub passed: usize,
    /// Comparisons beyond.
    pub failed: usize,
}

/// Runs every check on a device and tells each result as it comes.
///
/// # Errors
/// If the device cannot be had, or fails in another way than by wrong numbers.
pub fn verify(kind: &DeviceKind, tell: &mut dyn FnMut(&Check)) -> Result<Tally> {
    #[cfg(feature = "gpu")]
    if *kind != DeviceKind::Cpu {
        match super::gpu::GpuDevice::open(kind) {
            Ok((mut device, _)) => return verify_gpu(&mut device, tell),
            // The CPU is what `auto` takes then.
            Err(_) if *kind == DeviceKind::Auto => {}
            Err(error) => return Err(error),
        }
    }
    #[cfg(not(feature = "gpu"))]
    if !matches!(kind, DeviceKind::Cpu | DeviceKind::Auto) {
        super::open(kind)?;
    }
    let mut device = CpuDevice::<f32>::new();
    let mut tally = Tally { device: device.info().clone(), passed: 0, failed: 0 };
    for kernel in every_kernel() {
        for sizes in sizes_of(&kernel) {
            tally.count(&check(&mut device, "ndarray", kernel, sizes)?, tell);
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
) -> Result<Tally> {
    let mut tally = Tally { device: device.info().clone(), passed: 0, failed: 0 };
    for kernel in every_kernel() {
        let Some(spec) = super::gpu::KERNELS.iter().find(|spec| spec.name == kernel.name()) else {
            continue;
        };
        for variant in spec.variants {
            // What is fused in at the end is the same text in all forms of a product: those that this device
            // never takes by itself are checked with a few fusions, since compiling is what takes the time.
            if !device.can_run(variant) || !(device.may_take(variant) || few(&kernel)) {
                continue;
            }
            device.force_variant(Some(variant.name));
            for sizes in sizes_of(&kernel) {
                tally.count(&check(device, variant.name, kernel, sizes)?, tell);
            }
        }
    }
    device.force_variant(None);
    Ok(tally)
}

/// Fusions that reach every branch of a product, and all kernels that have one form only.
#[cfg(feature = "gpu")]
fn few(kernel: &Kernel) -> bool {
    match kernel {
        Kernel::MatmulNt { bias, act, .. } => !bias || *act == Activation::Gelu,
        Kernel::MatmulNn { act_grad } => {
            matches!(act_grad, Activation::Identity | Activation::Tanh)
        }
        _ => true,
    }
}

impl Tally {
    fn count(&mut self, check: &Check, tell: &mut dyn FnMut(&Check)) {
        if check.failure.is_none() {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        tell(check);
    }
}

/// Every kernel with every fusion that plans may ask for.
pub fn every_kernel() -> Vec<Kernel> {
    let mut kernels = vec![
        Kernel::Gather { ordered: true, targets: true },
        Kernel::Gather { ordered: false, targets: false },
        Kernel::MatmulNt { bias: false, act: Activation::Identity, save: false },
        Kernel::MatmulTn { bias_grad: false },
        Kernel::MatmulTn { bias_grad: true },
        Kernel::Activate { act: Activation::Identity, bias: true },
        Kernel::Add,
        Kernel::SumRows,
        Kernel::LossCrossEntropy,
        Kernel::LossMse,
        Kernel::LogLoss,
        Kernel::PutRows,
    ];
    for act in Activation::ALL {
        let save = !act.gradient_from_output();
        kernels.push(Kernel::MatmulNt { bias: true, act, save });
        kernels.push(Kernel::MatmulNn { act_grad: act });
        kernels.push(Kernel::Activate { act, bias: false });
        kernels.push(Kernel::ActivateGrad { act });
    }
    for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
        kernels.push(Kernel::UpdateSgd { momentum, nesterov, weight_decay: 0.01 });
    }
    for decoupled in [false, true] {
        let (beta1, beta2, eps, weight_decay) = (0.9, 0.999, 1e-8, 0.01);
        kernels.push(Kernel::UpdateAdam { beta1, beta2, eps, weight_decay, decoupled });
    }
    kernels
}

/// Three sizes, whose meaning depends on the kernel: for products m, n, k; else rows, columns, rows that count.
type Triple = [usize; 3];

/// Awkward sizes: one, tiles less and plus one, primes, more than 65,535 workgroups.
pub fn sizes_of(kernel: &Kernel) -> Vec<Triple> {
    match kernel {
        Kernel::MatmulNt { bias: false, .. } | Kernel::MatmulTn { bias_grad: true } => vec![
            [1, 1, 1],
            [1, 17, 3],
            [7, 1, 5],
            [8, 16, 8],
            [9, 15, 7],
            [16, 16, 17],
            [63, 65, 64],
            [67, 13, 131],
            // More than 65,535 workgroups for the small tiles.
            [2, 16 * 65_535 + 17, 1],
        ],
        Kernel::MatmulNt { .. } | Kernel::MatmulNn { .. } | Kernel::MatmulTn { .. } => {
            vec![[1, 1, 1], [17, 33, 9], [65, 31, 66]]
        }
        // The one elementwise kernel that shows the folded grid for all of them.
        Kernel::Add => vec![[1, 1, 1], [31, 57, 31], [65_537, 65, 65_537]],
        Kernel::UpdateSgd { .. } | Kernel::UpdateAdam { .. } => vec![[1, 64, 1], [1, 1792, 1]],
        _ => vec![[1, 1, 1], [5, 1, 3], [63, 7, 63], [65, 64, 64], [130, 13, 1]],
    }
}

/// What a slot starts with.
enum Start {
    Floats(Vec<f32>),
    Indices(Vec<u32>),
}

/// A plan of one step, and what its slots start with.
struct Case {
    plan: Plan,
    starts: Vec<(Slot, Start)>,
    writes: Vec<Slot>,
    row: StepRow,
}

/// Compares one kernel at one size.
///
/// # Errors
/// If the device fails in another way than by wrong numbers.
pub fn check(
    device: &mut dyn Device,
    variant: &'static str,
    kernel: Kernel,
    sizes: Triple,
) -> Result<Check> {
    let case = build(kernel, sizes)?;
    let mut reference = CpuDevice::<f64>::new();
    run(&mut reference, &case)?;
    run(device, &case)?;
    let mut result = Check {
        kernel: kernel.name(),
        form: kernel.to_string(),
        variant,
        case: format!("{sizes:?}"),
        worst: 0.0,
        failure: None,
    };
    for &slot in &case.writes {
        let spec = case.plan.slot(slot);
        if spec.element == Element::U32 {
            // Labels are seen through the loss that reads them; devices only give floats back.
            continue;
        }
        let got = device.read(slot, spec.len())?;
        compare(&mut result, &spec.name, &got, reference.values(slot)?, limits(&kernel, sizes));
    }
    Ok(result)
}

fn run(device: &mut dyn Device, case: &Case) -> Result<()> {
    device.load(&case.plan)?;
    for (slot, start) in &case.starts {
        match start {
            Start::Floats(values) => device.write(*slot, 0, Values::F32(values))?,
            Start::Indices(values) => device.write(*slot, 0, Values::U32(values))?,
        }
    }
    device.write_steps(Phase::Eval, &[case.row])?;
    device.run(Phase::Eval, 0..1)
}

fn compare(result: &mut Check, name: &str, got: &[f32], want: &[f64], (abs, rel): (f64, f64)) {
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let (error, limit) = ((f64::from(got) - want).abs(), abs + rel * want.abs());
        // Written so that NaN fails.
        let within = want.is_finite() && error <= limit;
        let share = if error == 0.0 { 0.0 } else { error / limit.max(f64::MIN_POSITIVE) };
        result.worst = if within { result.worst.max(share) } else { f64::INFINITY };
        if !within && result.failure.is_none() {
            result.failure =
                Some(format!("{name}[{i}]: got {got:e}, want {want:e}, limit {limit:e}"));
        }
        if !within {
            return;
        }
    }
}

/// Absolute and relative limits, from the length of the sums and from what WGSL promises of its functions.
///
/// Unit roundoff u = 2⁻²⁴. A sum of k products of numbers up to 1 errs by at most about k u times the sum of
/// their sizes (Higham 2002, section 3.1), which is at most k; inputs here average a quarter of that.
/// WGSL allows exp 3 + 2|x| ulp, division 2.5 ulp, log an absolute 2⁻²¹.
fn limits(kernel: &Kernel, [m, n, k]: Triple) -> (f64, f64) {
    let u = 2_f64.powi(-24);
    let sum = |terms: usize| (terms as f64 + 4.0) * u * (terms as f64) / 2.0;
    let smooth = |act: Activation| match act {
        Activation::Identity | Activation::Relu | Activation::LeakyRelu => (0.0, 4.0 * u),
        _ => (2e-6, 2e-5),
    };
    match *kernel {
        Kernel::Gather { .. } | Kernel::PutRows => (0.0, 0.0),
        Kernel::Add => (0.0, u),
        Kernel::MatmulNt { act, .. } | Kernel::MatmulNn { act_grad: act } => {
            let (abs, rel) = smooth(act);
            (2.0 * sum(k + 1) + 4.0 * u + abs, rel)
        }
        Kernel::MatmulTn { .. } => (2.0 * sum(k + 1), 0.0),
        Kernel::Activate { act, .. } | Kernel::ActivateGrad { act } => {
            let (abs, rel) = smooth(act);
            (abs + 8.0 * u, rel + 4.0 * u)
        }
        Kernel::SumRows => (sum(m), 0.0),
        Kernel::LossCrossEntropy => (1e-5, 2e-5),
        Kernel::LossMse => (sum(n), 8.0 * u),
        Kernel::LogLoss => ((m as f64 + 4.0) * u, 4.0 * u),
        Kernel::UpdateSgd { .. } => (8.0 * u, 8.0 * u),
        Kernel::UpdateAdam { .. } => (1e-7, 1e-6),
    }
}

/// Makes a plan of one step with random values; what is written starts random too, so that elements that
/// should stay are compared as well.
fn build(kernel: Kernel, [m, n, k]: Triple) -> Result<Case> {
    let update = matches!(kernel, Kernel::UpdateSgd { .. } | Kernel::UpdateAdam { .. });
    let mut make = Maker {
        builder: PlanBuilder::new(),
        // Arenas may be bound in parts, other slots may not.
        role: if update { Role::State } else { Role::Data },
        starts: vec![],
        random: Seed(11).stream(Purpose::Synthetic),
    };
    let (rows, counted) = (m, k.min(m));
    let (reads, writes) = match kernel {
        Kernel::Gather { ordered, targets } => {
            let table = rows + 7;
            let mut reads = vec![make.floats("x", vec![table, n], 1.0)?];
            let mut writes = vec![make.floats("x_out", vec![rows, n], 1.0)?];
            if ordered {
                reads.push(make.indices("order", table, table)?);
            }
            if targets {
                reads.push(make.floats("y", vec![table, 3], 1.0)?);
                writes.push(make.floats("y_out", vec![rows, 3], 1.0)?);
            }
            (reads, writes)
        }
        Kernel::MatmulNt { bias, save, .. } => {
            let mut reads =
                vec![make.floats("a", vec![m, k], 1.0)?, make.floats("b", vec![n, k], 1.0)?];
            let mut writes = vec![make.floats("out", vec![m, n], 1.0)?];
            if bias {
                reads.push(make.floats("bias", vec![n], 1.0)?);
            }
            if save {
                writes.push(make.floats("saved", vec![m, n], 1.0)?);
            }
            (reads, writes)
        }
        Kernel::MatmulNn { act_grad } => {
            let mut reads =
                vec![make.floats("a", vec![m, k], 1.0)?, make.floats("b", vec![k, n], 1.0)?];
            if act_grad != Activation::Identity {
                reads.push(make.floats("saved", vec![m, n], 1.0)?);
            }
            (reads, vec![make.floats("out", vec![m, n], 1.0)?])
        }
        Kernel::MatmulTn { bias_grad } => {
            let reads =
                vec![make.floats("a", vec![k, m], 1.0)?, make.floats("b", vec![k, n], 1.0)?];
            let mut writes = vec![make.floats("out", vec![m, n], 1.0)?];
            if bias_grad {
                writes.push(make.floats("sums", vec![m], 1.0)?);
            }
            (reads, writes)
        }
        Kernel::Activate { bias, .. } => {
            let mut reads = vec![make.extreme("x", vec![m, n])?];
            if bias {
                reads.push(make.floats("bias", vec![n], 1.0)?);
            }
            (reads, vec![make.floats("out", vec![m, n], 1.0)?])
        }
        Kernel::ActivateGrad { act } => {
            let saved = match act {
                // Of these the output is saved, and no output is larger than 1.
                Activation::Tanh | Activation::Sigmoid => make.floats("saved", vec![m, n], 1.0)?,
                _ => make.extreme("saved", vec![m, n])?,
            };
            (
                vec![saved, make.floats("d_y", vec![m, n], 1.0)?],
                vec![make.floats("out", vec![m, n], 1.0)?],
            )
        }
        Kernel::Add => {
            let reads =
                vec![make.floats("a", vec![m, n], 1.0)?, make.floats("b", vec![m, n], 1.0)?];
            (reads, vec![make.floats("out", vec![m, n], 1.0)?])
        }
        Kernel::SumRows => {
            (vec![make.floats("x", vec![m, n], 1.0)?], vec![make.floats("out", vec![n], 1.0)?])
        }
        Kernel::LossCrossEntropy => {
            let reads =
                vec![make.floats("logits", vec![m, n], 8.0)?, make.indices("labels", m, n)?];
            (
                reads,
                vec![
                    make.floats("row_loss", vec![m], 1.0)?,
                    make.floats("d_logits", vec![m, n], 1.0)?,
                ],
            )
        }
        Kernel::LossMse => {
            let reads = vec![
                make.floats("prediction", vec![m, n], 1.0)?,
                make.floats("target", vec![m, n], 1.0)?,
            ];
            (
                reads,
                vec![
                    make.floats("row_loss", vec![m], 1.0)?,
                    make.floats("d_prediction", vec![m, n], 1.0)?,
                ],
            )
        }
        Kernel::LogLoss => {
            (vec![make.floats("row_loss", vec![m], 1.0)?], vec![make.floats("log", vec![8], 1.0)?])
        }
        Kernel::PutRows => (
            vec![make.floats("x", vec![m, n], 1.0)?],
            vec![make.floats("out", vec![m + 7, n], 1.0)?],
        ),
        Kernel::UpdateSgd { momentum, .. } => {
            let mut writes = vec![make.floats("weight", vec![n], 1.0)?];
            if momentum != 0.0 {
                writes.push(make.floats("velocity", vec![n], 1.0)?);
            }
            (vec![make.floats("gradient", vec![n], 1.0)?], writes)
        }
        Kernel::UpdateAdam { .. } => {
            let gradient = make.floats("gradient", vec![n], 1.0)?;
            let writes = vec![
                make.floats("weight", vec![n], 1.0)?,
                make.floats("m", vec![n], 0.5)?,
                make.positive("v", vec![n])?,
            ];
            (vec![gradient], writes)
        }
    };
    let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let row = StepRow {
        first: 5,
        rows: narrow(if update { 1 } else { counted }),
        log: 3,
        lr: 0.01,
        correction1: 1.0 - 0.9_f64.powi(3),
        correction2: (1.0 - 0.999_f64.powi(3)).sqrt(),
    };
    let Maker { mut builder, starts, .. } = make;
    let step = builder.step(kernel, reads, writes.clone())?;
    builder.phase(Phase::Eval, vec![step]);
    Ok(Case { plan: builder.finish(rows, rows, Ports::default()), starts, writes, row })
}

struct Maker {
    builder: PlanBuilder,
    role: Role,
    starts: Vec<(Slot, Start)>,
    random: Random,
}

impl Maker {
    /// Uniform within ±bound.
    fn floats(&mut self, name: &str, sizes: Vec<usize>, bound: f64) -> Result<Slot> {
        self.fill(name, sizes, |random, _| random.uniform(-bound, bound))
    }

    /// Uniform in 0..1.
    fn positive(&mut self, name: &str, sizes: Vec<usize>) -> Result<Slot> {
        self.fill(name, sizes, |random, _| random.unit())
    }

    /// Uniform within ±8, and at the start what overflows carelessly written functions.
    fn extreme(&mut self, name: &str, sizes: Vec<usize>) -> Result<Slot> {
        const EDGES: [f64; 10] = [0.0, -0.0, 1e4, -1e4, 88.5, -88.5, 1e-30, -1e-30, 20.5, -20.5];
        self.fill(name, sizes, |random, i| {
            EDGES.get(i).copied().unwrap_or_else(|| random.uniform(-8.0, 8.0))
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "slots hold f32")]
    fn fill(
        &mut self,
        name: &str,
        sizes: Vec<usize>,
        value: impl Fn(&mut Random, usize) -> f64,
    ) -> Result<Slot> {
        let values =
            (0..sizes.iter().product()).map(|i| value(&mut self.random, i) as f32).collect();
        let slot = self.builder.slot(name, sizes, Element::F32, self.role)?;
        self.starts.push((slot, Start::Floats(values)));
        Ok(slot)
    }

    /// Whole numbers below `bound`.
    fn indices(&mut self, name: &str, len: usize, bound: usize) -> Result<Slot> {
        let bound = u32::try_from(bound).unwrap_or(u32::MAX);
        let values = (0..len).map(|_| self.random.below(bound)).collect();
        let slot = self.builder.slot(name, vec![len], Element::U32, Role::Data)?;
        self.starts.push((slot, Start::Indices(values)));
        Ok(slot)
    }
}
