package postgres

import (
	"math"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// Microseconds.
const (
	microsSecond = int64(1_000_000)
	microsMinute = 60 * microsSecond
	microsHour   = 60 * microsMinute
	microsDay    = 24 * microsHour
)

// appendTemporal decodes the date and time types in DateStyle ISO and IntervalStyle postgres.
func appendTemporal(w *connectors.Builder, o op, text []byte) error {
	switch o {
	case opDate:
		n, ok := parseDate(text)
		if !ok {
			return malformed("date")
		}
		w.Temporal(connectors.KindDate, n)
	case opTime:
		micros, rest, ok := parseClock(text)
		if !ok || len(rest) != 0 {
			return malformed("time")
		}
		w.Temporal(connectors.KindTime, micros)
	case opTimeTZ:
		micros, rest, ok := parseClock(text)
		if !ok {
			return malformed("time with time zone")
		}
		zone, rest, ok := parseZone(rest)
		if !ok || len(rest) != 0 {
			return malformed("time with time zone")
		}
		w.TimeTZ(micros, zone)
	case opTimestamp:
		micros, ok := parseTimestamp(text, false)
		if !ok {
			return errTimestamp
		}
		w.Temporal(connectors.KindTimestamp, micros)
	case opTimestampTZ:
		micros, ok := parseTimestamp(text, true)
		if !ok {
			return errTimestamp
		}
		w.Temporal(connectors.KindTimestampTZ, micros)
	case opInterval:
		months, days, micros, ok := parseInterval(text)
		if !ok {
			return malformed("interval")
		}
		w.Interval(months, days, micros)
	default:
		return malformed("value of an unknown kind")
	}
	return nil
}

// parseInfinity returns MaxInt64 and MinInt64 for infinity and -infinity.
func parseInfinity(text []byte) (int64, bool) {
	switch string(text) {
	case "infinity":
		return math.MaxInt64, true
	case "-infinity":
		return math.MinInt64, true
	}
	return 0, false
}

// cutBC removes the mark of a year before Christ.
func cutBC(text []byte) ([]byte, bool) {
	if n := len(text) - 3; n > 0 && text[n] == ' ' && text[n+1] == 'B' && text[n+2] == 'C' {
		return text[:n], true
	}
	return text, false
}

// parseDate returns days since 1970-01-01 in the proleptic Gregorian calendar.
func parseDate(text []byte) (int64, bool) {
	if n, ok := parseInfinity(text); ok {
		return n, true
	}
	text, bc := cutBC(text)
	days, rest, ok := parseDay(text, bc)
	return days, ok && len(rest) == 0
}

// parseDay reads year-month-day; the year has four digits or more.
func parseDay(text []byte, bc bool) (days int64, rest []byte, ok bool) {
	year, at := int64(0), 0
	for at < len(text) && at < 7 && text[at]-'0' <= 9 {
		year = year*10 + int64(text[at]-'0')
		at++
	}
	if at < 4 || len(text) < at+6 || text[at] != '-' || text[at+3] != '-' || year == 0 {
		return 0, nil, false
	}
	month, ok1 := two(text[at+1:])
	day, ok2 := two(text[at+4:])
	if !ok1 || !ok2 || month < 1 || month > 12 || day < 1 || day > 31 {
		return 0, nil, false
	}
	if bc {
		year = 1 - year
	}
	return changes.DaysOf(year, month, day), text[at+6:], true
}

// two reads two digits.
func two(text []byte) (int64, bool) {
	if len(text) < 2 {
		return 0, false
	}
	a, b := text[0]-'0', text[1]-'0'
	return int64(a)*10 + int64(b), a <= 9 && b <= 9
}

// parseClock reads hh:mm:ss[.ffffff] with two digits or more for the hours.
func parseClock(text []byte) (micros int64, rest []byte, ok bool) {
	hours, at := int64(0), 0
	for at < len(text) && at < 12 && text[at]-'0' <= 9 {
		hours = hours*10 + int64(text[at]-'0')
		at++
	}
	if at < 2 || len(text) < at+6 || text[at] != ':' || text[at+3] != ':' {
		return 0, nil, false
	}
	minutes, ok1 := two(text[at+1:])
	seconds, ok2 := two(text[at+4:])
	if !ok1 || !ok2 || minutes > 59 || seconds > 60 || hours > 2562047788 {
		return 0, nil, false
	}
	micros = hours*microsHour + minutes*microsMinute + seconds*microsSecond
	fraction, rest, ok := parseFraction(text[at+6:])
	return micros + fraction, rest, ok
}

// parseFraction reads up to six digits after a point, as microseconds.
func parseFraction(text []byte) (micros int64, rest []byte, ok bool) {
	if len(text) == 0 || text[0] != '.' {
		return 0, text, true
	}
	at := 1
	for at < len(text) && at < 8 && text[at]-'0' <= 9 {
		micros = micros*10 + int64(text[at]-'0')
		at++
	}
	if at == 1 || at == 8 {
		return 0, nil, false
	}
	for range 7 - at {
		micros *= 10
	}
	return micros, text[at:], true
}

// parseZone reads +hh[:mm[:ss]] as seconds east of UTC.
func parseZone(text []byte) (seconds int32, rest []byte, ok bool) {
	if len(text) < 3 || text[0] != '+' && text[0] != '-' {
		return 0, nil, false
	}
	negative := text[0] == '-'
	text = text[1:]
	unit, total := int64(3600), int64(0)
	for i := range 3 {
		if i > 0 {
			if len(text) == 0 || text[0] != ':' {
				break
			}
			text = text[1:]
		}
		n, ok := two(text)
		if !ok {
			return 0, nil, false
		}
		total += n * unit
		unit /= 60
		text = text[2:]
	}
	if negative {
		total = -total
	}
	return int32(total), text, true
}

// parseTimestamp returns µs since 1970; with a zone, in UTC.
func parseTimestamp(text []byte, zoned bool) (int64, bool) {
	if n, ok := parseInfinity(text); ok {
		return n, true
	}
	text, bc := cutBC(text)
	days, rest, ok := parseDay(text, bc)
	if !ok || len(rest) == 0 || rest[0] != ' ' {
		return 0, false
	}
	micros, rest, ok := parseClock(rest[1:])
	if !ok {
		return 0, false
	}
	if zoned {
		var zone int32
		if zone, rest, ok = parseZone(rest); !ok {
			return 0, false
		}
		micros -= int64(zone) * microsSecond
	}
	const most = math.MaxInt64/microsDay - 1
	if len(rest) != 0 || days > most || days < -most {
		return 0, false
	}
	return days*microsDay + micros, true
}

// parseInterval reads IntervalStyle postgres: 1 year -2 mons +3 days -04:05:06.789. PostgreSQL 17 has infinite ones,
// which it stores as the extremes of all three parts.
func parseInterval(text []byte) (months, days int32, micros int64, ok bool) {
	if n, infinite := parseInfinity(text); infinite {
		if n > 0 {
			return math.MaxInt32, math.MaxInt32, math.MaxInt64, true
		}
		return math.MinInt32, math.MinInt32, math.MinInt64, true
	}
	var m, d int64
	parts := 0
	for ; len(text) > 0; parts++ {
		negative := text[0] == '-'
		if negative || text[0] == '+' {
			text = text[1:]
		}
		at := 0
		for at < len(text) && text[at]-'0' <= 9 {
			at++
		}
		if at < len(text) && text[at] == ':' {
			if micros, text, ok = parseClock(text); !ok || len(text) != 0 {
				return 0, 0, 0, false
			}
			if negative {
				micros = -micros
			}
			continue
		}
		n, good := parseInt(text[:at])
		if !good || n > math.MaxInt32+1 || at == len(text) {
			return 0, 0, 0, false
		}
		if negative {
			n = -n
		}
		var unit []byte
		unit, text = word(text[at+1:])
		switch string(unit) {
		case "year", "years":
			m += n * 12
		case "mon", "mons":
			m += n
		case "day", "days":
			d += n
		default:
			return 0, 0, 0, false
		}
	}
	if parts == 0 || m != int64(int32(m)) || d != int64(int32(d)) {
		return 0, 0, 0, false
	}
	return int32(m), int32(d), micros, true
}

// word cuts text at its first space.
func word(text []byte) (first, rest []byte) {
	for i, b := range text {
		if b == ' ' {
			return text[:i], text[i+1:]
		}
	}
	return text, nil
}
