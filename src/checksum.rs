//! A number that changes when data do: for files that were damaged and tables that are no longer the same.
//!
//! In: words. Out: 64 bits.
//! Absent on purpose: secrecy; whoever wants to can make data of the same checksum.

/// FNV-1a (Fowler, Noll and Vo, <http://www.isthe.com/chongo/tech/comp/fnv/>) over words of 32 bits instead of bytes: both
/// steps can be undone, so that data which differ in one word only never have the same checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum(u64);

impl Default for Checksum {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Checksum {
    /// Takes in a word.
    #[inline]
    pub fn word(&mut self, word: u32) {
        self.0 = (self.0 ^ u64::from(word)).wrapping_mul(0x0100_0000_01b3);
    }

    /// Takes in floats by their bits.
    pub fn floats(&mut self, values: &[f32]) {
        for value in values {
            self.word(value.to_bits());
        }
    }

    /// Takes in bytes: words of four, in little-endian order, and the last ones one by one. Bytes in several parts have the checksum of
    /// the whole if all parts but the last one consist of whole words.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.word(u32::from_le_bytes(*word));
        }
        for byte in rest {
            self.word((*byte).into());
        }
    }

    /// Takes in a text, and where it ends.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
        self.length(text.len());
    }

    /// Takes in a length, so that what follows cannot pass for what came before.
    pub fn length(&mut self, length: usize) {
        let length = length as u64;
        self.word(length as u32);
        self.word((length >> 32) as u32);
    }

    /// Returns the checksum of everything that was added.
    pub fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_single_change_shows() {
        let of = |values: &[f32]| {
            let mut sum = Checksum::default();
            sum.floats(values);
            sum.value()
        };
        let values: Vec<f32> = (0..100).map(|i| i as f32 - 50.0).collect();
        let whole = of(&values);
        assert_eq!(whole, of(&values));
        for at in 0..values.len() {
            for bit in 0..32 {
                let mut other = values.clone();
                other[at] = f32::from_bits(other[at].to_bits() ^ (1 << bit));
                assert_ne!(of(&other), whole, "bit {bit} of {at}");
            }
        }
        assert_ne!(of(&values[1..]), whole);
    }

    #[test]
    fn texts_do_not_run_into_one_another() {
        let of = |texts: &[&str]| {
            let mut sum = Checksum::default();
            texts.iter().for_each(|text| sum.text(text));
            sum.value()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["abcd", ""]), of(&["", "abcd"]));
        assert_ne!(of(&["abcde"]), of(&["abcdf"]));
    }
}
