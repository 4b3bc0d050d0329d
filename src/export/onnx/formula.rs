//! Expressions as ONNX nodes, one for each instruction where the operators allow it.
//!
//! If a runtime's own operator is known to be inaccurate, others replace it: sigmoids whose ends are cut off, for example,
//! which multiplied by a large x are no longer small.
//! Absent on purpose: broadcasts of operands; nodes broadcast by ONNX's own rule.

use super::builder::NodeBuilder;
use crate::error::{Error, Result};
use crate::expr::{Binary, Compare, Instruction, Number, Program, Unary};

/// Appends the nodes that compute a program's result. Returns its name.
///
/// # Errors
/// If the program uses values that only a training step has.
pub(super) fn evaluate(
    to: &mut NodeBuilder,
    program: &Program,
    inputs: &[String],
) -> Result<String> {
    let mut values: Vec<String> = Vec::with_capacity(program.instructions().len());
    for instruction in program.instructions() {
        // An instruction reads only earlier ones, so every operand has a name already.
        let of = |place: u16| values[usize::from(place)].as_str();
        let value = match *instruction {
            Instruction::Const(Number(value)) => to.scalar(value),
            Instruction::Input(index) => inputs
                .get(usize::from(index))
                .cloned()
                .ok_or_else(|| Error::shape("onnx", format!("input {index} is missing")))?,
            Instruction::Quantity(quantity) => {
                let problem = format!("{quantity:?} is known only while training");
                return Err(Error::shape("onnx", problem));
            }
            Instruction::Unary(function, x) => apply(to, function, of(x)),
            Instruction::Binary(function, a, b) => combine(to, function, of(a), of(b)),
            Instruction::Select(compare, [a, b, yes, no]) => {
                let op = match compare {
                    Compare::Lt => "Less",
                    Compare::Le => "LessOrEqual",
                    Compare::Eq => "Equal",
                };
                let holds = to.node(op, &[of(a), of(b)], vec![]);
                to.node("Where", &[&holds, of(yes), of(no)], vec![])
            }
        };
        values.push(value);
    }
    match program.outputs() {
        &[place] => Ok(values.swap_remove(usize::from(place))),
        outputs => Err(Error::shape("onnx", format!("{} results instead of one", outputs.len()))),
    }
}

/// Appends a binary function.
fn combine(to: &mut NodeBuilder, function: Binary, a: &str, b: &str) -> String {
    let op = match function {
        Binary::Add => "Add",
        Binary::Sub => "Sub",
        Binary::Mul => "Mul",
        Binary::Div => "Div",
        Binary::Min => "Min",
        Binary::Max => "Max",
    };
    to.node(op, &[a, b], vec![])
}

/// Appends a unary function, as one operator or as several more accurate ones.
fn apply(to: &mut NodeBuilder, function: Unary, x: &str) -> String {
    let op = match function {
        Unary::Neg => "Neg",
        Unary::Abs => "Abs",
        Unary::Sign => "Sign",
        Unary::Exp => "Exp",
        Unary::Ln => "Log",
        Unary::Sqrt => "Sqrt",
        Unary::Sin => "Sin",
        Unary::Cos => "Cos",
        Unary::Tanh => "Tanh",
        Unary::Expm1 => return expm1(to, x),
        Unary::Log1p => {
            let exact = log1p(to, x);
            // For large x the quotient in `log1p` would be infinity over infinity.
            let (limit, large) = (to.scalar(1e9), to.node("Log", &[x], vec![]));
            let small = to.node("Less", &[x, &limit], vec![]);
            return to.node("Where", &[&small, &exact, &large], vec![]);
        }
        Unary::Sigmoid => {
            // 1 / (1 + e⁻ˣ): e⁻ˣ may be infinite.
            let (one, minus) = (to.scalar(1.0), to.node("Neg", &[x], vec![]));
            let power = to.node("Exp", &[&minus], vec![]);
            let sum = to.node("Add", &[&one, &power], vec![]);
            return to.node("Div", &[&one, &sum], vec![]);
        }
        Unary::Softplus => {
            // max(x, 0) + ln(1 + e^−|x|)
            let (size, zero) = (to.node("Abs", &[x], vec![]), to.scalar(0.0));
            let minus = to.node("Neg", &[&size], vec![]);
            let power = to.node("Exp", &[&minus], vec![]);
            let (far, near) = (to.node("Max", &[x, &zero], vec![]), log1p(to, &power));
            return to.node("Add", &[&far, &near], vec![]);
        }
        Unary::NormalCdf => return normal_cdf(to, x),
        Unary::NormalDensity => {
            // e^(−x²/2) / √(2π)
            let square = to.node("Mul", &[x, x], vec![]);
            let (half, scale) = (to.scalar(-0.5), to.scalar(1.0 / std::f64::consts::TAU.sqrt()));
            let exponent = to.node("Mul", &[&half, &square], vec![]);
            let power = to.node("Exp", &[&exponent], vec![]);
            return to.node("Mul", &[&scale, &power], vec![]);
        }
    };
    to.node(op, &[x], vec![])
}

/// eˣ − 1 = tanh(x/2) (eˣ + 1), which keeps the digits of small x.
fn expm1(to: &mut NodeBuilder, x: &str) -> String {
    let (half, one) = (to.scalar(0.5), to.scalar(1.0));
    let half = to.node("Mul", &[&half, x], vec![]);
    let (tanh, power) = (to.node("Tanh", &[&half], vec![]), to.node("Exp", &[x], vec![]));
    let sum = to.node("Add", &[&power, &one], vec![]);
    to.node("Mul", &[&tanh, &sum], vec![])
}

/// ln(1 + x) = ln(u) x / (u − 1) with u = 1 + x as it is rounded, or x where u is 1
/// (Kahan; in Goldberg 1991, doi:10.1145/103162.103163, theorem 4).
fn log1p(to: &mut NodeBuilder, x: &str) -> String {
    let one = to.scalar(1.0);
    let u = to.node("Add", &[&one, x], vec![]);
    let nothing = to.node("Equal", &[&u, &one], vec![]);
    let (ln, step) = (to.node("Log", &[&u], vec![]), to.node("Sub", &[&u, &one], vec![]));
    // If u is 1, the quotient is 0 / 0, and not selected.
    let quotient = to.node("Div", &[x, &step], vec![]);
    let product = to.node("Mul", &[&ln, &quotient], vec![]);
    to.node("Where", &[&nothing, x, &product], vec![])
}

/// Φ(x) = (1 + erf(x/√2)) / 2, and 0 below −6, where runtimes' erf need not be −1 to the last digit.
fn normal_cdf(to: &mut NodeBuilder, x: &str) -> String {
    let (scale, one) = (to.scalar(std::f64::consts::FRAC_1_SQRT_2), to.scalar(1.0));
    let (half, limit, zero) = (to.scalar(0.5), to.scalar(-6.0), to.scalar(0.0));
    let scaled = to.node("Mul", &[&scale, x], vec![]);
    let erf = to.node("Erf", &[&scaled], vec![]);
    let sum = to.node("Add", &[&one, &erf], vec![]);
    let value = to.node("Mul", &[&half, &sum], vec![]);
    let far = to.node("Less", &[x, &limit], vec![]);
    to.node("Where", &[&far, &zero, &value], vec![])
}
