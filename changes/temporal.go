package changes

import (
	"math"

	"github.com/freshet-io/freshet/connectors"
)

const (
	microsPerSecond = 1_000_000
	microsPerDay    = 86_400 * microsPerSecond
	microsPerMonth  = 2_629_800 * microsPerSecond // 365.25 days / 12

	// What the reference writes for infinite timestamps (the constants of its JDBC driver, in µs) and dates (an int32 overflow).
	infinityMicros    = 9_223_372_036_825_200_000
	negInfinityMicros = -9_223_372_036_832_400_000
	infinityDays      = -2_147_472_692
	negInfinityDays   = -2_147_472_691
)

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// days is the number that a date is written as.
func days(c connectors.Cell) int64 {
	switch v := c.Int(); v {
	case math.MaxInt64:
		return infinityDays
	case math.MinInt64:
		return negInfinityDays
	default:
		return v
	}
}

// micros is the µs that a timestamp is written as.
func micros(c connectors.Cell) int64 {
	switch v := c.Int(); v {
	case math.MaxInt64:
		return infinityMicros
	case math.MinInt64:
		return negInfinityMicros
	default:
		return v
	}
}

// nanos is µs as ns; false outside of 1677 to 2262.
func nanos(micros int64) (int64, bool) {
	if micros > math.MaxInt64/1000 || micros < math.MinInt64/1000 {
		return 0, false
	}
	return micros * 1000, true
}

// civil turns days since 1970 into a date of the proleptic Gregorian calendar; year 0 is 1 BC.
func civil(days int64) (year int64, month, day int) {
	z := days + 719468
	era := floorDiv(z, 146097)
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	year = yoe + era*400
	day, month = int(doy-(153*mp+2)/5+1), int(mp+3)
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, day
}

// DaysOf counts days since 1970-01-01 in the proleptic Gregorian calendar, year 0 being 1 BC.
func DaysOf(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era := year / 400
	if year < 0 {
		era = (year - 399) / 400
	}
	ofEra := year - era*400
	ofYear := (153*(month-3)+2)/5 + day - 1
	return era*146097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - 719468
}

func append2(dst []byte, v int) []byte { return append(dst, byte('0'+v/10), byte('0'+v%10)) }

// appendDate writes a date as ISO 8601 does: at least four digits of year, a sign before longer and negative ones.
func appendDate(dst []byte, days int64) []byte {
	year, month, day := civil(days)
	if year < 0 {
		dst = append(dst, '-')
		year = -year
	} else if year > 9999 {
		dst = append(dst, '+')
	}
	switch {
	case year > 9999:
		dst = appendInt(dst, year)
	default:
		dst = append2(append2(dst, int(year)/100), int(year)%100)
	}
	dst = append2(append(dst, '-'), month)
	return append2(append(dst, '-'), day)
}

// appendClock writes µs of a day as HH:MM:SS with digits fractional digits; as many as needed when digits is negative.
func appendClock(dst []byte, micros int64, digits int) []byte {
	s := int(micros / microsPerSecond)
	f := int(micros % microsPerSecond)
	dst = append2(dst, s/3600)
	dst = append2(append(dst, ':'), s/60%60)
	dst = append2(append(dst, ':'), s%60)
	return appendFraction(dst, f, digits)
}

func appendFraction(dst []byte, f, digits int) []byte {
	if digits == 0 || digits < 0 && f == 0 {
		return dst
	}
	dst = append(dst, '.')
	dst = append2(append2(append2(dst, f/10000), f/100%100), f%100)
	if digits < 0 {
		for dst[len(dst)-1] == '0' {
			dst = dst[:len(dst)-1]
		}
		return dst
	}
	for ; digits > 6; digits-- {
		dst = append(dst, '0')
	}
	return dst[:len(dst)-6+digits]
}

// AppendIsoDate writes a KindDate cell as text, e.g. 2024-02-29Z.
func AppendIsoDate(dst []byte, c connectors.Cell) []byte {
	return append(appendDate(dst, days(c)), 'Z')
}

// AppendIsoTime writes a KindTime cell as text, e.g. 12:34:56.1Z; 24:00 becomes 00:00.
func AppendIsoTime(dst []byte, c connectors.Cell) []byte {
	v := c.Int()
	return append(appendClock(dst, v-floorDiv(v, microsPerDay)*microsPerDay, -1), 'Z')
}

