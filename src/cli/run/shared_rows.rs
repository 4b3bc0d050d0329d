//! Rows of a run of several ranks: on each machine one rank reads the table, and the others open what it has read.
//!
//! In: the ranks, a way to read the table. Out: the rows on each rank, and from which rank they are.
//! Absent on purpose: the file of the rows, which `data` has; what becomes of them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cli::settings::{PreparedTable, RunConfig, ValidSource};
use crate::data::{Preprocessing, SharedPlace, SharedTable, Split};
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
    settings: (&RunConfig, Option<&Preprocessing>),
    read: impl FnOnce() -> Result<PreparedTable>,
) -> Result<(PreparedTable, Ranks)> {
    read_or_open(ranks, settings, (read, SharedPlace::open))
}

/// Does the same by two functions that read a table and open rows.
fn read_or_open(
    ranks: &Ranks,
    (config, origin): (&RunConfig, Option<&Preprocessing>),
    (read, open): (
        impl FnOnce() -> Result<PreparedTable>,
        impl FnOnce(&SharedPlace) -> Result<Split>,
    ),
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
        ranks.gather(
            &told.map_or(Ok(Vec::new()), |told| serde_json::to_vec(&told)).map_err(unread)?,
        )?;
        // The others have opened the file after this.
        let refused = ranks.gather_texts("")?;
        shared.iter_mut().for_each(SharedTable::forget_name);
        table.notes.extend(apart(&refused));
        return Ok((table, ranks.clone()));
    }
    let told = ranks.gather(&[])?;
    let opened = serde_json::from_slice(&told[source])
        .map_err(unread)
        .and_then(|told: SharedRows| Ok((open(&told.place)?, told)));
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
    let is_input =
        std::iter::once(config.table.as_path()).chain(valid).any(|it| it == Path::new("-"));
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::cli::Failure;
    use crate::cli::run::ranks::together;
    use crate::cli::run::ready_run::ReadyRun;
    use crate::cli::settings::config_of;
    use crate::data::ReadProgress;
    use crate::export::write_model;
    use crate::ranks::thread_ranks_on;
    use crate::train::Trainer;

    /// Each rank by itself, two of each machine, and all of one.
    const APART: [usize; 4] = [0, 1, 2, 3];
    const IN_PAIRS: [usize; 4] = [0, 0, 2, 2];
    const TOGETHER: [usize; 4] = [0; 4];

    /// Writes a table of numbers, texts and gaps. Returns its path.
    fn table(folder: &Path, name: &str, rows: u32) -> String {
        let row = |i: u32| {
            let gap = if i.is_multiple_of(7) { String::new() } else { format!("{}", i % 13) };
            let kind = if (i * i) % 11 > 4 { "yes" } else { "no" };
            format!("{},{gap},town {},{kind}\n", f64::from(i) / 10.0, i % 5)
        };
        let text: String = (0..rows).map(row).collect();
        let path = folder.join(name);
        fs::write(&path, format!("size,count,town,y\n{text}")).unwrap();
        path.display().to_string()
    }

    fn config_with(table: &str, more: &[(&str, &str)]) -> RunConfig {
        let usual = [("hidden", "6"), ("epochs", "2"), ("batch-size", "32"), ("device", "cpu")];
        config_of(table, "y", &[&usual, more].concat()).unwrap()
    }

    /// Does the same on ranks on these machines, and returns the results in their order.
    fn on_ranks<R: Send>(machines: &[usize], job: impl Fn(&Ranks) -> R + Sync) -> Vec<R> {
        let job = &job;
        std::thread::scope(|scope| {
            let spawn = |ranks| scope.spawn(move || job(&ranks));
            let threads: Vec<_> = thread_ranks_on(machines).into_iter().map(spawn).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    type Opened = Result<(Trainer, ReadyRun), Failure>;

    /// Opens a run on each rank, whose table is as `config` says, and counts the ranks that read a table.
    fn opened(
        machines: &[usize],
        config: impl Fn(usize) -> RunConfig + Sync,
    ) -> (usize, Vec<Opened>) {
        let readers = AtomicUsize::new(0);
        let runs = on_ranks(machines, |ranks| {
            let config = config(ranks.share().rank);
            together(Some(ranks), || {
                let origin = config.origin(true)?;
                let (table, ranks) = rows_of_ranks(ranks, (&config, origin.as_ref()), || {
                    readers.fetch_add(1, Ordering::Relaxed);
                    config.data(origin.as_ref(), ReadProgress::default())
                })?;
                let run = ReadyRun::new(&config, table, origin.as_ref(), (true, true))?;
                Ok((run.trainer_of(Some(&ranks))?, run))
            })
        });
        (readers.into_inner(), runs)
    }

    fn weights(machines: &[usize], config: &RunConfig) -> (usize, Vec<u32>, Vec<bool>) {
        let (readers, runs) = opened(machines, |_| config.clone());
        let (mut trainers, runs): (Vec<_>, Vec<_>) = runs.into_iter().map(Result::unwrap).unzip();
        let stored = runs.iter().map(|run| run.data.train.is_stored()).collect();
        std::thread::scope(|scope| {
            trainers.iter_mut().for_each(|trainer| drop(scope.spawn(|| trainer.run().unwrap())));
        });
        let mut weights = trainers.iter_mut().map(|trainer| trainer.params().unwrap());
        let weights = weights.next().unwrap();
        (readers, weights.arena().iter().map(|it| it.to_bits()).collect(), stored)
    }

    #[test]
    fn shared_rows_train_to_the_bits_of_rows_that_each_rank_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = table(folder.path(), "t.csv", 400);
        let other = table(folder.path(), "other.csv", 90);
        let few = table(folder.path(), "few.csv", 12);
        let earlier = opened(&[0], |_| config_with(&path, &[])).1.remove(0).unwrap().0;
        let model = folder.path().join("model.safetensors").display().to_string();
        write_model(&earlier.trained(), &model).unwrap();
        let cases = [
            config_with(&path, &[("scale", "quantile"), ("valid", "0.25")]),
            config_with(&path, &[("init", &model)]),
            config_with(&path, &[("valid", &other)]),
            // The rank that reads has its rows in a file, too.
            config_with(&path, &[("host-memory", "60KiB"), ("table-cache", "none")]),
            // Few rows are in the memory of all ranks.
            config_with(&few, &[]),
        ];
        for (case, config) in cases.into_iter().enumerate() {
            let (readers, apart, _) = weights(&APART, &config);
            assert_eq!(readers, 4, "{case}");
            for (machines, sources) in [(IN_PAIRS, 2), (TOGETHER, 1)] {
                let (readers, shared, stored) = weights(&machines, &config);
                assert_eq!(readers, sources, "{case}");
                assert!(shared == apart, "{case}: other weights");
                assert_eq!((stored[0], stored[3]), (case == 3, case != 4), "{case}");
            }
        }
    }

    /// Returns the errors of all ranks of a run that does not begin.
    fn refused(machines: &[usize], config: impl Fn(usize) -> RunConfig + Sync) -> Vec<String> {
        let (_, runs) = opened(machines, config);
        runs.into_iter().map(|run| run.err().unwrap().to_string()).collect()
    }

    #[test]
    fn a_table_that_a_machine_lacks_ends_all_ranks() {
        let folder = tempfile::tempdir().unwrap();
        let path = table(folder.path(), "t.csv", 100);
        let missing = folder.path().join("missing.csv").display().to_string();
        let of_rank = |rank| config_with(if rank < 2 { &path } else { &missing }, &[]);
        let said = refused(&IN_PAIRS, of_rank);
        assert!(said[0].contains("rank 2 of 4: ") && said[0].contains("missing.csv"), "{said:?}");
        assert!(said[1..].iter().all(|it| it.contains("missing.csv")), "{said:?}");
        // The other ranks of the machine do not look for the table.
        let said = refused(&TOGETHER, |_| config_with(&missing, &[]));
        assert!(said.iter().all(|it| it.contains("missing.csv")), "{said:?}");
    }

    #[test]
    fn a_table_that_differs_between_machines_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) =
            (table(folder.path(), "t.csv", 100), table(folder.path(), "u.csv", 104));
        let said =
            refused(&IN_PAIRS, |rank| config_with(if rank < 2 { &path } else { &other }, &[]));
        assert!(
            said.iter().all(|it| it.contains("rank 2 has not the same layers, rows")),
            "{said:?}"
        );
    }

    #[test]
    fn standard_input_is_for_ranks_of_one_machine() {
        for config in [config_with("-", &[]), config_with("t.csv", &[("valid", "-")])] {
            assert!(check_input(&config, 0).is_ok());
            let said = check_input(&config, 2).unwrap_err().to_string();
            assert!(said.contains("give a file that each machine has"), "{said}");
        }
        assert!(check_input(&config_with("t.csv", &[("valid", "v.csv")]), 2).is_ok());
    }

    #[test]
    fn a_rank_that_cannot_open_the_rows_reads_them_itself_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = table(folder.path(), "t.csv", 100);
        let config = config_with(&path, &[]);
        let rows = on_ranks(&TOGETHER, |ranks| {
            let open = |place: &SharedPlace| match ranks.share().rank {
                2 => Err(Error::setting("open", "no way")),
                _ => place.open(),
            };
            let read = || config.data(None, ReadProgress::default());
            let (table, own) = read_or_open(ranks, (&config, None), (read, open)).unwrap();
            (table.data, own.has_rows_of_another(), table.notes)
        });
        let another: Vec<bool> = rows.iter().map(|it| it.1).collect();
        assert_eq!(another, [false, true, false, true]);
        let rows_of = |data: &Split| (data.train.x().to_vec(), data.train.y().clone());
        assert!(rows.iter().all(|it| rows_of(&it.0) == rows_of(&rows[0].0)));
        let told = rows[0].2.last().unwrap().to_string();
        assert!(
            told.contains("rank 2 has read the table apart") && told.contains("no way"),
            "{told}"
        );
    }
}
