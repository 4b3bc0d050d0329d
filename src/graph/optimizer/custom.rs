//! An optimizer of the user's own: assignments of expressions, one after the other.
//!
//! In: a text. Out: a checked [`CustomOptimizer`]: what it keeps from update to update, and the new value of each.

use std::collections::BTreeMap;
use std::fmt;

use super::specs::MOST_STATES;
use super::specs::{OWN, input};
use crate::error::{Error, Result};
use crate::expr::{Expr, ExprNode, StepValue, parse_with_names};
use crate::model::call;
use crate::vocabulary::parts;

/// Names that a text may read but not assign.
const GIVEN: [&str; 4] = ["g", "lr", "t", "decay"];
/// Names in errors.
const KNOWN: &str = "w, g, lr, t, decay, a name that is assigned";

/// Assignments such as `v = 0.9 * v + g, w = w - lr * v`, done in their order for each weight.
///
/// * `w` is the weight, `g` its gradient, `lr` the learning rate, `t` the number of this update from 1 on, and `decay` the
///   weight decay.
/// * A name that is read before it is assigned is a state: it keeps its value from update to update, and starts at 0.
/// * Any other name is an intermediate value, or a constant: `beta = 0.9`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CustomOptimizer {
    /// The assignments as they were written, each without blanks around it.
    text: Vec<String>,
    /// The states' names, in the order in which the text reads them first.
    states: Vec<String>,
    /// New values: of the weight, then of each state. Inputs and step values are those of an update.
    values: Vec<Expr>,
    decays: bool,
}

impl CustomOptimizer {
    /// Reads assignments.
    pub(super) fn new(text: &str) -> Result<Self> {
        Self::read(text)
            .map_err(|problem| Error::setting("optimizer", format!("custom: {problem}")))
    }

    fn read(text: &str) -> Result<Self, String> {
        let mut assignments = Vec::new();
        for part in parts(text)? {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| format!("\"{part}\" is no assignment such as w = w - lr * g"))?;
            let name = name.trim();
            check_name(name)?;
            if assignments.iter().any(|(other, _)| *other == name) {
                return Err(format!("{name} is assigned twice; give one of the two another name"));
            }
            assignments.push((name, value.trim()));
        }
        let states = states_of(&assignments)?;
        // Names mean their newest value, so that assignments are done one after the other.
        let mut known: BTreeMap<&str, Expr> = states
            .iter()
            .zip(input::STATE..)
            .map(|(name, index)| (name.as_str(), Expr::input(index)))
            .collect();
        known.insert("w", Expr::input(input::WEIGHT));
        known.insert("g", Expr::input(input::GRADIENT));
        known.insert("lr", super::specs::learning_rate());
        known.insert("t", Expr::quantity(StepValue::Scalar(OWN)));
        known.insert("decay", super::specs::weight_decay());
        for (name, value) in &assignments {
            let of = |name: &str| known.get(name).cloned();
            let expr = parse_with_names(value, (KNOWN, &of), &call)
                .map_err(|problem| format!("{name} = {value}: {problem}"))?;
            check_values(name, &expr)?;
            known.insert(name, expr);
        }
        if !assignments.iter().any(|(name, _)| *name == "w") {
            return Err(
                "nothing is assigned to w, the weight; end with such as w = w - lr * g".to_string()
            );
        }
        check_use(&assignments)?;
        let newest = |name: &str| known[name].clone();
        let values: Vec<Expr> =
            std::iter::once(newest("w")).chain(states.iter().map(|name| newest(name))).collect();
        let decays = values.iter().any(|value| uses(value, &ExprNode::Input(input::DECAY)));
        if !values.iter().any(|value| uses(value, &ExprNode::Input(input::GRADIENT))) {
            return Err(
                "no weight depends on g, the gradient; use it, as in w = w - lr * g".to_string()
            );
        }
        let text = assignments.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        Ok(Self { text, states, values, decays })
    }

    /// Returns the names of the arenas of state, which no other slot of a plan has.
    pub(super) fn states(&self) -> Vec<String> {
        self.states.iter().map(|name| format!("custom_{name}")).collect()
    }

    /// Returns the new values from a gradient.
    pub(super) fn formulas(&self, gradient: &Expr) -> Vec<Expr> {
        let of =
            |node: &ExprNode| (*node == ExprNode::Input(input::GRADIENT)).then(|| gradient.clone());
        self.values.iter().map(|value| value.replaced(&mut { of })).collect()
    }

    /// Returns true if the weight decay changes anything.
    pub(super) fn decays(&self) -> bool {
        self.decays
    }
}