// AppendIsoTimestamp writes a KindTimestamp cell as text with the fractional digits that it needs, e.g. 2024-02-29T12:34:56.1Z.
func AppendIsoTimestamp(dst []byte, c connectors.Cell) []byte {
	return appendTimestamp(dst, micros(c), -1)
}

// AppendZonedTimestamp writes a KindTimestampTZ cell in UTC with exactly digits fractional digits (-1: six); "infinity" and
// "-infinity" as such.
func AppendZonedTimestamp(dst []byte, c connectors.Cell, digits int32) []byte {
	switch c.Int() {
	case math.MaxInt64:
		return append(dst, "infinity"...)
	case math.MinInt64:
		return append(dst, "-infinity"...)
	}
	if digits < 0 {
		digits = 6
	}
	return appendTimestamp(dst, c.Int(), int(digits))
}

func appendTimestamp(dst []byte, micros int64, digits int) []byte {
	d := floorDiv(micros, microsPerDay)
	dst = append(appendDate(dst, d), 'T')
	return append(appendClock(dst, micros-d*microsPerDay, digits), 'Z')
}

// AppendZonedTime writes a KindTimeTZ cell in UTC with the fractional digits that it needs, e.g. 10:34:56.12Z.
func AppendZonedTime(dst []byte, c connectors.Cell) []byte {
	v := c.Int() - int64(c.Offset())*microsPerSecond
	return append(appendClock(dst, v-floorDiv(v, microsPerDay)*microsPerDay, -1), 'Z')
}

// duration is an interval in µs: a month is 365.25/12 days. It reports false for one that 64 bits cannot hold (292,000 years),
// and for the infinite ones of PostgreSQL 17.
func duration(months, days int32, micros int64) (int64, bool) {
	if sum := float64(months)*float64(microsPerMonth) + float64(days)*float64(microsPerDay) + float64(micros); sum >= 1<<63 || sum < -1<<63 {
		return 0, false
	}
	return int64(months)*microsPerMonth + int64(days)*microsPerDay + micros, true
}

// AppendInterval writes an interval as P1Y2M3DT4H5M6.789S, every part always there.
func AppendInterval(dst []byte, months, days int32, micros int64) []byte {
	dst = appendInt(append(dst, 'P'), int64(months/12))
	dst = appendInt(append(dst, 'Y'), int64(months%12))
	dst = appendInt(append(dst, 'M'), int64(days))
	dst = append(dst, 'D', 'T')
	dst = appendInt(dst, micros/(3600*microsPerSecond))
	dst = appendInt(append(dst, 'H'), micros/(60*microsPerSecond)%60)
	dst = append(dst, 'M')
	rest := micros % (60 * microsPerSecond)
	if rest < 0 {
		dst = append(dst, '-')
		rest = -rest
	}
	dst = appendInt(dst, rest/microsPerSecond)
	return append(appendFraction(dst, int(rest%microsPerSecond), -1), 'S')
}

// AppendJavaDate writes ms since 1970 in UTC as yyyy-MM-dd, HH:mm:ss.SSSZ or both with a T between.
func AppendJavaDate(dst []byte, millis int64, date, clock bool) []byte {
	d := floorDiv(millis, microsPerDay/1000)
	if date {
		dst = appendDate(dst, d)
	}
	if date && clock {
		dst = append(dst, 'T')
	}
	if clock {
		dst = append(appendClock(dst, (millis*1000)-d*microsPerDay, 3), 'Z')
	}
	return dst
}

// AppendJavaToString writes ms since 1970 as java.util.Date.toString does in UTC, e.g. Fri Mar 01 00:00:00 UTC 2024.
func AppendJavaToString(dst []byte, millis int64) []byte {
	d := floorDiv(millis, microsPerDay/1000)
	year, month, day := civil(d)
	weekday := d + 4 - floorDiv(d+4, 7)*7
	dst = append(dst, "SunMonTueWedThuFriSat"[3*weekday:3*weekday+3]...)
	dst = append(append(dst, ' '), "JanFebMarAprMayJunJulAugSepOctNovDec"[3*month-3:3*month]...)
	dst = append(append2(append(dst, ' '), day), ' ')
	dst = appendClock(dst, millis*1000-d*microsPerDay, 0)
	return appendInt(append(dst, " UTC "...), year)
}
