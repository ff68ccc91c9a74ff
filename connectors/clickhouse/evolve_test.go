package clickhouse

import (
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/schemas"
)

func TestEvolution(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.ClickHouse(t))
	first := connectortest.Bets()
	r.Write(first, insert(1, "a", 1))
	added := connectortest.Column("at", schemas.TypeTimestamp, "timestamp", true)
	level := connectortest.Column("level", schemas.TypeInt32, "integer", false)
	level.Default = "7"
	second := connectortest.Table("bets", 1, first.Table.Columns[0], first.Table.Columns[1], connectortest.Column("stake", schemas.TypeInt64, "bigint", true), added, level)
	r.Write(second, insert(2, "b", 1<<40, temporal(connectors.KindTimestamp, 5), 8))
	r.expect("SELECT * FROM bets_current ORDER BY id", `1 a 1 \N 7 | 2 b 1099511627776 1970-01-01 00:00:00.000005 8`)
	renamed := connectortest.Table("bets", 1, first.Table.Columns[0], connectortest.Column("runner", schemas.TypeText, "text", true), second.Table.Columns[2], added, level)
	r.Write(renamed, insert(3, "c", 3, nil, 9))
	r.expect("SELECT id, runner FROM bets_current ORDER BY id", "1 a | 2 b | 3 c")
	narrow := connectortest.Table("bets", 1, first.Table.Columns[0], connectortest.Column("runner", schemas.TypeText, "text", true)) // columns that are dropped stay
	r.Write(narrow, insert(4, "d"))
	r.expect("SELECT id, runner, stake, level FROM bets FINAL ORDER BY id", `1 a 1 7 | 2 b 1099511627776 8 | 3 c 3 9 | 4 d \N 7`)
	wrong := connectortest.Table("bets", 1, first.Table.Columns[0], connectortest.Column("runner", schemas.TypeBool, "boolean", true))
	wrong.Table.Columns = append(wrong.Table.Columns, connectortest.Column("stake", schemas.TypeDate, "date", true))
	r.Refused(r.TryWrite(wrong, insert(5, true, temporal(connectors.KindDate, 1))), "column stake", "Nullable(Int64)", "date")
	r.expect("SELECT count() FROM bets_current", "4")
}

