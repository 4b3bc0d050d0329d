//! The choice of the variant of a kernel that a step takes: the only place that decides it.
//!
//! In: an adapter's properties, times measured on it, a step. Out: a variant, and why it was chosen.
//! Absent on purpose: timing, files, wgpu.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::families::{AdapterFamily, ProductRule, WholeStepLimits};
use super::kernels::{KernelSpec, MATMUL, SEQUENCE, Variant, spec_of};
use super::sizes::product_sizes;
use crate::device::Tune;
use crate::error::{Error, Result};
use crate::model::Activation;
use crate::plan::{Kernel, Phase, Plan, Step, StorageTypes};

/// A product with everything that its speed depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct MatmulKey {
    pub(super) kernel: Kernel,
    /// m, n, k
    pub(super) sizes: [usize; 3],
    /// Storage types of its operands and results.
    pub(super) stored: StorageTypes,
}

impl MatmulKey {
    /// Returns the product that a step computes; `None` for other kernels.
    ///
    /// # Errors
    /// If no variant of the product has the storage types of the step's slots.
    pub(super) fn of(plan: &Plan, step: &Step) -> Result<Option<Self>> {
        if !step.kernel.is_product() {
            return Ok(None);
        }
        let stored = plan.stored(step)?;
        Ok(Some(Self { kernel: step.kernel, sizes: product_sizes(plan, step), stored }))
    }

    /// Returns the product's name in records and files: `matmul_nt +bias +relu 128x512x784`, or `matmul_nt +bias +relu f16
    /// 128x512x784`.
    pub(super) fn name(&self) -> String {
        let [m, n, k] = self.sizes;
        format!("{}{} {m}x{n}x{k}", self.kernel, self.stored)
    }
}

/// Variant chosen for one product.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Choice {
    pub(super) variant: String,
    /// How it was chosen.
    pub(super) by: Tune,
    /// Microseconds of each variant that was timed; empty if there was no time left and the rule decided.
    pub(super) micros: BTreeMap<String, f64>,
}

/// Measured products and variants of one adapter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Choices {
    pub(super) products: BTreeMap<String, Choice>,
    /// Variants that gave wrong numbers, as [`mark`] writes them: they are not used for anything in that precision.
    pub(super) wrong: BTreeSet<String>,
}

/// Returns a variant's entry among those that gave wrong numbers: `tile_16x16`, or `tile_16x16 f16`.
pub(super) fn mark(form: &str, stored: StorageTypes) -> String {
    let precision = if stored.half() { " f16" } else { "" };
    format!("{form}{precision}")
}

/// Returns whether a kernel is one of the products, which have several variants.
fn is_product(spec: &KernelSpec) -> bool {
    spec.source.contains(&MATMUL)
}

/// The name in records of the dispatch that runs whole training steps.
pub(super) const WHOLE_STEP: &str = "training step";

/// The variants that an earlier run used, read from its record. They are not written to the tuner's file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PreviousChoices {
    /// The variant of each product, and the word for how it was chosen.
    products: BTreeMap<String, (String, &'static str)>,
    /// Name of the kernel that ran whole training steps.
    step: Option<String>,
}

impl PreviousChoices {
    /// Reads the lines that `load.rs` writes; other lines are ignored.
    pub(super) fn of(lines: &[String]) -> Self {
        let mut earlier = Self::default();
        for line in lines {
            let Some((name, form)) = line.rsplit_once(": ") else { continue };
            if name == WHOLE_STEP {
                earlier.step = Some(form.to_string());
                continue;
            }
            let Some((form, why)) = form.rsplit_once(" (") else { continue };
            // Only known words, since the word is kept as a static text.
            let words = ["rule", "forced", Tune::Quick.name(), Tune::Full.name()];
            if let Some(why) = words.into_iter().find(|word| why.strip_suffix(')') == Some(word)) {
                earlier.products.insert(name.to_string(), (form.to_string(), why));
            }
        }
        earlier
    }
}

