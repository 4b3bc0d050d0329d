//! Activation functions: one row each says all there is to say of a function.
//!
//! Its gradient, its WGSL and its vectors come from the row's expression.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::expr::{Expr, Program, parse};
use crate::vocabulary::Entry;

/// An elementwise function between dense layers. Formulas and defaults are PyTorch's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// y = x
    Identity,
    /// y = max(x, 0); the gradient at 0 is 0
    #[default]
    Relu,
    /// y = x for x > 0, else 0.01 x
    LeakyRelu,
    /// y = tanh x
    Tanh,
    /// y = 1 / (1 + exp(-x))
    Sigmoid,
    /// y = x Φ(x), Φ the standard normal distribution function (with erf)
    Gelu,
    /// y = x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))
    GeluTanh,
    /// y = x / (1 + exp(-x))
    Silu,
    /// y = min(max(x, 0), 6)
    Relu6,
    /// y = x for x > 0, else exp(x) − 1
    Elu,
    /// y = 1.0507… (x for x > 0, else 1.6733… (exp(x) − 1))
    Selu,
    /// y = max(x, 0) + min(0, exp(x) − 1)
    Celu,
    /// y = x tanh(ln(1 + exp(x)))
    Mish,
    /// y = ln(1 + exp(x))
    Softplus,
    /// y = x / (1 + |x|)
    Softsign,
    /// y = x/6 + 1/2 within ±3, 0 below, 1 above
    HardSigmoid,
    /// y = x (x + 3) / 6 within ±3, 0 below, x above
    HardSwish,
    /// y = x within ±1, −1 below, 1 above
    HardTanh,
    /// y = −ln(1 + exp(−x))
    LogSigmoid,
    /// y = sin x
    Sin,
    /// y = sin(30 x), for networks that start from `siren` (Sitzmann et al. 2020, arXiv:2006.09661)
    Siren,
}

/// Row of the table of activations.
struct ActivationRow {
    entry: Entry,
    /// Parameters of the function when an expression calls it, with their defaults; the activation by itself has these.
    parameters: &'static [f64],
    /// y of x and the parameters.
    value: fn(&Expr, &[Expr]) -> Expr,
    /// dy/dx of y and the parameters, where it is a function of y alone; else it is derived, as a function of x.
    slope: Option<fn(&Expr, &[Expr]) -> Expr>,
}

impl ActivationRow {
    /// Returns the same row with dy/dx as a function of y, so that the backward pass need not keep x.
    const fn with_slope(self, slope: fn(&Expr, &[Expr]) -> Expr) -> Self {
        Self { slope: Some(slope), ..self }
    }
}

/// Shorthand for a row.
const fn row(
    name: &'static str,
    formula: &'static str,
    (shown, parameters): (&'static str, &'static [f64]),
    source: &'static str,
    value: fn(&Expr, &[Expr]) -> Expr,
) -> ActivationRow {
    let entry = Entry { name, formula, parameters: shown, source };
    ActivationRow { entry, parameters, value, slope: None }
}

const NONE: (&str, &[f64]) = ("", &[]);
/// Klambauer et al. 2017, arXiv:1706.02515
const SELU: [f64; 2] = [1.050_700_987_355_480_5, 1.673_263_242_354_377_2];

fn constant(value: f64) -> Expr {
    Expr::constant(value)
}

fn elu(x: &Expr, alpha: &Expr) -> Expr {
    constant(0.0).if_less(x, x, &(alpha * x.min(&constant(0.0)).expm1()))
}

