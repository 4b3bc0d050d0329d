//! Programs prepared for long runs of numbers: values that are equal everywhere, in a row or in a column are computed once.
//!
//! In: a program, and the directions in which its inputs vary. Out: a [`Compiled`].
//! Absent on purpose: arithmetic, which is in `interpreter`, and the storage of inputs.

use crate::expr::{Binary, Compare, Instruction, Number, Program, StepValue, Unary};

/// Directions in which a value varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::device::cpu) enum VariesAlong {
    One,
    Rows,
    Columns,
    Both,
}

impl VariesAlong {
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::One, it) | (it, Self::One) => it,
            (one, other) if one == other => one,
            _ => Self::Both,
        }
    }
}

/// Place of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueRef {
    /// Index among the values that are equal everywhere.
    One(usize),
    /// Index among the values of a row.
    Row(usize),
    /// Index among the values of a column.
    Column(usize),
    /// Index among the values that a block computes.
    Register(usize),
    /// Index among the arguments that vary from element to element.
    Argument(usize),
}

/// Operation of a compiled program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Unary(Unary),
    Binary(Binary),
    Select(Compare),
    Join(FusedMulAdd),
    /// Copies its argument.
    Copy,
}

/// Addition that follows a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FusedMulAdd {
    /// a b + c, rounded twice.
    MulAdd,
    /// a b − c
    MulSub,
    /// c − a b
    SubMul,
}

/// An operation over a run of numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct CompiledOp {
    pub(super) operation: Operation,
    /// Arguments; beyond those that the operation takes, its first one again.
    pub(super) arguments: [ValueRef; 4],
    /// The register that it writes; for other places, the index in their list.
    pub(super) out: usize,
}

/// Source of a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Constant(f32),
    Input(u8),
    Quantity(StepValue),
    Apply(CompiledOp),
}

/// A program whose values are sorted by the directions in which they vary.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// Computed once.
    pub(super) ones: Vec<Source>,
    /// Computed once for each row.
    pub(super) rows: Vec<Source>,
    /// Computed once for each column.
    pub(super) columns: Vec<Source>,
    /// Inputs and step values that vary from element to element.
    pub(super) arguments: Vec<Source>,
    /// Computed for each element.
    pub(super) actions: Vec<CompiledOp>,
    /// Indices into `rows` of the values that operations read.
    pub(super) spread: Vec<usize>,
    /// Number of registers that the operations need.
    pub(super) registers: usize,
    /// The registers of results.
    pub(super) outputs: Vec<usize>,
}

impl Compiled {
    /// Compiles a program.
    #[expect(clippy::cast_possible_truncation, reason = "constants in single precision")]
    pub(in crate::device::cpu) fn new(
        program: &Program,
        input: impl Fn(u8) -> VariesAlong,
        quantity: impl Fn(StepValue) -> VariesAlong,
    ) -> Self {
        // Products are joined before registers are assigned, since a joined product needs none.
        let extents = extents(program, input, quantity);
        let joined = joined(program, &extents);
        let last = last_uses(program, &joined);
        let mut made = Self::default();
        let mut free = Vec::new();
        let mut places: Vec<ValueRef> = Vec::with_capacity(extents.len());
        for (at, instruction) in program.instructions().iter().enumerate() {
            let source = match *instruction {
                Instruction::Const(Number(value)) => Source::Constant(value as f32),
                Instruction::Input(index) => Source::Input(index),
                Instruction::Quantity(it) => Source::Quantity(it),
                _ if matches!(joined[at], Joined::Away) => {
                    // The operation that takes the product computes it; the entry only keeps the indices in step.
                    places.push(ValueRef::One(0));
                    continue;
                }
                _ => Source::Apply(made.action(program, &joined, &places, at)),
            };
            let put = |list: &mut Vec<Source>| {
                list.push(source);
                list.len() - 1
            };
            let place = match (extents[at], source) {
                (VariesAlong::One, _) => ValueRef::One(put(&mut made.ones)),
                (VariesAlong::Rows, _) => ValueRef::Row(put(&mut made.rows)),
                (VariesAlong::Columns, _) => ValueRef::Column(put(&mut made.columns)),
                (VariesAlong::Both, Source::Apply(mut action)) => {
                    action.out = free.pop().unwrap_or_else(|| {
                        made.registers += 1;
                        made.registers - 1
                    });
                    made.actions.push(action);
                    // Freed only now, so that an operation does not write what it reads.
                    for &read in &operands(program, &joined, at) {
                        if let (ValueRef::Register(register), true) =
                            (places[read], last[read] == at)
                            && !free.contains(&register)
                        {
                            free.push(register);
                        }
                    }
                    ValueRef::Register(action.out)
                }
                (VariesAlong::Both, _) => ValueRef::Argument(put(&mut made.arguments)),
            };
            places.push(place);
        }
        made.outputs =
            program.outputs().iter().map(|&at| made.register(places[usize::from(at)])).collect();
        made.spread = made.rows_taken();
        made
    }

