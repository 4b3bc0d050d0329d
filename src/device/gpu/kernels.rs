//! The table of kernels: for each its files, its parameters, its bindings, its variants.
//!
//! A row says what `shaders/NAME.wgsl` must declare; `tests/shaders.rs` compares both.

use crate::plan::{Element, Stored};

const STEP_ROW: &str = include_str!("../../../shaders/step_row.wgsl");
const STEP: &str = include_str!("../../../shaders/step.wgsl");
const ADAM: &str = include_str!("../../../shaders/adam.wgsl");
const SGD: &str = include_str!("../../../shaders/sgd.wgsl");
const INDEX: &str = include_str!("../../../shaders/index.wgsl");
pub(super) const FUNCTIONS: &str = include_str!("../../../shaders/functions.wgsl");
const RANDOM: &str = include_str!("../../../shaders/random.wgsl");
const OPERANDS: &str = include_str!("../../../shaders/operands.wgsl");
const ACTIVATION: &str = include_str!("../../../shaders/activation.wgsl");
const PRODUCT: &str = include_str!("../../../shaders/product.wgsl");
const PRODUCT_SUBGROUP: &str = include_str!("../../../shaders/product_subgroup.wgsl");
const ROW_CROSS_ENTROPY: &str = include_str!("../../../shaders/row_cross_entropy.wgsl");
const ROW_MSE: &str = include_str!("../../../shaders/row_mse.wgsl");
const SCALING: &str = include_str!("../../../shaders/scaling.wgsl");
pub(super) const MATMUL: &str = include_str!("../../../shaders/matmul.wgsl");

/// A kernel's row: which files it is made of and what it binds. Binding 0 is the step, 1 the
/// parameters; reads and writes follow in order.
#[derive(Debug)]
pub struct KernelSpec {
    /// The kernel's name in plans.
    pub name: &'static str,
    /// Files, in order, before the variant's own. Before them stand those that say what `Read` and `Write` are.
    pub source: &'static [&'static str],
    /// Fields of `Params`, each of 4 bytes; a sequence has a table in front.
    pub params: &'static [&'static str],
    /// Bindings that are only read.
    pub reads: &'static [&'static str],
    /// Bindings that are written.
    pub writes: &'static [&'static str],
    /// Its forms; `load.rs` says which is taken when.
    pub variants: &'static [Variant],
}

/// One form of a kernel: the same result by other tiles.
#[derive(Debug)]
pub struct Variant {
    /// Its name: shape and layout.
    pub name: &'static str,
    /// Its files, after the kernel's own.
    pub source: &'static [&'static str],
    /// Its constants.
    pub consts: &'static [(&'static str, u32)],
    /// Rows and columns of the result that a workgroup computes; for kernels that go through elements one
    /// by one, 1 and the workgroup's size.
    pub tile: [u32; 2],
    /// The size that all subgroups of an adapter must have for this form; `None` where none are used.
    pub subgroup: Option<u32>,
    /// Whether what is fused into a product is a uniform instead of a constant, so that all products of a plan share
    /// one pipeline: for adapters that take long to compile one.
    pub one_pipeline: bool,
    /// The cooperative matrices that it needs; their factors are in half precision, and so must be what it reads.
    pub cooperative: Option<Shape>,
}

impl Variant {
    /// Whether it has a form for numbers kept like this.
    pub fn fits(&self, stored: Stored) -> bool {
        self.cooperative.is_none() || stored.read == Element::F16
    }
}

/// Square cooperative matrices of halves, whose products are added up in single precision.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Rows and columns.
    pub size: u32,
    /// The file that names their types.
    pub source: &'static str,
}

/// Lanes of a workgroup in kernels that go through elements one by one.
const WORKGROUP: u32 = 64;

macro_rules! plain {
    ($file:literal) => {
        &[Variant {
            name: "plain",
            source: &[include_str!(concat!("../../../shaders/", $file, ".wgsl"))],
            consts: &[("WORKGROUP", WORKGROUP)],
            tile: [1, WORKGROUP],
            subgroup: None,
            one_pipeline: false,
            cooperative: None,
        }]
    };
}

/// Lanes of a workgroup in kernels that one workgroup, or one for each parameter, does.
const WIDE: u32 = 256;

macro_rules! wide {
    ($file:literal) => {
        &[Variant {
            name: "plain",
            source: &[
                include_str!("../../../shaders/total.wgsl"),
                include_str!(concat!("../../../shaders/", $file, ".wgsl")),
            ],
            consts: &[("WORKGROUP", WIDE)],
            tile: [1, WIDE],
            subgroup: None,
            one_pipeline: false,
            cooperative: None,
        }]
    };
}

const TILE: &[&str] = &[include_str!("../../../shaders/matmul_tile.wgsl")];
const SUBGROUP: &[&str] =
    &[PRODUCT_SUBGROUP, include_str!("../../../shaders/matmul_subgroup.wgsl")];
