//! What is verified: every kernel with every fusion, at awkward sizes, on random values.
//!
//! In: a kernel and sizes. Out: a plan of one step, and what its slots start with.

use crate::error::Result;
use crate::graph::{Loss, Wants};
use crate::model::Activation;
use crate::plan::{
    Along, BLOCK, Dropout, Element, FACTORS, Kernel, LossForm, Phase, Plan, PlanBuilder, Ports,
    Role, Scaling, Slot, StepRow, Stored,
};
use crate::random::{Purpose, Random, Seed};
use crate::shape::narrow;

/// Every kernel with every fusion that plans may ask for.
pub fn every_kernel() -> Vec<Kernel> {
    let mut kernels = vec![
        Kernel::Gather { ordered: true, targets: true },
        Kernel::Gather { ordered: false, targets: false },
        Kernel::MatmulNt { bias: false, act: Activation::Identity, save: false, dropout: None },
        Kernel::MatmulTn { bias_grad: false },
        Kernel::MatmulTn { bias_grad: true },
        Kernel::Activate { act: Activation::Identity, bias: true },
        Kernel::Add,
        Kernel::Lookup { column: 0 },
        Kernel::LookupGrad { column: 0 },
        Kernel::SumRows,
        Kernel::LossCrossEntropy { scaled: false },
        Kernel::LossMse { scaled: false },
        Kernel::LogLoss,
        Kernel::PutRows,
        Kernel::UpdateRunning { momentum: Some(0.1), unbiased: false, guarded: false },
        Kernel::UpdateRunning { momentum: Some(0.1), unbiased: true, guarded: false },
        Kernel::UpdateRunning { momentum: Some(0.1), unbiased: true, guarded: true },
        Kernel::UpdateRunning { momentum: None, unbiased: false, guarded: false },
        Kernel::UpdateRunning { momentum: None, unbiased: true, guarded: true },
        Kernel::CheckFinite { loss: false },
        Kernel::CheckFinite { loss: true },
        Kernel::Rescale { scaled: true, guarded: false },
        Kernel::Rescale { scaled: true, guarded: true },
        Kernel::Rescale { scaled: false, guarded: true },
    ];
    for (index, loss) in Loss::all().into_iter().enumerate() {
        // Each has something that the others have not, so that a few pipelines show all there is.
        let constants = matches!(loss.wants(), Wants::Classes | Wants::Labels)
            || matches!(loss, Loss::Pinball(_));
        let (weights, mean) = (index % 2 == 0, loss != Loss::Mae);
        let loss = match loss {
            Loss::CrossEntropy => Loss::SmoothedCrossEntropy { label_smoothing: 0.1 },
            Loss::PoissonNll { .. } => Loss::PoissonNll { full: true },
            other => other,
        };
        let form = LossForm { loss, mean, constants, weights, scaled: false };
        let map = loss.formula().is_some();
        kernels.push(if map { Kernel::LossMap(form) } else { Kernel::LossClasses(form) });
    }
    kernels.extend(super::formulas::kernels());
    kernels.extend([
        Kernel::SquareSums { gradient: false, gathers: false, scaled: false },
        Kernel::SquareSums { gradient: true, gathers: true, scaled: false },
        Kernel::SquareSums { gradient: true, gathers: false, scaled: true },
        Kernel::ClipNorm { max: 0.5 },
        Kernel::ClipNorm { max: 1e6 },
        Kernel::TrustRatios,
    ]);
    for act in Activation::ALL {
        let save = !act.gradient_from_output();
        // Those that the host writes are put in at one place, whichever they are: one shows it.
        if act.is_written_out() || act == Activation::Mish {
            kernels.push(Kernel::MatmulNt { bias: true, act, save, dropout: None });
            kernels.push(Kernel::MatmulNn { act_grad: act, dropout: None });
        }
        kernels.push(Kernel::Activate { act, bias: false });
        kernels.push(Kernel::ActivateGrad { act });
    }
    // With dropout, a relu's result is kept beside what remains of it, and a gelu's argument as ever.
    for act in [Activation::Relu, Activation::Gelu] {
        let dropout = Some(Dropout { stream: 2, rate: 0.3 });
        kernels.push(Kernel::MatmulNt { bias: true, act, save: true, dropout });
        kernels.push(Kernel::MatmulNn { act_grad: act, dropout });
    }
    for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
        let (weight_decay, scaled, guarded) = (0.01, false, false);
        let update = Kernel::UpdateSgd { momentum, nesterov, weight_decay, scaled, guarded };
        kernels.extend([update, update.under_guard()]);
    }
    for decoupled in [false, true] {
        let (beta1, beta2, eps, weight_decay) = (0.9, 0.999, 1e-8, 0.01);
        let (scaled, guarded) = (false, false);
        let update =
            Kernel::UpdateAdam { beta1, beta2, eps, weight_decay, decoupled, scaled, guarded };
        kernels.extend([update, update.under_guard()]);
    }
    kernels
}

