//! Makes all that a plan needs on the adapter: buffers, pipelines, bind groups. `run` creates none.

use wgpu::{BindGroupEntry, BindingResource, BufferBinding, BufferUsages};

use super::choice::{Chooser, Product};
use super::kernels::{SEQUENCE, Variant};
use super::launch::{Binding, Launch, launches, usual_activation};
use super::pipeline::Pipelines;
use super::sequence::{MAX_STEPS, can_bind, pays, sequence};
use crate::error::{Error, Result};
use crate::model::VIEW_ALIGN;
use crate::plan::{Phase, Plan, Role, SlotSpec, WINDOW};

/// Bytes between two rows of a table of uniforms: the alignment that WebGPU asks for.
pub(super) const UNIFORM_STRIDE: u64 = 256;
/// Bytes bound where nothing is: an offset's alignment.
const ABSENT: u64 = 256;
/// Bytes of the buffers that bring results back; longer results come in parts.
const READ_BYTES: u64 = 4 << 20;

/// A dispatch with everything made.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) group: wgpu::BindGroup,
    pub(super) grid: [u32; 3],
    /// The step of the plan that it belongs to.
    pub(super) step: usize,
    /// Whether one dispatch does many steps.
    pub(super) many_steps: bool,
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

impl Loaded {
    /// The dispatches of a step of this phase.
    pub(super) fn steps(&self, phase: Phase) -> &[Ready] {
        match phase {
            Phase::Train => &self.train,
            Phase::Eval => &self.eval,
        }
    }
}

/// What is needed to load a plan.
pub(super) struct Loader<'a> {
    pub(super) device: &'a wgpu::Device,
    pub(super) queue: &'a wgpu::Queue,
    pub(super) adapter: &'a str,
    /// Bytes that a binding may have.
    pub(super) binding_limit: u64,
    pub(super) chooser: &'a Chooser,
    pub(super) pipelines: &'a mut Pipelines,
}

