//! Points in time in HTTP fields (RFC 9110 sections 5.6.7 and 10.2.3).

use super::Response;

/// How long the response asks to wait, in milliseconds.
///
/// A date is taken relative to the response's own Date, so that this machine's clock does not matter; without
/// one it says nothing.
pub(crate) fn retry_after_ms(response: &Response) -> Option<u64> {
    let value = response.field("retry-after")?.trim_matches([' ', '\t']);
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(
            value
                .parse::<u64>()
                .unwrap_or(u64::MAX)
                .saturating_mul(1000),
        );
    }
    let until = seconds(value)?;
    let sent = seconds(response.field("date")?)?;
    Some(until.saturating_sub(sent).saturating_mul(1000))
}

/// Seconds since 1970 of an HTTP date in any of its three forms; a date before 1970 is none.
fn seconds(date: &str) -> Option<u64> {
    let mut words = date.split([' ', ',', '-']).filter(|word| !word.is_empty());
    let weekday = words.next()?;
    if !weekday.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    let second = words.next()?;
    // asctime puts the month first, and the year last.
    let (day, month, time, year) = if second.as_bytes().first()?.is_ascii_digit() {
        let (month, year, time) = (words.next()?, words.next()?, words.next()?);
        if words.next()? != "GMT" {
            return None;
        }
        (second, month, time, year)
    } else {
        let (day, time, year) = (words.next()?, words.next()?, words.next()?);
        (day, second, time, year)
    };
    if words.next().is_some() {
        return None;
    }
    let year = match (year.len(), number(year)?) {
        // RFC 850's two digits, as POSIX reads them.
        (2, year) if year < 69 => 2000 + year,
        (2, year) => 1900 + year,
        (4, year) => year,
        _ => return None,
    };
    let days = days(year, self::month(month)?, number(day)?)?;
    let mut clock = time
        .split(':')
        .map(|part| (part.len() == 2).then(|| number(part)).flatten());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if clock.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

fn number(digits: &str) -> Option<u64> {
    let plain = digits.len() <= 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

fn month(name: &str) -> Option<u64> {
    const NAMES: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    NAMES
        .iter()
        .position(|known| *known == name)
        .map(|at| at as u64 + 1)
}

/// Days since 1970-01-01.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if year < 1970 || day == 0 || day > length {
        return None;
    }
    // Counting years from March puts the leap day at the end of a year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let before_year = year * 365 + year / 4 - year / 100 + year / 400;
    let since_march = (153 * month + 2) / 5 + day - 1;
    (before_year + since_march).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_a_date_are_one_point_in_time() {
        for (date, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Tue, 29 Feb 2000 23:59:60 GMT", Some(951_868_800)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799)),
            ("Mon, 23 Nov 2026 02:40:02 GMT", Some(1_795_401_602)),
            ("Wed, 29 Feb 2023 00:00:00 GMT", None),
            ("Sun, 00 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 24:49:37 GMT", None),
            ("Sun, 06 Nov 1994 8:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Wed, 31 Dec 1969 23:59:59 GMT", None),
            ("06 Nov 1994 08:49:37 GMT", None),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(seconds(date), expected, "{date}");
        }
    }

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date_beside_the_answers_own() {
        let now = Some("Mon, 23 Nov 2026 02:40:02 GMT");
        for (retry_after, date, expected) in [
            ("120", None, Some(120_000)),
            (" 0 ", None, Some(0)),
            ("99999999999999999999999", None, Some(u64::MAX)),
            ("Mon, 23 Nov 2026 02:41:02 GMT", now, Some(60_000)),
            ("Mon, 23 Nov 2026 02:39:02 GMT", now, Some(0)),
            ("Mon, 23 Nov 2026 02:41:02 GMT", None, None),
            ("-1", now, None),
            ("1.5", now, None),
            ("", now, None),
        ] {
            let mut headers = alloc::vec![("Retry-After".into(), retry_after.into())];
            headers.extend(date.map(|date| ("Date".into(), date.into())));
            let response = Response {
                status: 503,
                headers,
                ..Response::default()
            };
            assert_eq!(retry_after_ms(&response), expected, "{retry_after}");
        }
    }
}
