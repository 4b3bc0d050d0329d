//! The places of a step at which ranks add up what each has summed over its own rows.
//!
//! In: a plan. Out: indices of steps, and slots.
//! Absent on purpose: the exchange itself.

use super::{ChainKind, Kernel, Phase, Plan, Slot, Step};

/// A sum over the rows of a batch: partial, if the batch's rows are shared among ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartialSum {
    /// Index of the step that writes the sum.
    pub step: usize,
    /// The sum.
    pub slot: Slot,
}

impl Plan {
    /// Returns the sums over a batch's rows that later steps before the update read, such as the statistics of a batch norm and
    /// the sums of its gradient. The sums that only become gradients are left out: these are complete in time for the update.
    pub(crate) fn sums_within_step(&self) -> Vec<PartialSum> {
        let steps = self.steps(Phase::Train);
        let end = self.backward_end();
        let mut sums = Vec::new();
        for (index, step) in steps[..end].iter().enumerate() {
            let written: &[Slot] = match step.kernel {
                Kernel::MapRows { .. } => &step.writes,
                // The sums of the left factor's columns, beside the product.
                Kernel::MatmulTn { .. } => &step.writes[1..],
                _ => &[],
            };
            let is_read =
                |slot: &&Slot| steps[index + 1..].iter().any(|it| it.reads.contains(*slot));
            sums.extend(
                written.iter().filter(is_read).map(|&slot| PartialSum { step: index, slot }),
            );
        }
        sums
    }

    /// Returns the number of training steps before the first one that needs complete gradients or statistics.
    pub(crate) fn backward_end(&self) -> usize {
        let steps = self.steps(Phase::Train);
        let ends = |kernel: &Kernel| {
            matches!(
                kernel,
                Kernel::CheckFinite { .. }
                    | Kernel::UpdateRunning { .. }
                    | Kernel::SquareSums { .. }
                    | Kernel::Update(_)
            )
        };
        steps.iter().position(|step| ends(&step.kernel)).unwrap_or(steps.len())
    }

    /// Returns the slot of all gradients; `None` for a plan without an update.
    pub(crate) fn gradients(&self) -> Option<Slot> {
        let mut updates = self.train.iter().filter(|step| matches!(step.kernel, Kernel::Update(_)));
        updates.find_map(|step| step.slot("gradient"))
    }

    /// Returns the slots of single gradients that steps write, each with the index of the last step that writes it. Together they
    /// are all elements of [`Self::gradients`] that are not always zero.
    pub(crate) fn gradient_writers(&self) -> Vec<PartialSum> {
        let Some(all) = self.gradients() else { return Vec::new() };
        let arena = self.slot(all).buffer;
        let mut writers: Vec<PartialSum> = Vec::new();
        for (index, step) in self.train[..self.backward_end()].iter().enumerate() {
            for &slot in step.writes.iter().filter(|&&slot| self.slot(slot).buffer == arena) {
                writers.retain(|earlier| earlier.slot != slot);
                writers.push(PartialSum { step: index, slot });
            }
        }
        writers
    }

    /// Returns the same plan for a device that runs parts of a training step. Chains with sums over rows become kernels of their own,
    /// since ranks add up each sum before a formula reads it.
    pub(crate) fn in_parts(&self) -> Self {
        let parts = |step: &Step| match &step.kernel {
            Kernel::Chain(chain) if chain.kind == ChainKind::Rows => chain.parts(step),
            _ => vec![step.clone()],
        };
        let train = self.train.iter().flat_map(parts).collect();
        Self { in_parts: true, train, ..self.clone() }
    }
}
