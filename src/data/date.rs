//! Dates and times as numbers.
//!
//! In: the text of a cell, in ISO 8601 or in a format of the user's. Out: days since 1970-01-01, and from these the parts of a date.
//! Absent on purpose: time zones as places; an offset from UTC is taken into account.

use serde::{Deserialize, Serialize};

/// Part of a date that may be an input of a network, in the order of the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatePart {
    /// Year.
    Year,
    /// Month, from 1.
    Month,
    /// Day of the month, from 1.
    Day,
    /// Day of the week, from 0 for Monday.
    Weekday,
    /// Day of the year, from 1.
    DayOfYear,
    /// Hour.
    Hour,
    /// Minute.
    Minute,
    /// Days since 1970-01-01 with their fraction.
    Elapsed,
}

impl DatePart {
    /// All parts, in their order.
    pub const ALL: [Self; 8] = [
        Self::Year,
        Self::Month,
        Self::Day,
        Self::Weekday,
        Self::DayOfYear,
        Self::Hour,
        Self::Minute,
        Self::Elapsed,
    ];

    /// Parts that are inputs unless others are asked for: those that repeat, and the days, of which year, month and day are functions.
    pub const USUAL: [Self; 5] =
        [Self::Weekday, Self::DayOfYear, Self::Hour, Self::Minute, Self::Elapsed];

    /// Returns the name that options use.
    pub fn name(self) -> &'static str {
        match self {
            Self::DayOfYear => "day-of-year",
            Self::Elapsed => "elapsed",
            other => PARTS[other as usize],
        }
    }

    /// Returns true for a part of the time of day alone.
    pub(super) fn is_of_time(self) -> bool {
        matches!(self, Self::Hour | Self::Minute)
    }
}

/// Names of the parts in names of inputs.
pub(super) const PARTS: [&str; 8] =
    ["year", "month", "day", "weekday", "day of year", "hour", "minute", "days"];
/// Place of the days since 1970-01-01 among the parts.
pub(super) const ELAPSED: usize = 7;
const DAY_SECONDS: f64 = 86_400.0;
/// English names of the months; the first three letters are the short ones.
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// Letters of a short name of a month.
const SHORT: usize = 3;

/// Reads a trimmed cell. Returns the days since 1970-01-01, and whether the cell tells the time of day.
pub(super) fn parse(text: &str, format: Option<&str>) -> Option<(f64, bool)> {
    match format {
        Some(format) => by_format(text, format),
        None => iso(text),
    }
}

/// Returns the parts that [`PARTS`] names; weekdays count from Monday, 0.
pub(super) fn parts(days: f64) -> [f64; 8] {
    // Rounded to milliseconds, since a fraction of a day such as 10:20 has no exact f64.
    let seconds = (days * DAY_SECONDS * 1000.0).round() / 1000.0;
    let day = (seconds / DAY_SECONDS).floor();
    let rest = seconds - day * DAY_SECONDS;
    #[expect(clippy::cast_possible_truncation, reason = "years have at most four digits")]
    let whole = day as i64;
    let (year, month, date) = civil(whole);
    let weekday = (whole + 3).rem_euclid(7);
    let of_year = whole - days_of(year, 1, 1) + 1;
    let (hour, minute) = ((rest / 3600.0).floor(), (rest % 3600.0 / 60.0).floor());
    [year as f64, month as f64, date as f64, weekday as f64, of_year as f64, hour, minute, days]
}

/// Returns days since 1970-01-01 that have these parts, the first ones from the year 2000 on where no year is known; `None` for means of
/// parts.
pub(super) fn with_parts(known: [Option<f64>; 8]) -> Option<f64> {
    if let Some(days) = known[ELAPSED] {
        return Some(days);
    }
    // Means stand in for a gap, which is no date.
    if known.iter().flatten().any(|part| part.fract() != 0.0) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "parts are small whole numbers")]
    let whole = known.map(|part| part.map(|part| part as i64));
    let [year, month, day, weekday, of_year, ..] = whole;
    // The calendar repeats itself after 400 years.
    let years = year.map_or(2000..2400, |year| year..year + 1);
    let time = known[5].unwrap_or(0.0) / 24.0 + known[6].unwrap_or(0.0) / 1440.0;
    let fits = |days: &i64| {
        let found = parts(*days as f64);
        let same =
            |part: Option<i64>, place: usize| part.is_none_or(|it| it as f64 == found[place]);
        same(year, 0) && same(month, 1) && same(day, 2) && same(weekday, 3) && same(of_year, 4)
    };
    for year in years {
        let begin = days_of(year, 1, 1);
        let all = match (of_year, month) {
            (Some(of_year), _) => begin + of_year - 1..begin + of_year,
            (None, Some(month)) => days_of(year, month, 1)..days_of(year, month, 1) + 31,
            (None, None) => begin..begin + 366,
        };
        if let Some(days) = all.into_iter().find(fits) {
            return Some(days as f64 + time);
        }
    }
    None
}

