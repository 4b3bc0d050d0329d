//! Decides which values share memory: lifetimes, and the buffers that follow from them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::ops::Range;

use super::{Element, Phase, Plan, Role, Slot, SlotSpec, Step};

/// Largest number of elements of a shared buffer, unless one value is larger: 256 MiB, which every adapter allows a buffer.
const MOST: usize = 1 << 26;

/// Number of values up to which an assignment compares each value with each other one, in several orders. With more values,
/// only the orders that need no such comparison are tried. A network of 500 layers has fewer.
const MOST_TRIED: usize = 2048;

/// A value that is used only inside a phase, before it has a place.
#[derive(Clone, Debug)]
pub(super) struct Temporary {
    /// The slot's index.
    pub(super) slot: usize,
    /// Number of elements.
    pub(super) len: usize,
    /// Element type.
    pub(super) element: Element,
}

/// A temporary with the first and the last step that uses it.
#[derive(Clone, Debug)]
struct Lifetime {
    slot: usize,
    len: usize,
    element: Element,
    phase: Phase,
    first: usize,
    last: usize,
    /// Lifetimes, by their index in the list, that a step reads where it writes this one, or the other way round: WebGPU
    /// checks usage for whole buffers, so two such values need two buffers.
    clashes: Vec<usize>,
}

impl Lifetime {
    /// Returns whether both values are in use at the same time.
    fn meets(&self, other: &Self) -> bool {
        self.phase == other.phase && self.first <= other.last && other.first <= self.last
    }
}

/// Adds the lifetimes of a phase's temporaries that its steps use, in one pass over the steps. `originals` has for each slot
/// the slot that it is another shape of, or itself.
fn add_lives(
    lives: &mut Vec<Lifetime>,
    (phase, temporaries, steps): (Phase, &[Temporary], &[Step]),
    originals: &[usize],
) {
    let original = |slot: &Slot| originals[slot.0 as usize];
    let known: HashMap<usize, &Temporary> = temporaries.iter().map(|it| (it.slot, it)).collect();
    // Places in the list are given in the order of the temporaries, which orders of equal keys keep.
    let mut spans: HashMap<usize, (usize, usize)> = HashMap::new();
    for (index, step) in steps.iter().enumerate() {
        for slot in step.reads.iter().chain(&step.writes).map(original) {
            if known.contains_key(&slot) {
                spans.entry(slot).or_insert((index, index)).1 = index;
            }
        }
    }
    let mut places = HashMap::with_capacity(spans.len());
    for &Temporary { slot, len, element } in temporaries {
        if let Some(&(first, last)) = spans.get(&slot) {
            places.insert(slot, lives.len());
            lives.push(Lifetime { slot, len, element, phase, first, last, clashes: vec![] });
        }
    }
    // Arenas and tables have buffers of their own, so only temporaries can clash.
    let place = |slot: &Slot| places.get(&original(slot)).copied();
    for step in steps {
        for read in step.reads.iter().filter_map(place) {
            for write in step.writes.iter().filter_map(place) {
                lives[read].clashes.push(write);
                lives[write].clashes.push(read);
            }
        }
    }
}

/// Place of a temporary: index of the shared buffer, and first element in it.
pub(super) type Allocation = (usize, usize);
/// Slots with their places, and the element type and length of each shared buffer.
type Allocations = (Vec<(usize, Allocation)>, Vec<(Element, usize)>);

/// Assigns the temporaries of all phases to as few shared buffers as usage allows. Phases never run at once.
///
/// Finding the best assignment is a hard problem, so several orders are tried and the assignment with the fewest bytes is kept.
pub(super) fn assign(
    phases: &[(Phase, &[Temporary], &[Step])],
    originals: &[usize],
) -> Allocations {
    let mut lives = Vec::new();
    for &phase in phases {
        add_lives(&mut lives, phase, originals);
    }
    let tried = if lives.len() <= MOST_TRIED { all_orders(&lives) } else { both_times(lives) };
    // Bytes, not elements, since buffers of halves and of floats differ.
    let bytes = |(element, len): &(Element, usize)| element.bytes(*len);
    let smallest = |(_, buffers): &Allocations| buffers.iter().map(bytes).sum::<u64>();
    tried.into_iter().min_by_key(smallest).unwrap_or_default()
}

/// Returns assignments in several orders: large values first, the order of the steps forwards and backwards, and long
/// lifetimes first.
fn all_orders(lives: &[Lifetime]) -> Vec<Allocations> {
    let orders: [fn(&Lifetime) -> usize; 5] = [
        |life| usize::MAX - life.len,
        |life| life.first,
        |life| usize::MAX - life.last,
        |life| usize::MAX - (life.last - life.first),
        |life| usize::MAX - (life.last - life.first + 1) * life.len,
    ];
    let tried = orders.into_iter().flat_map(|key| {
        let order = ordered(lives, key);
        [place(lives, &order, false), place(lives, &order, true)]
    });
    tried.collect()
}