/// Returns the floating-point operations of a step's products, and the largest number of columns, not counting the batch's
/// rows.
fn work(plan: &Plan) -> (usize, usize) {
    let products = plan.steps(Phase::Train).iter().filter(|step| step.kernel.is_product());
    products.fold((0, 0), |(work, max_width), step| {
        let [m, n, k] = product_sizes(plan, step);
        // A product that sums over the batch has columns on both sides.
        let columns = if matches!(step.kernel, Kernel::MatmulTn { .. }) { m } else { k };
        (work + 2 * m * n * k, max_width.max(n).max(columns))
    })
}

/// Returns whether one workgroup finishes a step sooner than the separate dispatches would.
fn is_worthwhile(plan: &Plan, limits: &WholeStepLimits) -> bool {
    let (work, max_width) = work(plan);
    max_width <= limits.width && work <= limits.operations
}

/// Chooses variants for one adapter.
#[derive(Debug)]
pub(super) struct KernelSelector {
    /// True if the driver ends a lane's loops, silently, after a number of iterations (`load.rs`).
    pub(super) ends_loops: bool,
    pub(super) software: bool,
    /// Limits and variants of adapters of its kind.
    pub(super) family: &'static AdapterFamily,
    /// Size of all subgroups, if the adapter has them and the size is fixed.
    pub(super) subgroup: Option<u32>,
    /// True if shaders may use half precision.
    pub(super) half: bool,
    /// Sizes of the cooperative matrices that can be used; empty before [`super::GpuDevice::open_half`].
    pub(super) cooperative: Vec<u32>,
    /// The variant to take wherever a kernel has it.
    pub(super) forced: Option<&'static str>,
    /// Choices of the earlier run, if one is resumed.
    pub(super) earlier: Option<PreviousChoices>,
    /// The activation of the plan whose variants are being tried: shared pipelines are compiled for it, and the checked
    /// shader has to be the one that will run.
    pub(super) usual: Option<Activation>,
    /// Variants of products beside those of the table.
    pub(super) offered: &'static [Variant],
    pub(super) choices: Choices,
}

impl KernelSelector {
    /// Returns whether a variant can run here.
    pub(super) fn can_run(&self, variant: &Variant) -> bool {
        let shape = variant.cooperative.is_none_or(|it| self.cooperative.contains(&it.size));
        shape && (variant.subgroup.is_none() || variant.subgroup == self.subgroup)
    }

    /// Returns whether this adapter chooses a variant without a request. On hardware all variants of products compete; on
    /// software adapters only those of the rule, since the others are used after [`Tune::Full`] alone, which checks them
    /// itself.
    pub(super) fn may_take(&self, spec: &KernelSpec, variant: &Variant) -> bool {
        !is_product(spec)
            || (!self.software && self.can_run(variant))
            || self.rules().any(|rule| rule.variant == variant.name)
    }

