//! The sizes that a kernel's parameters and grid depend on: those of its step's slots, by the names of its arguments.
//!
//! Each row of the table in `kernels.rs` says how the parameters follow from them.

use super::codes::{dropout_of, fused};
use crate::error::{Error, Result};
use crate::plan::{Broadcast, ChainKind, Dropout, Kernel, MOST_OPERANDS, Plan, SlotSpec, Step};

/// A step's slots by the names of its kernel's arguments, and the kernel's variant.
#[derive(Clone, Copy, Debug)]
pub struct Arguments<'a> {
    pub(super) plan: &'a Plan,
    pub(super) step: &'a Step,
    /// [`super::Variant::tile`]
    pub(super) tile: [u32; 2],
}

impl Arguments<'_> {
    /// Returns the slot of an argument that this variant of the kernel may have or not.
    pub(super) fn find(&self, name: &str) -> Option<&SlotSpec> {
        self.step.slot(name).map(|slot| self.plan.slot(slot))
    }

    /// Returns the slot of an argument that every variant of the kernel has.
    pub(super) fn slot(&self, name: &str) -> &SlotSpec {
        self.find(name).expect("every form of the kernel has this argument")
    }

    /// Returns the rows and columns of an argument.
    pub(super) fn matrix(&self, name: &str) -> (usize, usize) {
        self.slot(name).matrix()
    }

    /// Returns the workgroups that visit this many elements one by one.
    pub(super) fn groups(&self, elements: usize) -> Result<u32> {
        Ok(narrow(elements)?.div_ceil(self.tile[1]))
    }

    /// Returns the sizes of a kernel that visits this many elements one by one.
    pub(super) fn flat(&self, params: &[usize], elements: usize) -> Result<DispatchSizes> {
        let params = params.iter().map(|&value| narrow(value)).collect::<Result<_>>()?;
        Ok(DispatchSizes { params, groups: self.groups(elements)? })
    }
}

/// A dispatch's parameters and the number of its workgroups.
#[derive(Clone, Debug, PartialEq)]
pub struct DispatchSizes {
    /// Bits of the fields of `Params`.
    pub(super) params: Vec<u32>,
    /// Number of workgroups.
    pub(super) groups: u32,
}

impl DispatchSizes {
    /// Returns the same sizes with more parameters, by their bits.
    pub(super) fn with(mut self, params: impl IntoIterator<Item = u32>) -> Self {
        self.params.extend(params);
        self
    }

    /// Returns the same sizes with another number of workgroups.
    pub(super) fn groups(self, groups: u32) -> Self {
        Self { groups, ..self }
    }
}

/// Source of a kernel's parameters and grid.
#[derive(Clone, Copy, Debug)]
pub enum Grid {
    /// From the sizes of its slots.
    Sizes(fn(&Arguments<'_>) -> Result<DispatchSizes>),
    /// The arena that the kernel reads first, in parts if the arena exceeds a binding. The first parameter is the part's
    /// length in vectors of four; the function returns the others, from the part's first element.
    Arena(fn(&Kernel, usize) -> Result<Vec<u32>>),
}

/// Returns the bits of a number as shaders have it.
#[expect(clippy::cast_possible_truncation, reason = "shaders compute in f32")]
pub(super) fn bits(value: f64) -> u32 {
    (value as f32).to_bits()
}

pub(super) fn narrow(value: usize) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::shape("grid", format!("{value} does not fit 32 bits")))
}

/// Checks that every slot of a product has exactly the elements that m, n and k imply, and that all can be indexed in 32
/// bits: products are compiled without checks of their own (`pipeline.rs`).
pub(super) fn check_shapes(plan: &Plan, step: &Step, [m, n, k]: [usize; 3]) -> Result<()> {
    let (reads, writes) = match step.kernel {
        // The third read of a forward product is a bias, that of a backward one the saved activation.
        Kernel::MatmulNt { .. } => ([m * k, n * k, n], [m * n, m * n]),
        Kernel::MatmulTn { .. } => ([m * k, n * k, 0], [m * n, m]),
        _ => ([m * k, n * k, m * n], [m * n, 0]),
    };
    let slots = step.reads.iter().zip(reads).chain(step.writes.iter().zip(writes));
    for (slot, want) in slots {
        let spec = plan.slot(*slot);
        if spec.len() != want || want == 0 {
            let problem = format!(
                "{} has {} elements, not {want} (m {m}, n {n}, k {k})",
                spec.name,
                spec.len()
            );
            return Err(Error::shape(step.kernel.name(), problem));
        }
        narrow(want)?;
    }
    Ok(())
}

