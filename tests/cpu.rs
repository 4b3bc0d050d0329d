//! The CPU device in f32: the same bits however it is computed, and steps that take no memory.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(missing_docs, reason = "a test binary")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::drive;
use wgrad::device::cpu::{CpuDevice, SimdLevel};
use wgrad::device::{Device, Values};
use wgrad::graph::{Loss, Optimizer};
use wgrad::model::Params;
use wgrad::plan::{Phase, Plan, Sizes};
use wgrad::train::Workload;
use wgrad::{Activation, Seed, Sequential};

/// The system's allocator, which counts.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
/// Held by each test: what others allocate meanwhile must not be counted.
static ALONE: Mutex<()> = Mutex::new(());

#[expect(unsafe_code, reason = "an allocator can be written no other way")]
// SAFETY: all calls are passed on to the system's allocator as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps what the trait asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps what the trait asks for.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Allocations of all threads while a device runs steps `3..3 + steps`, after some to warm up: the least of several
/// times, since the tests' harness and the threads' queue take memory once in a while too.
fn allocations(workload: &str, steps: u32) -> usize {
    let workload = Workload::by_name(workload).unwrap();
    let mut device = CpuDevice::<f32>::new();
    workload.begin(&mut device, &workload.plan().unwrap()).unwrap();
    let counts = (0..5).map(|_| {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        device.run(Phase::Train, 3..3 + steps).unwrap();
        ALLOCATIONS.load(Ordering::Relaxed) - before
    });
    counts.min().unwrap()
}

#[test]
fn steps_take_no_memory() {
    let _alone = alone();
    assert_eq!(allocations("tiny", 100), 0);
    assert_eq!(allocations("mnist", 4), 0);
}

/// Losses and weights of a few steps of a network whose products are shared among threads, with every kind of
/// fusion: the arguments of gelu are saved, relu's are not.
fn trained(device: &mut CpuDevice<f32>) -> (Vec<u32>, Vec<u32>) {
    let (inputs, outputs, batch, rows) = (130, 37, 96, 200);
    let model = Sequential::new()
        .dense(150)
        .activation(Activation::Gelu)
        .dense(97)
        .activation(Activation::Relu)
        .dense(outputs);
    let optimizer = Optimizer::by_name("adamw").unwrap();
    let step = wgrad::graph::training(&model, inputs, Loss::Mse, optimizer.clone()).unwrap();
    let inference = wgrad::graph::inference(&model, inputs).unwrap();
    let sizes = Sizes { batch, train_rows: rows, eval_batch: 0, eval_rows: 0 };
    let plan = Plan::training(&step, &inference, sizes).unwrap();
    let params = Params::init(&model, inputs, Seed(3)).unwrap();
    let x = common::normal_f32(rows * inputs, Seed(1));
    let y = common::normal_f32(rows * outputs, Seed(2));
    drive::load(device, &plan, &x, Values::F32(&y), params.arena());
    let steps = drive::step_rows(&plan, &optimizer, 0, 7, |_| 1e-2);
    let losses = drive::run(device, Phase::Train, &steps);
    let slot = plan.ports.params;
    let weights = device.read(slot, plan.slot(slot).len()).unwrap();
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect();
    (bits(losses), bits(weights))
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let _alone = alone();
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut device = CpuDevice::<f32>::new();
            assert!(device.info().backend.contains(&format!("{threads} thread")));
            trained(&mut device)
        })
    };
    let want = with(1);
    assert_eq!(want.0.len(), 7);
    for threads in [2, 3, 8] {
        for _ in 0..3 {
            assert!(with(threads) == want, "{threads} threads give other bits than one");
        }
    }
}

#[test]
fn vectors_of_any_width_give_the_same_bits() {
    let _alone = alone();
    let available = SimdLevel::available();
    // The baseline may round twice where the others round once.
    let fused = available.iter().filter(|instructions| instructions.name() != "baseline");
    let mut all = fused.map(|&instructions| {
        let mut device = CpuDevice::using(instructions);
        assert!(device.variants()[0].contains(instructions.name()));
        trained(&mut device)
    });
    let first = all.next();
    assert!(all.all(|other| Some(other) == first));
}

#[test]
fn two_devices_share_the_threads() {
    let _alone = alone();
    let want = trained(&mut CpuDevice::<f32>::new());
    let both = std::thread::scope(|scope| {
        let run = || trained(&mut CpuDevice::<f32>::new());
        let threads = [scope.spawn(run), scope.spawn(run)];
        threads.map(|thread| thread.join().unwrap())
    });
    assert!(both.iter().all(|got| *got == want));
}
