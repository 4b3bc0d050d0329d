//! Threads, where the host starts any: a browser's WebAssembly has one thread.

use std::convert::Infallible;
use std::ops::Range;

/// Returns true if threads can be started; without them, work that threads would share is done by the caller, with the same results.
/// Inlined, so that a browser's program has no code for threads.
#[inline(always)]
pub(crate) fn are_there() -> bool {
    #[cfg(test)]
    if ALONE.get() {
        return false;
    }
    !cfg!(target_family = "wasm")
}

/// Runs two halves, at once if there are threads.
pub(crate) fn join<A: Send, B: Send>(
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    if are_there() { rayon::join(one, other) } else { (one(), other()) }
}

/// Returns the number of threads that share work.
pub(crate) fn count() -> usize {
    if are_there() { rayon::current_num_threads() } else { 1 }
}

/// Runs work on parts of at most `most` rows, at once if there are threads: each part gets the range of its rows, and their places
/// in the output, which has `width` of them for each row.
///
/// # Errors
/// The error of the first part that has one.
pub(crate) fn in_parts<T: Send, E: Send>(
    rows: Range<usize>,
    (out, width): (&mut [T], usize),
    most: usize,
    work: &(impl Fn(Range<usize>, &mut [T]) -> Result<(), E> + Sync),
) -> Result<(), E> {
    let most = most.max(1);
    if rows.len() <= most {
        return work(rows, out);
    }
    // Only the last part is smaller.
    let middle = rows.start + rows.len().div_ceil(most) / 2 * most;
    let (first, last) = out.split_at_mut((middle - rows.start) * width);
    let (one, other) = join(
        || in_parts(rows.start..middle, (first, width), most, work),
        || in_parts(middle..rows.end, (last, width), most, work),
    );
    one.and(other)
}

/// Computes each row `[_, wide]` of a result from a row `[_, width]`, at once on parts of at most `most` rows if there are threads. No
/// result depends on the parts.
pub(crate) fn by_rows<A: Sync, B: Send>(
    (from, width): (&[A], usize),
    (to, wide): (&mut [B], usize),
    most: usize,
    row: impl Fn(&[A], &mut [B]) + Sync,
) {
    let part = |rows: Range<usize>, to: &mut [B]| {
        let from = from[rows.start * width..rows.end * width].chunks_exact(width);
        from.zip(to.chunks_exact_mut(wide)).for_each(|(from, to)| row(from, to));
        Ok::<(), Infallible>(())
    };
    let Ok(()) = in_parts(0..from.len() / width, (to, wide), most, &part);
}

#[cfg(test)]
thread_local! {
    static ALONE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs a test's work on this thread as on a host that starts no threads.
#[cfg(test)]
pub(crate) fn without<R>(work: impl FnOnce() -> R) -> R {
    ALONE.set(true);
    let result = work();
    ALONE.set(false);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_and_come_once() {
        for (rows, most) in [(0, 4), (1, 4), (4, 4), (9, 4), (103, 10), (7, 0)] {
            let work = |rows: Range<usize>, out: &mut [usize]| {
                assert_eq!(out.len(), 2 * rows.len());
                assert!(rows.len() <= most.max(1) && rows.start.is_multiple_of(most.max(1)));
                for (row, out) in rows.zip(out.chunks_exact_mut(2)) {
                    out[0] += row;
                    out[1] += 1;
                }
                Ok::<(), usize>(())
            };
            let got = [true, false].map(|shared| {
                let mut out = vec![0; 2 * rows];
                let mut run = || in_parts(0..rows, (&mut out, 2), most, &work);
                if shared { run() } else { without(run) }.unwrap();
                out
            });
            let want: Vec<usize> = (0..rows).flat_map(|row| [row, 1]).collect();
            assert_eq!(got, [want.clone(), want], "{rows} rows, {most}");
        }
    }

    #[test]
    fn the_error_of_the_first_part_is_told() {
        let work = |rows: Range<usize>, _: &mut [()]| match rows.start {
            0 => Ok(()),
            first => Err(first),
        };
        assert_eq!(in_parts(0..50, (&mut [], 0), 10, &work), Err(10));
    }
}
