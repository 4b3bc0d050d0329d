//! The table of kernels: files, parameters, grid and variants of each.
//!
//! A row of the table and the kernel's declaration state what `shaders/NAME.wgsl` must declare; `tests/shaders.rs` compares
//! both.

use super::codes::class_loss;
use super::shader_files::shader_file;
use super::sizes::{Arguments, DispatchSizes, Grid, bits, chained, mapped, narrow, product};
use crate::error::{Error, Result};
use crate::plan::{BLOCK as ARENA_BLOCK, Element, Kernel, SlotSpec, StorageTypes};

const STEP_ROW: &str = shader_file!("step_row");
const STEP: &str = shader_file!("step");
const INDEX: &str = shader_file!("index");
pub(super) const FUNCTIONS: &str = shader_file!("functions");
const RANDOM: &str = shader_file!("random");
const OPERANDS: &str = shader_file!("operands");
const CHAIN: &str = shader_file!("chain");
const PRODUCT: &str = shader_file!("product");
const PRODUCT_SUBGROUP: &str = shader_file!("product_subgroup");
pub(super) const ROW_CROSS_ENTROPY: &str = shader_file!("row_cross_entropy");
pub(super) const ROW_CLASSES: &str = shader_file!("row_classes");
pub(super) const ROW_ELEMENTS: &str = shader_file!("row_elements");
pub(super) const ROW_TOP: &str = shader_file!("row_top");
const SCALING: &str = shader_file!("scaling");
pub(super) const MATMUL: &str = shader_file!("matmul");
const BLOCK_PRODUCT: &str = shader_file!("block_product");
const COLUMN_BLOCKS: &str = shader_file!("column_blocks");

/// A kernel's row: its files, its parameters and its grid. Binding 0 is the step, 1 the parameters; the slots that the
/// kernel's declaration reads and writes follow in order.
#[derive(Debug)]
pub struct KernelSpec {
    /// The kernel's name in plans.
    pub name: &'static str,
    /// Files, in order, before the variant's own. The files that define `Read` and `Write` stand before them.
    pub source: &'static [&'static str],
    /// Fields of `Params`, each of 4 bytes; a sequence has a table in front.
    pub params: &'static [&'static str],
    /// Source of the parameters and the grid: the sizes of a step's slots.
    pub grid: Grid,
    /// Variants of the kernel; `select.rs` chooses among them.
    pub variants: &'static [Variant],
}

/// One variant of a kernel: the same result by other tiles.
#[derive(Debug)]
pub struct Variant {
    /// Name of the variant: shape and layout.
    pub name: &'static str,
    /// Files of the variant, after the kernel's own.
    pub source: &'static [&'static str],
    /// Constants of the variant.
    pub consts: &'static [(&'static str, u32)],
    /// Rows and columns of the result that a workgroup computes; for kernels that visit elements one by one, 1 and the
    /// workgroup's size.
    pub tile: [u32; 2],
    /// The size that all subgroups of an adapter must have for this variant; `None` if it uses no subgroups.
    pub subgroup: Option<u32>,
    /// True if a product's fusions are a uniform instead of constants, so that all products of a plan share one pipeline:
    /// for adapters that take long to compile one.
    pub one_pipeline: bool,
    /// The cooperative matrices that the variant needs; their operands are in half precision, and so must be the slots that
    /// it reads.
    pub cooperative: Option<MatrixShape>,
}

impl Variant {
    /// Returns whether the variant can read and write these storage types.
    pub fn fits(&self, stored: StorageTypes) -> bool {
        self.cooperative.is_none() || stored.read == Element::F16
    }
}

/// Square cooperative matrices of halves, whose products are accumulated in single precision.
#[derive(Clone, Copy, Debug)]
pub struct MatrixShape {
    /// Rows and columns.
    pub size: u32,
    /// The file that names their types.
    pub source: &'static str,
}

/// Lanes of a workgroup in kernels that visit elements one by one.
const WORKGROUP: u32 = 64;

macro_rules! plain {
    ($file:literal) => {
        &[Variant {
            name: "plain",
            source: &[shader_file!($file)],
            consts: &[("WORKGROUP", WORKGROUP)],
            tile: [1, WORKGROUP],
            subgroup: None,
            one_pipeline: false,
            cooperative: None,
        }]
    };
}

/// Lanes of a workgroup in kernels that consist of one workgroup, or of one for each parameter.
const WIDE: u32 = 256;

macro_rules! wide {
    ($file:literal) => {
        &[Variant {
            name: "plain",
            source: &[shader_file!("total"), shader_file!($file)],
            consts: &[("WORKGROUP", WIDE)],
            tile: [1, WIDE],
            subgroup: None,
            one_pipeline: false,
            cooperative: None,
        }]
    };
}