/// Every kernel with every fusion that plans in half precision may ask for, and what it then reads and writes.
pub fn half_kernels() -> Vec<(Kernel, Stored)> {
    let half = Stored { read: Element::F16, write: Element::F16 };
    let (down, up) =
        (Stored { read: Element::F32, ..half }, Stored { write: Element::F32, ..half });
    let forms = |kernel: &Kernel| match kernel {
        // Tables are in single precision, batches of their rows in half.
        Kernel::Gather { targets: true, .. } => vec![down],
        // Hidden layers, and the last one.
        Kernel::MatmulNt { bias: true, act: Activation::Identity, .. } => vec![half, up],
        Kernel::MatmulNt { bias: true, .. } | Kernel::MatmulNn { .. } => vec![half],
        Kernel::MatmulNt { bias: false, .. } | Kernel::MatmulTn { .. } | Kernel::SumRows => {
            vec![up]
        }
        Kernel::Activate { .. } => vec![half, up],
        Kernel::ActivateGrad { .. } => vec![half, down],
        Kernel::Add => vec![half],
        Kernel::LossCrossEntropy { .. }
        | Kernel::LossMse { .. }
        | Kernel::UpdateSgd { .. }
        | Kernel::UpdateAdam { .. } => vec![down],
        // Half precision is in the last line of their texts alone: one form of each kernel is enough.
        Kernel::LossMap(form) | Kernel::LossClasses(form)
            if matches!(form.loss, Loss::Mae | Loss::KlDivergence) =>
        {
            vec![down]
        }
        Kernel::LossMap(_) | Kernel::LossClasses(_) => vec![],
        Kernel::Gather { .. }
        | Kernel::Map { .. }
        | Kernel::MapRows { .. }
        | Kernel::MapColumns { .. }
        | Kernel::Update(_)
        | Kernel::SquareSums { .. }
        | Kernel::ClipNorm { .. }
        | Kernel::TrustRatios
        | Kernel::Lookup { .. }
        | Kernel::LookupGrad { .. }
        | Kernel::LogLoss
        | Kernel::PutRows
        | Kernel::UpdateRunning { .. }
        | Kernel::CheckFinite { .. }
        | Kernel::Rescale { .. } => vec![],
    };
    let updates = super::formulas::passes().into_iter().map(|(_, update)| update);
    let updates = updates.filter(|update| update.scaled).map(|it| (Kernel::Update(it), down));
    let all = every_kernel().into_iter();
    all.flat_map(|kernel| {
        forms(&kernel).into_iter().map(move |stored| (kernel.under_scale(), stored))
    })
    .chain(updates)
    .collect()
}

/// Where in the log a case's step is.
const LOG: usize = 3;

