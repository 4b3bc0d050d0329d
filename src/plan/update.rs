//! The last steps of training: the update of the weights.
//!
//! In: an optimizer, its transforms (clipping, groups, averages), the arenas. Out: steps, and the slots that they need.
//! Absent on purpose: formulas, which `graph` has.

use super::{
    Element, Formula, FormulaId, InitialValues, Kernel, LossScaler, PlanBuilder, Precision, Role,
    Slot, Step, TrainPorts, Update,
};
use crate::error::Result;
use crate::expr::{Expr, Program};
use crate::graph::{
    BetweenPasses, Broadcast, Operand, Optimizer, Pass, PassKind, Training, UpdateTransforms,
    factors,
};
use crate::model::{ParamLayout, VIEW_ALIGN};
use crate::shape::narrow;

/// Columns of the table of factors, which has a row for each block of an arena: factor of the rate, of the decay, of a
/// second pass's direction, and 1 for matrices. In front of them stands a row whose first number is the factor that clips
/// the gradients' norm.
pub const FACTORS: usize = 4;
/// Number of elements of an arena that share a row of factors, and whose squares are summed together: all of one parameter.
pub const BLOCK: usize = VIEW_ALIGN;

/// The arenas that an update reads and writes, and the slots that belong to them.
#[derive(Clone, Debug)]
pub(super) struct UpdateArenas {
    pub(super) params: Slot,
    pub(super) gradients: Slot,
    pub(super) states: Vec<Slot>,
    pub(super) averaged: Option<Slot>,
    pub(super) gathered: Option<Slot>,
    pub(super) half_params: Option<Slot>,
    pub(super) scaling: Option<Slot>,
}

/// Returns whether parameters have factors of their own: those of a group, or those that do not train and must stay as they
/// are.
fn is_grouped(step: &Training, layout: &ParamLayout) -> bool {
    let Training { optimizer, moves, .. } = step;
    let keeps = layout.views().iter().any(|view| !view.trainable);
    // A gradient of zeros may change nothing by itself: then the table of factors need not be read.
    let decays = optimizer.setting("weight-decay").is_some_and(|decay| decay != 0.0);
    let rests = moves.is_plain() && optimizer.rests_without_gradient() && !decays;
    !moves.groups.is_empty() || (keeps && !rests)
}

/// A pass of an update: its formula, and the variant of the kernel, which does not know yet where the formula stands.
#[derive(Clone, Debug)]
pub(crate) struct UpdatePass {
    pub(crate) formula: Formula,
    pub(crate) update: Update,
}

impl UpdatePass {
    /// Returns the passes of an optimizer with these transforms. `grouped`: parameters have factors of their own; `scaled`:
    /// gradients are multiplied by a loss scale, and a copy of the weights in half precision is kept.
    pub(crate) fn all(
        optimizer: &Optimizer,
        moves: &UpdateTransforms,
        grouped: bool,
        scaled: bool,
    ) -> Vec<Self> {
        let passes = moves.passes(optimizer, grouped, scaled);
        let two = passes.iter().any(|pass| pass.kind == PassKind::First);
        let count = passes.len();
        let pass = |(index, pass): (usize, Pass)| {
            let (first, last) = (index == 0, index + 1 == count);
            let copies = pass.kind == PassKind::Copies;
            let states = if copies { 0 } else { optimizer.states().len() };
            let update = Update {
                formula: FormulaId(0),
                pass: pass.kind,
                states: u8::try_from(states).expect("an optimizer has a few states"),
                // Accumulated gradients are consumed by the first pass; averages and the half copy follow the new weights.
                gathers: moves.accumulate && first,
                averages: moves.average.is_some() && last,
                table: grouped || ((moves.clip_norm.is_some() || two) && !copies),
                scaled,
                guarded: moves.skips,
                half: scaled && last,
            };
            let (program, text) = (Program::of(&pass.exprs), optimizer.to_string());
            Self { formula: Formula { program, text, operands: vec![], columns: 0 }, update }
        };
        passes.into_iter().enumerate().map(pass).collect()
    }
}