/// The rows, in the order of the variants.
static ROWS: [ActivationRow; 21] = [
    row("identity", "x", NONE, "torch.nn.Identity", |x, _| x.clone())
        .with_slope(|_, _| constant(1.0)),
    row("relu", "max(x, 0)", NONE, "torch.nn.ReLU", |x, _| {
        x.if_at_most(&constant(0.0), &constant(0.0), x)
    })
    .with_slope(|y, _| y.if_at_most(&constant(0.0), &constant(0.0), &constant(1.0))),
    row(
        "leaky_relu",
        "x > 0 ? x : slope·x",
        ("slope 0.01", &[0.01]),
        "torch.nn.LeakyReLU",
        |x, p| x.if_at_most(&constant(0.0), &(&p[0] * x), x),
    )
    .with_slope(|y, p| y.if_at_most(&constant(0.0), &p[0], &constant(1.0))),
    row("tanh", "tanh x", NONE, "torch.nn.Tanh", |x, _| x.tanh()).with_slope(|y, _| 1.0 - y * y),
    row("sigmoid", "1 / (1 + e⁻ˣ)", NONE, "torch.nn.Sigmoid", |x, _| x.sigmoid())
        .with_slope(|y, _| y * (1.0 - y)),
    row("gelu", "x Φ(x)", NONE, "torch.nn.GELU", |x, _| x * x.normal_cdf()),
    row(
        "gelu_tanh",
        "x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))",
        NONE,
        "torch.nn.GELU(approximate=\"tanh\")",
        |x, _| {
            // Beyond 20 nothing changes, but the cube might overflow.
            let c = x.max(&constant(-20.0)).min(&constant(20.0));
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (&c + 0.044_715 * (&c * &c * &c));
            0.5 * x * (1.0 + inner.tanh())
        },
    ),
    row("silu", "x / (1 + e⁻ˣ)", NONE, "torch.nn.SiLU", |x, _| x * x.sigmoid()),
    row("relu6", "min(max(x, 0), 6)", NONE, "torch.nn.ReLU6", |x, _| between(x, 0.0, 6.0, x)),
    row("elu", "x > 0 ? x : alpha (eˣ − 1)", ("alpha 1", &[1.0]), "torch.nn.ELU", |x, p| {
        elu(x, &p[0])
    }),
    row(
        "selu",
        "1.0507 (x > 0 ? x : 1.6733 (eˣ − 1))",
        NONE,
        "torch.nn.SELU; Klambauer et al. 2017, arXiv:1706.02515",
        |x, _| SELU[0] * elu(x, &constant(SELU[1])),
    ),
    row(
        "celu",
        "max(x, 0) + min(0, alpha (e^(x/alpha) − 1))",
        ("alpha 1", &[1.0]),
        "torch.nn.CELU",
        |x, p| {
            let below = &p[0] * (x.min(&constant(0.0)) / &p[0]).expm1();
            constant(0.0).if_less(x, x, &below)
        },
    ),
    row("mish", "x tanh(ln(1 + eˣ))", NONE, "torch.nn.Mish", |x, _| x * x.softplus().tanh()),
    row(
        "softplus",
        "ln(1 + e^(beta x)) / beta",
        ("beta 1", &[1.0]),
        "torch.nn.Softplus",
        |x, p| (&p[0] * x).softplus() / &p[0],
    ),
    row("softsign", "x / (1 + |x|)", NONE, "torch.nn.Softsign", |x, _| x / (1.0 + x.abs())),
    row(
        "hard_sigmoid",
        "x/6 + 1/2 within ±3, else 0 or 1",
        NONE,
        "torch.nn.Hardsigmoid",
        |x, _| {
            x.if_at_most(
                &constant(-3.0),
                &constant(0.0),
                &constant(3.0).if_at_most(x, &constant(1.0), &(x / 6.0 + 0.5)),
            )
        },
    ),
    row(
        "hard_swish",
        "x (x + 3) / 6 within ±3, else 0 or x",
        NONE,
        "torch.nn.Hardswish",
        |x, _| {
            x.if_at_most(
                &constant(-3.0),
                &constant(0.0),
                &constant(3.0).if_at_most(x, x, &(x * (x + 3.0) / 6.0)),
            )
        },
    ),
    row("hard_tanh", "min(max(x, −1), 1)", NONE, "torch.nn.Hardtanh", |x, _| {
        between(x, -1.0, 1.0, x)
    }),
    row("log_sigmoid", "−ln(1 + e⁻ˣ)", NONE, "torch.nn.LogSigmoid", |x, _| -(-x).softplus()),
    row("sin", "sin(x)", NONE, "torch.sin", |x, _| x.sin()),
    row(
        "siren",
        "sin(w0 x)",
        ("w0 30", &[30.0]),
        "Sitzmann et al. 2020, arXiv:2006.09661",
        |x, p| (&p[0] * x).sin(),
    ),
];

/// `inside` between two limits, else the nearer one; the derivative at a limit is 0.
fn between(x: &Expr, low: f64, high: f64, inside: &Expr) -> Expr {
    let (low, high) = (constant(low), constant(high));
    x.if_at_most(&low, &low, &high.if_at_most(x, &high, inside))
}