// What was changed before a column was renamed may come behind the rename: from another partition of a topic, or again after a restart.
func TestRowsFromBeforeARename(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.ClickHouse(t))
	before := connectortest.Bets()
	column := func(name string) schemas.Column { return connectortest.Column(name, schemas.TypeText, "text", true) }
	after := connectortest.Table("bets", 1, before.Table.Columns[0], column("runner"), before.Table.Columns[2])
	again := connectortest.Table("bets", 1, before.Table.Columns[0], column("racer"), before.Table.Columns[2])
	r.Write(before, insert(1, "a", 1))
	r.query("ALTER TABLE bets COMMENT COLUMN horse 'its name'")
	if err := r.Put(func(w *connectors.Builder) {
		for i, s := range []*connectors.Stream{before, after, before, after} {
			insert(i+2, string(rune('b'+i)), i+2).Append(w, s, connectors.Order{Epoch: 1, Major: uint64(i) + 100, Minor: 1})
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	r.expect("SELECT * FROM bets_current ORDER BY id", "1 a 1 | 2 b 2 | 3 c 3 | 4 d 4 | 5 e 5")
	r.Write(again, insert(6, "f", 6))
	r.start()
	r.Write(before, insert(7, "g", 7))
	r.Write(after, insert(8, "h", 8))
	r.expect("SELECT id, racer, stake FROM bets_current WHERE id > 5 ORDER BY id", "6 f 6 | 7 g 7 | 8 h 8")
	r.expect("SELECT groupArray(name) FROM system.columns WHERE database = currentDatabase() AND table = 'bets'", "['id','racer','stake','_version','_is_deleted']")
	r.expect("SELECT comment FROM system.columns WHERE database = currentDatabase() AND table = 'bets' AND name = 'racer'", `its name; freshet: was ["horse","runner"]`)
	other := connectortest.Table("bets", 1, before.Table.Columns[0], column("racer"), before.Table.Columns[2], column("horse"))
	r.Write(other, insert(9, "i", 9, "new"))
	r.expect("SELECT id, racer, horse FROM bets_current WHERE id > 7 ORDER BY id", `8 h \N | 9 i new`)
}

func TestAmbiguousRename(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.ClickHouse(t))
	r.Write(connectortest.Bets(), insert(1, "a", 1))
	s := connectortest.Bets()
	s.Table.Columns[2].Name = "amount" // the last one
	r.Refused(r.TryWrite(s, insert(2, "b", 2)), "renamed, or one was dropped", "RENAME COLUMN `stake` TO `amount`")
	r.query("ALTER TABLE bets RENAME COLUMN stake TO amount")
	r.start()
	r.Write(s, insert(2, "b", 2))
	r.expect("SELECT id, amount FROM bets FINAL ORDER BY id", "1 1 | 2 2")
}

func TestOtherTables(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.ClickHouse(t))
	r.query("CREATE TABLE bets (id Int32, horse String, stake Int32) ENGINE = MergeTree ORDER BY id")
	r.Refused(r.TryWrite(connectortest.Bets(), insert(1, "a", 1)), "engine MergeTree", "ReplacingMergeTree", "freshet.mode=reference")
	r.query("DROP TABLE bets")
	r.query("CREATE TABLE bets (id Int32, horse String, stake Int32, _version UInt128, _is_deleted UInt8) ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY (id, horse)")
	r.Refused(r.TryWrite(connectortest.Bets(), insert(1, "a", 1)), "sorted by (id, horse)", "(id)")
	r.start(keyEvolution, "none")
	s := connectortest.Table("none", 1, connectortest.Column("id", schemas.TypeInt32, "integer", false))
	r.Refused(r.TryWrite(s, insert(1)), "none for public.none does not exist", keyEvolution)
	r.start(keyDryRun, "true")
	r.Refused(r.TryWrite(s, insert(1)), keyDryRun, "CREATE TABLE IF NOT EXISTS", "ReplacingMergeTree(`_version`, `_is_deleted`) ORDER BY `id`")
	r.expect("EXISTS TABLE none", "0")
	r.start()
	r.Write(s, insert(1))
	other := connectortest.Table("none", 1, connectortest.Column("id", schemas.TypeInt32, "integer", false))
	other.Table.Schema = "audit"
	r.Refused(r.TryWrite(other, insert(2)), "public.none and audit.none have the same target", keyFormat)
}

// A worker can end between any two statements: the next one makes what the view lacks, and has nothing to do after that.
func TestViewIsMended(t *testing.T) {
	t.Parallel()
	const rows, shape = "SELECT * FROM bets_current ORDER BY id", "SELECT groupArray(concat(name, ' ', type)) FROM system.columns WHERE database = currentDatabase() AND table = 'bets_current'"
	r := newRig(t, bed.ClickHouse(t))
	r.Write(connectortest.Bets(), insert(1, "a", 1))
	whole := r.query(shape)
	for _, left := range []string{
		"DROP VIEW bets_current",
		"CREATE OR REPLACE VIEW bets_current AS SELECT id, horse FROM bets FINAL WHERE _is_deleted = 0",
		"CREATE OR REPLACE VIEW bets_current AS SELECT id, horse, CAST(stake AS Nullable(Int8)) AS stake FROM bets FINAL WHERE _is_deleted = 0",
	} {
		r.query(left)
		r.start()
		r.Write(connectortest.Bets(), insert(1, "a", 1000))
		r.expect(rows, "1 a 1000")
		r.expect(shape, whole)
	}
	made := "SELECT toString(uuid) FROM system.tables WHERE database = currentDatabase() AND name = 'bets_current'"
	before := r.query(made)
	r.start()
	r.Write(connectortest.Bets(), insert(2, "b", 2))
	r.expect(made, before)
	// An older form of the table, as topics have it, takes no column away.
	narrow := connectortest.Bets()
	narrow.Table.Columns = narrow.Table.Columns[:2]
	r.query("DROP VIEW bets_current")
	r.query("CREATE VIEW bets_current AS SELECT id, stake FROM bets FINAL WHERE _is_deleted = 0")
	r.start()
	r.Write(narrow, insert(3, "c"))
	r.expect("SELECT id, horse, stake FROM bets_current ORDER BY id", `1 a 1000 | 2 b 2 | 3 c \N`)
	r.start(keyEvolution, "none")
	r.query("DROP VIEW bets_current")
	r.Write(connectortest.Bets(), insert(4, "d", 4))
	r.expect("EXISTS bets_current", "0")
}