/// Returns the rows, columns and terms of each sum of a product.
pub(super) fn product_sizes(plan: &Plan, step: &Step) -> [usize; 3] {
    let (m, n) = plan.slot(step.writes[0]).matrix();
    let (rows, columns) = plan.slot(step.reads[0]).matrix();
    [m, n, if matches!(step.kernel, Kernel::MatmulTn { .. }) { rows } else { columns }]
}

/// Returns the sizes of a product.
pub(super) fn product(of: &Arguments<'_>) -> Result<DispatchSizes> {
    let sizes = product_sizes(of.plan, of.step);
    check_shapes(of.plan, of.step, sizes)?;
    let [tile_m, tile_n] = of.tile;
    let [m, n, k] = sizes.map(narrow);
    let (m, n, k) = (m?, n?, k?);
    // In 64 bits, since many tiles of two large sizes may exceed 32.
    let groups = u64::from(m.div_ceil(tile_m)) * u64::from(n.div_ceil(tile_n));
    let groups =
        u32::try_from(groups).map_err(|_| Error::shape("matmul", "too many tiles for 32 bits"))?;
    let dropout = dropout_of(&of.step.kernel).unwrap_or(Dropout { stream: 0, rate: 0.0 });
    let fused = fused(&of.step.kernel);
    Ok(DispatchSizes { params: vec![m, n, k, fused, dropout.stream, bits(dropout.rate)], groups })
}

/// Returns the sizes of a formula's kernel: those of the matrix, and the broadcast of each operand.
pub(super) fn mapped(of: &Arguments<'_>) -> Result<DispatchSizes> {
    let Arguments { plan, step, .. } = *of;
    let id = step.kernel.formula().expect("the kernels of formulas name one");
    let formula = plan.formula(id);
    let out = of.slot("out").len();
    let lengths = || step.reads.iter().map(|&slot| plan.slot(slot).len());
    let n = formula.columns;
    let m = match step.kernel {
        Kernel::MapRows { .. } => formula.rows(lengths()),
        Kernel::MapColumns { .. } => out,
        _ => out / n.max(1),
    };
    // Elements are counted in 32 bits in the shader.
    narrow(m.saturating_mul(n))?;
    let mut params = vec![narrow(m)?, narrow(n)?];
    // The shader has parameters for all operands, so the missing ones are zeros.
    for index in 0..MOST_OPERANDS {
        let Some(operand) = formula.operands.get(index) else {
            params.extend([0; 4]);
            continue;
        };
        let width = narrow(operand.width)?;
        // An element lies at row · rows + column · columns of its operand, so a direction that it does not vary in gets 0.
        let (rows, columns, width) = match operand.along {
            Broadcast::Both => (width, 1, width),
            Broadcast::Columns => (0, 1, width),
            Broadcast::Rows => (1, 0, narrow(n)?),
            Broadcast::Nothing => (0, 0, narrow(n)?),
        };
        params.extend([rows, columns, operand.shift.cast_unsigned(), width]);
    }
    // A row is summed by a workgroup of its own.
    let groups = match step.kernel {
        Kernel::MapColumns { .. } => narrow(m)?,
        _ => of.groups(out)?,
    };
    Ok(DispatchSizes { params, groups })
}

/// Returns the sizes of a chain: those of its matrix.
pub(super) fn chained(of: &Arguments<'_>) -> Result<DispatchSizes> {
    let Kernel::Chain(chain) = of.step.kernel else { unreachable!("these are the rows of chains") };
    let (m, n) = of.plan.chain_sizes(&chain, of.step);
    // Elements are counted in 32 bits in the shader.
    narrow(m.saturating_mul(n))?;
    match chain.kind {
        ChainKind::Elements => of.flat(&[m, n], m * n),
        ChainKind::Rows => of.flat(&[m, n], n),
        // A row is summed by a workgroup of its own.
        ChainKind::Columns => Ok(of.flat(&[m, n], 1)?.groups(narrow(m)?)),
    }
}