/// Returns the indices of a list of lifetimes, sorted by a key.
fn ordered<K: Ord>(lives: &[Lifetime], key: impl Fn(&Lifetime) -> K) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lives.len()).collect();
    order.sort_by_key(|&index| key(&lives[index]));
    order
}

/// Returns assignments in the order of the steps, forwards and backwards.
fn both_times(mut lives: Vec<Lifetime>) -> Vec<Allocations> {
    let forwards = place_in_time(&lives);
    let end = lives.iter().map(|life| life.last).max().unwrap_or(0);
    // Mirrored in time, lifetimes overlap as before, so the backward order needs no code of its own.
    for life in &mut lives {
        (life.first, life.last) = (end - life.last, end - life.first);
    }
    vec![forwards, place_in_time(&lives)]
}

/// Places values one after the other, each in the buffer that grows least, at the lowest offset that is free of the values
/// in use at the same time. Where an old buffer would grow as much as a new one is large, `spread` takes the new one. A
/// buffer holds elements of one type.
fn place(lives: &[Lifetime], order: &[usize], spread: bool) -> Allocations {
    let mut shared = Shared::new(lives, spread);
    // Values of each buffer, with their offsets: a value is compared with each other one once.
    let mut members: Vec<Vec<(usize, usize)>> = vec![];
    for &index in order {
        let life = &lives[index];
        let place = shared.put(index, |buffer| {
            let there = members[buffer].iter().map(|&(other, at)| (&lives[other], at));
            let taken = there.filter(|(other, _)| life.meets(other));
            lowest(life, taken.map(|(other, at)| at..at + other.len).collect())
        });
        members.resize(shared.buffers.len(), Vec::new());
        members[place.0].push((index, place.1));
    }
    shared.finish()
}

/// Does the same as [`place`] in the order of each value's first step, without `spread`: the same places where lengths are
/// multiples of the alignment, in a time that hardly grows faster than the number of values. Each buffer keeps the gaps
/// between the values in use at the current step, so no value is compared with all others.
fn place_in_time(lives: &[Lifetime]) -> Allocations {
    // If short vectors got buffers of their own, because another buffer would grow by its alignment, there would be as many
    // buffers as layers, and every value would be tried in each of them.
    let mut shared = Shared { aligned: true, ..Shared::new(lives, false) };
    // Values of different phases are never in use together, so phases may come one after the other.
    let order = ordered(lives, |life| (life.phase as usize, life.first));
    let mut gaps: Vec<Gaps> = vec![];
    // Last steps of the values in use, the earliest first.
    let mut ends: BinaryHeap<Reverse<(usize, usize)>> = BinaryHeap::new();
    for index in order {
        let life = &lives[index];
        // A new phase meets nothing of the earlier phase, and so frees everything that it held.
        while let Some(&Reverse((_, other))) = ends.peek()
            && !life.meets(&lives[other])
        {
            ends.pop();
            let (buffer, at) = shared.placed[other].expect("a value that lives has a place");
            gaps[buffer].free(at, &lives[other]);
        }
        let place = shared.put(index, |buffer| gaps[buffer].lowest(life));
        gaps.resize(shared.buffers.len(), Gaps::default());
        gaps[place.0].take(place.1, life);
        ends.push(Reverse((life.last, index)));
    }
    shared.finish()
}

/// Shared buffers while the assignment is made.
struct Shared<'a> {
    lives: &'a [Lifetime],
    spread: bool,
    /// True if lengths are rounded up to the alignment.
    aligned: bool,
    /// The place of each value that has one.
    placed: Vec<Option<Allocation>>,
    buffers: Vec<(Element, usize)>,
}

impl<'a> Shared<'a> {
    fn new(lives: &'a [Lifetime], spread: bool) -> Self {
        Self { lives, spread, aligned: false, placed: vec![None; lives.len()], buffers: vec![] }
    }