const COOPERATIVE: &[&str] = &[include_str!("../../../shaders/matmul_cooperative.wgsl")];
const SHAPE_8X8: Shape =
    Shape { size: 8, source: include_str!("../../../shaders/cooperative_8x8.wgsl") };
const SHAPE_16X16: Shape =
    Shape { size: 16, source: include_str!("../../../shaders/cooperative_16x16.wgsl") };

/// A product by tiles in workgroup memory, `m` x `n` a workgroup: the constants' TILE_M and TILE_N.
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

/// A product whose workgroup is one subgroup of so many lanes.
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

const SPLIT: &[&str] = &[include_str!("../../../shaders/matmul_split.wgsl")];
const BLOCK: &[&str] = &[include_str!("../../../shaders/matmul_block.wgsl")];

/// A product whose workgroup is one subgroup of so many lanes, by cooperative matrices of `size` x `size`.
const fn cooperative(
    name: &'static str,
    consts: &'static [(&'static str, u32)],
    shape: Shape,
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

/// The forms of products.
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
        &[("LANES", 8), ("SIZE", 8), ("STEP_K", 16)],
        SHAPE_8X8,
        8,
    ),
    cooperative(
        "cooperative_8x8_lanes32",
        &[("LANES", 32), ("SIZE", 8), ("STEP_K", 32)],
        SHAPE_8X8,
        32,
    ),
    cooperative(
        "cooperative_16x16_lanes32",
        &[("LANES", 32), ("SIZE", 16), ("STEP_K", 32)],
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
        reads: &["x0", "x1", "x2", "x3", "x4", "x5"],
        writes: &["out"],
        variants,
    }
}

const fn matmul(name: &'static str) -> KernelSpec {
    KernelSpec {
        name,
        source: &[STEP_ROW, STEP, FUNCTIONS, RANDOM, ACTIVATION, PRODUCT, MATMUL],
        params: &["m", "n", "k", "fused", "stream", "rate"],
        reads: &["a", "b", "extra"],
        writes: &["out", "extra_out"],
        variants: MATMULS,
    }
}