/// The expressions of an activation, and their programs.
struct Forms {
    value: Expr,
    /// d · dy/dx, of d and of what is saved for the backward pass.
    gradient: Expr,
    value_program: Program,
    slope_program: Program,
}

static FORMS: LazyLock<Vec<Forms>> = LazyLock::new(|| {
    let of = |activation: Activation| {
        let (value, slope) = (activation.expr(), activation.slope());
        let gradient = Expr::input(0) * slope.with(&[Expr::input(1)]);
        let (value_program, slope_program) = (value.program(), slope.program());
        Forms { value, gradient, value_program, slope_program }
    };
    Activation::ALL.into_iter().map(of).collect()
});

impl Activation {
    /// Every activation, in the order in which help texts list them.
    pub const ALL: [Self; 21] = [
        Self::Identity,
        Self::Relu,
        Self::LeakyRelu,
        Self::Tanh,
        Self::Sigmoid,
        Self::Gelu,
        Self::GeluTanh,
        Self::Silu,
        Self::Relu6,
        Self::Elu,
        Self::Selu,
        Self::Celu,
        Self::Mish,
        Self::Softplus,
        Self::Softsign,
        Self::HardSigmoid,
        Self::HardSwish,
        Self::HardTanh,
        Self::LogSigmoid,
        Self::Sin,
        Self::Siren,
    ];

    /// Entries for the document of the vocabulary.
    pub fn vocabulary() -> Vec<Entry> {
        ROWS.iter().map(|row| row.entry).collect()
    }

    fn row(self) -> &'static ActivationRow {
        &ROWS[self as usize]
    }

    /// The name in options, files and printed plans.
    pub fn name(self) -> &'static str {
        self.row().entry.name
    }

    /// y as an expression of x.
    pub fn expr(self) -> Expr {
        self.expr_with(self.row().parameters)
    }

    /// y as an expression of x, with parameters in place of the defaults.
    pub(crate) fn expr_with(self, parameters: &[f64]) -> Expr {
        let parameters: Vec<_> = parameters.iter().map(|&value| value.into()).collect();
        (self.row().value)(&Expr::input(0), &parameters)
    }

    /// True if these are the parameters that the activation has by itself.
    pub(crate) fn has(self, parameters: &[f64]) -> bool {
        self.row().parameters == parameters
    }

    /// dy/dx as an expression of what is saved for the backward pass: y, or x, as [`Self::gradient_from_output`] says.
    pub fn slope(self) -> Expr {
        let row = self.row();
        let parameters: Vec<_> = row.parameters.iter().map(|&value| value.into()).collect();
        match row.slope {
            Some(slope) => slope(&Expr::input(0), &parameters),
            None => self.expr().derivative(0),
        }
    }

    /// Returns the gradient of x: input 0, the gradient of y, times dy/dx of input 1, what is saved.
    pub fn gradient(self) -> Expr {
        FORMS[self as usize].gradient.clone()
    }

    /// Returns the activation whose value an expression is; never the identity.
    pub fn of_value(expr: &Expr) -> Option<Self> {
        Self::find(|forms| forms.value == *expr)
    }

    /// Returns the activation whose [`Self::gradient`] an expression is; never the identity.
    pub fn of_gradient(expr: &Expr) -> Option<Self> {
        Self::find(|forms| forms.gradient == *expr)
    }

    fn find(is_it: impl Fn(&Forms) -> bool) -> Option<Self> {
        let mut others = Self::ALL.into_iter().filter(|act| *act != Self::Identity);
        others.find(|act| is_it(&FORMS[*act as usize]))
    }

    /// Returns the program that computes y from x.
    pub fn value_program(self) -> &'static Program {
        &FORMS[self as usize].value_program
    }

    /// Returns the program that computes dy/dx from what is saved.
    pub fn slope_program(self) -> &'static Program {
        &FORMS[self as usize].slope_program
    }

    /// Returns whether dy/dx is a function of y alone, and computed from it. Otherwise the backward pass needs x.
    pub fn gradient_from_output(self) -> bool {
        self.row().slope.is_some()
    }
}