const LOAD_TILES: &str = shader_file!("load_tiles");
const TILE: &[&str] = &[LOAD_TILES, shader_file!("matmul_tile")];
const SUBGROUP: &[&str] = &[PRODUCT_SUBGROUP, shader_file!("matmul_subgroup")];
const COOPERATIVE: &[&str] = &[LOAD_TILES, shader_file!("matmul_cooperative")];
const SHAPE_8X8: MatrixShape = MatrixShape { size: 8, source: shader_file!("cooperative_8x8") };
const SHAPE_16X16: MatrixShape =
    MatrixShape { size: 16, source: shader_file!("cooperative_16x16") };

/// Returns a product by tiles in workgroup memory, `m` x `n` a workgroup: the constants' TILE_M and TILE_N.
const fn tile(
    name: &'static str,
    consts: &'static [(&'static str, u32)],
    m: u32,
    n: u32,
) -> Variant {
    let tile = [m, n];
    Variant {
        name,
        source: TILE,
        consts,
        tile,
        subgroup: None,
        one_pipeline: false,
        cooperative: None,
    }
}

/// Returns a product whose workgroup is one subgroup of `lanes` lanes.
const fn subgroup(
    name: &'static str,
    consts: &'static [(&'static str, u32)],
    tile: [u32; 2],
    lanes: u32,
) -> Variant {
    Variant {
        name,
        source: SUBGROUP,
        consts,
        tile,
        subgroup: Some(lanes),
        one_pipeline: true,
        cooperative: None,
    }
}

const SPLIT: &[&str] = &[LOAD_TILES, shader_file!("matmul_split")];
const BLOCK: &[&str] = &[LOAD_TILES, shader_file!("matmul_block")];

/// Returns a product whose workgroup is one subgroup of `lanes` lanes, by cooperative matrices of `size` x `size`.
const fn cooperative(
    name: &'static str,
    consts: &'static [(&'static str, u32)],
    shape: MatrixShape,
    lanes: u32,
) -> Variant {
    Variant {
        name,
        source: COOPERATIVE,
        consts,
        tile: [2 * shape.size, 2 * shape.size],
        subgroup: Some(lanes),
        one_pipeline: false,
        cooperative: Some(shape),
    }
}

/// The variants of products.
pub(super) const MATMULS: &[Variant] = &[
    Variant {
        name: "block_128x128",
        source: BLOCK,
        consts: &[],
        tile: [128, 128],
        subgroup: None,
        one_pipeline: false,
        cooperative: None,
    },
    tile(
        "tile_64x64",
        &[("TILE_M", 64), ("TILE_N", 64), ("TILE_K", 16), ("REG_M", 4), ("REG_N", 4)],
        64,
        64,
    ),
    tile(
        "tile_16x16",
        &[("TILE_M", 16), ("TILE_N", 16), ("TILE_K", 16), ("REG_M", 2), ("REG_N", 2)],
        16,
        16,
    ),
    Variant {
        name: "split_16x16",
        source: SPLIT,
        consts: &[("TILE", 16), ("TILE_K", 16), ("REG", 2), ("SPLITS", 4)],
        tile: [16, 16],
        subgroup: None,
        one_pipeline: false,
        cooperative: None,
    },
    subgroup(
        "subgroup_16x16",
        &[("LANES", 8), ("STEP_K", 2), ("REG_M", 16), ("REG_N", 2)],
        [16, 16],
        8,
    ),
    subgroup(
        "subgroup_16x8",
        &[("LANES", 4), ("STEP_K", 2), ("REG_M", 16), ("REG_N", 2)],
        [16, 8],
        4,
    ),
    subgroup(
        "subgroup_16x32",
        &[("LANES", 16), ("STEP_K", 2), ("REG_M", 16), ("REG_N", 2)],
        [16, 32],
        16,
    ),
    subgroup(
        "subgroup_16x64",
        &[("LANES", 32), ("STEP_K", 2), ("REG_M", 16), ("REG_N", 2)],
        [16, 64],
        32,
    ),
    subgroup(
        "subgroup_16x128",
        &[("LANES", 64), ("STEP_K", 4), ("REG_M", 16), ("REG_N", 2)],
        [16, 128],
        64,
    ),
    cooperative(
        "cooperative_8x8_lanes8",
        &[("LANES", 8), ("SIZE", 8), ("TILE_K", 16)],
        SHAPE_8X8,
        8,
    ),
    cooperative(
        "cooperative_8x8_lanes32",
        &[("LANES", 32), ("SIZE", 8), ("TILE_K", 32)],
        SHAPE_8X8,
        32,
    ),
    cooperative(
        "cooperative_16x16_lanes32",
        &[("LANES", 32), ("SIZE", 16), ("TILE_K", 32)],
        SHAPE_16X16,
        32,
    ),
];

