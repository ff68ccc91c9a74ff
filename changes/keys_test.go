package changes

import (
	"testing"

	"github.com/freshet-io/freshet/connectors"
)

func TestArrange(t *testing.T) {
	groups := []KeyGroup{
		{Name: "One", Keys: "topic.prefix mine legacy.snapshot.max.threads internal.legacy.snapshot.max.threads max.batch.size"},
		{Name: "Two", Keys: "tombstones.on.delete"},
		{Keys: "topic.delimiter database.include.list"},
	}
	own := []connectors.Key{{Name: "mine", Default: "1"}, {Name: "tombstones.on.delete", Default: "mine"}, {Name: "mine.", Prefix: true}}
	got := Arrange(groups, own)
	for i, want := range []struct {
		name, group string
		order       int
		own         bool
	}{
		{"topic.prefix", "One", 1, false},
		{"mine", "One", 2, false},
		{"legacy.snapshot.max.threads", "One", 3, false},
		{"internal.legacy.snapshot.max.threads", "One", 3, false}, // an alias
		{"max.batch.size", "One", 4, false},
		{"tombstones.on.delete", "Two", 1, false},
		{"topic.delimiter", "", 0, true},
		{"database.include.list", "", 0, true},
	} {
		k := got[i]
		if k.Name != want.name || k.Group != want.group || k.Order != want.order || k.Own != want.own || k.Own && k.Display != "" {
			t.Errorf("key %d is %+v, want %+v", i, k, want)
		}
	}
	if got[5].Default != "mine" {
		t.Error("a connector's own key is not used")
	}
	families := got[8:]
	if families[0].Name != "column.mask.hash." || families[len(families)-1].Name != "mine." {
		t.Errorf("families: %v", families)
	}
	defer func() {
		if recover() == nil {
			t.Error("a key without definition is taken")
		}
	}()
	Arrange([]KeyGroup{{Name: "One", Keys: "unheard.of"}}, nil)
}

func TestSnapshotOverrides(t *testing.T) {
	const key = "snapshot.select.statement.overrides"
	got, err := SnapshotOverrides(connectors.Config{key: "d.a, d.b", key + ".d.a": " SELECT 1; ", key + ".d.b": "SELECT 2"})
	if err != nil || len(got) != 2 || got["d.a"] != "SELECT 1" || got["d.b"] != "SELECT 2" {
		t.Errorf("overrides %v, error %v", got, err)
	}
	if _, err := SnapshotOverrides(connectors.Config{key: "d.a"}); err == nil {
		t.Error("a table without a statement is taken")
	}
}
