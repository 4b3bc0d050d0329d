//! Use of host and device over some time, for those who look for waiting.

/// Counts of a device over some time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Seconds that these counts are over.
    pub seconds: f64,
    /// Submissions that ran steps.
    pub submissions: u64,
    /// Dispatches in them.
    pub dispatches: u64,
    /// Seconds in which the host made commands of them.
    pub encode_seconds: f64,
    /// Seconds in which the host handed them over to the driver.
    pub submit_seconds: f64,
    /// Times that the host wrote to the device.
    pub uploads: u64,
    /// Bytes that it wrote.
    pub uploaded_bytes: u64,
    /// Times that the host read from the device, losses that come with a submission included.
    pub reads: u64,
    /// Bytes that it read.
    pub read_bytes: u64,
    /// Seconds in which the device ran steps, of submissions known to be done.
    pub busy_seconds: f64,
    /// True if that is by the device's own clock. Otherwise it is the time from a submission, or the end of the one before,
    /// until the host learnt of its end: at least what it really is.
    pub by_timestamps: bool,
}