/// Every kernel.
pub const KERNELS: &[KernelSpec] = &[
    KernelSpec {
        name: "gather",
        source: &[STEP_ROW, STEP, INDEX],
        params: &["batch", "columns", "y_columns"],
        reads: &["x", "order", "y"],
        writes: &["x_out", "y_out"],
        variants: plain!("gather"),
    },
    matmul("matmul_nt"),
    matmul("matmul_nn"),
    matmul("matmul_tn"),
    KernelSpec {
        name: "activate",
        source: &[STEP_ROW, STEP, INDEX, FUNCTIONS, ACTIVATION],
        params: &["len", "n"],
        reads: &["x", "bias"],
        writes: &["out"],
        variants: plain!("activate"),
    },
    KernelSpec {
        name: "activate_grad",
        source: &[STEP_ROW, STEP, INDEX, FUNCTIONS, ACTIVATION],
        params: &["len"],
        reads: &["saved", "d_y"],
        writes: &["out"],
        variants: plain!("activate_grad"),
    },
    KernelSpec {
        name: "add",
        source: &[STEP_ROW, STEP, INDEX],
        params: &["len"],
        reads: &["a", "b"],
        writes: &["out"],
        variants: plain!("add"),
    },
    map("map", plain!("map")),
    map("map_rows", plain!("map_rows")),
    map("map_columns", plain!("map_columns")),
    KernelSpec {
        name: "lookup",
        source: &[STEP_ROW, STEP, INDEX],
        params: &["m", "n", "d", "v", "column"],
        reads: &["table", "x"],
        writes: &["out"],
        variants: plain!("lookup"),
    },
    KernelSpec {
        name: "lookup_grad",
        source: &[STEP_ROW, STEP, INDEX],
        params: &["m", "n", "d", "v", "column"],
        reads: &["x", "d_y"],
        writes: &["out"],
        variants: plain!("lookup_grad"),
    },
    KernelSpec {
        name: "sum_rows",
        source: &[STEP_ROW, STEP, INDEX],
        params: &["m", "n"],
        reads: &["x"],
        writes: &["out"],
        variants: plain!("sum_rows"),
    },
    KernelSpec {
        name: "loss_cross_entropy",
        source: &[STEP_ROW, STEP, INDEX, SCALING, ROW_CROSS_ENTROPY],
        params: &["batch", "n"],
        reads: &["logits", "labels", "scaling"],
        writes: &["row_loss", "d_logits"],
        variants: plain!("loss_cross_entropy"),
    },
    KernelSpec {
        name: "loss_mse",
        source: &[STEP_ROW, STEP, INDEX, SCALING, ROW_MSE],
        params: &["batch", "n"],
        reads: &["prediction", "goal", "scaling"],
        writes: &["row_loss", "d_prediction"],
        variants: plain!("loss_mse"),
    },
    KernelSpec {
        name: "loss_map",
        source: &[STEP_ROW, STEP, INDEX, SCALING, FUNCTIONS],
        params: &["batch", "n", "columns", "period", "share"],
        reads: &["prediction", "goal", "constants", "weights", "scaling"],
        writes: &["row_loss", "d_prediction"],
        variants: plain!("loss_map"),
    },
    KernelSpec {
        name: "loss_classes",
        source: &[STEP_ROW, STEP, INDEX, SCALING],
        params: &["batch", "n", "setting"],
        reads: &["logits", "goal", "constants", "weights", "scaling"],
        writes: &["row_loss", "d_logits"],
        variants: plain!("loss_classes"),
    },
    KernelSpec {
        name: "log_loss",
        source: &[STEP_ROW, STEP],
        params: &["batch"],
        reads: &["row_loss"],
        writes: &["log_out"],
        variants: plain!("log_loss"),
    },
    KernelSpec {
        name: "put_rows",
        source: &[STEP_ROW, STEP, INDEX],
        params: &["n"],
        reads: &["x"],
        writes: &["out"],
        variants: plain!("put_rows"),
    },
    KernelSpec {
        name: "update_running",
        source: &[STEP_ROW, STEP, INDEX, SCALING],
        params: &["len", "momentum", "rest"],
        reads: &["stat", "scaling"],
        writes: &["out"],
        variants: plain!("update_running"),
    },
    KernelSpec {
        name: "check_finite",
        source: &[STEP_ROW, STEP, INDEX, SCALING],
        params: &["len"],
        reads: &["gradient", "log_in"],
        writes: &["scaling"],
        variants: plain!("check_finite"),
    },
    KernelSpec {
        name: "rescale",
        source: &[STEP_ROW, STEP, SCALING],
        params: &["unused"],
        reads: &[],
        writes: &["scaling", "log_out"],
        variants: plain!("rescale"),
    },
    KernelSpec {
        name: "update_sgd",
        source: &[STEP_ROW, STEP, INDEX, SCALING, SGD],
        params: &["len", "momentum", "weight_decay"],
        reads: &["gradient", "scaling"],
        writes: &["weight", "velocity", "half_weight"],
        variants: plain!("update_sgd"),
    },
    KernelSpec {
        name: "update_adam",
        source: &[STEP_ROW, STEP, INDEX, SCALING, ADAM],
        params: &["len", "beta1", "beta2", "rest1", "rest2", "eps", "weight_decay"],
        reads: &["gradient", "scaling"],
        writes: &["weight", "m", "v", "half_weight"],
        variants: plain!("update_adam"),
    },
    KernelSpec {
        name: "update",
        source: &[STEP_ROW, STEP, INDEX, SCALING],
        params: &["len", "first"],
        reads: &["gradient", "scaling", "factors"],
        writes: &["weight", "state0", "state1", "state2", "gathered", "average", "half_weight"],
        variants: plain!("update"),
    },
    KernelSpec {
        name: "square_sums",
        source: &[STEP_ROW, STEP, SCALING],
        params: &["len", "first"],
        reads: &["x", "gathered", "scaling", "factors"],
        writes: &["sums"],
        variants: plain!("square_sums"),
    },
    KernelSpec {
        name: "clip_norm",
        source: &[STEP_ROW, STEP],
        params: &["len", "limit"],
        reads: &["sums"],
        writes: &["factors"],
        variants: wide!("clip_norm"),
    },
    KernelSpec {
        name: "trust_ratios",
        source: &[STEP_ROW, STEP],
        params: &["len"],
        reads: &["weights", "directions", "views"],
        writes: &["factors"],
        variants: wide!("trust_ratios"),
    },
];

/// Whole steps of training in one dispatch (`sequence.rs`): a row beside the table, since no plan names it.
pub static SEQUENCE: KernelSpec = KernelSpec {
    name: "sequence",
    source: &[
        STEP_ROW,
        FUNCTIONS,
        RANDOM,
        ACTIVATION,
        PRODUCT,
        ROW_CROSS_ENTROPY,
        ROW_MSE,
        ADAM,
        SGD,
        include_str!("../../../shaders/sequence.wgsl"),
    ],
    params: &["ops", "momentum", "beta1", "beta2", "rest1", "rest2", "eps", "weight_decay"],
    reads: &["x", "order", "y"],
    writes: &["weights", "state", "state2", "log_out", "scratch"],
    variants: &[
        Variant {
            name: "sequence_subgroup8",
            source: &[PRODUCT_SUBGROUP, include_str!("../../../shaders/sequence_subgroup.wgsl")],
            consts: &[("LANES", 8), ("STEP_K", 2), ("REG_M", 16), ("REG_N", 2)],
            tile: [16, 16],
            subgroup: Some(8),
            one_pipeline: true,
            cooperative: None,
        },
        Variant {
            name: "sequence_lane256",
            source: &[include_str!("../../../shaders/sequence_lane.wgsl")],
            consts: &[("LANES", 256), ("REG_M", 2), ("REG_N", 4)],
            tile: [2, 4],
            subgroup: None,
            one_pipeline: true,
            cooperative: None,
        },
    ],
};