/// Three sizes, whose meaning depends on the kernel: for products m, n, k; else rows, columns, rows that count.
pub(super) type Triple = [usize; 3];

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
            [130, 129, 19],
            // More than 65,535 workgroups for the small tiles.
            [2, 16 * 65_535 + 17, 1],
        ],
        Kernel::MatmulNt { .. } | Kernel::MatmulNn { .. } | Kernel::MatmulTn { .. } => {
            vec![[1, 1, 1], [17, 33, 9], [65, 31, 66]]
        }
        // The one elementwise kernel that shows the folded grid for all of them.
        Kernel::Add => vec![[1, 1, 1], [31, 57, 31], [65_537, 65, 65_537]],
        Kernel::UpdateSgd { scaled: false, guarded: false, .. }
        | Kernel::UpdateAdam { scaled: false, guarded: false, .. } => {
            vec![[1, 64, 1], [1, 1792, 1]]
        }
        // The third is 0 where gradients have overflowed, 2 where they are only gathered.
        Kernel::Update(_) => vec![[1, 1792, 1], [1, 128, 0], [1, 128, 2]],
        Kernel::SquareSums { .. } => vec![[1, 64, 1], [1, 4160, 1], [1, 8192, 1]],
        Kernel::ClipNorm { .. } => vec![[1, 1, 1], [1, 257, 1], [1, 1000, 1]],
        // Those after the first three are single functions, which only want values.
        Kernel::Map { formula, .. } if formula.0 > 2 => vec![[1, 1, 1], [9, 13, 9]],
        // The third is 0 where gradients have overflowed.
        Kernel::UpdateSgd { .. } | Kernel::UpdateAdam { .. } => {
            vec![[1, 128, 1], [1, 1792, 1], [1, 128, 0]]
        }
        // The third is the place of an infinite element, from 1; 0 for none.
        Kernel::CheckFinite { .. } => vec![[1, 128, 0], [1, 1792, 1792], [1, 1792, 0], [1, 256, 1]],
        // The third says after which steps: `scalings` has them.
        Kernel::Rescale { .. } => (0..scalings().len()).map(|after| [1, 1, after]).collect(),
        // Columns in pairs, for mean and variance.
        Kernel::LossMap(_) => vec![[1, 2, 1], [63, 6, 61], [130, 12, 130]],
        Kernel::LossClasses(_) => vec![[1, 2, 1], [63, 7, 61], [130, 13, 130]],
        _ => vec![[1, 1, 1], [5, 1, 3], [63, 7, 63], [65, 64, 64], [130, 13, 1]],
    }
}

/// Further sizes for the CPU: edges of its tiles of 6 rows and 8, 16 or 32 columns, sums of more terms than are
/// added up at once, and results that several threads share. They would take software adapters too long.
pub(super) fn cpu_sizes_of(kernel: &Kernel) -> Vec<Triple> {
    match kernel {
        Kernel::MatmulNt { .. } | Kernel::MatmulNn { .. } | Kernel::MatmulTn { .. } => vec![
            [5, 33, 15],
            [6, 32, 16],
            [13, 31, 257],
            // Narrow and tall, wide and flat: those that are computed transposed.
            [3, 70, 12],
            [64, 1, 32],
            [130, 10, 300],
            [10, 130, 129],
            // Shared among threads, cut by columns and by rows; more columns than are packed at once.
            [101, 97, 131],
            [260, 150, 30],
            [20, 400, 600],
        ],
        Kernel::LossMse { .. } => vec![[130, 17, 99], [300, 257, 300]],
        Kernel::SumRows => vec![[129, 300, 129]],
        Kernel::UpdateSgd { .. } | Kernel::UpdateAdam { .. } => vec![[1, 7, 1], [1, 100_003, 1]],
        Kernel::Update(_) => vec![[1, 100_003, 1]],
        _ => vec![],
    }
}

/// Loss scales before a step: all in order, about to double, as large as may be, after an overflow, as small as may be, after a loss that was no
/// number.
fn scalings() -> [Scaling; 6] {
    let good = Scaling { scale: 4.0, inverse: 0.25, good: 5.0, overflow: 0.0, skipped: 3.0 };
    let largest = Scaling::LARGEST as f32;
    let last = Scaling { good: (Scaling::GROW_AFTER - 1) as f32, ..good };
    [
        good,
        last,
        Scaling { scale: largest, inverse: 1.0 / largest, ..last },
        Scaling { overflow: 1.0, ..good },
        Scaling { scale: 1.0 / largest, inverse: largest, overflow: 1.0, ..good },
        Scaling { overflow: Scaling::LOST, ..good },
    ]
}

/// What a slot starts with.
pub(super) enum Start {
    Floats(Vec<f32>),
    Indices(Vec<u32>),
}

/// A plan of one step, and what its slots start with.
pub(super) struct Case {
    pub(super) plan: Plan,
    pub(super) starts: Vec<(Slot, Start)>,
    pub(super) writes: Vec<Slot>,
    pub(super) row: StepRow,
}