/// Days since 1970-01-01 of a date of the Gregorian calendar, which is continued backwards.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that a leap day is the last one.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
pub(super) fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let years = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * years + years / 4 - years / 100);
    let months = (5 * of_year + 2) / 153;
    let day = of_year - (153 * months + 2) / 5 + 1;
    let month = if months < 10 { months + 3 } else { months - 9 };
    (years + era * 400 + i64::from(month <= 2), month, day)
}

/// Days of a date and a time of day, if both exist.
fn days(date: [i64; 3], time: [f64; 3]) -> Option<f64> {
    let ([year, month, day], [hour, minute, second]) = (date, time);
    let exists = (1..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let within = hour < 24.0 && minute < 60.0 && second < 61.0;
    if !exists || !within || civil(days_of(year, month, day)) != (year, month, day) {
        return None;
    }
    let seconds = hour * 3600.0 + minute * 60.0 + second;
    Some(days_of(year, month, day) as f64 + seconds / DAY_SECONDS)
}

/// Writes a date as [`parse`] reads it.
pub(super) fn text(days: f64, format: Option<&str>, timed: bool) -> String {
    let [year, month, day, _, _, hour, minute, _] = parts(days);
    let midnight = days_of(year as i64, month as i64, day as i64) as f64;
    let seconds = ((days - midnight) * DAY_SECONDS * 1000.0).round() / 1000.0;
    let second = seconds - hour * 3600.0 - minute * 60.0;
    let second =
        if second.fract() == 0.0 { format!("{second:02}") } else { format!("{second:06.3}") };
    let Some(format) = format else {
        let date = format!("{year:04}-{month:02}-{day:02}");
        return if timed { format!("{date}T{hour:02}:{minute:02}:{second}") } else { date };
    };
    let name = MONTHS[(month as usize).saturating_sub(1).min(11)];
    let pieces = [
        ("%Y", format!("{year:04}")),
        ("%B", name.to_string()),
        ("%b", name[..SHORT].to_string()),
        ("%m", format!("{month:02}")),
        ("%d", format!("{day:02}")),
        ("%H", format!("{hour:02}")),
        ("%I", format!("{:02}", (hour + 11.0) % 12.0 + 1.0)),
        ("%p", if hour < 12.0 { "AM" } else { "PM" }.to_string()),
        ("%M", format!("{minute:02}")),
        ("%S", second),
        ("%%", "%".to_string()),
    ];
    pieces.iter().fold(format.to_owned(), |text, (mark, piece)| text.replace(mark, piece))
}

/// A text that is read from its beginning.
struct Scanner<'a>(&'a str);

impl Scanner<'_> {
    /// Takes a number of `least` to `most` digits.
    fn digits(&mut self, least: usize, most: usize) -> Option<i64> {
        let count = self.0.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if count < least {
            return None;
        }
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        digits.parse().ok()
    }

    /// Takes the English name of a month, short or whole, in letters of either case. Returns its number, from 1.
    fn month(&mut self) -> Option<i64> {
        let count = self.0.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (name, rest) = self.0.split_at(count);
        let is_it = |month: &str| {
            name.eq_ignore_ascii_case(month) || name.eq_ignore_ascii_case(&month[..SHORT])
        };
        let month = MONTHS.iter().position(|month| is_it(month))?;
        self.0 = rest;
        Some(month as i64 + 1)
    }

    /// Takes one of these letters.
    fn letter(&mut self, among: &[char]) -> Option<char> {
        let letter = self.0.chars().next().filter(|letter| among.contains(letter))?;
        self.0 = &self.0[letter.len_utf8()..];
        Some(letter)
    }

    /// Takes seconds with their fraction.
    fn seconds(&mut self) -> Option<f64> {
        let whole = self.digits(2, 2)? as f64;
        if self.letter(&['.', ',']).is_none() {
            return Some(whole);
        }
        let count = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        format!("0.{digits}").parse::<f64>().ok().map(|fraction| whole + fraction)
    }
}

