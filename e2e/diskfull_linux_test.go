package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/freshet-io/freshet/testbed"
)

// smallDisk mounts a file system of a size in a new directory.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a small file system: %v", err)
		}
		t.Skipf("NOT RUN: a full disk needs the right to mount a file system: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) }) // the directory cannot be removed otherwise, which fails the test
	return dir
}

func TestTargetDiskFull(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "256k")
	pg := bed.Postgres(t)
	database := pg.NewDatabase(t)
	pg.Exec(t, database, "CREATE TABLE bets (id int PRIMARY KEY, horse text); INSERT INTO bets SELECT n, repeat('x', 200) FROM generate_series(1, 2000) n")
	dir, out := t.TempDir(), filepath.Join(disk, "out")
	p := start(t, dir, "run", testbed.WriteConnector(t, dir, pg.Connector(database, "bets", testbed.ToFile(out))))
	p.Says(out, "the disk is full", "make room")
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=16m"); err != nil {
		t.Fatalf("make room: %v", err)
	}
	p.Until("not all rows arrive", func() bool { return lines(out) >= 2000 })
	p.Says("streaming")
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	if n := lines(out); n != 2000 {
		t.Errorf("%d lines for 2000 rows", n)
	}
}

func TestOffsetDiskFull(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "16k") // less than an empty offset file
	pg := bed.Postgres(t)
	database := pg.NewDatabase(t)
	pg.Exec(t, database, betsTable)
	dir := t.TempDir()
	offsets, out := filepath.Join(disk, "offsets.db"), filepath.Join(dir, "out")
	worker := testbed.WriteFile(t, dir, "w.properties", "offset.storage.file.filename="+offsets+"\n")
	file := testbed.WriteConnector(t, dir, pg.Connector(database, "bets", testbed.ToFile(out)))
	text, code := once(t, dir, "run", file, "-c", worker)
	if code != 1 || len(missing(text, []string{offsets, "no space left on device"})) > 0 {
		t.Errorf("exit code %d, message:\n%s", code, text)
	}
	if lines(out) != 0 {
		t.Error("rows were written although no offset can be kept")
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=16m"); err != nil {
		t.Fatalf("make room: %v", err)
	}
	p := start(t, dir, "run", file, "-c", worker)
	p.Until("not all rows arrive", func() bool { return lines(out) == 2 })
}
