//! Half precision in plans: the slots that have it, and the loss scale that keeps small gradients from becoming 0 in it.
//!
//! Absent on purpose: rounding, which is done by the devices.

use std::fmt;
use std::str::FromStr;

use super::{Declaration, Element, Plan, SlotPrecision, Step};
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId, Op};
use crate::model::ParamLayout;
use crate::shape::Dim;

/// Storage type of the values between a training step's kernels. Sums run in single precision in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single precision throughout.
    #[default]
    F32,
    /// Features, activations, their gradients and a copy of the weights in half precision; weights, their gradients,
    /// optimizer state, logits and losses in single.
    F16,
}

impl Precision {
    /// The name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }

    /// Returns the storage type of a node's value: half precision for values of the batch's rows if the plan says so, except
    /// for the prediction, since the loss needs all its digits.
    pub(super) fn of_node(self, graph: &Graph, id: NodeId) -> Element {
        let rows = !matches!(graph.shape(id).dims().first(), None | Some(Dim::Of(_)));
        let is_it = |op: &Op| matches!(*op, Op::Loss { prediction, .. } if prediction == id);
        let predicted = graph.users(id).iter().any(|&user| is_it(&graph.node(user).op));
        if self == Self::F16 && rows && !predicted { Element::F16 } else { Element::F32 }
    }

    /// Returns the layout of a model's parameters in a plan: with views so far apart that their copy in half precision can
    /// be bound as well.
    ///
    /// # Errors
    /// If they exceed 2^32 elements.
    pub fn layout(self, model: &ParamLayout) -> Result<ParamLayout> {
        match self {
            Self::F32 => Ok(model.clone()),
            Self::F16 => model.aligned(Element::F16.alignment()),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = [Self::F32, Self::F16];
        let wanted = name.to_ascii_lowercase();
        known.into_iter().find(|precision| precision.name() == wanted).ok_or_else(|| {
            Error::setting("precision", format!("unknown name \"{name}\"; known: f32, f16"))
        })
    }
}

/// The largest finite number of half precision.
pub const HALF_MAX: f32 = 65_504.0;

/// Storage types of a kernel's floats: of the slots that the kernel reads, and of those that it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageTypes {
    /// Operands, arguments, terms, the bias; of a formula's operands, each of which has a precision of its own, half if one has.
    pub read: Element,
    /// Results; also an operand that passes through to them, and an update's copy of the weights.
    pub write: Element,
}

impl StorageTypes {
    /// Single precision throughout.
    pub const F32: Self = Self { read: Element::F32, write: Element::F32 };

    /// Returns whether half precision occurs.
    pub fn half(self) -> bool {
        self.read == Element::F16 || self.write == Element::F16
    }
}

impl fmt::Display for StorageTypes {
    /// Writes the suffix of a kernel's name: nothing for single precision.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.read, self.write) {
            (Element::F16, Element::F16) => f.write_str(" f16"),
            (Element::F16, _) => f.write_str(" f16_to_f32"),
            (_, Element::F16) => f.write_str(" f32_to_f16"),
            _ => Ok(()),
        }
    }
}

impl Plan {
    /// Returns whether any slot has half precision.
    pub fn has_half(&self) -> bool {
        self.slots().any(|(_, slot)| slot.element == Element::F16)
    }

    /// Returns the storage types of a step's slots.
    ///
    /// # Errors
    /// If the step's kernel has no variant for the storage types.
    pub fn stored(&self, step: &Step) -> Result<StorageTypes> {
        let Declaration { reads, writes, .. } = step.kernel.declaration();
        let arguments = reads.iter().chain(&writes).filter(|argument| argument.present);
        let slots = step.reads.iter().chain(&step.writes).map(|&slot| self.slot(slot).element);
        let slots: Vec<(SlotPrecision, Element)> =
            arguments.map(|argument| argument.precision).zip(slots).collect();
        // One half among the slots of a kind decides for all; `fits` then finds those that differ.
        let element = |precisions: &[SlotPrecision]| {
            let half = |(it, element): &(SlotPrecision, Element)| {
                *element == Element::F16 && precisions.contains(it)
            };
            if slots.iter().any(half) { Element::F16 } else { Element::F32 }
        };
        let read = element(&[SlotPrecision::Read, SlotPrecision::Own]);
        let write = element(&[SlotPrecision::Write, SlotPrecision::OwnWrite]);
        let stored = StorageTypes { read, write };
        let fits = slots.iter().all(|&(precision, element)| match precision {
            SlotPrecision::Read => element == stored.read,
            SlotPrecision::Write => element == stored.write,
            SlotPrecision::Own | SlotPrecision::OwnWrite => true,
            SlotPrecision::Single => element != Element::F16,
        });
        if fits {
            return Ok(stored);
        }
        let problem = format!(
            "f16 has no form of the kernel {}, which {} needs; use ‘precision’ f32",
            step.kernel.name(),
            step.writes.first().map_or("a layer", |&slot| self.slot(slot).name.as_str())
        );
        Err(Error::setting("precision", problem))
    }
}

/// The numbers of the slot `scaling`, in their order there.
///
/// The loss's gradient is multiplied by `scale` and the parameters' gradients by `inverse`. A step whose gradients are not
/// all finite changes no weight and halves the scale; after [`LossScaler::GROW_AFTER`] other steps the scale doubles. The
/// rule and its numbers are those of `torch.amp.GradScaler`.
///
/// Where steps whose loss is not finite are skipped, `overflow` stays set until the end of the update that the step belongs
/// to: the whole update is skipped, and such a loss does not change the scale. In single precision the slot has no other
/// purpose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossScaler {
    /// The loss scale, a power of two.
    pub scale: f32,
    /// 1 / scale, exactly.
    pub inverse: f32,
    /// Steps since the scale last changed.
    pub good: f32,
    /// 1 while the gradients of the present step are not all finite, [`LossScaler::LOST`] while its loss is not.
    pub overflow: f32,
    /// Steps that changed nothing, since the run began.
    pub skipped: f32,
}

impl LossScaler {
    /// Values at the beginning of a run.
    pub const START: Self =
        Self { scale: 65_536.0, inverse: 1.0 / 65_536.0, good: 0.0, overflow: 0.0, skipped: 0.0 };
    /// Values at the beginning of a run without a loss scale.
    pub const NONE: Self =
        Self { scale: 1.0, inverse: 1.0, good: 0.0, overflow: 0.0, skipped: 0.0 };
    /// Value of `overflow` after a loss that is not finite. Its bits include those of 1, so that setting bits is enough.
    pub const LOST: f32 = 1.5;
    /// Steps without overflow after which the scale doubles.
    pub const GROW_AFTER: u32 = 2000;
    /// The scale stays between this and its inverse.
    pub const LARGEST: u32 = 1 << 24;
    /// Number of values.
    pub const LEN: usize = 5;

    /// Returns the slot's values.
    pub fn values(self) -> [f32; Self::LEN] {
        [self.scale, self.inverse, self.good, self.overflow, self.skipped]
    }

    /// Makes a loss scaler from the slot's values.
    pub fn of([scale, inverse, good, overflow, skipped]: [f32; Self::LEN]) -> Self {
        Self { scale, inverse, good, overflow, skipped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_or_refused() {
        for precision in [Precision::F32, Precision::F16] {
            assert_eq!(precision.name().parse::<Precision>().unwrap(), precision);
        }
        let said = "bf16".parse::<Precision>().unwrap_err().to_string();
        assert_eq!(said, "precision: unknown name \"bf16\"; known: f32, f16");
    }
}
