//! Different texts with codes, in little memory.
//!
//! In: texts. Out: a code for each, in the order in which they came first; the texts by code.
//! Absent on purpose: texts in any other order; removal.

use std::hash::{BuildHasher, RandomState};

use super::quick_number::word_of;

/// Mark of a free slot.
const FREE: u32 = u32::MAX;
/// An odd number whose bits are evenly spread: the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Different texts, one behind the other in one piece of memory.
#[derive(Clone, Debug)]
pub(super) struct TextTable {
    texts: String,
    /// End of each text.
    ends: Vec<usize>,
    hashes: Vec<u32>,
    /// Codes, found by their hash; at most three quarters are taken.
    slots: Vec<u32>,
    /// Start of all hashes, which nobody who writes a table knows.
    seed: u64,
}

impl Default for TextTable {
    fn default() -> Self {
        let seed = RandomState::new().hash_one(0);
        Self { texts: String::new(), ends: Vec::new(), hashes: Vec::new(), slots: Vec::new(), seed }
    }
}

/// Returns a hash of a text.
pub(super) fn hash_of(text: &str, seed: u64) -> u64 {
    // Both halves of the product, so that no bit is lost.
    let mix = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let mut sum = seed ^ SPREAD.wrapping_mul(text.len() as u64 + 1);
    for word in words {
        sum = mix(sum ^ u64::from_le_bytes(*word), SPREAD);
    }
    mix(mix(sum ^ word_of(rest) as u64, SPREAD), SPREAD ^ seed.rotate_left(32))
}

impl TextTable {
    /// Makes the empty table with room for so many texts.
    pub(super) fn with_room(texts: usize) -> Self {
        let mut table = Self::default();
        if texts > 0 {
            table.slots = vec![FREE; (texts * 2).next_power_of_two().max(16)];
        }
        table
    }

    /// Number of different texts.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns a text by its code.
    pub(super) fn text(&self, code: u32) -> &str {
        let code = code as usize;
        let begin = if code == 0 { 0 } else { self.ends[code - 1] };
        &self.texts[begin..self.ends[code]]
    }

    /// All texts, in the order of their codes.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        (0..self.len() as u32).map(|code| self.text(code))
    }

    /// Returns the code of a text, and whether it is new.
    pub(super) fn code(&mut self, text: &str) -> (u32, bool) {
        if self.slots.len() * 3 <= self.len() * 4 {
            self.grow();
        }
        let hash = hash_of(text, self.seed);
        let mask = self.slots.len() - 1;
        let (mut slot, short) = (hash as usize & mask, (hash >> 32) as u32);
        loop {
            match self.slots[slot] {
                FREE => break,
                code if self.hashes[code as usize] == short && self.text(code) == text => {
                    return (code, false);
                }
                _ => slot = (slot + 1) & mask,
            }
        }
        // There are fewer rows than codes.
        let code = self.len() as u32;
        self.slots[slot] = code;
        self.hashes.push(short);
        self.texts.push_str(text);
        self.ends.push(self.texts.len());
        (code, true)
    }

    /// Doubles the slots.
    fn grow(&mut self) {
        let count = (self.slots.len() * 2).max(16);
        self.slots.clear();
        self.slots.resize(count, FREE);
        for code in 0..self.len() as u32 {
            let mut slot = hash_of(self.text(code), self.seed) as usize & (count - 1);
            while self.slots[slot] != FREE {
                slot = (slot + 1) & (count - 1);
            }
            self.slots[slot] = code;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_codes_in_the_order_of_their_first_places() {
        let mut table = TextTable::default();
        let texts: Vec<String> = (0..5000).map(|i| format!("{:x}", i * i % 4001)).collect();
        let mut known: Vec<&String> = Vec::new();
        for text in &texts {
            let place = known.iter().position(|it| *it == text);
            let new = place.is_none();
            let want = place.unwrap_or(known.len());
            if new {
                known.push(text);
            }
            assert_eq!(table.code(text), (want as u32, new));
        }
        assert_eq!(table.code(""), (known.len() as u32, true));
        assert!(!table.code("").1);
        assert!(table.iter().zip(known).all(|(a, b)| a == b));
    }

    #[test]
    fn hashes_of_near_texts_differ() {
        let mut hashes: Vec<u64> = (0..200_000).map(|i| hash_of(&i.to_string(), 0)).collect();
        for text in ["", "\0", "\0\0", "a", "a\0", "aaaaaaaa", "aaaaaaaa\0"] {
            hashes.push(hash_of(text, 0));
        }
        let count = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }
}
