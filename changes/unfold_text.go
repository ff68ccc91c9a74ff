package changes

import (
	"encoding/base64"
	"math"
	"strconv"
	"unsafe"

	"github.com/freshet-io/freshet/schemas"
)

// scan reads the parts of an ISO 8601 text from its start.
type scan struct {
	text string
	bad  bool
}

// number reads digits, at least least of them.
func (s *scan) number(least int) int64 {
	i, v := 0, int64(0)
	for ; i < len(s.text) && i < 18 && s.text[i] >= '0' && s.text[i] <= '9'; i++ {
		v = v*10 + int64(s.text[i]-'0')
	}
	if i < least {
		s.bad = true
	}
	s.text = s.text[i:]
	return v
}

// next takes one byte when it is c.
func (s *scan) next(c byte) bool {
	if s.text == "" || s.text[0] != c {
		return false
	}
	s.text = s.text[1:]
	return true
}

func (s *scan) must(c byte) {
	if !s.next(c) {
		s.bad = true
	}
}

// date reads [±]yyyy-MM-dd as days since 1970.
func (s *scan) date() int64 {
	negative := s.next('-')
	if !negative {
		s.next('+')
	}
	year := s.number(4)
	s.must('-')
	month := s.number(2)
	s.must('-')
	day := s.number(2)
	if month < 1 || month > 12 || day < 1 || day > 31 || year > 999_999_999 {
		s.bad = true
		return 0
	}
	if negative {
		year = -year
	}
	return DaysOf(year, month, day)
}

// clock reads HH:mm[:ss[.fraction]] as µs.
func (s *scan) clock() int64 {
	v := s.number(2) * 3600
	s.must(':')
	v += s.number(2) * 60
	if !s.next(':') {
		return v * microsPerSecond
	}
	v += s.number(2)
	return v*microsPerSecond + s.fraction()
}

// fraction reads .fff as µs. More than six digits must be zeros: a cell has no room for them (I10).
func (s *scan) fraction() int64 {
	if !s.next('.') {
		return 0
	}
	v, unit := int64(0), int64(microsPerSecond/10)
	for i := 0; s.text != "" && s.text[0] >= '0' && s.text[0] <= '9'; i++ {
		digit := int64(s.text[0] - '0')
		if unit == 0 && digit != 0 {
			s.bad = true
		}
		v += digit * unit
		unit /= 10
		s.text = s.text[1:]
	}
	return v
}

// zone reads Z or ±HH[:mm[:ss]] as seconds east of UTC; nothing is UTC.
func (s *scan) zone() int64 {
	if s.text == "" || s.next('Z') {
		return 0
	}
	negative := s.next('-')
	if !negative {
		s.must('+')
	}
	v := s.number(2) * 3600
	if s.next(':') || s.text != "" {
		v += s.number(2) * 60
	}
	if s.next(':') {
		v += s.number(2)
	}
	if negative {
		v = -v
	}
	return v
}

func (s *scan) ended() bool { return !s.bad && s.text == "" }

// parseTimestamp reads a date, a time and a zone as µs since 1970 in UTC.
func parseTimestamp(text string) (int64, bool) {
	s := scan{text: text}
	day := s.date()
	if !s.next('T') {
		s.must(' ')
	}
	clock := s.clock()
	zone := s.zone()
	const limit = math.MaxInt64 / microsPerDay
	v := day*microsPerDay + clock - zone*microsPerSecond
	return v, s.ended() && day <= limit && day >= -limit-1 && (day > 0 || v <= 2*microsPerDay) && (day < 0 || v >= -2*microsPerDay)
}

