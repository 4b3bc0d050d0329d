//! Collects the parts of a plan, checks each step, and gives the temporaries their memory.
//!
//! In: slots, steps, formulas. Out: a [`Plan`].
//! Absent on purpose: which steps a training or a prediction has.

use std::collections::HashMap;

use super::memory::{Temporary, assign};
use super::{
    BufferId, BufferSpec, Element, Formula, FormulaId, InitialValues, Kernel, LossVariant, Phase,
    Plan, Role, Slot, SlotSpec, Step,
};
use crate::error::{Error, Result};
use crate::graph::{Loss, Objective, Reduction};
use crate::model::ParamLayout;
use crate::shape::{elements, narrow};

/// Collects buffers, slots and steps, then shares memory among the temporaries.
#[derive(Clone, Debug, Default)]
pub struct PlanBuilder {
    buffers: Vec<BufferSpec>,
    slots: Vec<SlotSpec>,
    /// Temporaries of the phase that is being built.
    temporaries: Vec<Temporary>,
    train: (Vec<Temporary>, Vec<Step>),
    eval: (Vec<Temporary>, Vec<Step>),
    measure: (Vec<Temporary>, Vec<Step>),
    formulas: Vec<Formula>,
    /// Formulas by their text and number of columns: searching all formulas for each new one would make plans of many
    /// layers quadratic.
    known: HashMap<(String, usize), Vec<FormulaId>>,
    starts: Vec<(Slot, InitialValues)>,
}

impl PlanBuilder {
    /// Makes a builder without slots.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a slot with a buffer of its own.
    ///
    /// # Errors
    /// If its elements cannot be counted in 32 bits.
    pub fn slot(
        &mut self,
        name: &str,
        sizes: Vec<usize>,
        element: Element,
        role: Role,
    ) -> Result<Slot> {
        let len = count(name, &sizes)?;
        let buffer = BufferId(narrow(self.buffers.len()));
        // A buffer without elements cannot be bound.
        self.buffers.push(BufferSpec {
            name: name.to_string(),
            elements: len.max(1),
            element,
            role,
        });
        Ok(self.view(name, sizes, element, buffer, 0))
    }

    /// Adds a slot inside another one's buffer.
    fn view(
        &mut self,
        name: &str,
        sizes: Vec<usize>,
        element: Element,
        buffer: BufferId,
        offset: usize,
    ) -> Slot {
        let name = name.to_string();
        self.slots.push(SlotSpec { name, sizes, element, buffer, offset, same_as: None });
        Slot(narrow(self.slots.len() - 1))
    }

    /// Adds a slot for the elements of another one, in another shape.
    pub(super) fn reshaped(&mut self, name: &str, sizes: Vec<usize>, slot: Slot) -> Slot {
        let slot = self.original(slot);
        let SlotSpec { element, buffer, offset, .. } = self.slots[slot.0 as usize];
        let reshaped = self.view(name, sizes, element, buffer, offset);
        self.slots[reshaped.0 as usize].same_as = Some(slot);
        reshaped
    }

    /// Returns the slot that a slot is another shape of; of others the slot itself.
    fn original(&self, slot: Slot) -> Slot {
        self.slots[slot.0 as usize].same_as.unwrap_or(slot)
    }

    /// Returns a slot's element type.
    pub(super) fn element(&self, slot: Slot) -> Element {
        self.slots[slot.0 as usize].element
    }

    /// Returns a slot's sizes.
    pub(super) fn sizes(&self, slot: Slot) -> Vec<usize> {
        self.slots[slot.0 as usize].sizes.clone()
    }

    /// Adds views of each parameter inside an arena.
    pub(super) fn views(&mut self, arena: Slot, layout: &ParamLayout, prefix: &str) -> Vec<Slot> {
        let SlotSpec { buffer, element, .. } = self.slots[arena.0 as usize];
        let view = |it: &crate::model::ParamView| {
            (format!("{prefix}{}", it.name), it.shape.clone(), it.offset)
        };
        let views: Vec<_> = layout.views().iter().map(view).collect();
        let make = |(name, sizes, offset): (String, _, _)| {
            self.view(&name, sizes, element, buffer, offset)
        };
        views.into_iter().map(make).collect()
    }

    /// Adds a slot for the phase that is being built; the buffer is assigned when the plan is finished.
    pub fn temporary(&mut self, name: &str, sizes: Vec<usize>, element: Element) -> Slot {
        let len = sizes.iter().product();
        let slot = self.view(name, sizes, element, BufferId(u32::MAX), 0);
        self.temporaries.push(Temporary { slot: slot.0 as usize, len, element });
        slot
    }

    /// Returns a formula's index among the plan's; an equal formula is not added again.
    ///
    /// # Errors
    /// If there are too many formulas to count.
    pub fn formula(&mut self, formula: Formula) -> Result<FormulaId> {
        // Text and columns do not tell all formulas apart, so those with an equal key are compared in full.
        let known = self.known.entry((formula.text.clone(), formula.columns)).or_default();
        let same = |id: &&FormulaId| self.formulas[usize::from(id.0)] == formula;
        if let Some(&id) = known.iter().find(same) {
            return Ok(id);
        }
        let id = u16::try_from(self.formulas.len()).map(FormulaId);
        let id = id.map_err(|_| {
            Error::shape("plan", "the network has more than 65,536 different elementwise formulas; use fewer layers of different kinds")
        })?;
        known.push(id);
        self.formulas.push(formula);
        Ok(id)
    }