    /// Returns the register of a result. A result that no operation computes is copied to a register: results are written
    /// when all of them are known, and one of them may be an input that another one overwrites.
    fn register(&mut self, place: ValueRef) -> usize {
        if let ValueRef::Register(register) = place {
            return register;
        }
        self.actions.push(CompiledOp {
            operation: Operation::Copy,
            arguments: [place; 4],
            out: self.registers,
        });
        self.registers += 1;
        self.registers - 1
    }

    /// Returns the values of rows that operations read, and not only other values of rows.
    fn rows_taken(&self) -> Vec<usize> {
        let places: Vec<_> = self.actions.iter().flat_map(|action| action.arguments).collect();
        (0..self.rows.len()).filter(|&row| places.contains(&ValueRef::Row(row))).collect()
    }

    /// Returns the cost of one element in simple operations, about a quarter of a nanosecond each.
    pub(in crate::device::cpu) fn cost(&self) -> usize {
        let of = |action: &CompiledOp| match action.operation {
            Operation::Unary(Unary::Neg | Unary::Abs | Unary::Sign) => 1,
            Operation::Unary(Unary::Sqrt) | Operation::Binary(Binary::Div) => 4,
            Operation::Unary(_) => 8,
            _ => 1,
        };
        // Reading and writing memory takes time too.
        2 + self.arguments.len() + self.actions.iter().map(of).sum::<usize>()
    }

    /// Returns the operation of an instruction.
    fn action(
        &self,
        program: &Program,
        joined: &[Joined],
        places: &[ValueRef],
        at: usize,
    ) -> CompiledOp {
        let operation = match (joined[at], program.instructions()[at]) {
            (Joined::Into(join, _), _) => Operation::Join(join),
            (_, Instruction::Unary(function, _)) => Operation::Unary(function),
            (_, Instruction::Select(compare, _)) => Operation::Select(compare),
            (_, Instruction::Binary(function, ..)) => Operation::Binary(function),
            (_, Instruction::Const(_) | Instruction::Input(_) | Instruction::Quantity(_)) => {
                unreachable!("values that nothing computes are no actions")
            }
        };
        let operands = operands(program, joined, at);
        let arguments =
            std::array::from_fn(|index| places[*operands.get(index).unwrap_or(&operands[0])]);
        CompiledOp { operation, arguments, out: 0 }
    }
}

/// Returns the directions in which each instruction's value varies.
fn extents(
    program: &Program,
    input: impl Fn(u8) -> VariesAlong,
    quantity: impl Fn(StepValue) -> VariesAlong,
) -> Vec<VariesAlong> {
    let mut extents: Vec<VariesAlong> = Vec::with_capacity(program.instructions().len());
    for instruction in program.instructions() {
        let of = |place: u16| extents[usize::from(place)];
        let extent = match *instruction {
            Instruction::Const(_) => VariesAlong::One,
            Instruction::Input(index) => input(index),
            Instruction::Quantity(it) => quantity(it),
            Instruction::Unary(_, x) => of(x),
            Instruction::Binary(_, a, b) => of(a).with(of(b)),
            Instruction::Select(_, parts) => {
                parts.iter().fold(VariesAlong::One, |extent, &part| extent.with(of(part)))
            }
        };
        extents.push(extent);
    }
    extents
}

/// Says whether an instruction is computed together with another.
#[derive(Clone, Copy, Debug)]
enum Joined {
    Alone,
    /// The instruction computes its product too: its operands are the two of the product and its own other one.
    Into(FusedMulAdd, [usize; 3]),
    /// The instruction that takes the product computes it.
    Away,
}