// parseInterval reads P1Y2M3DT4H5M6.789S, any part of which may be missing or negative.
func parseInterval(text string) (months, days int32, micros int64, ok bool) {
	s := scan{text: text}
	s.must('P')
	clock := false
	for s.text != "" && !s.bad {
		if !clock && s.next('T') {
			clock = true
			continue
		}
		sign := int64(1)
		if s.next('-') {
			sign = -1
		}
		v := s.number(1)
		fraction := s.fraction()
		unit := byte(0)
		if s.text != "" {
			unit = s.text[0]
			s.text = s.text[1:]
		}
		if v > math.MaxInt32 && (!clock || unit != 'S') || v > math.MaxInt64/microsPerSecond-1 || fraction != 0 && unit != 'S' {
			return 0, 0, 0, false
		}
		switch {
		case !clock && unit == 'Y' && v <= math.MaxInt32/12-1:
			months += int32(sign * v * 12)
		case !clock && unit == 'M':
			months += int32(sign * v)
		case !clock && unit == 'W' && v <= math.MaxInt32/7:
			days += int32(sign * v * 7)
		case !clock && unit == 'D':
			days += int32(sign * v)
		case clock && unit == 'H':
			micros += sign * v * 3600 * microsPerSecond
		case clock && unit == 'M':
			micros += sign * v * 60 * microsPerSecond
		case clock && unit == 'S':
			micros += sign * (v*microsPerSecond + fraction)
		default:
			return 0, 0, 0, false
		}
	}
	return months, days, micros, s.ended() && len(text) > 2
}

// appendJSON writes a value of any schema, nil for none, as JSON: decimals and numbers as numbers, bytes in base64, maps whose keys are not
// texts as lists of pairs, numbers that JSON lacks as texts.
func appendJSON(dst []byte, s *schemas.Schema, v schemas.Value) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case int8:
		return appendInt(dst, int64(v))
	case int16:
		return appendInt(dst, int64(v))
	case int32:
		return appendInt(dst, int64(v))
	case int64:
		return appendInt(dst, v)
	case float32:
		return appendJSONFloat(dst, float64(v), 32)
	case float64:
		return appendJSONFloat(dst, v, 64)
	case string:
		return AppendJSONText(dst, v)
	case []byte:
		if s != nil && s.Name == NameConnectDecimal {
			return appendPlainDecimal(dst, v, number(s.Parameter("scale"), 0))
		}
		dst = base64.StdEncoding.AppendEncode(append(dst, '"'), v)
		return append(dst, '"')
	case schemas.ArrayValue:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, elemOf(s), e)
		}
		return append(dst, ']')
	case schemas.MapValue:
		return appendJSONMap(dst, s, v)
	case schemas.StructValue:
		dst = append(dst, '{')
		for i, e := range v {
			if s == nil || i >= len(s.Fields) {
				break
			}
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(AppendJSONText(dst, s.Fields[i].Name), ':')
			dst = appendJSON(dst, s.Fields[i].Schema, e)
		}
		return append(dst, '}')
	}
	return append(dst, "null"...)
}

func elemOf(s *schemas.Schema) *schemas.Schema {
	if s == nil {
		return nil
	}
	return s.Elem
}

func appendJSONFloat(dst []byte, v float64, bits int) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(AppendJavaDouble(append(dst, '"'), v, bits), '"')
	}
	return strconv.AppendFloat(dst, v, 'g', -1, bits)
}

func appendJSONMap(dst []byte, s *schemas.Schema, v schemas.MapValue) []byte {
	object := true
	for _, e := range v {
		_, ok := e.Key.(string)
		object = object && ok
	}
	first, last := byte('['), byte(']')
	if object {
		first, last = '{', '}'
	}
	dst = append(dst, first)
	for i, e := range v {
		if i > 0 {
			dst = append(dst, ',')
		}
		if object {
			dst = append(appendJSON(dst, nil, e.Key), ':')
			dst = appendJSON(dst, elemOf(s), e.Value)
			continue
		}
		var key *schemas.Schema
		if s != nil {
			key = s.Key
		}
		dst = append(appendJSON(append(dst, '['), key, e.Key), ',')
		dst = append(appendJSON(dst, elemOf(s), e.Value), ']')
	}
	return append(dst, last)
}

// view is the bytes of a string, not to be changed.
func view(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