const fn map(name: &'static str, variants: &'static [Variant]) -> KernelSpec {
    KernelSpec {
        name,
        source: &[STEP_ROW, STEP, INDEX, FUNCTIONS, RANDOM, OPERANDS],
        params: &[
            "m", "n", "rows0", "columns0", "shift0", "width0", "rows1", "columns1", "shift1",
            "width1", "rows2", "columns2", "shift2", "width2", "rows3", "columns3", "shift3",
            "width3", "rows4", "columns4", "shift4", "width4", "rows5", "columns5", "shift5",
            "width5",
        ],
        grid: Grid::Sizes(mapped),
        variants,
    }
}

const fn chain(name: &'static str, variants: &'static [Variant]) -> KernelSpec {
    KernelSpec {
        name,
        source: &[STEP_ROW, STEP, INDEX, FUNCTIONS, RANDOM, CHAIN],
        params: &["m", "n"],
        grid: Grid::Sizes(chained),
        variants,
    }
}

const fn matmul(name: &'static str) -> KernelSpec {
    KernelSpec {
        name,
        source: &[STEP_ROW, STEP, FUNCTIONS, RANDOM, PRODUCT, MATMUL],
        params: &["m", "n", "k", "fused", "stream", "rate"],
        grid: Grid::Sizes(product),
        variants: MATMULS,
    }
}

/// Returns the sizes of a look-up, of which `table` is the table or its gradient.
fn looked_up(of: &Arguments<'_>, table: &str) -> Result<DispatchSizes> {
    let (Kernel::Lookup { column } | Kernel::LookupGrad { column }) = of.step.kernel else {
        unreachable!("these are the rows of look-ups")
    };
    let ((v, d), (m, n)) = (of.matrix(table), of.matrix("x"));
    Ok(of.flat(&[m, n, d, v], of.slot("out").len())?.with([column]))
}

/// Returns the sizes of a matrix and of another one with that many times its columns: rows, columns of the narrow one, blocks.
fn in_blocks(of: &Arguments<'_>) -> Result<DispatchSizes> {
    let (narrow, wide, blocks, elements) = match of.step.kernel {
        Kernel::RepeatColumns { times } => ("x", "out", times, of.slot("out").len()),
        Kernel::SumBlocks { blocks } => ("out", "x", blocks, of.slot("out").len()),
        // A row a lane, since a row's classes share their sums.
        Kernel::MemberMean { members, .. } => ("out", "x", members, of.matrix("out").0),
        _ => unreachable!("these are the rows of blocks of columns"),
    };
    let ((m, n), g) = (of.matrix(narrow), blocks.max(1) as usize);
    let (len, want) = (of.slot(wide).len(), m * n * g);
    if len != want {
        let problem = format!("{} has {len} elements, not {want}", of.slot(wide).name);
        return Err(Error::shape(of.step.kernel.name(), problem));
    }
    of.flat(&[m, n, g], elements)
}

const fn columns_in_blocks(name: &'static str, variants: &'static [Variant]) -> KernelSpec {
    KernelSpec {
        name,
        source: &[STEP_ROW, STEP, INDEX, COLUMN_BLOCKS],
        params: &["m", "n", "blocks"],
        grid: Grid::Sizes(in_blocks),
        variants,
    }
}

/// Returns the sizes of a product within blocks: rows, blocks, and columns of both sides of a block.
fn within_blocks(of: &Arguments<'_>) -> Result<DispatchSizes> {
    let (Kernel::BlockNt { blocks } | Kernel::BlockNn { blocks } | Kernel::BlockTn { blocks }) =
        of.step.kernel
    else {
        unreachable!("these are the rows of products within blocks")
    };
    let (a, b, out) = (of.matrix("a"), of.matrix("b"), of.matrix("out"));
    let g = blocks.max(1) as usize;
    let (n, k) = match of.step.kernel {
        Kernel::BlockNt { .. } => (out.1 / g, b.1),
        Kernel::BlockNn { .. } => (a.1 / g, b.1),
        _ => (a.1 / g, out.1),
    };
    let (m, wide, narrow) = (a.0, g * n, g * k);
    let (want_a, want_b, want_out) = match of.step.kernel {
        Kernel::BlockNt { .. } => (m * narrow, wide * k, m * wide),
        Kernel::BlockNn { .. } => (m * wide, wide * k, m * narrow),
        _ => (m * wide, m * narrow, wide * k),
    };
    for (name, want) in [("a", want_a), ("b", want_b), ("out", want_out)] {
        let len = of.slot(name).len();
        if len != want {
            let problem = format!("{} has {len} elements, not {want}", of.slot(name).name);
            return Err(Error::shape(of.step.kernel.name(), problem));
        }
    }
    of.flat(&[m, g, n, k], of.slot("out").len())
}

