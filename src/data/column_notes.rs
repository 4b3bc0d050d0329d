//! Remarks on columns of a table, short for tables of very many columns.
//!
//! In: remarks, each with the name of its column. Out: sentences: one for each column, or for some of them and the number of the others.
//! Absent on purpose: what is remarked.

use super::header::list;
use crate::shape::count;

/// Number of remarks of one form up to which each is told.
const FEW: usize = 5;
/// Number of remarks that are told of many of one form.
const SHOWN: usize = 3;

/// Subject of a remark, whatever its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoteForm {
    Index,
    NothingButGaps,
    MarksAreGaps,
    LooksLikeOther,
    OtherDates,
    Identifies,
    RareTexts,
    RoundedNumbers,
    Codes,
    Zones,
}

/// A remark on a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ColumnNote {
    pub(super) form: NoteForm,
    pub(super) text: String,
}

/// Remarks on columns, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct ColumnNotes(Vec<(NoteForm, Vec<(String, String)>)>);

impl ColumnNotes {
    /// Adds the remark on a column, if there is one.
    pub(super) fn push(&mut self, column: &str, note: Option<ColumnNote>) {
        let Some(ColumnNote { form, text }) = note else { return };
        let note = (column.to_owned(), text);
        match self.0.iter_mut().find(|it| it.0 == form) {
            Some((_, notes)) => notes.push(note),
            None => self.0.push((form, vec![note])),
        }
    }

    /// Returns the sentences.
    pub(super) fn into_sentences(self) -> Vec<String> {
        let told = |(_, notes): (NoteForm, Vec<(String, String)>)| {
            let shown = if notes.len() <= FEW { notes.len() } else { SHOWN };
            let more: Vec<String> = notes[shown..].iter().map(|it| it.0.clone()).collect();
            let mut told: Vec<String> = notes.into_iter().take(shown).map(|it| it.1).collect();
            if !more.is_empty() {
                told.push(format!(
                    "the same holds for {} more columns: {}",
                    count(more.len() as u64),
                    few(&more)
                ));
            }
            told
        };
        self.0.into_iter().flat_map(told).collect()
    }
}

/// Returns the first of many names.
fn few(names: &[String]) -> String {
    match names.len().saturating_sub(SHOWN) {
        0 => list(names),
        more => format!("{} and {} more", list(&names[..SHOWN]), count(more as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_remarks_of_one_form_are_counted() {
        let of = |count: usize| {
            let mut notes = ColumnNotes::default();
            for column in 0..count {
                let note =
                    |form, what| Some(ColumnNote { form, text: format!("c{column} {what}") });
                notes.push(&format!("c{column}"), note(NoteForm::Identifies, "names rows"));
                let rare = note(NoteForm::RareTexts, "is rare").filter(|_| column == 1);
                notes.push(&format!("c{column}"), rare);
            }
            notes.into_sentences()
        };
        assert_eq!(of(2), ["c0 names rows", "c1 names rows", "c1 is rare"]);
        assert_eq!(of(5).len(), 6);
        let many = of(100_000);
        assert_eq!(many.len(), 5);
        assert_eq!(
            many[3],
            "the same holds for 99,997 more columns: `c3`, `c4`, `c5` and 99,994 more"
        );
        assert_eq!(of(6)[3], "the same holds for 3 more columns: `c3`, `c4`, `c5`");
    }
}