/// Makes a plan of one step with random values; what is written starts random too, so that elements that
/// should stay are compared as well.
pub(super) fn build(kernel: Kernel, stored: Stored, [m, n, k]: Triple) -> Result<Case> {
    let update = matches!(
        kernel,
        Kernel::UpdateSgd { .. }
            | Kernel::UpdateAdam { .. }
            | Kernel::Update(_)
            | Kernel::SquareSums { .. }
            | Kernel::CheckFinite { .. }
    );
    let mut make = Maker {
        builder: PlanBuilder::new(),
        stored,
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
            let mut writes = vec![make.written("x_out", vec![rows, n])?];
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
            let mut reads = vec![make.read("a", vec![m, k])?, make.read("b", vec![n, k])?];
            let mut writes = vec![make.written("out", vec![m, n])?];
            if bias {
                reads.push(make.read("bias", vec![n])?);
            }
            if save {
                writes.push(make.written("saved", vec![m, n])?);
            }
            (reads, writes)
        }
        Kernel::MatmulNn { act_grad, .. } => {
            let mut reads = vec![make.read("a", vec![m, k])?, make.read("b", vec![k, n])?];
            if act_grad != Activation::Identity {
                reads.push(make.read("saved", vec![m, n])?);
            }
            (reads, vec![make.written("out", vec![m, n])?])
        }
        Kernel::MatmulTn { bias_grad } => {
            let reads = vec![make.read("a", vec![k, m])?, make.read("b", vec![k, n])?];
            let mut writes = vec![make.written("out", vec![m, n])?];
            if bias_grad {
                writes.push(make.written("sums", vec![m])?);
            }
            (reads, writes)
        }
        Kernel::Activate { bias, .. } => {
            let mut reads = vec![make.extreme("x", vec![m, n])?];
            if bias {
                reads.push(make.read("bias", vec![n])?);
            }
            (reads, vec![make.written("out", vec![m, n])?])
        }
        Kernel::ActivateGrad { act } => {
            let saved = match act {
                // Of these the output is saved, and no output is larger than 1.
                Activation::Tanh | Activation::Sigmoid => make.read("saved", vec![m, n])?,
                _ => make.extreme("saved", vec![m, n])?,
            };
            (vec![saved, make.written("d_y", vec![m, n])?], vec![make.written("out", vec![m, n])?])
        }
        Kernel::Add => {
            let reads = vec![make.read("a", vec![m, n])?, make.read("b", vec![m, n])?];
            (reads, vec![make.written("out", vec![m, n])?])
        }
        Kernel::Map { formula, .. }
        | Kernel::MapRows { formula, .. }
        | Kernel::MapColumns { formula, .. } => {
            let formulas = super::formulas::formulas(n);
            let mut reads = Vec::new();
            for operand in &formulas[usize::from(formula.0)].operands {
                let name = format!("x{}", reads.len());
                reads.push(match operand.along {
                    Along::Both if formula.0 > 2 => make.extreme(&name, vec![m, n])?,
                    Along::Both => make.floats(&name, vec![m, n], 1.0)?,
                    Along::Columns => make.floats(&name, vec![n], 1.0)?,
                    Along::Rows => make.floats(&name, vec![m], 1.0)?,
                    Along::Nothing => make.floats(&name, vec![1], 1.0)?,
                });
            }
            for formula in formulas {
                make.builder.formula(formula)?;
            }
            let sizes = match kernel {
                Kernel::MapRows { .. } => vec![n],
                Kernel::MapColumns { .. } => vec![m],
                _ => vec![m, n],
            };
            (reads, vec![make.floats("out", sizes, 1.0)?])
        }
        // The table has rows that nobody names, and numbers beyond it mean its last row.
        Kernel::Lookup { .. } => {
            let reads = vec![make.floats("table", vec![7, n], 1.0)?, make.numbers("x", m, 8)?];
            (reads, vec![make.floats("out", vec![m, n], 1.0)?])
        }
        Kernel::LookupGrad { .. } => {
            let reads = vec![make.numbers("x", m, 8)?, make.floats("d_y", vec![m, n], 1.0)?];
            (reads, vec![make.floats("out", vec![7, n], 1.0)?])
        }
        Kernel::SumRows => (vec![make.read("x", vec![m, n])?], vec![make.written("out", vec![n])?]),
        Kernel::LossCrossEntropy { scaled } => {
            let mut reads =
                vec![make.floats("logits", vec![m, n], 8.0)?, make.indices("labels", m, n)?];
            if scaled {
                reads.push(make.scaling(0)?);
            }
            (
                reads,
                vec![make.floats("row_loss", vec![m], 1.0)?, make.written("d_logits", vec![m, n])?],
            )
        }
        Kernel::LossMse { scaled } => {
            let mut reads = vec![
                make.floats("prediction", vec![m, n], 1.0)?,
                make.floats("target", vec![m, n], 1.0)?,
            ];
            if scaled {
                reads.push(make.scaling(0)?);
            }
            (
                reads,
                vec![
                    make.floats("row_loss", vec![m], 1.0)?,
                    make.written("d_prediction", vec![m, n])?,
                ],
            )
        }
        Kernel::LossMap(form) => {
            let targets = form.loss.targets_for(n).unwrap_or(n);
            let wants = form.loss.wants();
            let mut reads = vec![match wants {
                // Of a rate's logarithm; the rate itself overflows early.
                Wants::Counts => make.floats("prediction", vec![m, n], 8.0)?,
                _ => make.extreme("prediction", vec![m, n])?,
            }];
            reads.push(match wants {
                Wants::Labels => make.truths("target", vec![m, targets])?,
                Wants::Counts => make.positive("target", vec![m, targets])?,
                _ => make.floats("target", vec![m, targets], 1.0)?,
            });
            if form.constants {
                let len = if wants == Wants::Labels { targets } else { form.loss.outputs_each() };
                reads.push(make.positive("constants", vec![len])?);
            }
            make.finish_loss(form, reads, m, vec![m, n])?
        }
        Kernel::LossClasses(form) => {
            let mut reads = vec![make.extreme("logits", vec![m, n])?];
            reads.push(if form.loss.classes() {
                make.indices("labels", m, n)?
            } else {
                make.positive("shares", vec![m, n])?
            });
            if form.constants {
                reads.push(make.positive("constants", vec![n])?);
            }
            make.finish_loss(form, reads, m, vec![m, n])?
        }
        Kernel::LogLoss => {
            (vec![make.floats("row_loss", vec![m], 1.0)?], vec![make.floats("log", vec![8], 1.0)?])
        }
        Kernel::PutRows => (
            vec![make.floats("x", vec![m, n], 1.0)?],
            vec![make.floats("out", vec![m + 7, n], 1.0)?],
        ),
        Kernel::UpdateRunning { guarded, .. } => {
            // The last one is no number, which only guarded ones are given.
            let lost = |i| guarded && n > 1 && i + 1 == n;
            let value = move |random: &mut Random, i| {
                if lost(i) { f64::NAN } else { random.uniform(-1.0, 1.0) }
            };
            let mut reads = vec![make.fill("stat", vec![n], Element::F32, value)?];
            if guarded {
                // Skipped with the sizes that have fewer rows that count than rows.
                reads.push(make.scaling(if k < m { 3 } else { 0 })?);
            }
            (reads, vec![make.floats("out", vec![n], 1.0)?])
        }
        Kernel::CheckFinite { loss } => {
            let gradient = make.floats("gradient", vec![n], 1.0)?;
            if let Some((_, Start::Floats(values))) = make.starts.last_mut()
                && k > 0
            {
                values[k - 1] = if k == n { f32::NEG_INFINITY } else { f32::NAN };
            }
            let mut reads = vec![gradient];
            if loss {
                reads.push(make.log(n == 256 || k == n)?);
            }
            (reads, vec![make.scaling(0)?])
        }
        Kernel::Rescale { guarded, .. } => {
            let mut writes = vec![make.scaling(k)?];
            if guarded {
                writes.push(make.log(false)?);
            }
            (vec![], writes)
        }
        Kernel::UpdateSgd { momentum, scaled, guarded, .. } => {
            let (reads, half) = make.gradient(n, (scaled, guarded), k == 0)?;
            let mut writes = vec![make.floats("weight", vec![n], 1.0)?];
            if momentum != 0.0 {
                writes.push(make.floats("velocity", vec![n], 1.0)?);
            }
            writes.extend(half);
            (reads, writes)
        }
        Kernel::UpdateAdam { scaled, guarded, .. } => {
            let (reads, half) = make.gradient(n, (scaled, guarded), k == 0)?;
            let mut writes = vec![
                make.floats("weight", vec![n], 1.0)?,
                make.floats("m", vec![n], 0.5)?,
                make.positive("v", vec![n])?,
            ];
            writes.extend(half);
            (reads, writes)
        }
        Kernel::Update(update) => {
            for formula in super::formulas::formulas(n) {
                make.builder.formula(formula)?;
            }
            let kept = (update.scaled, update.guarded);
            let (mut reads, half) = make.gradient(n, kept, k == 0)?;
            if update.table {
                reads.push(make.factors(n.div_ceil(BLOCK))?);
            }
            let mut writes = vec![make.floats("weight", vec![n], 1.0)?];
            // Means of squares, and of what is squared in them, of which no difference is near 0.
            for index in 0..update.states {
                let start = if index == 0 { 1.0 } else { 0.05 };
                let value = move |random: &mut Random, _| start + 0.9 * random.unit();
                writes.push(make.fill(&format!("state{index}"), vec![n], Element::F32, value)?);
            }
            for (name, there) in [("gathered", update.gathers), ("average", update.averages)] {
                if there {
                    writes.push(make.floats(name, vec![n], 1.0)?);
                }
            }
            writes.extend(half.filter(|_| update.writes_half()));
            (reads, writes)
        }
        Kernel::SquareSums { gradient, gathers, scaled } => {
            let mut reads = vec![make.floats("x", vec![n], 1.0)?];
            if gathers {
                reads.push(make.floats("gathered", vec![n], 1.0)?);
            }
            if scaled {
                reads.push(make.scaling(0)?);
            }
            if gradient {
                reads.push(make.factors(n / BLOCK)?);
            }
            (reads, vec![make.floats("sums", vec![n / BLOCK], 1.0)?])
        }
        Kernel::ClipNorm { .. } => (vec![make.positive("sums", vec![n])?], vec![make.factors(2)?]),
        Kernel::TrustRatios => {
            let sums = vec![m * n];
            // The last parameter's norm is 0.
            let last = (m - 1) * n;
            let weights = make.fill("weights", sums.clone(), Element::F32, |random, i| {
                if i < last { random.unit() } else { 0.0 }
            })?;
            let directions = make.positive("directions", sums)?;
            let views = (0..m).flat_map(|view| [narrow(view * n), narrow(n)]).collect();
            let slot = make.builder.slot("views", vec![2 * m], Element::U32, Role::Data)?;
            make.starts.push((slot, Start::Indices(views)));
            (vec![weights, directions, slot], vec![make.factors(m * n)?])
        }
    };
    let loss = matches!(kernel, Kernel::LossMap(_) | Kernel::LossClasses(_));
    let row = StepRow {
        first: 5,
        rows: narrow(if update { 1 } else { counted }),
        log: narrow(LOG),
        step: 77,
        seed: 12345,
        lr: 0.01,
        correction1: 1.0 - 0.9_f64.powi(3),
        correction2: (1.0 - 0.999_f64.powi(3)).sqrt(),
        divisor: loss.then_some(37.5),
        apply: k != 2,
        decay: 0.5,
        scalars: [0.01, 0.02, 0.5, 0.3, 0.2, 0.1, 0.25, 0.4],
        ..StepRow::default()
    };
    let Maker { mut builder, starts, .. } = make;
    let step = builder.step(kernel, reads, writes.clone())?;
    builder.phase(Phase::Eval, vec![step]);
    Ok(Case { plan: builder.finish(rows, rows, Ports::default()), starts, writes, row })
}

