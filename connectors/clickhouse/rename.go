package clickhouse

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// wasMark stands in the comment of a column before the names that it had, as a JSON array: what was written before a rename may come again,
// after a restart or from another partition of a topic, and goes where it went.
const wasMark = "freshet: was "

// was lists the names that a column had before.
func (c *targetColumn) was() (names []string) {
	_, text, _ := strings.Cut(c.comment, wasMark)
	if json.Unmarshal([]byte(text), &names) != nil {
		return nil
	}
	return names
}

// follow gives columns that were renamed since the name that they have in the target.
func (w *wanted) follow(t *target) {
	for i := w.keys; t != nil && i < len(w.columns); i++ {
		c := &w.columns[i]
		if t.column(c.Name) != nil {
			continue
		}
		for n := range t.columns {
			if now := &t.columns[n]; slices.Contains(now.was(), c.Name) && w.source.Column(now.name) < 0 {
				renamed := *c.Column
				renamed.Name, c.Column = now.name, &renamed
				break
			}
		}
	}
}

// renames finds the column that has another name now. Postgres adds columns at the end, so another name in the middle, with
// everything else as it was, is a rename; where it may as well be a drop and an addition, neither is guessed.
func (cfg *config) renames(w, before *wanted, t *target) ([]string, error) {
	if !cfg.evolve || before == nil || len(before.source.Columns) != len(w.source.Columns) {
		return nil, nil
	}
	at := -1
	for i := range w.source.Columns {
		if old, now := &before.source.Columns[i], &w.source.Columns[i]; old.Name != now.Name {
			if at >= 0 || old.Type != now.Type || old.TypeName != now.TypeName || old.Length != now.Length || old.Scale != now.Scale {
				return nil, nil
			}
			at = i
		}
	}
	if at < 0 {
		return nil, nil
	}
	old, now := before.source.Columns[at].Name, w.source.Columns[at].Name
	have := t.column(old)
	if have == nil || t.column(now) != nil || w.source.Column(old) >= 0 || slices.Contains(have.was(), now) { // the last: w is the older one
		return nil, nil
	}
	if have.sorting {
		return nil, fmt.Errorf("column %s of table %s seems to be renamed to %s, and column %s is part of the sorting key of target table %s, which cannot be altered: make the table anew", old, w.id(), now, old, t.id())
	}
	if w.source.Schema == "" || at == len(w.source.Columns)-1 {
		return nil, fmt.Errorf("table %s has a column %s where it had %s: it was renamed, or one was dropped and another one added. For a rename run: ALTER TABLE %s RENAME COLUMN %s TO %s; for a new column: ALTER TABLE %s ADD COLUMN %s %s; then restart the task",
			w.id(), now, old, t.quoted(), quote(old), quote(now), t.quoted(), quote(now), w.declarationOf(now))
	}
	names, err := json.Marshal(append(have.was(), old))
	if err != nil {
		return nil, fmt.Errorf("encode former names of column %s: %w", now, err)
	}
	comment, _, _ := strings.Cut(have.comment, wasMark)
	if comment = strings.TrimSuffix(comment, "; "); comment != "" {
		comment += "; "
	}
	have.name, have.comment = now, comment+wasMark+string(names)
	return []string{"RENAME COLUMN " + quote(old) + " TO " + quote(now), "COMMENT COLUMN " + quote(now) + " " + literal(have.comment)}, nil
}
