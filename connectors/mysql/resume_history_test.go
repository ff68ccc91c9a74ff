package mysql

import (
	"os"
	"strings"
	"testing"
)

func TestOffsetWithoutHistory(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.exec("CREATE TABLE a (id INT PRIMARY KEY)")
	r.start()
	r.streaming()
	r.exec("INSERT INTO a VALUES (1)")
	r.until(1)
	r.stop()
	file := r.config["schema.history.internal.file.filename"]
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}

	err := r.tryStart()
	if err == nil {
		err = r.pollError()
	}
	for _, want := range []string{"schema history is missing", "file " + file, "snapshot.mode=recovery", "snapshot.mode=when_needed"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "no longer available") {
		t.Errorf("%v blames the binlog, which is there", err)
	}
	r.stop()

	r.config["snapshot.mode"] = "recovery"
	r.exec("INSERT INTO a VALUES (2)")
	r.start()
	r.until(2)
}