/// Returns true if a time in ISO 8601 says how far it is from UTC.
pub(super) fn has_zone(text: &str) -> bool {
    let behind_date = text.get(10..).unwrap_or_default();
    text.ends_with(['Z', 'C']) || behind_date.contains(['+', '-'])
}

/// Reads `2026-11-28`, with or without a time such as `T10:20`, `10:20:30.5`, `Z`, ` UTC` or `+01:00`; slashes may stand for hyphens.
fn iso(text: &str) -> Option<(f64, bool)> {
    let mut scan = Scanner(text);
    let year = scan.digits(4, 4)?;
    let between = scan.letter(&['-', '/'])?;
    let month = scan.digits(1, 2)?;
    scan.letter(&[between])?;
    let date = [year, month, scan.digits(1, 2)?];
    if scan.0.is_empty() {
        return Some((days(date, [0.0; 3])?, false));
    }
    scan.letter(&['T', ' '])?;
    let hour = scan.digits(2, 2)? as f64;
    scan.letter(&[':'])?;
    let minute = scan.digits(2, 2)? as f64;
    let second = if scan.letter(&[':']).is_some() { scan.seconds()? } else { 0.0 };
    let local = days(date, [hour, minute, second])?;
    if matches!(scan.0, "" | "Z" | " UTC" | "UTC") {
        return Some((local, true));
    }
    let sign = if scan.letter(&['+', '-'])? == '-' { -1.0 } else { 1.0 };
    let hours = scan.digits(2, 2)? as f64;
    let _ = scan.letter(&[':']);
    let minutes = if scan.0.is_empty() { 0.0 } else { scan.digits(2, 2)? as f64 };
    if hours >= 24.0 || minutes >= 60.0 {
        return None;
    }
    let offset = sign * (hours * 60.0 + minutes) / 1440.0;
    scan.0.is_empty().then_some((local - offset, true))
}

