//! The parts of a kernel's declaration: its arguments, and the fusions that have a name.
//!
//! `Kernel::declaration` in `kernel.rs` puts them together. Absent on purpose: what a kernel computes.

use std::borrow::Cow;

use super::{MOST_LINKS, MOST_OPERANDS};

/// Which of the two precisions of a kernel's variant a slot has; see [`super::StorageTypes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotPrecision {
    /// Precision of the slots that the kernel reads.
    Read,
    /// Precision of the slots that the kernel writes.
    Write,
    /// Precision of its own, whatever that of the others.
    Own,
    /// Precision of its own, of a slot that is written.
    OwnWrite,
    /// Single precision, or whole numbers, in every variant.
    Single,
}

/// A slot that a kernel reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// The name in the kernel's shader, and of the function's argument on the CPU.
    pub name: &'static str,
    /// True if this variant of the kernel has the argument.
    pub present: bool,
    /// Precision of its slot.
    pub precision: SlotPrecision,
    /// True if shaders bind the slot. Else it is for devices that have no memory of a kernel's own.
    pub bound: bool,
}

impl Argument {
    /// Returns the same argument, but absent unless a condition holds.
    pub(super) fn when(self, present: bool) -> Self {
        Self { present, ..self }
    }
}

/// Returns an argument in single precision, or of whole numbers, in every variant.
pub(super) fn single(name: &'static str) -> Argument {
    Argument { name, present: true, precision: SlotPrecision::Single, bound: true }
}

/// Returns an argument in the precision of the slots that are read.
pub(super) fn factor(name: &'static str) -> Argument {
    Argument { precision: SlotPrecision::Read, ..single(name) }
}

/// Returns an argument in the precision of the slots that are written.
pub(super) fn result(name: &'static str) -> Argument {
    Argument { precision: SlotPrecision::Write, ..single(name) }
}

/// Returns the operands of a formula, of which the first `count` are present.
pub(super) fn operand_list(count: u8) -> [Argument; MOST_OPERANDS] {
    let mut index = 0;
    ["x0", "x1", "x2", "x3", "x4", "x5"].map(|name| {
        index += 1;
        Argument { precision: SlotPrecision::Own, ..single(name).when(index <= count) }
    })
}

/// Returns the results of a chain, of which the first `count` are present; bit i of `bound` is set if shaders bind the result
/// i.
pub(super) fn result_list(count: u8, bound: u32) -> [Argument; MOST_LINKS] {
    let mut index = 0;
    ["y0", "y1", "y2", "y3", "y4"].map(|name| {
        index += 1;
        let bound = bound >> (index - 1) & 1 == 1;
        let result = Argument { precision: SlotPrecision::OwnWrite, bound, ..single(name) };
        result.when(index <= count)
    })
}

/// A part of a kernel's variant: a constant of its shader, a word behind its name in printed plans, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// The constant's name and value.
    pub constant: Option<(&'static str, u32)>,
    word: Option<Cow<'static, str>>,
}

impl Feature {
    /// Returns the same feature, with a word that stands in printed plans unless the constant is 0.
    pub(super) fn shown(self, word: impl Into<Cow<'static, str>>) -> Self {
        let on = self.constant.is_none_or(|(_, value)| value != 0);
        Self { word: on.then(|| word.into()), ..self }
    }

    /// Returns the same feature, with a word that stands in printed plans if a condition holds.
    pub(super) fn shown_if(self, on: bool, word: impl Into<Cow<'static, str>>) -> Self {
        Self { word: on.then(|| word.into()), ..self }
    }

    /// Returns the word in printed plans.
    pub fn word(&self) -> Option<&str> {
        self.word.as_deref()
    }
}

/// Returns a constant with a value.
pub(super) fn value(name: &'static str, value: u32) -> Feature {
    Feature { constant: Some((name, value)), word: None }
}

/// Returns a constant that is 0 or 1.
pub(super) fn flag(name: &'static str, on: bool) -> Feature {
    value(name, u32::from(on))
}

/// Returns a word that stands in printed plans alone.
pub(super) fn word(on: bool, word: impl Into<Cow<'static, str>>) -> Feature {
    Feature { constant: None, word: on.then(|| word.into()) }
}

/// A kernel's name, its arguments, and its fusions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// Name of the kernel.
    pub name: &'static str,
    /// All arguments that a variant of the kernel may read, in their order in steps and shaders.
    pub reads: Vec<Argument>,
    /// All arguments that a variant of the kernel may write or change, in their order.
    pub writes: Vec<Argument>,
    /// Fusions, in the order of printed plans.
    pub features: Vec<Feature>,
    /// True if the host declares the shader's bindings, and only those of arguments that are present.
    pub generated: bool,
}

impl Declaration {
    pub(super) fn of(name: &'static str) -> Self {
        Self { name, reads: vec![], writes: vec![], features: vec![], generated: false }
    }

    pub(super) fn reads(mut self, more: impl IntoIterator<Item = Argument>) -> Self {
        self.reads.extend(more);
        self
    }

    pub(super) fn writes(mut self, more: impl IntoIterator<Item = Argument>) -> Self {
        self.writes.extend(more);
        self
    }

    pub(super) fn features(mut self, more: impl IntoIterator<Item = Feature>) -> Self {
        self.features.extend(more);
        self
    }

    pub(super) fn generated(self) -> Self {
        Self { generated: true, ..self }
    }

    /// Returns the arguments that have a binding in the kernel's shader, those that are read and those that are written.
    pub fn bound(&self) -> [Vec<Argument>; 2] {
        [&self.reads, &self.writes].map(|arguments| {
            arguments.iter().copied().filter(|argument| self.binds(argument)).collect()
        })
    }

    /// Returns whether an argument has a binding in the kernel's shader.
    pub fn binds(&self, argument: &Argument) -> bool {
        argument.bound && (argument.present || !self.generated)
    }

    /// Returns the constants of the shader.
    pub fn constants(&self) -> Vec<(&'static str, u32)> {
        self.features.iter().filter_map(|feature| feature.constant).collect()
    }
}
