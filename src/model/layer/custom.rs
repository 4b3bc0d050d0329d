//! A layer of the user's own: an expression of x and of vectors that learn.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::expr::{Expr, ExprNode, Number, parse};
use crate::model::activation::call;

/// Vectors that a custom layer may learn: with x and the gradient they fit a kernel's operands.
const MOST_LEARNED: usize = 4;

/// y = f(x, x1, x2 …), element by element, where x1 … are vectors with a number for each column, parameters `x1`, `x2` …
/// Value, gradient and GPU code come from the one expression.
///
/// ```
/// use wgrad::model::{CustomLayer, Sequential};
/// // Snake (Ziyin et al. 2020, arXiv:2006.08195), with a frequency for each column.
/// let snake = CustomLayer::new("x + sin(x1 * x) ^ 2 / x1", &[1.0]).unwrap();
/// let model = Sequential::new().dense(8).custom(snake).dense(1);
/// assert_eq!(model.layout(3).unwrap().views()[2].name, "1.x1");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "CustomLayerFile", into = "CustomLayerFile")]
pub struct CustomLayer {
    f: Expr,
    start: Vec<f64>,
}

/// How files hold it.
#[derive(Serialize, Deserialize)]
struct CustomLayerFile {
    f: String,
    #[serde(default)]
    start: Vec<f64>,
}

impl CustomLayer {
    /// From the expression's text, which may call activations by their names, and what each learned vector starts with.
    ///
    /// # Errors
    /// If the text is no expression, or does not use x and just these vectors.
    pub fn new(f: &str, start: &[f64]) -> Result<Self> {
        Self::read(f, start).map_err(|problem| Error::setting("custom", problem))
    }

    /// As [`Self::new`], with the mistake alone as the error.
    pub(super) fn read(f: &str, start: &[f64]) -> Result<Self, String> {
        Self::checked(parse(f, &call)?, start)
    }

    /// As [`Self::of`], with the mistake alone as the error.
    pub(super) fn checked(f: Expr, start: &[f64]) -> Result<Self, String> {
        let custom = Self { f, start: start.to_vec() };
        custom.check()?;
        Ok(custom)
    }

    /// The same from an expression: input 0 is x, the others are the vectors.
    ///
    /// # Errors
    /// If it does not use x and just these vectors.
    pub fn of(f: Expr, start: &[f64]) -> Result<Self> {
        Self::checked(f, start).map_err(|problem| Error::setting("custom", problem))
    }

    /// Returns the expression.
    pub fn expr(&self) -> &Expr {
        &self.f
    }

    /// Returns the initial value of each vector.
    pub fn start(&self) -> &[f64] {
        &self.start
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let count = self.start.len();
        if count > MOST_LEARNED {
            return Err(format!(
                "{count} learned vectors, but at most {MOST_LEARNED} are possible; use fewer"
            ));
        }
        if let Some(start) = self.start.iter().find(|start| !start.is_finite()) {
            return Err(format!("a vector starts with {start}, but it must be a finite number"));
        }
        // One walk over the expression collects everything that the checks below need.
        let (mut used, mut beyond, mut steps) = (vec![false; count + 1], None, false);
        let mut endless = None;
        self.f.replaced(&mut |node| {
            match node {
                ExprNode::Input(index) => match used.get_mut(usize::from(*index)) {
                    Some(used) => *used = true,
                    None => beyond = Some(*index),
                },
                ExprNode::Quantity(_) => steps = true,
                ExprNode::Const(Number(value)) if !value.is_finite() => endless = Some(*value),
                _ => {}
            }
            None
        });
        // Step values differ between training and prediction.
        if steps {
            return Err(format!(
                "\"{}\" uses what only steps of training have; leave that out",
                self.f
            ));
        }
        if let Some(value) = endless {
            return Err(format!(
                "a part of \"{}\" is {value} for every x; leave that part out",
                self.f
            ));
        }
        // Files store the expression as a text, which must be readable again.
        if let Err(problem) = parse(&self.f.to_string(), &call) {
            return Err(format!("the expression cannot be kept in a file: {problem}"));
        }
        // Too many and too few vectors are both mistakes: each x must have a start, and each start an x.
        if let Some(index) = beyond {
            return Err(format!(
                "\"{}\" uses x{index}, but {count} learned vectors are given a start; give each one, as in custom(x + x1, 0.5)",
                self.f
            ));
        }
        match used.iter().position(|used| !used) {
            None => Ok(()),
            Some(0) => Err(format!("\"{}\" does not use x, the layer's input; use it", self.f)),
            Some(index) => Err(format!(
                "\"{}\" does not use x{index}, though {count} learned vectors are given a start; use it, or give one number less",
                self.f
            )),
        }
    }
}

impl TryFrom<CustomLayerFile> for CustomLayer {
    type Error = String;

    fn try_from(stored: CustomLayerFile) -> Result<Self, String> {
        Self::read(&stored.f, &stored.start)
    }
}

impl From<CustomLayer> for CustomLayerFile {
    fn from(custom: CustomLayer) -> Self {
        Self { f: custom.f.to_string(), start: custom.start }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::StepValue;

    #[test]
    fn expressions_use_just_what_they_are_given() {
        assert!(CustomLayer::new("x * x1", &[1.0]).is_ok());
        assert!(CustomLayer::new("elu(x, 0.5) + x1", &[1.0]).is_ok());
        for (f, start, part) in [
            ("x * x1", &[][..], "uses x1"),
            ("x", &[1.0], "does not use x1"),
            ("x1", &[1.0], "does not use x"),
            ("x +", &[], "at its end"),
            ("x", &[f64::NAN], "finite"),
            ("x", &[1.0; 5], "at most 4"),
            ("x / log(0)", &[], "is -inf for every x"),
        ] {
            let said = CustomLayer::new(f, start).unwrap_err().to_string();
            assert!(said.contains(part), "{f}: {said}");
        }
        assert!(CustomLayer::of(Expr::input(0) * Expr::quantity(StepValue::Rows), &[]).is_err());
        let deep = (0..70).fold(Expr::input(0), |x, _| x.sin());
        let said = CustomLayer::of(deep, &[]).unwrap_err().to_string();
        assert_eq!(
            said,
            "custom: the expression cannot be kept in a file: nested more than 64 deep"
        );
    }

    #[test]
    fn one_survives_json() {
        let custom = CustomLayer::new("if(x < 0, x1 * x, tanh(x) - x2)", &[0.1, 2.0]).unwrap();
        let text = serde_json::to_string(&custom).unwrap();
        assert_eq!(serde_json::from_str::<CustomLayer>(&text).unwrap(), custom);
        assert!(serde_json::from_str::<CustomLayer>("{\"f\": \"x1\"}").is_err());
    }
}