/// Reads a text as a format says: `%Y`, `%m`, `%b` or `%B` for the name of a month, `%d`, `%H`, `%M`, `%S`,
/// `%I` and `%p` for an hour of half a day with AM or PM, and all else as it stands.
fn by_format(text: &str, format: &str) -> Option<(f64, bool)> {
    let mut scan = Scanner(text);
    let (mut date, mut time, mut timed) = ([0, 1, 1], [0.0; 3], false);
    let (mut of_half, mut is_later) = (false, None);
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            scan.letter(&[letter])?;
            continue;
        }
        match letters.next()? {
            'Y' => date[0] = scan.digits(4, 4)?,
            'm' => date[1] = scan.digits(1, 2)?,
            'b' | 'B' => date[1] = scan.month()?,
            'd' => date[2] = scan.digits(1, 2)?,
            'H' => (time[0], timed) = (scan.digits(1, 2)? as f64, true),
            'I' => {
                let hour = scan.digits(1, 2).filter(|hour| (1..=12).contains(hour))?;
                (time[0], timed, of_half) = ((hour % 12) as f64, true, true);
            }
            'p' => {
                is_later = Some(scan.letter(&['P', 'p', 'A', 'a'])?.eq_ignore_ascii_case(&'p'));
                scan.letter(&['M', 'm'])?;
            }
            'M' => (time[1], timed) = (scan.digits(1, 2)? as f64, true),
            'S' => (time[2], timed) = (scan.seconds()?, true),
            other => _ = scan.letter(&[other])?,
        }
    }
    if of_half {
        time[0] += if is_later? { 12.0 } else { 0.0 };
    }
    scan.0.is_empty().then_some((days(date, time)?, timed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_since_1970_and_have_parts() {
        let parsed = |text: &str| parse(text, None);
        assert_eq!(parsed("1970-01-01"), Some((0.0, false)));
        assert_eq!(parsed("1970-01-02T12:00"), Some((1.5, true)));
        assert_eq!(parsed("1970-01-02 12:00:00+12:00"), Some((1.0, true)));
        assert_eq!(parsed("1969-12-31T18:00:00.000Z"), Some((-0.25, true)));
        assert_eq!(parsed("2026/11/28"), Some((20_785.0, false)));
        assert_eq!(parse("28.11.2026 10:20", Some("%d.%m.%Y %H:%M")).map(|it| it.1), Some(true));
        assert_eq!(parse("28.11.2026", Some("%d.%m.%Y")), Some((20_785.0, false)));
        assert_eq!(parsed("1970-01-02 12:00:00 UTC"), Some((1.5, true)));
        for (text, days) in [
            ("12:30 AM", 0.5 / 24.0),
            ("12:30 pm", 12.5 / 24.0),
            ("6:00 PM", 0.75),
            ("11:00 am", 11.0 / 24.0),
        ] {
            let (format, cell) = ("%m/%d/%Y %I:%M %p", format!("1/1/1970 {text}"));
            assert_eq!(parse(&cell, Some(format)), Some((days, true)), "{text}");
            let again = super::text(days, Some(format), true);
            assert_eq!(parse(&again, Some(format)), Some((days, true)), "{again}");
        }
        for text in ["1/1/1970 13:00 PM", "1/1/1970 0:30 AM", "1/1/1970 6:00", "1/1/1970 6:00 XM"] {
            assert_eq!(parse(text, Some("%m/%d/%Y %I:%M %p")), None, "{text}");
        }
        for (text, format) in [
            ("28 Nov 2026", "%d %b %Y"),
            ("28-NOV-2026", "%d-%b-%Y"),
            ("28 November 2026", "%d %b %Y"),
            ("November 28, 2026", "%B %d, %Y"),
        ] {
            assert_eq!(parse(text, Some(format)), Some((20_785.0, false)), "{text}");
        }
        for text in ["28 Now 2026", "28 Novem 2026", "28  2026", "31 Nov 2026"] {
            assert_eq!(parse(text, Some("%d %b %Y")), None, "{text}");
        }
        for bad in [
            "",
            "2026",
            "2026-13-01",
            "2025-02-29",
            "2026-01-01T25:00",
            "2026-01-01T10:00+25:00",
            "2026-01-01T10:00-01:60",
            "2026-01-01x",
            "12-01-2026",
        ] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
        // A Saturday.
        assert_eq!(parts(20_785.0), [2026.0, 11.0, 28.0, 5.0, 332.0, 0.0, 0.0, 20_785.0]);
        let (days, _) = parsed("2024-02-29T23:59:59").unwrap();
        assert_eq!(parts(days)[..7], [2024.0, 2.0, 29.0, 3.0, 60.0, 23.0, 59.0]);
        assert_eq!(parts(parsed("1900-03-01 10:20").unwrap().0)[..3], [1900.0, 3.0, 1.0]);
        assert_eq!(parts(parsed("1900-03-01 10:20").unwrap().0)[5..7], [10.0, 20.0]);
        #[cfg(feature = "cli")]
        for (written, format) in [
            ("2024-02-29T23:59:59", None),
            ("29.2.2024", Some("%d.%m.%Y")),
            ("29 Feb 2024", Some("%d %b %Y")),
            ("December 1, 2024", Some("%B %d, %Y")),
        ] {
            let (days, timed) = parse(written, format).unwrap();
            let again = text(days, format, timed);
            assert_eq!(parse(&again, format), Some((days, timed)), "{again}");
        }
        #[cfg(feature = "cli")]
        for text in ["2024-02-29T23:59", "2019-12-31", "1987-07-05T10:20"] {
            let all = parts(parsed(text).unwrap().0);
            // Any parts of a date are those of some date.
            for chosen in 1_u32..256 {
                let known = std::array::from_fn(|at| (chosen >> at & 1 == 1).then_some(all[at]));
                let found = parts(with_parts(known).unwrap());
                for at in (0..8).filter(|&at| known[at].is_some()) {
                    assert_eq!(found[at], all[at], "{text} {known:?}");
                }
            }
        }
        for day in -800_000..800_000 {
            let (year, month, date) = civil(day);
            assert_eq!(days_of(year, month, date), day);
        }
    }
}
