package mysql

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/changes"
)

// keyCutter finds where to cut a table so that the parts have about as many rows. It asks the server's optimizer, which looks into the
// index (index dives), so that gaps and dense places of the keys are seen without reading rows.
type keyCutter struct {
	s     *snapshot
	key   changes.ChunkKey
	table string
}

// span is a range of keys, as place gives them, both included.
type span struct {
	low, high uint64
	rows      int64
}

// cuts returns the keys at which n parts begin, but for the first.
func (k *keyCutter) cuts(ctx context.Context, n int) ([]string, error) {
	column := quote(k.key.Column)
	if k.key.Type == "binary" {
		column = "HEX(" + column + ")"
	}
	least, greatest, err := k.bounds(ctx, column)
	if err != nil || least == "" || least == greatest {
		return nil, err
	}
	all := span{low: k.place(least), high: k.place(greatest)}
	if all.rows, err = k.estimate(ctx, all); err != nil {
		return nil, err
	}
	target := max(all.rows/int64(n), 1)
	// Halve what is more than a quarter. One question a part; a bound, should estimates lead nowhere.
	small := max(target/4, 1)
	parts, questions := []span{all}, 16*n+64
	for i := 0; i < len(parts); {
		p := parts[i]
		if p.rows <= small || p.low == p.high || questions <= 0 {
			i++
			continue
		}
		middle := p.low + (p.high-p.low)/2
		left, right := span{low: p.low, high: middle}, span{low: middle + 1, high: p.high}
		if left.rows, err = k.estimate(ctx, left); err != nil {
			return nil, err
		}
		right.rows = max(p.rows-left.rows, 0)
		if left.rows == 0 || right.rows == 0 { // an estimate of the whole that does not fit that of its parts
			if right.rows, err = k.estimate(ctx, right); err != nil {
				return nil, err
			}
			questions--
		}
		questions--
		parts = slices.Replace(parts, i, i+1, left, right)
	}
	// Join what is too small.
	var out []string
	sum := int64(0)
	for i, p := range parts {
		if i > 0 && sum+p.rows > target && sum > 0 {
			out = append(out, k.text(p.low))
			sum = 0
		}
		sum += p.rows
	}
	return out, nil
}

func (k *keyCutter) bounds(ctx context.Context, column string) (least, greatest string, err error) {
	order := quote(k.key.Column)
	for _, b := range []struct {
		to  *string
		how string
	}{{&least, ""}, {&greatest, " DESC"}} {
		sql := fmt.Sprintf("SELECT %s FROM %s FORCE INDEX (PRIMARY) ORDER BY %s%s LIMIT 1", column, k.table, order, b.how)
		if *b.to, err = k.s.t.cfg.value(ctx, k.s.meta, sql); err != nil {
			return "", "", err
		}
	}
	return least, greatest, nil
}

// estimate is about how many rows a range has.
func (k *keyCutter) estimate(ctx context.Context, p span) (int64, error) {
	r := changes.KeyRange{From: k.text(p.low)}
	if p.high < math.MaxUint64 {
		r.To = k.text(p.high + 1)
	}
	hint := "USE" // MySQL does not look into an index that it is forced to use
	if k.s.t.cfg.flavor == flavorMariaDB {
		hint = "FORCE"
	}
	sql := fmt.Sprintf("EXPLAIN FORMAT=TRADITIONAL SELECT 1 FROM %s %s INDEX (PRIMARY) WHERE %s", k.table, hint, k.where(r))
	result, err := k.s.t.cfg.execute(ctx, k.s.meta, sql)
	if err != nil {
		return 0, fmt.Errorf("estimate the rows of a range: %w", err)
	}
	defer result.Close()
	if result.RowNumber() == 0 {
		return 0, nil
	}
	text, err := result.GetStringByName(0, "rows")
	if err != nil {
		return 0, fmt.Errorf("estimate the rows of a range: %w", err)
	}
	n, _ := strconv.ParseFloat(text, 64) // NULL for a range that can have none
	if k.s.t.cfg.flavor == flavorMySQL { // of a scan of the whole table, too
		text, err := result.GetStringByName(0, "filtered")
		if err != nil {
			return 0, fmt.Errorf("estimate the rows of a range: %w", err)
		}
		percent, _ := strconv.ParseFloat(text, 64)
		n *= percent / 100
	}
	return int64(n), nil
}

// where is the condition of a range.
func (k *keyCutter) where(r changes.KeyRange) string {
	name := quote(k.key.Column)
	literal := func(text string) string {
		if k.key.Type == "binary" {
			return "x'" + text + "'"
		}
		return text
	}
	var out []string
	if r.From != "" {
		out = append(out, name+" >= "+literal(r.From))
	}
	if r.To != "" {
		out = append(out, name+" < "+literal(r.To))
	}
	return strings.Join(out, " AND ")
}

// prefixBytes are the bytes of a binary key by which it is placed.
const prefixBytes = 8

// place maps a key to a number, in order: signed integers with the sign turned, binary strings by their first bytes.
func (k *keyCutter) place(text string) uint64 {
	switch {
	case k.key.Type == "binary":
		b, _ := hex.DecodeString(text) // the server printed it
		var out uint64
		for i := range prefixBytes {
			out <<= 8
			if i < len(b) {
				out |= uint64(b[i])
			}
		}
		return out
	case strings.HasSuffix(k.key.Type, " unsigned"):
		n, _ := strconv.ParseUint(text, 10, 64)
		return n
	}
	n, _ := strconv.ParseInt(text, 10, 64)
	return uint64(n) ^ 1<<63
}

// text is a key at a place.
func (k *keyCutter) text(place uint64) string {
	switch {
	case k.key.Type == "binary":
		return fmt.Sprintf("%016x", place)
	case strings.HasSuffix(k.key.Type, " unsigned"):
		return strconv.FormatUint(place, 10)
	}
	return strconv.FormatInt(int64(place^1<<63), 10)
}
