//! Entries of the vocabulary (layers, losses, schedules …) for `docs/vocabulary.md`.
//!
//! Each module lists its own items, beside their formulas; `report::vocabulary` makes the document of them.

mod call;

pub(crate) use call::{Call, WrittenCall, key_and_value, name_and_inner, parts, plain, written};

/// An item as documents show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name in options and files.
    pub name: &'static str,
    /// Formula, in one line.
    pub formula: &'static str,
    /// Parameters with their defaults, such as `beta1 0.9, eps 1e-8`; empty for none.
    pub parameters: &'static str,
    /// Where formula and defaults come from: a name in PyTorch or scikit-learn, or a paper.
    pub source: &'static str,
}

/// Returns an entry.
pub(crate) const fn entry(
    name: &'static str,
    formula: &'static str,
    parameters: &'static str,
    source: &'static str,
) -> Entry {
    Entry { name, formula, parameters, source }
}