struct Maker {
    builder: PlanBuilder,
    stored: Stored,
    role: Role,
    starts: Vec<(Slot, Start)>,
    random: Random,
}

impl Maker {
    /// Uniform within ±bound.
    fn floats(&mut self, name: &str, sizes: Vec<usize>, bound: f64) -> Result<Slot> {
        self.fill(name, sizes, Element::F32, |random, _| random.uniform(-bound, bound))
    }

    /// Uniform within ±1, for what is read in either precision.
    fn read(&mut self, name: &str, sizes: Vec<usize>) -> Result<Slot> {
        self.fill(name, sizes, self.stored.read, |random, _| random.uniform(-1.0, 1.0))
    }

    /// Uniform within ±1, for what is written in either precision.
    fn written(&mut self, name: &str, sizes: Vec<usize>) -> Result<Slot> {
        self.fill(name, sizes, self.stored.write, |random, _| random.uniform(-1.0, 1.0))
    }

    /// Whole numbers below `bound` as floats, each in the first of three columns.
    fn numbers(&mut self, name: &str, rows: usize, bound: u32) -> Result<Slot> {
        self.fill(name, vec![rows, 3], Element::F32, |random, _| random.below(bound).into())
    }

    /// One of the loss scales.
    fn scaling(&mut self, which: usize) -> Result<Slot> {
        let values = scalings()[which].values();
        self.fill("scaling", vec![Scaling::LEN], Element::F32, |_, i| values[i].into())
    }

