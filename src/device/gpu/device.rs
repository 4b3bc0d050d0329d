//! An adapter as a device: opening it, moving values, submitting steps.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::adapter::{describe, pick};
use super::cooperative::Extras;
use super::flight::{DEPTH, Flight, Mapped, Submitted};
use super::kernels::Variant;
use super::load::{Loaded, Loader, UNIFORM_STRIDE};
use super::pipeline::Pipelines;
use crate::device::{Device, DeviceInfo, DeviceKind, Values, half, memory};
use crate::error::{Error, Result};
use crate::plan::{Element, Phase, Plan, Slot, SlotSpec, StepRow, WINDOW};

/// A GPU, or a software adapter, that runs plans.
pub struct GpuDevice {
    pub(super) info: DeviceInfo,
    device: wgpu::Device,
    queue: wgpu::Queue,
    /// The first thing that went wrong, as wgpu told it: errors come here instead of panicking.
    failure: Arc<Mutex<Option<String>>>,
    lost: Arc<AtomicBool>,
    pipelines: Pipelines,
    loaded: Option<Loaded>,
    flight: Flight,
    losses: Vec<f32>,
    pub(super) forced: Option<&'static str>,
    pub(super) binding_limit: u64,
    /// The size of all subgroups, if the adapter has them and the size is fixed.
    subgroup: Option<u32>,
    /// Whether shaders may use half precision.
    pub(super) half: bool,
    pub(super) adapter: wgpu::Adapter,
    /// Sizes of the cooperative matrices that can be used; none before [`Self::open_half`].
    pub(super) cooperative: Vec<u32>,
    /// Whether all that half precision may use was asked for.
    pub(super) opened_half: bool,
    pub(super) warnings: Vec<String>,
}

impl GpuDevice {
    /// Opens the adapter that is asked for, with all the limits it has. Out: the device, and why it was taken.
    ///
    /// # Errors
    /// If there is none of this kind, or its driver does not open it.
    pub fn open(kind: &DeviceKind) -> Result<(Self, String)> {
        let (adapter, reason) = pick(kind)?;
        let opened = pollster::block_on(Self::open_adapter(&adapter, Extras::none()));
        opened.map(|device| (device, reason))
    }

