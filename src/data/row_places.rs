//! Places of rows that were held out of a table, as a bit for each row of the table: of a large one, a list would take much memory.
//!
//! In: places, in order. Out: the place of each held row.
//! Absent on purpose: which rows are held out.

/// Words of 64 bits whose bits are counted together.
const BLOCK: usize = 32;

/// Places, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RowPlaces {
    /// A bit for each row of the table, set for those that are held.
    bits: Vec<u64>,
    /// Number of held rows before each block of [`BLOCK`] words.
    before: Vec<u32>,
}

impl FromIterator<u32> for RowPlaces {
    /// Takes places in ascending order, each once.
    fn from_iter<I: IntoIterator<Item = u32>>(places: I) -> Self {
        let (mut bits, mut before) = (Vec::new(), Vec::new());
        for (held, place) in (0_u32..).zip(places) {
            let word = place as usize / 64;
            if bits.len() <= word {
                bits.resize(word + 1, 0_u64);
            }
            before.resize((word / BLOCK + 1).max(before.len()), held);
            bits[word] |= 1 << (place % 64);
        }
        Self { bits, before }
    }
}

impl RowPlaces {
    /// Returns the place of a held row.
    ///
    /// # Panics
    /// If fewer rows are held.
    #[cfg_attr(
        not(feature = "cli"),
        allow(dead_code, reason = "only the program numbers rows; tests do anyway")
    )]
    pub(super) fn place(&self, held: usize) -> usize {
        let block =
            self.before.partition_point(|before| *before as usize <= held).saturating_sub(1);
        let mut left = held - self.before[block] as usize;
        let mut word = block * BLOCK;
        while self.bits[word].count_ones() as usize <= left {
            left -= self.bits[word].count_ones() as usize;
            word += 1;
        }
        let mut bits = self.bits[word];
        for _ in 0..left {
            // Clears the lowest bit.
            bits &= bits - 1;
        }
        word * 64 + bits.trailing_zeros() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_that_were_given() {
        let far = [0_u32, 63, 64, 2047, 2048, 9000, 9001, 20_000, 20_001];
        let every = |step: usize| (0..30_000_u32).step_by(step).collect::<Vec<u32>>();
        for places in [far.to_vec(), every(1), every(5), every(777), vec![29_999], Vec::new()] {
            let found: RowPlaces = places.iter().copied().collect();
            for (held, place) in places.iter().enumerate() {
                assert_eq!(found.place(held), *place as usize, "{held} of {}", places.len());
            }
        }
    }
}
