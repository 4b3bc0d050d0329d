//! Makes all that a plan needs on the adapter: buffers, pipelines, bind groups. `run` creates none.

use wgpu::{BindGroupEntry, BindingResource, BufferBinding, BufferUsages};

use super::kernels::Variant;
use super::launch::{Launch, launches, spec_of};
use super::pipeline::{Pipelines, STEP_BYTES};
use crate::error::{Error, Result};
use crate::model::VIEW_ALIGN;
use crate::plan::{Element, Phase, Plan, Role, SlotSpec, Step, WINDOW};

/// Bytes between two rows of a table of uniforms: the alignment that WebGPU asks for.
pub(super) const UNIFORM_STRIDE: u64 = 256;
/// Bytes of the buffers that bring results back; longer results come in parts.
const READ_BYTES: u64 = 4 << 20;

/// A dispatch with everything made.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) group: wgpu::BindGroup,
    pub(super) grid: [u32; 3],
}

/// A plan on the adapter.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) plan: Plan,
    pub(super) buffers: Vec<wgpu::Buffer>,
    pub(super) train: Vec<Ready>,
    pub(super) eval: Vec<Ready>,
    /// The steps' changing numbers, a table for each phase.
    pub(super) train_rows: wgpu::Buffer,
    pub(super) eval_rows: wgpu::Buffer,
    /// Where losses wait to be read, one for each submission in flight and one being read.
    pub(super) staging: Vec<wgpu::Buffer>,
    pub(super) readback: wgpu::Buffer,
    /// Which variants products take, a line each.
    pub(super) variants: Vec<String>,
}

/// What is needed to load a plan.
pub(super) struct Loader<'a> {
    pub(super) device: &'a wgpu::Device,
    pub(super) queue: &'a wgpu::Queue,
    pub(super) adapter: &'a str,
    pub(super) software: bool,
    pub(super) forced: Option<&'static str>,
    /// Bytes that a binding may have.
    pub(super) binding_limit: u64,
    /// The size of all subgroups, if it is fixed.
    pub(super) subgroup: Option<u32>,
    /// Whether shaders may use half precision.
    pub(super) half: bool,
    /// The form of products of halves by cooperative matrices, if one can be taken.
    pub(super) cooperative: Option<&'static str>,
    pub(super) pipelines: &'a mut Pipelines,
}