    pub(super) async fn open_adapter(adapter: &wgpu::Adapter, extras: Extras) -> Result<Self> {
        let info = describe(adapter);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgrad"),
            // Subgroups are of use to products where all are of one size, half precision to those who ask for it.
            required_features: extras.features
                | adapter.features() & (wgpu::Features::SUBGROUP | wgpu::Features::SHADER_F16),
            experimental_features: extras.experimental,
            // The defaults are far below what most adapters have.
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let opened = adapter.request_device(&descriptor).await;
        let (device, queue) = opened.map_err(|error| Error::Device {
            adapter: info.name.clone(),
            problem: format!("cannot be opened: {error}"),
        })?;
        let failure = Arc::new(Mutex::new(None));
        let keep = |failure: &Arc<Mutex<Option<String>>>, text: String| {
            failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
        };
        let kept = Arc::clone(&failure);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let text = match &error {
                wgpu::Error::OutOfMemory { .. } => {
                    "out of memory; use smaller layers, a smaller --batch-size or fewer rows, or --device cpu".to_string()
                }
                other => other.to_string(),
            };
            keep(&kept, text);
        }));
        let lost = Arc::new(AtomicBool::new(false));
        let (kept, gone) = (Arc::clone(&failure), Arc::clone(&lost));
        device.set_device_lost_callback(move |reason, message| {
            // Dropping the device is no loss.
            if reason != wgpu::DeviceLostReason::Destroyed {
                gone.store(true, Ordering::SeqCst);
                keep(&kept, format!("the device was lost: {message}"));
            }
        });
        Ok(Self {
            info,
            device,
            queue,
            failure,
            lost,
            pipelines: Pipelines::default(),
            loaded: None,
            flight: Flight::default(),
            losses: Vec::new(),
            forced: None,
            subgroup: fixed_subgroup(adapter),
            half: adapter.features().contains(wgpu::Features::SHADER_F16),
            adapter: adapter.clone(),
            cooperative: extras.sizes,
            opened_half: false,
            warnings: Vec::new(),
            binding_limit: adapter.limits().max_storage_buffer_binding_size,
        })
    }

    /// Whether this device takes a form of a kernel by itself for some sizes.
    pub fn may_take(&self, variant: &Variant) -> bool {
        let lanes8 = self.info.is_software() && self.subgroup == Some(8);
        match variant.cooperative {
            Some(_) => self.cooperative_form() == Some(variant.name),
            None => variant.name == "plain" || lanes8 == variant.subgroup.is_some(),
        }
    }

    /// Makes the next load take this variant wherever a kernel has it; `None` leaves the choice to the device.
    pub fn force_variant(&mut self, name: Option<&'static str>) {
        self.forced = name;
    }

    /// Whether a form of a kernel can run here.
    pub fn can_run(&self, variant: &Variant) -> bool {
        let shape = variant.cooperative.is_none_or(|it| self.cooperative.contains(&it.size));
        shape && (variant.subgroup.is_none() || variant.subgroup == self.subgroup)
    }

    /// Makes the next load keep to fewer bytes a binding than the adapter allows, as on an adapter with less;
    /// `None` for the adapter's own limit.
    pub fn limit_bindings(&mut self, bytes: Option<u64>) {
        let most = self.device.limits().max_storage_buffer_binding_size;
        self.binding_limit = bytes.map_or(most, |bytes| bytes.min(most));
    }

    /// The device underneath, for callers that measure or share it.
    pub fn wgpu(&self) -> &wgpu::Device {
        &self.device
    }

    fn failed(&self, problem: impl Into<String>) -> Error {
        Error::Device { adapter: self.info.name.clone(), problem: problem.into() }
    }

    /// Turns what wgpu has reported meanwhile into our error.
    fn check(&self) -> Result<()> {
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            None => Ok(()),
            Some(text) => Err(self.failed(text.clone())),
        }
    }

    fn loaded(&self) -> Result<&Loaded> {
        self.loaded.as_ref().ok_or_else(|| self.failed("no plan is loaded"))
    }

    fn wait(&self, index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let waited =
            self.device.poll(wgpu::PollType::Wait { submission_index: index, timeout: None });
        self.check()?;
        waited.map(|_| ()).map_err(|error| self.failed(error.to_string()))
    }

    /// Waits for the oldest submission and takes its losses.
    fn land(&mut self) -> Result<()> {
        let Some(submitted) = self.flight.waiting.pop_front() else { return Ok(()) };
        self.wait(Some(submitted.index.clone()))?;
        self.flight.landed(&submitted);
        if let Some((staging, mapped)) = &submitted.staging {
            let buffer = &self.loaded()?.staging[*staging];
            let losses: Vec<f32> = self.collect(buffer, 4 * u64::from(submitted.steps), mapped)?;
            self.losses.extend(losses);
        }
        Ok(())
    }

    /// Whether so many halves from a place in a slot on are whole words, or become so by one beyond the slot's end.
    fn words(spec: &SlotSpec, first: usize, count: usize) -> bool {
        (spec.offset + first).is_multiple_of(2)
            && (count.is_multiple_of(2) || first + count == spec.len())
    }

    /// The numbers of a buffer whose mapping was asked for and waited for.
    fn collect<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(
        &self,
        buffer: &wgpu::Buffer,
        bytes: u64,
        mapped: &Mapped,
    ) -> Result<Vec<T>> {
        let failed = |error: &dyn std::fmt::Display| self.failed(error.to_string());
        let outcome = mapped.recv().map_err(|_| self.failed("a result was not mapped"))?;
        outcome.map_err(|error| failed(&error))?;
        let view = buffer.slice(..bytes).get_mapped_range().map_err(|error| failed(&error))?;
        let values = bytemuck::pod_collect_to_vec(&view);
        drop(view);
        buffer.unmap();
        Ok(values)
    }

    fn encode(&self, loaded: &Loaded, phase: Phase, steps: Range<u32>) -> wgpu::CommandEncoder {
        let mut encoder =
            self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let dispatches = match phase {
            Phase::Train => &loaded.train,
            Phase::Eval => &loaded.eval,
        };
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for step in steps {
            // The table has at most a window of rows, so offsets fit.
            let offset = step * u32::try_from(UNIFORM_STRIDE).unwrap_or(256);
            for ready in dispatches {
                pass.set_pipeline(&ready.pipeline);
                pass.set_bind_group(0, &ready.group, &[offset]);
                let [x, y, z] = ready.grid;
                pass.dispatch_workgroups(x, y, z);
            }
        }
        drop(pass);
        encoder
    }
}

