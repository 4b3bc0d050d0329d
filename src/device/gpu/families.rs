//! Measured limits and variants of families of adapters, which rules take where nothing was timed on the adapter itself.
//!
//! In: an adapter's name. Out: its [`AdapterFamily`].
//! Absent on purpose: decisions, which `select.rs` makes; times of single products, which `tune.rs` measures.
//!
//! To add a family, run `scripts/measure_gpu.sh` on an adapter of it, and put what it found into a row of [`FAMILIES`].

/// Adapters that are alike in what is fast on them.
#[derive(Debug, PartialEq)]
pub(super) struct AdapterFamily {
    /// Name in documents.
    pub(super) name: &'static str,
    /// True for software adapters.
    software: bool,
    /// Part of the adapter's name, in small letters; empty for any.
    part: &'static str,
    /// Where and when the row was measured; `None` for an estimate.
    pub(super) measured: Option<&'static str>,
    /// Largest training step that one dispatch by one workgroup finishes sooner than the separate dispatches would.
    pub(super) whole_step: WholeStepLimits,
    /// The first line that fits a product decides its variant.
    pub(super) products: &'static [ProductRule],
}

/// Largest training step for one dispatch.
#[derive(Debug, PartialEq)]
pub(super) struct WholeStepLimits {
    /// Columns of the widest matrix.
    pub(super) width: usize,
    /// Floating-point operations of all products together.
    pub(super) operations: usize,
}

/// A line of the rule for products that were not timed: the variant is taken for results of at least `tiles` tiles of 64 x 64,
/// each the sum of at least `terms` terms.
#[derive(Debug, PartialEq)]
pub(super) struct ProductRule {
    /// Required size of all subgroups; `None` for any.
    pub(super) subgroup: Option<u32>,
    pub(super) tiles: usize,
    pub(super) terms: usize,
    pub(super) variant: &'static str,
}

/// Returns a line for any subgroups.
const fn line(tiles: usize, terms: usize, variant: &'static str) -> ProductRule {
    ProductRule { subgroup: None, tiles, terms, variant }
}

/// Barriers and workgroup memory cost lavapipe more than they save, and loads more than passing values round a subgroup.
/// SwiftShader, with subgroups of 4, is faster with large tiles.
const SOFTWARE: &[ProductRule] = &[
    ProductRule { subgroup: Some(8), tiles: 0, terms: 0, variant: "subgroup_16x16" },
    line(2, 0, "tile_64x64"),
    line(0, 0, "tile_16x16"),
];

/// Large tiles load less for each result, but a small result has too few of them to fill a GPU; long sums of a small result are
/// split.
const HARDWARE: &[ProductRule] = &[
    line(512, 0, "block_128x128"),
    line(64, 0, "tile_64x64"),
    line(0, 256, "split_16x16"),
    line(0, 0, "tile_16x16"),
];

/// The first row that fits an adapter is its family.
pub(super) const FAMILIES: &[AdapterFamily] = &[
    AdapterFamily {
        name: "lavapipe",
        software: true,
        part: "llvmpipe",
        measured: Some("Mesa 22.3.6 and 25.0.7 on two cores of an AMD EPYC, 2026-11-22"),
        whole_step: WholeStepLimits { width: 128, operations: 3_000_000 },
        products: SOFTWARE,
    },
    AdapterFamily {
        name: "SwiftShader",
        software: true,
        part: "swiftshader",
        measured: Some("Chromium's, on two cores of an AMD EPYC, 2026-11-22: products alone"),
        whole_step: WholeStepLimits { width: 128, operations: 3_000_000 },
        products: SOFTWARE,
    },
    AdapterFamily {
        name: "other software",
        software: true,
        part: "",
        measured: None,
        whole_step: WholeStepLimits { width: 128, operations: 3_000_000 },
        products: SOFTWARE,
    },
    AdapterFamily {
        name: "hardware",
        software: false,
        part: "",
        measured: None,
        whole_step: WholeStepLimits { width: 128, operations: 1_000_000 },
        products: HARDWARE,
    },
];

impl AdapterFamily {
    /// Returns the family of an adapter.
    pub(super) fn of(name: &str, software: bool) -> &'static Self {
        let name = name.to_ascii_lowercase();
        let fits = |it: &&Self| it.software == software && name.contains(it.part);
        FAMILIES.iter().find(fits).expect("the last rows fit any adapter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_adapter_has_a_family() {
        let of = |name, software| AdapterFamily::of(name, software).name;
        assert_eq!(of("llvmpipe (LLVM 15.0.6, 256 bits)", true), "lavapipe");
        assert_eq!(of("SwiftShader Device (Subzero)", true), "SwiftShader");
        assert_eq!(of("Microsoft Basic Render Driver", true), "other software");
        assert_eq!(of("AMD Radeon RX 7600 (RADV NAVI33)", false), "hardware");
    }

    #[test]
    fn the_last_line_of_a_rule_fits_all_products() {
        for family in FAMILIES {
            let last = family.products.last().unwrap();
            assert_eq!((last.subgroup, last.tiles, last.terms), (None, 0, 0), "{}", family.name);
        }
    }
}
