//! Compiled kernels, kept while the device is open: plans that are loaded later share them.

use std::borrow::Cow;
use std::collections::HashMap;

use super::dispatch::Dispatch;
use super::kernels::Variant;
use super::member_text::text_for_members;
use super::shader::assemble;
use crate::host::waiting::SUSPENDS;

/// A kernel's pipeline and the layout of its bindings.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
}

/// Pipelines by their whole WGSL text.
#[derive(Debug, Default)]
pub(super) struct Pipelines {
    made: HashMap<String, Pipeline>,
}

impl Pipelines {
    /// Returns the pipeline of a dispatch, compiled if it is the first of its kind.
    pub(super) fn get(&mut self, device: &wgpu::Device, launch: &Dispatch) -> Pipeline {
        // The text holds every constant, so equal texts are equal pipelines.
        let mut wgsl =
            assemble(launch.spec, launch.variant, launch.stored, &launch.consts, &launch.generated);
        if launch.members > 1 {
            wgsl = text_for_members(&wgsl, launch.stored);
        }
        if let Some(made) = self.made.get(&wgsl) {
            return made.clone();
        }
        let layout = layout(device, launch);
        let label = Some(launch.spec.name);
        let text = text_for_adapter(&wgsl, launch.variant);
        let source = wgpu::ShaderSource::Wgsl(text);
        let module =
            module(device, wgpu::ShaderModuleDescriptor { label, source }, launch.unchecked);
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                // Every kernel writes its workgroup memory before reading it, so zeroing it first would only take time.
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        let made = Pipeline { pipeline, layout };
        self.made.insert(wgsl, made.clone());
        made
    }
}

/// Returns the text with the directives that a browser's compiler wants in front of subgroups; wgpu's own knows them not.
pub fn text_for_adapter<'a>(wgsl: &'a str, variant: &Variant) -> Cow<'a, str> {
    if !SUSPENDS || variant.subgroup.is_none() {
        return wgsl.into();
    }
    format!("enable subgroups;\ndiagnostic(off, subgroup_uniformity);\n{wgsl}").into()
}

/// Creates a shader; products and fused steps are compiled without the checks of indices and loops that wgpu inserts by
/// default.
///
/// These checks cost software adapters a factor of two to five (`docs/performance.md`). They are not needed: every index in
/// a product is below, or clamped to, sizes with which `sizes.rs` has found all bound slots to agree, and every loop counts
/// up to such a size. No index comes from data, except for rows and classes in a fused step, which are clamped where they
/// are read; `fused_step.rs` places everything else. Kernels whose other indices come from data stay checked.
#[expect(unsafe_code, reason = "the one place where WGSL runs unchecked; measured, argued above")]
fn module(
    device: &wgpu::Device,
    descriptor: wgpu::ShaderModuleDescriptor<'_>,
    unchecked: bool,
) -> wgpu::ShaderModule {
    if !unchecked {
        return device.create_shader_module(descriptor);
    }
    let checks = wgpu::ShaderRuntimeChecks::unchecked();
    // SAFETY: only this crate's products and sequences come here, for which the comment above holds.
    unsafe { device.create_shader_module_trusted(descriptor, checks) }
}

/// Creates the layout of a dispatch's bindings: step, parameters, reads, writes.
fn layout(device: &wgpu::Device, launch: &Dispatch) -> wgpu::BindGroupLayout {
    let uniform = |size: u64| (wgpu::BufferBindingType::Uniform, std::num::NonZeroU64::new(size));
    let storage = |read_only| (wgpu::BufferBindingType::Storage { read_only }, None);
    let kinds = [uniform(launch.row_bytes()), uniform(launch.param_bytes())]
        .into_iter()
        .chain(launch.reads.iter().map(|_| storage(true)))
        .chain(launch.writes.iter().map(|_| storage(false)));
    let entries: Vec<_> = (0..)
        .zip(kinds)
        .map(|(binding, (ty, min_binding_size))| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            // The offset of the step's row is given when the dispatch is encoded.
            ty: wgpu::BindingType::Buffer {
                ty,
                has_dynamic_offset: binding == 0,
                min_binding_size,
            },
            count: None,
        })
        .collect();
    let descriptor =
        wgpu::BindGroupLayoutDescriptor { label: Some(launch.spec.name), entries: &entries };
    device.create_bind_group_layout(&descriptor)
}