/// Asks for a buffer's first bytes; the answer comes when the work that writes them is waited for.
fn map(buffer: &wgpu::Buffer, bytes: u64) -> Mapped {
    let (tell, mapped) = std::sync::mpsc::channel();
    // Nobody listens any more if the device was dropped.
    buffer.slice(..bytes).map_async(wgpu::MapMode::Read, move |result| drop(tell.send(result)));
    mapped
}

/// The size of an adapter's subgroups, if it is the same for all.
fn fixed_subgroup(adapter: &wgpu::Adapter) -> Option<u32> {
    let info = adapter.get_info();
    let fixed = info.subgroup_min_size == info.subgroup_max_size;
    (fixed && adapter.features().contains(wgpu::Features::SUBGROUP))
        .then_some(info.subgroup_min_size)
}

/// A step's row as shaders see it.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Row {
    first: u32,
    rows: u32,
    log: u32,
    lr: f32,
    rate: f32,
    correction2: f32,
    unused: [u32; 58],
}

#[expect(clippy::cast_possible_truncation, reason = "shaders compute in f32")]
fn row(step: &StepRow) -> Row {
    Row {
        first: step.first,
        rows: step.rows,
        log: step.log,
        lr: step.lr as f32,
        rate: (step.lr / step.correction1) as f32,
        correction2: step.correction2 as f32,
        unused: [0; 58],
    }
}

impl Device for GpuDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn load(&mut self, plan: &Plan) -> Result<()> {
        let half = plan.slots().any(|(_, slot)| slot.element == Element::F16);
        if half && !self.opened_half && !self.info.is_software() {
            self.open_half();
            self.check_cooperative();
        }
        let cooperative = self.cooperative_form();
        // What was loaded before makes room first, and what failed with it is past; a lost device stays lost.
        self.loaded = None;
        if !self.lost.load(Ordering::SeqCst) {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        self.flight = Flight::default();
        self.losses.clear();
        let software = self.info.is_software();
        if software {
            memory::check(plan, crate::plan::Memory::of(plan).total(), &self.info)?;
        }
        let mut loader = Loader {
            device: &self.device,
            queue: &self.queue,
            adapter: &self.info.name,
            software,
            forced: self.forced,
            binding_limit: self.binding_limit,
            subgroup: self.subgroup,
            half: self.half,
            cooperative,
            pipelines: &mut self.pipelines,
        };
        let loaded = loader.load(plan)?;
        if let Err(error) = self.check() {
            // One of them may be what failed.
            self.pipelines = Pipelines::default();
            return Err(error);
        }
        self.loaded = Some(loaded);
        Ok(())
    }

    fn write(&mut self, slot: Slot, first: usize, values: Values<'_>) -> Result<()> {
        let loaded = self.loaded()?;
        let spec = loaded.plan.slot(slot);
        if first + values.len() > spec.len() {
            let problem =
                format!("{} values do not fit {} from {first} on", values.len(), spec.name);
            return Err(self.failed(problem));
        }
        let halves: Vec<u16>;
        let bytes: &[u8] = match (values, spec.element) {
            (Values::F32(values), Element::F32) => bytemuck::cast_slice(values),
            (Values::U32(values), Element::U32) => bytemuck::cast_slice(values),
            // Uploads are of whole words: one half more, where that is beyond the slot's end.
            (Values::F32(values), Element::F16) if Self::words(spec, first, values.len()) => {
                let padding = values.len() % 2;
                halves = values.iter().map(|&x| half::bits(x)).chain(vec![0; padding]).collect();
                bytemuck::cast_slice(&halves)
            }
            (Values::F32(_), Element::F16) => {
                let problem = format!("{}: an odd number of halves cannot be written", spec.name);
                return Err(self.failed(problem));
            }
            _ => return Err(self.failed(format!("{} holds another kind of numbers", spec.name))),
        };
        let offset = spec.element.bytes(spec.offset + first);
        self.queue.write_buffer(&loaded.buffers[spec.buffer.0 as usize], offset, bytes);
        self.check()
    }

