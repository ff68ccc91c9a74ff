package mysql

import (
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

// appendDate appends a DATE.
func (c *column) appendDate(w *connectors.Builder, year, month, day int) {
	days, ok := c.days(year, month, day)
	if !ok {
		c.appendNoDay(w, connectors.KindDate)
		return
	}
	w.Temporal(connectors.KindDate, days)
}

// appendDatetime appends a DATETIME; clock is the µs of the day.
func (c *column) appendDatetime(w *connectors.Builder, year, month, day int, clock int64) {
	days, ok := c.days(year, month, day)
	if !ok {
		c.appendNoDay(w, connectors.KindTimestamp)
		return
	}
	w.Temporal(connectors.KindTimestamp, days*microsDay+clock)
}

// appendTimestamp appends a TIMESTAMP; the clock is that of UTC.
func (c *column) appendTimestamp(w *connectors.Builder, year, month, day int, clock int64) {
	days, ok := c.days(year, month, day)
	if !ok {
		c.appendNoDay(w, connectors.KindTimestampTZ)
		return
	}
	w.Temporal(connectors.KindTimestampTZ, days*microsDay+clock)
}

// appendNoDay appends what stands for a date that is no day (0000-00-00, 2018-00-00, 2018-02-31): NULL, or column.noDay where NULL may not be.
func (c *column) appendNoDay(w *connectors.Builder, k connectors.Kind) {
	if c.optional {
		w.Null()
		return
	}
	w.Temporal(k, c.noDay)
}

// days counts the days since 1970 of a date that is one.
func (c *column) days(year, month, day int) (int64, bool) {
	if year <= 0 || month <= 0 || month > 12 || day <= 0 || day > daysIn(year, month) {
		return 0, false
	}
	if c.adjust && year < 100 {
		year = fullYear(year)
		day = min(day, daysIn(year, month))
	}
	return changes.DaysOf(int64(year), int64(month), int64(day)), true
}

// fullYear is the year that two digits mean: 1970 to 2069.
func fullYear(year int) int {
	if year < 70 {
		return 2000 + year
	}
	return 1900 + year
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