const fn blocks(name: &'static str, variants: &'static [Variant]) -> KernelSpec {
    KernelSpec {
        name,
        source: &[STEP_ROW, STEP, INDEX, BLOCK_PRODUCT],
        params: &["m", "blocks", "n", "k"],
        grid: Grid::Sizes(within_blocks),
        variants,
    }
}

/// Every kernel.
pub const KERNELS: &[KernelSpec] = &[
    KernelSpec {
        name: "gather",
        source: &[STEP_ROW, STEP, INDEX],
        params: &["batch", "columns", "y_columns"],
        grid: Grid::Sizes(|of| {
            let (rows, columns) = of.matrix("x_out");
            // There are as many lanes as elements of the wider of the two matrices.
            let y_columns = of.find("y_out").map_or(0, |y| y.len() / rows);
            of.flat(&[rows, columns, y_columns], rows * columns.max(y_columns))
        }),
        variants: plain!("gather"),
    },
    matmul("matmul_nt"),
    matmul("matmul_nn"),
    matmul("matmul_tn"),
    blocks("block_nt", plain!("block_nt")),
    blocks("block_nn", plain!("block_nn")),
    blocks("block_tn", plain!("block_tn")),
    columns_in_blocks("repeat_columns", plain!("repeat_columns")),
    columns_in_blocks("sum_blocks", plain!("sum_blocks")),
    columns_in_blocks("member_mean", plain!("member_mean")),
    map("map", plain!("map")),
    map("map_rows", plain!("map_rows")),
    map("map_columns", plain!("map_columns")),
    chain("map_chain", plain!("map_chain")),
    chain("map_rows_chain", plain!("map_rows_chain")),
    chain("map_columns_chain", plain!("map_columns_chain")),
    KernelSpec {
        name: "lookup",
        source: &[STEP_ROW, STEP, INDEX],
        params: &["m", "n", "d", "v", "column"],
        grid: Grid::Sizes(|of| looked_up(of, "table")),
        variants: plain!("lookup"),
    },
    KernelSpec {
        name: "lookup_grad",
        source: &[STEP_ROW, STEP, INDEX],
        params: &["m", "n", "d", "v", "column"],
        grid: Grid::Sizes(|of| looked_up(of, "out")),
        variants: plain!("lookup_grad"),
    },
    KernelSpec {
        name: "loss_map",
        source: &[STEP_ROW, STEP, INDEX, SCALING, FUNCTIONS, ROW_ELEMENTS],
        params: &["batch", "n", "columns", "period", "share"],
        grid: Grid::Sizes(|of| {
            let Kernel::LossMap { width, form, .. } = of.step.kernel else {
                unreachable!("this is its row")
            };
            let ((batch, n), (_, columns)) = (of.matrix("prediction"), of.matrix("goal"));
            let period = of.find("constants").map_or(1, SlotSpec::len);
            // The factor makes a mean of the columns' sum where the loss is one.
            let share =
                if form.mean { f32::from(width) / n as f32 } else { 1.0 / form.members as f32 };
            Ok(of.flat(&[batch, n, columns, period], batch)?.with([share.to_bits()]))
        }),
        variants: plain!("loss_map"),
    },
    KernelSpec {
        name: "loss_classes",
        source: &[STEP_ROW, STEP, INDEX, SCALING, ROW_TOP, ROW_CLASSES],
        params: &["batch", "n", "setting"],
        grid: Grid::Sizes(|of| {
            let Kernel::LossClasses { loss, .. } = of.step.kernel else {
                unreachable!("this is its row")
            };
            let (batch, n) = of.matrix("logits");
            Ok(of.flat(&[batch, n], batch)?.with([bits(class_loss(loss).1)]))
        }),
        variants: plain!("loss_classes"),
    },
    KernelSpec {
        name: "log_loss",
        source: &[STEP_ROW, STEP],
        params: &["batch"],
        // One workgroup sums the losses of the whole batch.
        grid: Grid::Sizes(|of| Ok(of.flat(&[of.slot("row_loss").len()], 1)?.groups(1))),
        variants: plain!("log_loss"),
    },
    KernelSpec {
        name: "put_rows",
        source: &[STEP_ROW, STEP, INDEX],
        params: &["n"],
        grid: Grid::Sizes(|of| {
            let (batch, n) = of.matrix("x");
            of.flat(&[n], batch * n)
        }),
        variants: plain!("put_rows"),
    },
    KernelSpec {
        name: "update_running",
        source: &[STEP_ROW, STEP, INDEX, SCALING],
        params: &["len", "momentum", "rest"],
        grid: Grid::Sizes(|of| {
            let Kernel::UpdateRunning { momentum, .. } = of.step.kernel else {
                unreachable!("this is its row")
            };
            let len = of.slot("out").len();
            // Without a momentum of its own, the kernel takes the weight in the step parameters.
            let momentum = momentum.unwrap_or_default();
            Ok(of.flat(&[len], len)?.with([momentum, 1.0 - momentum].map(bits)))
        }),
        variants: plain!("update_running"),
    },
    KernelSpec {
        name: "check_finite",
        source: &[STEP_ROW, STEP, INDEX, SCALING],
        params: &["len"],
        grid: Grid::Arena(|_, _| Ok(vec![])),
        variants: plain!("check_finite"),
    },
    KernelSpec {
        name: "rescale",
        source: &[STEP_ROW, STEP, SCALING],
        params: &["unused"],
        grid: Grid::Sizes(|of| of.flat(&[0], 1)),
        variants: plain!("rescale"),
    },
    KernelSpec {
        name: "update",
        source: &[STEP_ROW, STEP, INDEX, SCALING],
        params: &["len", "first"],
        // A part of an arena needs its first block, since the table of factors is bound whole.
        grid: Grid::Arena(|_, first| Ok(vec![narrow(first / ARENA_BLOCK)?])),
        variants: plain!("update"),
    },
    KernelSpec {
        name: "square_sums",
        source: &[STEP_ROW, STEP, SCALING],
        params: &["len", "first"],
        grid: Grid::Arena(|_, first| Ok(vec![narrow(first / ARENA_BLOCK)?])),
        variants: plain!("square_sums"),
    },
    KernelSpec {
        name: "clip_norm",
        source: &[STEP_ROW, STEP],
        params: &["len", "limit"],
        grid: Grid::Sizes(|of| {
            let Kernel::ClipNorm { max } = of.step.kernel else { unreachable!("this is its row") };
            Ok(of.flat(&[of.slot("sums").len()], 1)?.groups(1).with([bits(max)]))
        }),
        variants: wide!("clip_norm"),
    },
    KernelSpec {
        name: "trust_ratios",
        source: &[STEP_ROW, STEP],
        params: &["len"],
        grid: Grid::Sizes(|of| {
            let views = of.slot("views").len() / 2;
            // A workgroup adds the blocks of one parameter.
            Ok(of.flat(&[views], 1)?.groups(narrow(views)?))
        }),
        variants: wide!("trust_ratios"),
    },
];