impl PlanBuilder {
    /// Adds the slots of parameters and gradients, and those that the update needs besides.
    pub(super) fn arenas(
        &mut self,
        precision: Precision,
        step: &Training,
        layout: &ParamLayout,
    ) -> Result<UpdateArenas> {
        let sizes = || vec![layout.len()];
        let params = self.slot("params", sizes(), Element::F32, Role::Params)?;
        let gradients = self.slot("gradients", sizes(), Element::F32, Role::Gradients)?;
        let mut state = |name: &str| self.slot(name, sizes(), Element::F32, Role::State);
        let states =
            step.optimizer.states().iter().map(|name| state(name)).collect::<Result<Vec<_>>>()?;
        let averaged = match step.moves.average {
            Some(_) => Some(state("average")?),
            None => step.optimizer.evaluated().map(|index| states[index]),
        };
        let gathered = if step.moves.accumulate { Some(state("gathered")?) } else { None };
        let half = precision == Precision::F16;
        let half_params = if half {
            Some(self.slot("half_params", sizes(), Element::F16, Role::Params)?)
        } else {
            None
        };
        let scaling = if half || step.moves.skips {
            Some(self.slot("scaling", vec![LossScaler::LEN], Element::F32, Role::State)?)
        } else {
            None
        };
        Ok(UpdateArenas { params, gradients, states, averaged, gathered, half_params, scaling })
    }

    /// Returns the step that looks for values that are not finite, before anything has changed.
    pub(super) fn check(&self, step: &Training, ports: &TrainPorts) -> Result<Option<Step>> {
        let Some(scaling) = ports.scaling else { return Ok(None) };
        let loss = step.moves.skips;
        let reads =
            [Some(ports.gradients), loss.then_some(ports.log)].into_iter().flatten().collect();
        self.step(Kernel::CheckFinite { loss }, reads, vec![scaling]).map(Some)
    }

    /// Returns the steps that update the weights.
    pub(super) fn update(
        &mut self,
        step: &Training,
        layout: &ParamLayout,
        ports: &TrainPorts,
    ) -> Result<Vec<Step>> {
        let &TrainPorts { log, scaling, .. } = ports;
        let guarded = step.moves.skips;
        let scaled = ports.half_params.is_some();
        let mut steps = self.passes(step, layout, ports)?;
        // The scale is adjusted last, since the update still divides by the present one.
        if let Some(scaling) = scaling {
            let writes = [Some(scaling), guarded.then_some(log)].into_iter().flatten().collect();
            steps.push(self.step(Kernel::Rescale { scaled, guarded }, vec![], writes)?);
        }
        Ok(steps)
    }

