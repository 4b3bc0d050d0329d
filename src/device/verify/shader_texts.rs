//! Every WGSL text that the crate makes, by which compilers of WGSL are tried.
//!
//! In: nothing. Out: the text of each kernel with every fusion, variant and storage type, and of whole steps.
//! Absent on purpose: adapters, which may lack what a text asks for.

use super::{every_kernel, formulas, half_kernels, whole_steps};
use crate::device::gpu::{
    KERNELS, KernelSpec, SEQUENCE, Variant, assemble, consts, generated, text_for_adapter,
    text_for_members, whole_step_wgsl,
};
use crate::error::Result;
use crate::model::Activation;
use crate::plan::{Kernel, StorageTypes};

/// A text, and what it is made of.
pub struct ShaderText {
    /// Row of the kernel's table.
    pub spec: &'static KernelSpec,
    /// Form of the kernel.
    pub variant: &'static Variant,
    /// The kernel with its fusions; `None` for a whole step.
    pub kernel: Option<Kernel>,
    /// Types of the stored numbers.
    pub stored: StorageTypes,
    /// Name for messages: kernel, fusions, variant.
    pub label: String,
    /// The text for one network.
    pub wgsl: String,
}

impl ShaderText {
    /// Returns the text by which several networks run in one dispatch.
    pub fn for_members(&self) -> String {
        text_for_members(&self.wgsl, self.stored)
    }

    /// Returns the text for one network, and that for several, as the adapter's compiler gets them, with a name for each.
    pub fn for_adapter(&self) -> [(String, String); 2] {
        let of = |wgsl: &str| text_for_adapter(wgsl, self.variant).into_owned();
        [
            (self.label.clone(), of(&self.wgsl)),
            (format!("{} for members", self.label), of(&self.for_members())),
        ]
    }
}

/// Returns the text of every kernel with every fusion and variant, in every precision, and of sequences of all layers, losses and
/// updates.
///
/// # Errors
/// If a network of the sequences cannot be planned.
///
/// # Panics
/// If a kernel has no row in the table of kernels, or a network of the sequences is none.
pub fn shader_texts() -> Result<Vec<ShaderText>> {
    let mut all = Vec::new();
    let formulas = formulas(7);
    let single = every_kernel().into_iter().map(|kernel| (kernel, StorageTypes::F32));
    for (kernel, stored) in single.chain(half_kernels()) {
        let spec = KERNELS.iter().find(|spec| spec.name == kernel.name());
        let spec = spec.expect("each kernel has a row in the table");
        for variant in spec.variants.iter().filter(|variant| variant.fits(stored)) {
            let consts = consts(&kernel, variant, Activation::Relu);
            let elements: [&[_]; 2] = [&[stored.read; 6], &[stored.write; 5]];
            let own = generated(&kernel, &formulas, elements);
            let wgsl = assemble(spec, variant, stored, &consts, &own);
            let label = format!("{kernel}{stored} ({})", variant.name);
            all.push(ShaderText { spec, variant, kernel: Some(kernel), stored, label, wgsl });
        }
    }
    for (name, plan) in whole_steps()? {
        for variant in SEQUENCE.variants {
            let (spec, stored) = (&SEQUENCE, StorageTypes::F32);
            let label = format!("sequence {name} ({})", variant.name);
            let wgsl = whole_step_wgsl(&plan, variant)?;
            let wgsl = wgsl.expect("each of these networks is a sequence");
            all.push(ShaderText { spec, variant, kernel: None, stored, label, wgsl });
        }
    }
    Ok(all)
}