    /// Returns a formula that was added.
    pub(super) fn formula_of(&self, id: FormulaId) -> &Formula {
        &self.formulas[id.index()]
    }

    /// Returns the kernel of a loss: the one that all losses of its kind share.
    pub(super) fn loss(&mut self, objective: &Objective, scaled: bool) -> Result<Kernel> {
        let &Objective { ref loss, reduction, weights, constants, members } = objective;
        let mean = reduction == Reduction::Mean;
        let members = narrow(members);
        let form = LossVariant { mean, constants, weights, scaled, members };
        if let Loss::Classes(loss) = *loss {
            return Ok(Kernel::LossClasses { loss, form });
        }
        let formula =
            loss.planned_formula().expect("a loss that is not over classes is elementwise");
        let width = u8::try_from(formula.slopes.len()).expect("a loss has a few inputs");
        let (program, text) = (formula.program(), loss.to_string());
        let formula = self.formula(Formula { program, text, operands: vec![], columns: 0 })?;
        Ok(Kernel::LossMap { formula, width, form })
    }

    /// Sets a slot's initial values, instead of zeros.
    pub(crate) fn start(&mut self, slot: Slot, values: InitialValues) {
        self.starts.push((slot, values));
    }

    /// Returns a checked step.
    ///
    /// # Errors
    /// If the kernel reads or writes another number of slots, or one slot's buffer is both read and written:
    /// WebGPU checks usage for whole buffers, so a value changed in place counts as written only.
    pub fn step(&self, kernel: Kernel, reads: Vec<Slot>, writes: Vec<Slot>) -> Result<Step> {
        if (reads.len(), writes.len()) != kernel.arity() {
            let problem = format!(
                "{} reads and {} writes, not {:?}",
                reads.len(),
                writes.len(),
                kernel.arity()
            );
            return Err(Error::shape(kernel.name(), problem));
        }
        let buffer = |slot: &Slot| self.slots[slot.0 as usize].buffer;
        // Temporaries have no buffer yet; `memory.rs` keeps those that a step reads apart from those that it writes.
        let known = |id: &BufferId| id.0 != u32::MAX;
        for read in &reads {
            let clash = |write: &&Slot| {
                self.original(**write) == self.original(*read)
                    || (known(&buffer(read)) && buffer(write) == buffer(read))
            };
            if let Some(write) = writes.iter().find(clash) {
                let name = |slot: &Slot| self.slots[slot.0 as usize].name.clone();
                let problem = format!(
                    "{} and {} share a buffer, but one is read and one written",
                    name(read),
                    name(write)
                );
                return Err(Error::shape(kernel.name(), problem));
            }
        }
        Ok(Step { kernel, reads, writes })
    }

    /// Ends a phase and stores its steps.
    pub fn phase(&mut self, phase: Phase, steps: Vec<Step>) {
        let temporaries = std::mem::take(&mut self.temporaries);
        match phase {
            Phase::Train => self.train = (temporaries, steps),
            Phase::Eval => self.eval = (temporaries, steps),
            Phase::Measure => self.measure = (temporaries, steps),
        }
    }

    /// Returns the finished plan, in which the temporaries have buffers.
    pub fn finish(self, batch: usize, eval_batch: usize) -> Plan {
        let Self {
            mut buffers,
            mut slots,
            train: (of_train, train),
            eval: (of_eval, eval),
            measure: (of_measure, measure),
            formulas,
            starts,
            ..
        } = self;
        let originals: Vec<usize> = (0..)
            .zip(&slots)
            .map(|(index, slot)| slot.same_as.map_or(index, |it| it.0 as usize))
            .collect();
        let (places, shared) = assign(
            &[
                (Phase::Train, of_train.as_slice(), train.as_slice()),
                (Phase::Eval, of_eval.as_slice(), eval.as_slice()),
                (Phase::Measure, of_measure.as_slice(), measure.as_slice()),
            ],
            &originals,
        );
        // A temporary that no step uses would be a bug of the lowering; it is not placed.
        for (slot, (buffer, offset)) in places {
            slots[slot].buffer = BufferId(narrow(buffers.len() + buffer));
            slots[slot].offset = offset;
        }
        // A slot in another shape lies where the slot lies that it is a shape of.
        for index in 0..slots.len() {
            let SlotSpec { buffer, offset, .. } = slots[originals[index]];
            (slots[index].buffer, slots[index].offset) = (buffer, offset);
        }
        for (index, (element, elements)) in shared.into_iter().enumerate() {
            let (name, role) = (format!("temporary{index}"), Role::Activations);
            buffers.push(BufferSpec { name, elements, element, role });
        }
        let shared = Vec::new();
        Plan {
            batch,
            eval_batch,
            buffers,
            slots,
            train,
            eval,
            measure,
            formulas,
            starts,
            shared,
            in_parts: false,
        }
    }
}

fn count(name: &str, sizes: &[usize]) -> Result<usize> {
    elements(sizes).filter(|&len| u32::try_from(len).is_ok()).ok_or_else(|| {
        Error::shape(
            name,
            format!("{sizes:?} has more than 2^32 elements; use fewer rows or smaller layers"),
        )
    })
}