/// Returns a kernel's row.
pub(super) fn spec_of(kernel: &Kernel) -> Result<&'static KernelSpec> {
    let name = kernel.name();
    KERNELS
        .iter()
        .find(|spec| spec.name == name)
        .ok_or_else(|| Error::shape(name, "it has no row in the table of GPU kernels"))
}

/// Bindings that a fused step reads, and bindings that it writes.
pub const SEQUENCE_BINDINGS: [&[&str]; 2] =
    [&["x", "order", "y", "row_weights"], &["weights", "average", "log_out", "scratch"]];

/// Whole steps of training in one dispatch (`fused_step.rs`): a row beside the table, since no plan names it.
pub static SEQUENCE: KernelSpec = KernelSpec {
    name: "sequence",
    source: &[STEP_ROW, FUNCTIONS, RANDOM, PRODUCT, SCALING, shader_file!("sequence")],
    params: &["ops"],
    // The operations of a fused step have places in the scratch, and no slots of their own.
    grid: Grid::Sizes(|_| Ok(DispatchSizes { params: vec![], groups: 1 })),
    variants: &[
        Variant {
            name: "sequence_subgroup8",
            source: &[PRODUCT_SUBGROUP, shader_file!("sequence_subgroup")],
            consts: &[("LANES", 8), ("STEP_K", 2), ("REG_M", 16), ("REG_N", 2)],
            tile: [16, 16],
            subgroup: Some(8),
            one_pipeline: true,
            cooperative: None,
        },
        Variant {
            name: "sequence_lane256",
            source: &[shader_file!("sequence_lane")],
            consts: &[("LANES", 256), ("REG_M", 2), ("REG_N", 4)],
            tile: [2, 4],
            subgroup: None,
            one_pipeline: true,
            cooperative: None,
        },
    ],
};
