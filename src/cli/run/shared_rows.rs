//! Rows of a run of several ranks: on each machine one rank reads the table, and the others open what it has read.
//!
//! In: the ranks, a way to read the table. Out: the rows on each rank, and from which rank they are.
//! Absent on purpose: the file of the rows, which `data` has; what becomes of them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cli::settings::{PreparedTable, RunConfig, ValidSource};
use crate::data::{Preprocessing, SharedPlace, SharedTable};
use crate::error::{Error, Result};
use crate::ranks::Ranks;
use crate::train::Warning;

/// Description of rows for the other ranks of a machine.
#[derive(Serialize, Deserialize)]
struct SharedRows {
    place: SharedPlace,
    /// Scaling by that of earlier weights.
    preparation: Option<Preprocessing>,
    /// Differences of columns and targets from those of earlier weights.
    features: Vec<String>,
    targets: Vec<String>,
}

/// Reads the table on one rank of each machine; the others open its rows. Returns the rows, and this rank with the knowledge of whose
/// rows it has. Each rank has to call this at the same time.
///
/// # Errors
/// If the table cannot be read, or not be written for the others; and if another rank has failed.
pub(super) fn rows_of_ranks(
    ranks: &Ranks,
    (config, origin): (&RunConfig, Option<&Preprocessing>),
    read: impl FnOnce() -> Result<PreparedTable>,
) -> Result<(PreparedTable, Ranks)> {
    let (own, machines) = (ranks.share().rank, ranks.machines());
    let source = machines[own];
    let read = || {
        check_input(config, own)?;
        read()
    };
    if source == own {
        let mut table = read()?;
        table.preparation = config.preparation(&table.data.train, origin);
        let is_shared = machines.iter().filter(|&&machine| machine == own).count() > 1;
        let mut shared = if is_shared { Some(SharedTable::new(&table.data)?) } else { None };
        let told = shared.as_ref().map(|shared| SharedRows {
            place: shared.place().clone(),
            preparation: table.preparation.clone(),
            features: table.features.clone(),
            targets: table.targets.clone(),
        });
        ranks.gather(&told.map_or(Ok(Vec::new()), |told| serde_json::to_vec(&told)).map_err(unread)?)?;
        // The others have opened the file after this.
        let refused = ranks.gather_texts("")?;
        shared.iter_mut().for_each(SharedTable::forget_name);
        table.notes.extend(apart(&refused));
        return Ok((table, ranks.clone()));
    }
    let told = ranks.gather(&[])?;
    let opened = serde_json::from_slice(&told[source])
        .map_err(unread)
        .and_then(|told: SharedRows| Ok((told.place.open()?, told)));
    let (table, refused) = match opened {
        Ok((data, SharedRows { preparation, features, targets, .. })) => {
            // Only the first rank reports.
            let (notes, format) = (Vec::new(), Vec::new());
            (PreparedTable { data, notes, format, preparation, features, targets }, String::new())
        }
        // A process with a view of its own of the system, such as a container, may not see the files of another one.
        Err(error) => (read()?, error.to_string()),
    };
    ranks.gather_texts(&refused)?;
    let ranks = ranks.clone();
    Ok((table, if refused.is_empty() { ranks.with_rows_of(source) } else { ranks }))
}

/// Refuses standard input for a rank that does not get it.
fn check_input(config: &RunConfig, rank: usize) -> Result<()> {
    let valid = match &config.valid {
        ValidSource::File(path) => Some(path.as_path()),
        _ => None,
    };
    let is_input = std::iter::once(config.table.as_path()).chain(valid).any(|it| it == Path::new("-"));
    if rank == 0 || !is_input {
        return Ok(());
    }
    let problem = "standard input reaches the first rank alone, and this one has to read the table, too; give a file that each machine has";
    Err(Error::table("-", problem))
}

/// Tells of ranks that could not open the rows of another one, with their reasons.
fn apart(refused: &[String]) -> Option<Warning> {
    let all: Vec<usize> = (0..refused.len()).filter(|&rank| !refused[rank].is_empty()).collect();
    let first = *all.first()?;
    let which = match all.len() {
        1 => format!("rank {first} has"),
        count => format!("{count} ranks, of which the first is rank {first}, have"),
    };
    let problem = format!(
        "{which} read the table apart, with memory for all of it, since the rows of another rank of the machine could not be opened: {}",
        refused[first]
    );
    Some(Warning::Noted { problem })
}

fn unread(error: serde_json::Error) -> Error {
    Error::shape("ranks", error.to_string())
}