    /// Returns the passes of the update, with the steps that they need before and between.
    fn passes(
        &mut self,
        step: &Training,
        layout: &ParamLayout,
        ports: &TrainPorts,
    ) -> Result<Vec<Step>> {
        let Training { optimizer, moves, .. } = step;
        let (scaling, gathered) = (ports.scaling, ports.gathered);
        let scaled = ports.half_params.is_some();
        let grouped = is_grouped(step, layout);
        let passes = UpdatePass::all(optimizer, moves, grouped, scaled);
        let mut steps = Vec::new();
        let table = if passes.iter().any(|pass| pass.update.table) {
            Some(self.table(step, layout)?)
        } else {
            None
        };
        // The norm is one of all gradients together, so it must be known before the first weight changes.
        if let (Some(max), Some(table)) = (moves.clip_norm, table) {
            steps.extend(self.clip_norm(max, table, ports)?);
        }
        // Of two passes, the first writes the states and the direction, the second changes the weights.
        for UpdatePass { formula, update } in passes {
            let update = Update { formula: self.formula(formula)?, ..update };
            let gradients = update.writes_states().then_some(ports.gradients);
            let table_read = table.filter(|_| update.table);
            let reads = [gradients, scaling, table_read].into_iter().flatten().collect();
            let states = &ports.states[..usize::from(update.states)];
            let mut writes = [&[ports.params], states].concat();
            let average = ports.averaged.filter(|_| update.averages);
            let half = ports.half_params.filter(|_| update.half);
            let gathered = gathered.filter(|_| update.gathers);
            writes.extend([gathered, average, half].into_iter().flatten());
            steps.push(self.step(Kernel::Update(update), reads, writes)?);
            // Between the passes the direction, the optimizer's last state, is measured or transformed.
            if update.pass != PassKind::First {
                continue;
            }
            let direction = ports.states[ports.states.len() - 1];
            match (optimizer.between(), table) {
                (Some(BetweenPasses::Norms), Some(table)) => {
                    steps.extend(self.trust(layout, (ports.params, direction), table)?);
                }
                (Some(BetweenPasses::Orthogonal { turns, eps, .. }), _) => {
                    // Newton and Schulz's iteration is for matrices; the direction of a vector stays as it is.
                    for view in self.views(direction, layout, "direction_") {
                        if let [rows, columns] = self.sizes(view)[..] {
                            let sizes = [rows, columns];
                            steps.extend(self.orthogonal(view, sizes, (turns, eps))?);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(steps)
    }

    /// Returns the steps that compute the norm of all gradients together, and write the factor that clips it to the table.
    fn clip_norm(&mut self, max: f64, table: Slot, ports: &TrainPorts) -> Result<[Step; 2]> {
        let blocks = self.sizes(ports.gradients)[0] / BLOCK;
        let sums = self.slot("square_sums", vec![blocks], Element::F32, Role::State)?;
        let (gathered, scaled) = (ports.gathered, ports.half_params.is_some());
        let kernel = Kernel::SquareSums { gradient: true, gathers: gathered.is_some(), scaled };
        let scale = ports.scaling.filter(|_| scaled);
        let reads = [Some(ports.gradients), gathered, scale, Some(table)];
        let reads = reads.into_iter().flatten().collect();
        let squares = self.step(kernel, reads, vec![sums])?;
        Ok([squares, self.step(Kernel::ClipNorm { max }, vec![sums], vec![table])?])
    }

    /// Adds the table of factors, which begins with those of the parameter groups.
    fn table(&mut self, step: &Training, layout: &ParamLayout) -> Result<Slot> {
        let rows = 1 + layout.len() / BLOCK;
        let table = self.slot("factors", vec![rows, FACTORS], Element::F32, Role::State)?;
        let mut values = vec![1.0; rows * FACTORS];
        let between = step.optimizer.between();
        for (view, factors) in layout.views().iter().zip(factors(&step.moves.groups, layout)?) {
            let (matrix, trust) = (view.shape.len() == 2, direction_factor(between, &view.shape));
            // Views begin at multiples of a block, so no block has elements of two parameters.
            for block in blocks_of(view) {
                let row = &mut values[(1 + block) * FACTORS..][..FACTORS];
                row.copy_from_slice(&[
                    factors.lr,
                    factors.decay,
                    trust,
                    if matrix { 1.0 } else { 0.0 },
                ]);
            }
        }
        self.start(table, InitialValues::Floats(values));
        Ok(table)
    }

    /// Returns the steps that compute the norm of each parameter and of its direction, and write their ratio to the table.
    fn trust(
        &mut self,
        layout: &ParamLayout,
        (params, direction): (Slot, Slot),
        table: Slot,
    ) -> Result<Vec<Step>> {
        let blocks = layout.len() / BLOCK;
        let mut sums = Vec::new();
        let mut steps = Vec::new();
        // Sums of blocks first: the last kernel adds each parameter's blocks, however large it is.
        for (name, of) in [("params_squares", params), ("direction_squares", direction)] {
            let slot = self.slot(name, vec![blocks], Element::F32, Role::State)?;
            let kernel = Kernel::SquareSums { gradient: false, gathers: false, scaled: false };
            steps.push(self.step(kernel, vec![of], vec![slot])?);
            sums.push(slot);
        }
        let views: Vec<u32> = layout
            .views()
            .iter()
            .map(blocks_of)
            .flat_map(|blocks| [narrow(blocks.start), narrow(blocks.len())])
            .collect();
        let slot = self.slot("views", vec![views.len()], Element::U32, Role::Data)?;
        let reads = [sums.as_slice(), &[slot]].concat();
        self.start(slot, InitialValues::Indices(views));
        steps.push(self.step(Kernel::TrustRatios, reads, vec![table])?);
        Ok(steps)
    }
}

/// Returns the factor of a direction that depends on its parameter's shape.
fn direction_factor(between: Option<BetweenPasses>, shape: &[usize]) -> f64 {
    let (Some(BetweenPasses::Orthogonal { match_rms, .. }), &[rows, columns]) = (between, shape)
    else {
        return 1.0;
    };
    if match_rms {
        0.2 * (rows.max(columns) as f64).sqrt()
    } else {
        (rows as f64 / columns as f64).max(1.0).sqrt()
    }
}

/// The coefficients of Newton and Schulz's iteration that `torch.optim.Muon` has.
const TURN: [f64; 3] = [3.4445, -4.7750, 2.0315];

impl PlanBuilder {
    /// Appends the steps that divide a matrix by its norm; returns the result, which has no singular value above 1.
    fn divided_by_norm(
        &mut self,
        matrix: Slot,
        [rows, columns]: [usize; 2],
        eps: f64,
        steps: &mut Vec<Step>,
    ) -> Result<Slot> {
        let x = |index| Expr::input(index);
        let full = |columns| Operand::new(Broadcast::Both, columns);
        // |x|², by rows and then over them.
        let row_sums = self.temporary("row_squares", vec![rows], Element::F32);
        let formula = self.formula(Formula::new(&x(0).square(), vec![full(columns)], columns))?;
        let kernel = Kernel::MapColumns { formula, operands: 1, maximum: false };
        steps.push(self.step(kernel, vec![matrix], vec![row_sums])?);
        let sum = self.temporary("squares", vec![1], Element::F32);
        let formula = self.formula(Formula::new(&x(0), vec![full(1)], 1))?;
        let kernel = Kernel::MapRows { formula, operands: 1 };
        steps.push(self.step(kernel, vec![row_sums], vec![sum])?);
        let divided = x(0) / x(1).sqrt().max(&eps.into());
        let one = Operand::new(Broadcast::Nothing, 1);
        let formula = self.formula(Formula::new(&divided, vec![full(columns), one], columns))?;
        let result = self.temporary("x", vec![rows, columns], Element::F32);
        let kernel = Kernel::Map { formula, operands: 2 };
        steps.push(self.step(kernel, vec![matrix, sum], vec![result])?);
        Ok(result)
    }

    /// Replaces a matrix by one whose singular values are near 1: x / |x|, then `turns` times x ← a x + (b s + c s²) x with
    /// s = x xᵀ, or the same from the right where that is smaller.
    fn orthogonal(
        &mut self,
        matrix: Slot,
        [rows, columns]: [usize; 2],
        (turns, eps): (u32, f64),
    ) -> Result<Vec<Step>> {
        let identity = crate::model::Activation::Identity;
        let x = |index| Expr::input(index);
        let full = |columns| Operand::new(Broadcast::Both, columns);
        let mut steps = Vec::new();
        // The iteration needs a matrix without a singular value above 1 to converge.
        let mut present = self.divided_by_norm(matrix, [rows, columns], eps, &mut steps)?;
        let [a, b, c] = TURN;
        // The smaller of the two Gram matrices makes the cheaper products.
        let small = rows.min(columns);
        let square = vec![small, small];
        // Formulas do not depend on the turn, so one of each serves all turns.
        let flat = |columns| vec![full(columns); 2];
        let mix = Formula::new(&(b * x(0) + c * x(1)), flat(small), small);
        let mix = Kernel::Map { formula: self.formula(mix)?, operands: 2 };
        let turn = Formula::new(&(a * x(0) + x(1)), flat(columns), columns);
        let turn = Kernel::Map { formula: self.formula(turn)?, operands: 2 };
        let product = Kernel::MatmulNn { act_grad: identity, dropout: None };
        let transposed =
            Kernel::MatmulNt { bias: false, act: identity, save: false, dropout: None };
        // Each turn has temporaries of its own; `memory.rs` lets them share buffers.
        for index in 0..turns {
            let gram = self.temporary("gram", square.clone(), Element::F32);
            let kernel =
                if rows <= columns { transposed } else { Kernel::MatmulTn { bias_grad: false } };
            steps.push(self.step(kernel, vec![present, present], vec![gram])?);
            let gram_square = self.temporary("gram_square", square.clone(), Element::F32);
            // The Gram matrix is its own transpose; of this product the CPU computes one half.
            steps.push(self.step(transposed, vec![gram, gram], vec![gram_square])?);
            let mixed = self.temporary("gram_mix", square.clone(), Element::F32);
            steps.push(self.step(mix, vec![gram, gram_square], vec![mixed])?);
            let more = self.temporary("turned", vec![rows, columns], Element::F32);
            // The Gram matrix stands on the side on which it was formed.
            let factors = if rows <= columns { [mixed, present] } else { [present, mixed] };
            steps.push(self.step(product, factors.to_vec(), vec![more])?);
            // The last turn writes over the direction itself, so no copy is needed.
            let next = if index + 1 == turns {
                matrix
            } else {
                self.temporary("x", vec![rows, columns], Element::F32)
            };
            steps.push(self.step(turn, vec![present, more], vec![next])?);
            present = next;
        }
        Ok(steps)
    }
}

/// Returns the blocks of an arena that a parameter takes.
fn blocks_of(view: &crate::model::ParamView) -> std::ops::Range<usize> {
    view.offset / BLOCK..(view.offset + view.len()).div_ceil(BLOCK)
}