impl fmt::Display for CustomOptimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text.join(", "))
    }
}

/// Refuses what cannot be assigned.
fn check_name(name: &str) -> Result<(), String> {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !plain {
        return Err(format!("\"{name}\" is no name; names have letters, digits and _"));
    }
    if GIVEN.contains(&name) || name == "pi" {
        return Err(format!("{name} is given, and cannot be assigned; choose another name"));
    }
    Ok(())
}

/// Returns the names that an assignment reads.
fn names_in(value: &str) -> Vec<String> {
    let read = std::cell::RefCell::new(Vec::new());
    let of = |name: &str| {
        read.borrow_mut().push(name.to_string());
        // Any number: only the names matter here.
        Some(Expr::input(input::WEIGHT))
    };
    // A mistake in a text is reported where the text is read for its values.
    let _ = parse_with_names(value, (KNOWN, &of), &call);
    read.into_inner()
}

/// Refuses names that the weight's new value does not depend on: one of them is likely a misspelt setting.
fn check_use(assignments: &[(&str, &str)]) -> Result<(), String> {
    let mut used = vec!["w".to_string()];
    let mut next = 0;
    while let Some(name) = used.get(next).cloned() {
        next += 1;
        let of_name = assignments.iter().filter(|(other, _)| *other == name);
        for read in of_name.flat_map(|(_, value)| names_in(value)) {
            if !used.contains(&read) {
                used.push(read);
            }
        }
    }
    let unused = assignments.iter().find(|(name, _)| !used.iter().any(|it| it == name));
    match unused {
        Some((name, _)) => Err(format!(
            "{name} is assigned, but w does not depend on it; use it in a formula, or leave it out"
        )),
        None => Ok(()),
    }
}

/// Returns the names that are read before they are assigned, besides the weight.
fn states_of(assignments: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let mut states: Vec<String> = Vec::new();
    for (index, (_, value)) in assignments.iter().enumerate() {
        for name in names_in(value) {
            let later = assignments[index..].iter().any(|(other, _)| *other == name);
            if later && name != "w" && !states.contains(&name) {
                states.push(name);
            }
        }
    }
    if states.len() > MOST_STATES {
        return Err(format!(
            "{} are {} states, which keep their values from update to update, but at most {MOST_STATES} are possible",
            states.join(", "),
            states.len()
        ));
    }
    Ok(states)
}

/// Refuses numbers that are not finite, and values that are too long written out.
fn check_values(name: &str, expr: &Expr) -> Result<(), String> {
    const MOST_SIZE: u32 = 1000;
    if expr.size() > MOST_SIZE {
        return Err(format!(
            "{name} has more than {MOST_SIZE} operations, written out; make it shorter"
        ));
    }
    match expr.endless() {
        Some(value) => Err(format!(
            "a part of {name} is {value} whatever the gradient is; leave that part out"
        )),
        None => Ok(()),
    }
}

fn uses(expr: &Expr, wanted: &ExprNode) -> bool {
    let mut found = false;
    expr.replaced(&mut |node| {
        found |= node == wanted;
        None
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_weight_does_not_depend_on_is_refused() {
        let said = |text: &str| CustomOptimizer::new(text).map_err(|error| error.to_string());
        for (unused, name) in [
            ("w = w - lr * (g + decay * w), weightdecay = 0.5", "weightdecay"),
            ("m = 0.9 * m + g, w = w - lr * g", "m"),
            ("a = b, b = a + g, w = w - lr * g", "a"),
        ] {
            let error = said(unused).unwrap_err();
            assert!(
                error.contains(&format!("{name} is assigned, but w does not depend on it")),
                "{error}"
            );
        }
        for used in
            ["beta = 0.9, m = beta * m + g, w = w - lr * m", "m = m + g, v = v + m, w = w - v"]
        {
            assert!(said(used).is_ok(), "{used}");
        }
    }
}