/// Activation as a text gives it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ParsedActivation {
    /// The activation with these parameters.
    Parameters(Activation, Vec<f64>),
    /// A call within an expression, such as `relu(2 * x)`.
    Expression,
}

/// Reads an activation with its parameters: `elu(x, 0.5)`, `elu(0.5)`, `elu(alpha=0.5)` or `elu`. `None` where the text does not
/// begin with an activation's name, or goes on after the closing parenthesis.
pub(crate) fn written(text: &str) -> Option<Result<ParsedActivation, String>> {
    let (name, body) = match text.trim().split_once('(') {
        None => (text.trim(), ""),
        Some((name, rest)) => (name, rest.strip_suffix(')')?),
    };
    let activation = by_name(name)?;
    if body.contains(['(', ')']) {
        return Some(Ok(ParsedActivation::Expression));
    }
    let parts: Vec<&str> = body.split(',').map(str::trim).collect();
    let parts = if body.trim().is_empty() { &[][..] } else { &parts[..] };
    Some(parameters(activation, parts))
}

/// Reads parameters by their names or positions; the function's argument x may stand before them.
fn parameters(activation: Activation, parts: &[&str]) -> Result<ParsedActivation, String> {
    let (name, row) = (activation.name(), activation.row());
    let names: Vec<&str> =
        // The vocabulary lists the parameters' names, so no second list is needed.
        row.entry.parameters.split(", ").filter_map(|it| it.split(' ').next()).collect();
    let known = match row.parameters {
        [] => "it has none".to_string(),
        _ => format!("known: {}", names.join(", ")),
    };
    let mut values: Vec<Option<f64>> = vec![None; row.parameters.len()];
    // `elu(x, 0.5)` and `elu(0.5)` mean the same.
    let after_x = parts.strip_prefix(&["x"]).unwrap_or(parts);
    for (place, part) in after_x.iter().enumerate() {
        let (key, text) = match part.split_once('=') {
            Some((key, text)) => (Some(key.trim()), text.trim()),
            None => (None, *part),
        };
        let at = match key {
            None => place,
            Some(key) => {
                let wanted = key.to_ascii_lowercase().replace('-', "_");
                let at =
                    names.iter().position(|name| *name == wanted && !row.parameters.is_empty());
                at.ok_or_else(|| format!("unknown argument \"{key}\" of {name}; {known}"))?
            }
        };
        let value = match text.parse::<f64>() {
            Ok(value) if value.is_finite() => value,
            // Anything but a number in parentheses is an expression, such as `relu(2 * x)`.
            _ if key.is_none() => return Ok(ParsedActivation::Expression),
            _ => {
                return Err(format!(
                    "{} of {name} is \"{text}\", but it must be a finite number",
                    names[at]
                ));
            }
        };
        let slot = values.get_mut(at).ok_or_else(|| {
            let most = row.parameters.len();
            format!("{name} takes x and at most {most} more, not {}", after_x.len())
        })?;
        // A parameter given by position and by name would have two values.
        if slot.replace(value).is_some() {
            return Err(format!("{} of {name} is given twice", names[at]));
        }
    }
    let values: Vec<f64> =
        values.iter().zip(row.parameters).map(|(value, &usual)| value.unwrap_or(usual)).collect();
    // Some parameters make the function undefined, such as a division by 0; a few arguments show it.
    let program = activation.expr_with(&values).program();
    if let Some(x) = [-1.0, 0.0, 1.0].into_iter().find(|&x| !program.value(&[x]).is_finite()) {
        let given: Vec<String> = values.iter().map(f64::to_string).collect();
        return Err(format!("{name} with {} is no finite number at x = {x}", given.join(", ")));
    }
    Ok(ParsedActivation::Parameters(activation, values))
}

/// A function of the user's own, from a text such as `x * sigmoid(x)` or `elu(x, 0.5) + 0.1 * sin(x)`. What [`parse`] knows may be
/// used, and all activations by their names, with their parameters after x.
///
/// # Errors
/// With what is wrong and where; or if it uses another argument than x.
pub fn expression(text: &str) -> Result<Expr> {
    let expr = parse(text, &call).and_then(|expr| {
        let others = (1..8).find(|&input| uses(&expr, input));
        match others {
            Some(input) => {
                Err(format!("it uses x{input}, but an activation is a function of x alone"))
            }
            None => Ok(expr),
        }
    });
    expr.map_err(|problem| Error::setting("activation", format!("\"{text}\": {problem}")))
}