    /// Losses of eight steps, of which that of the case's own may be no number.
    fn log(&mut self, lost: bool) -> Result<Slot> {
        let value = move |random: &mut Random, i| {
            if lost && i == LOG { f64::INFINITY } else { random.unit() }
        };
        self.fill("log", vec![8], Element::F32, value)
    }

    /// What an update reads, under a loss scale or a guard if there is one, and the copy that it writes under the first.
    fn gradient(
        &mut self,
        n: usize,
        (scaled, guarded): (bool, bool),
        overflow: bool,
    ) -> Result<(Vec<Slot>, Option<Slot>)> {
        let which = if overflow { 3 } else { 0 };
        let bound = if scaled { scalings()[which].scale.into() } else { 1.0 };
        let mut reads = vec![self.floats("gradient", vec![n], bound)?];
        if scaled || guarded {
            reads.push(self.scaling(which)?);
        }
        let half = if scaled { Some(self.written("half_weight", vec![n])?) } else { None };
        Ok((reads, half))
    }

    /// What a loss reads besides, and what it writes.
    fn finish_loss(
        &mut self,
        form: LossForm,
        mut reads: Vec<Slot>,
        batch: usize,
        sizes: Vec<usize>,
    ) -> Result<(Vec<Slot>, Vec<Slot>)> {
        if form.weights {
            reads.push(self.positive("weights", vec![batch, 1])?);
        }
        if form.scaled {
            reads.push(self.scaling(0)?);
        }
        let row_loss = self.floats("row_loss", vec![batch], 1.0)?;
        Ok((reads, vec![row_loss, self.written("d_prediction", sizes)?]))
    }

