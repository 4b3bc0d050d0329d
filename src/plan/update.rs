//! The last steps of training: how weights move.
//!
//! In: an optimizer, what is done besides, the arenas. Out: steps, and the slots that they need.
//! Absent on purpose: formulas, which `graph` has.

use super::{Element, Formula, Kernel, PlanBuilder, Ports, Role, Slot, Start, Step, Update};
use crate::error::{Error, Result};
use crate::expr::Program;
use crate::graph::{PassKind, Training, factors};
use crate::model::{ParamLayout, VIEW_ALIGN};
use crate::shape::narrow;

/// Numbers of the table of factors for each block of an arena: of the rate, of the decay, the trust ratio, one unused.
/// In front of them stands one such row with what clips the gradients' norm.
pub const FACTORS: usize = 4;
/// Elements of an arena that share factors, and whose squares are summed together: each belongs to one parameter.
pub const BLOCK: usize = VIEW_ALIGN;

/// The arenas that an update goes through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arenas {
    pub(super) params: Slot,
    pub(super) gradients: Slot,
}

impl PlanBuilder {
    /// The slots that a step's update needs beside parameters and gradients, noted in the ports.
    pub(super) fn arenas_of_update(
        &mut self,
        step: &Training,
        layout: &ParamLayout,
        ports: &mut Ports,
    ) -> Result<()> {
        let sizes = || vec![layout.len()];
        for name in step.optimizer.states() {
            ports.states.push(self.slot(name, sizes(), Element::F32, Role::State)?);
        }
        ports.averaged = step.optimizer.evaluated().map(|state| ports.states[state]);
        if step.moves.average.is_some() {
            ports.averaged = Some(self.slot("average", sizes(), Element::F32, Role::State)?);
        }
        if step.moves.accumulate {
            let gathered = self.slot("gathered", sizes(), Element::F32, Role::State)?;
            ports.gathered = Some(gathered);
        }
        Ok(())
    }

    /// The steps that move the weights.
    pub(super) fn update(
        &mut self,
        step: &Training,
        layout: &ParamLayout,
        Arenas { params, gradients }: Arenas,
        ports: &Ports,
    ) -> Result<Vec<Step>> {
        let scaling = ports.scaling;
        let mut steps = Vec::new();
        if let Some(scaling) = scaling {
            steps.push(self.step(Kernel::CheckFinite, vec![gradients], vec![scaling])?);
        }
        if step.moves.plain(&step.optimizer) {
            let kernel = Kernel::update(&step.optimizer)?;
            let kernel = if scaling.is_some() { kernel.under_scale() } else { kernel };
            let reads = [Some(gradients), scaling].into_iter().flatten().collect();
            let half = ports.half_params.as_slice();
            let writes = [&[params], ports.states.as_slice(), half].concat();
            steps.push(self.step(kernel, reads, writes)?);
        } else {
            steps.extend(self.general(step, layout, Arenas { params, gradients }, ports)?);
        }
        if let Some(scaling) = scaling {
            steps.push(self.step(Kernel::Rescale, vec![], vec![scaling])?);
        }
        Ok(steps)
    }