    /// Places a value. `offset` returns the lowest offset at which the value could lie in a buffer.
    fn put(&mut self, index: usize, offset: impl Fn(usize) -> usize) -> Allocation {
        let Self { lives, spread, aligned, placed, buffers } = self;
        let life = &lives[index];
        // WebGPU forbids a buffer that a step both reads and writes, so those of clashing values are left out.
        let refused: Vec<usize> =
            life.clashes.iter().filter_map(|&other| placed[other]).map(|place| place.0).collect();
        let alignment = if *aligned { life.element.alignment() } else { 1 };
        let growth = |&(buffer, offset): &Allocation| {
            let end = buffers.get(buffer).map_or(0, |it| it.1.next_multiple_of(alignment));
            (offset + life.len).next_multiple_of(alignment).saturating_sub(end)
        };
        let places = (0..buffers.len())
            .filter(|buffer| buffers[*buffer].0 == life.element && !refused.contains(buffer))
            // A buffer above the limit might exceed what an adapter allows a buffer to have.
            .map(|buffer| (buffer, offset(buffer)))
            .filter(|place| place.1 + life.len <= MOST.max(life.len));
        let best = places.min_by_key(growth);
        // A buffer of its own costs no more than the value, so sharing never costs memory.
        let own = life.len.next_multiple_of(alignment);
        let worse = |old: &Allocation| growth(old) > own || (*spread && growth(old) == own);
        let place = best.filter(|old| !worse(old)).unwrap_or((buffers.len(), 0));
        // A new buffer is appended with no elements and then grows to its first value.
        buffers.resize(buffers.len().max(place.0 + 1), (life.element, 0));
        buffers[place.0].1 = buffers[place.0].1.max(place.1 + life.len);
        placed[index] = Some(place);
        place
    }

    /// Returns the slots with their places, and the buffers.
    fn finish(self) -> Allocations {
        let slots = self.lives.iter().zip(self.placed);
        let placed = slots.filter_map(|(life, place)| place.map(|place| (life.slot, place)));
        (placed.collect(), self.buffers)
    }
}

/// The gaps of a buffer between the values in use: each gap's start with its end, all aligned. The last gap has no end.
#[derive(Clone, Debug)]
struct Gaps(BTreeMap<usize, usize>);

impl Default for Gaps {
    /// Returns the gaps of an empty buffer.
    fn default() -> Self {
        Self(BTreeMap::from([(0, usize::MAX)]))
    }
}

impl Gaps {
    /// Returns the end of a value, rounded up to where the next one may begin.
    fn end(at: usize, life: &Lifetime) -> usize {
        (at + life.len).next_multiple_of(life.element.alignment())
    }

    /// Returns the lowest offset with room for a value.
    fn lowest(&self, life: &Lifetime) -> usize {
        let mut fitting = self.0.iter().filter(|&(start, end)| end - start >= life.len);
        *fitting.next().expect("the last gap has no end").0
    }

    /// Removes a value's range from the gap that it begins.
    fn take(&mut self, at: usize, life: &Lifetime) {
        let end = self.0.remove(&at).expect("a value lies at the start of a gap");
        let start = Self::end(at, life);
        if start < end {
            self.0.insert(start, end);
        }
    }

    /// Turns a value's range into a gap again.
    fn free(&mut self, at: usize, life: &Lifetime) {
        // Neighbouring gaps are merged, or a value larger than either would not find the room.
        let mut end = Self::end(at, life);
        if let Some(after) = self.0.remove(&end) {
            end = after;
        }
        match self.0.range_mut(..at).next_back() {
            Some((_, before)) if *before == at => *before = end,
            _ => _ = self.0.insert(at, end),
        }
    }
}

/// Returns the lowest offset at which a value overlaps none of the taken ranges, aligned for bindings.
fn lowest(life: &Lifetime, mut taken: Vec<Range<usize>>) -> usize {
    // Sorted by start, the first hole that is large enough is the lowest one.
    taken.sort_by_key(|range| range.start);
    let mut offset = 0;
    for range in taken {
        if offset + life.len <= range.start {
            break;
        }
        offset = offset.max(range.end.next_multiple_of(life.element.alignment()));
    }
    offset
}

/// Bytes on the device, by purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Parameters.
    pub params: u64,
    /// Gradients.
    pub gradients: u64,
    /// Optimizer state.
    pub state: u64,
    /// Activations and their gradients, in shared buffers.
    pub activations: u64,
    /// Largest sum of activations in use at one step: a lower bound for every assignment.
    pub live: u64,
    /// Activations if no buffer were shared.
    pub activations_unshared: u64,
    /// Tables, order, predictions, log.
    pub data: u64,
}