// The server replaces a table by a view of its name: what is there stays.
func TestViewNamedAsATable(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.ClickHouse(t))
	of := connectortest.Table("bets_current", 1, connectortest.Column("id", schemas.TypeInt32, "integer", false))
	r.Write(of, insert(7))
	r.Refused(r.TryWrite(connectortest.Bets(), insert(1, "a", 1)), "bets_current", "is a table with engine ReplacingMergeTree", keyView)
	r.expect("SELECT id FROM bets_current FINAL", "7")
	r.expect("EXISTS TABLE bets", "0")
	r.start(keyView, "${table}_now")
	r.Write(connectortest.Bets(), insert(1, "a", 1))
	r.expect("SELECT * FROM bets_now", "1 a 1")
}

// The DDL of clusters, which the test server cannot run.
func TestClusterDDL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		more []string
		want []string
	}{
		{[]string{keyCluster, "main", keyEngine, "ReplicatedReplacingMergeTree"}, []string{
			"CREATE TABLE IF NOT EXISTS `d`.`bets` ON CLUSTER `main` (`id` Int32, `horse` Nullable(String), `stake` Nullable(Int32), `_version` UInt128, `_is_deleted` UInt8) ENGINE = ReplicatedReplacingMergeTree(`_version`, `_is_deleted`) ORDER BY `id`",
			"CREATE OR REPLACE VIEW `d`.`bets_current` ON CLUSTER `main` AS SELECT `id`, `horse`, `stake` FROM `d`.`bets` FINAL WHERE `_is_deleted` = 0",
		}},
		{[]string{keyCluster, "main", keyEngine, "ReplicatedReplacingMergeTree('/t/{shard}', '{replica}')", keySharding, "cityHash64(id)", keyView, "", keyMode, "append"}, []string{
			"CREATE TABLE IF NOT EXISTS `d`.`bets_local` ON CLUSTER `main` (`id` Int32, `horse` Nullable(String), `stake` Nullable(Int32), `_op` LowCardinality(String), `_partition` LowCardinality(String), `_order` UInt128) ENGINE = ReplicatedReplacingMergeTree('/t/{shard}', '{replica}') ORDER BY (`id`, `_partition`, `_order`)",
			"CREATE TABLE IF NOT EXISTS `d`.`bets` ON CLUSTER `main` AS `d`.`bets_local` ENGINE = Distributed('main', 'd', 'bets_local', cityHash64(id))",
		}},
	} {
		config := connectors.Config{keyHost: "h", keyDatabase: "d"}
		for i := 0; i+1 < len(c.more); i += 2 {
			config[c.more[i]] = c.more[i+1]
		}
		cfg, err := parseConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		w, err := cfg.want(connectortest.Bets(), version{26, 7})
		if err != nil {
			t.Fatal(err)
		}
		got := cfg.creation(w)
		if cfg.view != "" {
			got = append(got, cfg.viewOf(w, &view{database: w.database, name: "bets_current", there: true}, nil))
		}
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%v:\n got %s\nwant %s", c.more, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
	}
}