/// Joins each product that only a sum or a difference takes to that instruction.
fn joined(program: &Program, extents: &[VariesAlong]) -> Vec<Joined> {
    let instructions = program.instructions();
    let mut uses = vec![0_usize; instructions.len()];
    for instruction in instructions {
        plain_operands(instruction).iter().for_each(|&read| uses[read] += 1);
    }
    // A product that is a result must be computed by itself.
    program.outputs().iter().for_each(|&at| uses[usize::from(at)] += 1);
    let mut joined = vec![Joined::Alone; instructions.len()];
    for (at, instruction) in instructions.iter().enumerate() {
        // Values of rows or columns are computed once anyway, so joining them would gain nothing.
        let (Instruction::Binary(function, a, b), VariesAlong::Both) = (*instruction, extents[at])
        else {
            continue;
        };
        let product = |place: u16| match instructions[usize::from(place)] {
            Instruction::Binary(Binary::Mul, x, y)
                if uses[usize::from(place)] == 1
                    && extents[usize::from(place)] == VariesAlong::Both =>
            {
                Some((usize::from(place), [usize::from(x), usize::from(y)]))
            }
            _ => None,
        };
        let (join, (away, [x, y]), other) = match (function, product(a), product(b)) {
            (Binary::Add, Some(found), _) => (FusedMulAdd::MulAdd, found, b),
            (Binary::Add, None, Some(found)) => (FusedMulAdd::MulAdd, found, a),
            (Binary::Sub, Some(found), _) => (FusedMulAdd::MulSub, found, b),
            (Binary::Sub, None, Some(found)) => (FusedMulAdd::SubMul, found, a),
            _ => continue,
        };
        joined[away] = Joined::Away;
        joined[at] = Joined::Into(join, [x, y, usize::from(other)]);
    }
    joined
}

/// Returns the operands of an instruction, as the program has them.
fn plain_operands(instruction: &Instruction) -> Vec<usize> {
    match *instruction {
        Instruction::Const(_) | Instruction::Input(_) | Instruction::Quantity(_) => vec![],
        Instruction::Unary(_, x) => vec![x.into()],
        Instruction::Binary(_, a, b) => vec![a.into(), b.into()],
        Instruction::Select(_, parts) => parts.map(usize::from).to_vec(),
    }
}

/// Returns the operands of an instruction, those of a joined product included.
fn operands(program: &Program, joined: &[Joined], at: usize) -> Vec<usize> {
    match joined[at] {
        Joined::Into(_, operands) => operands.to_vec(),
        _ => plain_operands(&program.instructions()[at]),
    }
}

/// Returns the last instruction that takes each value; a result is needed to the end.
fn last_uses(program: &Program, joined: &[Joined]) -> Vec<usize> {
    let mut last = vec![0; joined.len()];
    for at in 0..joined.len() {
        if !matches!(joined[at], Joined::Away) {
            operands(program, joined, at).iter().for_each(|&read| last[read] = at);
        }
    }
    program.outputs().iter().for_each(|&at| last[usize::from(at)] = usize::MAX);
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Expr;

    fn compiled(expr: &Expr, extents: [VariesAlong; 3]) -> Compiled {
        Compiled::new(&expr.program(), |index| extents[usize::from(index)], |_| VariesAlong::One)
    }

    #[test]
    fn what_is_the_same_in_a_row_or_column_is_no_action() {
        let [x, y, z] = [0, 1, 2].map(Expr::input);
        let expr = &x * (&y + 1.0).sqrt() / z.exp();
        let made = compiled(&expr, [VariesAlong::Both, VariesAlong::Columns, VariesAlong::Rows]);
        // y, y + 1, its root; z, its exponential; the product and the quotient.
        assert_eq!((made.columns.len(), made.rows.len(), made.actions.len()), (3, 2, 2));
        assert_eq!((made.ones.len(), made.arguments.len()), (1, 1));
    }

    #[test]
    fn products_go_into_the_only_sum_that_takes_them() {
        let [x, y, z] = [0, 1, 2].map(Expr::input);
        let all = [VariesAlong::Both; 3];
        let operations = |expr: Expr| -> Vec<_> {
            compiled(&expr, all).actions.iter().map(|action| action.operation).collect()
        };
        assert_eq!(operations(&x * &y + &z), [Operation::Join(FusedMulAdd::MulAdd)]);
        assert_eq!(operations(&x * &y - &z), [Operation::Join(FusedMulAdd::MulSub)]);
        assert_eq!(operations(&z - &x * &y), [Operation::Join(FusedMulAdd::SubMul)]);
        // One that is taken twice is computed once.
        let product = &x * &y;
        let (multiply, add) = (Operation::Binary(Binary::Mul), Operation::Binary(Binary::Add));
        assert_eq!(operations((&product + &z) / product.exp())[..2], [multiply, add]);
    }

    #[test]
    fn registers_are_used_again_and_never_while_they_are_read() {
        let x = Expr::input(0);
        let mut expr = x.exp();
        for _ in 0..20 {
            expr = (&expr + &x).tanh() / &expr;
        }
        let made = compiled(&expr, [VariesAlong::Both; 3]);
        assert!(made.registers <= 3, "{}", made.registers);
        for action in &made.actions {
            assert!(!action.arguments.contains(&ValueRef::Register(action.out)), "{action:?}");
        }
    }
}