impl Memory {
    /// Counts a plan's bytes.
    pub fn of(plan: &Plan) -> Self {
        let mut memory = Self::default();
        for buffer in plan.buffers() {
            let bytes = buffer.bytes();
            match buffer.role {
                Role::Params => memory.params += bytes,
                Role::Gradients => memory.gradients += bytes,
                Role::State => memory.state += bytes,
                Role::Activations => memory.activations += bytes,
                Role::Data | Role::Log => memory.data += bytes,
            }
        }
        memory.activations_unshared = plan
            .slots()
            .filter(|(_, slot)| slot.same_as.is_none())
            .filter(|(_, slot)| plan.buffer(slot.buffer).role == Role::Activations)
            // Each slot would have a buffer of its own, a multiple of four bytes.
            .map(|(_, slot)| slot.bytes().next_multiple_of(4))
            .sum();
        memory.live = Phase::ALL.map(|phase| live(plan, phase)).into_iter().max().unwrap_or(0);
        memory
    }

    /// Returns a lower bound for every assignment: parameters, gradients, state and data, and the activations in use at one
    /// step at most.
    pub fn bound(&self) -> u64 {
        self.params + self.gradients + self.state + self.live + self.data
    }

    /// Returns the sum of all bytes.
    pub fn total(&self) -> u64 {
        self.params + self.gradients + self.state + self.activations + self.data
    }
}

/// Returns the largest number of bytes of activations in use at one step of a phase.
fn live(plan: &Plan, phase: Phase) -> u64 {
    let steps = plan.steps(phase);
    let shared = |spec: &SlotSpec| {
        spec.same_as.is_none() && plan.buffer(spec.buffer).role == Role::Activations
    };
    let temporary = |(slot, spec): (Slot, &SlotSpec)| Temporary {
        slot: slot.0 as usize,
        len: spec.len(),
        element: spec.element,
    };
    let temporaries: Vec<_> =
        plan.slots().filter(|(_, spec)| shared(spec)).map(temporary).collect();
    let mut lives = Vec::new();
    let originals: Vec<usize> =
        plan.slots().map(|(slot, _)| plan.original(slot).0 as usize).collect();
    add_lives(&mut lives, (phase, &temporaries, steps), &originals);
    // Bytes that come into use at each step, and bytes that were last used at the step before.
    let (mut begin, mut end) = (vec![0; steps.len()], vec![0; steps.len() + 1]);
    for life in &lives {
        let bytes = life.element.bytes(life.len);
        begin[life.first] += bytes;
        end[life.last + 1] += bytes;
    }
    let (mut now, mut most) = (0, 0);
    for (begin, end) in begin.into_iter().zip(end) {
        now = now + begin - end;
        most = most.max(now);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Seed};

    /// Values of random lengths and lives in a phase of so many steps; each clashes with those whose life begins as its own
    /// ends, as in a chain of steps.
    fn random_lives(count: usize, steps: u32, seed: u64) -> Vec<Lifetime> {
        let mut random = Seed(seed).stream(Purpose::Synthetic);
        let mut lives: Vec<Lifetime> = (0..count)
            .map(|slot| {
                let (first, more) = (random.below(steps), random.below(steps));
                let more = if more % 4 == 0 { more } else { more % 3 };
                let (first, last) = (first as usize, (first + more).min(steps) as usize);
                let element = if random.below(5) == 0 { Element::F16 } else { Element::F32 };
                let len = element.alignment() * (1 + random.below(9) as usize);
                Lifetime { slot, len, element, phase: Phase::Train, first, last, clashes: vec![] }
            })
            .collect();
        for one in 0..count {
            for other in 0..count {
                if one != other && lives[one].last == lives[other].first {
                    lives[one].clashes.push(other);
                    lives[other].clashes.push(one);
                }
            }
        }
        lives
    }

    #[test]
    fn gaps_give_the_places_that_comparing_all_values_gives() {
        for seed in 0..30 {
            let lives = random_lives(60, 40, seed);
            let order = ordered(&lives, |life| life.first);
            assert_eq!(place_in_time(&lives), place(&lives, &order, false), "seed {seed}");
        }
    }

    #[test]
    fn places_in_time_neither_overlap_nor_clash() {
        for seed in 0..10 {
            for (placed, buffers) in both_times(random_lives(200, 150, seed)) {
                let lives = random_lives(200, 150, seed);
                assert_eq!(placed.len(), lives.len());
                let places: HashMap<usize, Allocation> = placed.into_iter().collect();
                for one in &lives {
                    let (buffer, at) = places[&one.slot];
                    assert_eq!(buffers[buffer].0, one.element);
                    assert!(at + one.len <= buffers[buffer].1);
                    for other in lives.iter().filter(|other| other.slot != one.slot) {
                        let (theirs, start) = places[&other.slot];
                        let apart = at + one.len <= start || start + other.len <= at;
                        assert!(theirs != buffer || apart || !one.meets(other), "seed {seed}");
                        let clash = one.clashes.contains(&other.slot);
                        assert!(theirs != buffer || !clash, "seed {seed}");
                    }
                }
            }
        }
    }
}