// A worker ended between the statements for the table on each server and the Distributed one above it.
func TestDistributedIsMended(t *testing.T) {
	t.Parallel()
	cfg, err := parseConfig(connectors.Config{keyHost: "h", keyDatabase: "d", keyCluster: "main", keySharding: "cityHash64(id)", keyEngine: "ReplicatedReplacingMergeTree"})
	if err != nil {
		t.Fatal(err)
	}
	w, err := cfg.want(connectortest.Bets(), version{26, 7})
	if err != nil {
		t.Fatal(err)
	}
	columns := func(list ...string) (out []targetColumn) {
		for i := 0; i+1 < len(list); i += 2 {
			typ, err := parseType(list[i+1])
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, targetColumn{name: list[i], typ: typ, sorting: list[i] == "id"})
		}
		return append(out, targetColumn{name: "_version", typ: &columnType{}}, targetColumn{name: "_is_deleted", typ: &columnType{}})
	}
	whole, part := columns("id", "Int32", "horse", "Nullable(String)", "stake", "Nullable(Int32)"), columns("id", "Int32", "horse", "Nullable(String)")
	narrow := columns("id", "Int32", "horse", "Nullable(String)", "stake", "Nullable(Int16)")
	const add, modify = "ADD COLUMN IF NOT EXISTS `stake` Nullable(Int32) AFTER `horse`", "MODIFY COLUMN `stake` Nullable(Int32)"
	for _, c := range []struct {
		local, above []targetColumn
		want         string
	}{
		{part, part, "ALTER TABLE `d`.`bets_local` ON CLUSTER `main` " + add + "; ALTER TABLE `d`.`bets` ON CLUSTER `main` " + add},
		{whole, part, "ALTER TABLE `d`.`bets` ON CLUSTER `main` " + add},
		{whole, narrow, "ALTER TABLE `d`.`bets` ON CLUSTER `main` " + modify},
		{whole, whole, ""},
	} {
		const engine = "ReplicatedReplacingMergeTree"
		got, err := cfg.evolution(w, nil, &target{
			database: "d", name: "bets", local: [2]string{"d", "bets_local"}, engine: engine, full: engine + "('/t', 'r', _version, _is_deleted)", sorting: []string{"id"},
			columns: c.local, above: c.above,
		})
		if err != nil || strings.Join(got, "; ") != c.want {
			t.Errorf("got %v, %v; want %s", got, err, c.want)
		}
	}
}

// TestReplay writes many changes, then all of them again from an earlier place, in other batches: the end state is the same.
func TestReplay(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"mirror", "append"} {
		r := newRig(t, bed.ClickHouse(t), keyMode, mode, keyInterval, "0")
		s := connectortest.Bets()
		const changes, keys = 20000, 500
		play := func(from, size int) {
			for at := from; at < changes; at += size {
				if err := r.Put(func(w *connectors.Builder) {
					for n := at; n < min(at+size, changes); n++ {
						id := n * 7919 % keys
						c := update(id, fmt.Sprint("h", n), n)
						if n%11 == 0 {
							c = remove(id, nil, nil)
						}
						c.Append(w, s, connectors.Order{Epoch: 1, Major: uint64(n/10) + 1, Minor: uint32(n%10) + 1})
					}
				}); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		state := "SELECT count(), sum(cityHash64(id, horse, stake, _version)) FROM bets FINAL"
		if mode == "append" {
			state = "SELECT count(), sum(cityHash64(id, horse, stake, _op, _order)) FROM bets FINAL"
		}
		play(0, 1000)
		want := r.query(state)
		r.start(keyMode, mode)
		play(changes/3, 777)
		r.expect(state, want)
		if mode == "mirror" {
			r.expect("SELECT count(), sum(cityHash64(id, horse, stake)) FROM bets_current", r.query("SELECT count(), sum(cityHash64(id, horse, stake)) FROM bets FINAL"))
		} else {
			r.expect("SELECT count() FROM bets FINAL", fmt.Sprint(changes))
		}
	}
}