    fn write_steps(&mut self, phase: Phase, rows: &[StepRow]) -> Result<()> {
        if rows.len() > WINDOW {
            return Err(
                self.failed(format!("{} steps at once, at most {WINDOW} are possible", rows.len()))
            );
        }
        let loaded = self.loaded()?;
        let table = match phase {
            Phase::Train => &loaded.train_rows,
            Phase::Eval => &loaded.eval_rows,
        };
        let rows: Vec<Row> = rows.iter().map(row).collect();
        self.queue.write_buffer(table, 0, bytemuck::cast_slice(&rows));
        self.check()
    }

    fn stride(&self, phase: Phase) -> u32 {
        match phase {
            Phase::Train => self.flight.train.stride(),
            Phase::Eval => self.flight.eval.stride(),
        }
    }

    fn run(&mut self, phase: Phase, steps: Range<u32>) -> Result<()> {
        if steps.is_empty() {
            return Ok(());
        }
        while self.flight.waiting.len() >= DEPTH {
            self.land()?;
        }
        let (training, count) = (phase == Phase::Train, steps.end - steps.start);
        let turn = self.flight.count % (DEPTH + 1);
        let loaded = self.loaded()?;
        let mut encoder = self.encode(loaded, phase, steps.clone());
        let log = loaded
            .plan
            .ports
            .log
            .filter(|_| training)
            .map(|log| loaded.plan.slot(log).buffer.0 as usize);
        if let Some(log) = log {
            let (from, bytes) = (4 * u64::from(steps.start), 4 * u64::from(count));
            encoder.copy_buffer_to_buffer(
                &loaded.buffers[log],
                from,
                &loaded.staging[turn],
                0,
                bytes,
            );
        }
        let index = self.queue.submit([encoder.finish()]);
        let staging = log.map(|_| (turn, map(&loaded.staging[turn], 4 * u64::from(count))));
        self.flight.count += usize::from(staging.is_some());
        self.flight.waiting.push_back(Submitted {
            index,
            training,
            steps: count,
            at: Instant::now(),
            staging,
        });
        let pace = if training { &mut self.flight.train } else { &mut self.flight.eval };
        pace.submitted(count);
        self.check()
    }

    fn take_losses(&mut self, wait: bool) -> Result<Vec<f32>> {
        while wait && !self.flight.waiting.is_empty() {
            self.land()?;
        }
        Ok(std::mem::take(&mut self.losses))
    }

    fn read(&mut self, slot: Slot, len: usize) -> Result<Vec<f32>> {
        // Reading waits for all of it anyhow, and what landed now is measured now.
        while !self.flight.waiting.is_empty() {
            self.land()?;
        }
        let loaded = self.loaded()?;
        let spec = loaded.plan.slot(slot);
        if !spec.element.is_float() || len > spec.len() {
            return Err(self.failed(format!("{} does not hold {len} floats", spec.name)));
        }
        let half = spec.element == Element::F16;
        let (buffer, start) =
            (&loaded.buffers[spec.buffer.0 as usize], spec.element.bytes(spec.offset));
        let total = spec.element.bytes(len).next_multiple_of(4);
        let mut values = Vec::with_capacity(len);
        let mut done = 0;
        while done < total {
            let bytes = (total - done).min(loaded.readback.size());
            let mut encoder =
                self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(buffer, start + done, &loaded.readback, 0, bytes);
            let index = self.queue.submit([encoder.finish()]);
            let mapped = map(&loaded.readback, bytes);
            self.wait(Some(index))?;
            if half {
                let halves: Vec<u16> = self.collect(&loaded.readback, bytes, &mapped)?;
                values.extend(halves.into_iter().map(half::value));
            } else {
                values.extend(self.collect::<f32>(&loaded.readback, bytes, &mapped)?);
            }
            done += bytes;
        }
        values.truncate(len);
        Ok(values)
    }

    fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    fn variants(&self) -> Vec<String> {
        self.loaded.as_ref().map(|loaded| loaded.variants.clone()).unwrap_or_default()
    }
}