    /// Returns the lines of the rule for this adapter.
    fn rules(&self) -> impl Iterator<Item = &'static ProductRule> {
        let fits = |rule: &&ProductRule| rule.subgroup.is_none() || rule.subgroup == self.subgroup;
        let products = self.family.products;
        // Lines after one that fits all sizes are never reached.
        let last = products.iter().filter(fits).position(|rule| rule.tiles == 0 && rule.terms == 0);
        products.iter().filter(fits).take(last.map_or(products.len(), |last| last + 1))
    }

    /// Returns all variants of a kernel for these storage types that can run here and were not found wrong.
    pub(super) fn forms(
        &self,
        spec: &'static KernelSpec,
        stored: StorageTypes,
    ) -> Vec<&'static Variant> {
        let offered = if is_product(spec) { self.offered } else { &[] };
        let sound = |variant: &&Variant| {
            variant.fits(stored)
                && self.can_run(variant)
                && !self.choices.wrong.contains(&mark(variant.name, stored))
        };
        spec.variants.iter().chain(offered).filter(sound).collect()
    }

    /// Returns the variant for a product that was not timed.
    pub(super) fn by_rule(
        &self,
        spec: &'static KernelSpec,
        stored: StorageTypes,
        [m, n, k]: [usize; 3],
    ) -> Result<&'static Variant> {
        let tiles = m.div_ceil(64) * n.div_ceil(64);
        let forms = self.forms(spec, stored);
        // Cooperative matrices come before all others, the largest first. Software adapters only imitate them, at a quarter
        // of the speed of other variants.
        let cooperative = forms.iter().rfind(|form| form.cooperative.is_some() && !self.software);
        let named =
            |rule: &ProductRule| forms.iter().find(|form| form.name == rule.variant).copied();
        let ruled =
            self.rules().filter(|rule| tiles >= rule.tiles && k >= rule.terms).find_map(named);
        // If the rule's variant was found wrong, any right one will do.
        cooperative.copied().or(ruled).or_else(|| forms.first().copied()).ok_or_else(|| {
            Error::shape(
                spec.name,
                "no form of it gives right numbers on this adapter; use ‘device’ cpu",
            )
        })
    }

    /// Returns the variant of the one dispatch that runs whole training steps; `None` if the network is too large for it to
    /// be faster, or if a variant of other kernels is forced.
    pub(super) fn sequence(&self, plan: &Plan) -> Option<&'static Variant> {
        let is_sound = |form: &&Variant| {
            self.can_run(form) && !self.choices.wrong.contains(&mark(form.name, StorageTypes::F32))
        };
        let mut forms = SEQUENCE.variants.iter().filter(is_sound);
        match (self.forced, &self.earlier) {
            (Some(name), _) => forms.find(|form| form.name == name),
            // A resumed run must add in the same order, so the earlier choice counts, even the choice of no fused step.
            (None, Some(earlier)) => {
                let name = earlier.step.as_ref()?;
                forms.find(|form| form.name == name)
            }
            (None, None) if !is_worthwhile(plan, &self.family.whole_step) => None,
            // The variant with subgroups is for lavapipe, and listed first.
            (None, None) => forms.find(|form| form.subgroup.is_none() || self.software),
        }
    }

    /// Returns the variant that a step takes, and the word for how it was chosen.
    pub(super) fn choose(
        &self,
        plan: &Plan,
        step: &Step,
    ) -> Result<(&'static Variant, &'static str)> {
        let spec = spec_of(&step.kernel)?;
        let offered = if is_product(spec) { self.offered } else { &[] };
        let stored = plan.stored(step)?;
        let mut all = spec.variants.iter().chain(offered).filter(|variant| variant.fits(stored));
        // Forced, then the resumed run's, then measured, then the rule: each overrides those after it.
        if let Some(forced) = all.find(|variant| Some(variant.name) == self.forced) {
            return Ok((forced, "forced"));
        }
        // Kernels that are no product have one variant, so sizes do not matter.
        let Some(product) = MatmulKey::of(plan, step)? else {
            return Ok((self.by_rule(spec, stored, [1; 3])?, "rule"));
        };
        let earlier = self.earlier.as_ref().and_then(|it| it.products.get(&product.name()));
        if let Some((name, why)) = earlier
            && let Some(form) = self.forms(spec, stored).into_iter().find(|it| it.name == name)
        {
            return Ok((form, why));
        }
        let known = self.choices.products.get(&product.name());
        let named = |choice: &Choice| {
            let form =
                self.forms(spec, stored).into_iter().find(|form| form.name == choice.variant)?;
            let timed = !choice.micros.is_empty();
            Some((form, if timed { choice.by.name() } else { "rule" }))
        };
        match known.and_then(named) {
            Some(found) => Ok(found),
            None => Ok((self.by_rule(spec, stored, product.sizes)?, "rule")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::families::FAMILIES;
    use super::super::kernels::KERNELS;
    use super::*;
    use crate::plan::Element;

    fn chooser(software: bool, subgroup: Option<u32>) -> KernelSelector {
        KernelSelector {
            ends_loops: false,
            software,
            family: AdapterFamily::of("", software),
            subgroup,
            half: false,
            cooperative: vec![],
            forced: None,
            earlier: None,
            usual: None,
            offered: &[],
            choices: Choices::default(),
        }
    }

    fn product() -> &'static KernelSpec {
        KERNELS.iter().find(|spec| spec.name == "matmul_nn").unwrap()
    }

    #[test]
    fn the_rule_names_forms_that_there_are() {
        for rule in FAMILIES.iter().flat_map(|family| family.products) {
            let form = product().variants.iter().find(|form| form.name == rule.variant);
            let form = form.unwrap_or_else(|| panic!("no form {}", rule.variant));
            assert!(form.subgroup.is_none() || form.subgroup == rule.subgroup, "{}", rule.variant);
        }
    }

    #[test]
    fn what_the_rule_takes_is_what_may_be_taken() {
        for (software, subgroup) in
            [(true, Some(8)), (true, Some(4)), (true, None), (false, None), (false, Some(32))]
        {
            let chooser = chooser(software, subgroup);
            for size in [1, 63, 64, 65, 500, 4096] {
                let taken = chooser.by_rule(product(), StorageTypes::F32, [size, size, 1]).unwrap();
                let label = format!("{software} {subgroup:?} {size}: {}", taken.name);
                assert!(chooser.may_take(product(), taken) && chooser.can_run(taken), "{label}");
            }
        }
        let lavapipe = chooser(true, Some(8));
        let may = |variant| lavapipe.may_take(product(), variant);
        let names: Vec<_> = product().variants.iter().filter(|v| may(v)).map(|v| v.name).collect();
        assert_eq!(names, ["subgroup_16x16"]);
        assert_eq!(
            chooser(false, None).by_rule(product(), StorageTypes::F32, [512, 512, 9]).unwrap().name,
            "tile_64x64"
        );
        for (sizes, form) in [
            ([128, 10, 9], "tile_16x16"),
            ([128, 512, 784], "split_16x16"),
            ([4096, 4096, 4096], "block_128x128"),
        ] {
            let ruled = chooser(false, None).by_rule(product(), StorageTypes::F32, sizes);
            assert_eq!(ruled.unwrap().name, form);
        }
    }

    #[test]
    fn cooperative_matrices_are_for_halves_on_hardware() {
        let mut chooser = chooser(false, Some(32));
        chooser.cooperative = vec![8, 16];
        let half = StorageTypes { read: Element::F16, write: Element::F32 };
        let taken = |chooser: &KernelSelector, stored| {
            chooser.by_rule(product(), stored, [64, 64, 9]).unwrap().name
        };
        assert_eq!(taken(&chooser, half), "cooperative_16x16_lanes32");
        assert_eq!(taken(&chooser, StorageTypes::F32), "tile_16x16");
        // A variant that is wrong for halves may be right for single precision, and the other way round.
        chooser
            .choices
            .wrong
            .extend([mark("cooperative_16x16_lanes32", half), mark("tile_16x16", half)]);
        assert_eq!(taken(&chooser, half), "cooperative_8x8_lanes32");
        assert_eq!(taken(&chooser, StorageTypes::F32), "tile_16x16");
        chooser.software = true;
        assert!(!taken(&chooser, half).starts_with("cooperative"));
    }

    #[test]
    fn products_of_halves_have_names_of_their_own() {
        let name = |stored| {
            MatmulKey { kernel: Kernel::MatmulTn { bias_grad: false }, sizes: [1, 2, 3], stored }
                .name()
        };
        let half = StorageTypes { read: Element::F16, write: Element::F16 };
        assert_eq!(name(StorageTypes::F32), "matmul_tn 1x2x3");
        assert_eq!(name(half), "matmul_tn f16 1x2x3");
        assert_eq!(
            name(StorageTypes { write: Element::F32, ..half }),
            "matmul_tn f16_to_f32 1x2x3"
        );
    }

    #[test]
    fn records_of_earlier_runs_are_read() {
        let lines = ["training step: sequence_lane256", "add 1x2x3: tile_16x16 (full)", "else"];
        let earlier = PreviousChoices::of(&lines.map(str::to_string));
        assert_eq!(earlier.step.as_deref(), Some("sequence_lane256"));
        let form = ("tile_16x16".to_string(), "full");
        assert_eq!(earlier.products, BTreeMap::from([("add 1x2x3".to_string(), form)]));
    }

    #[test]
    fn wrong_forms_are_not_taken_and_none_left_is_an_error() {
        let mut chooser = chooser(false, None);
        chooser.choices.wrong.insert("tile_16x16".into());
        assert_ne!(
            chooser.by_rule(product(), StorageTypes::F32, [1, 1, 1]).unwrap().name,
            "tile_16x16"
        );
        chooser.choices.wrong.extend(product().variants.iter().map(|v| v.name.to_string()));
        let said =
            chooser.by_rule(product(), StorageTypes::F32, [1, 1, 1]).unwrap_err().to_string();
        assert!(said.contains("matmul_nn: no form of it gives right numbers"), "{said}");
    }
}