    /// The update as expressions, with what it needs before.
    fn general(
        &mut self,
        step: &Training,
        layout: &ParamLayout,
        arenas: Arenas,
        ports: &Ports,
    ) -> Result<Vec<Step>> {
        let Training { optimizer, moves, .. } = step;
        let (scaling, gathered) = (ports.scaling, ports.gathered);
        let grouped = !moves.groups.is_empty();
        let passes = moves.passes(optimizer, grouped, scaling.is_some());
        let blocks = layout.len() / BLOCK;
        let mut steps = Vec::new();
        let table = if grouped || moves.clip_norm.is_some() || passes.len() > 1 {
            Some(self.table(step, layout)?)
        } else {
            None
        };
        if let (Some(max), Some(table)) = (moves.clip_norm, table) {
            let sums = self.slot("square_sums", vec![blocks], Element::F32, Role::State)?;
            let kernel = Kernel::SquareSums {
                gradient: true,
                gathers: gathered.is_some(),
                scaled: scaling.is_some(),
            };
            let reads = [Some(arenas.gradients), gathered, scaling, Some(table)];
            let reads = reads.into_iter().flatten().collect();
            steps.push(self.step(kernel, reads, vec![sums])?);
            steps.push(self.step(Kernel::ClipNorm { max }, vec![sums], vec![table])?);
        }
        for pass in passes {
            let first = pass.kind != PassKind::Second;
            let last = pass.kind != PassKind::First;
            let average = ports.averaged.filter(|_| last && moves.average.is_some());
            let gathered = gathered.filter(|_| first);
            let half = ports.half_params.filter(|_| last);
            let update = Update {
                formula: self.formula(Formula {
                    program: Program::of(&pass.exprs),
                    text: optimizer.to_string(),
                    operands: vec![],
                    columns: 0,
                })?,
                pass: pass.kind,
                states: u8::try_from(ports.states.len()).unwrap_or(u8::MAX),
                gathers: gathered.is_some(),
                averages: average.is_some(),
                table: table.is_some(),
                scaled: scaling.is_some(),
            };
            let reads = [Some(arenas.gradients), scaling, table].into_iter().flatten().collect();
            let mut writes = [&[arenas.params], ports.states.as_slice()].concat();
            writes.extend([gathered, average, half].into_iter().flatten());
            steps.push(self.step(Kernel::Update(update), reads, writes)?);
            if let (PassKind::First, Some(table)) = (pass.kind, table) {
                let direction = ports.states[ports.states.len() - 1];
                steps.extend(self.trust(layout, (arenas.params, direction), table)?);
            }
        }
        Ok(steps)
    }

    /// The table of factors, which begins with those of the groups.
    fn table(&mut self, step: &Training, layout: &ParamLayout) -> Result<Slot> {
        let rows = 1 + layout.len() / BLOCK;
        let table = self.slot("factors", vec![rows, FACTORS], Element::F32, Role::State)?;
        let mut values = vec![1.0; rows * FACTORS];
        for (view, factors) in layout.views().iter().zip(factors(&step.moves.groups, layout)?) {
            for block in blocks_of(view) {
                let row = &mut values[(1 + block) * FACTORS..][..FACTORS];
                #[expect(clippy::cast_possible_truncation, reason = "slots hold f32")]
                row[..2].copy_from_slice(&[factors.lr as f32, factors.decay as f32]);
            }
        }
        self.start(table, Start::F32(values));
        Ok(table)
    }

    /// Norms of each parameter and of its direction, and their ratio in the table.
    fn trust(
        &mut self,
        layout: &ParamLayout,
        (params, direction): (Slot, Slot),
        table: Slot,
    ) -> Result<Vec<Step>> {
        let blocks = layout.len() / BLOCK;
        let mut sums = Vec::new();
        let mut steps = Vec::new();
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
        self.start(slot, Start::U32(views));
        steps.push(self.step(Kernel::TrustRatios, reads, vec![table])?);
        Ok(steps)
    }
}

/// The blocks of an arena that a parameter lies in.
fn blocks_of(view: &crate::model::ParamView) -> std::ops::Range<usize> {
    view.offset / BLOCK..(view.offset + view.len()).div_ceil(BLOCK)
}

impl Kernel {
    /// The kernel of a plain optimizer's update.
    ///
    /// # Errors
    /// If it has none of its own.
    pub fn update(optimizer: &crate::graph::Optimizer) -> Result<Self> {
        use crate::graph::Optimizer;
        let scaled = false;
        match *optimizer {
            Optimizer::Sgd { momentum, nesterov, weight_decay } => {
                Ok(Self::UpdateSgd { momentum, nesterov, weight_decay, scaled })
            }
            Optimizer::Adam { beta1, beta2, eps, weight_decay } => {
                Ok(Self::UpdateAdam { beta1, beta2, eps, weight_decay, decoupled: false, scaled })
            }
            Optimizer::AdamW { beta1, beta2, eps, weight_decay } => {
                Ok(Self::UpdateAdam { beta1, beta2, eps, weight_decay, decoupled: true, scaled })
            }
            Optimizer::Other(_) => {
                Err(Error::shape("update", format!("{optimizer} has no kernel of its own")))
            }
        }
    }
}