fn uses(expr: &Expr, input: u8) -> bool {
    use crate::expr::Instruction;
    expr.program().instructions().contains(&Instruction::Input(input))
}

/// An activation that an expression calls by name.
pub(crate) fn call(name: &str, arguments: &[Expr]) -> Option<std::result::Result<Expr, String>> {
    let row = ROWS.iter().find(|row| row.entry.name == name)?;
    let most = 1 + row.parameters.len();
    let Some((x, given)) = arguments.split_first().filter(|_| arguments.len() <= most) else {
        let problem =
            format!("{name} takes x and at most {} more, not {}", most - 1, arguments.len());
        return Some(Err(problem));
    };
    let defaults = row.parameters.iter().skip(given.len()).map(|&value| value.into());
    let parameters: Vec<_> = given.iter().cloned().chain(defaults).collect();
    Some(Ok((row.value)(x, &parameters)))
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Activation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |problem: String| Err(Error::setting("activation", problem));
        match written(text) {
            Some(Ok(ParsedActivation::Parameters(activation, values)))
                if activation.has(&values) =>
            {
                Ok(activation)
            }
            Some(Ok(ParsedActivation::Parameters(..))) => refuse(format!(
                "\"{text}\" has other parameters than the activation by itself, and so is a layer: read it as a Layer"
            )),
            Some(Ok(ParsedActivation::Expression)) => {
                refuse(format!("\"{text}\" is an expression and no name; read it by `expression`"))
            }
            Some(Err(problem)) => refuse(problem),
            None => {
                let known: Vec<_> = Self::ALL.iter().map(|a| a.name()).collect();
                refuse(format!("unknown name \"{text}\"; known: {}", known.join(", ")))
            }
        }
    }
}

/// The activation of this name, as this crate or PyTorch writes it.
fn by_name(name: &str) -> Option<Activation> {
    // A hyphen in front of a name is a minus sign: `-sigmoid(x)` is an expression.
    if !name.trim().starts_with(char::is_alphabetic) {
        return None;
    }
    let wanted = name.trim().to_ascii_lowercase().replace('-', "_");
    // PyTorch writes some of them in one word.
    let plain = |name: &str| name.replace('_', "");
    let mut all = Activation::ALL.into_iter();
    all.find(|activation| activation.name() == wanted)
        .or_else(|| Activation::ALL.into_iter().find(|other| plain(other.name()) == plain(&wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minus_sign_is_no_hyphen_of_a_name() {
        for text in ["-sigmoid(x)", "-sigmoid", "_relu", " - tanh(x)"] {
            assert_eq!(written(text), None, "{text}");
        }
        for text in ["leaky-relu", "Leaky_ReLU", " leakyrelu(x) "] {
            let want = ParsedActivation::Parameters(Activation::LeakyRelu, vec![0.01]);
            assert_eq!(written(text), Some(Ok(want)), "{text}");
        }
    }

    #[test]
    fn rows_are_those_of_the_variants() {
        for activation in Activation::ALL {
            let json = serde_json::to_string(&activation).unwrap();
            // serde puts no underscore before a digit, and none is in the name.
            assert_eq!(json, format!("\"{}\"", activation.name()));
            assert_eq!(activation.name().parse::<Activation>().unwrap(), activation);
        }
        assert_eq!("hardswish".parse::<Activation>().unwrap(), Activation::HardSwish);
        assert!("swish7".parse::<Activation>().unwrap_err().to_string().contains("softsign"));
    }

    #[test]
    fn expressions_call_activations() {
        let at = |text: &str, x: f64| expression(text).unwrap().program().value(&[x]);
        assert_eq!(at("leaky_relu(x, 0.2)", -1.0), -0.2);
        assert_eq!(at("leaky_relu(x)", -1.0), -0.01);
        assert_eq!(at("siren(x, 1)", 1.0), 1_f64.sin());
        for (text, part) in [
            ("elu(x, 1, 2)", "at most 1 more, not 3"),
            ("x + x1", "function of x alone"),
            ("relu()", "not 0"),
            ("what(x)", "unknown function"),
        ] {
            let said = expression(text).unwrap_err().to_string();
            assert!(said.contains(part), "{said}");
        }
    }
}