impl Loader<'_> {
    pub(super) fn load(&mut self, plan: &Plan) -> Result<Loaded> {
        if !self.half && plan.slots().any(|(_, slot)| slot.element == Element::F16) {
            let problem = "it has no half precision in shaders (SHADER_F16), which --precision f16 needs; \
                 use --precision f32, or another --device: `wgrad adapters` shows which have f16";
            return Err(Error::Device { adapter: self.adapter.into(), problem: problem.into() });
        }
        self.check(plan)?;
        let data = BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
        let make = |spec: &crate::plan::BufferSpec| self.buffer(&spec.name, spec.bytes(), data);
        let buffers: Vec<_> = plan.buffers().iter().map(make).collect();
        let rows = UNIFORM_STRIDE * WINDOW as u64;
        let table = |name| self.buffer(name, rows, BufferUsages::UNIFORM | BufferUsages::COPY_DST);
        let (train_rows, eval_rows) = (table("train steps"), table("eval steps"));
        let read =
            |name, bytes| self.buffer(name, bytes, BufferUsages::MAP_READ | BufferUsages::COPY_DST);
        let staging =
            (0..=super::flight::DEPTH).map(|_| read("losses", 4 * WINDOW as u64)).collect();
        let largest = plan.buffers().iter().map(crate::plan::BufferSpec::bytes).max().unwrap_or(4);
        let readback = read("readback", largest.min(READ_BYTES));
        let mut variants = Vec::new();
        let train = self.phase(plan, Phase::Train, &buffers, &train_rows, &mut variants)?;
        let eval = self.phase(plan, Phase::Eval, &buffers, &eval_rows, &mut variants)?;
        variants.sort();
        variants.dedup();
        Ok(Loaded {
            plan: plan.clone(),
            buffers,
            train,
            eval,
            train_rows,
            eval_rows,
            staging,
            readback,
            variants,
        })
    }

    /// Every buffer and every slot bound whole has to fit; the message names what does not.
    fn check(&self, plan: &Plan) -> Result<()> {
        let too_large = |what: String, need: u64, limit: u64, limit_name| Error::TooLarge {
            what,
            need,
            adapter: self.adapter.to_string(),
            limit,
            limit_name,
            remedy: "use fewer units, a smaller --batch-size or fewer rows, or --device cpu"
                .to_string(),
        };
        // Slots first, since they have the layers' names; whole arenas are bound in parts.
        let arena = |slot: &SlotSpec| {
            matches!(plan.buffer(slot.buffer).role, Role::Params | Role::Gradients | Role::State)
        };
        let whole =
            |slot: &SlotSpec| arena(slot) && slot.len() == plan.buffer(slot.buffer).elements;
        let limit = self.binding_limit;
        for (_, slot) in plan.slots() {
            let bytes = slot.bytes();
            if bytes > limit && !(whole(slot) && slot.sizes.len() == 1) {
                return Err(too_large(named(slot), bytes, limit, "maxStorageBufferBindingSize"));
            }
        }
        let limit = self.device.limits().max_buffer_size;
        for buffer in plan.buffers() {
            let need = buffer.bytes();
            if need > limit {
                return Err(too_large(buffer.name.clone(), need, limit, "maxBufferSize"));
            }
        }
        Ok(())
    }

    fn buffer(&self, label: &str, size: u64, usage: BufferUsages) -> wgpu::Buffer {
        let descriptor =
            wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        self.device.create_buffer(&descriptor)
    }

    fn phase(
        &mut self,
        plan: &Plan,
        phase: Phase,
        buffers: &[wgpu::Buffer],
        rows: &wgpu::Buffer,
        variants: &mut Vec<String>,
    ) -> Result<Vec<Ready>> {
        let most = usize::try_from(self.binding_limit / 4).unwrap_or(usize::MAX);
        let mut dispatches = Vec::new();
        for step in plan.steps(phase) {
            let variant = self.variant(plan, step)?;
            if step.kernel.is_product() {
                variants.push(format!("{}: {}", step.kernel.name(), variant.name));
            }
            dispatches.extend(launches(plan, step, variant, most)?);
        }
        // One buffer holds the parameters of all dispatches of the phase.
        let usage = BufferUsages::UNIFORM | BufferUsages::COPY_DST;
        let size = UNIFORM_STRIDE * dispatches.len().max(1) as u64;
        let params = self.buffer("params", size, usage);
        // Bound where a fusion is absent; the kernel does not touch them.
        let absent = ["absent read", "absent write"]
            .map(|name| self.buffer(name, 256, BufferUsages::STORAGE));
        let mut ready = Vec::with_capacity(dispatches.len());
        for (index, launch) in dispatches.iter().enumerate() {
            let at = UNIFORM_STRIDE * index as u64;
            self.queue.write_buffer(&params, at, bytemuck::cast_slice(&launch.params));
            let pipeline = self.pipelines.get(self.device, launch);
            let group =
                self.group(plan, launch, &pipeline.layout, (buffers, rows, &params, at, &absent));
            ready.push(Ready { pipeline: pipeline.pipeline, group, grid: launch.grid });
        }
        Ok(ready)
    }

    /// The form of a kernel for this adapter and these sizes.
    fn variant(&self, plan: &Plan, step: &Step) -> Result<&'static Variant> {
        let spec = spec_of(&step.kernel)?;
        let stored = plan.stored(step)?;
        let named = |name: Option<&str>| {
            spec.variants.iter().find(|it| Some(it.name) == name && it.fits(stored))
        };
        if let Some(found) = named(self.forced).or_else(|| named(self.cooperative)) {
            return Ok(found);
        }
        let product = step.kernel.is_product();
        let (m, n) = plan.slot(step.writes[0]).matrix();
        let tiles = m.div_ceil(64) * n.div_ceil(64);
        let wanted = match (product, self.software, self.subgroup) {
            (false, ..) => "plain",
            // Barriers and workgroup memory cost lavapipe more than they save, and loads more than passing
            // values round a subgroup. SwiftShader, with subgroups of 4, is faster with large tiles.
            (true, true, Some(8)) => "subgroup_16x16",
            (true, true, _) if tiles > 1 => "tile_64x64",
            // Large tiles load less for each result, but a small result has too few of them to fill a GPU.
            (true, false, _) if tiles >= 64 => "tile_64x64",
            _ => "tile_16x16",
        };
        spec.variants
            .iter()
            .find(|variant| variant.name == wanted)
            .ok_or_else(|| Error::shape(spec.name, format!("it has no variant {wanted}")))
    }

    fn group(
        &self,
        plan: &Plan,
        launch: &Launch,
        layout: &wgpu::BindGroupLayout,
        (buffers, rows, params, at, absent): (
            &[wgpu::Buffer],
            &wgpu::Buffer,
            &wgpu::Buffer,
            u64,
            &[wgpu::Buffer; 2],
        ),
    ) -> wgpu::BindGroup {
        let bound = |buffer, offset, size| {
            BindingResource::Buffer(BufferBinding {
                buffer,
                offset,
                size: std::num::NonZeroU64::new(size),
            })
        };
        let mut resources = vec![
            bound(rows, 0, STEP_BYTES),
            bound(params, at, (4 * launch.params.len() as u64).next_multiple_of(16)),
        ];
        for (index, slot) in launch.bindings.iter().enumerate() {
            let writes = usize::from(index >= launch.spec.reads.len());
            resources.push(match slot {
                None => absent[writes].as_entire_binding(),
                Some(slot) => {
                    let spec = plan.slot(*slot);
                    debug_assert!(
                        spec.offset.is_multiple_of(VIEW_ALIGN),
                        "views are aligned for bindings"
                    );
                    // The loss scale belongs to all parts of an arena.
                    let part = launch.part.clone().filter(|part| part.end <= spec.len());
                    let part = part.unwrap_or(0..spec.len().max(1));
                    let offset = spec.element.bytes(spec.offset + part.start);
                    let size = spec.element.bytes(part.len()).next_multiple_of(4);
                    bound(&buffers[spec.buffer.0 as usize], offset, size)
                }
            });
        }
        let entries: Vec<_> = (0..)
            .zip(resources)
            .map(|(binding, resource)| BindGroupEntry { binding, resource })
            .collect();
        let label = Some(launch.spec.name);
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label,
            layout,
            entries: &entries,
        })
    }
}

fn named(slot: &SlotSpec) -> String {
    let sizes: Vec<String> = slot.sizes.iter().map(usize::to_string).collect();
    format!("{}[{}]", slot.name, sizes.join(","))
}