    /// 0 or 1.
    fn truths(&mut self, name: &str, sizes: Vec<usize>) -> Result<Slot> {
        self.fill(name, sizes, Element::F32, |random, _| f64::from(random.below(2)))
    }

    /// A table of factors for so many blocks; the parameter of the second one stays as it is, every other one is a matrix.
    fn factors(&mut self, blocks: usize) -> Result<Slot> {
        let sizes = vec![1 + blocks, FACTORS];
        self.fill("factors", sizes, Element::F32, |random, i| match i % FACTORS {
            0 if i == 2 * FACTORS => 0.0,
            3 => (i / FACTORS % 2) as f64,
            _ => 0.1 + random.unit(),
        })
    }

    /// Uniform in 0..1.
    fn positive(&mut self, name: &str, sizes: Vec<usize>) -> Result<Slot> {
        self.fill(name, sizes, Element::F32, |random, _| random.unit())
    }

    /// Uniform within ±8, and at the start what overflows carelessly written functions.
    fn extreme(&mut self, name: &str, sizes: Vec<usize>) -> Result<Slot> {
        const EDGES: [f64; 10] = [0.0, -0.0, 1e4, -1e4, 88.5, -88.5, 1e-30, -1e-30, 20.5, -20.5];
        self.fill(name, sizes, self.stored.read, |random, i| {
            EDGES.get(i).copied().unwrap_or_else(|| random.uniform(-8.0, 8.0))
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "slots hold f32")]
    fn fill(
        &mut self,
        name: &str,
        sizes: Vec<usize>,
        element: Element,
        value: impl Fn(&mut Random, usize) -> f64,
    ) -> Result<Slot> {
        let values =
            (0..sizes.iter().product()).map(|i| value(&mut self.random, i) as f32).collect();
        let slot = self.builder.slot(name, sizes, element, self.role)?;
        self.starts.push((slot, Start::Floats(values)));
        Ok(slot)
    }

    /// Whole numbers below `bound`.
    fn indices(&mut self, name: &str, len: usize, bound: usize) -> Result<Slot> {
        let bound = narrow(bound);
        let values = (0..len).map(|_| self.random.below(bound)).collect();
        let slot = self.builder.slot(name, vec![len], Element::U32, Role::Data)?;
        self.starts.push((slot, Start::Indices(values)));
        Ok(slot)
    }
}
