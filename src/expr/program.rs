//! Expressions as a list of instructions, in which nothing is computed twice.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::{Binary, Compare, Expr, ExprNode, Number, StepValue, Unary};

/// One operation; operands are the indices of earlier instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Instruction {
    /// A number.
    Const(Number),
    /// An argument.
    Input(u8),
    /// A value of the training step.
    Quantity(StepValue),
    /// A function of one number.
    Unary(Unary, u16),
    /// A function of two.
    Binary(Binary, u16, u16),
    /// A choice: `[a, b, yes, no]`.
    Select(Compare, [u16; 4]),
}

/// Instructions, and the indices of the results.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    instructions: Vec<Instruction>,
    outputs: Vec<u16>,
}

impl Program {
    /// Returns one program for all of these expressions.
    pub fn of(exprs: &[Expr]) -> Self {
        let mut builder = ProgramBuilder::default();
        let outputs = exprs.iter().map(|expr| builder.place(expr)).collect();
        Self { instructions: builder.instructions, outputs }
    }

    /// Returns the instructions, operands first.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// Returns the indices of the results.
    pub fn outputs(&self) -> &[u16] {
        &self.outputs
    }

    /// Returns whether a step value of this kind is used.
    pub fn uses(&self, wanted: impl Fn(StepValue) -> bool) -> bool {
        self.instructions.iter().any(|it| matches!(it, Instruction::Quantity(q) if wanted(*q)))
    }

    /// Returns statements in WGSL, `let r0 = …;` one a line, and the names of the results. `V` is the type of all numbers (f32,
    /// or vectors of f32), `input` and `quantity` return the texts of inputs and step values, and the functions are those of
    /// `shaders/functions.wgsl`.
    pub fn wgsl(
        &self,
        input: impl Fn(u8) -> String,
        quantity: impl Fn(StepValue) -> String,
    ) -> (String, Vec<String>) {
        let mut text = String::new();
        for (place, instruction) in self.instructions.iter().enumerate() {
            let value = match instruction {
                Instruction::Const(Number(value)) => format!("V({})", literal(*value)),
                Instruction::Input(index) => input(*index),
                Instruction::Quantity(it) => format!("V({})", quantity(*it)),
                Instruction::Unary(function, x) => match function {
                    Unary::Neg => format!("-r{x}"),
                    Unary::Abs => format!("abs(r{x})"),
                    Unary::Sign => format!("sign(r{x})"),
                    // WGSL's own function where it is exact; the others are written out in the shader.
                    Unary::Sqrt => format!("sqrt(r{x})"),
                    other => format!("{}_of(r{x})", other.name()),
                },
                Instruction::Binary(function, a, b) => match function {
                    Binary::Add => format!("r{a} + r{b}"),
                    Binary::Sub => format!("r{a} - r{b}"),
                    Binary::Mul => format!("r{a} * r{b}"),
                    Binary::Div => format!("r{a} / r{b}"),
                    // Not WGSL's min and max, which may lose NaN.
                    Binary::Min => format!("select(r{a}, r{b}, r{b} < r{a})"),
                    Binary::Max => format!("select(r{a}, r{b}, r{b} > r{a})"),
                },
                Instruction::Select(compare, [a, b, yes, no]) => {
                    let sign = match compare {
                        Compare::Lt => "<",
                        Compare::Le => "<=",
                        Compare::Eq => "==",
                    };
                    // WGSL's select takes the value for false first.
                    format!("select(r{no}, r{yes}, r{a} {sign} r{b})")
                }
            };
            let _ = writeln!(text, "    let r{place} = {value};");
        }
        (text, self.outputs.iter().map(|place| format!("r{place}")).collect())
    }
}

/// Returns a number in WGSL that is read as the nearest f32.
#[expect(clippy::cast_possible_truncation, reason = "shaders compute in f32")]
fn literal(value: f64) -> String {
    let narrow = value as f32;
    if narrow.abs() == f32::MAX {
        // Its shortest decimal digits are above it, which some compilers refuse.
        let sign = if narrow < 0.0 { "-" } else { "" };
        format!("{sign}0x1.fffffep+127f")
    } else if narrow.is_finite() {
        format!("{narrow:?}f")
    } else {
        // WGSL has no literal for infinity.
        format!("bitcast<f32>({:#x}u)", narrow.to_bits())
    }
}

#[derive(Default)]
struct ProgramBuilder {
    instructions: Vec<Instruction>,
    known: HashMap<Instruction, u16>,
    /// Indices by address: an expression that is used in several places is walked once.
    walked: HashMap<*const ExprNode, u16>,
}

impl ProgramBuilder {
    /// Returns the index of an expression's instruction, after adding it and its operands if they are new.
    fn place(&mut self, expr: &Expr) -> u16 {
        let address: *const ExprNode = expr.node();
        if let Some(&place) = self.walked.get(&address) {
            return place;
        }
        let instruction = match expr.node() {
            ExprNode::Const(value) => Instruction::Const(*value),
            ExprNode::Input(index) => Instruction::Input(*index),
            ExprNode::Quantity(it) => Instruction::Quantity(*it),
            ExprNode::Unary(function, x) => Instruction::Unary(*function, self.place(x)),
            ExprNode::Binary(function, a, b) => {
                let (a, b) = (self.place(a), self.place(b));
                Instruction::Binary(*function, a, b)
            }
            ExprNode::Select(compare, parts) => {
                let places = parts.each_ref().map(|part| self.place(part));
                Instruction::Select(*compare, places)
            }
        };
        // Equal instructions are one, even if their expressions were built separately.
        let next = self.instructions.len();
        let place = *self.known.entry(instruction).or_insert_with(|| {
            self.instructions.push(instruction);
            // Texts are too short, and layers too simple, for more than 65,536 operations.
            u16::try_from(next).unwrap_or(u16::MAX)
        });
        self.walked.insert(address, place);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_computed_twice() {
        let x = Expr::input(0);
        let expr = x.tanh() * x.tanh() + x.tanh();
        // x, tanh x, its square, the sum
        assert_eq!(expr.program().instructions().len(), 4);
    }

    #[test]
    fn wgsl_is_one_statement_an_operation() {
        let x = Expr::input(0);
        let expr = x.if_less(&Expr::constant(0.5), &x.exp(), &(2.0 * &x));
        let (text, out) = expr.program().wgsl(|_| "x".into(), |_| "0.0".into());
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "let r0 = x;",
                "let r1 = V(0.5f);",
                "let r2 = exp_of(r0);",
                "let r3 = V(2.0f);",
                "let r4 = r3 * r0;",
                "let r5 = select(r4, r2, r0 < r1);"
            ]
        );
        assert_eq!(out, ["r5"]);
    }
}
