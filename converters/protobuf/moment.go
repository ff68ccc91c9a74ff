package protobuf

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/schemas"
)

const (
	millisADay  = 86_400_000
	firstSecond = -62_135_596_800 // 0001-01-01
	lastSecond  = 253_402_300_799 // 9999-12-31
	gregorian   = -141_427        // 1582-10-15, the first day of the Gregorian calendar in Java's
)

func scaleOf(s *schemas.Schema) int32 {
	n, err := strconv.ParseInt(s.Parameter(paramScale), 10, 32)
	if err != nil {
		return 0
	}
	return int32(n)
}

func appendField(dst []byte, number byte, v int64) []byte {
	if v == 0 {
		return dst
	}
	return appendVarint(append(dst, number<<3), uint64(v))
}

// appendDecimal writes the content of a confluent.type.Decimal: the unscaled value, how many digits it has, and the scale.
func appendDecimal(dst, unscaled []byte, scale int32) ([]byte, error) {
	if len(unscaled) == 0 {
		return dst, errors.New("a decimal has no bytes")
	}
	unscaled = shortest(unscaled)
	dst = append(appendVarint(append(dst, 1<<3|2), uint64(len(unscaled))), unscaled...)
	return appendField(appendField(dst, 2, digits(unscaled)), 3, int64(scale)), nil
}

// digits counts those of an unscaled value, without its sign.
func digits(unscaled []byte) int64 {
	if len(unscaled) > 8 {
		text := changes.AppendDecimal(make([]byte, 0, 3*len(unscaled)), unscaled, 0)
		if text[0] == '-' {
			return int64(len(text) - 1)
		}
		return int64(len(text))
	}
	v := int64(int8(unscaled[0]))
	for _, c := range unscaled[1:] {
		v = v<<8 | int64(c)
	}
	u := uint64(v)
	if v < 0 {
		u = -u
	}
	n := int64(1)
	for ; u >= 10; u /= 10 {
		n++
	}
	return n
}

// appendMoment writes the content of a date (days), a time (ms of the day) or a timestamp (ms).
func appendMoment(dst []byte, l leaf, v int64) ([]byte, error) {
	switch l {
	case leafDate:
		y, m, d, err := dateOf(v)
		if err != nil {
			return dst, err
		}
		return appendField(appendField(appendField(dst, 1, y), 2, m), 3, d), nil
	case leafTime:
		if v < 0 || v >= millisADay {
			return dst, fmt.Errorf("a time of %d ms is not within a day, and google.type.TimeOfDay of the reference holds no other", v)
		}
		dst = appendField(appendField(dst, 1, v/3_600_000), 2, v/60_000%60)
		return appendField(appendField(dst, 3, v/1000%60), 4, v%1000*1_000_000), nil
	}
	seconds, millis := floorDiv(v, 1000), v-1000*floorDiv(v, 1000)
	if seconds < firstSecond || seconds > lastSecond {
		return dst, fmt.Errorf("a timestamp of %d ms is outside of the years 1 to 9999, and google.protobuf.Timestamp holds no other", v)
	}
	return appendField(appendField(dst, 1, seconds), 2, millis*1_000_000), nil
}

// dateOf is the date of a day since 1970 as Java's calendar has it: before 1582-10-15 that is the Julian one.
func dateOf(days int64) (year, month, day int64, err error) {
	if days != int64(int32(days)) {
		return 0, 0, 0, fmt.Errorf("day %d is out of range", days)
	}
	// Days since 0000-03-01, in eras of 400 years (Gregorian) or 4 (Julian), years that begin in March.
	var y, left int64
	if days >= gregorian {
		z := days + 719_468
		era := floorDiv(z, 146_097)
		in := z - era*146_097
		of := (in - in/1460 + in/36_524 - in/146_096) / 365
		y, left = era*400+of, in-(365*of+of/4-of/100)
	} else {
		z := days + 719_470
		era := floorDiv(z, 1461)
		in := z - era*1461
		of := min(in/365, 3)
		y, left = era*4+of, in-365*of
	}
	at := (5*left + 2) / 153
	day, month = left-(153*at+2)/5+1, at+3
	if month > 12 {
		month, y = month-12, y+1
	}
	if y < 1 {
		return 0, 0, 0, fmt.Errorf("day %d is before the year 1, which the reference writes as one after it", days)
	}
	return y, month, day, nil
}

// daysOf is the reverse of dateOf; false for a date that there is not.
func daysOf(year, month, day int64) (int64, bool) {
	if year < 1 || year > math.MaxInt32/366 || month < 1 || month > 12 || day < 1 || day > 31 {
		return 0, false
	}
	y, at := year, month-3
	if at < 0 {
		y, at = y-1, at+12
	}
	days := 365*y + y/4 + (153*at+2)/5 + day - 1
	for _, out := range [...]int64{days - y/100 + y/400 - 719_468, days - 719_470} {
		if gotYear, m, d, err := dateOf(out); err == nil && gotYear == year && m == month && d == day {
			return out, true
		}
	}
	return 0, false
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// moment reads the content of a decimal, a date, a time or a timestamp.
func moment(s *slot, data []byte) (schemas.Value, error) {
	var numbers [5]int64
	var content []byte
	for len(data) > 0 {
		n, t, size := protowire.ConsumeTag(data)
		if size < 0 {
			return nil, errors.New("a tag is not valid")
		}
		data = data[size:]
		switch {
		case t == protowire.VarintType && int(n) < len(numbers):
			var v uint64
			if v, size = protowire.ConsumeVarint(data); size > 0 {
				numbers[n] = int64(v)
				if n > 1 || s.field.message.leaf != leafTimestamp {
					numbers[n] = int64(int32(v))
				}
			}
		case t == protowire.BytesType && n == 1:
			content, size = protowire.ConsumeBytes(data)
		default:
			size = protowire.ConsumeFieldValue(n, t, data)
		}
		if size < 0 {
			return nil, errShort
		}
		data = data[size:]
	}
	switch s.field.message.leaf {
	case leafDecimal:
		if len(content) == 0 {
			return nil, errors.New("a decimal has no bytes")
		}
		if int32(numbers[3]) != s.scale {
			return nil, fmt.Errorf("a decimal has the scale %d, and its field %d", numbers[3], s.scale)
		}
		return append([]byte{}, shortest(content)...), nil
	case leafDate:
		days, ok := daysOf(numbers[1], numbers[2], numbers[3])
		if !ok {
			return nil, fmt.Errorf("%d-%d-%d is no date", numbers[1], numbers[2], numbers[3])
		}
		return int32(days), nil
	case leafTime:
		if h, m, sec, n := numbers[1], numbers[2], numbers[3], numbers[4]; h >= 0 && h < 24 && m >= 0 && m < 60 && sec >= 0 && sec < 60 && n >= 0 && n < 1e9 {
			return int32(h*3_600_000 + m*60_000 + sec*1000 + n/1_000_000), nil
		}
		return nil, fmt.Errorf("%d:%d:%d and %d ns are no time of a day", numbers[1], numbers[2], numbers[3], numbers[4])
	}
	if numbers[1] < firstSecond || numbers[1] > lastSecond || numbers[2] < 0 || numbers[2] >= 1e9 {
		return nil, fmt.Errorf("%d s and %d ns are no timestamp of the years 1 to 9999", numbers[1], numbers[2])
	}
	return numbers[1]*1000 + numbers[2]/1_000_000, nil
}

// shortest drops the bytes that only repeat the sign of an unscaled value.
func shortest(b []byte) []byte {
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xFF && b[1] >= 0x80) {
		b = b[1:]
	}
	return b
}