impl Loader<'_> {
    /// Makes all of it; the plan was found to fit.
    pub(super) fn load(&mut self, plan: &Plan) -> Result<Loaded> {
        let data = BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
        let make = |spec: &crate::plan::BufferSpec| {
            self.buffer(&spec.name, 4 * spec.elements as u64, data)
        };
        let buffers: Vec<_> = plan.buffers().iter().map(make).collect();
        // Beyond the last row, since a sequence always binds as many as it may do.
        let rows = UNIFORM_STRIDE * (WINDOW as u64 + u64::from(MAX_STEPS));
        let table = |name| self.buffer(name, rows, BufferUsages::UNIFORM | BufferUsages::COPY_DST);
        let (train_rows, eval_rows) = (table("train steps"), table("eval steps"));
        let read =
            |name, bytes| self.buffer(name, bytes, BufferUsages::MAP_READ | BufferUsages::COPY_DST);
        let staging =
            (0..=super::flight::DEPTH).map(|_| read("losses", 4 * WINDOW as u64)).collect();
        let largest =
            plan.buffers().iter().map(|buffer| 4 * buffer.elements as u64).max().unwrap_or(4);
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
    pub(super) fn check(&self, plan: &Plan) -> Result<()> {
        let too_large = |what: String, need: u64, limit: u64, limit_name| Error::TooLarge {
            what,
            need,
            adapter: self.adapter.to_string(),
            limit,
            limit_name,
            remedy: "use fewer units, a smaller --batch-size or fewer rows, or --device cpu"
                .to_string(),
        };
        let bytes = |slot: &SlotSpec| 4 * slot.len() as u64;
        // Slots first, since they have the layers' names; whole arenas are bound in parts.
        let arena = |slot: &SlotSpec| {
            matches!(plan.buffer(slot.buffer).role, Role::Params | Role::Gradients | Role::State)
        };
        let whole =
            |slot: &SlotSpec| arena(slot) && slot.len() == plan.buffer(slot.buffer).elements;
        let limit = self.binding_limit;
        for (_, slot) in plan.slots() {
            if bytes(slot) > limit && !(whole(slot) && slot.sizes.len() == 1) {
                return Err(too_large(
                    named(slot),
                    bytes(slot),
                    limit,
                    "maxStorageBufferBindingSize",
                ));
            }
        }
        let limit = self.device.limits().max_buffer_size;
        for buffer in plan.buffers() {
            let need = 4 * buffer.elements as u64;
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
        let usual = self.chooser.usual.unwrap_or_else(|| usual_activation(plan));
        let mut dispatches = Vec::new();
        let sequence = if phase == Phase::Train { self.sequence(plan)? } else { None };
        let left = if sequence.is_some() { &[][..] } else { plan.steps(phase) };
        if let Some(launch) = sequence {
            variants.push(format!("training step: {}", launch.variant.name));
            dispatches.push((0, launch));
        }
        for (index, step) in left.iter().enumerate() {
            let (variant, why) = self.chooser.choose(plan, step)?;
            if let Some(product) = Product::of(plan, step) {
                variants.push(format!("{}: {} ({why})", product.name(), variant.name));
            }
            let launches = launches(plan, step, variant, usual, most)?;
            dispatches.extend(launches.into_iter().map(|launch| (index, launch)));
        }
        // One buffer holds the parameters of all dispatches of the phase.
        let usage = BufferUsages::UNIFORM | BufferUsages::COPY_DST;
        let bytes = |launch: &Launch| launch.param_bytes().next_multiple_of(UNIFORM_STRIDE);
        let size =
            dispatches.iter().map(|(_, launch)| bytes(launch)).sum::<u64>().max(UNIFORM_STRIDE);
        let params = self.buffer("params", size, usage);
        // Bound where a fusion is absent; the kernel does not touch them.
        let absent = ["absent read", "absent write"]
            .map(|name| self.buffer(name, 16 * ABSENT, BufferUsages::STORAGE));
        let mut ready = Vec::with_capacity(dispatches.len());
        let mut at = 0;
        for (step, launch) in &dispatches {
            self.queue.write_buffer(&params, at, bytemuck::cast_slice(&launch.params));
            let pipeline = self.pipelines.get(self.device, launch);
            let group =
                self.group(plan, launch, &pipeline.layout, (buffers, rows, &params, at, &absent));
            let (grid, step, many_steps) = (launch.grid, *step, launch.many_steps);
            ready.push(Ready { pipeline: pipeline.pipeline, group, grid, step, many_steps });
            at += bytes(launch);
        }
        Ok(ready)
    }

    /// The one dispatch that does whole training steps, where the network is small enough for it to pay.
    pub(super) fn sequence(&self, plan: &Plan) -> Result<Option<Launch>> {
        let forced =
            SEQUENCE.variants.iter().find(|variant| Some(variant.name) == self.chooser.forced);
        let variant = match (forced, self.chooser.forced) {
            (Some(forced), _) => forced,
            (None, Some(_)) => return Ok(None),
            (None, None) if !pays(plan, self.chooser.software) => return Ok(None),
            (None, None) => {
                let own = |variant: &&Variant| {
                    variant.subgroup.is_some()
                        && variant.subgroup == self.chooser.subgroup
                        && self.chooser.software
                };
                let any = |variant: &&Variant| variant.subgroup.is_none();
                let mut all = SEQUENCE.variants.iter();
                let Some(variant) = all.clone().find(own).or_else(|| all.find(any)) else {
                    return Ok(None);
                };
                variant
            }
        };
        if !can_bind(&self.device.limits()) {
            return Ok(None);
        }
        let fits = |launch: &Launch| 4 * launch.scratch as u64 <= self.binding_limit;
        Ok(sequence(plan, variant)?.filter(fits))
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
        let scratch =
            self.buffer("scratch", 4 * launch.scratch.max(1) as u64, BufferUsages::STORAGE);
        let mut resources = vec![
            bound(rows, 0, launch.row_bytes()),
            bound(params, at, launch.param_bytes().next_multiple_of(16)),
        ];
        for (index, slot) in launch.bindings.iter().enumerate() {
            let writes = usize::from(index >= launch.spec.reads.len());
            resources.push(match slot {
                // None overlaps another: what may be written is bound once.
                Binding::Absent => bound(&absent[writes], ABSENT * index as u64, ABSENT),
                Binding::Scratch => scratch.as_entire_binding(),
                Binding::Slot(slot) => {
                    let spec = plan.slot(*slot);
                    debug_assert!(
                        spec.offset.is_multiple_of(VIEW_ALIGN),
                        "views are aligned for bindings"
                    );
                    let part = launch.part.clone().unwrap_or(0..spec.len().max(1));
                    let offset = 4 * (spec.offset + part.start) as u64;
                    bound(&buffers[spec.buffer.0 as usize], offset, 4 * part.len() as u64)
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
